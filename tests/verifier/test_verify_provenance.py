"""Provenance: only the statement that was fixed at the anchor, and never as a condition of validity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.provenance import Collector, EnvironmentCheck, Provenance
from tests.support.attacks import OPERATED, SUCCESSOR
from tests.support.world import LINK_TIME, World
from verifier.verdict import Changed, Report, Result, Status
from verifier.verify import verify_receipt

DAY = 86_400
STATED = Provenance(
    salt=b"\x05" * 32,
    source_system="核心业务系统",
    generating_event="客户签署",
    generated_at=LINK_TIME - 3 * DAY,
    mechanism="正常经营中自动生成",
    collector=Collector("caseledger-agent", "0.1.0", b"\x01" * 32),
    environment=EnvironmentCheck("系统完整性", True, LINK_TIME - 3 * DAY),
    extraction="按合同号导出",
    transfer=("影像平台", "存证前置机"),
    original="档案库",
    form="born-digital",
)


def verified(world: World, statement: bytes | None) -> Report:
    return verify_receipt(
        world.receipt, world.trust, content=world.content, at=LINK_TIME + 10, provenance=statement
    )


def told(report: Report) -> tuple[Status, str]:
    verdict = report.verdict("provenance")
    return verdict.status, verdict.code


def test_the_statement_that_was_fixed_at_the_anchor_passes_and_its_words_become_facts() -> None:
    report = verified(World(provenance=STATED.encode()), STATED.encode())
    assert told(report) == (Status.PASS, "Ok")
    assert report.result is Result.VALID
    assert report.facts["sourceSystem"] == "核心业务系统"
    assert report.facts["transferPath"] == "影像平台 → 存证前置机"
    assert (report.facts["anchorLag"], report.facts["anchorLagLong"]) == (3 * DAY, False)


@pytest.mark.parametrize(
    "other",
    [
        replace(STATED, source_system="另一系统").encode(),
        replace(STATED, salt=b"\x06" * 32).encode(),
        STATED.encode()[:-1],
        STATED.encode() + b"\x00",
        b"",
    ],
)
def test_any_other_statement_is_refused_and_named(other: bytes) -> None:
    report = verified(World(provenance=STATED.encode()), other)
    assert told(report) == (Status.FAIL, "ProvenanceMismatch")
    assert (report.result, report.changed) == (Result.INVALID, Changed.PROVENANCE)
    assert "sourceSystem" not in report.facts


def test_a_digest_over_what_is_no_statement_is_refused() -> None:
    assert told(verified(World(provenance=b"\xa0"), b"\xa0")) == (Status.FAIL, "MalformedProvenance")


def test_an_event_after_the_anchor_is_refused() -> None:
    late = replace(STATED, generated_at=LINK_TIME + 1).encode()
    assert told(verified(World(provenance=late), late)) == (Status.FAIL, "ProvenanceAfterAnchor")


def test_what_is_left_out_is_named() -> None:
    less = replace(STATED, original=None, mechanism=None).encode()
    report = verified(World(provenance=less), less)
    assert told(report) == (Status.PASS, "ProvenanceIncomplete")
    assert report.verdict("provenance").detail == "mechanism, original"


@pytest.mark.parametrize(
    ("world", "statement", "code"),
    [
        (World(), None, "DigestsOnly"),
        (World(provenance=STATED.encode()), None, "DigestsOnly"),
        (World(), STATED.encode(), "NoProvenance"),
        (World(withheld=True, provenance=STATED.encode()), STATED.encode(), "BodyWithheld"),
    ],
)
def test_without_statement_or_digest_nothing_is_claimed(
    world: World, statement: bytes | None, code: str
) -> None:
    assert told(verified(world, statement)) == (Status.NOT_CHECKED, code)


def test_a_long_time_in_one_hand_is_a_warning_not_a_refusal() -> None:
    report = verified(World(event_time=LINK_TIME - 31 * DAY), None)
    assert (report.facts["anchorLag"], report.facts["anchorLagLong"]) == (31 * DAY, True)
    assert report.result is Result.VALID
    assert "anchorLag" not in verified(World(event_time=None), None).facts


def test_a_file_that_was_changed_says_nothing_about_provenance() -> None:
    world = World(provenance=STATED.encode())
    report = verify_receipt(
        world.receipt,
        world.trust,
        content=replace(world.content, sha256=bytes(32)),
        at=LINK_TIME + 10,
        provenance=STATED.encode(),
    )
    assert told(report) == (Status.NOT_CHECKED, "EarlierStepFailed")
    assert report.changed is Changed.FILE


def test_a_statement_of_a_later_version_is_left_undecided() -> None:
    later = STATED.encode().replace(b"\xac\x00\x01", b"\xac\x00\x02", 1)
    report = verified(World(provenance=later), later)
    assert told(report) == (Status.INDETERMINATE, "UnknownVersion")
    assert report.result is Result.INDETERMINATE


def test_with_sha256_ignored_the_digest_binds_nothing() -> None:
    world = World(provenance=STATED.encode())
    report = verify_receipt(
        world.receipt, world.trust, content=world.content, at=LINK_TIME + 10, provenance=STATED.encode(),
        ignore_sha256=True,
    )  # fmt: skip
    assert told(report) == (Status.NOT_CHECKED, "AlgorithmIgnored")
    assert "sourceSystem" not in report.facts


def test_a_log_continuation_has_no_provenance() -> None:
    report = verify_receipt(SUCCESSOR.receipt, OPERATED, at=LINK_TIME + 10, provenance=STATED.encode())
    assert told(report) == (Status.NOT_CHECKED, "NoProvenance")
