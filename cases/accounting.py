"""What became of every deadline that ever ran: nothing is left over. Pure; for statistics and for audits.

Input are the changes of `cases.change` in order of `sequence`, of any number of cases of one lifecycle. A
deadline begins to run when a change puts it in force, and comes to exactly one end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from cases.errors import HistoryBroken
from cases.lifecycle import Lifecycle, When


class Outcome(StrEnum):
    """How a deadline ended, or how it stands."""

    MET = "met"
    """The case left the stage in time."""
    EXTENDED = "extended"
    PAUSED = "paused"
    """The clock was stopped before it ran out; what it shows afterwards is another deadline."""
    RESET = "reset"
    """A step was taken back: the deadline that it began, and the one that it had ended."""
    RAN_OUT = "ran-out"
    """Passed, in a stage that waits for that: cooling off, time to object, time to appeal."""
    OVERDUE = "overdue"
    """Passed, and somebody was late. `ended` says when the case left all the same."""
    LAPSED = "lapsed"
    """Passed, and the law moved the case."""
    UNDECIDED = "undecided"
    """The case left after a provisional deadline: whether in time, only the year's calendar can tell."""
    RUNNING = "running"

    @property
    def passed(self) -> bool:
        """Whether time ran out."""
        return self in (Outcome.RAN_OUT, Outcome.OVERDUE, Outcome.LAPSED)


class Row(Protocol):
    """A row of the database, by column names."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Change:
    """A row of `cases.change`, as far as clocks go: the event, and the state after it."""

    case_id: bytes
    kind: str
    transition: int | None
    time: int
    version: int
    stage: int
    clock_start: int
    deadline: int | None
    provisional: bool
    open_holds: int

    @classmethod
    def from_row(cls, row: Row) -> Change:
        """From a row with the table's column names."""
        return cls(
            bytes(row["case_id"]), row["kind"], row["transition"], row["time"], row["version"], row["stage"],
            row["clock_start"], row["deadline"], row["provisional"], row["open_holds"],
        )  # fmt: skip


@dataclass(frozen=True)
class Unmoved:
    """A case without any change: its first clock runs since the import (a row of `cases.case`)."""

    case_id: bytes
    stage: int
    clock_start: int
    deadline: int | None
    provisional: bool = False


@dataclass(frozen=True)
class Ran:
    """A deadline that ran. Times in seconds UTC; `ended` None while the case stands under it."""

    case_id: bytes
    stage: int
    begun: int
    deadline: int
    provisional: bool
    outcome: Outcome = Outcome.RUNNING
    ended: int | None = None
    marked: bool = False
    """Recorded on the chain as passed."""


@dataclass(frozen=True)
class Account:
    """Every deadline that ran, in the order in which they began within each case."""

    as_of: int
    deadlines: tuple[Ran, ...]

    @property
    def counts(self) -> Counter[Outcome]:
        """Sums to the number of deadlines."""
        return Counter(ran.outcome for ran in self.deadlines)

    def by_stage(self) -> dict[int, Counter[Outcome]]:
        """The counts of each stage in which a deadline ran."""
        found: dict[int, Counter[Outcome]] = {}
        for ran in self.deadlines:
            found.setdefault(ran.stage, Counter())[ran.outcome] += 1
        return found


def account(
    changes: Iterable[Change], life: Lifecycle, as_of: int, unmoved: Iterable[Unmoved] = ()
) -> Account:
    """What became of every deadline by `as_of` (seconds UTC, chain time); later changes are not looked at.

    Raises:
        HistoryBroken: the changes are not those of cases of this lifecycle, whole and in order
    """
    cases: dict[bytes, _Case] = {}
    for change in changes:
        if change.time > as_of:
            continue
        case = cases.get(change.case_id)
        if case is None:
            case = cases[change.case_id] = _Case(life)
        case.take(change)
    found = [ran for case in cases.values() for ran in case.at(as_of)]
    for one in unmoved:
        if one.case_id in cases:
            raise HistoryBroken(f"case {one.case_id.hex()} has moved")
        if one.deadline is not None and one.clock_start <= as_of:
            ran = Ran(one.case_id, one.stage, one.clock_start, one.deadline, one.provisional)
            found.append(_standing(life, ran, as_of))
    return Account(as_of, tuple(found))


@dataclass
class _Case:
    """One case on the way through its changes. `ran[running]` is in force, or passed and not left yet."""

    life: Lifecycle
    ran: list[Ran] = field(default_factory=list)
    running: int | None = None
    last: Change | None = None
    before_step: tuple[int | None] | None = None
    """What ran before the last step, while that can be taken back."""

    def take(self, change: Change) -> None:
        last = self.last
        self._check(change, last)
        match change.kind:
            case "opened":
                self._begin(change, change.clock_start)
            case "overdue":
                self._mark(change)
            case "moved" | "lapsed":
                stopped = self.running
                self._settle(self._after_step(change, last), change.time)
                self.before_step = (stopped,) if change.kind == "moved" else None
                self._begin(change, change.time)
            case "paused":
                if not self._passed(change.time):
                    self._settle(Outcome.PAUSED, change.time)
                self.before_step = None
            case "resumed":
                # A pause that began after the deadline gives nothing back: that one has passed for good.
                if self.running is None:
                    self._begin(change, change.time)
                self.before_step = None
            case "reversed":
                self._take_back(change)
            case _:
                raise HistoryBroken(f"change of kind {change.kind}")
        self.last = change

    def at(self, as_of: int) -> list[Ran]:
        if self.running is not None:
            self.ran[self.running] = _standing(self.life, self.ran[self.running], as_of)
        return self.ran

    def _check(self, change: Change, last: Change | None) -> None:
        name = f"case {change.case_id.hex()}, version {change.version}"
        stage = self.life.stages.get(change.stage)
        if stage is None:
            raise HistoryBroken(f"{name}: no stage {change.stage}")
        if (last is None) != (change.kind == "opened"):
            raise HistoryBroken(f"{name}: {change.kind} as its first change or opened twice")
        version = 1 if last is None else last.version + (change.kind != "overdue")
        if change.version != version or (last is not None and change.time < last.time):
            raise HistoryBroken(f"{name}: a change is missing or out of order")
        if (change.deadline is None) != (stage.clock is None or change.open_holds > 0):
            raise HistoryBroken(f"{name}: a deadline too many or too few in {stage.name}")

    def _begin(self, change: Change, since: int) -> None:
        self.running = None
        if change.deadline is not None:
            self.running = len(self.ran)
            ran = Ran(change.case_id, change.stage, since, change.deadline, change.provisional)
            self.ran.append(ran)

    def _passed(self, now: int) -> bool:
        """Whether the running deadline is known to have passed."""
        if self.running is None:
            return False
        ran = self.ran[self.running]
        return ran.marked or (not ran.provisional and now > ran.deadline)

    def _settle(self, outcome: Outcome, now: int) -> None:
        if self.running is not None:
            self.ran[self.running] = replace(self.ran[self.running], outcome=outcome, ended=now)
            self.running = None

    def _mark(self, change: Change) -> None:
        if self.running is None or not (self._passed(change.time) or self.ran[self.running].provisional):
            raise HistoryBroken(f"case {change.case_id.hex()}: marked overdue while in time")
        self.ran[self.running] = replace(self.ran[self.running], marked=True)

    def _after_step(self, change: Change, last: Change | None) -> Outcome:
        step = self.life.transitions.get(change.transition or 0)
        if step is None or last is None or last.stage not in step.sources or step.target != change.stage:
            raise HistoryBroken(f"case {change.case_id.hex()}: no step {change.transition} from there")
        if step.lapse != (change.kind == "lapsed"):
            raise HistoryBroken(f"case {change.case_id.hex()}: {step.name} as {change.kind}")
        if self.running is None:
            return Outcome.MET  # nothing runs, nothing is settled
        ran = self.ran[self.running]
        provisional = ran.provisional and not ran.marked and change.time > ran.deadline
        passed = self._passed(change.time) or (provisional and step.when is When.AFTER)
        early = step.when is When.AFTER and not passed
        late = step.when is When.BEFORE and passed and not last.open_holds
        if early or late:
            raise HistoryBroken(f"case {change.case_id.hex()}: {step.name} out of its time")
        if step.lapse:
            return Outcome.LAPSED
        if step.extends:
            return Outcome.EXTENDED
        if passed:
            return _missed(self.life, ran.stage)
        return Outcome.UNDECIDED if provisional and step.when is When.ANY else Outcome.MET

    def _take_back(self, change: Change) -> None:
        """The step did not happen: what it had ended is not met, what it began is void unless it passed."""
        if self.before_step is None:
            raise HistoryBroken(f"case {change.case_id.hex()}: reversed, and there was no step to reverse")
        if self.running is not None:
            passed = self._passed(change.time)
            self._settle(
                _missed(self.life, self.ran[self.running].stage) if passed else Outcome.RESET, change.time
            )
        (back,) = self.before_step
        self.before_step = None
        if back is not None and self.ran[back].outcome.passed:
            # Its time had run out before the step, and stays so.
            self.ran[back] = replace(self.ran[back], outcome=Outcome.RUNNING, ended=None)
            self.running = back
            return
        if back is not None:
            self.ran[back] = replace(self.ran[back], outcome=Outcome.RESET)
        self._begin(change, change.time)


def _missed(life: Lifecycle, stage: int) -> Outcome:
    """What a passed deadline is in this stage, when nobody but an organisation can move on."""
    waits = any(step.when is When.AFTER and not step.lapse for step in life.leaving(stage))
    return Outcome.RAN_OUT if waits else Outcome.OVERDUE


def _standing(life: Lifecycle, ran: Ran, as_of: int) -> Ran:
    passed = ran.marked or (not ran.provisional and as_of > ran.deadline)
    return replace(ran, outcome=_missed(life, ran.stage)) if passed else ran
