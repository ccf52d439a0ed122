"""Groups of acts on the contracts: each stands or falls alone, and what was refused is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyrevm", reason="no wheel for this Python")

from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import act_carrier, case_acts
from chain.act_carrier import ActRefusal
from chain.bindings import ACT_CARRIER, CASE_LEDGER, revert_error
from chain.case_acts import NOWHERE
from chain.errors import ContractReverted
from chain.evm import EventLog
from chain.transactions import Call
from protocol.case_acts import Move
from protocol.hashing import keccak256
from tests.chain.test_case_acts import Signs, origin_of
from tests.support.case_world import World, case_id

CENTRE, ZERO, FOREVER = 2, bytes(32), 2**40 - 1


def logs_of(world: World) -> list[EventLog]:
    """Log entries of the last transaction."""
    assert world.chain.evm.result is not None
    return [
        EventLog(
            bytes.fromhex(entry.address[2:]), tuple(bytes.fromhex(topic[2:]) for topic in entry.topics),
            bytes(entry.data[1]), 1, ZERO, ZERO, at,
        )
        for at, entry in enumerate(world.chain.evm.result.logs)
    ]  # fmt: skip


def step(world: World, which: int, name: str, version: int) -> bytes:
    """Call data of a step without evidence."""
    transition = LIFECYCLE_V1.transition(name)
    reason = transition.reasons[0].code if transition.reasons else 0
    act = Move(case_id(which), version, transition.id, CENTRE, 0, reason, ZERO, ZERO, ZERO, FOREVER)
    signed = case_acts.sign(act, world.contracts, Signs(CENTRE))
    origin = origin_of(world, which) if version == 1 else NOWHERE
    return case_acts.call_for(act, signed, world.contracts, origin=origin).data


def version_of(world: World, which: int) -> int:
    (found,) = world.chain.call(CASE_LEDGER, "caseOf", case_id(which))
    return int(found[0])


def test_a_group_is_its_acts_in_order_and_a_refusal_is_found_by_place_and_content() -> None:
    world = World()
    first, second = step(world, 0, "ask-completion", 1), step(world, 0, "reject", 2)
    late = step(world, 1, "reject", 2)
    acts = [first, second, late, second]
    world.chain.send(act_carrier.carry(acts, world.contracts))
    found = act_carrier.refusals(logs_of(world), world.contracts)
    assert [one.index for one in found] == [2, 3]
    assert [revert_error(one.reason).code for one in found] == ["CaseUnknown", "CaseVersionStale"]
    assert found[0].concerns(2, late)
    assert not found[0].concerns(3, late)
    assert not found[0].concerns(2, second)
    assert found[1] == ActRefusal(3, keccak256(second), found[1].reason)
    assert (version_of(world, 0), version_of(world, 1)) == (3, 0)


def test_what_another_contract_says_is_no_refusal() -> None:
    world = World()
    world.chain.send(act_carrier.carry([step(world, 1, "reject", 2)], world.contracts))
    (entry,) = logs_of(world)
    assert entry.address == world.chain.at[ACT_CARRIER]
    strange = EventLog(world.contracts.ledger, entry.topics, entry.data, 1, ZERO, ZERO, 0)
    assert act_carrier.refusals([strange], world.contracts) == []


def test_none_and_too_many_are_refused_before_they_are_sent() -> None:
    world = World()
    with pytest.raises(ValueError, match="1 to 64"):
        act_carrier.carry([], world.contracts)
    with pytest.raises(ValueError, match="1 to 64"):
        act_carrier.carry([b""] * 65, world.contracts)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["ask0", "ask1", "reject0", "reject1", "nothing"]), min_size=1, max_size=12))
def test_a_group_does_what_single_transactions_in_that_order_do(names: list[str]) -> None:
    together, apart = World(), World()
    data = {"nothing": b"\1\2\3\4"}
    for which in (0, 1):
        data[f"ask{which}"] = step(together, which, "ask-completion", 1)
        data[f"reject{which}"] = step(together, which, "reject", 2)
    together.chain.send(act_carrier.carry([data[name] for name in names], together.contracts))
    refused = {one.index for one in act_carrier.refusals(logs_of(together), together.contracts)}
    for at, name in enumerate(names):
        if at in refused:
            with pytest.raises(ContractReverted):
                apart.chain.send(Call(apart.contracts.ledger, data[name]))
        else:
            apart.chain.send(Call(apart.contracts.ledger, data[name]))
    for which in (0, 1):
        states = [world.chain.call(CASE_LEDGER, "caseOf", case_id(which))[0] for world in (together, apart)]
        assert [state[:2] for state in states] == [states[0][:2]] * 2
