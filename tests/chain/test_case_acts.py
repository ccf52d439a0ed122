"""Acts on cases as contract calls and as JSON; the contracts take them as they are (revm)."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import case_acts
from chain.bindings import CASE_BATCHES, CASE_LEDGER
from chain.case_acts import (
    NOWHERE,
    BatchLink,
    EvidenceEntry,
    Origin,
    SignedCaseAct,
    call_for,
    document,
    domain_of,
    evidence_digest,
    evidence_proof,
    parse_document,
)
from chain.case_contracts import CaseContracts, PolicyVersion
from protocol.acts import parse_type
from protocol.case_acts import CASE_ACTS, CaseAct, Import, Move, Pause, Recall, Resume, Reverse
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from tests.support.testkeys import address_of, private_key, signature

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.case_world import MEDIATION, ZERO, World, case_id, leaf_hash, submitters
from tests.support.revm import ACT, BANK, CENTRE, COURT, FOREVER, REGULATOR

CONTRACTS = CaseContracts(
    7, PolicyVersion("LifecycleV1", bytes(32)), *(bytes([number]) * 20 for number in range(1, 7))
)


class Signs:
    """An organisation's act key."""

    def __init__(self, organisation: int) -> None:
        self.key = private_key(ACT, organisation)

    @property
    def address(self) -> bytes:
        return address_of(self.key)

    def sign_digest(self, digest: bytes) -> bytes:
        return signature(self.key, digest)


def origin_of(world: World, which: int) -> Origin:
    root, index, product, commitment, path = world.origin(which)
    return Origin(root, index, product, commitment, tuple(path))


def entries_of(world: World, which: int, step: Transition) -> list[EvidenceEntry]:
    found = []
    for need in step.evidence:
        index = world.entries[which, need.classes[0], submitters(need.roles)[0]]
        path = tuple(world.evidence_paths[index])
        found.append(EvidenceEntry(BatchLink(*world.link), world.leaves[index], index, path))
    return found


class Life:
    """One case of a world, moved by calls that `chain.case_acts` made."""

    def __init__(self, world: World, which: int) -> None:
        self.world, self.which = world, which
        self.id = case_id(which)

    def state(self) -> dict[str, Any]:
        (found,) = self.world.chain.call(CASE_LEDGER, "caseOf", self.id)
        return {"version": found[0], "stage": found[1], "openHolds": found[10], "flags": found[11]}

    def take(self, act: CaseAct, signer: int, *, beside: int = 0, proof: bytes = b"") -> None:
        contracts = self.world.contracts
        alive = self.state()["version"] != 0
        self.world.chain.send(
            call_for(
                act,
                case_acts.sign(act, contracts, Signs(signer)),
                contracts,
                origin=NOWHERE if alive else origin_of(self.world, self.which),
                proof=proof,
                co_signature=case_acts.sign(act, contracts, Signs(beside)) if beside else b"",
            )
        )

    def move(self, name: str, actor: int, beside: int = 0) -> None:
        step = LIFECYCLE_V1.transition(name)
        entries = entries_of(self.world, self.which, step)
        act = Move(
            self.id, self.state()["version"] or 1, step.id, actor, beside,
            step.reasons[0].code if step.reasons else 0,
            evidence_digest([leaf_hash(entry.leaf) for entry in entries]), ZERO, ZERO, FOREVER,
        )  # fmt: skip
        self.take(act, actor, beside=beside, proof=evidence_proof(entries))
        assert self.state()["stage"] == step.target


def test_every_act_reaches_its_contract() -> None:
    world = World()
    case = Life(world, 0)
    case.move("admit", CENTRE)
    case.move("offer-mediation", CENTRE)
    case.move("mediation-starts", MEDIATION)
    case.take(
        Reverse(case.id, case.state()["version"], MEDIATION, REGULATOR, ZERO, FOREVER),
        MEDIATION,
        beside=REGULATOR,
    )
    assert case.state()["stage"] == LIFECYCLE_V1.stage("MED_OFFERED").code
    case.move("mediation-starts", MEDIATION)
    hold = next(iter(LIFECYCLE_V1.stage("MEDIATING").holds))
    case.take(Pause(case.id, case.state()["version"], CENTRE, hold, ZERO, FOREVER), CENTRE)
    assert case.state()["openHolds"] == 1
    case.take(Resume(case.id, case.state()["version"], CENTRE, hold, ZERO, FOREVER), CENTRE)
    assert case.state()["openHolds"] == 0
    world.chain.warp(400 * 86_400)
    lapsing = next(step for step in LIFECYCLE_V1.transitions.values() if step.lapse)
    world.chain.send(case_acts.lapse(case.id, case.state()["version"], lapsing.id, world.contracts))
    assert case.state()["stage"] == lapsing.target
    other = Life(world, 3)
    other.move("admit", CENTRE)
    other.move("route-central", CENTRE)
    other.move("settle", BANK, beside=CENTRE)


def test_a_case_that_never_moved_is_marked_overdue_from_its_batch() -> None:
    world = World()
    case = Life(world, 1)
    world.chain.warp(30 * 86_400)
    with pytest.raises(CaseledgerError) as caught:
        world.chain.send(case_acts.mark_overdue(case.id, world.contracts))
    assert caught.value.code == "CaseUnknown"
    world.chain.send(case_acts.mark_overdue(case.id, world.contracts, origin=origin_of(world, 1)))
    assert case.state()["flags"] & 1
    # Alive now: an origin is refused, none is needed.
    with pytest.raises(CaseledgerError) as caught:
        world.chain.send(case_acts.mark_overdue(case.id, world.contracts, origin=origin_of(world, 1)))
    assert caught.value.code == "CaseKnown"


def test_a_pause_can_be_the_first_act() -> None:
    world = World()
    case = Life(world, 2)
    hold = LIFECYCLE_V1.stages[1].holds[0]
    actor = next(
        org
        for org in (CENTRE, BANK, COURT, MEDIATION)
        if LIFECYCLE_V1.holds[hold].by & world.chain.roles[org]
    )
    case.take(Pause(case.id, 1, actor, hold, ZERO, FOREVER), actor)
    assert case.state() == {"version": 2, "stage": 1, "openHolds": 1, "flags": 0}


def test_a_batch_comes_and_goes_and_the_wrong_signer_is_refused() -> None:
    world = World()
    act = Import(BANK, b"\x21" * 32, 3, ZERO, ZERO, FOREVER)
    with pytest.raises(CaseledgerError):
        world.chain.send(call_for(act, case_acts.sign(act, world.contracts, Signs(COURT)), world.contracts))
    world.chain.send(call_for(act, case_acts.sign(act, world.contracts, Signs(BANK)), world.contracts))
    back = Recall(BANK, b"\x21" * 32, FOREVER)
    world.chain.send(call_for(back, case_acts.sign(back, world.contracts, Signs(BANK)), world.contracts))
    (batch,) = world.chain.call(CASE_BATCHES, "batchOf", b"\x21" * 32)
    assert batch[1] == 3
    assert batch[4] is True


@pytest.mark.parametrize("kind", CASE_ACTS, ids=lambda kind: kind.__name__)
def test_an_act_counts_in_one_domain(kind: type[CaseAct]) -> None:
    at = CONTRACTS.batches if kind in (Import, Recall) else CONTRACTS.ledger
    assert domain_of(kind, CONTRACTS).contract == at


@pytest.mark.parametrize(
    ("act", "parts"),
    [
        (Resume(ZERO, 1, 1, 1, ZERO, 1), {"origin": Origin(b"\x01" * 32, 0, 1, ZERO, ())}),
        (Reverse(ZERO, 1, 1, 2, ZERO, 1), {"origin": Origin(b"\x01" * 32, 0, 1, ZERO, ())}),
        (Pause(ZERO, 1, 1, 1, ZERO, 1), {"proof": b"\x01"}),
        (Pause(ZERO, 1, 1, 1, ZERO, 1), {"co_signature": bytes(65)}),
        (Import(1, ZERO, 1, ZERO, ZERO, 1), {"co_signature": bytes(65)}),
    ],
    ids=["origin", "origin-of-reversal", "proof", "co-signature", "import"],
)
def test_a_part_that_an_act_does_not_take_is_refused_not_dropped(act: CaseAct, parts: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        call_for(act, bytes(65), CONTRACTS, **parts)


# Documents


@st.composite
def signed_acts(draw: st.DrawFn) -> SignedCaseAct:
    kind = draw(st.sampled_from(CASE_ACTS))
    evidence: tuple[bytes, ...] = ()
    values: list[Any] = []
    for type_name, _ in parse_type(kind.TYPE).members:
        if type_name == "bytes32":
            values.append(draw(st.binary(min_size=32, max_size=32)))
        else:
            values.append(draw(st.integers(0, 2 ** int(type_name.removeprefix("uint")) - 1)))
    act = kind(*values)
    if isinstance(act, Move):
        evidence = tuple(draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3)))
        act = dataclasses.replace(act, evidence=evidence_digest(evidence))
    beside = draw(st.binary(max_size=65)) if kind in case_acts.TWO_SIGN else b""
    return SignedCaseAct(act, draw(st.binary(min_size=1, max_size=65)), beside, evidence)


@given(signed_acts())
def test_a_document_says_the_whole_act(signed: SignedCaseAct) -> None:
    assert parse_document(document(signed)) == signed


@given(signed_acts(), st.data())
def test_a_damaged_document_is_refused_or_another_act(signed: SignedCaseAct, data: st.DataObject) -> None:
    good = document(signed)
    bad: dict[str, Any] = copy.deepcopy(good)
    where = data.draw(st.sampled_from([bad, bad["request"]]))
    name = data.draw(st.sampled_from(sorted(where)))
    change = data.draw(st.sampled_from(["drop", "rename", "type", "case", "large"]))
    if change == "drop":
        del where[name]
    elif change == "rename":
        where[name + "x"] = where.pop(name)
    elif change == "type":
        where[name] = data.draw(st.sampled_from([None, True, 1.5, [], {}, "zz", -1]))
    elif change == "case":
        where[name] = str(where[name]).upper()
    else:
        where[name] = 2**300
    try:
        found = parse_document(bad)
    except (MalformedInput, LimitExceeded):
        return
    # A part that need not be there may be missing, and digits have no case.
    assert document(found) == bad


@pytest.mark.parametrize(
    "value", [None, [], "Move", {}, {"act": "Anchor"}, {"act": ["Move"]}, {"act": "move"}]
)
def test_what_is_no_act_is_refused(value: object) -> None:
    with pytest.raises(MalformedInput):
        parse_document(value)


def test_evidence_that_the_act_does_not_name_is_refused() -> None:
    act = Move(ZERO, 1, 1, 1, 0, 0, evidence_digest([b"\x01" * 32]), ZERO, ZERO, 1)
    good = document(SignedCaseAct(act, bytes(65), b"", (b"\x01" * 32,)))
    assert parse_document(good).evidence == (b"\x01" * 32,)
    for other in ([], [("02" * 32)], ["01" * 32, "01" * 32]):
        with pytest.raises(MalformedInput):
            parse_document({**good, "evidence": other})
