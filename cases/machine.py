"""The rules of a case, pure: what CaseLedger does, in the same order and with the same codes.

docs/spec/case.md §7. Gateways ask it before they send; the contract decides. Signatures, inclusion proofs and
the guards of facts and consents are not its matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cases import deadlines
from cases import refusals as no
from cases.calendar import WorkCalendar
from cases.errors import CalendarYearUnknown
from cases.lifecycle import COURT_ROLES, OWNER, CourtRule, Lifecycle, Stage, Transition, When
from evidence.errors import ActExpired
from protocol.case_acts import Move, Pause, Resume, Reverse

FIRST_STAGE = 1
MOST_HOLDS = 15


@dataclass(frozen=True)
class HoldRecord:
    """A pause; kind 0 is the time between a step and its reversal. `until` None while open."""

    kind: int
    start: int
    until: int | None = None
    organisation: int = 0


@dataclass(frozen=True)
class Clock:
    """A running clock: the stage's length, what was added, when it began, its pauses."""

    start: int
    length: deadlines.Clock | None
    extension: int = 0
    holds: tuple[HoldRecord, ...] = ()


@dataclass(frozen=True)
class Previous:
    """What a reversal brings back."""

    organisation: int
    stage: int
    clock: Clock
    court: int
    extended: bool


@dataclass(frozen=True)
class CaseState:
    """Where a case stands. Times in seconds UTC; organisations are indexes, 0 nobody."""

    version: int
    stage: int
    product: int
    owner: int
    since: int
    clock: Clock
    court: int = 0
    marked: bool = False
    previous: Previous | None = None
    deadline: int | None = None
    provisional: bool = False

    @property
    def open_holds(self) -> int:
        """How many pauses are open."""
        return sum(hold.until is None for hold in self.clock.holds)


@dataclass(frozen=True)
class Machine:
    """One lifecycle, one calendar, and who has which roles (a uint32 by organisation index)."""

    life: Lifecycle
    calendar: WorkCalendar
    roles: Callable[[int], int]

    def opened(self, *, owner: int, product: int, imported: int) -> CaseState:
        """A case as it comes to life: version 1, first stage, clock since its batch was imported."""
        stage = self.life.stages[FIRST_STAGE]
        state = CaseState(1, FIRST_STAGE, product, owner, imported, Clock(imported, _length(stage)))
        return self._settled(state, imported)

    def moved(self, state: CaseState, act: Move, now: int, evidence: int = 0) -> CaseState:
        """The case after a step; `evidence` is the number of entries shown.

        Raises:
            CaseRefused: its subclasses; CalendarYearUnknown where nobody can know whether time has run out.
        """
        _in_time(act.valid_until, now)
        _same_version(state, act.version)
        step = self._step(state, act.transition)
        if step.lapse:
            raise no.CaseNotAnAct(step.name, article=step.article)
        self._require_clock(state, step, now)
        self._require_actors(state, step, act)
        if act.reason not in ({reason.code for reason in step.reasons} or {0}):
            raise no.CaseReasonInvalid(f"{act.reason} of {step.name}", article=step.article, field="reason")
        if evidence != len(step.evidence):
            raise no.EvidenceCountWrong(
                f"{evidence} given, {len(step.evidence)} needed", article=step.article, field="evidence"
            )
        return self.after_move(state, step, act.organisation, now)

    def lapsed(self, state: CaseState, version: int, transition: int, now: int) -> CaseState:
        """The case after time alone has moved it."""
        _same_version(state, version)
        step = self._step(state, transition)
        if not step.lapse:
            raise no.CaseNotALapse(step.name, article=step.article)
        self._require_clock(state, step, now)
        return self.after_lapse(state, step, now)

    def paused(self, state: CaseState, act: Pause, now: int) -> CaseState:
        """The case with its clock stopped."""
        _in_time(act.valid_until, now)
        _same_version(state, act.version)
        stage = self.life.stages[state.stage]
        if act.kind not in stage.holds:
            raise no.CaseHoldNotAllowed(f"kind {act.kind} in {stage.name}", field="kind")
        self._require_role(
            state, act.organisation, self.life.holds[act.kind].by, self.life.holds[act.kind].article
        )
        holds = state.clock.holds
        if len(holds) >= MOST_HOLDS:
            raise no.CaseTooManyHolds(str(len(holds)))
        if any(hold.kind == act.kind and hold.until is None for hold in holds):
            raise no.CaseHoldOpen(self.life.holds[act.kind].name, field="kind")
        return self.after_pause(state, act.kind, act.organisation, now)

    def resumed(self, state: CaseState, act: Resume, now: int) -> CaseState:
        """The case with one pause ended."""
        _in_time(act.valid_until, now)
        _same_version(state, act.version)
        hold = self.life.holds.get(act.kind)
        self._require_role(state, act.organisation, hold.by if hold else 0, hold.article if hold else "")
        return self.after_resume(state, act.kind, now)

    def reversed(self, state: CaseState, act: Reverse, now: int) -> CaseState:
        """The case with its last step taken back."""
        _in_time(act.valid_until, now)
        _same_version(state, act.version)
        last = state.previous
        if last is None:
            raise no.CaseNotReversible()
        if act.organisation != last.organisation:
            raise no.CaseNotOriginator(f"{act.organisation}, the step was {last.organisation}'s")
        _require_other(act.organisation, act.co_organisation)
        both = self.roles(act.organisation) | self.roles(act.co_organisation)
        if self.life.stages[last.stage].court and not both & COURT_ROLES:
            raise no.CaseCourtOnly(self.life.stages[last.stage].name)
        return self.after_reversal(state, now)

    def marked(self, state: CaseState, now: int) -> CaseState:
        """The case with its deadline recorded as passed; the version stays."""
        if state.marked:
            raise no.CaseIsMarked()
        deadline = self.exact(state, now)
        if deadline is None or now <= deadline:
            raise no.CaseNotOverdue(str(deadline))
        return replace(state, marked=True)

    # What a change does, once it is allowed. The index asks these alone: the chain has allowed it.

    def after_move(self, state: CaseState, step: Transition, organisation: int, now: int) -> CaseState:
        """The case after an act's step."""
        previous = Previous(organisation, state.stage, state.clock, state.court, step.extends)
        court = organisation if step.court_rule is CourtRule.SETS else state.court
        return self._entered(replace(state, court=court), step, now, previous)

    def after_lapse(self, state: CaseState, step: Transition, now: int) -> CaseState:
        """The case after a step of time alone."""
        return self._entered(state, step, now, None)

    def after_pause(self, state: CaseState, kind: int, organisation: int, now: int) -> CaseState:
        """The case with one more open pause."""
        holds = (*state.clock.holds, HoldRecord(kind, now, None, organisation))
        clock = replace(state.clock, holds=holds)
        return replace(
            state, version=state.version + 1, clock=clock, previous=None, deadline=None, provisional=False
        )

    def after_resume(self, state: CaseState, kind: int, now: int) -> CaseState:
        """The case with a pause ended. Raises CaseHoldNotOpen."""
        holds = list(state.clock.holds)
        for at, record in enumerate(holds):
            if record.kind == kind and record.until is None:
                holds[at] = replace(record, until=now)
                break
        else:
            raise no.CaseHoldNotOpen(str(kind), field="kind")
        clock = replace(state.clock, holds=tuple(holds))
        return self._settled(replace(state, version=state.version + 1, clock=clock), now)

    def after_reversal(self, state: CaseState, now: int) -> CaseState:
        """The case as before its last step. Raises CaseNotReversible."""
        last = state.previous
        if last is None:
            raise no.CaseNotReversible()
        clock, since = last.clock, state.since
        if not last.extended:
            record = HoldRecord(0, state.since, now, last.organisation)
            closed = tuple(
                hold if hold.until is not None else replace(hold, until=state.since) for hold in clock.holds
            )
            clock, since = replace(clock, holds=(*closed, record)), now
        back = replace(
            state,
            version=state.version + 1,
            stage=last.stage,
            clock=clock,
            court=last.court,
            since=since,
            previous=None,
            marked=False,
        )
        return self._settled(back, now)

    def deadline(self, state: CaseState) -> tuple[int | None, bool]:
        """The last second in time and whether it may still move; None without a clock or while paused."""
        length = state.clock.length
        if length is None or state.open_holds:
            return None, False
        try:
            return deadlines.compute(self.calendar, state.clock.start, length, _spans(state)).time, False
        except CalendarYearUnknown:
            return deadlines.earliest(state.clock.start, length, _spans(state)), True

    def exact(self, state: CaseState, now: int) -> int | None:
        """The deadline by which "has passed" can be said; raises CalendarYearUnknown where it cannot."""
        if not state.provisional or (state.deadline is not None and now <= state.deadline):
            return state.deadline
        assert state.clock.length is not None  # noqa: S101
        return deadlines.compute(self.calendar, state.clock.start, state.clock.length, _spans(state)).time

    def possible(self, state: CaseState, organisation: int, now: int) -> tuple[Transition, ...]:
        """Steps that this organisation could take now, as far as roles, stage and time decide."""
        found = []
        for step in self.life.leaving(state.stage):
            try:
                self._require_clock(state, step, now)
                if not step.lapse:
                    self._require_first(state, step, organisation)
            except (no.CaseRefused, CalendarYearUnknown):
                continue
            found.append(step)
        return tuple(found)

    def _step(self, state: CaseState, transition: int) -> Transition:
        step = self.life.transitions.get(transition)
        if step is None:
            raise no.PolicyTransitionUnknown(str(transition), field="transition")
        if state.stage not in step.sources:
            stage = self.life.stages[state.stage]
            raise no.CaseTransitionIllegal(f"{step.name} from {stage.name}", article=step.article)
        return step

    def _require_clock(self, state: CaseState, step: Transition, now: int) -> None:
        held = state.open_holds
        if held and not step.held:
            raise no.CaseOnHold(f"{held} open", article=step.article)
        if step.extends and state.clock.extension:
            raise no.CaseAlreadyExtended(step.name, article=step.article)
        if step.when is When.ANY:
            return
        if held:
            if step.when is When.BEFORE:
                return
            raise no.CaseOnHold(f"{held} open", article=step.article)
        deadline = self.exact(state, now) or 0
        if step.when is When.BEFORE and now > deadline:
            raise no.CaseTooLate(f"{deadline}", article=step.article)
        if step.when is When.AFTER and now <= deadline:
            raise no.CaseTooEarly(f"{deadline}", article=step.article)

    def _require_actors(self, state: CaseState, step: Transition, act: Move) -> None:
        self._require_first(state, step, act.organisation)
        if not step.beside:
            if act.co_organisation:
                raise no.CaseCoSignerInvalid(f"{act.co_organisation}: nobody else signs {step.name}")
            return
        _require_other(act.organisation, act.co_organisation)
        self._require_role(state, act.co_organisation, step.beside, step.article)

    def _require_first(self, state: CaseState, step: Transition, organisation: int) -> None:
        self._require_role(state, organisation, step.by, step.article)
        if step.court_rule is CourtRule.SAME and organisation != state.court:
            raise no.CaseOtherCourt(f"{organisation}, the case is {state.court}'s", article=step.article)
        if self.life.stages[step.target].court and not self.roles(organisation) & COURT_ROLES:
            raise no.CaseCourtOnly(step.name, article=step.article)

    def _require_role(self, state: CaseState, organisation: int, allowed: int, article: str) -> None:
        if allowed & OWNER and organisation == state.owner:
            return
        if not self.roles(organisation) & allowed & ~OWNER:
            raise no.CaseRoleMissing(f"organisation {organisation}", article=article, field="organisation")

    def _entered(self, state: CaseState, step: Transition, now: int, previous: Previous | None) -> CaseState:
        state = replace(state, version=state.version + 1, previous=previous)
        length = state.clock.length
        if step.extends and length is not None and step.clock is not None:
            longer = replace(length, count=length.count + step.clock.count)
            clock = replace(state.clock, length=longer, extension=step.id)
            return self._settled(replace(state, clock=clock), now)
        target = self.life.stages[step.target]
        return self._settled(
            replace(state, stage=target.code, since=now, clock=Clock(now, _length(target)), marked=False), now
        )

    def _settled(self, state: CaseState, now: int) -> CaseState:
        deadline, provisional = self.deadline(state)
        marked = state.marked and deadline is not None and deadline < now
        return replace(state, deadline=deadline, provisional=provisional, marked=marked)


def _length(stage: Stage) -> deadlines.Clock | None:
    return stage.clock.length if stage.clock else None


def _spans(state: CaseState) -> tuple[deadlines.Hold, ...]:
    return tuple(deadlines.Hold(hold.start, hold.until) for hold in state.clock.holds)


def _in_time(valid_until: int, now: int) -> None:
    if now > valid_until:
        raise ActExpired(str(valid_until), field="validUntil")


def _same_version(state: CaseState, version: int) -> None:
    if version != state.version:
        raise no.CaseVersionStale(f"{version}, the case is at {state.version}", field="version")


def _require_other(organisation: int, other: int) -> None:
    if other in (0, organisation):
        raise no.CaseCoSignerInvalid(f"{other} beside {organisation}", field="coOrganisation")
