"""The life of one case, played again from its events: after each, the whole state with its clock and pauses.

The contract decided; this only remembers what a row of cases.change leaves out, so that a deadline can be
explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cases import deadlines
from cases.errors import HistoryBroken
from cases.lifecycle import Lifecycle, Transition
from cases.machine import FIRST_STAGE, CaseState, Clock, HoldRecord, Previous


class Row(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Place:
    """Where on the chain an event stands."""

    chain_id: int
    contract: bytes
    sequence: int
    block: int
    log_index: int
    transaction: bytes


@dataclass(frozen=True)
class Event:
    """One event of a case; a row of cases.change. Nothing is None that the event has."""

    kind: str
    place: Place
    time: int
    from_stage: int
    transition: int | None = None
    reason: int | None = None
    hold: int | None = None
    organisation: int | None = None
    co_organisation: int | None = None
    evidence: bytes | None = None
    statement: bytes | None = None
    note: bytes | None = None

    @classmethod
    def from_row(cls, row: Row) -> Event:
        """From a row with the table's column names."""
        place = Place(
            row["chain_id"], bytes(row["contract"]), row["sequence"], row["block_number"],
            row["log_index"], bytes(row["transaction_hash"]),
        )  # fmt: skip
        return cls(
            row["kind"], place, row["time"], row["from_stage"], row["transition"], row["reason"],
            row["hold"], row["organisation"] or None, row["co_organisation"] or None,
            _some(row["evidence"]), _some(row["statement"]), _some(row["note"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Step:
    """An event, and the case after it."""

    event: Event
    state: CaseState


def _some(value: bytes | None) -> bytes | None:
    return bytes(value) if value and any(value) else None


def unmoved(life: Lifecycle, row: Row) -> CaseState:
    """A case that has not come to life: a row of cases.case."""
    length = life.stages[FIRST_STAGE].clock
    clock = Clock(row["clock_start"], length.length if length else None)
    return CaseState(
        version=1, stage=FIRST_STAGE, product=row["product"], owner=row["owner"], since=row["since"],
        clock=clock, deadline=row["deadline"], provisional=row["provisional"],
    )  # fmt: skip


_FIRST = ("clock_start", "since", "deadline", "provisional")


def replay(life: Lifecycle, case: Row, rows: Iterable[Row]) -> Sequence[Step]:
    """Rows of cases.change of one case in order of `sequence`; `case` is its row of cases.case.

    Raises:
        HistoryBroken: the rows do not follow each other under this lifecycle
    """
    steps: list[Step] = []
    state = unmoved(life, case)
    for row in rows:
        event = Event.from_row(row)
        if event.kind == "opened":
            # The row of the case is that of its last change.
            first = {name: row[name] for name in _FIRST}
            state = unmoved(life, {**first, "product": case["product"], "owner": case["owner"]})
        state = _settled(_after(life, state, event), row)
        steps.append(Step(event, state))
    return steps


def _after(life: Lifecycle, state: CaseState, event: Event) -> CaseState:
    match event.kind:
        case "opened" | "overdue":
            return state
        case "moved" | "lapsed":
            return _moved(life, state, _step(life, event), event)
        case "paused":
            record = HoldRecord(event.hold or 0, event.time, None, event.organisation or 0)
            clock = replace(state.clock, holds=(*state.clock.holds, record))
            return replace(state, clock=clock, previous=None)
        case "resumed":
            return replace(state, clock=_resumed(state.clock, event))
        case "reversed":
            return _reversed(state, event)
    raise HistoryBroken(f"an event {event.kind}", field="kind")


def _step(life: Lifecycle, event: Event) -> Transition:
    step = life.transitions.get(event.transition or 0)
    if step is None:
        raise HistoryBroken(f"transition {event.transition} is not of this lifecycle", field="transition")
    return step


def _moved(life: Lifecycle, state: CaseState, step: Transition, event: Event) -> CaseState:
    previous = None
    if event.kind == "moved":
        previous = Previous(event.organisation or 0, state.stage, state.clock, state.court, step.extends)
    state = replace(state, previous=previous)
    length = state.clock.length
    if step.extends and length is not None and step.clock is not None:
        longer = replace(length, count=length.count + step.clock.count)
        return replace(state, clock=replace(state.clock, length=longer, extension=step.id))
    found = life.stages[step.target].clock
    return replace(state, clock=Clock(event.time, found.length if found else None))


def _resumed(clock: Clock, event: Event) -> Clock:
    holds = list(clock.holds)
    for at, record in enumerate(holds):
        if record.kind == event.hold and record.until is None:
            holds[at] = replace(record, until=event.time)
            return replace(clock, holds=tuple(holds))
    raise HistoryBroken(f"pause {event.hold} is not open", field="hold")


def _reversed(state: CaseState, event: Event) -> CaseState:
    last = state.previous
    if last is None:
        raise HistoryBroken("there is no step to take back", field="kind")
    clock = last.clock
    if not last.extended:
        closed = tuple(
            hold if hold.until is not None else replace(hold, until=state.since) for hold in clock.holds
        )
        between = HoldRecord(0, state.since, event.time, last.organisation)
        clock = replace(clock, holds=(*closed, between))
    return replace(state, clock=clock, previous=None)


def _settled(state: CaseState, row: Row) -> CaseState:
    """What the chain says goes over what was played; the two clocks must be one."""
    state = replace(
        state, version=row["version"], stage=row["stage"], since=row["since"], court=row["court"],
        marked=row["marked"], deadline=row["deadline"], provisional=row["provisional"],
    )  # fmt: skip
    if state.clock.start != row["clock_start"] or state.open_holds != row["open_holds"]:
        raise HistoryBroken(f"version {row['version']}: the clock is not that of the chain", field="clock")
    return state


def spans(clock: Clock) -> tuple[deadlines.Hold, ...]:
    """The pauses of a clock as the arithmetic takes them."""
    return tuple(deadlines.Hold(hold.start, hold.until) for hold in clock.holds)
