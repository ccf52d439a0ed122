"""Rows and files for the tests of imports; names and numbers are made up."""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from agent.intake.cells import Cell, Odd
from agent.intake.columns import COLUMNS, NAMES
from agent.intake.mapping import ColumnMapping
from agent.intake.source import Source
from agent.intake.validate import Terms
from agent.intake.xlsx_write import WrittenSheet, write_workbook
from benchmarks.import_data import citizen, organisation

TODAY = date(2026, 11, 30)
OWNER = 7
TERMS = Terms(OWNER, TODAY)
_DICE = random.Random(4)  # noqa: S311 - test data
PERSON = citizen(_DICE, date(1985, 6, 1))
COMPANY = organisation(_DICE)
HEADINGS = [column.label.zh for column in COLUMNS]
GOOD: dict[str, str] = {
    "contract_no": "JK-2025-0001", "product": "信用卡", "debtor_name": "示例甲", "identity_no": PERSON,
    "phone": "13800138000", "address": "示例省甲市人民路1号", "contract_date": "2024-02-29",
    "default_date": "2025-03-01", "principal": "10000.00", "interest": "234.56", "fees": "0.00",
    "total": "10234.56", "currency": "人民币", "overdue_days": "639", "claims": "偿还本金及利息",
    "reachability": "可联系", "elderly": "否", "hardship": "", "minor_guarantor": "否",
    "prior_complaint": "是", "fraud_signs": "否", "petition": "",
}  # fmt: skip


def good(number: int = 1, **changes: str) -> dict[str, str]:
    """A row without defect, its contract numbered."""
    return {**GOOD, "contract_no": f"JK-2025-{number:04d}", **changes}


def csv_bytes(
    rows: Iterable[Mapping[str, str]], encoding: str = "utf-8", separator: str = ",",
    headings: Sequence[str] = HEADINGS, before: Sequence[Sequence[str]] = (),
    after: Sequence[Sequence[str]] = (),
) -> bytes:  # fmt: skip
    """A CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerows([*before, headings, *([row[name] for name in NAMES] for row in rows), *after])
    return out.getvalue().encode(encoding)


def write_csv(path: Path, rows: Iterable[Mapping[str, str]], encoding: str = "utf-8", **how: object) -> Path:
    path.write_bytes(csv_bytes(rows, encoding, **how))  # type: ignore[arg-type]
    return path


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def write_xlsx(
    path: Path, rows: Iterable[Mapping[str, Cell]], *, shared: bool = False, date1904: bool = False
) -> Path:
    """A workbook with the usual headings."""
    body: list[Sequence[Cell]] = [HEADINGS]
    body += [[row.get(name) or None for name in NAMES] for row in rows]
    with path.open("wb") as out:
        write_workbook(out, [WrittenSheet("明细", body, shared=shared)], date1904=date1904)
    return path


def numbers(row: Mapping[str, str]) -> dict[str, Cell]:
    """A row as a spreadsheet holds it: amounts as numbers."""
    found: dict[str, Cell] = {**row}
    for name in ("principal", "interest", "fees", "total", "overdue_days"):
        found[name] = Odd("n", str(float(row[name])))
    return found


def opened(path: Path, mapping: ColumnMapping | None = None, *, encoding: str | None = None) -> Source:
    """A file as an import opens it."""
    return Source(path, mapping or ColumnMapping(), encoding=encoding)


def repacked(source: Path, target: Path, changes: Mapping[str, bytes | None]) -> Path:
    """A workbook with parts replaced, added or (None) left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in changes.items():
            if name not in old.namelist() and data is not None:
                new.writestr(name, data)
    return target


def part(path: Path, name: str = "xl/worksheets/sheet1.xml") -> bytes:
    """One part of a workbook."""
    with zipfile.ZipFile(path) as book:
        return book.read(name)
