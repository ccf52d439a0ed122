"""Which acts go together: nothing is overtaken, lost or doubled, and no transaction is too large."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from cases.carrying_rules import (
    MOST_GAS,
    MOST_TOGETHER,
    MOST_UNDER_WAY,
    QueuedAct,
    business_key,
    choose,
    free_lane,
    gas_of,
)
from chain.act_carrier import HEAD_SIZE, carry, size_of
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.transactions import MAX_DATA

CONTRACTS = CaseContracts(7, PolicyVersion("LifecycleV1", bytes(32)), *(bytes([n]) * 20 for n in range(1, 7)))


def queued(
    number: int, case: int = 0, *, gas: int = 500_000, size: int = 900, alone: bool = False
) -> QueuedAct:
    return QueuedAct(
        number.to_bytes(32, "big"), (case or number).to_bytes(32, "big"), bytes(size), gas, alone
    )


QUEUES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(21_000, MOST_GAS + 1), st.integers(0, MAX_DATA), st.booleans()),
    max_size=40,
).map(
    lambda rows: [
        queued(number, case, gas=gas, size=size, alone=alone)
        for number, (case, gas, size, alone) in enumerate(rows, 1)
    ]
)


def test_one_goes_as_it_came_and_several_together() -> None:
    assert choose([]) == ()
    (only,) = choose([queued(1)])
    assert business_key([only]) == "act:" + only.id.hex()
    assert gas_of([only]) == only.gas
    waiting = [queued(number) for number in range(1, 20)]
    together = choose(waiting)
    assert list(together) == waiting[:MOST_TOGETHER]
    assert business_key(together).startswith("acts:")
    assert business_key(together) != business_key(together[::-1])


def test_an_act_waits_for_those_of_its_case_before_it() -> None:
    first, second, other = queued(1, 7), queued(2, 7), queued(3, 8)
    assert choose([first, second, other]) == (first, other)
    alone = queued(1, 7, alone=True)
    assert choose([alone, second, other]) == (alone,)
    assert choose([other, alone, second]) == (other,)


@given(QUEUES)
@example([queued(1, size=MAX_DATA), queued(2)])
@example([queued(1, gas=MOST_GAS), queued(2)])
def test_what_goes_is_in_order_and_never_too_large(waiting: list[QueuedAct]) -> None:
    taken = choose(waiting)
    places = [waiting.index(act) for act in taken]
    assert places == sorted(set(places))
    for act in taken:
        assert act.case_id not in {one.case_id for one in waiting[: waiting.index(act)]}
    if len(taken) > 1:
        assert not any(act.alone for act in taken)
        assert len(taken) <= MOST_TOGETHER
        assert gas_of(taken) <= MOST_GAS
        data = carry([act.data for act in taken], CONTRACTS).data
        assert len(data) == HEAD_SIZE + sum(size_of(act.data) for act in taken) <= MAX_DATA
    # The oldest always goes: nothing waits for ever.
    assert taken[:1] == tuple(waiting[:1])


@given(st.lists(st.integers(21_000, MOST_GAS), min_size=2, max_size=MOST_TOGETHER))
def test_the_last_act_may_be_refused_with_all_its_gas_spent(gas: list[int]) -> None:
    acts = [queued(number, gas=one) for number, one in enumerate(gas, 1)]
    before_last = gas_of(acts) - sum(gas[:-1])
    assert before_last - gas[-1] >= before_last // 4


def test_lanes_fill_evenly_and_hold_back_when_full() -> None:
    assert free_lane({"a": 0, "b": 0}) == "a"
    assert free_lane({"a": 2, "b": 1}) == "b"
    assert free_lane({"a": MOST_UNDER_WAY, "b": MOST_UNDER_WAY - 1}) == "b"
    assert free_lane({"a": MOST_UNDER_WAY, "b": MOST_UNDER_WAY}) is None
