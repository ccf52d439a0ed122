"""A small count is not published, and nobody computes it from what is: they try."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.statistics import THRESHOLD, Query, View, compute
from tests.support.case_walks import POLICIES, walks
from tests.support.differencing import PARTS, Attacker, Name, values


def reports(seed: int, cases: int, owners: int, steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    batches, events, at = walks(seed, cases, owners, steps)
    return tuple(  # type: ignore[return-value]
        compute(batches, events, POLICIES, at, Query(view)) for view in (View.PUBLIC, View.FULL)
    )


def finds(attacker: Attacker) -> dict[Name, int]:
    """Small counts that an attacker knows and was not told."""
    found = attacker.found()
    small = {name: value for name, value in found.items() if 0 < value < THRESHOLD}
    everything = {**values(attacker.report), **found}
    for name, value in found.items():
        if name[0] in PARTS and len(name) == 3:
            whole = everything.get((PARTS[name[0]], *name[1:]))
            if whole is not None and 0 < whole - value < THRESHOLD:
                small[name] = value
    return small


def published(report: dict[str, Any]) -> dict[Name, int]:
    return {name: value for name, value in values(report).items() if value is not None}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000), cases=st.integers(1, 500), owners=st.integers(1, 9), steps=st.integers(0, 14)
)
def test_nobody_computes_a_small_count(seed: int, cases: int, owners: int, steps: int) -> None:
    public, full = reports(seed, cases, owners, steps)
    told = published(public)
    assert not {name: value for name, value in told.items() if 0 < value < THRESHOLD}
    for part, whole in PARTS.items():
        for name in [name for name in told if name[0] == part and len(name) == 3]:
            rest = told.get((whole, *name[1:]), told[name]) - told[name]
            assert not 0 < rest < THRESHOLD, name
    assert not finds(Attacker(public, full))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    cases=st.integers(30, 500),
    owners=st.integers(2, 6),
    steps=st.integers(1, 14),
)
def test_an_institution_that_knows_its_own_computes_no_other_ones(
    seed: int, cases: int, owners: int, steps: int
) -> None:
    public, full = reports(seed, cases, owners, steps)
    truth = values(full)
    for owner in range(11, 11 + owners):
        own = {name: value or 0 for name, value in truth.items() if name[1:] == ("owner", owner)}
        others = {
            name: value
            for name, value in finds(Attacker(public, full, own)).items()
            if name[1:2] == ("owner",)
        }
        assert not others


@pytest.mark.parametrize(("threshold", "caught"), [("none", True), ("primary", True), ("all", False)])
def test_the_attack_would_find_what_is_badly_hidden(threshold: str, caught: bool) -> None:
    """The same attack on a report without complementary suppression, so that it can be seen to work."""
    hits = 0
    for seed in range(12):
        public, full = reports(seed, 300, 5, 8)
        if threshold != "all":
            for figure, truth in zip(public["figures"], full["figures"], strict=True):
                for dimension, rows in figure["by"].items():
                    for row, true in zip(rows, truth["by"][dimension], strict=True):
                        for member in ("numerator", "denominator"):
                            value = true[member]
                            bare = value is not None and not 0 < value < THRESHOLD
                            if bare or threshold == "none":
                                row[member] = value
        told = published(public)
        hits += bool(finds(Attacker(public, full))) or any(0 < value < THRESHOLD for value in told.values())
    assert (hits > 0) is caught


def test_what_is_published_is_true_and_most_of_it_is_published() -> None:
    batches, events, at = walks(3, 4000, 12, 12)
    public, full = (compute(batches, events, POLICIES, at, Query(view)) for view in (View.PUBLIC, View.FULL))
    told, truth = values(public), values(full)
    assert told.keys() == truth.keys()
    shown = {name: value for name, value in told.items() if value is not None}
    assert all(truth[name] == value for name, value in shown.items())
    assert len(shown) > 0.5 * len(truth)
