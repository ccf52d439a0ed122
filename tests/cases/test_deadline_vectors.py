"""The worked cases of docs/deadlines.md, whose answers were worked out by hand from notices and articles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cases.clocks import CLOCKS
from cases.conformance import answer
from scripts import deadlines_doc

GROUPS = json.loads(deadlines_doc.VECTORS.read_text("utf-8"))["groups"]
ROWS: list[dict[str, Any]] = [row for group in GROUPS for row in group["rows"]]


@pytest.mark.parametrize("number", range(1, len(ROWS) + 1))
def test_every_case_has_the_answer_that_was_worked_out(number: int) -> None:
    row = ROWS[number - 1]
    found = answer(json.dumps({key: value for key, value in row.items() if key != "answer"}).encode())
    assert {key: found.get(key) for key in row["answer"]} == row["answer"]
    assert ("error" in found) == ("error" in row["answer"])


def test_there_are_enough_cases_of_each_kind() -> None:
    assert len(ROWS) >= 80
    assert {group["group"] for group in GROUPS} >= {
        "spring-festival", "make-up-days", "year-end", "leap-day", "month-ends", "holds", "instalments",
        "refusals",
    }  # fmt: skip
    assert len({json.dumps(row) for row in ROWS}) == len(ROWS)


def test_every_clock_of_the_law_is_among_them_with_its_article() -> None:
    assert {row["clock"] for row in ROWS} >= set(CLOCKS)
    for row in ROWS:
        legal = CLOCKS.get(row["clock"])
        assert row["article"] == ("; ".join(map(str, legal.articles)) if legal else row["article"])


def test_the_printed_table_is_checked() -> None:
    old = deadlines_doc.PAGE.read_text("utf-8")
    assert deadlines_doc.page(old) == old
    assert deadlines_doc.page(old.replace("**2026-02-24**", "**2026-02-25**")) == old
    with pytest.raises(ValueError, match="generate"):
        deadlines_doc.page("no marks")
