"""Which cosignatures are a quorum, and since when."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.world import BANK_A, BANK_B, COURT, POLICY, REGULATOR, WITNESSES
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy, quorum_by, satisfied

NOT_ENOUGH = {
    "nobody": set(),
    "the court alone": {COURT},
    "both banks": {BANK_A, BANK_B},
    "no bank": {COURT, REGULATOR},
    "no court": {REGULATOR, BANK_A, BANK_B},
    "a group's own name": {COURT, REGULATOR, "banks"},
    "the quorum's own name": {"all"},
    "strangers": {COURT, REGULATOR, "bank-c.example/witness"},
}


@pytest.mark.parametrize("name", NOT_ENOUGH)
def test_too_few_are_no_quorum(name: str) -> None:
    assert not satisfied(POLICY, NOT_ENOUGH[name])
    assert quorum_by(POLICY, dict.fromkeys(NOT_ENOUGH[name], 5)) is None


def test_the_empty_policy_is_never_met() -> None:
    assert not satisfied(EMPTY_POLICY, set())
    assert not satisfied(EMPTY_POLICY, set(WITNESSES))
    assert quorum_by(EMPTY_POLICY, dict.fromkeys(WITNESSES, 5)) is None


@pytest.mark.parametrize("bank", [BANK_A, BANK_B])
def test_court_regulator_and_one_bank_are_one(bank: str) -> None:
    assert satisfied(POLICY, {COURT, REGULATOR, bank})
    assert satisfied(POLICY, {COURT, REGULATOR, bank, "stranger"})


def test_a_single_witness_may_be_the_quorum() -> None:
    policy = WitnessPolicy(POLICY.witnesses, (), COURT)
    assert satisfied(policy, {COURT})
    assert not satisfied(policy, {REGULATOR, BANK_A, BANK_B})


def test_a_policy_without_witnesses_of_a_name_does_not_count_that_name() -> None:
    policy = WitnessPolicy((POLICY.witnesses[0],), (WitnessGroup("g", 1, (COURT, "ghost")),), "g")
    assert not satisfied(policy, {"ghost"})


def test_the_time_of_a_quorum_is_that_of_its_last_needed_member() -> None:
    times = {COURT: 30, REGULATOR: 10, BANK_A: 40, BANK_B: 20}
    assert quorum_by(POLICY, times) == (30, (BANK_B, COURT, REGULATOR))
    assert quorum_by(POLICY, {**times, BANK_B: 50}) == (40, (BANK_A, COURT, REGULATOR))


NAMES = [f"w{n}" for n in range(6)]


@st.composite
def policies(draw: st.DrawFn) -> WitnessPolicy:
    witnesses = tuple(Witness(name, 4, bytes((at,)) * 32, 0, "o", "bank") for at, name in enumerate(NAMES))
    free, groups = list(NAMES), []
    for at in range(draw(st.integers(0, 3))):
        members = draw(st.lists(st.sampled_from(free), min_size=1, max_size=len(free), unique=True))
        groups.append(WitnessGroup(f"g{at}", draw(st.integers(1, len(members))), tuple(members)))
        free = [name for name in free if name not in members] + [f"g{at}"]
    return WitnessPolicy(witnesses, tuple(groups), draw(st.sampled_from(free)))


@given(policies(), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9)))
def test_no_satisfying_set_ends_earlier(policy: WitnessPolicy, times: dict[str, int]) -> None:
    sets = [set(some) for n in range(len(times) + 1) for some in combinations(times, n)]
    ends = [max(times[name] for name in some) for some in sets if some and satisfied(policy, some)]
    found = quorum_by(policy, times)
    assert (found[0] if found else None) == (min(ends) if ends else None)


@given(policies(), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_more_cosignatures_never_harm(policy: WitnessPolicy, some: set[str], more: set[str]) -> None:
    assert satisfied(policy, some | more) or not satisfied(policy, some)
