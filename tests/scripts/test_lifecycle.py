"""The lifecycle's source is read strictly, linted, and everything made from it is fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.deadlines import Unit
from cases.lifecycle import OWNER
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from protocol.acts import Role
from scripts import lifecycle as generator
from scripts.lifecycle_source import SOURCE, lint, read
from scripts.yaml_source import SourceError

TEXT = SOURCE.read_text("utf-8")


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1, old
    return TEXT.replace(old, new, 1)


def line_of(name: str) -> str:
    found = re.search(rf"^  {name}: \{{.*\n", TEXT, re.MULTILINE)
    assert found is not None
    return found[0]


def test_what_is_shipped_has_no_fault() -> None:
    assert lint(read(TEXT)) == []


def test_everything_generated_is_fresh() -> None:
    for path, text in generator.outputs(read(TEXT)).items():
        assert path.read_text("utf-8") == text, path


def test_the_generated_module_says_what_the_source_says() -> None:
    life = read(TEXT)
    assert life == LIFECYCLE_V1
    assert life.table_hash == LIFECYCLE_V1.table_hash
    assert {stage.name: stage.value for stage in StageCode} == {s.name: c for c, s in life.stages.items()}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 1\n", "version: 0\n", "version is a number"),
        ("version: 1\n", "version: 1\nversion: 2\n", "stands twice"),
        ("version: 1\n", "version: 1\nmore: 2\n", "unknown member more"),
        ("  COMPLETION:\n    code: 3", "  COMPLETION:\n    code: 2", "is taken"),
        ("  COMPLETION:\n    code: 3", "  COMPLETION:\n    code: 64", "from 1 to 63"),
        ('by: [centre], label: {zh: "要求', 'by: [center], label: {zh: "要求', "by center is not known"),
        ("to: COMPLETION", "to: COMPLETED", "to COMPLETED is not known"),
        ("reasons: rejected", "reasons: refusal", "reasons refusal is not known"),
        ("unit: working-days", "unit: business-days", "unit business-days is not known"),
        ("classes: [contract]", "classes: [deed]", "classes deed is not known"),
        ("holds: [attestation, dispute]", "holds: [attestation, sleep]", "holds sleep is not known"),
        ("consent: mediation", "consent: everything", "consent everything is not known"),
        (", held: true", ", held: maybe", "held is true or false"),
        ('label: {zh: "受理", en: "admit"}', 'label: {zh: "受理"}', "en is missing"),
    ],
)
def test_a_source_that_is_not_a_lifecycle_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read(changed(old, new))


def without(name: str) -> str:
    return TEXT.replace(line_of(name), "")


def edited(name: str, old: str, new: str) -> str:
    line = line_of(name)
    assert old in line
    return TEXT.replace(line, line.replace(old, new, 1))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            without("route-special")
            .replace("SPECIAL, by: [police]", "CLOSED, by: [police]")
            .replace("SPECIAL, by: [prosecutor]", "CLOSED, by: [prosecutor]"),
            "SPECIAL: unreachable",
        ),
        (without("close"), "PERFORMED: no exit"),
        (
            without("agreement-performing")
            .replace("MED_AGREED, BREACHED], to: CONF_APPLIED", "BREACHED], to: CONF_APPLIED")
            .replace("from: [SETTLED, MED_AGREED]", "from: [SETTLED]"),
            "MED_AGREED: no exit",
        ),
        (
            edited("order-served", "when: before", "when: after").replace(
                "from: [PO_ISSUED, PO_SERVED]", "from: [PO_SERVED]"
            ),
            "PO_ISSUED: no exit while time runs",
        ),
        (
            edited("judged-small", "[court-document]", "[mediation-record]"),
            "judged-small: asks for privileged material",
        ),
        (edited("judged-small", "from: [court]}", "from: []}"), "judged-small: a guard without evidence"),
        (
            edited("judged-small", "classes: [court-document]", "classes: []"),
            "judged-small: a guard without evidence",
        ),
        (edited("judged-small", "[court-document]", "[log-continuation]"), "a class that is no document"),
        (edited("judged-small", "by: [court]", "by: [centre]"), "others than courts enter a court stage"),
        (
            edited("enforcement-filed", "by: [court]", "by: [owner, court]"),
            "others than courts enter a court stage",
        ),
        (edited("admit", "by: [centre]", "by: []"), "admit: nobody may do it"),
        (
            edited("mediation-expires", "lapse: true", "lapse: true, reasons: rejected"),
            "a lapse needs nothing but time",
        ),
        (
            edited("small-prolonged", "extends: true", "extends: false"),
            "extends and stays where it is go together",
        ),
        (edited("small-prolonged", "when: before, ", ""), "an extension needs a clock of its own"),
        (edited("small-prolonged", "unit: months", "unit: days"), "another unit than its stage"),
        (
            changed('label: {zh: "已受理", en: "admitted"}', 'label: {zh: "已受理", en: ""}'),
            "a label is missing in one language",
        ),
        (
            changed('en: "All is paid. You may ask for a certificate."', 'en: ""'),
            "the plain sentence is missing",
        ),
        (edited("close", "article: house", 'article: ""'), "transition close: no article"),
    ],
)
def test_the_linter_names_what_is_wrong(source: str, fault: str) -> None:
    assert any(fault in found for found in lint(read(source))), lint(read(source))


def test_only_courts_enter_court_stages_and_nobody_else_leaves_a_trial() -> None:
    life = LIFECYCLE_V1
    courts = Role.COURT.mask | Role.ENFORCEMENT.mask
    trial = {StageCode.FILED, StageCode.TRIAL_SMALL, StageCode.TRIAL_SIMPLE, StageCode.TRIAL_ORDINARY}
    for step in life.transitions.values():
        if life.stages[step.target].court:
            assert step.by & ~courts == 0
        if trial & set(step.sources):
            assert step.by == Role.COURT.mask


def test_no_institution_may_pause_a_clock() -> None:
    institutions = Role.BANK.mask | Role.INSURER.mask | Role.SECURITIES.mask | OWNER
    assert all(hold.by & institutions == 0 for hold in LIFECYCLE_V1.holds.values())


def test_lapses_are_the_ones_that_the_law_names() -> None:
    lapses = {step.name for step in LIFECYCLE_V1.transitions.values() if step.lapse}
    assert lapses == {"mediation-expires", "order-not-served"}


def test_mediation_ends_in_the_eight_ways_of_the_rule() -> None:
    reasons = LIFECYCLE_V1.transition("mediation-ends").reasons
    assert [reason.code for reason in reasons] == [2, 3, 4, 5, 6, 7, 8]
    assert LIFECYCLE_V1.transition("mediation-agreed").sources == (StageCode.MEDIATING,)


def test_the_test_clock_is_another_lifecycle() -> None:
    fast = LIFECYCLE_V1.with_test_clock()
    assert fast.table_hash != LIFECYCLE_V1.table_hash
    assert fast.source_digest != LIFECYCLE_V1.source_digest
    clocks = [stage.clock for stage in fast.stages.values() if stage.clock]
    assert all(clock.unit is Unit.SECONDS for clock in clocks)
    assert set(fast.transitions) == set(LIFECYCLE_V1.transitions)


def test_comments_and_layout_are_not_part_of_the_source_digest() -> None:
    assert read("# more words\n" + TEXT).source_digest == LIFECYCLE_V1.source_digest
    assert read(changed('en: "admit"', 'en: "let in"')).source_digest != LIFECYCLE_V1.source_digest


@given(st.text(max_size=400))
def test_noise_is_refused_with_one_kind_of_error(text: str) -> None:
    with pytest.raises(SourceError):
        read(text)


def test_a_page_that_lost_its_marks_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lost the marks"):
        generator.with_tables("# nothing\n", LIFECYCLE_V1)
