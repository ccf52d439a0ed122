"""Accept: what is answered is on disk, in the log's order, under one signed promise a commit.

One process writes a log. It holds an advisory lock, and every commit checks an epoch, so a writer that only
believes it still holds the lock commits nothing. The leaf index is given here, not when sealing.

* Two groups may be under way, each on its connection: while one is committed the next is already with the
  database, waiting for the row that counts the log, and a third is staged. If the first does not commit, the
  second finds another count and fails with it.
* The promise is signed before the commit and stored in it, so a repeated request gets the identical answer.
* Duplicates are found by unique indexes. Only after one was hit does the writer look before it writes, for a
  while: honest traffic pays nothing for the check, and a sender of duplicates cannot make every group fail.
* A custody log's events are looked at before they queue, and again by the commit, which fails where a chain
  has moved on; then the group is looked at like one with duplicates, and who lost the race is told.
* When a commit's fate is unknown (connection lost), nobody is told "accepted"; the repeated request finds the
  stored answer or is accepted anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import asyncpg

from evidence import admission
from evidence.answers import known_leaves, stored_answers
from evidence.custody import CustodyBooks, Place
from evidence.errors import (
    Busy,
    ContinuationRefused,
    DuplicateEntry,
    HeadAhead,
    LogClosed,
    LogHalted,
    LogNotStarted,
    NotTheWriter,
    RecordDamaged,
)
from evidence.grouping import (
    Group,
    Staged,
    entry_arguments,
    event_arguments,
    link_arguments,
    stage,
    submission_arguments,
)
from evidence.headguard import HeadGuard
from evidence.logs import LogContext, LogStatus, log_status
from evidence.ports import Clock, FaultPoints, PromiseSigner, RegistryPort, system_clock
from evidence.recoverer import OnTheSpot, Recoverer
from evidence.vault import Vault
from protocol.custody import Chain, is_custody_log
from protocol.entry import evidence_id
from protocol.errors import CaseledgerError
from protocol.submission import MAX_ENTRIES, Acceptance, CheckedSubmission, Submission
from storage.db import TRANSIENT, AnyConnection, Pool, unavailable
from storage.errors import DatabaseUnavailable

_LOCK_SPACE = 0x636C  # "cl": first key of the two-key advisory locks of logs
_NOT_WRITER = "CL001"
_NOT_OPEN = "CL002"
_TOO_EARLY = "CL003"
_CHAIN_MOVED = "CL004"
_ACCEPT = """SELECT evidence.accept_group($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,
    $20,$21,$22,$23,$24,$25,$26,$27,$28,$29)"""
_ACCEPT_CUSTODY = f"SELECT evidence.accept_custody_group({','.join(f'${n}' for n in range(1, 37))})"


@dataclass(frozen=True)
class Limits:
    """Bounds of the queue and of one commit. Bytes count what is held in memory."""

    queue_leaves: int = 32_768
    queue_bytes: int = 64 * 2**20
    group_leaves: int = MAX_ENTRIES
    group_submissions: int = 2048
    deadline: int = 24 * 3600
    """Seconds from accept to the promise's deadline."""
    careful_seconds: float = 10.0
    reconnect_seconds: float = 0.2


DEFAULT_LIMITS = Limits()


@dataclass
class IntakeMetrics:
    """Since the process started, and gauges."""

    accepted_leaves: int = 0
    accepted_submissions: int = 0
    replayed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    failed_groups: int = 0
    queued_leaves: int = 0
    queued_bytes: int = 0
    commit_seconds: float = 0.0
    trouble: str | None = None
    """Code of what keeps the writer from writing, None while it writes."""


class Acceptor:
    """Takes submissions for one log. Use as an async context manager, in one event loop."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        registry: RegistryPort,
        signer: PromiseSigner,
        vault: Vault,
        *,
        clock: Clock = system_clock,
        limits: Limits = DEFAULT_LIMITS,
        faults: FaultPoints | None = None,
        recoverer: Recoverer | None = None,
        guard: HeadGuard | None = None,
    ) -> None:
        """`recoverer`: a running `HelperProcess` where single signed leaves come by the thousand. `guard`:
        asked each time this process becomes the writer."""
        self.log = log
        self.metrics = IntakeMetrics()
        self._pool = pool
        self._registry = registry
        self._signer = signer
        self._vault = vault
        self._clock = clock
        self._limits = limits
        self._faults = faults or FaultPoints()
        self._recoverer = recoverer or OnTheSpot()
        self._guard = guard
        self._books = CustodyBooks(log) if is_custody_log(log.origin) else None
        self._promised = 0
        self._queue: deque[Staged] = deque()
        self._pending: dict[tuple[int, bytes], Staged] = {}
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._careful_until = 0.0
        self._last = 0
        self._rate = 1000.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"accept {self.log.log_no}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take nothing more, finish what waits, give the log up."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def writable(self, seconds: float = 10.0) -> bool:
        """Wait until this process is the log's writer; False after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        return self._ready.is_set()

    async def accept(self, submission: Submission) -> Acceptance:
        """Check, store durably, answer. The same root of the same organisation again: the same answer.

        Raises the errors of `Submission.check` and of `evidence.admission`, DuplicateEntry, Busy,
        DatabaseUnavailable, StorageFull, NotTheWriter, LogHalted, LogClosed, LogNotStarted. Whatever is
        raised, nothing of the submission was promised.
        """
        try:
            return await self._accept(submission)
        except CaseledgerError as error:
            self.metrics.refused[error.code] = self.metrics.refused.get(error.code, 0) + 1
            raise

    async def _accept(self, submission: Submission) -> Acceptance:
        admission.check_log(submission, self.log)
        if self._closing:
            raise Busy("the service is stopping")
        self._check_room(len(submission.entries))
        checked = submission.check()
        admission.check_classes(checked, self.log)
        digest = checked.act().digest(self.log.domain)
        signer = await self._recoverer.recover(digest, submission.signature)
        slot = admission.check_signer(signer, submission.organisation, self._registry)
        try:
            admission.check_may_act(submission, slot, self._registry, self._clock())
        except CaseledgerError:
            # What was accepted while the signer could act stays accepted: a late repetition gets its answer.
            stored = await self._stored_answer(checked)
            if stored is None:
                raise
            return stored
        if admission.is_continuation(checked):
            admission.check_continuation(checked, self.log)
        places: list[Place] = []
        if self._books is not None and (submission.organisation, checked.root) not in self._pending:
            try:
                places = await self._places(self._books, checked)
            except CaseledgerError:
                stored = await self._stored_answer(checked)
                if stored is None:
                    raise
                return stored
        waiting = self._pending.get((submission.organisation, checked.root))
        if waiting is None:
            if not self._ready.is_set():
                raise self._not_ready()
            waiting = stage(checked, signer, self._vault, places)
            self._pending[waiting.key] = waiting
            self._queue.append(waiting)
            self.metrics.queued_leaves += waiting.count
            self.metrics.queued_bytes += waiting.size
            self._wake.set()
        # One future for each caller: a caller that goes away must not take the others' answer along.
        future: asyncio.Future[Acceptance] = asyncio.get_running_loop().create_future()
        waiting.waiters.append(future)
        return await future

    def _check_room(self, leaves: int) -> None:
        metrics, limits = self.metrics, self._limits
        if metrics.queued_leaves and (
            metrics.queued_leaves + leaves > limits.queue_leaves or metrics.queued_bytes > limits.queue_bytes
        ):
            raise Busy(
                f"{metrics.queued_leaves} entries are waiting",
                retry_after=round(min(30.0, max(0.1, metrics.queued_leaves / max(self._rate, 1.0))), 1),
            )

    def _not_ready(self) -> CaseledgerError:
        code = self.metrics.trouble
        if code == LogHalted.__name__:
            return LogHalted(hint="see the status; accepting resumes by itself once the log is open")
        if code == LogClosed.__name__:
            return LogClosed(hint="submit to the successor log")
        if code == NotTheWriter.__name__:
            return NotTheWriter()
        if code == HeadAhead.__name__:
            return HeadAhead(hint="stolen anchor key or restored database: docs/operator.md")
        return DatabaseUnavailable(code or "starting", hint="repeat the request")

    # -- the writer -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not (self._closing and not self._queue):
            try:
                async with self._writer() as writer:
                    await self._serve(writer)
            except CaseledgerError as error:
                self._stop_taking(error)
            except Exception as error:
                # Whatever it is: a writer that ended in silence would refuse everybody until a person looks.
                self._stop_taking(unavailable(error))
            if self._closing:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.reconnect_seconds):
                    await self._closed()
        self._stop_taking(Busy("the service is stopping"))

    async def _closed(self) -> None:
        while not self._closing:
            self._wake.clear()
            await self._wake.wait()

    @contextlib.asynccontextmanager
    async def _writer(self) -> AsyncIterator[_Writer]:
        async with self._pool.acquire() as conn, self._pool.acquire() as second:
            status = await log_status(conn, self.log.log_no)
            if status is LogStatus.HALTED:
                raise LogHalted()
            if status is LogStatus.CLOSED:
                raise LogClosed()
            if not await conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LOCK_SPACE, self.log.log_no):
                raise NotTheWriter()
            try:
                row = await conn.fetchrow("SELECT * FROM evidence.take_writer($1)", self.log.log_no)
                if row is None:
                    raise RecordDamaged("the log has no writer row")
                rows = await conn.fetch(
                    "SELECT organisation, last_sequence FROM evidence.submitter WHERE log_no = $1",
                    self.log.log_no,
                )
                sequences = {one["organisation"]: one["last_sequence"] for one in rows}
                if row["accepted_size"] < self._promised:
                    raise HeadAhead(f"promised {self._promised}, in the database {row['accepted_size']}")
                if self._guard is not None:
                    await self._guard.check(conn, self.log)
                self.metrics.trouble = None
                self._ready.set()
                writer = _Writer((conn, second), row["epoch"], row["accepted_size"], sequences)
                try:
                    yield writer
                finally:
                    self._promised = max(self._promised, writer.size)
            finally:
                self._ready.clear()
                if not conn.is_closed():
                    with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
                        await conn.execute(
                            "SELECT pg_advisory_unlock($1, $2)", _LOCK_SPACE, self.log.log_no, timeout=5
                        )

    async def _serve(self, writer: _Writer) -> None:
        """Write group after group. Returns when closing and nothing waits; raises on trouble."""
        try:
            while self._queue or writer.flights or not self._closing:
                if writer.flights and writer.flights[0].task.done():
                    await self._land(writer)
                elif self._may_begin(writer):
                    await self._begin(writer)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except BaseException as error:
            known = error if isinstance(error, CaseledgerError) else unavailable(error)
            self.metrics.failed_groups += 1
            self.metrics.trouble = known.code
            self._ready.clear()
            tasks = [flight.task for flight in writer.flights]
            self._fail(writer.abandon(), known)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _may_begin(self, writer: _Writer) -> bool:
        """Whether the next group goes now: at once when nothing is under way, else if it is worth a commit.

        While duplicates are looked for, what is under way has to be seen first.
        """
        if not self._queue or not writer.flights:
            return bool(self._queue)
        if len(writer.flights) == len(writer.connections) or time.monotonic() < self._careful_until:
            return False
        under_way = sum(len(flight.group.leaves) for flight in writer.flights)
        return 2 * (self.metrics.queued_leaves - under_way) >= under_way

    def _dequeue(self) -> list[Staged]:
        """What waits, up to the limits of one commit, and at most half of what is going round.

        Who was just answered is about to send again: while one half is written the other is being staged.
        """
        queue, limits = self._queue, self._limits
        cap = min(limits.group_leaves, (self.metrics.queued_leaves + self._last + 1) // 2)
        items = [queue.popleft()]
        leaves = items[0].count
        while queue and len(items) < limits.group_submissions and leaves + queue[0].count <= cap:
            items.append(queue.popleft())
            leaves += items[-1].count
        self._last = leaves
        return items

    async def _begin(self, writer: _Writer) -> None:
        """Send the next group to the database; `_land` sees what becomes of it."""
        items: Sequence[Staged] = self._dequeue()
        try:
            first = any(admission.is_continuation(item.checked) for item in items)
            if first and writer.flights:
                # Its answer may be stored already: what is under way has to be seen before one can look.
                self._queue.extendleft(reversed(items))
                await asyncio.wait([flight.task for flight in writer.flights])
                return
            if not writer.flights and (first or time.monotonic() < self._careful_until):
                items = await self._sift(writer, items)
            items = self._in_order(writer.size, items)
            if not items:
                return
            now = self._clock()
            group = Group(
                items,
                log_id=self.log.log_id,
                first_index=writer.size,
                sequences=writer.sequences,
                signer=self._signer,
                accepted_at=now,
                deadline=now + self._limits.deadline,
            )
            self._faults.hit("accept.prepared")
        except BaseException as error:
            self._fail(items, error if isinstance(error, CaseledgerError) else unavailable(error))
            raise
        conn = writer.free()
        ahead = [flight.task for flight in writer.flights]
        task = asyncio.create_task(self._write(conn, writer.epoch, group, ahead))
        task.add_done_callback(lambda _: self._wake.set())
        writer.begin(group, task, conn)

    async def _write(
        self, conn: AnyConnection, epoch: int, group: Group, ahead: Sequence[asyncio.Task[float]]
    ) -> float:
        """One durable commit; the seconds that it took."""
        arguments = _arguments(self.log.log_no, epoch, group)
        statement = _ACCEPT
        if self._books is not None:
            statement, arguments = _ACCEPT_CUSTODY, (*arguments, *event_arguments(group))
        started = time.perf_counter()
        try:
            try:
                await conn.execute(statement, *arguments)
            except asyncpg.PostgresError as error:
                if error.sqlstate != _TOO_EARLY or not ahead:
                    raise
                # It came to the row before the group ahead of it, which decides what becomes of both.
                await asyncio.wait(ahead)
                await conn.execute(statement, *arguments)
        except asyncpg.PostgresError as error:
            if error.sqlstate in (_NOT_WRITER, _TOO_EARLY):
                raise NotTheWriter("another process has taken the log over") from None
            if error.sqlstate == _NOT_OPEN:
                raise LogHalted() from None
            if error.sqlstate == _CHAIN_MOVED:
                raise _ChainMoved from None
            raise
        return time.perf_counter() - started

    async def _land(self, writer: _Writer) -> None:
        """Answer the oldest group under way; raises what it failed with."""
        flight = writer.flights[0]
        try:
            seconds = flight.task.result()
        except (asyncpg.UniqueViolationError, _ChainMoved) as error:
            expected = isinstance(error, _ChainMoved) or error.constraint_name in _DUPLICATE
            if not expected or time.monotonic() < self._careful_until:
                raise RecordDamaged("a place in the log is taken twice", hint="run fsck") from error
            # Nothing of the group was stored, nor of the next. Look before writing for a while, these first.
            self._careful_until = time.monotonic() + self._limits.careful_seconds
            await asyncio.gather(*(later.task for later in writer.flights), return_exceptions=True)
            self._queue.extendleft(reversed(writer.abandon()))
            return
        self._faults.hit("accept.committed")
        writer.flights.popleft()
        group, metrics = flight.group, self.metrics
        metrics.groups += 1
        metrics.accepted_leaves += len(group.leaves)
        metrics.accepted_submissions += len(group.items)
        metrics.commit_seconds += seconds
        self._rate += 0.1 * (len(group.leaves) / seconds - self._rate)
        for item, answer in zip(group.items, group.answers, strict=True):
            self._answer(item, answer)

    def _in_order(self, size: int, items: Sequence[Staged]) -> list[Staged]:
        """A successor log's leaf 0 is its continuation, and no other leaf is one; refuses what is not so."""
        go: list[Staged] = []
        for item in items:
            first = size == 0 and not go
            if admission.is_continuation(item.checked):
                if first:
                    go.append(item)
                else:
                    self._fail([item], ContinuationRefused("the log has its first entry", field="entries[0]"))
            elif first and self.log.predecessor is not None:
                self._fail([item], LogNotStarted(hint="the operator has to write the continuation entry"))
            else:
                go.append(item)
        return go

    async def _sift(self, writer: _Writer, items: Sequence[Staged]) -> list[Staged]:
        """Answer what was accepted before, refuse duplicates, put back what clashes within the group."""
        answers = await stored_answers(writer.connections[0], self.log.log_no, [item.key for item in items])
        fresh: list[Staged] = []
        for item in items:
            stored = answers.get(item.key)
            if stored is None:
                fresh.append(item)
            else:
                self.metrics.replayed += 1
                self._answer(item, stored)
        held = await known_leaves(
            writer.connections[0],
            self.log.log_no,
            [key for item in fresh for key in item.dedupe],
        )
        go: list[Staged] = []
        later: list[Staged] = []
        seen: set[bytes] = set()
        ahead: dict[bytes, Chain] = {}
        for item in fresh:
            keys = item.dedupe
            known = next((at for at, key in enumerate(keys) if key in held), None)
            if known is not None:
                logged = evidence_id(held[keys[known]]).hex()
                self._fail(
                    [item],
                    DuplicateEntry(
                        f"accepted before as {logged}", field=f"entries[{known}]", hint="leave it out"
                    ),
                )
            elif seen.isdisjoint(keys):
                if await self._still_fits(writer.connections[0], item, ahead):
                    seen.update(keys)
                    go.append(item)
            else:
                later.append(item)
        self._queue.extendleft(reversed(later))
        return go

    async def _still_fits(self, conn: AnyConnection, item: Staged, ahead: dict[bytes, Chain]) -> bool:
        """Whether custody events continue their chains behind `ahead`; refuses what does not."""
        if self._books is None:
            return True
        try:
            item.places = await self._books.places(conn, item.checked, self._clock(), ahead)
        except CaseledgerError as error:
            self._fail([item], error)
            return False
        return True

    async def _places(self, books: CustodyBooks, checked: CheckedSubmission) -> list[Place]:
        try:
            async with self._pool.acquire() as conn:
                return await books.places(conn, checked, self._clock())
        except TRANSIENT as error:
            raise unavailable(error) from error

    async def _stored_answer(self, checked: CheckedSubmission) -> Acceptance | None:
        key = (checked.submission.organisation, checked.root)
        try:
            async with self._pool.acquire() as conn:
                return (await stored_answers(conn, self.log.log_no, [key])).get(key)
        except TRANSIENT as error:
            raise unavailable(error) from error

    def _answer(self, item: Staged, answer: Acceptance) -> None:
        self._leave(item)
        for waiter in item.waiters:
            if not waiter.done():
                waiter.set_result(answer)

    def _fail(self, items: Sequence[Staged], error: CaseledgerError) -> None:
        for item in items:
            self._leave(item)
            for waiter in item.waiters:
                if not waiter.done():
                    waiter.set_exception(error)

    def _leave(self, item: Staged) -> None:
        if self._pending.pop(item.key, None) is not None:
            self.metrics.queued_leaves -= item.count
            self.metrics.queued_bytes -= item.size

    def _stop_taking(self, error: CaseledgerError) -> None:
        """Nobody waits for a database that is away: the caller repeats, and finds out what was stored."""
        self._ready.clear()
        self.metrics.trouble = error.code
        items = list(self._queue)
        self._queue.clear()
        self._fail(items, error)


class _ChainMoved(Exception):
    """The commit found another event where one of the group's should go."""


@dataclass(frozen=True)
class _Flight:
    """A group on its way to the disk. `before`: what the submitters' last sequences were, 0 for none."""

    group: Group
    task: asyncio.Task[float]
    connection: AnyConnection
    before: dict[int, int]


@dataclass
class _Writer:
    """The log as it will be when everything under way is committed, oldest first in `flights`."""

    connections: tuple[AnyConnection, ...]
    epoch: int
    size: int
    sequences: dict[int, int]
    flights: deque[_Flight] = field(default_factory=deque)

    def free(self) -> AnyConnection:
        """A connection that writes nothing now."""
        used = [flight.connection for flight in self.flights]
        return next(one for one in self.connections if one not in used)

    def begin(self, group: Group, task: asyncio.Task[float], connection: AnyConnection) -> None:
        """Count the group as written."""
        before = {organisation: self.sequences.get(organisation, 0) for organisation in group.last_sequences}
        self.flights.append(_Flight(group, task, connection, before))
        self.size = group.new_size
        self.sequences.update(group.last_sequences)

    def abandon(self) -> list[Staged]:
        """Take back everything under way; the submissions in their order."""
        items: list[Staged] = []
        while self.flights:
            flight = self.flights.pop()
            items[:0] = flight.group.items
            self.size = flight.group.first_index
            self.sequences.update(flight.before)
        return items


_DUPLICATE = frozenset({"entry_dedupe", "submission_log_no_root_organisation_key"})
"""Unique indexes that a sender's repetition can hit; any other one means that our own books are wrong."""


def _arguments(log_no: int, epoch: int, group: Group) -> tuple[object, ...]:
    return (
        log_no,
        epoch,
        group.first_index,
        group.new_size,
        group.accepted_at,
        group.deadline,
        group.promise,
        group.signature,
        group.roots,
        *submission_arguments(group),
        *link_arguments(group),
        *entry_arguments(group),
    )
