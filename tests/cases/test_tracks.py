"""The track advisor: thresholds by the published wage, exclusions, and that the court decides."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cases.errors import DecisionInputInvalid, WageInvalid
from cases.tracks import NEWEST, Share, Wage, advise, share
from protocol.case_row import CaseRow, Debtor, Reachability

FILED = date(2026, 7, 1)
WAGE = Wage("福建", 2025, 100_001)


def row(total: int = 1_500_000, reach: Reachability = Reachability.REACHABLE) -> CaseRow:
    return CaseRow(
        7, "A-1", 1, Debtor.PERSON, "某人", "350503199001011232", None, "某地", "2020-01-01", "2025-01-01",
        total, 0, 0, total, 200, reach,
    )  # fmt: skip


@given(st.integers(0, 2**53 - 1), st.integers(10_000, 1_000_000))
@example(5_000_050, 100_001)
@example(20_000_200, 100_001)
def test_share_is_exact_in_fen(amount: int, yuan: int) -> None:
    found = share(amount, Wage("", 2025, yuan))
    assert (found is Share.HALF) == (amount <= yuan * 50)
    assert (found is Share.ABOVE) == (amount > yuan * 200)


def test_the_wage_is_of_a_year_that_is_over() -> None:
    with pytest.raises(WageInvalid):
        advise(row(), filed=FILED, wage=Wage("福建", 2026, 100_000))
    newest = advise(row(), filed=FILED, wage=Wage("福建", 2024, 100_000)).explain("zh")
    assert "最近年度" in newest
    assert "最近年度" not in advise(row(), filed=FILED, wage=WAGE).explain("zh")


@pytest.mark.parametrize("yuan", [0, 9_999, 1_000_001])
def test_a_wage_that_is_none_is_refused(yuan: int) -> None:
    with pytest.raises(WageInvalid):
        Wage("福建", 2025, yuan)


def test_nothing_is_guessed_without_a_wage() -> None:
    advice = advise(row(), filed=FILED)
    assert advice.decision.outcome.name == "undetermined"
    assert "amount" in advice.decision.open_questions()


def test_who_cannot_be_found_goes_to_the_ordinary_track_whatever_the_amount() -> None:
    advice = advise(row(1, Reachability.UNREACHABLE), filed=FILED, wage=WAGE)
    assert advice.decision.outcome.name == "ordinary"


def test_explanation_gives_threshold_article_and_that_the_court_decides() -> None:
    zh = advise(row(5_000_050), filed=FILED, wage=WAGE).explain("zh")
    assert "100,001 元" in zh
    assert "50,000.50 元" in zh
    assert "第165条" in zh
    assert zh.endswith("由法院决定。")
    en = advise(row(5_000_051), filed=FILED, wage=WAGE).explain("en")
    assert "summary procedure" in en
    assert en.endswith("the court decides.")


def test_stated_facts_count_and_unknown_ones_are_refused() -> None:
    assert advise(row(), filed=FILED, wage=WAGE, stated={"foreign": 1}).decision.rule.name == "foreign"
    for stated in ({"weather": 1}, {"amount": 1}, {"foreign": 7}):
        with pytest.raises(DecisionInputInvalid):
            advise(row(), filed=FILED, wage=WAGE, stated=stated)


def test_the_advisor_moves_nothing() -> None:
    assert all(outcome.confirm.name == "NONE" for outcome in NEWEST.outcomes.values())
