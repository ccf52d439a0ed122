"""The month on the development chain: real contracts, blocks at the times that the plan sets.

The run is a function of seed and number of cases. Whoever is interrupted starts the same command again: what
the chain has is compared with the plan, and the rest is sent.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.month.cast import Cast
from benchmarks.month.clerk import Clerk, Expected
from benchmarks.month.lives import Deed, Life, Society
from benchmarks.month.plan import BatchPlan
from benchmarks.month.wire import Wire
from cases.accounting import Change
from cases.machine import CaseState
from chain.bindings import CASE_BATCHES, CASE_LEDGER, Event, interface
from chain.case_contracts import CaseContracts
from chain.evm import EventLog, parse_log, quantity
from chain.signer import RelayerKey
from chain.transactions import Call, sign
from protocol.hashing import keccak256

SLOT = 3600
MOST_IN_A_BLOCK = 300
GAS = 1_500_000
ANCHOR_GAS = 5_000_000
_TOGETHER = 100


KINDS = {
    "move": "moved",
    "lapse": "lapsed",
    "pause": "paused",
    "resume": "resumed",
    "reverse": "reversed",
    "mark": "overdue",
}


def change_of(deed: Deed, kind: str, state: CaseState, at: int) -> Change:
    """What the index keeps of a deed: its kind, its block's time, the case after it."""
    step = deed.step.id if deed.step is not None and kind != "opened" else None
    return Change(
        deed.life.plan.case_id, kind, step, at, state.version, state.stage, state.clock.start,
        state.deadline, state.provisional, state.open_holds,
    )  # fmt: skip


class MonthDiffers(AssertionError):
    """The contract did something else than the model says."""


@dataclass
class Progress:
    """Counters for whoever watches."""

    blocks: int = 0
    transactions: int = 0
    followed: int = 0
    """Blocks that were on the chain already."""
    events: int = 0
    due: int = 0
    begun: float = field(default_factory=time.monotonic)


@dataclass
class DevRun:
    """One run; `follow` makes all blocks of the month."""

    cast: Cast
    society: Society
    clerk: Clerk
    contracts: CaseContracts
    batches: tuple[BatchPlan, ...]
    wire: Wire
    sender: RelayerKey
    chain_id: int
    progress: Progress = field(default_factory=Progress)
    lives: dict[bytes, Life] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    _heap: list[tuple[int, int, Callable[[], Deed | BatchPlan | None]]] = field(default_factory=list)
    _order: int = 0
    _nonce: int = 0

    def follow(self, first_block: int, nonce: int, until: int) -> Iterator[Progress]:
        """Make block after block until nothing is due by `until`; yields after each."""
        head = quantity(self.wire.call("eth_blockNumber"))
        self._nonce = nonce
        for batch in self.batches:
            self._put(batch.due, lambda batch=batch: batch)  # type: ignore[misc]
        number, last = first_block, 0
        while self._heap and self._heap[0][0] <= until:
            at = max(self._slot(self._heap[0][0]), last + 1)
            self._block(number, at, send=number > head)
            number, last = number + 1, at
            self.progress.blocks += 1
            self.progress.followed += number <= head
            self.progress.due = len(self._heap)
            yield self.progress
        if number > head:
            # A block on top makes the last one final.
            self._send([], last + SLOT)

    def _slot(self, due: int) -> int:
        """The block's time: within the ten minutes after the next full hour."""
        hour = (due // SLOT + 1) * SLOT
        return hour + int.from_bytes(keccak256(hour.to_bytes(8, "big"))[:2], "big") % 600

    def _put(self, due: int, what: Callable[[], Deed | BatchPlan | None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, what))

    def _block(self, number: int, at: int, *, send: bool) -> None:
        imports: list[BatchPlan] = []
        deeds: list[Deed] = []
        moved: set[bytes] = set()
        again: list[tuple[int, int, Callable[[], Deed | BatchPlan | None]]] = []
        while self._heap and self._heap[0][0] <= at and len(deeds) < MOST_IN_A_BLOCK:
            entry = heapq.heappop(self._heap)
            found = entry[2]()
            if isinstance(found, BatchPlan):
                imports.append(found)
            elif found is not None and found.life.plan.case_id in moved:
                again.append(entry)
            elif found is not None:
                moved.add(found.life.plan.case_id)
                deeds.append(found)
        for entry in again:
            heapq.heappush(self._heap, entry)
        calls: list[tuple[Call, int]] = []
        expected: list[Expected] = []
        for batch in imports:
            call, events = self.clerk.imported(batch)
            calls.append((call, GAS))
            expected += events
        entries = [self.clerk.gather(deed) for deed in deeds]
        link = None
        if self.clerk.desk.waiting:
            calls.append((self.clerk.desk.anchor(), ANCHOR_GAS))
            link = self.clerk.desk.done(at)
        for deed, shown in zip(deeds, entries, strict=True):
            if send:
                calls.append((self.clerk.call(deed, shown, link), GAS))
            else:
                calls.append((Call(None, b""), GAS))
            expected += self._apply(deed, at)
        if send:
            self._send(calls, at)
        self._nonce += len(calls)
        self.progress.transactions += len(calls)
        self._compare(number, at, expected)
        for batch in imports:
            self._born(batch, at)
        for deed in deeds:
            self._plan_next(deed.life, at)

    def _born(self, batch: BatchPlan, at: int) -> None:
        for case, origin in zip(batch.cases, batch.origins, strict=True):
            life = Life(case, batch, origin, at)
            self.lives[case.case_id] = life
            self._plan_next(life, at)

    def _plan_next(self, life: Life, now: int) -> None:
        """The next step, and the mark should the deadline pass before."""
        state, done = life.state, life.done
        due = self.society.due(life, now)
        if due is not None:

            def step() -> Deed | None:
                return self.society.next_deed(life) if life.done == done else None

            if life.done == done and (state is None or not state.marked):
                self._put(due, step)
        marks = self.society.marks_at(life)
        if marks is not None and (due is None or marks < due):
            version = self.society.stands(life).version

            def mark() -> Deed | None:
                now_at = self.society.stands(life)
                same = now_at.version == version and not now_at.marked
                return self.society.mark(life) if same else None

            self._put(marks, mark)

    def _apply(self, deed: Deed, at: int) -> list[Expected]:
        before, opens = self.society.stands(deed.life), deed.opens
        after = self.society.apply(deed, at)
        if opens:
            self.changes.append(change_of(deed, "opened", before, at))
        self.changes.append(change_of(deed, KINDS[deed.kind], after, at))
        return self.clerk.expected(deed, before, after, opens=opens)

    def _send(self, calls: list[tuple[Call, int]], at: int) -> None:
        raw = [
            sign(self.sender, call, chain_id=self.chain_id, nonce=self._nonce + place, gas=gas, gas_price=0)
            for place, (call, gas) in enumerate(calls)
        ]
        for begin in range(0, len(raw), _TOGETHER):
            part = raw[begin : begin + _TOGETHER]
            self.wire.many([("eth_sendRawTransaction", ["0x" + one.raw.hex()]) for one in part])
        self.wire.call("evm_setNextBlockTimestamp", hex(at))
        self.wire.call("evm_mine")

    def _compare(self, number: int, at: int, expected: list[Expected]) -> None:
        """The block's events are those that the model expects, in order, to the last value."""
        addresses = ["0x" + one.hex() for one in (self.contracts.batches, self.contracts.ledger)]
        block, answer = self.wire.many(
            [
                ("eth_getBlockByNumber", [hex(number), False]),
                ("eth_getLogs", [{"address": addresses, "fromBlock": hex(number), "toBlock": hex(number)}]),
            ]
        )
        if quantity(block["timestamp"]) != at:
            raise MonthDiffers(f"block {number} is of {quantity(block['timestamp'])}, not {at}")
        found = sorted(map(parse_log, answer), key=lambda entry: entry.log_index)
        self.progress.events += len(found)
        if len(found) != len(expected):
            raise MonthDiffers(f"block {number}: {len(found)} events, {len(expected)} expected")
        for entry, want in zip(found, expected, strict=True):
            name, values = self._decoded(entry)
            wrong = {key: (values.get(key), value) for key, value in want.values.items()
                     if values.get(key) != value}  # fmt: skip
            if name != want.name or wrong:
                raise MonthDiffers(f"block {number}: {name} for {want.name}: {wrong}")

    def _decoded(self, entry: EventLog) -> tuple[str, dict[str, object]]:
        event = _EVENTS[entry.topics[0]]
        return event.name, event.decode(entry.topics, entry.data)


_EVENTS: dict[bytes, Event] = {
    topic: event for name in (CASE_BATCHES, CASE_LEDGER) for topic, event in interface(name).events.items()
}
