"""Counts and durations of cases by month of import, product, owner and stage (docs/spec/statistics.md §3).

Every count is kept by owner as well: whether it may be published depends on whose cases it is made of.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

from cases.calendar import local
from cases.lifecycle_v1 import StageCode
from cases.machine import FIRST_STAGE
from cases.statistics_history import CaseHistory, Histories

Key = int | str
Part = Counter[int]
"""A count, by owner."""
NOT_OPENED = 0
"""Product of a case whose product the chain has not seen."""


class Dimension(StrEnum):
    """By what cases are put together."""

    ALL = "all"
    MONTH = "month"
    PRODUCT = "product"
    OWNER = "owner"


class Quantity(StrEnum):
    """What is counted."""

    IMPORTED = "imported"
    OPENED = "opened"
    HANDLED = "handled"
    SETTLED = "settled"
    MEDIATED = "mediated"
    AGREED = "agreed"
    FILED = "filed"
    JUDGED = "judged"
    CONCLUDED = "concluded"
    OPEN = "open"
    PAST = "past"
    CLOCKS = "clocks"
    BREACHED = "breached"


class Duration(StrEnum):
    """What is measured over a whole case."""

    CYCLE = "cycle"
    TRIAL = "trial"


Place = tuple[Dimension, Key]


def month_of(time: int) -> str:
    """`YYYY-MM` in Shanghai."""
    return f"{local(time):%Y-%m}"


@dataclass
class StageTally:
    """One stage: who stands there, whose deadline has passed, and completed stays in seconds."""

    standing: Part = field(default_factory=Counter)
    past: Part = field(default_factory=Counter)
    left: Part = field(default_factory=Counter)
    stays: list[int] = field(default_factory=list)


@dataclass
class Tally:
    """All counts at one moment."""

    counts: dict[tuple[Quantity, Dimension], dict[Key, Part]]
    durations: dict[tuple[Duration, Dimension], dict[Key, list[int]]]
    stages: dict[int, StageTally]
    finals: set[int]
    months: dict[str, tuple[Part, Part, Part]]
    """By calendar month: open before it, new in it, concluded in it."""

    def part(self, quantity: Quantity, dimension: Dimension, key: Key) -> Part:
        """One count by owner."""
        return self.counts.get((quantity, dimension), {}).get(key, Counter())

    def keys(self, dimension: Dimension) -> list[Key]:
        """The rows of a dimension: those where something was imported."""
        return sorted(self.counts.get((Quantity.IMPORTED, dimension), {}))


def tally(found: Histories, now: int, owner: int | None = None) -> Tally:
    """Count at the chain time `now`; of one owner's cases alone where one is given."""
    counts: dict[tuple[Quantity, Dimension], dict[Key, Part]] = defaultdict(lambda: defaultdict(Counter))
    durations: dict[tuple[Duration, Dimension], dict[Key, list[int]]] = defaultdict(lambda: defaultdict(list))
    made = Tally(counts, durations, defaultdict(StageTally), set(), {})

    def add(who: int, places: list[Place], quantity: Quantity, count: int) -> None:
        for dimension, key in places:
            counts[quantity, dimension][key][who] += count

    for batch in found.batches.values():
        unopened = batch.count - batch.opened
        if unopened and owner in (None, batch.owner):
            places = _places(batch.time, NOT_OPENED, batch.owner)
            add(batch.owner, places, Quantity.IMPORTED, unopened)
            add(batch.owner, places, Quantity.OPEN, unopened)
            made.stages[FIRST_STAGE].standing[batch.owner] += unopened
    for case in found.cases.values():
        if owner not in (None, case.owner):
            continue
        places = _places(case.imported, case.product, case.owner)
        for quantity, count in _counts(case, now).items():
            if count:
                add(case.owner, places, quantity, count)
        for duration, seconds in _durations(case).items():
            for dimension, key in places:
                durations[duration, dimension][key].append(seconds)
        _stages(made, case, now)
        made.finals |= {code for code, stage in case.life.stages.items() if stage.final}
    made.months = _months(found, now, owner)
    return made


def _places(imported: int, product: int, owner: int) -> list[Place]:
    return [
        (Dimension.ALL, ""), (Dimension.MONTH, month_of(imported)), (Dimension.PRODUCT, product),
        (Dimension.OWNER, owner),
    ]  # fmt: skip


def _past(case: CaseHistory, now: int) -> bool:
    return not case.final and 0 < case.deadline < now


def _counts(case: CaseHistory, now: int) -> dict[Quantity, int]:
    stood = {stay.stage for stay in case.stays}
    clocks = [stay for stay in case.stays if case.life.stages[stay.stage].clock is not None]
    return {
        Quantity.IMPORTED: 1,
        Quantity.OPENED: 1,
        Quantity.HANDLED: bool(stood & {StageCode.CENTRAL, StageCode.SPECIAL}),
        Quantity.SETTLED: StageCode.SETTLED in stood,
        Quantity.MEDIATED: StageCode.MEDIATING in stood,
        Quantity.AGREED: StageCode.MED_AGREED in stood,
        Quantity.FILED: StageCode.FILED in stood,
        Quantity.JUDGED: _trial(case) is not None,
        Quantity.CONCLUDED: case.final,
        Quantity.OPEN: not case.final,
        Quantity.PAST: _past(case, now),
        Quantity.CLOCKS: len(clocks),
        Quantity.BREACHED: sum(stay.marked for stay in clocks),
    }


def _trial(case: CaseHistory) -> int | None:
    """Seconds from the first filing to the first decision after it."""
    filed = case.first(StageCode.FILED)
    if filed is None:
        return None
    ended = case.first(StageCode.JUDGED, StageCode.EFFECTIVE, StageCode.COURT_MEDIATED, after=filed)
    return None if ended is None else ended - filed


def _durations(case: CaseHistory) -> dict[Duration, int]:
    found = {}
    if case.final:
        found[Duration.CYCLE] = case.stays[-1].entered - case.imported
    trial = _trial(case)
    if trial is not None:
        found[Duration.TRIAL] = trial
    return found


def _stages(made: Tally, case: CaseHistory, now: int) -> None:
    made.stages[case.stage].standing[case.owner] += 1
    if _past(case, now):
        made.stages[case.stage].past[case.owner] += 1
    for stay in case.stays:
        if stay.left is not None:
            made.stages[stay.stage].left[case.owner] += 1
            made.stages[stay.stage].stays.append(stay.left - stay.entered)


def _months(found: Histories, now: int, owner: int | None) -> dict[str, tuple[Part, Part, Part]]:
    """Open before, new, concluded, for each month from the first import to the present one.

    Concluded in a month: ended when it was over (or now), and not when it began.
    """
    batches = [batch for batch in found.batches.values() if owner in (None, batch.owner)]
    if not batches:
        return {}
    names = _names(min(batch.time for batch in batches), now)
    place = {name: at for at, name in enumerate(names)}
    opened = [(Counter[int](), Counter[int](), Counter[int]()) for _ in names]
    for batch in batches:
        at = place[month_of(batch.time)]
        opened[at][1][batch.owner] += batch.count
        for later in range(at + 1, len(names)):
            opened[later][0][batch.owner] += batch.count - batch.opened
    for case in found.cases.values():
        if owner not in (None, case.owner):
            continue
        ended = False
        ends = {place[month_of(stay.entered)]: case.life.stages[stay.stage].final for stay in case.stays}
        for at in range(place[month_of(case.imported)], len(names)):
            if at > place[month_of(case.imported)] and not ended:
                opened[at][0][case.owner] += 1
            now_ended = ends.get(at, ended)
            if now_ended and not ended:
                opened[at][2][case.owner] += 1
            ended = now_ended
    return dict(zip(names, opened, strict=True))


def _names(first: int, last: int) -> list[str]:
    begin, end = local(first), local(last)
    count = (end.year - begin.year) * 12 + end.month - begin.month + 1
    months = [begin.year * 12 + begin.month - 1 + at for at in range(count)]
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in months]
