"""Counts, durations and form of the statistics, from events made by hand and from frozen vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.calendar import first_second
from cases.errors import HistoryBroken, StatisticsQueryInvalid
from cases.lifecycle_v1 import StageCode
from cases.statistics import Query, View, canonical, compute, decimal, nearest_rank, report, spread
from cases.statistics_events import BatchEvent, CaseEvent
from cases.statistics_history import histories
from tests.support.case_walks import LIFE, POLICIES, START, snapshot, walks

VECTORS = Path(__file__).parent.parent / "vectors" / "statistics.json"
ROOT, BANK, DAY = b"\x01" * 32, 11, 86_400
NOW = START + 200 * DAY
FULL = Query(View.FULL)


class Story:
    """Events of a batch and its cases, told in order; hours since the import."""

    def __init__(self, count: int = 1, owner: int = BANK, root: bytes = ROOT, at: int = START) -> None:
        self.batches = [BatchEvent(1, root, False, owner, count, bytes(32), at)]
        self.events: list[CaseEvent] = []
        self.at, self.owner, self.root = at, owner, root
        self.version: dict[int, int] = {}

    def add(self, kind: str, case: int, hour: int, **more: Any) -> Story:
        if kind not in ("opened", "overdue"):
            self.version[case] = self.version.get(case, 1) + 1
        version, time = self.version.setdefault(case, 1), self.at + hour * 3600
        event = CaseEvent(len(self.events) + 2, kind, bytes([case]) * 32, version, time, **more)
        self.events.append(event)
        return self

    def opened(self, case: int, hour: int, product: int = 1) -> Story:
        return self.add(
            "opened", case, hour, stage=1, deadline=START + 48 * 3600, root=self.root, owner=self.owner,
            product=product, policy=1,
        )  # fmt: skip

    def moved(self, case: int, hour: int, name: str, deadline: int = 0) -> Story:
        step = LIFE.transition(name)
        kind = "lapsed" if step.lapse else "moved"
        return self.add(kind, case, hour, stage=step.target, transition=step.id, deadline=deadline)

    def report(self, query: Query = FULL, now: int = NOW) -> dict[str, Any]:
        return compute(self.batches, self.events, POLICIES, snapshot(now), query)


def figure(made: dict[str, Any], name: str, dimension: str = "all", key: Any = "") -> tuple[Any, Any]:
    rows = next(one["by"][dimension] for one in made["figures"] if one["figure"] == name)
    row = next(row for row in rows if row["key"] == key)
    return row["numerator"], row["denominator"]


def stage(made: dict[str, Any], code: int) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in made["stages"] if one["stage"] == code)
    return found


def test_a_case_is_counted_where_it_was_and_timed_from_its_import() -> None:
    story = Story(3).opened(1, 10).moved(1, 10, "admit").moved(1, 20, "route-central", START + 99)
    story.moved(1, 30, "settle").moved(1, 60, "settlement-binds").opened(2, 5, product=4).moved(
        2, 5, "reject"
    )
    made = story.report()
    assert figure(made, "intake") == (3, None)
    assert figure(made, "opened") == (2, 3)
    assert figure(made, "settlement") == (1, 1)
    assert figure(made, "closing") == (1, 3)
    assert figure(made, "intake", "product", 0) == (1, None)
    assert figure(made, "closing", "product", 4) == (1, 1)
    assert stage(made, StageCode.CENTRAL)["mean"] == {"sum": 36_000, "count": 1, "seconds": "36000.000"}
    assert stage(made, StageCode.IMPORTED)["standing"] == 1
    assert stage(made, StageCode.IMPORTED)["count"] == 2
    cycle = next(one for one in made["durations"] if one["duration"] == "cycle")["by"]["all"][0]
    assert cycle["mean"]["sum"] == 5 * 3600


def test_a_step_taken_back_counts_as_if_it_had_not_been() -> None:
    story = Story().opened(1, 1).moved(1, 1, "admit").moved(1, 5, "route-central")
    story.add("reversed", 1, 9, stage=StageCode.ADMITTED, deadline=START + DAY)
    stands = stage(story.report(), StageCode.ADMITTED)
    assert (stands["standing"], stands["count"]) == (1, 0)
    made = story.moved(1, 20, "offer-mediation").report()
    assert figure(made, "settlement") == (0, 0)
    assert all(one["stage"] != StageCode.CENTRAL for one in made["stages"])
    assert stage(made, StageCode.ADMITTED)["mean"]["sum"] == 19 * 3600


def test_an_extension_begins_no_stay_and_its_reversal_ends_none() -> None:
    story = Story().opened(1, 1).moved(1, 1, "admit").moved(1, 2, "offer-mediation")
    story.moved(1, 3, "mediation-starts").moved(1, 10, "mediation-prolonged")
    story.add("reversed", 1, 11, stage=StageCode.MEDIATING, deadline=START + 9 * DAY)
    made = story.moved(1, 13, "mediation-agreed").report()
    assert stage(made, StageCode.MEDIATING)["mean"]["sum"] == 10 * 3600
    assert figure(made, "mediation") == (1, 1)


def test_marks_and_deadlines_that_passed() -> None:
    story = Story(2).opened(1, 60).add("overdue", 1, 60, stage=1, deadline=START + 48 * 3600)
    story.moved(1, 61, "admit", deadline=START + 90 * 3600)
    made = story.report()
    assert figure(made, "breach") == (1, 2)
    assert figure(made, "past-deadline") == (1, 2)
    assert figure(story.report(now=START + 80 * 3600), "past-deadline") == (0, 2)
    story.add("paused", 1, 62)
    assert figure(story.report(), "past-deadline") == (0, 2)


def test_a_recalled_batch_is_not_there() -> None:
    story = Story(4)
    story.batches.append(BatchEvent(2, ROOT, True, BANK, 0, bytes(32), START + 5))
    made = story.report()
    assert made["figures"][0]["by"]["all"] == []
    assert made["stages"] == made["closingByMonth"] == []


def test_months_of_shanghai_and_what_was_concluded_in_each() -> None:
    last_of_month = first_second(20_028) - 3600  # 31 October 2024, 23:00 in Shanghai
    story = (
        Story(2, at=last_of_month).opened(1, 0).moved(1, 2, "reject").opened(2, 2).moved(2, 900, "withdraw")
    )
    made = story.report(now=last_of_month + 45 * DAY)
    assert figure(made, "intake", "month", "2024-10") == (2, None)
    rows = {row["month"]: (row["numerator"], row["denominator"]) for row in made["closingByMonth"]}
    assert rows == {"2024-10": (0, 2), "2024-11": (1, 2), "2024-12": (1, 1)}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda s: s.events.pop(1),
        lambda s: s.events.append(replace(s.events[-1], sequence=9)),
        lambda s: s.events.reverse(),
        lambda s: s.batches.clear(),
        lambda s: s.batches.append(BatchEvent(2, ROOT, True, BANK, 0, bytes(32), START)),
        lambda s: s.batches.insert(0, BatchEvent(1, ROOT, True, BANK, 0, bytes(32), START)),
        lambda s: s.events.insert(0, replace(s.events[0], sequence=1, owner=BANK + 1)),
        lambda s: s.events.__setitem__(0, replace(s.events[0], policy=2)),
        lambda s: s.events.__setitem__(2, replace(s.events[2], transition=23)),
        lambda s: s.events.__setitem__(2, replace(s.events[2], stage=7)),
        lambda s: s.events.__setitem__(2, replace(s.events[2], kind="lapsed")),
        lambda s: s.events.__setitem__(2, replace(s.events[2], version=7)),
        lambda s: s.add("reversed", 1, 9, stage=2).add("reversed", 1, 9, stage=1),
        lambda s: s.opened(2, 9),
        lambda s: s.add("appeared", 1, 9),
        lambda s: s.moved(1, 9, "settle").opened(2, 300 * 24),
    ],
)
def test_events_that_no_chain_has_give_no_report(break_it: Any) -> None:
    story = Story().opened(1, 1).moved(1, 1, "admit").moved(1, 5, "route-central")
    story.report()
    break_it(story)
    with pytest.raises(HistoryBroken):
        story.report()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_spread_is_exact(values: list[int]) -> None:
    made = spread(values)
    ordered = sorted(values)
    assert made["mean"]["sum"] == sum(values)
    assert abs(Fraction(made["mean"]["seconds"]) - Fraction(sum(values), len(values))) <= Fraction(1, 2000)
    half = Fraction(ordered[(len(values) - 1) // 2] + ordered[len(values) // 2], 2)
    assert Fraction(made["median"]) == half
    assert sum(value <= made["p90"] for value in values) * 10 >= 9 * len(values)
    assert sum(value < made["p90"] for value in values) * 10 < 9 * len(values)


def test_decimals_are_rounded_half_up_and_nothing_is_a_float() -> None:
    assert [decimal(1, 3, 4), decimal(2, 3, 4), decimal(1, 8, 2), decimal(0, 5, 3)] == [
        "0.3333", "0.6667", "0.13", "0.000"
    ]  # fmt: skip
    assert [nearest_rank(list(range(1, n + 1)), 90) for n in (1, 9, 10, 11, 100)] == [1, 9, 9, 10, 90]
    for wrong in (0.5, {"a": [1, 2.0]}, {1: 2}, {"a": (1,)}, b""):
        with pytest.raises(TypeError):
            canonical(wrong)
    assert canonical({"b": "城", "a": [None, True, 3]}) == '{"a":[null,true,3],"b":"城"}\n'.encode()


def test_the_order_of_parallel_lives_changes_nothing_but_numbers() -> None:
    batches, events, at = walks(5, 80, 4, 9)
    made = compute(batches, events, POLICIES, at, Query(View.PUBLIC))
    regrouped = sorted(events, key=lambda event: (event.case_id, event.sequence))
    renumbered = [replace(event, sequence=number) for number, event in enumerate(regrouped, 2)]
    assert canonical(compute(batches, renumbered, POLICIES, at, Query(View.PUBLIC))) == canonical(made)


def test_an_institution_sees_its_own_whole_and_of_the_city_no_more_than_the_rest_hides() -> None:
    own, other = Story(9), Story(3, owner=12, root=b"\x02" * 32)
    batches = [*own.batches, replace(other.batches[0], sequence=2)]
    made = compute(batches, [], POLICIES, snapshot(NOW), Query(View.OWN, BANK))
    assert figure(made, "intake") == (9, None)
    city = {row["figure"]: row["numerator"] for row in made["city"]}
    assert city["intake"] is None  # 12 less the own 9 would be the other's 3
    assert city["closing"] is None
    many = [batches[0], replace(batches[1], count=5)]
    third = BatchEvent(3, b"\x03" * 32, False, 13, 5, bytes(32), START)
    made = compute([*many, third], [], POLICIES, snapshot(NOW), Query(View.OWN, BANK))
    assert made["city"][0]["numerator"] == 19
    # Of the others' ten eight are one institution's: the rest is two cases of the third.
    few = [replace(batches[0], count=10), replace(batches[1], count=8), replace(third, count=2)]
    made = compute(few, [], POLICIES, snapshot(NOW), Query(View.OWN, BANK))
    assert made["city"][0]["numerator"] is None
    with pytest.raises(StatisticsQueryInvalid):
        Query(View.OWN)
    with pytest.raises(StatisticsQueryInvalid):
        Query(View.FULL, 3)


def test_vectors() -> None:
    for vector in json.loads(VECTORS.read_text("utf-8")):
        batches = [_from(BatchEvent, one) for one in vector["batches"]]
        events = [_from(CaseEvent, one) for one in vector["events"]]
        found = histories(batches, events, POLICIES)
        at = replace(snapshot(vector["time"], len(batches), len(events) + 1))
        openings = None if vector["openings"] is None else [bytes.fromhex(one) for one in vector["openings"]]
        for one in vector["reports"]:
            query = Query(View(one["view"]), one["owner"])
            assert canonical(report(found, at, query, openings)).decode() == one["report"], one["view"]


def _from(kind: type[Any], values: list[Any]) -> Any:
    octets = {"root", "totals", "case_id"}
    names = kind.__dataclass_fields__
    return kind(
        *(
            bytes.fromhex(value) if name in octets else value
            for name, value in zip(names, values, strict=True)
        )
    )
