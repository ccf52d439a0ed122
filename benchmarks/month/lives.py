"""Cases as they live: the next act of each, by whom, and what the model says of it.

`cases/machine.py` runs beside the contract: every act is applied here first, and what the contract reports is
compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from benchmarks.month.cast import Cast
from benchmarks.month.paths import ELSE_HOURS, HOURS
from benchmarks.month.plan import LATE, BatchPlan, CasePlan, Hours
from cases.lifecycle import CourtRule, Lifecycle, Transition, When
from cases.machine import CaseState, Machine
from chain.case_acts import Origin
from protocol.case_acts import Move, Pause, Resume, Reverse
from protocol.entry import EvidenceClass

ZERO = bytes(32)
FOREVER = 2**40 - 1


@dataclass
class Life:
    """One case under way; `state` None until it comes to life on the chain."""

    plan: CasePlan
    batch: BatchPlan
    origin: Origin
    imported: int
    state: CaseState | None = None
    done: int = 0
    """Steps of the path that were made."""
    actors: list[int] = field(default_factory=list)

    @property
    def next(self) -> str | None:
        """The step that comes next."""
        return self.plan.path[self.done] if self.done < len(self.plan.path) else None


@dataclass(frozen=True)
class Deed:
    """One act: what to send, and the case after it. `need`: class and submitter of each entry it rests on."""

    kind: str
    life: Life
    version: int
    step: Transition | None = None
    organisation: int = 0
    co_organisation: int = 0
    reason: int = 0
    hold: int = 0
    need: tuple[tuple[EvidenceClass, int], ...] = ()

    @property
    def opens(self) -> bool:
        """Whether the case comes to life with it."""
        return self.life.state is None


class Society:
    """Decides who does what next, and applies it to the model."""

    def __init__(self, cast: Cast, machine: Machine, hours: Hours, seed: int) -> None:
        self.cast = cast
        self.machine = machine
        self.hours = hours
        self._rng = Random(f"{seed}/delays")  # noqa: S311 - a plan, not a secret

    @property
    def life(self) -> Lifecycle:
        """The rules."""
        return self.machine.life

    def stands(self, life: Life) -> CaseState:
        """The state, or that in which the case will come to life."""
        if life.state is not None:
            return life.state
        return self.machine.opened(
            owner=life.plan.lead.owner, product=life.plan.product, imported=life.imported
        )

    def due(self, life: Life, now: int) -> int | None:
        """When the next step comes; None at the end of the path."""
        name = life.next
        if name is None:
            return None
        state = self.stands(life)
        fewest, most = HOURS.get(name, ELSE_HOURS)
        wait = self._rng.randrange(fewest * 3600, most * 3600)
        if self._rng.randrange(LATE) == 0:
            wait *= 4
        step = self.life.transition(name) if ":" not in name and name != "reverse" else None
        if step is not None and step.when is When.AFTER:
            assert state.deadline is not None
            after = state.deadline + 60 + wait % 7200
            return after if step.lapse else self.hours.at_work(after)
        time = self.hours.at_work(now + wait)
        if (
            state.deadline is not None
            and step is not None
            and (step.when is When.BEFORE or self.lapses(state))
        ):
            return max(now + 1, min(time, state.deadline - 7200))  # a block comes within two hours
        return time

    def lapses(self, state: CaseState) -> bool:
        """Whether time alone moves a case on from here."""
        return any(step.lapse for step in self.life.leaving(state.stage))

    def marks_at(self, life: Life) -> int | None:
        """When the running deadline is recorded as passed, if it passes; None where time is waited for."""
        state = self.stands(life)
        waits = any(step.when is When.AFTER for step in self.life.leaving(state.stage))
        if waits or state.deadline is None or state.provisional or state.marked:
            return None
        return state.deadline + 1 + self._rng.randrange(3600)

    def next_deed(self, life: Life) -> Deed:
        """The act of the next step."""
        name, state, lead = life.next, self.stands(life), life.plan.lead
        assert name is not None
        kind, _, argument = name.partition(":")
        if kind in ("pause", "resume"):
            who = state.court or self.cast.index("centre")
            return Deed(kind, life, state.version, organisation=who, hold=int(argument))
        if kind == "reverse":
            others = (self.cast.index("centre"), self.cast.index("regulator"))
            other = next(one for one in others if one != life.actors[-1])
            return Deed(kind, life, state.version, organisation=life.actors[-1], co_organisation=other)
        step = self.life.transition(name)
        if step.lapse:
            return Deed("lapse", life, state.version, step)
        if step.court_rule is CourtRule.SAME:
            actor = state.court
        elif step.name.startswith("appeal-") or step.name == "appealed":
            actor = self.cast.index("high-court")
        else:
            actor = self.cast.actor(step.by, lead, state.stage)
        beside = self.cast.actor(step.beside, lead, state.stage, but=actor) if step.beside else 0
        reason = step.reasons[life.plan.number % len(step.reasons)].code if step.reasons else 0
        need = tuple((one.classes[0], self.cast.actor(one.roles, lead, state.stage)) for one in step.evidence)
        return Deed("move", life, state.version, step, actor, beside, reason, need=need)

    def mark(self, life: Life) -> Deed:
        """The act that records a passed deadline."""
        return Deed("mark", life, self.stands(life).version)

    def apply(self, deed: Deed, now: int) -> CaseState:
        """The case after the deed, in the model; raises what the contract refuses."""
        life, state = deed.life, self.stands(deed.life)
        case_id = life.plan.case_id
        match deed.kind:
            case "move":
                after = self.machine.moved(state, move_of(deed, ZERO), now, evidence=len(deed.need))
                life.actors.append(deed.organisation)
            case "lapse":
                assert deed.step is not None
                after = self.machine.lapsed(state, deed.version, deed.step.id, now)
            case "pause":
                pause = Pause(case_id, deed.version, deed.organisation, deed.hold, ZERO, FOREVER)
                after = self.machine.paused(state, pause, now)
            case "resume":
                resume = Resume(case_id, deed.version, deed.organisation, deed.hold, ZERO, FOREVER)
                after = self.machine.resumed(state, resume, now)
            case "reverse":
                after = self.machine.reversed(state, reverse_of(deed), now)
            case _:
                after = self.machine.marked(state, now)
        life.state = after
        if deed.kind != "mark":
            life.done += 1
        return after


def move_of(deed: Deed, evidence: bytes) -> Move:
    """The act of a step."""
    assert deed.step is not None
    return Move(
        deed.life.plan.case_id, deed.version, deed.step.id, deed.organisation, deed.co_organisation,
        deed.reason, evidence, ZERO, ZERO, FOREVER,
    )  # fmt: skip


def reverse_of(deed: Deed) -> Reverse:
    """The act that takes a step back."""
    return Reverse(
        deed.life.plan.case_id, deed.version, deed.organisation, deed.co_organisation, ZERO, FOREVER
    )
