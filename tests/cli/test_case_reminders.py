"""What a person sees of reminders."""

from __future__ import annotations

from typing import Any

import pytest

from cases.lifecycle_v1 import LIFECYCLE_V1
from cli import case_reminders, main

ONE: dict[str, Any] = {
    "id": "00" * 16,
    "caseId": "ab" * 32,
    "version": 3,
    "stage": LIFECYCLE_V1.stage("MEDIATING").code,
    "deadline": 1_767_542_399,
    "deadlineShanghai": "2026-01-04 23:59:59",
    "provisional": False,
    "percent": 80,
    "dueAt": 1_767_000_000,
    "dueAtShanghai": "2025-12-29 17:20:00",
    "madeAt": 1_767_000_001,
    "testClock": False,
}


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("words", [["case", "--help"], ["case", "reminders", "--help"]])
def test_help_can_be_read_in_both_languages(
    capsys: pytest.CaptureFixture[str], lang: str, words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--lang", lang, *words])
    assert ended.value.code == 0
    assert "reminders" in capsys.readouterr().out


def test_a_line_tells_until_when_how_far_where_and_which_case() -> None:
    assert case_reminders._line(ONE, "zh") == "2026-01-04 23:59:59   80 %  调解中  案件 abababababab"
    assert case_reminders._line(ONE, "en") == "2026-01-04 23:59:59   80 %  mediation  case abababababab"


def test_what_is_provisional_or_of_a_test_clock_says_so() -> None:
    shown = case_reminders._line(ONE | {"provisional": True, "testClock": True}, "zh")
    assert "待定" in shown
    assert "TEST CLOCK" in shown
    assert case_reminders._line(ONE | {"percent": 100}, "en").endswith("last second")


def test_a_stage_of_a_later_release_is_shown_by_its_number() -> None:
    assert "  63  " in case_reminders._line(ONE | {"stage": 63}, "zh")
