"""Receipts of a case's events: captured when somebody asks, kept because nodes forget old state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cases.errors import CaseEventNotHere, CaseReceiptNotPossible
from cases.history import Event, Step
from cases.reading import Found
from chain.case_capture import capture_case
from chain.case_contracts import CaseContracts
from chain.proofs import ProofNotCaptured
from chain.rpc import RpcPool
from storage.db import Pool
from verifier.case_receipt import CaseEvent, CaseReceipt, EventKind, EventPlace
from verifier.case_state import OpenedCase

_ZERO = bytes(32)


@dataclass(frozen=True)
class Receipts:
    """Makes and keeps them. One capture at a time: each costs the nodes several requests."""

    pool: Pool
    rpc: RpcPool
    network_id: str
    contracts: CaseContracts
    _capturing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def kept(self, case_id: bytes) -> frozenset[int]:
        """Sequences of the case's events whose receipts are here."""
        rows = await self.pool.fetch(
            """SELECT r.sequence FROM cases.event_receipt r
               JOIN cases.change c USING (chain_id, contract, sequence)
               JOIN chain.block b ON b.chain_id = c.chain_id AND b.number = c.block_number
               WHERE c.case_id = $1 AND r.block_hash = b.hash""",
            case_id,
        )
        return frozenset(row["sequence"] for row in rows)

    async def of(self, found: Found, sequence: int, now: int) -> bytes:
        """The receipt of one event of a case that the caller may see.

        Raises:
            CaseEventNotHere
            CaseReceiptNotPossible: the case has moved on and no node holds the state in between
            ProofNotCaptured: retryable
        """
        step = next((one for one in found.steps if one.event.place.sequence == sequence), None)
        block_hash = None if step is None else await self._block_hash(step.event)
        if step is None or block_hash is None:
            raise CaseEventNotHere(field="sequence")
        place = step.event.place
        key = (place.chain_id, place.contract, sequence, block_hash)
        held = await self._held(key)
        if held is not None:
            return held
        async with self._capturing:
            held = await self._held(key)
            if held is not None:
                return held
            made = (await self._made(found, step, block_hash)).encode()
            await self.pool.execute(
                """INSERT INTO cases.event_receipt VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT DO NOTHING""",
                *key,
                made,
                now,
            )
            return made

    async def _held(self, key: tuple[int, bytes, int, bytes]) -> bytes | None:
        found = await self.pool.fetchval(
            """SELECT receipt FROM cases.event_receipt
               WHERE chain_id = $1 AND contract = $2 AND sequence = $3 AND block_hash = $4""",
            *key,
        )
        return None if found is None else bytes(found)

    async def _block_hash(self, event: Event) -> bytes | None:
        found = await self.pool.fetchval(
            "SELECT hash FROM chain.block WHERE chain_id = $1 AND number = $2",
            event.place.chain_id,
            event.place.block,
        )
        return None if found is None else bytes(found)

    async def _made(self, found: Found, step: Step, block_hash: bytes) -> CaseReceipt:
        """From the event's own block; where no node holds that state, from the newest."""
        ledger = self.contracts.ledger
        try:
            proof, opened = await capture_case(
                self.rpc, self.network_id, ledger, found.case_id, step.event.place.block
            )
        except ProofNotCaptured:
            proof, opened = await capture_case(self.rpc, self.network_id, ledger, found.case_id)
            if not _still(step, opened):
                raise CaseReceiptNotPossible(
                    field="sequence", hint="an archive node still shows the event: eth_getLogs"
                ) from None
        return CaseReceipt(event_of(found.case_id, step), _place(step.event, block_hash), proof)


def _still(step: Step, opened: OpenedCase | None) -> bool:
    return opened is not None and (step.event.kind == "opened" or opened.state.version == step.state.version)


def event_of(case_id: bytes, step: Step) -> CaseEvent:
    """An event as a receipt carries it."""
    event, state = step.event, step.state
    return CaseEvent(
        EventKind[event.kind.upper()], case_id, state.version, event.transition or 0, event.from_stage,
        state.stage, event.organisation or 0, event.co_organisation or 0, event.reason or 0, event.hold or 0,
        state.deadline or 0, event.time, event.evidence or _ZERO, event.statement or _ZERO,
        event.note or _ZERO,
    )  # fmt: skip


def _place(event: Event, block_hash: bytes) -> EventPlace:
    place = event.place
    return EventPlace(
        place.chain_id, place.contract, place.sequence, place.block, block_hash, place.transaction,
        place.log_index,
    )  # fmt: skip
