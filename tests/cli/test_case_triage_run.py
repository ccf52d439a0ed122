"""A run of triage against the real contracts: killed anywhere and run again, each case is decided once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest

from cases.decision_table import Confirmation
from cases.decisions import reproduce
from cases.errors import CaseStepNotTaken, EvidenceMissing
from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.triage import NEWEST
from cases.triage_plan import CaseAt, KnownDecision, Override, State, plan
from cli.case_triage_run import Runner
from protocol.case_acts import Move
from protocol.case_decision import SealedDecision, open_decision
from protocol.case_row import CaseRow
from protocol.errors import CaseledgerError

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from chain.bindings import CASE_LEDGER
from tests.cases.test_decisions import FILED
from tests.cases.test_triage import row
from tests.support.case_batches import CENTRE as KEYED
from tests.support.case_batches import KEYS, recipients
from tests.support.case_world import CASES, MEMBERS, NOWHERE, World, case_id, leaf_hash, submitters, values
from tests.support.revm import CENTRE

ON = date(2026, 7, 1)
TO = recipients(KEYED)
ROWS: list[CaseRow] = [row(), replace(FILED, owner=7), row(overdue_days=2000), row(total=60_000_000)]


class Killed(Exception):
    """The process ended here."""


@dataclass
class Ledger:
    """The contracts in revm, and decisions as a gateway keeps them. Dies where it is told to."""

    world: World
    kept: list[tuple[SealedDecision, tuple[int, ...]]] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    calls: int = 0
    dies_at: int = 0
    """Number of the call that is not survived; before its effect, or after it where negative."""

    def _life(self, done: bool) -> None:
        if not done:
            self.calls += 1
        if self.calls == abs(self.dies_at) and done == (self.dies_at < 0):
            raise Killed

    # What the run uses

    def keep(self, sealed: SealedDecision, to: Sequence[int]) -> None:
        self._life(False)
        newest = [one.commitment for one, _ in self.kept if one.case_id == sealed.case_id][-1:]
        assert sealed.previous == (newest[0] if newest else None)
        self.kept.append((sealed, tuple(to)))
        self._life(True)

    def evidence(self, of: bytes, step: Transition) -> tuple[bytes, ...]:
        which = self._which(of)
        return tuple(
            leaf_hash(
                self.world.leaves[self.world.entries[which, need.classes[0], submitters(need.roles)[0]]]
            )
            for need in step.evidence
        )

    def send(self, act: Move, evidence: tuple[bytes, ...]) -> dict[str, Any]:
        self._life(False)
        which = self._which(act.case_id)
        proof, digest, _ = self.world.evidence(which, LIFECYCLE_V1.transitions[act.transition])
        assert digest == act.evidence
        origin = self.world.origin(which) if self.state(which)["version"] == 0 else NOWHERE
        signed = self.world.sign(act, CENTRE)
        try:
            self.world.chain.call(CASE_LEDGER, "move", values(act), origin, proof, signed, b"")
        except CaseledgerError as error:
            return {"state": "reverted", "code": error.code}
        self.moves.append(act)
        self._life(True)
        return {"state": "mined"}

    # What is read back

    def _which(self, of: bytes) -> int:
        return next(which for which in range(CASES) if case_id(which) == of)

    def state(self, which: int) -> dict[str, Any]:
        (found,) = self.world.chain.call(CASE_LEDGER, "caseOf", case_id(which))
        return dict(zip(MEMBERS, found, strict=True))

    def case(self, which: int) -> CaseAt:
        state = self.state(which)
        kept = [one for one, _ in self.kept if one.case_id == case_id(which)]
        known = [
            KnownDecision(
                one.commitment, open_decision(one, one.wrapped[0], KEYED, KEYS[KEYED].private_bytes_raw())
            )
            for one in kept
        ]
        return CaseAt(
            case_id(which),
            state["stage"] or StageCode.IMPORTED,
            max(state["version"], 1),
            ROWS[which],
            decisions=tuple(known),
            newest=known[-1].commitment if known else None,
        )


def run(
    ledger: Ledger, *, confirmed: bool = True, overrides: dict[bytes, Override] | None = None
) -> Counter[str]:
    """One run over all cases, as the command does it."""
    plans = plan(
        [ledger.case(which) for which in range(CASES)],
        on=ON,
        organisation=CENTRE,
        officer="李工",
        confirmed=frozenset(map(case_id, range(CASES))) if confirmed else frozenset(),
        overrides=overrides,
    )
    runner = Runner(ledger, CENTRE, lambda _: TO, lambda: float(ledger.world.chain.now))
    for one in plans:
        if one.state in (State.PROPOSED, State.RECORDED):
            runner.carry_out(one)
    return Counter(str(one.state) for one in plans)


def stages(ledger: Ledger) -> list[str]:
    return [StageCode(ledger.state(which)["stage"] or 1).name for which in range(CASES)]


EXPECTED = ["CENTRAL", "TRANSFERRED", "COMPLETION", "MED_OFFERED"]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def ledger(world: World) -> Any:
    snapshot = world.chain.evm.snapshot()
    nonce = world.chain.nonce
    yield Ledger(world)
    world.chain.evm.revert(snapshot)
    world.chain.nonce = nonce


def test_a_run_moves_every_case_to_where_its_outcome_leads(ledger: Ledger) -> None:
    assert run(ledger) == {"proposed": 4}
    assert stages(ledger) == EXPECTED
    assert run(ledger)["proposed"] == 1  # papers asked for once; the next look goes on
    assert stages(ledger)[2] == "CENTRAL"


def test_every_move_carries_the_commitment_of_a_decision_that_reproduces(ledger: Ledger) -> None:
    run(ledger)
    for which in range(CASES):
        (known,) = ledger.case(which).decisions
        notes = {act.note for act in ledger.moves if act.case_id == case_id(which)}
        assert notes == {known.commitment}
        _, outcome = reproduce(known.record)
        assert outcome.confirm is not Confirmation.PERSON or known.record.officer == "李工"
        assert known.record.organisation == CENTRE


def test_without_a_person_nothing_adverse_happens(ledger: Ledger) -> None:
    assert run(ledger, confirmed=False) == {"proposed": 3, "waits": 1}
    assert stages(ledger)[1] == "IMPORTED"
    assert not ledger.case(1).decisions


def calls_of_a_whole_run(world: World) -> int:
    snapshot, nonce = world.chain.evm.snapshot(), world.chain.nonce
    whole = Ledger(world)
    run(whole)
    world.chain.evm.revert(snapshot)
    world.chain.nonce = nonce
    return whole.calls


def test_killed_anywhere_and_run_again_it_is_as_if_it_had_not_been(world: World) -> None:
    count = calls_of_a_whole_run(world)
    assert count == 11
    for dies_at in [sign * n for n in range(1, count + 1) for sign in (1, -1)]:
        snapshot, nonce = world.chain.evm.snapshot(), world.chain.nonce
        ledger = Ledger(world, dies_at=dies_at)
        with pytest.raises(Killed):
            run(ledger)
        ledger.dies_at = 0
        completed = ledger.state(2)["stage"] == StageCode.COMPLETION
        run(ledger)
        expected = [*EXPECTED[:2], "CENTRAL" if completed else "COMPLETION", EXPECTED[3]]
        assert stages(ledger) == expected, dies_at
        per_case = Counter(one.case_id for one, _ in ledger.kept)
        assert per_case == {case_id(which): 2 if which == 2 and completed else 1 for which in range(CASES)}, (
            dies_at
        )
        assert len({(act.case_id, act.version) for act in ledger.moves}) == len(ledger.moves)
        world.chain.evm.revert(snapshot)
        world.chain.nonce = nonce


def test_killed_again_and_again_it_still_ends(world: World) -> None:
    dice = random.Random(11)  # noqa: S311
    snapshot, nonce = world.chain.evm.snapshot(), world.chain.nonce
    ledger = Ledger(world)
    for _ in range(60):
        ledger.calls, ledger.dies_at = 0, dice.choice((1, -1)) * dice.randrange(1, 4)
        try:
            run(ledger)
        except Killed:
            continue
    ledger.dies_at = 0
    run(ledger)
    assert stages(ledger) == ["CENTRAL", "TRANSFERRED", "CENTRAL", "MED_OFFERED"]
    notes = {act.note for act in ledger.moves}
    assert notes <= {one.commitment for one, _ in ledger.kept}
    world.chain.evm.revert(snapshot)
    world.chain.nonce = nonce


def test_an_override_is_a_further_record_and_the_first_stays(ledger: Ledger) -> None:
    ledger.dies_at = -1
    with pytest.raises(Killed):
        run(ledger)
    ledger.dies_at = 0
    first = ledger.case(0).decisions[0]
    run(ledger, overrides={case_id(0): Override(NEWEST.by_name["special"], "本人到场说明")})
    assert stages(ledger)[0] == "SPECIAL"
    before, after = ledger.case(0).decisions
    assert before == first
    assert after.record.previous == first.commitment
    assert (after.record.officer, after.record.reason) == ("李工", "本人到场说明")
    assert {act.note for act in ledger.moves if act.case_id == case_id(0)} == {after.commitment}


def test_a_case_that_moved_in_the_meantime_is_refused_by_the_chain(ledger: Ledger) -> None:
    (one, *_) = plan([ledger.case(0)], on=ON, organisation=CENTRE)
    run(ledger)
    runner = Runner(ledger, CENTRE, lambda _: TO, lambda: float(ledger.world.chain.now))
    stale = replace(one, at=replace(one.at, newest=ledger.case(0).newest))
    with pytest.raises(CaseStepNotTaken, match="CaseVersionStale"):
        runner.carry_out(stale)
    assert stages(ledger)[0] == "CENTRAL"


def test_a_decision_without_its_evidence_is_not_recorded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_self: Ledger, _case: bytes, _step: Transition) -> tuple[bytes, ...]:
        raise EvidenceMissing("contract")

    monkeypatch.setattr(Ledger, "evidence", missing)
    with pytest.raises(EvidenceMissing):
        run(ledger)
    assert not ledger.kept
    assert not ledger.moves
