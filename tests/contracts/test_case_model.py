"""CaseLedger, as compiled and committed, against `cases.machine`: random acts, same answers, same state.

Evidence, calendar, batches and governance are the real contracts, in revm.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cases.lifecycle import OWNER, Transition, When
from cases.machine import CaseState
from cases.refusals import CaseUnknown
from chain.bindings import (
    CASE_LEDGER,
)
from protocol.case_acts import Move, Pause, Resume, Reverse
from protocol.errors import CaseledgerError

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.case_world import ALL_ROLES, CASES, DAY, MEMBERS, NOWHERE, ZERO, World, case_id, values
from tests.support.revm import BANK, CENTRE, COURT, FOREVER, REGULATOR


class CaseRules(RuleBasedStateMachine):
    """Each rule makes one act, asks the model for the outcome, and compares answer and state."""

    @initialize()
    def start(self) -> None:
        self.world = World()
        self.chain, self.machine = self.world.chain, self.world.machine
        self.states: dict[int, CaseState] = {}

    def before(self, which: int) -> CaseState:
        """The case, as the model would bring it to life now."""
        if which in self.states:
            return self.states[which]
        return self.machine.opened(owner=BANK, product=1, imported=self.world.imported)

    def compare(self, which: int, foretold: Any, function: str, *arguments: Any) -> None:
        """`foretold` makes the new state or raises; the contract must do the same."""
        code, state = None, None
        try:
            state = foretold()
        except CaseledgerError as error:
            code = error.code
        try:
            self.chain.call(CASE_LEDGER, function, *arguments)
            answer = None
        except CaseledgerError as error:
            answer = error.code
        assert answer == code, f"{function}: {answer}, foretold {code}"
        if code is not None:
            return
        assert state is not None
        self.states[which] = state
        self.same(which)

    def same(self, which: int) -> None:
        state = self.states[which]
        (found,) = self.chain.call(CASE_LEDGER, "caseOf", case_id(which))
        have = dict(zip(MEMBERS, found, strict=False))
        length = state.clock.length
        assert have["version"] == state.version
        assert have["stage"] == state.stage
        assert have["owner"] == state.owner
        assert have["since"] == state.since
        assert have["court"] == state.court
        assert have["openHolds"] == state.open_holds
        assert have["clockStart"] == state.clock.start
        assert have["clock"] == (length.packed if length else 0)
        assert have["extension"] == state.clock.extension
        assert have["deadline"] == (state.deadline or 0)
        assert bool(have["flags"] & 1) == state.marked
        assert bool(have["flags"] & 2) == (state.previous is not None)
        if state.open_holds == 0:
            assert bool(have["flags"] & 8) == state.provisional

    def origin(self, which: int) -> Any:
        return NOWHERE if which in self.states else self.world.origin(which)

    @rule(
        which=st.integers(0, CASES - 1),
        pick=st.integers(0, 1000),
        wild=st.integers(0, 9),
        actor=st.sampled_from(sorted(ALL_ROLES)),
        other=st.sampled_from([0, *sorted(ALL_ROLES)]),
        reason=st.integers(0, 17),
        shown=st.booleans(),
        stale=st.booleans(),
    )
    def try_move(
        self, which: int, pick: int, wild: int, actor: int, other: int, reason: int, shown: bool, stale: bool
    ) -> None:
        self.move(which, pick, wild, actor, other, reason, shown, stale)

    def move(
        self, which: int, pick: int, wild: int, actor: int, other: int, reason: int, shown: bool, stale: bool
    ) -> None:
        state = self.before(which)
        ways = self.machine.life.leaving(state.stage) or tuple(self.machine.life.transitions.values())
        step = ways[pick % len(ways)] if wild else list(self.machine.life.transitions.values())[pick % 73]
        # Mostly an act as it should be; one part of it is wrong now and then.
        if wild != 1:
            actor = self.right(state, step.by, step, actor)
        if wild != 2:
            other = self.right(state, step.beside, step, other, but=actor) if step.beside else 0
        if wild != 3:
            reason = step.reasons[reason % len(step.reasons)].code if step.reasons else 0
        proof, digest, count = self.world.evidence(which, step)
        if wild == 4 and not shown:
            proof, digest, count = b"", ZERO, 0
        version = state.version + 1 if wild == 5 and stale else state.version
        late = self.chain.now - 1 if wild == 6 and stale else FOREVER
        act = Move(case_id(which), version, step.id, actor, other, reason, digest, ZERO, ZERO, late)
        signed = self.world.sign(act, actor)
        beside = self.world.sign(act, other) if other else b""
        self.compare(
            which,
            lambda: self.machine.moved(state, act, self.chain.now, count),
            "move",
            values(act),
            self.origin(which),
            proof,
            signed,
            beside,
        )

    @rule(which=st.integers(0, CASES - 1), picks=st.lists(st.integers(0, 1000), min_size=1, max_size=6))
    def advance(self, which: int, picks: list[int]) -> None:
        """Acts as they should be, so that cases get far; time runs out where a step asks for it."""
        for pick in picks:
            state = self.before(which)
            life = self.machine.life
            ways = [
                step
                for step in life.leaving(state.stage)
                if not life.stages[step.target].final and not (step.extends and state.clock.extension)
            ]
            if not ways or state.open_holds:
                return
            step = ways[pick % len(ways)]
            if step.when is When.AFTER and state.deadline and which in self.states:
                self.chain.warp(max(0, state.deadline + 1 - self.chain.now))
            if step.lapse:
                self.lapse(which, step.id)
            else:
                self.move(which, life.leaving(state.stage).index(step), 9, pick, pick, pick, True, False)

    def right(self, state: CaseState, allowed: int, step: Transition, seed: int, but: int = 0) -> int:
        """An organisation that may do it, if there is one."""
        if state.court and state.court != but and ALL_ROLES[state.court] & allowed:
            return state.court
        fit = [org for org in sorted(ALL_ROLES) if ALL_ROLES[org] & allowed & ~OWNER and org != but]
        if allowed & OWNER and but != state.owner:
            fit.append(state.owner)
        return fit[seed % len(fit)] if fit else seed

    @rule(which=st.integers(0, CASES - 1), transition=st.sampled_from([16, 32, 15, 99]))
    def try_lapse(self, which: int, transition: int) -> None:
        self.lapse(which, transition)

    def lapse(self, which: int, transition: int) -> None:
        if which not in self.states:
            self.compare(which, self.nothing, "lapse", case_id(which), 1, transition)
            return
        state = self.states[which]
        self.compare(
            which,
            lambda: self.machine.lapsed(state, state.version, transition, self.chain.now),
            "lapse",
            case_id(which),
            state.version,
            transition,
        )

    @staticmethod
    def nothing() -> CaseState:
        raise CaseUnknown

    @rule(
        which=st.integers(0, CASES - 1), kind=st.integers(0, 10), actor=st.sampled_from([BANK, CENTRE, COURT])
    )
    def pause(self, which: int, kind: int, actor: int) -> None:
        state = self.before(which)
        act = Pause(case_id(which), state.version, actor, kind, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.paused(state, act, self.chain.now),
            "pause",
            values(act),
            self.origin(which),
            self.world.sign(act, actor),
        )

    @rule(
        which=st.integers(0, CASES - 1), kind=st.integers(0, 10), actor=st.sampled_from([BANK, CENTRE, COURT])
    )
    def resume(self, which: int, kind: int, actor: int) -> None:
        state = self.states.get(which)
        if state is None:
            return
        open_kinds = [hold for hold in state.clock.holds if hold.until is None]
        if open_kinds and kind < 8:
            kind, actor = open_kinds[-1].kind, open_kinds[-1].organisation
        act = Resume(case_id(which), state.version, actor, kind, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.resumed(state, act, self.chain.now),
            "resume",
            values(act),
            self.world.sign(act, actor),
        )

    @rule(
        which=st.integers(0, CASES - 1),
        honest=st.integers(0, 3),
        actor=st.sampled_from(sorted(ALL_ROLES)),
        other=st.sampled_from([0, BANK, CENTRE, COURT, REGULATOR]),
    )
    def reverse(self, which: int, honest: int, actor: int, other: int) -> None:
        state = self.states.get(which)
        if state is None:
            return
        if honest and state.previous:
            actor = state.previous.organisation
        act = Reverse(case_id(which), state.version, actor, other, ZERO, FOREVER)
        self.compare(
            which,
            lambda: self.machine.reversed(state, act, self.chain.now),
            "reverse",
            values(act),
            self.world.sign(act, actor),
            self.world.sign(act, other) if other else b"",
        )

    @rule(which=st.integers(0, CASES - 1))
    def mark(self, which: int) -> None:
        state = self.before(which)
        self.compare(
            which,
            lambda: self.machine.marked(state, self.chain.now),
            "markOverdue",
            case_id(which),
            self.origin(which),
        )

    @rule(seconds=st.one_of(st.integers(1, 3 * DAY), st.integers(1, 40 * DAY)))
    def warp(self, seconds: int) -> None:
        self.chain.warp(seconds)

    @invariant()
    def a_case_without_an_act_is_unknown(self) -> None:
        for which in range(CASES):
            if which not in self.states:
                (found,) = self.chain.call(CASE_LEDGER, "caseOf", case_id(which))
                assert found[0] == 0


def _run(examples: int) -> None:
    # A failure shows its steps as they were; making them fewer takes longer than reading them.
    CaseRules.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    CaseRules.TestCase().runTest()


def test_contract_and_model_agree() -> None:
    _run(6)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_contract_and_model_agree_for_ten_thousand_steps() -> None:
    _run(200)
