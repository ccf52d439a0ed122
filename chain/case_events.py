"""All events of a case room from a node alone: nothing stored, nothing taken from a gateway.

Both contracts number their events without gaps and know their own count, so an event that a node keeps
back is named, with the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chain.bindings import CASE_BATCHES, CASE_LEDGER, WORK_CALENDAR, AnswerUnreadable, interface
from chain.case_record import CaseRecord
from chain.cursor import EventsWithheld
from chain.errors import ChainError
from chain.evm import EventLog, Head, Transport, binary, parse_head, parse_log, quantity
from chain.rpc import RpcAnswerTooLarge, RpcPool, RpcRefused
from chain.transactions import Call

_FIRST_PAGE = 2_000


class BlockNotThere(ChainError):
    """The node has no such block yet, or it is older than the contracts."""

    http_status = 404
    title = "no such block"


class StateNotKept(ChainError):
    """The node no longer has the state of a block, so nobody can tell how many events there were by then."""

    http_status = 409
    title = "state of a block not kept"


@dataclass(frozen=True)
class SeenEvent:
    """A decoded event, its place, and the time of its block."""

    contract: str
    name: str
    sequence: int
    block: int
    time: int
    values: dict[str, Any]
    address: bytes = bytes(20)
    log_index: int = 0
    transaction: bytes = bytes(32)


@dataclass(frozen=True)
class CaseEvents:
    """Every event of both contracts up to a block, each contract's in order of sequence.

    `calendar`: those of the calendar, where they were asked for.
    """

    head: Head
    state_root: bytes
    batches: tuple[SeenEvent, ...]
    ledger: tuple[SeenEvent, ...]
    calendar: tuple[SeenEvent, ...] = ()


@dataclass(frozen=True)
class BlockRoot:
    """A block's head with its state root, as the node gives it."""

    head: Head
    state_root: bytes


async def block_root(node: Transport, number: int) -> BlockRoot:
    """A block by its number. Raises BlockNotThere, AnswerUnreadable."""
    found = await node.call("eth_getBlockByNumber", [hex(number), False])
    if found is None:
        raise BlockNotThere(str(number), field="block")
    if not isinstance(found, dict) or "stateRoot" not in found:
        raise AnswerUnreadable("a node's block lacks its state root")
    return BlockRoot(parse_head(found), binary(found["stateRoot"], 32))


async def read_all(
    pool: RpcPool,
    record: CaseRecord,
    *,
    to_block: int | None = None,
    calendar: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CaseEvents:
    """Read from the contracts' first block to `to_block`, the newest final one if None.

    Raises:
        EventsWithheld: names the node, the contract and the first event that is missing
        BlockNotThere, StateNotKept, AnswerUnreadable, and what the pool raises
    """
    newest = quantity(await pool.call("eth_blockNumber", [])) - pool.profile.depth
    last = newest if to_block is None else to_block
    if not record.block <= last <= newest:
        raise BlockNotThere(
            f"{last}: events are from {record.block} to {newest}", field="block", hint="--to-block"
        )
    reader = _Reader(pool, record, calendar=calendar)
    end = await block_root(pool, last)
    at = record.block
    while at <= last:
        at = await reader.page(at, last)
        if progress is not None:
            progress(at - 1, last)
    for name in reader.seen:
        await reader.require_whole(name, last)
    # The block that was named at the beginning is still there: what was read hangs on it.
    if (await block_root(pool, last)).head.hash != end.head.hash:
        raise AnswerUnreadable(f"block {last} changed while events were read")
    return CaseEvents(
        end.head,
        end.state_root,
        tuple(reader.seen[CASE_BATCHES]),
        tuple(reader.seen[CASE_LEDGER]),
        tuple(reader.seen.get(WORK_CALENDAR, ())),
    )


class _Reader:
    def __init__(self, pool: RpcPool, record: CaseRecord, *, calendar: bool) -> None:
        self._pool = pool
        contracts = record.contracts
        self._at = {CASE_BATCHES: contracts.batches, CASE_LEDGER: contracts.ledger}
        if calendar:
            self._at[WORK_CALENDAR] = contracts.calendar
        self._names = {address: name for name, address in self._at.items()}
        self._size = min(_FIRST_PAGE, pool.profile.max_log_range)
        self._url = ""
        self.seen: dict[str, list[SeenEvent]] = {name: [] for name in self._at}

    async def page(self, first: int, last: int) -> int:
        """Read some blocks from `first`; the next one."""
        end = min(first + self._size - 1, last)
        addresses = ["0x" + address.hex() for address in self._names]
        try:
            answer = await self._pool.ask(
                "eth_getLogs", [{"address": addresses, "fromBlock": hex(first), "toBlock": hex(end)}]
            )
        except (RpcRefused, RpcAnswerTooLarge):
            if end == first:
                raise
            self._size = max(1, (end - first + 1) // 2)
            return first
        self._url = answer.url
        if not isinstance(answer.result, list):
            raise AnswerUnreadable("a node's event list is not a list")
        entries = sorted(map(parse_log, answer.result), key=lambda one: (one.block_number, one.log_index))
        times = await self._times(entries)
        for entry in entries:
            self._take(entry, first, end, times)
        self._size = min(self._size * 2, self._pool.profile.max_log_range)
        return end + 1

    async def _times(self, entries: Sequence[EventLog]) -> dict[int, int]:
        """The time of each block, whose hash is the one that its events name."""
        named = {entry.block_number: entry.block_hash for entry in entries}
        asked = [("eth_getBlockByNumber", (hex(number), False)) for number in named]
        times = {}
        for (number, block_hash), found in zip(named.items(), await self._pool.batch(asked), strict=True):
            if isinstance(found, RpcRefused):
                raise found
            head = parse_head(found)
            if head.number != number or head.hash != block_hash:
                raise AnswerUnreadable(f"an event names a block {number} that is not in the chain")
            times[number] = head.time
        return times

    def _take(self, entry: EventLog, first: int, last: int, times: dict[int, int]) -> None:
        name = self._names.get(entry.address)
        if name is None or not first <= entry.block_number <= last:
            raise AnswerUnreadable("a node's event was not asked for")
        event = interface(name).events.get(entry.topics[0] if entry.topics else b"")
        if event is None:
            raise ChainError(f"{name} emitted an event that this release does not know")
        values = event.decode(entry.topics, entry.data)
        due = len(self.seen[name]) + 1
        if values["sequence"] != due:
            raise self._withheld(name, due)
        block = entry.block_number
        self.seen[name].append(
            SeenEvent(
                name, event.name, due, block, times[block], values,
                entry.address, entry.log_index, entry.transaction_hash,
            )
        )  # fmt: skip

    async def require_whole(self, name: str, block: int) -> None:
        """The contract's own count, in the state of the block, is what was shown.

        Where that state is gone, the newest one's count is what was shown and what came since.
        """
        shown = len(self.seen[name])
        count = await self._count(name, block)
        if count is None:
            newest = quantity(await self._pool.call("eth_blockNumber", []))
            total = await self._count(name, newest)
            if total is None:
                raise StateNotKept(f"block {block}", field="block", hint="ask an archive node")
            count = total - await self._since(name, block + 1, newest)
        if count > shown:
            raise self._withheld(name, shown + 1)
        if count < shown:
            raise AnswerUnreadable(f"{name}: {count} events by its own count, more were shown")

    async def _since(self, name: str, first: int, last: int) -> int:
        """How many events came after the block that is asked for, by their numbers."""
        address = "0x" + self._at[name].hex()
        answer = await self._pool.ask(
            "eth_getLogs", [{"address": [address], "fromBlock": hex(first), "toBlock": hex(last)}]
        )
        events = interface(name).events
        found = [parse_log(entry) for entry in answer.result]
        return len({events[one.topics[0]].decode(one.topics, one.data)["sequence"] for one in found})

    async def _count(self, name: str, block: int) -> int | None:
        function = interface(name).function("sequence")
        call = Call(self._at[name], function.encode()).as_rpc(bytes(20))
        try:
            answer = await self._pool.call("eth_call", [call, hex(block)])
        except RpcRefused:
            return None
        return int(function.decode(binary(answer))[0])

    def _withheld(self, name: str, sequence: int) -> EventsWithheld:
        return EventsWithheld(
            f"node {_label(self._url)}: event {sequence} of {name} is missing",
            field=name,
            hint="ask another node: --rpc",
        )


def _label(url: str) -> str:
    """Host and port: an address may carry a password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
