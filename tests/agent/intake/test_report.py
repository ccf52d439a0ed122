"""The same file back: what was not wrong is as it was, what was wrong is named, nothing in it can run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import FileChanged
from agent.intake import cells
from agent.intake.cells import Odd
from agent.intake.columns import ERRORS_HEADING, NAMES
from agent.intake.preview import Preview, preview
from agent.intake.report import neutral, write_errors
from agent.intake.source import Source
from agent.intake.store import IntakeStore
from protocol.i18n import Language
from tests.support.intake import (
    GOOD,
    OWNER,
    TERMS,
    csv_bytes,
    good,
    numbers,
    opened,
    write_csv,
    write_jsonl,
    write_xlsx,
)

BAD = good(2, total="10234.57", phone="1", address="=HYPERLINK(0,1) 某地址")


def returned(path: Path, lang: Language = "zh", name: str = "back") -> tuple[Path, Preview]:
    target = path.with_name(name + path.suffix)
    with IntakeStore(path.parent, OWNER) as store, opened(path) as source:
        found = preview(source, TERMS, store)
        write(source, target, found, lang)
    return target, found


def write(source: Source, target: Path, found: Preview, lang: Language) -> None:
    write_errors(
        source, target, found.layout, found.defects, lang,
        headings_at=found.headings_at, part=found.part, widest=found.widest,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_csv_comes_back_in_its_encoding_and_separator(tmp_path: Path, encoding: str, separator: str) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), BAD], encoding, separator=separator, before=[["银行"], []])
    back, _ = returned(path)
    data = back.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")
    rows = list(csv.reader(io.StringIO(data.decode(encoding)), delimiter=separator))
    assert rows[2][-1] == ERRORS_HEADING
    assert rows[3] == [*(good(1)[name] for name in NAMES), ""]
    assert rows[4][: len(NAMES)] == [neutral(BAD[name]) for name in NAMES]
    for expected in (
        "第 5 行",
        "“手机号码”列（E）",
        "“1”",
        "[phone-format]",
        "[amount-sum]",
        "[formula-text]",
        "改法",
    ):
        assert expected in rows[4][-1]


def test_nothing_in_a_csv_that_goes_back_begins_like_a_formula(tmp_path: Path) -> None:
    attacks = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"]
    path = write_csv(tmp_path / "a.csv", [good(n, claims=text) for n, text in enumerate(attacks)])
    back, _ = returned(path)
    for row in csv.reader(io.StringIO(back.read_bytes().decode())):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@given(st.text(max_size=30))
def test_neutralised_text_reads_as_before(value: str) -> None:
    assert cells.trimmed(neutral(value)) in (cells.trimmed(value), value.strip())


@pytest.mark.parametrize("value", ["-5.00", "+86", "-1,234.5", "-12%"])
def test_numbers_are_left_alone(value: str) -> None:
    assert neutral(value) == value


def test_json_lines_come_back_with_their_bytes_and_a_member_more(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    one, two = json.dumps(good(1), ensure_ascii=False), '{ "total" : 1.10,"x":[1e5] }'
    path.write_text(f"{one}\n{two}\nnot json\n", "utf-8")
    lines = returned(path)[0].read_text("utf-8").splitlines()
    assert lines[0] == one
    assert '"total": 1.10, "x": [1e5], "errors": [' in lines[1]
    assert {one["rule"] for one in json.loads(lines[1])["errors"]} >= {"required", "phone-missing"}
    assert json.loads(lines[2])["line"] == "not json"


def test_a_workbook_comes_back_with_a_column_more(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [numbers(good(1)), {**BAD, "fees": Odd("f", "=1+1")}], shared=True)
    back, _ = returned(path)
    assert back.stat().st_size < 2 * path.stat().st_size
    with opened(path) as old, opened(back) as new:
        before, after = list(old.table("zh").rows), list(new.table("zh").rows)
        assert new.table("zh").layout.errors_at == len(NAMES)
    assert after[0] == before[0]
    assert after[1][1] is not None
    assert before[1][1] is not None
    assert [cell for cell in after[1][1][:-1] if cell] == [cell for cell in before[1][1] if cell]
    text = after[1][1][-1]
    assert isinstance(text, str)
    for expected in ("第 3 行", "“费用”列（K）", "[formula]", "[phone-format]"):
        assert expected in text


def make(path: Path, rows: list[dict[str, str]]) -> Path:
    kinds: dict[str, Any] = {".csv": write_csv, ".jsonl": write_jsonl, ".xlsx": write_xlsx}
    made: Path = kinds[path.suffix](path, rows)
    return made


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xlsx"])
def test_a_returned_file_goes_round_and_is_empty_of_errors_once_mended(tmp_path: Path, suffix: str) -> None:
    bad = good(2, total="1.00")
    path = make(tmp_path / f"a{suffix}", [good(1), bad])
    first, found = returned(path, name="first")
    assert found.rules == {"amount-sum": 1}
    second, again = returned(first, name="second")
    assert again.rules == {"amount-sum": 1}
    assert (again.rows, again.new) == (2, 1)
    if suffix == ".xlsx":
        return
    mended = second.read_bytes().replace(b"1.00", b"10234.56", 1 if suffix == ".jsonl" else -1)
    second.write_bytes(mended)
    third, clean = returned(second, name="third")
    assert clean.rules == {}
    assert b"amount-sum" not in third.read_bytes()


def test_english_on_request(tmp_path: Path) -> None:
    back, _ = returned(write_csv(tmp_path / "a.csv", [BAD]), "en")
    assert 'row 2, column 手机号码 (E), value "1": [phone-format] not a mobile number' in (
        back.read_text("utf-8").replace('""', '"')
    )


def test_a_file_that_changed_meanwhile_gives_no_report(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [BAD])
    with IntakeStore(tmp_path, OWNER) as store, opened(path) as source:
        found = preview(source, TERMS, store)
        path.write_bytes(csv_bytes([GOOD]))
        with pytest.raises(FileChanged):
            write(source, tmp_path / "back.csv", found, "zh")
    assert not (tmp_path / "back.csv").exists()
    assert not list(tmp_path.glob(".caseledger-*"))
