"""One test a rule of receipt.md §3: what it breaks, which verdict says so, with which code."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.custody import CustodyKind
from protocol.entry import EvidenceClass
from tests.support.attacks import ATTACKS, DEV, OPERATED, QBFT, SUCCESSOR, WORLD, Case, slot
from tests.support.custody_world import CustodyWorld, Told
from tests.support.world import AT, CASE_ID, LINK_TIME, OPERATOR, SUBMITTER, World
from verifier.verdict import Changed, Result, Status
from verifier.verify import verify_receipt


@pytest.mark.parametrize("name", ATTACKS)
def test_breaking_one_rule_is_said_by_its_verdict(name: str) -> None:
    case = ATTACKS[name]
    report = case.report()
    found = report.verdict(case.verdict)
    assert (found.status, found.code) == (case.status, case.code), [v.as_dict() for v in report.verdicts]
    expected = {
        Status.FAIL: Result.INVALID,
        Status.INDETERMINATE: Result.INDETERMINATE,
        Status.REDUCED: Result.VALID_REDUCED_TRUST,
    }
    assert report.result is expected[case.status]
    assert (report.changed is None) is (case.status is not Status.FAIL)


def test_the_threat_model_lists_every_attack_with_what_names_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    listed = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))[1:]
        for line in text.splitlines()
        if line.startswith("| A")
    ]
    assert listed == [(name, one.verdict, one.status.value, one.code) for name, one in ATTACKS.items()]


VALID: dict[str, Case] = {
    "as it is": Case("signer", "Ok"),
    "QBFT": Case("signer", "Ok", QBFT.receipt, QBFT.trust),
    "without a file": Case("content", "NoFileGiven", content=None, status=Status.NOT_CHECKED),
    "body withheld, no file": Case(
        "content", "BodyWithheld", World(withheld=True).receipt, content=None, status=Status.NOT_CHECKED
    ),
    "one validator away": Case("finality", "Ok", World(absent=(2,)).receipt),
    "one vote for nil": Case("finality", "Ok", World(nil=(1,)).receipt),
    "last leaf before the end of a closed log": Case("append-only", "Ok", trust=World(closed_size=7).trust),
    "key revoked after the anchor": Case(
        "signer", "Ok", World(slot=slot(revoked_at=LINK_TIME + 1)).receipt
    ),
    "key at both ends of its window": Case(
        "signer", "Ok", World(slot=slot(not_before=LINK_TIME, not_after=LINK_TIME)).receipt
    ),
    "proved again much later": Case("time", "Ok", World(block_time=LINK_TIME + 3000).receipt),
    "evaluated at the block's second": Case("time", "Ok", at=LINK_TIME + 2),
    "right case": Case("inclusion", "Ok", case_id=CASE_ID),
    "privileged mediation record": Case(
        "inclusion", "Ok", World(evidence_class=EvidenceClass.MEDIATION_RECORD, flags=1).receipt
    ),
    "log continuation by the operator": Case(
        "signer", "Ok", SUCCESSOR.receipt, OPERATED, content=None
    ),
    "log of one leaf more or less elsewhere": Case("inclusion", "Ok", World(index=2).receipt),
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_verifies(name: str) -> None:
    case = VALID[name]
    report = case.report()
    assert report.result is Result.VALID, [verdict.as_dict() for verdict in report.verdicts]
    found = report.verdict(case.verdict)
    assert found.code == case.code
    assert report.changed is None
    assert report.missing == ()


def test_what_changed_is_named() -> None:
    assert ATTACKS["another SM3 with the right SHA-256"].report().changed is Changed.FILE
    assert ATTACKS["leaf at another index"].report().changed is Changed.RECEIPT
    assert ATTACKS["another case"].report().changed is Changed.CASE


def test_nothing_is_opened_under_an_unsigned_header() -> None:
    report = ATTACKS["other validators"].report()
    for name in ("append-only", "time", "signer"):
        assert (report.verdict(name).status, report.verdict(name).code) == (
            Status.NOT_CHECKED,
            "EarlierStepFailed",
        )


def test_custody_and_provenance_are_never_claimed() -> None:
    report = Case("signer", "Ok").report()
    for name in ("custody", "provenance"):
        assert report.verdict(name).status is Status.NOT_CHECKED


def test_swapped_trust_material_is_refused_in_every_pair() -> None:
    """Each kind's receipt under each other trust file, and under those of look-alike networks."""
    worlds = [
        WORLD, QBFT, DEV, World(seed="b"), World(kind="mpt-qbft", seed="b"), World(network_id="twin-8"),
        World(chain_id=7778), World(origin="other/log"),
    ]  # fmt: skip
    good = (Result.VALID, Result.VALID_REDUCED_TRUST)
    for receipt in worlds:
        for trust in worlds:
            report = verify_receipt(receipt.receipt, trust.trust, content=receipt.content, at=AT)
            assert (report.result in good) is (receipt is trust)


def test_the_operator_index_is_not_the_submitters() -> None:
    assert OPERATOR != SUBMITTER


def test_a_class_in_the_wrong_kind_of_log_is_refused() -> None:
    """Each is otherwise whole: its own log named by its trust file, its own tree, its own signature."""
    document = World(origin="centre.example/evidence-custody")
    event = CustodyWorld(story=[Told(CustodyKind.ACCESS, log="centre.example/other")]).events[0]
    for world in (document, event):
        found = verify_receipt(world.receipt, world.trust, at=AT).verdict("inclusion")
        assert (found.status, found.code) == (Status.FAIL, "ClassMisplaced")
