"""Deadlines as iCalendar: what another program's parser reads is what was meant, octet by octet."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.calendar import last_second, to_day
from cases.icalendar import Due, calendar, escape, fold
from cases.lifecycle_v1 import LIFECYCLE_V1

STAGES = list(LIFECYCLE_V1.stages.values())
NOW = 1_800_000_000
dues = st.builds(
    Due,
    case_id=st.binary(min_size=32, max_size=32),
    version=st.integers(1, 2**31 - 1),
    stage=st.sampled_from(STAGES),
    deadline=st.integers(NOW, NOW + 10**8) | st.integers(20_000, 25_000).map(last_second),
    provisional=st.booleans(),
    revised=st.integers(NOW, NOW + 10**6),
    test_clock=st.booleans(),
)


def events(data: bytes) -> list[Any]:
    return list(icalendar.Calendar.from_ical(data).walk("VEVENT"))


@given(st.lists(dues, max_size=8))
def test_another_parser_reads_every_deadline(listed: list[Due]) -> None:
    data = calendar(listed)
    read = events(data)
    assert not icalendar.Calendar.from_ical(data).errors
    assert [str(one["UID"]) for one in read] == [due.uid for due in listed]
    for one, due in zip(read, listed, strict=True):
        assert not one.errors
        start = one["DTSTART"].dt
        if isinstance(start, datetime):
            assert start == datetime.fromtimestamp(due.deadline, UTC)
        else:
            assert last_second(to_day(start)) == due.deadline
        assert one["DTSTAMP"].dt == datetime.fromtimestamp(due.revised, UTC)
        assert due.stage.label.zh in str(one["SUMMARY"])
        assert due.case_id.hex()[:12] in str(one["SUMMARY"])
        assert ("暂定" in str(one["SUMMARY"])) == due.provisional


@given(st.lists(dues, min_size=1, max_size=5))
def test_lines_are_of_75_octets_end_in_cr_lf_and_cut_no_character(listed: list[Due]) -> None:
    data = calendar(listed)
    assert data.endswith(b"END:VCALENDAR\r\n")
    for line in data.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()  # a cut character would not be UTF-8
        assert b"\n" not in line
        assert b"\r" not in line


@given(dues)
def test_no_whole_case_id_leaves_and_the_name_is_steady(due: Due) -> None:
    data = calendar([due]).replace(b"\r\n ", b"")
    assert due.case_id.hex().encode() not in data
    assert calendar([due]) == calendar([due])
    other = Due(**{**due.__dict__, "version": due.version + 1})
    assert other.uid != due.uid
    assert other.uid.split("-")[0] == due.uid.split("-")[0]


def test_a_day_is_an_all_day_event_in_shanghai() -> None:
    due = Due(bytes(32), 1, STAGES[0], last_second(to_day(date(2026, 12, 1))), False, NOW)
    assert b"DTSTART;VALUE=DATE:20261201\r\n" in calendar([due])


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("a,b;c\\d\ne", "a\\,b\\;c\\\\d\\ne"),
        ("a\r\nb", "a\\nb"),
        ("tab\tbell\7", "tabbell"),
        ("：，。", "：，。"),
    ],
)
def test_text_is_escaped(given_text: str, wanted: str) -> None:
    assert escape(given_text) == wanted


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_folding_is_undone_by_unfolding(line: str) -> None:
    assert fold(line).replace(b"\r\n ", b"") == line.encode() + b"\r\n"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_no_text_breaks_out_of_its_line(text: str) -> None:
    hostile = text + "\r\nBEGIN:VEVENT\r\nSUMMARY:x"
    line = fold(f"SUMMARY:{escape(hostile)}")
    data = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n" + line + b"END:VEVENT\r\nEND:VCALENDAR\r\n"
    (read,) = events(data)
    assert str(read["SUMMARY"]) == hostile.replace("\r\n", "\n")
