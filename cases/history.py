"""The life of one case, played again from its events: after each, the whole state with its clock and pauses.

A row of cases.change leaves out the pauses and the length of the clock; they explain a deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cases import deadlines
from cases.chain_index import Row, recorded
from cases.errors import CaseIndexDamaged
from cases.machine import CaseState, Clock, Machine
from cases.replay import ChangeKind, after, opened


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


def unmoved(machine: Machine, row: Row) -> CaseState:
    """A case that has not come to life: a row of cases.case."""
    state = machine.opened(owner=row["owner"], product=row["product"], imported=row["clock_start"])
    return replace(state, deadline=row["deadline"], provisional=row["provisional"])


def replay(machine: Machine, case: Row, rows: Iterable[Row]) -> Sequence[Step]:
    """Rows of cases.change of one case in order of `sequence`; `case` is its row of cases.case.

    Raises:
        CaseIndexDamaged: the rows do not follow each other under this lifecycle
    """
    steps: list[Step] = []
    state: CaseState | None = None
    for row in rows:
        change = recorded(row)
        if change.kind is ChangeKind.OPENED:
            state = opened(machine, change, owner=case["owner"], product=case["product"])
        elif state is None:
            raise CaseIndexDamaged("a case changes before it comes to life", hint="caseledger fsck --rebuild")
        else:
            state = after(machine, state, change)
        state = replace(state, provisional=change.provisional, marked=change.marked)
        steps.append(Step(Event.from_row(row), state))
    return steps


def spans(clock: Clock) -> tuple[deadlines.Hold, ...]:
    """The pauses of a clock as the arithmetic takes them."""
    return tuple(deadlines.Hold(hold.start, hold.until) for hold in clock.holds)
