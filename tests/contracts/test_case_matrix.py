"""Every role tries every transition from every stage: contract and rules answer alike, code by code."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.machine import CaseState
from chain.bindings import CASE_LEDGER
from protocol.case_acts import Move
from protocol.errors import CaseledgerError
from protocol.hashing import keccak256

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.case_world import ALL_ROLES, MEDIATION, NOWHERE, ZERO, World, case_id, values
from tests.support.revm import BANK, CENTRE, COURT, FOREVER

CASE_SLOT = keccak256(case_id(0) + (2).to_bytes(32, "big"))


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    # The case comes to life; from here on its stage is written into storage.
    act = Move(case_id(0), 1, LIFECYCLE_V1.transition("withdraw").id, BANK, 0, 1, ZERO, ZERO, ZERO, FOREVER)
    made.chain.call(CASE_LEDGER, "move", values(act), made.origin(0), b"", made.sign(act, BANK), b"")
    return made


def place(world: World, stage: int) -> CaseState:
    """Puts the case into a stage, its clock starting now, before the first court; the model's state of it."""
    machine, now = world.machine, world.chain.now
    clock = LIFECYCLE_V1.stages[stage].clock
    state = machine.opened(owner=BANK, product=1, imported=now)
    length = clock.length if clock else None
    state = replace(state, stage=stage, court=COURT, clock=replace(state.clock, length=length))
    deadline, provisional = machine.deadline(state)
    state = replace(state, deadline=deadline, provisional=provisional)
    first = (
        state.version
        | stage << 32
        | 1 << 40
        | BANK << 48
        | 1 << 80
        | now << 96
        | (deadline or 0) << 136
        | COURT << 176
        | 1 << 208
        | (8 if provisional else 0) << 248
    )
    second = now | (length.packed if length else 0) << 40
    address = "0x" + world.chain.at[CASE_LEDGER].hex()
    slot = int.from_bytes(CASE_SLOT, "big")
    world.chain.evm.insert_account_storage(address, slot, first)
    world.chain.evm.insert_account_storage(address, slot + 1, second)
    return state


def attempt(world: World, state: CaseState, step: Transition, actor: int, other: int) -> tuple[str, str]:
    """What the rules say, and what the contract says; empty for allowed. Nothing is kept."""
    reason = step.reasons[0].code if step.reasons else 0
    proof, digest, count = world.evidence(0, step)
    act = Move(case_id(0), state.version, step.id, actor, other, reason, digest, ZERO, ZERO, FOREVER)
    foretold = found = ""
    try:
        world.machine.moved(state, act, world.chain.now, count)
    except CaseledgerError as error:
        foretold = error.code
    beside = world.sign(act, other) if other else b""
    snapshot = world.chain.evm.snapshot()
    try:
        world.chain.call(CASE_LEDGER, "move", values(act), NOWHERE, proof, world.sign(act, actor), beside)
    except CaseledgerError as error:
        found = error.code
    finally:
        world.chain.evm.revert(snapshot)
    return foretold, found


def test_every_role_tries_every_transition(world: World) -> None:
    outcomes: Counter[str] = Counter()
    allowed: set[tuple[int, int]] = set()
    for stage in LIFECYCLE_V1.stages:
        state = place(world, stage)
        for step in LIFECYCLE_V1.transitions.values():
            leaves = stage in step.sources
            # From a stage that it does not leave a transition is refused to everybody alike: two of them ask.
            for actor in sorted(ALL_ROLES) if leaves else (CENTRE, COURT):
                other = next(
                    (
                        org
                        for org in (CENTRE, BANK, COURT, MEDIATION, *sorted(ALL_ROLES))
                        if org != actor
                        and step.beside
                        and (ALL_ROLES[org] & step.beside or (org == BANK and step.beside >> 15))
                    ),
                    0,
                )
                foretold, found = attempt(world, state, step, actor, other)
                assert found == foretold, (stage, step.name, actor, found, foretold)
                outcomes[found or "allowed"] += 1
                if not found:
                    allowed.add((stage, step.id))
    wanted = {
        (stage, step.id)
        for step in LIFECYCLE_V1.transitions.values()
        for stage in step.sources
        if not step.lapse and step.when.name != "AFTER"
    }
    assert allowed == wanted
    assert outcomes["CaseRoleMissing"] > 1000
    assert outcomes["CaseTransitionIllegal"] > 5000
    assert outcomes["CaseTooEarly"] > 50
