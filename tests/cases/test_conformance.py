"""`caseledger conformance deadline`: every line has one answer, in the form of the specification."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.calendar import shipped
from cases.conformance import answer
from cli import conformance
from verifier.strict_json import MAX_BYTES


def ask(**fields: Any) -> dict[str, Any]:
    return answer(json.dumps(fields).encode())


LINE: dict[str, Any] = {
    "clock": "appeal",
    "start_event_date": "2026-02-06",
    "length": 15,
    "unit": "days",
    "holds": [],
}


def test_a_line_is_answered_with_its_last_day() -> None:
    assert ask(**LINE) == {"deadline": "2026-02-24", "at": 1771948799, "held": 0, "passed": 3}


@pytest.mark.parametrize(
    "line",
    [
        {"clock": "appeal", "start_event_date": "2026-02-06"},
        LINE | {"clock": None, "unit": "day"},
        LINE | {"clock": "what the sender calls it", "unit": 3, "flags": 0},
        LINE | {"start_event_date": "2026-02-06T23:59:59+08:00"},
        LINE | {"start_event_date": "2026-02-05T16:00:00Z"},
        LINE | {"start_event_date": 1770307200, "article": "CPL 171", "about": 1, "desc": None},
        {"clock": "appeal", "instalments": ["2026-01-06", "2026-02-06", "2025-12-06"]},
    ],
)
def test_one_question_may_be_put_in_several_ways(line: dict[str, Any]) -> None:
    assert ask(**line) == ask(**LINE)


def test_what_is_stated_counts_more_than_the_name() -> None:
    assert ask(**LINE | {"length": 10})["deadline"] == "2026-02-24"
    assert ask(**LINE | {"length": 10, "flags": 1})["deadline"] == "2026-02-16"
    freeze = {"clock": "freeze-deposit", "start_event_date": "2025-02-17", "length": 1, "unit": "year"}
    assert ask(**freeze)["deadline"] == "2026-02-17"
    assert ask(**freeze | {"flags": 0})["deadline"] == "2026-02-24"


def test_hours_and_seconds_are_answered_with_a_time() -> None:
    urgent = ask(clock="preservation-urgent", start_event_date="2026-02-13T10:20:00+08:00")
    assert urgent["deadline"] == "2026-02-15T10:59:59+08:00"
    test = ask(start_event_date=1_771_000_000, length=90, unit="second")
    assert (test["at"], test["test_clock"]) == (1_771_000_090, True)
    assert "test_clock" not in urgent


def test_an_open_hold_leaves_no_deadline() -> None:
    for hold in ({"from": "2026-02-10", "until": None}, {"from": "2026-02-10"}, ["2026-02-10", None]):
        assert ask(**LINE | {"holds": [hold]}) == {"deadline": None, "at": None, "paused": True}
    later = {"from": "2026-02-25", "reason": "appraisal"}
    assert ask(**LINE | {"holds": [later]})["deadline"] == "2026-02-24"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"start_event_date": "2026-12-25"}, "CalendarYearUnknown"),
        ({"start_event_date": "2019-01-25"}, "CalendarYearUnknown"),
        ({"length": 0}, "DeadlineCountZero"),
        ({"length": -1}, "DeadlineCountTooLarge"),
        ({"length": 10_951}, "DeadlineCountTooLarge"),
        ({"length": 10**15}, "DeadlineCountTooLarge"),
        ({"length": True}, "FieldInvalid"),
        ({"length": "15"}, "FieldInvalid"),
        ({"unit": "weeks"}, "DeadlineUnitUnknown"),
        ({"unit": 0}, "DeadlineUnitUnknown"),
        ({"unit": True}, "DeadlineUnitUnknown"),
        ({"unit": None}, "DeadlineUnitUnknown"),
        ({"flags": 2}, "DeadlineFlagsInvalid"),
        ({"flags": 256}, "FieldInvalid"),
        ({"unit": "hours"}, "FieldInvalid"),
        ({"start_event_date": "2100-01-01"}, "DeadlineStartOutOfRange"),
        ({"start_event_date": "9999-12-31"}, "DeadlineStartOutOfRange"),
        ({"start_event_date": "1969-12-31"}, "DeadlineStartOutOfRange"),
        ({"start_event_date": "0001-01-01T00:00:00+08:00"}, "DeadlineStartOutOfRange"),
        ({"start_event_date": 10**18}, "DeadlineStartOutOfRange"),
        ({"start_event_date": "2026-02-30"}, "FieldInvalid"),
        ({"start_event_date": "2026-2-3"}, "FieldInvalid"),
        ({"start_event_date": "2026-02-06T10:00:00"}, "FieldInvalid"),
        ({"start_event_date": "2026-02-06T10:00:00+09:00"}, "FieldInvalid"),
        ({"start_event_date": None}, "FieldInvalid"),
        ({"instalments": ["2026-02-06"]}, "FieldInvalid"),
        ({"holds": [{"from": "2026-02-10", "until": "2026-02-09"}]}, "DeadlineHoldEndsBeforeStart"),
        ({"holds": [{"from": "2026-02-10", "until": "2100-01-01"}]}, "DeadlineHoldOutOfRange"),
        ({"holds": [["2026-02-10", "2026-02-11"]] * 17}, "DeadlineTooManyHolds"),
        ({"holds": [["2026-02-10"]]}, "FieldInvalid"),
        ({"holds": [5]}, "FieldInvalid"),
        ({"holds": {}}, "FieldInvalid"),
        ({"holds": [{"until": "2026-02-10"}]}, "FieldMissing"),
        ({"holds": [{"from": "2026-02-10", "til": 5}]}, "FieldUnknown"),
        ({"hold": []}, "FieldUnknown"),
        ({"clock": "preservation-renewal"}, "ClockNotForward"),
        ({"clock": 5}, "FieldInvalid"),
    ],
)
def test_bad_input_has_its_code(change: dict[str, Any], code: str) -> None:
    assert ask(**LINE | change)["error"] == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "JsonMalformed"),
        (b"null", "FieldInvalid"),
        (b"[]", "FieldInvalid"),
        (b"{}", "FieldMissing"),
        (b'{"length": 1, "length": 2}', "JsonDuplicateKey"),
        (b'{"length": 1.5}', "JsonMalformed"),
        (b'{"clock": "label"}', "FieldMissing"),
        (b'{"clock": "appeal"}', "FieldMissing"),
        (b'{"clock": "appeal", "length": 15, "start_event_date": "2026-02-06"}', "FieldMissing"),
        (b'{"clock": "limitation", "instalments": []}', "InstalmentsMissing"),
        (b'{"clock": "limitation", "instalments": "2026-01-01"}', "FieldInvalid"),
        (b'{"clock": "\\ud800", "start_event_date": "2026-02-06"}', "FieldMissing"),
    ],
)
def test_a_line_of_another_form_is_refused(line: bytes, code: str) -> None:
    assert answer(line)["error"] == code


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=25) | st.sampled_from(list(LINE.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "until"]), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*LINE, "flags", "instalments"]), values))
def test_nothing_in_a_line_is_a_fault(line: dict[str, Any]) -> None:
    found = ask(**{**LINE, **line})
    assert ("error" in found) != ("deadline" in found)
    assert found.get("error") != "VerifierFault"


@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault(line: bytes) -> None:
    assert answer(line)["error"] != "VerifierFault"


def test_the_command_streams() -> None:
    sink = io.BytesIO()
    lines = [json.dumps(LINE).encode(), b"x" * (MAX_BYTES + 1), b"", json.dumps(LINE).encode()]
    conformance.stream("deadline", io.BytesIO(b"\n".join(lines)), sink)
    answers = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert [answer.get("deadline", answer.get("error")) for answer in answers] == [
        "2026-02-24",
        "JsonLimit",
        "JsonMalformed",
        "2026-02-24",
    ]


def test_the_table_that_answers_is_the_shipped_one() -> None:
    assert max(shipped().years) == 2026
