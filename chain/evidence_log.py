"""What the EvidenceLog contract says of a log: its head, its links, who anchored what, when.

Always from a final block, and as a node tells it: what something is decided on is proved (chain.capture).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from chain.bindings import EVIDENCE_LOG, AnswerUnreadable, interface
from chain.evm import Evm, parse_log
from chain.transactions import Call

READER = bytes(20)
_FIRST_LOOK = 64


class HeadStatus(IntEnum):
    """Status in the contract."""

    UNKNOWN = 0
    OPEN = 1
    CLOSED = 2


@dataclass(frozen=True)
class Head:
    """A log's head in one final block."""

    size: int
    closed_size: int
    batches: int
    operator: int
    status: HeadStatus
    root_sha256: bytes
    successor: bytes
    predecessor: bytes
    block: int


@dataclass(frozen=True)
class Anchored:
    """One event `Anchored`. `time` in seconds UTC."""

    number: int
    old_size: int
    new_size: int
    root_sha256: bytes
    root_sm3: bytes
    link: bytes
    time: int
    key: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes


class ContractReader:
    """Reads over the nodes behind `evm`."""

    def __init__(
        self, evm: Evm, address: bytes, *, first_block: int = 0, depth: int = 0, max_range: int = 10_000
    ) -> None:
        """`first_block`: no event is older. `depth`, `max_range`: from the engine's profile."""
        self._evm = evm
        self._address = address
        self._first = first_block
        self._depth = depth
        self._range = max_range
        self._interface = interface(EVIDENCE_LOG)

    async def final_block(self) -> int:
        return max(0, (await self._evm.head()).number - self._depth)

    async def _read(self, name: str, block: int, *values: Any) -> Any:
        function = self._interface.function(name)
        answer = await self._evm.call(READER, Call(self._address, function.encode(*values)), block)
        return function.decode(answer)[0]

    async def head(self, log_id: bytes, block: int | None = None) -> Head:
        at = await self.final_block() if block is None else block
        size, closed, batches, operator, status, root, successor, predecessor = await self._read(
            "head", at, log_id
        )
        try:
            known = HeadStatus(status)
        except ValueError:
            raise AnswerUnreadable("a log's status is none that we know") from None
        return Head(size, closed, batches, operator, known, root, successor, predecessor, at)

    async def link(self, log_id: bytes, number: int, block: int | None = None) -> bytes:
        at = await self.final_block() if block is None else block
        return bytes(await self._read("link", at, log_id, number))

    async def anchored(self, log_id: bytes, number: int, near: int | None = None) -> Anchored | None:
        topics = [_topic(log_id), _topic(number.to_bytes(32, "big"))]
        last = await self.final_block()
        if near is not None and near <= last:
            found = await self._events(topics, near, near)
            if found:
                return found[0]
        while last >= self._first:
            begin = max(self._first, last - self._range + 1)
            found = await self._events(topics, begin, last)
            if found:
                return found[0]
            last = begin - 1
        return None

    async def anchored_all(self, log_id: bytes, first: int) -> list[Anchored]:
        found = await self.anchored_between(log_id, self._first, await self.final_block())
        return [event for event in found if event.number >= first]

    async def anchored_between(self, log_id: bytes, begin: int, end: int) -> list[Anchored]:
        """Events of the blocks `begin` to `end`, both inclusive, in order of their numbers."""
        out: list[Anchored] = []
        for start in range(max(begin, self._first), end + 1, self._range):
            out += await self._events([_topic(log_id)], start, min(end, start + self._range - 1))
        return sorted(out, key=lambda event: event.number)

    async def anchored_down_to(self, log_id: bytes, size: int, last: int, first: int = 0) -> list[Anchored]:
        """Events from block `last` back to `first`, in order, until one ends at or below `size`.

        Looks at few blocks first: what is asked for is mostly new, and a pruned node has only the newer ones.
        """
        out: list[Anchored] = []
        first, step = max(first, self._first), _FIRST_LOOK
        while last >= first:
            begin = max(first, last - step + 1)
            found = await self._events([_topic(log_id)], begin, last)
            out += found
            if any(event.new_size <= size for event in found):
                break
            last, step = begin - 1, min(2 * step, self._range)
        return sorted(out, key=lambda event: event.number)

    async def _events(self, topics: Sequence[str], first: int, last: int) -> list[Anchored]:
        event = self._interface.event("Anchored")
        # Anchored(…, indexed logId, indexed number, …)
        answer = await self._evm.rpc(
            "eth_getLogs",
            {
                "address": ["0x" + self._address.hex()],
                "fromBlock": hex(first),
                "toBlock": hex(last),
                "topics": [_topic(event.topic), *topics],
            },
        )
        if not isinstance(answer, list):
            raise AnswerUnreadable("a node's log list is not a list")
        out = []
        for entry in map(parse_log, answer):
            if entry.address != self._address or entry.topics[0] != event.topic:
                raise AnswerUnreadable("a node answered with another contract's event")
            v = event.decode(entry.topics, entry.data)
            out.append(
                Anchored(
                    v["number"], v["oldSize"], v["newSize"], v["rootSha256"], v["rootSm3"], v["link"],
                    v["time"], v["key"], entry.block_number, entry.block_hash, entry.transaction_hash,
                )
            )  # fmt: skip
        return out


def _topic(value: bytes) -> str:
    return "0x" + value.hex()
