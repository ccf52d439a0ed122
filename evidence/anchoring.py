"""Follow a sealed batch to its anchor. The contract's head in a final block decides, not the transaction.

* The head shows the batch: its event, its link slot and our own computation of the link must agree; then it
  is recorded.
* The head stands where it was and the transaction is over: it is sent again.
* The head shows anything else: nothing is sealed on top of it. One look is not enough to stop the log (a node
  may lie or lag); the same finding in several looks halts it until a person decides.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from chain.outbox import State
from evidence.batches import (
    Batch,
    insert_anchor,
    last_act,
    last_anchored,
    previous_link,
    set_status,
    unanchored,
)
from evidence.contract import ContractPort, Head, HeadStatus
from evidence.errors import (
    AnchorPending,
    AnchorRefused,
    HeadAhead,
    HeadBehind,
    HeadMismatch,
    LogForked,
    LogNotOpened,
    RecordDamaged,
)
from evidence.logs import LogContext, LogStatus, log_status
from evidence.ports import Clock, FaultPoints, system_clock
from evidence.sealer import Sealer
from evidence.sending import SenderPort
from storage.db import Pool

LOOKS = 3
"""Equal findings that halt a log."""
LOOK_SECONDS = 1.0
"""Between looks that count."""
HEAD_SECONDS = 5.0
"""Between looks at the head while nothing happens."""


@dataclass
class _Suspicion:
    finding: tuple[object, ...] = ()
    looks: int = 0
    at: float = 0.0


class Follower:
    """Follows one log's anchors."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        contract: ContractPort,
        sender: SenderPort,
        sealer: Sealer,
        *,
        clock: Clock = system_clock,
        faults: FaultPoints | None = None,
    ) -> None:
        self._pool = pool
        self._log = log
        self._contract = contract
        self._sender = sender
        self._sealer = sealer
        self._clock = clock
        self._faults = faults or FaultPoints()
        self._suspicion = _Suspicion()
        self._looked = float("-inf")
        self.trusted = False
        """Whether the contract's head was seen to be ours since the start; nothing is sealed before."""

    async def run_once(self) -> bool:
        """Move the open batch on, or look at the head now and then; whether an anchor was recorded.

        Raises LogForked and its subclasses (visible at once, halting after several looks), LogNotOpened,
        AnchorPending, AnchorRefused, the contract's refusals, and what database and node raise.
        """
        log_no = self._log.log_no
        batch = await unanchored(self._pool, log_no)
        recently = self.trusted and time.monotonic() - self._looked < HEAD_SECONDS
        if batch is None:
            if not recently:
                await self._look(None)
            return False
        act = await last_act(self._pool, log_no, batch.number)
        if act is None:
            raise RecordDamaged(f"batch {batch.number} was sealed without an act")
        async with self._pool.acquire() as conn:
            outcome = await self._sender.outcome(conn, act.business_key(self._log, batch.number))
        on_its_way = outcome is not None and not outcome.state.final
        if on_its_way and recently:
            return False
        if await self._look(batch):
            await self._record(batch, None if outcome is None else outcome.block_number)
            return True
        if on_its_way or await log_status(self._pool, log_no) is not LogStatus.OPEN:
            return False
        if outcome is not None and outcome.state is State.MINED:
            raise AnchorPending(f"batch {batch.number} is mined, the node's head lags")
        await self._sealer.resend(batch, act)
        reason = "not in the outbox" if outcome is None else f"{outcome.state.value} {outcome.reason_code}"
        raise AnchorRefused(f"batch {batch.number}: {reason}; sent again")

    async def _look(self, batch: Batch | None) -> bool:
        """Compare the head with our books; True when `batch` is anchored. Raises when it fits neither."""
        log_no = self._log.log_no
        recorded = await last_anchored(self._pool, log_no)
        head = await self._contract.head(self._log.log_id)
        self._looked = time.monotonic()
        anchored = batch is not None and _is(head, batch)
        if not anchored and not (_is(head, recorded) if recorded else head.batches == head.size == 0):
            if head.status is not HeadStatus.CLOSED:
                await self._suspect(head, recorded, batch)
        elif head.status is HeadStatus.UNKNOWN:
            raise LogNotOpened("governance has not opened this log", field="origin")
        elif head.operator != self._log.operator:
            raise HeadMismatch(f"the contract names operator {head.operator}")
        else:
            self.trusted = True
            self._suspicion = _Suspicion()
        if head.status is HeadStatus.CLOSED and not anchored:
            await set_status(
                self._pool,
                log_no,
                LogStatus.CLOSED,
                self._clock(),
                code="LogClosed",
                detail=f"closed by governance at {head.closed_size} of {head.size} leaves",
                closed_size=head.closed_size,
            )
        return anchored

    async def _suspect(self, head: Head, recorded: Batch | None, batch: Batch | None) -> None:
        """The head is not ours: say so, and halt the log when it is not one node's slip."""
        self.trusted = False
        top = batch or recorded
        sealed = (top.number, top.new_size) if top else (0, 0)
        floor = (recorded.number, recorded.new_size) if recorded else (0, 0)
        where = f"head {head.batches}/{head.size}, sealed {sealed[0]}/{sealed[1]} (batches/leaves)"
        error: LogForked
        if head.batches < floor[0] or head.size < floor[1]:
            # Nothing can be anchored on top of less; a node that lags is left by the pool.
            raise HeadBehind(where)
        if head.batches > sealed[0] or head.size > sealed[1]:
            error = HeadAhead(where, hint="stolen anchor key or restored database: docs/operator.md")
        else:
            error = HeadMismatch(where, hint="caseledger fsck")
        finding = (head.batches, head.size, head.root_sha256)
        now = time.monotonic()
        seen = self._suspicion
        if seen.finding != finding:
            self._suspicion = _Suspicion(finding, 1, now)
        elif now - seen.at >= LOOK_SECONDS:
            seen.looks, seen.at = seen.looks + 1, now
        if self._suspicion.looks >= LOOKS:
            await set_status(
                self._pool,
                self._log.log_no,
                LogStatus.HALTED,
                self._clock(),
                code=error.code,
                detail=error.detail,
            )
        raise error

    async def _record(self, batch: Batch, near: int | None) -> None:
        """Write the anchor down; event, link slot and our own computation must be one."""
        event = await self._contract.anchored(self._log.log_id, batch.number, near)
        if event is None:
            raise AnchorPending(f"no node shows the event of batch {batch.number}")
        previous = await previous_link(self._pool, self._log.log_no, batch.number)
        own = batch.link(self._log, previous, event.time)
        slot = await self._contract.link(self._log.log_id, batch.number)
        said = (event.old_size, event.new_size, event.root_sha256, event.root_sm3)
        if said != (batch.old_size, batch.new_size, batch.root_sha256, batch.root_sm3):
            raise HeadMismatch(f"the event of batch {batch.number} names another tree")
        if not own == slot == event.link:
            raise HeadMismatch(f"the link of batch {batch.number} is not the one computed here")
        async with self._pool.acquire() as conn:
            await insert_anchor(conn, self._log.log_no, previous, event)
        self._faults.hit("anchor.confirmed")


def _is(head: Head, batch: Batch) -> bool:
    return (head.batches, head.size, head.root_sha256) == (batch.number, batch.new_size, batch.root_sha256)
