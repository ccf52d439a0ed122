"""Workbooks: what is read from them, what their container may not hold, and the file that goes back."""

from __future__ import annotations

import io
import os
import re
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.intake import container, errors, xlsx, xlsx_child, xlsx_edit
from agent.intake.cells import EPOCH_1904, Cell, Odd
from agent.intake.columns import NAMES
from agent.intake.container import Container
from agent.intake.errors import (
    ColumnsMissing,
    FileDamaged,
    FileTooLarge,
    FormatUnknown,
    ImportRefused,
    ReaderStopped,
    SheetUnknown,
    WorkbookActive,
    WorkbookBomb,
    WorkbookEncrypted,
    WorkbookLinked,
    WorkbookUnusual,
)
from agent.intake.mapping import ColumnMapping
from agent.intake.source import Source, Table
from agent.intake.template import write_template
from agent.intake.xlsx_write import WrittenSheet, write_workbook
from tests.support.intake import GOOD, HEADINGS, good, numbers, opened, part, repacked, write_xlsx

SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def read(path: Path, sheet: str | None = None) -> tuple[Table, list[Any]]:
    with Source(path, ColumnMapping(), sheet=sheet) as source:
        table = source.table("zh")
        return table, list(table.rows)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return write_xlsx(tmp_path / "book.xlsx", [numbers(good(1)), good(2)], shared=True)


@pytest.mark.parametrize("shared", [True, False])
def test_rows_come_with_their_numbers_and_literals(tmp_path: Path, shared: bool) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [numbers(good(1)), good(2)], shared=shared)
    table, rows = read(path)
    assert [number for number, _ in rows] == [2, 3]
    first = dict(zip(NAMES, rows[0][1], strict=False))
    assert first["total"] == Odd("n", "10234.56")
    assert first["identity_no"] == GOOD["identity_no"]
    assert first["hardship"] is None
    assert (table.headings_at, table.part) == (1, SHEET)


def test_days_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [GOOD], date1904=True)
    assert read(path)[0].epoch == EPOCH_1904


def test_formulas_errors_and_truth_are_told_apart(tmp_path: Path) -> None:
    row: dict[str, Cell] = {
        **GOOD,
        "principal": Odd("f", "1+1"),
        "fees": Odd("e", "#REF!"),
        "elderly": Odd("b", "1"),
    }
    found = dict(zip(NAMES, read(write_xlsx(tmp_path / "a.xlsx", [row]))[1][0][1], strict=False))
    assert (found["principal"], found["fees"], found["elderly"]) == (
        Odd("f", "0"),
        Odd("e", "#REF!"),
        Odd("b", "1"),
    )


def with_sheet(book: Path, change: Callable[[bytes], bytes], name: str = SHEET) -> Path:
    return repacked(book, book.with_name("changed.xlsx"), {name: change(part(book, name))})


def test_phonetic_hints_and_escaped_characters(book: Path) -> None:
    rich = "示</t></r><r><t>_x000D_例</t></r><rPh><t>shi</t></rPh><r><t>甲</t></r>"
    strings = part(book, "xl/sharedStrings.xml").replace("示例甲</t>".encode(), rich.encode())
    strings = re.sub(rb'<si><t xml:space="preserve">(.{1,9})</t></r>', rb"<si><r><t>\1</t></r>", strings)
    path = repacked(book, book.with_name("b.xlsx"), {"xl/sharedStrings.xml": strings})
    assert read(path)[1][0][1][2] == "示\r例甲"


def test_cells_without_places_and_prefixed_names_are_read(book: Path) -> None:
    bare = with_sheet(book, lambda xml: re.sub(rb'(<c|<row) r="\w+"', rb"\1", xml))
    assert read(bare)[1][0][1][0] == "JK-2025-0001"

    def prefixed(xml: bytes) -> bytes:
        xml = re.sub(rb"<(/?)([a-zA-Z])", rb"<\1x:\2", xml)
        return xml.replace(b"xmlns=", b"xmlns:x=")

    assert read(with_sheet(book, prefixed))[1][0][1][0] == "JK-2025-0001"


def test_a_sheet_is_found_by_name_or_is_the_first_visible(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    rows: list[list[Cell]] = [[*HEADINGS], [GOOD[name] or None for name in NAMES]]
    with path.open("wb") as out:
        write_workbook(out, [WrittenSheet("封面", [["目录"]]), WrittenSheet("明细", rows)])
    assert len(read(path, "明细")[1]) == 1
    with pytest.raises(ColumnsMissing):
        read(path)
    with pytest.raises(SheetUnknown):
        read(path, "没有")
    book = part(path, "xl/workbook.xml").decode()
    hidden = book.replace('name="封面"', 'name="封面" state="hidden"').encode()
    assert len(read(repacked(path, tmp_path / "b.xlsx", {"xl/workbook.xml": hidden}))[1]) == 1


def test_the_template_is_filled_in_and_read(tmp_path: Path) -> None:
    path = tmp_path / "template.xlsx"
    write_template(path)
    cells = "".join(
        f'<c r="{letter}3" t="inlineStr"><is><t>{GOOD[name]}</t></is></c>'
        for letter, name in zip("ABCDEFGHIJKLMNOPQRSTUV", NAMES, strict=True)
    )
    filled = part(path).replace(b"</sheetData>", f'<row r="3">{cells}</row></sheetData>'.encode())
    table, rows = read(repacked(path, tmp_path / "filled.xlsx", {SHEET: filled}))
    assert [number for number, _ in rows] == [3]
    assert table.headings_at == 2
    assert table.layout.place("total", "zh") == ("合计金额*", "L")


# the container

HOSTILE: dict[str, tuple[dict[str, bytes | None], type[ImportRefused]]] = {
    "macros": ({"xl/vbaProject.bin": b"x"}, WorkbookActive),
    "macros in capitals": ({"XL/VBAPROJECT.BIN": b"x"}, WorkbookActive),
    "macro sheet": ({"xl/macrosheets/sheet1.xml": b"<x/>"}, WorkbookActive),
    "object": ({"xl/embeddings/oleObject1.bin": b"x"}, WorkbookActive),
    "control": ({"xl/activeX/activeX1.xml": b"<x/>"}, WorkbookActive),
    "binary": ({"xl/worksheets/sheet1.bin": b"x"}, WorkbookActive),
    "link": ({"xl/externalLinks/externalLink1.xml": b"<x/>"}, WorkbookLinked),
    "connection": ({"xl/connections.xml": b"<x/>"}, WorkbookLinked),
    "query": ({"xl/queryTables/queryTable1.xml": b"<x/>"}, WorkbookLinked),
    "no types": ({"[Content_Types].xml": None}, FormatUnknown),
    "no book": ({"xl/workbook.xml": None}, FormatUnknown),
    "no sheet": ({SHEET: None}, FileDamaged),
    "not XML": ({SHEET: b"<worksheet"}, FileDamaged),
    "dangerous name": ({"../evil.xml": b"<x/>"}, WorkbookUnusual),
    "absolute name": ({"/evil.xml": b"<x/>"}, WorkbookUnusual),
    "doctype": ({SHEET: b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet/>'}, WorkbookUnusual),
    "comment": ({SHEET: b"<worksheet><!-- <row> --></worksheet>"}, WorkbookUnusual),
    "CDATA": ({SHEET: b"<worksheet><![CDATA[<row>]]></worksheet>"}, WorkbookUnusual),
    "instruction": ({SHEET: b"<worksheet><?x <row>?></worksheet>"}, WorkbookUnusual),
    "UTF-16": ({SHEET: '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16")}, WorkbookUnusual),
    "deep": ({SHEET: b"<worksheet>" + b"<a>" * 100_000}, WorkbookBomb),
    "deep strings": ({"xl/sharedStrings.xml": b"<sst>" + b"<a>" * 100}, WorkbookBomb),
    "bomb": ({"xl/media/x.xml": b"\0" * (9 << 20)}, WorkbookBomb),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_container_is_refused(book: Path, name: str) -> None:
    changes, error = HOSTILE[name]
    path = repacked(book, book.with_name("hostile.xlsx"), changes)
    with pytest.raises(error):
        read(path)


def sheet_with(rows: str) -> bytes:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()


ODD_SHEETS: dict[str, tuple[str, type[ImportRefused]]] = {
    "a million columns": ('<row r="1"><c r="BDWGN1"><v>1</v></c></row>', WorkbookUnusual),
    "257 columns": ('<row r="1"><c r="IW1"><v>1</v></c></row>', FileTooLarge),
    "many implicit columns": ('<row r="1">' + "<c><v>1</v></c>" * 300 + "</row>", FileTooLarge),
    "rows back": ('<row r="2"><c r="A2"><v>1</v></c></row><row r="1"/>', WorkbookUnusual),
    "row in row": ('<row r="1"><row r="2"/></row>', WorkbookUnusual),
    "row without end of sheet": ('<row r="9999999"/>', WorkbookUnusual),
    "row of letters": ('<row r="x"/>', FileDamaged),
    "cells back": ('<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>', WorkbookUnusual),
    "cell twice": ('<row r="1"><c r="B1"><v>1</v></c><c r="B1"><v>1</v></c></row>', WorkbookUnusual),
    "cell of digits": ('<row r="1"><c r="1"><v>1</v></c></row>', WorkbookUnusual),
    "no such string": ('<row r="1"><c r="A1" t="s"><v>99999</v></c></row>', FileDamaged),
    "negative string": ('<row r="1"><c r="A1" t="s"><v>-1</v></c></row>', FileDamaged),
}


@pytest.mark.parametrize("name", ODD_SHEETS)
def test_an_odd_sheet_is_refused(book: Path, name: str) -> None:
    rows, error = ODD_SHEETS[name]
    with pytest.raises(error):
        read(repacked(book, book.with_name("odd.xlsx"), {SHEET: sheet_with(rows)}))


def test_external_relations_are_refused_but_hyperlinks_are_not(book: Path) -> None:
    def rels(kind: str) -> bytes:
        return (
            '<Relationships xmlns="x"><Relationship Id="r1" TargetMode="External" Target="file:///c:/x"'
            f' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"/></Relationships>'
        ).encode()

    name = "xl/worksheets/_rels/sheet1.xml.rels"
    assert read(repacked(book, book.with_name("h.xlsx"), {name: rels("hyperlink")}))[1]
    for kind in ("externalLinkPath", "oleObject", "image"):
        with pytest.raises(WorkbookLinked):
            read(repacked(book, book.with_name("l.xlsx"), {name: rels(kind)}))


def test_macro_types_and_binary_types_are_refused(book: Path) -> None:
    types = part(book, "[Content_Types].xml")
    macro = types.replace(b"spreadsheetml.sheet.main+xml", b"x.sheet.macroEnabled.main+xml")
    with pytest.raises(WorkbookActive):
        read(repacked(book, book.with_name("m.xlsx"), {"[Content_Types].xml": macro}))
    binary = types.replace(
        b"openxmlformats-officedocument.spreadsheetml.sheet.main+xml", b"ms-excel.sheet.binary.macro"
    )
    with pytest.raises(FormatUnknown):
        read(repacked(book, book.with_name("m.xlsx"), {"[Content_Types].xml": binary}))


def test_a_password_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(WorkbookEncrypted):
        read(path)


def test_an_encrypted_member_is_named(book: Path) -> None:
    data = bytearray(book.read_bytes())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 8, 1)
    book.write_bytes(data)
    with pytest.raises(WorkbookEncrypted):
        read(book)


def test_overlapping_members_are_a_bomb(book: Path) -> None:
    data = bytearray(book.read_bytes())
    entries = [found.start() for found in re.finditer(b"PK\x01\x02", data)]
    struct.pack_into("<I", data, entries[-1] + 42, struct.unpack_from("<I", data, entries[-2] + 42)[0])
    book.write_bytes(data)
    with pytest.raises(WorkbookBomb):
        read(book)


def test_a_member_that_lies_about_its_size_is_damaged(book: Path) -> None:
    data = bytearray(book.read_bytes())
    for found in re.finditer(b"PK\x01\x02", bytes(data)):
        name_length = struct.unpack_from("<H", data, found.start() + 28)[0]
        if data[found.start() + 46 : found.start() + 46 + name_length] == SHEET.encode():
            struct.pack_into("<I", data, found.start() + 24, 100)
    book.write_bytes(data)
    with pytest.raises(FileDamaged):
        read(book)


def test_every_truncation_is_refused(book: Path) -> None:
    data = book.read_bytes()
    cut = book.with_name("cut.xlsx")
    for end in range(1, len(data), max(1, len(data) // 12)):
        cut.write_bytes(data[:end])
        with pytest.raises(ImportRefused), opened(cut) as source:
            list(source.table("zh").rows)


def test_too_many_parts_and_rows_and_texts(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> list[Any]:
        with book.open("rb") as file:
            inside = Container(file)
            return list(xlsx.read_rows(inside, xlsx.choose_sheet(inside, None)))

    assert len(rows()) == 3
    for module, name, value, error in (
        (container, "MAX_MEMBERS", 3, WorkbookBomb),
        (container, "MAX_UNPACKED", 100, WorkbookBomb),
        (container, "MAX_FILE", 100, FileTooLarge),
        (xlsx, "MAX_STRINGS", 5, FileTooLarge),
        (xlsx, "MAX_STRING_BYTES", 50, FileTooLarge),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, value)
            with pytest.raises(error):
                rows()
    monkeypatch.setattr(xlsx, "MAX_ROWS", 1)
    monkeypatch.setattr(xlsx, "MAX_EXTRA_ROWS", 1)
    with pytest.raises(FileTooLarge):
        rows()


def test_the_reading_process_has_limits() -> None:
    program = (
        "import resource, sys; from agent.intake import xlsx_child; xlsx_child.limit();"
        " print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_FSIZE)[0]);"
        " bytearray(2 << 30)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(xlsx_child.MAX_MEMORY), "0"]
    assert "MemoryError" in done.stderr


def test_a_child_that_dies_is_no_end_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [good(n) for n in range(30_000)])
    with opened(path) as source:
        table = source.table("zh")
        next(table.rows)
        [child] = [p for p in Path("/proc").glob("[0-9]*/cmdline") if _is_child(p)]
        os.kill(int(child.parent.name), signal.SIGKILL)
        with pytest.raises(ReaderStopped):
            list(table.rows)


def _is_child(cmdline: Path) -> bool:
    try:
        stat = cmdline.with_name("stat").read_text()
        return b"xlsx_child" in cmdline.read_bytes() and int(stat.rsplit(")", 1)[1].split()[1]) == os.getpid()
    except OSError:
        return False


def test_a_table_that_is_not_read_to_its_end_leaves_no_process(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [good(n) for n in range(30_000)])
    with opened(path) as source:
        table = source.table("zh")
        next(table.rows)
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if _is_child(p)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_are_read_or_refused_by_name(book: Path, data: st.DataObject) -> None:
    """In this process, where a crash would be seen."""
    whole = bytearray(book.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        inside = Container(io.BytesIO(whole))
        list(xlsx.read_rows(inside, xlsx.choose_sheet(inside, None)))
        code = "ImportRefused"
    except ImportRefused as refused:
        code = refused.code
    assert hasattr(errors, code)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='<>/rowcvtsif "=1234A&;', max_size=200))
def test_any_sheet_is_read_or_refused_by_name(xml: str) -> None:
    out = io.BytesIO()
    write_workbook(out, [WrittenSheet("a", [["x"]], shared=True)])
    changed = io.BytesIO()
    with zipfile.ZipFile(out) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet_with(xml) if name == SHEET else old.read(name))
    try:
        inside = Container(changed)
        list(xlsx.read_rows(inside, xlsx.choose_sheet(inside, None)))
        code = "ImportRefused"
    except ImportRefused as refused:
        code = refused.code
    assert hasattr(errors, code)


# the edit


def edited(xml: bytes, column: int, texts: dict[int, str], size: int = 7, *, replace: bool = False) -> bytes:
    pieces = (xml[at : at + size] for at in range(0, len(xml), size))
    return b"".join(xlsx_edit.edit_sheet(pieces, column, texts, replace=replace))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 64, 10_000])
def test_an_edit_does_not_depend_on_how_the_sheet_comes(book: Path, size: int) -> None:
    xml = part(book)
    texts = {1: "错误 errors", 3: "a<b & =1"}
    once = edited(xml, 22, texts, size)
    assert once == edited(xml, 22, texts, len(xml))
    assert once.count(b't="inlineStr"') == xml.count(b't="inlineStr"') + 2
    assert b'<c r="W3" t="inlineStr"><is><t xml:space="preserve">a&lt;b &amp; =1</t></is></c></row>' in once
    assert re.sub(rb'<c r="W\d" t="inlineStr">.*?</c>', b"", once) == xml


def test_a_styled_cell_in_the_place_is_replaced_and_order_is_kept() -> None:
    row = '<row r="1" spans="1:4" ht="20"><c r="A1"><v>1</v></c>{}<c r="D1"><v>2</v></c></row>'
    xml = sheet_with(row.format('<c r="B1" s="3"/>'))
    ours = '<c r="B1" t="inlineStr"><is><t xml:space="preserve">x</t></is></c>'
    assert edited(xml, 1, {1: "x"}) == sheet_with(row.format(ours).replace(' spans="1:4"', ""))


def test_an_old_error_goes_from_rows_that_are_good_now() -> None:
    row = '<row r="{0}"><c r="A{0}"><v>1</v></c><c r="B{0}" t="inlineStr"><is><t>old</t></is></c></row>'
    xml = sheet_with(row.format(1) + row.format(2))
    found = edited(xml, 1, {2: "new"}, replace=True)
    assert b"old" not in found
    assert found.count(b"new") == 1
    assert b'<row r="1"><c r="A1"><v>1</v></c></row>' in found


def test_rows_without_numbers_are_counted() -> None:
    xml = sheet_with("<row><c><v>1</v></c></row><row/><row><c><v>3</v></c></row>")
    assert edited(xml, 1, {3: "x"}).count(b'r="B3"') == 1


def test_a_row_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileDamaged):
        edited(sheet_with('<row r="1"/>'), 1, {5: "x"})


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"]), min_size=1, max_size=30
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), TEXT, st.booleans())
def test_text_written_and_edited_is_text_read(
    tmp_path: Path, rows: list[tuple[str, str]], note: str, shared: bool
) -> None:
    note = "".join(c for c in note if c.isprintable()) or "x"
    path, target = tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    with path.open("wb") as out:
        write_workbook(out, [WrittenSheet("a", [list(row) for row in rows], shared=shared)])
    with path.open("rb") as file, target.open("wb") as out:
        xlsx_edit.edit_workbook(file, SHEET, out, 2, {len(rows): note}, replace=False)
    with target.open("rb") as file:
        inside = Container(file)
        found = list(xlsx.read_rows(inside, xlsx.choose_sheet(inside, None)))
    expected = [[xlsx._unescaped(cell) for cell in row] for row in rows]
    expected[-1].append(xlsx._unescaped(note))
    assert [row for _, row in found] == expected
