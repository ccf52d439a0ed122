"""Who handles a case first: from a row to a proposal, by the table of `triage.yaml`. Pure.

A flag that was not stated stays *not stated*. What the table says is a proposal: nothing follows before an
organisation confirms it, and of an adverse one a named person confirms each case (docs/spec/triage.md §3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from enum import IntEnum

from cases.decision_table import Decision, DecisionTable, Outcome
from cases.errors import DecisionTableUnknown, TriageStageClosed
from cases.lifecycle import Lifecycle, Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.triage_v1 import TRIAGE_V1
from protocol.case_row import CaseRow, Debtor, Product, RowFlag

TABLES = {TRIAGE_V1.version: TRIAGE_V1}
NEWEST = TRIAGE_V1
ELDERLY_AGE = 60
"""Law on the Rights of the Elderly, Art. 2."""


class Flag(IntEnum):
    """Three answers, not two."""

    NOT_STATED = 0
    YES = 1
    NO = 2


class Papers(IntEnum):
    """Whether contract and statement of the case are anchored."""

    NOT_LOOKED_UP = 0
    COMPLETE = 1
    INCOMPLETE = 2


_FLAGS = (
    RowFlag.ELDERLY,
    RowFlag.HARDSHIP,
    RowFlag.MINOR_GUARANTOR,
    RowFlag.PRIOR_COMPLAINT,
    RowFlag.FRAUD_SIGNS,
    RowFlag.PETITION,
)
_DISPUTED = RowFlag.PRIOR_COMPLAINT | RowFlag.PETITION
_PRODUCTS = frozenset(map(int, Product))

Group = tuple[int, int]
"""Owner and product: whose like disputes are counted together."""


def table(version: int) -> DecisionTable:
    """A released version of the table. Raises DecisionTableUnknown."""
    try:
        return TABLES[version]
    except KeyError:
        raise DecisionTableUnknown(f"triage {version}", field="version") from None


def group_of(row: CaseRow) -> Group | None:
    """The group in which a row counts: its person complained or petitioned about the institution."""
    return (row.owner, row.product) if row.flags & _DISPUTED else None


def groups(rows: Iterable[CaseRow]) -> Counter[Group]:
    """How many like disputes stand against each institution, among the rows that could be opened."""
    return Counter(group for row in rows if (group := group_of(row)) is not None)


def values_of(
    row: CaseRow,
    *,
    on: date,
    papers: Papers = Papers.NOT_LOOKED_UP,
    completed: bool = False,
    like_disputes: int = 0,
) -> tuple[int, ...]:
    """The inputs of the table, in its order. `like_disputes` counts the row itself; 0 for one in no group."""
    stated, flags = int(row.flags_stated), int(row.flags)
    said = [
        (Flag.YES if flags & flag else Flag.NO) if stated & flag else Flag.NOT_STATED
        for flag in map(int, _FLAGS)
    ]
    said[0] = _elderly(row, said[0], on)
    return (
        int(papers),
        int(completed),
        row.product if row.product in _PRODUCTS else 0,
        row.total,
        row.overdue_days,
        int(row.reachability),
        *map(int, said),
        like_disputes,
    )


def _elderly(row: CaseRow, stated: Flag, on: date) -> Flag:
    """The identity number may say yes, whatever was stated, and never no. An organisation has no age."""
    if row.debtor is Debtor.ORGANISATION:
        return Flag.NO if stated is Flag.NOT_STATED else stated
    digits = row.identity[6:14]
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return stated
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return Flag.YES if age >= ELDERLY_AGE else stated


def triage(
    row: CaseRow,
    *,
    on: date,
    papers: Papers = Papers.NOT_LOOKED_UP,
    completed: bool = False,
    like_disputes: int = 0,
    by: DecisionTable = NEWEST,
) -> Decision:
    """The proposal for one row."""
    return by.decide(values_of(row, on=on, papers=papers, completed=completed, like_disputes=like_disputes))


def decide_all(values: Iterable[Sequence[int]], by: DecisionTable = NEWEST) -> Counter[str]:
    """Counts by outcome; what a benchmark times."""
    decide = by.decide
    return Counter(decide(one).outcome.name for one in values)


def steps(outcome: Outcome, stage: int, life: Lifecycle = LIFECYCLE_V1) -> tuple[Transition, ...]:
    """The transitions that carry an outcome out from a stage; empty where the case is there already.

    Raises:
        TriageStageClosed: triage does not act in this stage.
    """
    for source, numbers in outcome.steps:
        if source == stage:
            return tuple(life.transitions[number] for number in numbers)
    name = life.stages[stage].name if stage in life.stages else str(stage)
    raise TriageStageClosed(f"{outcome.name} does not start in {name}", field="stage")
