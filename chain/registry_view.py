"""The registry in memory: organisations and keys as the chain's final state has them.

Answers at once, also while the chain is stopped: then with the last state that was read, whose age is shown.
After a start without a chain the index in SQL stands in until a node answers; it is an index, so who needs
certainty looks at `source`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from chain.bindings import REGISTRY, AnswerUnreadable, interface
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evm import binary, parse_log, quantity
from chain.rpc import RpcPool, RpcRefused
from chain.transactions import Call
from protocol.acts import Purpose
from protocol.errors import CaseledgerError, MalformedInput
from protocol.keyslot import KeySlot, key_slot_position
from storage.db import Pool

log = logging.getLogger(__name__)

ACTIVE = 1


class RegistryUnknown(ChainError):
    """Neither a node nor the database has told the registry's state since the start."""

    retryable = True
    title = "registry not known yet"


@dataclass(frozen=True)
class Organisation:
    """An organisation in one final state. Times in seconds; `hpke_key` is None while there is none."""

    index: int
    id: bytes
    roles: int
    interest_group: int
    vote: bool
    active: bool
    suspended_until: int
    hpke_key: bytes | None
    hpke_not_before: int
    hpke_not_after: int

    def writer_at(self, now: int) -> bool:
        """Active and not suspended."""
        return self.active and now >= self.suspended_until


@dataclass(frozen=True)
class Snapshot:
    """One final state of the registry. `sequence` counts the registry's events up to it."""

    block: int
    sequence: int
    organisations: dict[int, Organisation]
    keys: dict[bytes, KeySlot]
    source: str
    """"chain", or "index" when it comes from SQL."""


class RegistryView:
    """Follows the registry. `key` and `organisation` never wait; `refresh` asks the chain."""

    def __init__(
        self,
        pool: RpcPool,
        deployment: Deployment,
        database: Pool | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._deployment = deployment
        self._db = database
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self.refreshes = 0
        self.reloads = 0

    # Asking, at once

    @property
    def snapshot(self) -> Snapshot:
        """The last state. Raises RegistryUnknown before the first."""
        if self._snapshot is None:
            raise RegistryUnknown("no node has answered yet", hint="try again in a moment")
        return self._snapshot

    @property
    def age(self) -> float:
        """Seconds since a node last confirmed the state; infinite before that."""
        held = self._snapshot is not None and self._snapshot.source == "chain"
        return self._clock() - self._read_at if held else float("inf")

    def key(self, address: bytes) -> KeySlot | None:
        """The slot of a key (20 bytes), None when it never was registered. Raises RegistryUnknown."""
        return self.snapshot.keys.get(address)

    def organisation(self, index: int) -> Organisation | None:
        """None when no organisation has this index. Raises RegistryUnknown."""
        return self.snapshot.organisations.get(index)

    def keys_of(self, index: int, purpose: Purpose) -> list[bytes]:
        """Addresses of an organisation's keys with a purpose, whatever their state."""
        return [
            address
            for address, slot in self.snapshot.keys.items()
            if slot.organisation == index and slot.purpose is purpose
        ]

    # Following

    async def start(self) -> None:
        """First state: from the chain, or from the index in SQL while no node answers.

        Raises RegistryUnknown when there is neither.
        """
        try:
            await self.refresh()
        except CaseledgerError as error:
            log.warning("registry: no node answers (%s), using the index", error.code)
            await self._from_index()

    async def run(self, stop: asyncio.Event, *, every: float = 1.0) -> None:
        """Refresh until `stop` is set; a failure leaves the last state in force."""
        while not stop.is_set():
            try:
                await self.refresh()
            except (CaseledgerError, OSError) as error:
                log.info("registry: %s", getattr(error, "code", type(error).__name__))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await stop.wait()

    async def refresh(self) -> Snapshot:
        """Confirm the state at the newest final block, or read it anew when the registry has changed."""
        block = quantity(await self._pool.call("eth_blockNumber", [])) - self._pool.profile.depth
        block = max(block, 0)
        held = self._snapshot if self._snapshot and self._snapshot.source == "chain" else None
        if held is not None and block < held.block:
            return held  # a node that is a little behind
        sequence = int((await self._ask("sequence", block))[0])
        if held is not None and sequence < held.sequence:
            raise AnswerUnreadable("a node knows fewer registry events than before")
        if held is None or sequence != held.sequence:
            self._snapshot = await self._read(block, sequence, held)
            self.reloads += 1
        else:
            self._snapshot = Snapshot(block, sequence, held.organisations, held.keys, "chain")
        self._read_at = self._clock()
        self.refreshes += 1
        return self._snapshot

    async def _ask(self, name: str, block: int, *values: Any) -> tuple[Any, ...]:
        function = interface(REGISTRY).function(name)
        call = Call(self._deployment.registry.address, function.encode(*values))
        return function.decode(
            binary(await self._pool.call("eth_call", [call.as_rpc(bytes(20)), hex(block)]))
        )

    async def _read(self, block: int, sequence: int, held: Snapshot | None) -> Snapshot:
        """Every organisation and every key that any event ever named, as they are in `block`."""
        known, after = set(held.keys) if held else set(), held.block if held else self._deployment.block - 1
        if held is None and self._db is not None:
            known, after = await self._known_keys()
        addresses = sorted(known | await self._named_keys(after + 1, block))
        count = int((await self._ask("organisationCount", block))[0])
        function = interface(REGISTRY).function("organisation")
        target = self._deployment.registry.address
        questions: list[tuple[str, list[Any]]] = [
            ("eth_call", [Call(target, function.encode(i)).as_rpc(bytes(20)), hex(block)])
            for i in range(1, count + 1)
        ]
        questions += [
            ("eth_getStorageAt", ["0x" + target.hex(), "0x" + key_slot_position(a).hex(), hex(block)])
            for a in addresses
        ]
        answers = await self._pool.batch(questions)
        refused = next((answer for answer in answers if isinstance(answer, RpcRefused)), None)
        if refused is not None:
            raise refused
        organisations = {
            i: _organisation(i, function.decode(binary(answer))[0])
            for i, answer in enumerate(answers[:count], start=1)
        }
        keys: dict[bytes, KeySlot] = {}
        for address, answer in zip(addresses, answers[count:], strict=True):
            word = binary(answer).rjust(32, b"\0")
            if any(word):
                keys[address] = _slot(word)
        return Snapshot(block, sequence, organisations, keys, "chain")

    async def _named_keys(self, first: int, last: int) -> set[bytes]:
        """Addresses that registry events of these blocks name as a key."""
        events = interface(REGISTRY).events
        found: set[bytes] = set()
        target = "0x" + self._deployment.registry.address.hex()
        page = self._pool.profile.max_log_range
        for begin in range(first, last + 1, page):
            end = min(begin + page - 1, last)
            answer = await self._pool.call(
                "eth_getLogs", [{"address": [target], "fromBlock": hex(begin), "toBlock": hex(end)}]
            )
            for entry in map(parse_log, answer):
                event = events.get(entry.topics[0]) if entry.topics else None
                if event is not None and "key" in event.names:
                    found.add(event.decode(entry.topics, entry.data)["key"])
        return found

    # The index, when no node answers

    async def _known_keys(self) -> tuple[set[bytes], int]:
        """Keys in the index and the block up to which it was read."""
        if self._db is None:
            return set(), self._deployment.block - 1
        chain_id = self._deployment.chain_id
        try:
            block = await self._db.fetchval(
                "select max(block_number) from chain.cursor where chain_id = $1", chain_id
            )
            rows = await self._db.fetch(
                "select key from chain.key where chain_id = $1 and contract = $2",
                chain_id,
                self._deployment.registry.address,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return set(), self._deployment.block - 1
        if block is None:
            return set(), self._deployment.block - 1
        return {bytes(row["key"]) for row in rows}, int(block)

    async def _from_index(self) -> None:
        if self._db is None:
            raise RegistryUnknown("no node answers and there is no database")
        chain_id = self._deployment.chain_id
        address = self._deployment.registry.address
        rows = await self._db.fetch(
            "select * from chain.organisation where chain_id = $1 and contract = $2", chain_id, address
        )
        if not rows:
            raise RegistryUnknown("no node answers and the index is empty")
        organisations = {
            int(r["organisation"]): Organisation(
                int(r["organisation"]),
                bytes(r["id"]),
                int(r["roles"]),
                int(r["interest_group"]),
                r["vote"],
                r["status"] == ACTIVE,
                int(r["suspended_until"]),
                bytes(r["hpke_key"]) if any(r["hpke_key"]) else None,
                int(r["hpke_not_before"]),
                int(r["hpke_not_after"]),
            )
            for r in rows
        }
        keys = {
            bytes(r["key"]): _slot(bytes(r["slot"]))
            for r in await self._db.fetch(
                "select key, slot from chain.key where chain_id = $1 and contract = $2", chain_id, address
            )
        }
        block = await self._db.fetchval(
            "select max(block_number) from chain.cursor where chain_id = $1", chain_id
        )
        sequence = await self._db.fetchval(
            "select max(sequence) from chain.event where chain_id = $1 and contract = $2",
            chain_id,
            address,
        )
        self._snapshot = Snapshot(int(block or 0), int(sequence or 0), organisations, keys, "index")


def _slot(word: bytes) -> KeySlot:
    try:
        return KeySlot.parse(word)
    except MalformedInput:
        raise AnswerUnreadable("a key slot is malformed") from None


def _organisation(index: int, value: tuple[Any, ...]) -> Organisation:
    """From the struct `Organisation` of the registry."""
    names = ("roles", "interestGroup", "status", "vote", "nonce", "suspendedUntil", "suspendableFrom")
    v = dict(zip((*names, "id", "hpkeKey", "hpkeNotBefore", "hpkeNotAfter"), value, strict=True))
    return Organisation(
        index,
        v["id"],
        v["roles"],
        v["interestGroup"],
        v["vote"],
        v["status"] == ACTIVE,
        v["suspendedUntil"],
        v["hpkeKey"] if any(v["hpkeKey"]) else None,
        v["hpkeNotBefore"],
        v["hpkeNotAfter"],
    )
