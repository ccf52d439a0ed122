"""The table says what was reached, and only compares what can be compared."""

from __future__ import annotations

import json

import pytest

from benchmarks.machine import Machine, SyncCost
from benchmarks.report import RESULTS, Result, document, table_lines
from benchmarks.rows import Beside, Figure, Reach, Row, percentile
from protocol.i18n import Text

WHAT = Text("接收", "accept")


def _row(value: float, reach: Reach | None = None, *beside: Beside) -> Row:
    return Row("accept", WHAT, Figure(value, "leaves/s"), reach, beside, Text("说明甲", "a note"))


@pytest.mark.parametrize(
    ("sign", "value", "met"),
    [(">=", 10.0, True), (">=", 9.99, False), ("<=", 10.0, True), ("<=", 10.1, False), ("<", 10.0, False)],
)
def test_a_bound_is_met_on_its_own_side_only(sign: str, value: float, met: bool) -> None:
    reach = Reach(sign, Figure(10.0, "leaves/s"))  # type: ignore[arg-type]
    assert _row(value, reach).met is met


def test_a_row_without_a_bound_is_neither_met_nor_missed() -> None:
    assert _row(1.0).met is None


def test_ratios_are_given_between_like_units_alone() -> None:
    row = _row(50.0)
    assert row.ratio(Beside(WHAT, Figure(100.0, "1/s"))) == 0.5
    assert row.ratio(Beside(WHAT, Figure(100.0, "ms"))) is None
    assert row.ratio(Beside(WHAT)) is None


def test_a_missed_figure_is_shown_as_missed_in_both_languages() -> None:
    row = _row(1.0, Reach(">=", Figure(2.0, "leaves/s")), Beside(Text("没有 Go", "no Go here")))
    english, chinese = "\n".join(table_lines([row], "en")), "\n".join(table_lines([row], "zh"))
    assert "| NO " in english
    assert "no Go here" in english
    assert "1. a note" in english
    assert "| 否 " in chinese
    assert "说明甲" in chinese


def test_json_carries_a_row_whole() -> None:
    reach = Reach("<", Figure(2.0, "s"), Text("三个间隔", "three block times"))
    row = Row(
        "key", WHAT, Figure(1.5, "s"), reach, (Beside(WHAT, Figure(1.0, "s")), Beside(WHAT)), None, {"n": [1]}
    )
    assert Row.from_json(json.loads(json.dumps(row.as_json()))) == row


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 100.0
    assert percentile([7.0], 0.99) == 7.0


def test_results_replace_those_of_an_earlier_run_and_nothing_else() -> None:
    machine = Machine("cpu", 2, 8.0, "kernel", "python", "ext4", (0.0, 0.0, 0.0))
    result = Result(
        machine, SyncCost(1, 1.0, 0.1, 0.1), False, "now", "abc", (_row(3.0),), (("gas", "no"),), 1.0, {}
    )
    page = f"before\n{RESULTS[0]}\nold figures\n{RESULTS[1]}\nafter\n"
    written = document(page, result)
    assert written.startswith(f"before\n{RESULTS[0]}")
    assert written.endswith(f"{RESULTS[1]}\nafter\n")
    assert "old figures" not in written
    assert "3.00 leaves/s" in written
    assert "gas: no" in written
    assert document(written, result) == written
    with pytest.raises(ValueError, match="no place"):
        document("a page without marks", result)
