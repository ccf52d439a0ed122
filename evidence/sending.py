"""How an anchor reaches the chain: a port over the transaction outbox."""

from __future__ import annotations

from typing import Protocol

from chain.evm import Evm
from chain.outbox import Outbox, Outcome
from storage.db import AnyConnection


class SenderPort(Protocol):
    """Simulate, enqueue inside the caller's transaction, look up the fate."""

    async def prepare(self, data: bytes) -> int:
        """Gas limit; raises the contract's error when it would refuse now."""
        ...

    async def enqueue(self, conn: AnyConnection, data: bytes, gas: int, business_key: str) -> int:
        """Row id in the outbox; must run in the caller's SQL transaction."""
        ...

    async def outcome(self, conn: AnyConnection, business_key: str) -> Outcome | None:
        """None when the outbox has no such business."""
        ...


class OutboxSender:
    """`SenderPort` for one contract on one lane."""

    def __init__(self, outbox: Outbox, evm: Evm, lane: str, contract: bytes) -> None:
        self._outbox = outbox
        self._evm = evm
        self._lane = lane
        self._contract = contract

    async def prepare(self, data: bytes) -> int:
        return await self._outbox.prepare(self._evm, self._lane, self._contract, data)

    async def enqueue(self, conn: AnyConnection, data: bytes, gas: int, business_key: str) -> int:
        return await self._outbox.enqueue(conn, self._lane, self._contract, data, gas, business_key)

    async def outcome(self, conn: AnyConnection, business_key: str) -> Outcome | None:
        return await self._outbox.outcome(conn, business_key)
