"""Words for refusals: every error of the contracts that an act can meet, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cases.citations import cite
from cases.clocks import LAWS
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.wording import EXPLAINED, Asked, rule_of
from chain.bindings import CASE_BATCHES, CASE_LEDGER, EVIDENCE_GUARD, REGISTRY, CustomError, interface

LIFE = LIFECYCLE_V1
# Of constructors and of governance, whom no act on a case meets.
ELSEWHERE = re.compile(
    r"(Case|Batch)(Registry|Ledger|Batches|Policy)Invalid|CaseNotGovernance|EvidenceGuardLogInvalid"
    r"|BatchInvalid|BatchKnown|BatchNoPolicy|BatchNotOwner|BatchHasMoved|BatchRecallTooLate"
    r"|MerkleSizesInvalid|MerkleOldRootMismatch|MerkleNewRootMismatch|(String|Short|EIP|ECDSA|Invalid).*"
    r"|MerkleProofTooLong|MerkleProofTooShort|MerkleIndexInvalid|Policy.*Invalid|Calendar(?!YearUnknown).*"
)
ERRORS: dict[str, CustomError] = {
    error.name: error
    for name in (CASE_LEDGER, CASE_BATCHES, EVIDENCE_GUARD)
    for error in interface(name).errors.values()
    if not ELSEWHERE.fullmatch(error.name)
}
KEYS = {error.name: error for error in interface(REGISTRY).errors.values() if error.name in EXPLAINED}


def sample(error: CustomError) -> dict[str, Any]:
    """A value of each type: numbers that exist as stage, class, role and organisation."""
    values: dict[str, Any] = {}
    for name, kind in zip(error.names, error.types, strict=True):
        values[name] = bytes(32) if kind.startswith("bytes") else bytes(20) if kind == "address" else 5
        if kind == "uint40":
            values[name] = 1_800_000_000
    return values


@pytest.mark.parametrize("name", sorted(ERRORS | KEYS))
def test_every_refusal_has_words_in_both_languages(name: str) -> None:
    assert name in EXPLAINED
    error = (ERRORS | KEYS)[name]
    for asked in (
        Asked(LIFE, LIFE.transition("settle"), None, None, 5, 3),
        Asked(LIFE, None, LIFE.holds[7], None, 5, 3),
        Asked(LIFE),
    ):
        rule = rule_of(name, sample(error), asked)
        for words in (rule.text.zh, rule.text.en):
            assert words
            assert not re.search(r"[{}]|0x|b'", words)
        assert re.search(r"[一-鿿]", rule.text.zh)
        assert not re.search(r"[一-鿿]", rule.text.en)


def test_a_refusal_names_step_stage_and_ways_out() -> None:
    asked = Asked(LIFE, LIFE.transition("settle"), None, None, 2, 3)
    rule = rule_of("CaseTransitionIllegal", {"stage": 2, "transition": 8}, asked)
    assert (rule.name, rule.article) == ("settle", "house")
    assert "admitted" in rule.text.en
    for way in LIFE.leaving(2):
        assert way.label.en in rule.text.en
    told = rule_of("CaseTooLate", {"deadline": 1_800_000_000, "time": 1_800_000_001}, asked)
    assert "2027-01-15 16:00:00" in told.text.zh  # Shanghai


def test_every_article_of_the_lifecycle_is_cited_in_both_languages() -> None:
    texts = {step.article for step in LIFE.transitions.values()}
    texts |= {hold.article for hold in LIFE.holds.values()}
    texts |= {stage.clock.article for stage in LIFE.stages.values() if stage.clock}
    for article in texts:
        cited = cite(article)
        for part, zh in zip(article.split("; "), cited.zh.split("；"), strict=True):
            law = part.split(" ", 1)[0]
            if law in LAWS:
                assert LAWS[law].zh in zh
                assert LAWS[law].en in cited.en
            elif law == "house":
                assert zh == "中心规则"
    assert cite("OM 24; IM 27").en.endswith("Provisions on Invited Mediation (2016) Art. 27")
    assert cite("").zh == cite("").en == ""
