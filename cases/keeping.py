"""The loop that keeps the clocks of all cases: reminds, marks what is overdue, and sends what lapses.

Each round reconciles rows with the cases as they stand in SQL and with the time of the last final block whose
events are in SQL, so what is done follows from one state of the chain. Every step is one transaction and may
be ended anywhere. What is sent, the contract decides: a refusal is the ordinary answer when somebody else was
first or a pause came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cases import batch_repository
from cases import keeping_repository as rows
from cases.errors import BatchDamaged
from cases.keeping_repository import Moment
from cases.keeping_rules import OVERDUE, Clocked, Watch, business_key, watch_of
from cases.lifecycle import Lifecycle
from chain import case_acts
from chain.case_contracts import CaseContracts
from chain.errors import ContractReverted
from chain.evm import Evm
from evidence.ports import FaultPoints
from evidence.sending import SenderPort
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool

CHUNK = 1000
"""Cases and reminders in one transaction."""
ON_THE_WAY = 32
"""Most transactions of the loop at a time, so that organisations' acts do not wait behind a mass of them."""
MOST_ATTEMPTS = 3
MOST_REFUSALS = 8
"""After these the act is given up, until the case changes or a person looks."""
REFUSED_WAIT = 15
FAILED_WAIT = 60
"""Seconds of chain time until the first repetition; each further one waits twice and four times as long."""
PATIENCE = 6 * 3600
"""Seconds between questions whether a provisional deadline has passed."""


class TimePort(Protocol):
    """The time by which the loop acts."""

    async def final(self) -> Moment | None:
        """The last final block whose events are in SQL; None while there is none."""


class FollowedTime:
    """`TimePort`: the block up to which an event cursor has read."""

    def __init__(self, pool: Pool, evm: Evm, cursor: str) -> None:
        self._pool = pool
        self._evm = evm
        self._cursor = cursor
        self._last: tuple[bytes, Moment] | None = None

    async def final(self) -> Moment | None:
        at = await rows.followed(self._pool, self._cursor)
        if at is None or at[0] < 0:
            return None
        number, block_hash = at
        if self._last is None or self._last[0] != block_hash:
            head = await self._evm.head(number)
            if head.hash != block_hash:
                return None  # a reorganisation is on its way: the cursor goes back first
            self._last = (block_hash, Moment(number, head.time))
        return self._last[1]


@dataclass
class KeeperMetrics:
    """Since the process started."""

    watched: int = 0
    reminded: int = 0
    sent: int = 0
    settled: int = 0
    refused: int = 0


class Keeper:
    """One round after the other; one process at a time (`cases.worker`)."""

    def __init__(
        self,
        pool: Pool,
        time: TimePort,
        sender: SenderPort,
        contracts: CaseContracts,
        lifecycles: Mapping[bytes, Lifecycle],
        *,
        faults: FaultPoints | None = None,
    ) -> None:
        """`sender`: to the CaseLedger. `lifecycles`: those that this release knows, by the hash of their
        tables. `faults`: handed in by crash tests.
        """
        self.metrics = KeeperMetrics()
        self._pool = pool
        self._time = time
        self._sender = sender
        self._contracts = contracts
        self._known = lifecycles
        self._faults = faults or FaultPoints()

    async def run_once(self) -> Moment | None:
        """Everything that is due; the time by which it was, None while no block is known.

        Raises:
            Faults of the chain and of the database; what was done stays done
        """
        moment = await self._time.final()
        if moment is None:
            return None
        while await self.watch_once(moment.time):
            pass
        while await self.remind_once(moment.time):
            pass
        await self.settle_once(moment.time)
        await self.send_once(moment.time)
        return moment

    async def watch_once(self, now: int) -> bool:
        """Look again at cases that changed; whether there was any."""
        async with self._pool.acquire() as conn, conn.transaction():
            listed, gone = await rows.changed(conn, CHUNK)
            if not listed and not gone:
                return False
            watches = await self._watches(conn, listed) if listed else []
            await rows.watch(conn, watches, [*(case.case_id for case in listed), *gone], now)
            self._faults.hit("keep.watching")
        self._faults.hit("keep.watched")
        self.metrics.watched += len(listed) + len(gone)
        return True

    async def _watches(self, conn: AnyConnection, listed: list[Clocked]) -> list[Watch]:
        lives = await self._lifecycles(conn)
        ticked = await rows.ticked(conn, listed)
        made, tried = await rows.done_already(conn, listed)
        found = []
        for case in listed:
            watch = watch_of(
                case, ticked[case.case_id], lives.get(case.policy), made=made.get(case.case_id, ())
            )
            if watch is not None:
                found.append(_tried(watch, tried))
        return found

    async def _lifecycles(self, conn: AnyConnection) -> dict[int, Lifecycle]:
        hashes = await rows.policies(conn, self._contracts.ledger)
        return {version: self._known[of] for version, of in hashes.items() if of in self._known}

    async def remind_once(self, now: int) -> bool:
        """Make the reminders that are due; whether there was any."""
        async with self._pool.acquire() as conn, conn.transaction():
            due = await rows.to_remind(conn, now, CHUNK)
            if not due:
                return False
            made = await rows.remind(conn, due, now)
            self._faults.hit("remind.made")
        self._faults.hit("remind.committed")
        self.metrics.reminded += made
        return True

    async def settle_once(self, now: int) -> None:
        """Take note of what became of what was sent."""
        for row in await rows.to_settle(self._pool, CHUNK):
            again = None
            if row["fate"] != "mined" and row["attempt"] < MOST_ATTEMPTS:
                again = now + FAILED_WAIT * 4 ** (row["attempt"] - 1)
            async with self._pool.acquire() as conn, conn.transaction():
                await rows.settle(conn, row, again, now)
            self._faults.hit("keep.settled")
            self.metrics.settled += 1

    async def send_once(self, now: int) -> None:
        """Send the marks and lapses that are due, as many as may be on their way."""
        room = ON_THE_WAY - await rows.on_its_way(self._pool)
        if room <= 0:
            return
        for watch, case_version, refusals in await rows.to_send(self._pool, now, room):
            await self._send(watch, case_version, refusals, now)

    async def _send(self, watch: Watch, case_version: int, refusals: int, now: int) -> None:
        try:
            data = await self._data(watch, case_version)
            gas = await self._sender.prepare(data)
        except (ContractReverted, BatchDamaged) as error:
            await self._refused(watch, error, refusals, now)
            return
        key = business_key(watch)
        async with self._pool.acquire() as conn, conn.transaction():
            if not await rows.still_due(conn, watch):
                return
            outbox_id = await self._sender.enqueue(conn, data, gas, key)
            await rows.sent(conn, watch, key, outbox_id, now)
            self._faults.hit("keep.sending")
        self._faults.hit("keep.sent")
        self.metrics.sent += 1

    async def _data(self, watch: Watch, case_version: int) -> bytes:
        if watch.act != OVERDUE:
            assert watch.transition is not None  # noqa: S101
            return case_acts.lapse(watch.case_id, watch.version, watch.transition, self._contracts).data
        origin = case_acts.NOWHERE
        if case_version == 0:
            async with self._pool.acquire() as conn:
                found = await batch_repository.origin(conn, watch.case_id)
            if found is not None:
                origin = case_acts.Origin(
                    found.root, found.index, found.product, found.commitment, found.path
                )
        return case_acts.mark_overdue(watch.case_id, self._contracts, origin=origin).data

    async def _refused(self, watch: Watch, error: CaseledgerError, refusals: int, now: int) -> None:
        """A refusal is no fault: the case has moved on, and the events will say so; or it is early."""
        again: int | None = now + REFUSED_WAIT * 2**refusals
        if watch.provisional:
            # Where the contract knows the year by now, it names the deadline.
            exact = error.values.get("deadline", 0) if isinstance(error, ContractReverted) else 0
            again = max(now + REFUSED_WAIT, exact + 1) if exact else now + PATIENCE
        elif refusals + 1 >= MOST_REFUSALS:
            again = None
        await rows.refused(self._pool, watch, error.code, again, counts=not watch.provisional)
        self.metrics.refused += 1


def _tried(watch: Watch, tried: Mapping[tuple[bytes, str], tuple[int, bool]]) -> Watch:
    """With the attempts made before the case was looked at again; nothing is sent beside one on its way."""
    if watch.act is None or (watch.case_id, watch.act) not in tried:
        return watch
    attempt, underway = tried[watch.case_id, watch.act]
    act_at = None if underway or attempt >= MOST_ATTEMPTS else watch.act_at
    return replace(watch, attempt=attempt, act_at=act_at)
