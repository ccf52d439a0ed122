"""Seal: freeze the accepted leaves [old, new) as a batch and hand its anchor to the outbox, in one commit.

Only when everything sealed before is anchored, so at most one batch is on its way and load makes batches
larger, not more numerous. What is sent follows from the rows alone; sending again sends the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import asyncpg

from evidence.batches import (
    Act,
    Batch,
    insert_act,
    insert_batch,
    last_batch,
    unanchored,
)
from evidence.contract import anchor_call
from evidence.errors import RecordDamaged
from evidence.logs import LogContext, LogStatus, log_status
from evidence.ports import Clock, FaultPoints, system_clock
from evidence.sending import SenderPort
from evidence.tiles import ALGORITHMS, TileReader, extend
from protocol.acts import Signer
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool
from verifier.merkle import verify_consistency

MAX_GROWTH = 1 << 20
"""Leaves that the contract takes in one anchor."""


@dataclass(frozen=True)
class SealRules:
    """When to seal. Times in seconds."""

    enough: int = 16_384
    """So many new leaves are sealed at once."""
    linger: float = 0.05
    """Fewer wait this long for company."""
    act_lifetime: int = 900
    """Validity of an anchor act."""


DEFAULT_RULES = SealRules()


class Sealer:
    """Seals one log. Several may run by mistake: the batch's unique place lets one win."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        sender: SenderPort,
        key: Signer,
        *,
        rules: SealRules = DEFAULT_RULES,
        clock: Clock = system_clock,
        faults: FaultPoints | None = None,
    ) -> None:
        self._pool = pool
        self._log = log
        self._sender = sender
        self._key = key
        self._rules = rules
        self._clock = clock
        self._faults = faults or FaultPoints()
        self._tiles = TileReader(log.log_no)
        self._waiting_since: float | None = None

    async def run_once(self) -> bool:
        """Seal if there is something to seal; whether a batch was made.

        Raises RecordDamaged (the stored log contradicts itself), the contract's refusals, and what the
        database and the node raise.
        """
        async with self._pool.acquire() as conn:
            if await log_status(conn, self._log.log_no) is not LogStatus.OPEN:
                return False
            if await unanchored(conn, self._log.log_no) is not None:
                return False
            previous = await last_batch(conn, self._log.log_no)
            old = 0 if previous is None else previous.new_size
            new = await self._target(conn, old)
            if new is None:
                return False
            batch, proof = await self._batch(conn, previous, new)
            now = self._clock()
            act = self._sign(batch, now)
            data = anchor_call(batch.act(self._log, act.valid_until), proof, act.signature)
            gas = await self._sender.prepare(data)
            try:
                async with conn.transaction():
                    await insert_batch(conn, self._log.log_no, batch)
                    row = await self._sender.enqueue(
                        conn, data, gas, act.business_key(self._log, batch.number)
                    )
                    await insert_act(conn, self._log.log_no, batch.number, act, row, now)
            except asyncpg.UniqueViolationError:
                return False  # another sealer was first
            self._waiting_since = None
            self._faults.hit("seal.committed")
            return True

    async def _target(self, conn: AnyConnection, old: int) -> int | None:
        """The size to seal at, None when it is not time."""
        accepted = await conn.fetchval(
            "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", self._log.log_no
        )
        if accepted < old:
            raise RecordDamaged(f"{accepted} leaves accepted, {old} sealed")
        if accepted == old:
            self._waiting_since = None
            return None
        if accepted - old < self._rules.enough:
            now = time.monotonic()
            if self._waiting_since is None:
                self._waiting_since = now
            if now - self._waiting_since < self._rules.linger:
                return None
        if accepted - old <= MAX_GROWTH:
            return int(accepted)
        # A submission stays whole, so that one batch holds its signer's key proof.
        return int(
            await conn.fetchval(
                "SELECT max(first_index) FROM evidence.submission WHERE log_no = $1 AND first_index <= $2",
                self._log.log_no,
                old + MAX_GROWTH,
            )
        )

    async def _batch(
        self, conn: AnyConnection, previous: Batch | None, new: int
    ) -> tuple[Batch, list[bytes]]:
        """The batch, and the consistency proof for the contract; checked in both trees before it is sent."""
        old = 0 if previous is None else previous.new_size
        await extend(conn, self._log.log_no, new)
        roots = await self._tiles.roots(conn, new)
        proofs = await self._tiles.consistency(conn, old, new)
        if previous is not None:
            before = (previous.root_sha256, previous.root_sm3)
            try:
                for alg, root1, root2, proof in zip(ALGORITHMS, before, roots, proofs, strict=True):
                    verify_consistency(alg, old, new, root1, root2, proof)
            except CaseledgerError as error:
                raise RecordDamaged(
                    f"the tiles do not continue batch {previous.number} ({error.code})",
                    hint="sealed leaves were changed: caseledger fsck",
                ) from None
        number = 1 if previous is None else previous.number + 1
        return Batch(number, old, new, *roots, self._clock()), proofs[0]

    def _sign(self, batch: Batch, now: int) -> Act:
        valid_until = now + self._rules.act_lifetime
        digest = batch.act(self._log, valid_until).digest(self._log.domain)
        return Act(1, valid_until, self._key.sign_digest(digest))

    async def resend(self, batch: Batch, last: Act) -> None:
        """Send a batch's anchor again. The act is signed anew only when the last one has expired."""
        now = self._clock()
        async with self._pool.acquire() as conn:
            if last.valid_until > now + 5:
                act = Act(last.attempt + 1, last.valid_until, last.signature)
            else:
                fresh = self._sign(batch, now)
                act = Act(last.attempt + 1, fresh.valid_until, fresh.signature)
            proof, _ = await self._tiles.consistency(conn, batch.old_size, batch.new_size)
            data = anchor_call(batch.act(self._log, act.valid_until), proof, act.signature)
            gas = await self._sender.prepare(data)
            async with conn.transaction():
                key = act.business_key(self._log, batch.number)
                row = await self._sender.enqueue(conn, data, gas, key)
                await insert_act(conn, self._log.log_no, batch.number, act, row, now)
