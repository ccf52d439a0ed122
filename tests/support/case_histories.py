"""Whole lives of cases by the rules of `cases.machine`: random acts at random times, as rows of changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from cases.accounting import Change
from cases.calendar import WorkCalendar, Year, weekdays
from cases.errors import CalendarYearUnknown
from cases.lifecycle import OWNER, CourtRule, Lifecycle, Transition, When
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.machine import CaseState, Machine
from cases.refusals import CaseRefused
from protocol.acts import Role
from protocol.case_acts import Move, Pause, Resume, Reverse

BANK, CENTRE, COURT, MEDIATION, ENFORCEMENT, POLICE, PROSECUTOR, REGULATOR, OTHER_COURT = range(1, 10)
ROLES = {
    BANK: Role.BANK.mask,
    CENTRE: Role.CENTRE.mask,
    COURT: Role.COURT.mask,
    MEDIATION: Role.MEDIATION.mask,
    ENFORCEMENT: Role.ENFORCEMENT.mask,
    POLICE: Role.POLICE.mask,
    PROSECUTOR: Role.PROSECUTOR.mask,
    REGULATOR: Role.REGULATOR.mask,
    OTHER_COURT: Role.COURT.mask,
}
START = 1_800_000_000  # January 2027
DAY = 86_400
ZERO, FOREVER = bytes(32), 2**40 - 1
CALENDAR = WorkCalendar({year: Year(year, weekdays(year), "weekdays") for year in (2027, 2028)})
"""Ends with 2028, so that clocks of years are provisional."""


def machine(life: Lifecycle = LIFECYCLE_V1, calendar: WorkCalendar = CALENDAR) -> Machine:
    return Machine(life, calendar, lambda index: ROLES.get(index, 0))


@dataclass
class Life:
    """One case; `changes` are what the chain would report, `states` what it would hold after each."""

    rng: random.Random
    rules: Machine
    case_id: bytes
    now: int = START
    state: CaseState = field(init=False)
    changes: list[Change] = field(default_factory=list)
    states: list[CaseState] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.rules.opened(owner=BANK, product=1, imported=self.now)

    def live(self, acts: int) -> Life:
        """`acts` attempts; some are refused and leave no trace."""
        for _ in range(acts):
            self._wait()
            self.attempt()
        return self

    def attempt(self) -> None:
        kinds = (self._move, self._move, self._move, self._pause, self._resume, self._reverse, self._mark)
        try:
            after, kind, transition = self.rng.choice(kinds)()
        except (CaseRefused, CalendarYearUnknown):
            return
        if not self.changes:
            opened = self.rules.opened(owner=BANK, product=1, imported=START)
            self._report("opened", None, opened)
        self._report(kind, transition, after)

    def _report(self, kind: str, transition: int | None, after: CaseState) -> None:
        self.state = after
        self.states.append(after)
        self.changes.append(
            Change(
                self.case_id, kind, transition, self.now, after.version, after.stage, after.clock.start,
                after.deadline, after.provisional, after.open_holds,
            )
        )  # fmt: skip

    def _wait(self) -> None:
        """Often to a second around the deadline, because that is where rules differ."""
        ahead = None if self.state.deadline is None else self.state.deadline - self.now
        if ahead is not None and 0 <= ahead < 1000 * DAY and self.rng.random() < 0.4:
            self.now += max(0, ahead + self.rng.choice((-1, 0, 1, DAY)))
        else:
            self.now += self.rng.choice((0, 1, 3600, DAY, 9 * DAY))

    def _move(self) -> tuple[CaseState, str, int | None]:
        ways = self.rules.life.leaving(self.state.stage)
        if not ways:
            raise CaseRefused
        step = self.rng.choice(ways)
        if self.rules.life.stages[step.target].final and self.rng.random() < 0.9:
            raise CaseRefused  # so that lives are long
        if step.lapse:
            return self.rules.lapsed(self.state, self.state.version, step.id, self.now), "lapsed", step.id
        first = self._who(step.by, step)
        other = self._who(step.beside, None, but=first) if step.beside else 0
        reason = self.rng.choice(step.reasons).code if step.reasons else 0
        act = Move(self.case_id, self.state.version, step.id, first, other, reason, ZERO, ZERO, ZERO, FOREVER)
        return self.rules.moved(self.state, act, self.now, len(step.evidence)), "moved", step.id

    def _who(self, allowed: int, step: Transition | None, but: int = 0) -> int:
        if step is not None and step.court_rule is CourtRule.SAME:
            return self.state.court
        fit = [org for org, roles in ROLES.items() if roles & allowed & ~OWNER and org != but]
        if allowed & OWNER and but != BANK:
            fit.append(BANK)
        return self.rng.choice(fit) if fit else 0

    def _pause(self) -> tuple[CaseState, str, int | None]:
        kinds = self.rules.life.stages[self.state.stage].holds or (1,)
        kind = self.rng.choice(kinds)
        who = self._who(self.rules.life.holds[kind].by, None)
        act = Pause(self.case_id, self.state.version, who, kind, ZERO, FOREVER)
        return self.rules.paused(self.state, act, self.now), "paused", None

    def _resume(self) -> tuple[CaseState, str, int | None]:
        kind, who = next(
            ((hold.kind, hold.organisation) for hold in self.state.clock.holds if hold.until is None), (1, 0)
        )
        act = Resume(self.case_id, self.state.version, who, kind, ZERO, FOREVER)
        return self.rules.resumed(self.state, act, self.now), "resumed", None

    def _reverse(self) -> tuple[CaseState, str, int | None]:
        last = self.state.previous
        who = last.organisation if last else 0
        act = Reverse(
            self.case_id, self.state.version, who, REGULATOR if who != COURT else BANK, ZERO, FOREVER
        )
        return self.rules.reversed(self.state, act, self.now), "reversed", None

    def _mark(self) -> tuple[CaseState, str, int | None]:
        return self.rules.marked(self.state, self.now), "overdue", None


def lives(seed: int, count: int, acts: int, rules: Machine | None = None) -> Iterator[Life]:
    """`count` cases of up to `acts` acts each."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    rules = rules or machine()
    for number in range(count):
        yield Life(rng, rules, number.to_bytes(32, "big")).live(rng.randint(0, acts))


def waits(life: Lifecycle, stage: int) -> bool:
    """Whether somebody may act in the stage only once its time is over."""
    return any(step.when is When.AFTER and not step.lapse for step in life.leaving(stage))
