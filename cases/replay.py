"""From what the chain said of a case to where it stands, with all that a further step depends on. Pure.

An event says little: a stage, a deadline, who acted. The pauses, the clock's length and what a reversal would
bring back follow from the events before it, by the same rules that `cases.machine` has for acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from cases import refusals as no
from cases.errors import CaseIndexDamaged
from cases.machine import CaseState, Machine


class ChangeKind(StrEnum):
    """What happened; the column `kind` of cases.change."""

    OPENED = "opened"
    MOVED = "moved"
    LAPSED = "lapsed"
    PAUSED = "paused"
    RESUMED = "resumed"
    REVERSED = "reversed"
    OVERDUE = "overdue"


@dataclass(frozen=True)
class Change:
    """One event of a case. `time`: of its block, for an opening that of the import.

    `version` and `stage` are those after it, as the event says; `deadline` None for none.
    """

    kind: ChangeKind
    time: int
    version: int
    stage: int
    deadline: int | None
    transition: int = 0
    hold: int = 0
    organisation: int = 0


@dataclass(frozen=True)
class Recorded(Change):
    """A change as it is stored: with what could only be known when it happened."""

    provisional: bool = False
    marked: bool = False


def opened(machine: Machine, change: Change, *, owner: int, product: int) -> CaseState:
    """A case as it came to life."""
    return _agreed(machine.opened(owner=owner, product=product, imported=change.time), change)


def after(machine: Machine, state: CaseState, change: Change) -> CaseState:
    """The case after a change that the chain has allowed. The deadline is the chain's.

    `provisional` and `marked` are as the machine's calendar has them.

    Raises:
        CaseIndexDamaged: the change does not follow on this state.
    """
    try:
        return _agreed(_after(machine, state, change), change)
    except (no.CaseRefused, KeyError):
        raise CaseIndexDamaged(
            f"{change.kind} to version {change.version} does not follow", hint="caseledger fsck --rebuild"
        ) from None


def replayed(machine: Machine, changes: Iterable[Recorded], *, owner: int, product: int) -> CaseState | None:
    """Where a case stands after all its changes, oldest first; None without one.

    Raises:
        CaseIndexDamaged: they do not follow on one another.
    """
    state: CaseState | None = None
    for change in changes:
        if change.kind is ChangeKind.OPENED:
            state = opened(machine, change, owner=owner, product=product)
        elif state is None:
            raise CaseIndexDamaged("a case changes before it comes to life", hint="caseledger fsck --rebuild")
        else:
            state = after(machine, state, change)
        # As it was then: the calendar may have learned a year since.
        state = replace(state, provisional=change.provisional, marked=change.marked)
    return state


def _after(machine: Machine, state: CaseState, change: Change) -> CaseState:
    now = change.time
    match change.kind:
        case ChangeKind.MOVED:
            step = machine.life.transitions[change.transition]
            return machine.after_move(state, step, change.organisation, now)
        case ChangeKind.LAPSED:
            return machine.after_lapse(state, machine.life.transitions[change.transition], now)
        case ChangeKind.PAUSED:
            return machine.after_pause(state, change.hold, change.organisation, now)
        case ChangeKind.RESUMED:
            return machine.after_resume(state, change.hold, now)
        case ChangeKind.REVERSED:
            return machine.after_reversal(state, now)
        case ChangeKind.OVERDUE:
            return replace(state, marked=True)
        case ChangeKind.OPENED:
            raise no.CaseKnown


def _agreed(state: CaseState, change: Change) -> CaseState:
    if (state.version, state.stage) != (change.version, change.stage):
        raise CaseIndexDamaged(
            f"{change.kind}: stage {change.stage} at version {change.version}, "
            f"stage {state.stage} at {state.version} follows",
            hint="caseledger fsck --rebuild",
        )
    if change.kind is ChangeKind.OVERDUE:
        return state  # the event has the deadline that passed, which need not be the provisional one
    return replace(state, deadline=change.deadline)
