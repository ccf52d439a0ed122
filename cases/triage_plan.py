"""What a run of triage does with each case: propose, wait for a person, carry on with what was decided. Pure.

Nothing is kept beside the ledger and its decisions: whoever runs triage again after a kill finds in them what
was recorded and not carried out yet, and does no more than the rest of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from cases import triage
from cases.decision_table import Confirmation, Decision, DecisionTable, Outcome, TableKind
from cases.decisions import table_of
from cases.errors import TriageStageClosed
from cases.lifecycle import Lifecycle, Transition
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.triage import NEWEST, Papers, group_of, groups
from protocol.case_decision import DecisionRecord
from protocol.case_row import CaseRow

OPEN_STAGES = (StageCode.IMPORTED, StageCode.ADMITTED)
"""Where a run looks by itself; cases that wait for papers are run again when they are named."""


@dataclass(frozen=True)
class KnownDecision:
    """A decision that could be opened."""

    commitment: bytes
    record: DecisionRecord = field(repr=False)


@dataclass(frozen=True)
class CaseAt:
    """What a runner knows of a case. `version`: the one that the next act names."""

    case_id: bytes
    stage: int
    version: int
    row: CaseRow = field(repr=False)
    papers: Papers = Papers.NOT_LOOKED_UP
    decisions: tuple[KnownDecision, ...] = ()
    """First to last."""
    newest: bytes | None = None
    """Commitment of the last decision, openable or not."""
    held: bool = False
    """A pause is open: no step of triage is possible."""

    @property
    def completed(self) -> bool:
        """Whether more was asked for before, as far as can be known."""
        asked = any(
            record.kind == TableKind.TRIAGE
            and table_of(record.kind, record.table_version).outcomes[record.decided].name == "completion"
            for record in (one.record for one in self.decisions)
        )
        return asked or self.stage == StageCode.COMPLETION


@dataclass(frozen=True)
class Override:
    """What people want instead of a proposal, and why."""

    outcome: Outcome
    reason: str


class State(StrEnum):
    """What a run does with a case."""

    PROPOSED = "proposed"
    """To be recorded and carried out once the run is confirmed."""
    WAITS = "waits"
    """A named person must confirm it."""
    RECORDED = "recorded"
    """Decided before and not carried out to the end: the rest of it."""
    DONE = "done"
    """Decided before, and there is nothing to do."""
    CLOSED = "closed"
    """Past triage, or paused: not touched."""


@dataclass(frozen=True)
class Plan:
    """One case in a run."""

    at: CaseAt
    state: State
    proposal: Decision
    outcome: Outcome
    steps: tuple[Transition, ...] = ()
    reason: str | None = None
    officer: str | None = None
    """Who confirmed this one case."""
    recorded: bytes | None = None
    """Commitment of the decision to be carried on with."""


def plan(
    cases: Iterable[CaseAt],
    *,
    on: date,
    organisation: int,
    officer: str | None = None,
    overrides: Mapping[bytes, Override] | None = None,
    confirmed: frozenset[bytes] = frozenset(),
    table: DecisionTable = NEWEST,
    life: Lifecycle = LIFECYCLE_V1,
) -> list[Plan]:
    """One plan a case, in their order. Like disputes are counted over all of them.

    `officer`: the person at the desk; `confirmed`: the cases that this person has looked at one by one.
    """
    known = list(cases)
    counted = groups(case.row for case in known)
    wanted = overrides or {}
    made = []
    for case in known:
        group = group_of(case.row)
        proposal = triage.triage(
            case.row,
            on=on,
            papers=case.papers,
            completed=case.completed,
            like_disputes=counted[group] if group else 0,
            by=table,
        )
        looked_at = officer is not None and case.case_id in confirmed
        made.append(
            _planned(case, proposal, wanted.get(case.case_id), organisation, officer, looked_at, life)
        )
    return made


def _planned(
    case: CaseAt,
    proposal: Decision,
    override: Override | None,
    organisation: int,
    officer: str | None,
    looked_at: bool,
    life: Lifecycle,
) -> Plan:
    if case.held:
        return Plan(case, State.CLOSED, proposal, proposal.outcome)
    if override is None:
        going_on = _unfinished(case, organisation, life)
        if going_on is not None:
            outcome, steps, known = going_on
            return Plan(
                case, State.RECORDED, proposal, outcome, steps, known.record.reason, recorded=known.commitment
            )
    outcome = proposal.outcome if override is None else override.outcome
    try:
        steps = triage.steps(outcome, case.stage, life)
    except TriageStageClosed:
        return Plan(case, State.CLOSED, proposal, outcome)
    if override is None and not steps and _said_before(case, proposal):
        return Plan(case, State.DONE, proposal, outcome)
    because = None if outcome is proposal.outcome or override is None else override.reason
    if override is not None:
        waits = officer is None
    else:
        waits = proposal.confirm is Confirmation.PERSON and not looked_at
    by = officer if override is not None or looked_at else None
    return Plan(case, State.WAITS if waits else State.PROPOSED, proposal, outcome, steps, because, by)


def _unfinished(
    case: CaseAt, organisation: int, life: Lifecycle
) -> tuple[Outcome, tuple[Transition, ...], KnownDecision] | None:
    """The newest decision, if it is this organisation's own and steps of it are left."""
    if not case.decisions or case.decisions[-1].commitment != case.newest:
        return None
    known = case.decisions[-1]
    record = known.record
    if record.organisation != organisation or record.kind != TableKind.TRIAGE:
        return None
    outcome = table_of(record.kind, record.table_version).outcomes[record.decided]
    done = case.version - record.case_version
    for stage, numbers in outcome.steps:
        steps = tuple(life.transitions[number] for number in numbers)
        if not 0 <= done < len(steps):
            continue
        at = stage if done == 0 else steps[done - 1].target
        if at == case.stage:
            return outcome, steps[done:], known
    return None


def _said_before(case: CaseAt, proposal: Decision) -> bool:
    """Whether the newest decision said the same of the same inputs: a further one would say nothing."""
    if not case.decisions or case.decisions[-1].commitment != case.newest:
        return False
    record = case.decisions[-1].record
    return (record.table_digest, record.inputs, record.decided) == (
        proposal.table.digest,
        proposal.values,
        proposal.outcome.code,
    )


def counts(plans: Iterable[Plan]) -> dict[str, dict[str, int]]:
    """By outcome: how many in each state, and in all."""
    found: dict[str, Counter[str]] = {}
    for one in plans:
        found.setdefault(one.outcome.name, Counter()).update([str(one.state), "all"])
    return {name: dict(counter) for name, counter in found.items()}
