"""Our reader of workbooks beside calamine's: two programs, the same cells."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from agent.intake import xlsx
from agent.intake.cells import Cell, Odd
from agent.intake.container import Container
from agent.intake.template import write_template
from agent.intake.xlsx_write import WrittenSheet, write_workbook
from benchmarks.import_data import make

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), min_size=1, max_size=20
)
NUMBER = st.integers(-(10**12), 10**12).map(str) | st.decimals(-1000, 1000, places=2).map(str)
CELL = st.none() | TEXT.filter(lambda t: "_x" not in t) | st.builds(Odd, st.just("n"), NUMBER)


def ours(path: Path) -> dict[tuple[int, int], Cell]:
    with path.open("rb") as file:
        container = Container(file)
        return {
            (number, at): cell
            for number, row in xlsx.read_rows(container, xlsx.choose_sheet(container, None))
            for at, cell in enumerate(row)
            if cell is not None
        }


def theirs(path: Path) -> dict[tuple[int, int], object]:
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    rows = sheet.to_python(skip_empty_area=False)
    return {
        (number, at): cell
        for number, row in enumerate(rows, 1)
        for at, cell in enumerate(row)
        if cell not in ("", None)
    }


def agree(path: Path) -> int:
    mine, other = ours(path), theirs(path)
    assert mine.keys() == other.keys()
    for place, cell in mine.items():
        value = other[place]
        if isinstance(cell, Odd):
            assert isinstance(value, (int, float, datetime.date))
            if not isinstance(value, datetime.date):
                assert float(cell.text) == float(value), place
        else:
            assert cell == value, place
    return len(mine)


@pytest.mark.parametrize("bank", [1, 2])
def test_generated_files_read_alike(tmp_path: Path, bank: int) -> None:
    assert agree(make(tmp_path / "a.xlsx", bank, 500, "xlsx").path) > 8000


def test_the_template_reads_alike(tmp_path: Path) -> None:
    path = tmp_path / "template.xlsx"
    write_template(path)
    assert agree(path) == 44


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(CELL, min_size=1, max_size=6), min_size=1, max_size=6), st.booleans())
def test_any_sheet_reads_alike(tmp_path: Path, rows: list[list[Cell]], shared: bool) -> None:
    path = tmp_path / "a.xlsx"
    with path.open("wb") as out:
        write_workbook(out, [WrittenSheet("a", rows, shared=shared)])
    agree(path)
