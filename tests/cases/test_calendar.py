"""The table of working days: what it says, what it refuses, and that its data agree with one another."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import chinese_calendar  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.calendar import (
    add_months,
    day_of,
    first_second,
    last_second,
    local,
    parse,
    shipped,
    to_date,
    to_day,
)
from cases.errors import CalendarMalformed, CalendarYearUnknown

DATA = Path(__file__).parents[2] / "cases/data/workcalendar.json"


def document() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(DATA.read_text("utf-8"))
    return value


@pytest.mark.parametrize("year", sorted(shipped().years))
def test_every_day_is_as_another_table_has_it(year: int) -> None:
    day = date(year, 1, 1)
    while day.year == year:
        assert shipped().is_workday(to_day(day)) == chinese_calendar.is_workday(day), day
        day += timedelta(days=1)


def test_a_year_without_a_notice_is_refused() -> None:
    assert sorted(shipped().years) == list(range(2020, 2027))
    for year in (2019, 2027, 1970, 9999):
        with pytest.raises(CalendarYearUnknown, match=str(year)):
            shipped().is_workday(to_day(date(year, 6, 1)))
    assert shipped().is_workday(to_day(date(2026, 12, 31)))


def test_every_year_names_its_notice() -> None:
    for number, year in shipped().years.items():
        assert "国务院办公厅" in year.notice
        assert str(number) in year.notice
        assert len(year.notice.encode()) <= 256  # what the contract takes


def broken(year: str, field: str, value: Any) -> dict[str, Any]:
    other = copy.deepcopy(document())
    other["years"][year][field] = value
    return other


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"version": 2, "years": {}},
        {"version": 1, "years": {"two": {}}},
        {"version": 1, "years": {"1999": {"notice": "n", "holidays": [], "workdays": []}}},
        {"version": 1, "years": {"2200": {"notice": "n", "holidays": [], "workdays": []}}},
        {"version": 1, "years": {"2026": {"notice": "", "holidays": [], "workdays": []}}},
        {"version": 1, "years": {"2026": {"notice": "n", "holidays": []}}},
        broken("2026", "holidays", ["2026-02-30"]),
        broken("2026", "holidays", ["2025-12-31"]),
        broken("2026", "holidays", ["2026-05-01", ["2026-04-30", "2026-05-02"]]),
        broken("2026", "holidays", [["2026-05-03", "2026-05-01"]]),
        broken("2026", "holidays", [["2026-02-01", "2026-06-30"]]),
        broken("2026", "holidays", [5]),
        broken("2026", "workdays", ["2026-05-11"]),
        broken("2026", "workdays", ["2026-02-15"]),
        broken("2026", "extra", []),
    ],
)
def test_data_that_contradict_themselves_are_refused(document: Any) -> None:
    with pytest.raises(CalendarMalformed):
        parse(document)


def test_bits_begin_with_the_first_of_january() -> None:
    year = shipped().years[2026]
    assert year.low | year.high << 256 == year.bits
    assert year.bits >> year.length == 0
    assert not year.bits & 1
    assert year.bits >> 3 & 1  # Sunday 4 January is a make-up day
    assert year.high >> (to_day(date(2026, 10, 10)) - year.first - 256) & 1


def test_a_day_begins_at_midnight_in_shanghai() -> None:
    day = to_day(date(2026, 2, 15))
    assert local(first_second(day)).isoformat() == "2026-02-15T00:00:00+08:00"
    assert local(last_second(day)).isoformat() == "2026-02-15T23:59:59+08:00"
    assert day_of(first_second(day)) == day_of(last_second(day)) == day
    assert day_of(first_second(day) - 1) == day - 1
    assert day_of(0) == 0


@given(st.dates(date(1970, 1, 1), date(2300, 1, 1)), st.integers(0, 400))
def test_months_are_those_of_a_calendar_on_the_wall(start: date, months: int) -> None:
    found = to_date(add_months(to_day(start), months))
    index = start.year * 12 + start.month - 1 + months
    assert (found.year, found.month) == (index // 12, index % 12 + 1)
    assert found.day == start.day or (found.day < start.day and (found + timedelta(days=1)).day == 1)
