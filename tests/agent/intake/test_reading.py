"""Text files: encodings, separators, damage; JSON lines; headings and declarations, whatever the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import FileChanged, FileNotReadable
from agent.intake import errors, jsonl, text
from agent.intake.cells import Odd
from agent.intake.columns import COLUMNS, NAMES, folded, layout, letters
from agent.intake.errors import (
    ColumnsMissing,
    DeclarationInvalid,
    EncodingMismatch,
    EncodingUnknown,
    FileDamaged,
    FileEmpty,
    FileTooLarge,
    FormatUnknown,
    HeadingRepeated,
    ImportRefused,
    MappingInvalid,
)
from agent.intake.mapping import ColumnMapping, load_mapping, mapping_from, mapping_path, save_mapping
from agent.intake.source import Table
from protocol.case_row import Product
from protocol.errors import CaseledgerError
from tests.support.intake import GOOD, HEADINGS, csv_bytes, good, opened, write_csv, write_jsonl


def read(
    path: Path, mapping: ColumnMapping | None = None, encoding: str | None = None
) -> tuple[Table, list[Any]]:
    with opened(path, mapping, encoding=encoding) as source:
        table = source.table("zh")
        return table, list(table.rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_encoding_and_separator_are_found(tmp_path: Path, encoding: str, separator: str) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1), good(2)], encoding, separator=separator)
    table, rows = read(path)
    assert [number for number, _ in rows] == [2, 3]
    assert rows[1][1] == [good(2)[name] or None for name in NAMES]
    assert table.headings_at == 1
    assert table.ragged


def test_a_rare_character_of_four_bytes_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [good(debtor_name="示例𠮷䶮")], "gb18030")
    assert "示例𠮷䶮" in read(path)[1][0][1]


@pytest.mark.parametrize(
    ("data", "declared", "error"),
    [
        (csv_bytes([GOOD], "gb18030"), "utf-8", EncodingMismatch),
        (csv_bytes([GOOD], "utf-8"), "gb18030", EncodingMismatch),
        (csv_bytes([GOOD], "utf-8"), "gbk", EncodingMismatch),
        (csv_bytes([GOOD], "utf-8")[:-7] + b"\xff\xff\r\n", "utf-8", EncodingMismatch),
        (csv_bytes([GOOD], "utf-8")[:-7] + b"\xff\xff\r\n", None, EncodingUnknown),
        (csv_bytes([GOOD], "gb18030") + b"\xff", "gb18030", EncodingMismatch),
        (csv_bytes([GOOD], "utf-8-sig")[:-7] + b"\xff", None, EncodingMismatch),
        (csv_bytes([GOOD], "utf-16"), None, EncodingUnknown),
        (csv_bytes([GOOD], "utf-16-le"), None, EncodingUnknown),
        (csv_bytes([GOOD]), "latin-1", MappingInvalid),
    ],
)
def test_a_wrong_encoding_is_noticed(
    tmp_path: Path, data: bytes, declared: str | None, error: type[CaseledgerError]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(error):
        read(path, encoding=declared)


def test_the_line_that_does_not_decode_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes([good(n) for n in range(5)]) + b"\xc3(\n")
    with pytest.raises(EncodingMismatch, match="line 7"):
        read(path, encoding="utf-8")


@pytest.mark.parametrize("declared", ["utf-8", "gb18030"])
def test_what_was_declared_rightly_is_taken(tmp_path: Path, declared: str) -> None:
    path = write_csv(tmp_path / "a.csv", [GOOD], declared)
    assert len(read(path, encoding=declared)[1]) == 1


def test_a_quote_that_is_never_closed_ends_the_file_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes([good(1), good(2)]) + b'JK,"' + b"x,y\r\n" * 10)
    with pytest.raises(FileDamaged, match="row 4"):
        read(path)


def test_bounds_of_a_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x," * 1_000_000 + b"\n")
    with pytest.raises((FileTooLarge, FileDamaged)):
        read(path)
    path.write_bytes(csv_bytes([GOOD])[:-2] + b"," * 300 + b"x\n")
    with pytest.raises(FileTooLarge, match="columns"):
        read(path)
    path.write_bytes(b"a" * (text.MAX_LINE + 10))
    with pytest.raises(FileDamaged, match="line"):
        read(path)
    monkeypatch.setattr(text, "MAX_ROWS", 1)
    monkeypatch.setattr(text, "MAX_EXTRA_ROWS", 1)
    write_csv(path, [good(1), good(2)])
    with pytest.raises(FileTooLarge, match="rows"):
        read(path)


def test_quoted_line_ends_do_not_shift_the_row_numbers(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1, claims="一\n二\n三"), good(2)])
    assert [number for number, _ in read(path)[1]] == [2, 3]


def test_remarks_blank_rows_and_declarations_are_no_data(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", [good(1), good(2)],
        before=[["某银行 2026 年第 1 批"], [], ["#行数", "2", "#合计", "20,469.12"]],
        after=[["", ""], ["# 以上"], ["#rows", "2"]],
    )  # fmt: skip
    table, rows = read(path)
    assert [number for number, _ in rows] == [5, 6]
    assert (table.declared.rows, table.declared.fen) == (2, 2_046_912)


@pytest.mark.parametrize(
    "line", [["#rows", "2", "#rows", "3"], ["#rows", "x"], ["#sum", "1.234"], ["#sum", "-1"]]
)
def test_a_declaration_that_cannot_be_used_is_refused(tmp_path: Path, line: list[str]) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)], before=[line])
    with pytest.raises(DeclarationInvalid):
        read(path)


def test_a_contract_number_that_begins_like_a_remark_does_not_vanish(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1, contract_no="#17")])
    assert len(read(path)[1]) == 1


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(FileEmpty):
        read(path)


def test_no_file_and_a_workbook_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotReadable):
        read(tmp_path / "absent.csv")
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"hello")
    with pytest.raises(FormatUnknown):
        read(path)


def test_a_file_that_changes_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [good(1)])
    with opened(path) as source:
        path.write_bytes(path.read_bytes() + b"\n")
        with pytest.raises(FileChanged):
            source.unchanged()


# headings


def test_headings_in_english_with_marks_and_in_machine_names() -> None:
    for row in (
        [column.label.en.upper() + " *" for column in COLUMNS],
        list(NAMES),
        [f" {column.label.zh}（必填） " for column in COLUMNS],
    ):
        assert layout(row, {}).positions == tuple(range(len(NAMES)))


def test_missing_and_repeated_headings_are_named() -> None:
    with pytest.raises(ColumnsMissing, match="合计金额"):
        layout([heading for heading in HEADINGS if heading != "合计金额"], {})
    with pytest.raises(HeadingRepeated):
        layout([*HEADINGS, "合同号"], {})


def test_an_unknown_heading_is_told_not_taken() -> None:
    found = layout([*HEADINGS, "客户经理"], {})
    assert found.unused == ("客户经理",)


def test_the_banks_own_headings_win_over_ours(tmp_path: Path) -> None:
    own = ColumnMapping({"contract_no": "流水号", "total": "诉请"}, {"尊享卡": Product.CREDIT_CARD})
    headings = ["流水号" if h == "合同编号" else "诉请" if h == "合计金额" else h for h in HEADINGS]
    path = write_csv(tmp_path / "a.csv", [good(product="尊享卡")], headings=[*headings[:-1], "合同编号"])
    table, rows = read(path, own)
    assert table.layout.positions[0] == 0
    assert table.layout.unused == ("合同编号",)
    assert own.words == {"尊享卡": Product.CREDIT_CARD}
    assert len(rows) == 1


def test_letters_of_columns() -> None:
    assert [letters(at) for at in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# mappings


def test_a_mapping_comes_back_as_saved(tmp_path: Path) -> None:
    mapping = mapping_from(
        ['contract_no=流水"号\\', "total = 诉请 金额"], ["尊享卡=credit-card"], "明细 1", "gb18030"
    )
    path = mapping_path(tmp_path, "某银行")
    save_mapping(path, mapping)
    assert load_mapping(path) == mapping
    assert path.stat().st_mode & 0o077 == 0


HEADING = st.text(min_size=1).filter(lambda text: bool(text.strip()) and "\x7f" not in text)


@given(st.dictionaries(st.sampled_from(NAMES), HEADING))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_heading_can_be_saved(tmp_path: Path, columns: dict[str, str]) -> None:
    if len({folded(heading) for heading in columns.values()}) == len(columns):
        path = tmp_path / "m.toml"
        save_mapping(path, ColumnMapping(columns))
        assert load_mapping(path).columns == columns


BAD_MAPPINGS = (
    "[columns]\nnothing = 'x'",
    "[products]\n'x' = 'mortgage'",
    "[options]\nx = 'y'",
    "x = 1",
    "[columns",
    "\x00",
    "[columns]\ntotal = 'a'\nfees = 'A '",
    "[options]\nencoding = 'latin-1'",
    "[columns]\ntotal = 1",
    "[columns]\ntotal=''",
)


@pytest.mark.parametrize("content", BAD_MAPPINGS)
def test_a_mapping_that_means_nothing_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(content)
    with pytest.raises(MappingInvalid):
        load_mapping(path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 70])
def test_a_mapping_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(MappingInvalid):
        mapping_path(tmp_path, name)


# JSON lines


def test_json_lines_are_read_with_exact_numbers(tmp_path: Path) -> None:
    row: dict[str, object] = {**GOOD, "total": 12345678901.23, "elderly": True, "hardship": None}
    path = write_jsonl(tmp_path / "a.jsonl", [{"declared": {"rows": 1, "sum": "12345678901.23"}}, row])
    table, rows = read(path)
    number, cells = rows[0]
    assert number == 2
    assert cells[NAMES.index("total")] == Odd("d", "12345678901.23")
    assert cells[NAMES.index("elderly")] == Odd("b", "1")
    assert cells[NAMES.index("hardship")] is None
    assert (table.declared.rows, table.declared.fen) == (1, 1234567890123)


DEEP = '{"a":' + "[" * 100 + "]" * 100 + "}"
NO_OBJECTS = ("{", "[]", "1", '{"a":1,"a":2}', '{"a":NaN}', "{} {}", DEEP, "x" * 70_000, '{"a": 1}x')


@pytest.mark.parametrize("line", NO_OBJECTS)
def test_a_line_that_is_no_object_is_one_bad_row(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps(GOOD, ensure_ascii=False) + "\n" + line + "\n" + json.dumps(good(2)) + "\n", "utf-8"
    )
    rows = read(path)[1]
    assert [(number, cells is None) for number, cells in rows] == [(1, False), (2, True), (3, False)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=9), JSON, max_size=4))
def test_members_come_back_with_their_own_bytes(value: dict[str, Any]) -> None:
    line = json.dumps(value, ensure_ascii=False)
    members = jsonl.members_of(line)
    assert [name for name, _ in members] == list(value)
    again = "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {raw}" for name, raw in members) + "}"
    assert again == line


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.sampled_from(["a.csv", "a.jsonl", "a.xlsx", "a"]), st.integers(0, 3))
def test_any_bytes_are_read_or_refused_by_name(tmp_path: Path, data: bytes, name: str, mode: int) -> None:
    begin = [b"", csv_bytes([GOOD]), csv_bytes([GOOD], "gb18030")[:-9], b'{"total": 1}\n'][mode]
    path = tmp_path / name
    path.write_bytes(begin + data)
    try:
        read(path)
    except ImportRefused as refused:
        code = refused.code
    else:
        code = "ImportRefused"
    assert hasattr(errors, code)
