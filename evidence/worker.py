"""The background loops of one log: seal, follow anchors, capture proofs, send.

Each loop reconciles rows from one state to the next and may be killed anywhere. One process does this for a
log: it holds an advisory lock on a connection of its own and stops when that connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from chain.outbox_worker import Worker as OutboxWorker
from evidence.anchoring import Follower
from evidence.batches import clear_trouble, note_trouble
from evidence.capturing import Capturer
from evidence.errors import AnchorPending, NotTheWriter
from evidence.logs import LogContext
from evidence.ports import Clock, FaultPoints, system_clock
from evidence.sealer import Sealer
from protocol.errors import CaseledgerError
from storage.db import TRANSIENT, Pool, unavailable
from storage.lease import lease

log = logging.getLogger(__name__)

_LOCK_SPACE = 0x7365  # "se": first key of the two-key advisory locks of sealing
POLL = 0.05
CALM = 0.15
IDLE = 0.25
RETRY = 1.0
LIVELY = 5.0
"""Seconds between rounds: while things move, on an idle ledger, of an idle outbox, after a failure; and how
long things count as moving after the last step."""
BESIDE = 1.0
BESIDE_LIMIT = 60.0
"""Seconds between rounds of what goes on beside sealing; failures double the wait up to the limit."""

Step = Callable[[], Awaitable[bool]]
"""One round; whether it did anything."""


@dataclass
class WorkerMetrics:
    """Since the process started. `trouble`: code of what keeps a step from succeeding, by step."""

    sealed: int = 0
    anchored: int = 0
    captured: int = 0
    holds_lease: bool = False
    trouble: dict[str, str] = field(default_factory=dict)


class LogWorker:
    """Seals and anchors one log."""

    def __init__(
        self,
        pool: Pool,
        context: LogContext,
        sealer: Sealer,
        follower: Follower,
        capturer: Capturer,
        outbox: OutboxWorker | None = None,
        *,
        beside: Mapping[str, Step] | None = None,
        clock: Clock = system_clock,
        faults: FaultPoints | None = None,
    ) -> None:
        """`outbox`: also send with this worker; None when another process sends.

        `beside`: rounds that nothing waits for (witnesses, time authorities), by the name of their troubles.
        """
        self.metrics = WorkerMetrics()
        self._pool = pool
        self._log = context
        self._sealer = sealer
        self._follower = follower
        self._capturer = capturer
        self._outbox = outbox
        self._beside = dict(beside or {})
        self._clock = clock
        self._faults = faults or FaultPoints()
        self._send = asyncio.Event()
        self._clean: set[str] = set()
        self._lively_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; waits for the lease when another process has it."""
        while not stop.is_set():
            try:
                async with self._lease() as lost:
                    await self._loops(stop, lost)
            except NotTheWriter:
                pass
            except TRANSIENT as error:
                self.metrics.trouble["lease"] = unavailable(error).code
            await _pause(stop, RETRY)

    @contextlib.asynccontextmanager
    async def _lease(self) -> AsyncIterator[asyncio.Event]:
        """Hold the lock; the event is set when its connection is gone."""
        async with lease(self._pool, _LOCK_SPACE, self._log.log_no) as lost:
            if lost is None:
                raise NotTheWriter()
            self.metrics.holds_lease = True
            self.metrics.trouble.pop("lease", None)
            try:
                yield lost
            finally:
                self.metrics.holds_lease = False

    async def _loops(self, stop: asyncio.Event, lost: asyncio.Event) -> None:
        """All loops until `stop`, or until the lease is gone. Raises what ended one of them."""
        ended = asyncio.Event()
        tasks = [
            asyncio.create_task(self._forever(ended, self.anchor_once), name="anchor"),
            asyncio.create_task(self._forever(ended, self.capture_once), name="capture"),
        ]
        if self._outbox is not None:
            tasks.append(asyncio.create_task(self._sending(ended, self._outbox), name="send"))
        for name, step in self._beside.items():
            tasks.append(asyncio.create_task(self._aside(ended, name, step), name=name))
        watchers = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
        try:
            await asyncio.wait((*tasks, *watchers), return_when=asyncio.FIRST_COMPLETED)
            ended.set()
            if stop.is_set():
                # Let a step that is in the middle of a commit come to its end.
                await asyncio.wait(tasks, timeout=10)
        finally:
            ended.set()
            await _end((*tasks, *watchers))
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _forever(self, ended: asyncio.Event, step: Callable[[], Awaitable[float]]) -> None:
        while not ended.is_set():
            await _pause(ended, await step())

    async def _aside(self, ended: asyncio.Event, name: str, step: Step) -> None:
        """Rounds of one step that may fail for long without holding up anything."""
        wait = BESIDE
        while not ended.is_set():
            done = await self._guarded(name, step)
            wait = min(2 * wait, BESIDE_LIMIT) if done is None else BESIDE
            await _pause(ended, wait)

    async def anchor_once(self) -> float:
        """Follow, then seal; seconds until the next round."""
        followed = await self._guarded("anchor", self._follower.run_once)
        if followed is None:
            return RETRY if self.metrics.trouble.get("anchor") != AnchorPending.__name__ else POLL
        if followed:
            self.metrics.anchored += 1
        if not self._follower.trusted:
            return RETRY
        sealed = await self._guarded("seal", self._sealer.run_once)
        if sealed is None:
            return RETRY
        if sealed:
            self.metrics.sealed += 1
            self._send.set()
        return self._pace(followed or sealed)

    async def capture_once(self) -> float:
        """Capture what waits; seconds until the next round."""
        captured = await self._guarded("capture", self._capturer.run_once)
        if captured is None:
            return RETRY
        if captured:
            self.metrics.captured += 1
            return 0.0
        return self._pace(False)

    def _pace(self, moved: bool) -> float:
        """Quick while things move, and for a while after; calm on an idle ledger."""
        now = time.monotonic()
        if moved:
            self._lively_until = now + LIVELY
        return POLL if now < self._lively_until else CALM

    async def _guarded(self, step: str, run: Step) -> bool | None:
        """Run a step; None when it failed, which is then shown until it succeeds."""
        try:
            result = await run()
        except CaseledgerError as error:
            await self._note(step, error)
            return None
        except (*TRANSIENT, asyncpg.PostgresError) as error:
            await self._note(step, unavailable(error))
            return None
        if step in self.metrics.trouble or step not in self._clean:
            try:
                await clear_trouble(self._pool, self._log.log_no, step)
            except (*TRANSIENT, asyncpg.PostgresError):
                return result
            self.metrics.trouble.pop(step, None)
            self._clean.add(step)
        return result

    async def _note(self, step: str, error: CaseledgerError) -> None:
        if self.metrics.trouble.get(step) != error.code:
            log.warning("%s: %s: %s", step, error.code, error.detail)
        self.metrics.trouble[step] = error.code
        with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
            await note_trouble(self._pool, self._log.log_no, step, error, self._clock())

    async def _sending(self, ended: asyncio.Event, outbox: OutboxWorker) -> None:
        """The outbox's rounds; a sealed batch does not wait for the next one."""
        while not ended.is_set():
            self._send.clear()
            busy = await self._guarded("send", outbox.run_once)
            if busy:
                self._faults.hit("anchor.sent")
            wait = RETRY if busy is None else POLL if busy else IDLE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._send.wait()


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel until all are over: a driver whose connection dies at that moment turns a cancellation into an
    error of its own, which the step takes for a fault that passes."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
