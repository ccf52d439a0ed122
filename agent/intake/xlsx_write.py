"""Writes plain XLSX files as a stream: enough for the template and for making test data."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

from agent.intake.cells import Cell, Odd
from agent.intake.columns import letters

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_EPOCH = (1980, 1, 1, 0, 0, 0)

PLAIN, HEADING, TEXT, MONEY, DATE, WRAPPED = range(6)
"""Cell styles."""
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><numFmts count="1">'
    '<numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '</numFmts><fonts count="2"><font><sz val="11"/><name val="Arial"/></font>'
    '<font><b/><sz val="11"/><name val="Arial"/></font></fonts>'
    '<fills count="3"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill>'
    '<fill><patternFill patternType="solid"><fgColor rgb="FFE8EEF7"/></patternFill></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="6"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyFont="1" applyFill="1"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="4" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" applyAlignment="1">'
    '<alignment wrapText="1" vertical="top"/></xf></cellXfs></styleSheet>'
)


@dataclass
class WrittenSheet:
    """A sheet to write. `columns`: width and style of each; `choices`: column to the values it offers."""

    name: str
    rows: Iterable[Sequence[Cell]]
    columns: Sequence[tuple[float, int]] = ()
    heading_rows: int = 0
    hidden_rows: int = 0
    """From the top."""
    choices: dict[int, Sequence[str]] = field(default_factory=dict)
    shared: bool = False
    """Text as shared strings, as spreadsheet programs write it; otherwise inline."""


def write_workbook(target: BinaryIO, sheets: Sequence[WrittenSheet], *, date1904: bool = False) -> None:
    """Writes a workbook. Memory: one row, and the shared strings where a sheet asks for them."""
    strings: dict[str, int] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as out:

        def put(name: str, text: str) -> None:
            out.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)

        put("[Content_Types].xml", _content_types(len(sheets)))
        put("_rels/.rels", _rels([("officeDocument", "xl/workbook.xml")]))
        put("xl/workbook.xml", _book(sheets, date1904))
        parts = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)]
        put(
            "xl/_rels/workbook.xml.rels",
            _rels([*parts, ("styles", "styles.xml"), ("sharedStrings", "sharedStrings.xml")]),
        )
        put("xl/styles.xml", _STYLES)
        for number, sheet in enumerate(sheets, 1):
            info = zipfile.ZipInfo(f"xl/worksheets/sheet{number}.xml", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            with out.open(info, "w", force_zip64=True) as part:
                for piece in _sheet(sheet, strings):
                    part.write(piece.encode("utf-8"))
        texts = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in strings)
        put("xl/sharedStrings.xml", f'{_HEAD}<sst xmlns="{_MAIN}">{texts}</sst>')


def _content_types(count: int) -> str:
    sheets = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_KIND}.worksheet+xml"/>'
        for n in range(1, count + 1)
    )
    return (
        f'{_HEAD}<Types xmlns="{_TYPES}">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_KIND}.sharedStrings+xml"/>'
        f"{sheets}</Types>"
    )


def _rels(targets: Sequence[tuple[str, str]]) -> str:
    members = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'{_HEAD}<Relationships xmlns="{_RELATIONS}">{members}</Relationships>'


def _book(sheets: Sequence[WrittenSheet], date1904: bool) -> str:
    members = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{n}" r:id="rId{n}"/>'
        for n, sheet in enumerate(sheets, 1)
    )
    epoch = '<workbookPr date1904="1"/>' if date1904 else "<workbookPr/>"
    return (
        f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{epoch}<sheets>{members}</sheets></workbook>'
    )


def _sheet(sheet: WrittenSheet, strings: dict[str, int]) -> Iterable[str]:
    yield f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    if sheet.heading_rows:
        top = f'ySplit="{sheet.heading_rows}" topLeftCell="A{sheet.heading_rows + 1}"'
        yield f'<pane {top} activePane="bottomLeft" state="frozen"/>'
    yield "</sheetView></sheetViews>"
    if sheet.columns:
        yield "<cols>"
        for n, (width, style) in enumerate(sheet.columns, 1):
            yield f'<col min="{n}" max="{n}" width="{width}" style="{style}" customWidth="1"/>'
        yield "</cols>"
    yield "<sheetData>"
    names = [letters(at) for at in range(len(sheet.columns) or 64)]
    for number, row in enumerate(sheet.rows, 1):
        hidden = ' hidden="1"' if number <= sheet.hidden_rows else ""
        cells = "".join(
            _cell(names[at], number, cell, _style(sheet, number, at), strings if sheet.shared else None)
            for at, cell in enumerate(row)
            if cell is not None
        )
        yield f'<row r="{number}"{hidden}>{cells}</row>'
    yield "</sheetData>"
    if sheet.choices:
        yield f'<dataValidations count="{len(sheet.choices)}">'
        for at, values in sheet.choices.items():
            area = f"{letters(at)}{sheet.heading_rows + 1}:{letters(at)}200000"
            offered = escape('"' + ",".join(values) + '"')
            yield (
                f'<dataValidation type="list" allowBlank="1" showErrorMessage="0" sqref="{area}">'
                f"<formula1>{offered}</formula1></dataValidation>"
            )
        yield "</dataValidations>"
    yield "</worksheet>"


def _style(sheet: WrittenSheet, number: int, at: int) -> int:
    if number <= sheet.heading_rows:
        return HEADING
    return sheet.columns[at][1] if at < len(sheet.columns) else PLAIN


def _cell(column: str, number: int, cell: Cell, style: int, strings: dict[str, int] | None) -> str:
    place = f'r="{column}{number}"' + (f' s="{style}"' if style else "")
    if isinstance(cell, Odd):
        if cell.kind == "n":
            return f"<c {place}><v>{cell.text}</v></c>"
        if cell.kind == "f":
            return f"<c {place}><f>{escape(cell.text)}</f><v>0</v></c>"
        kind = {"b": "b", "e": "e", "t": "d"}[cell.kind]
        return f'<c {place} t="{kind}"><v>{escape(cell.text)}</v></c>'
    if strings is None:
        return f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(cell or "")}</t></is></c>'
    index = strings.setdefault(cell or "", len(strings))
    return f'<c {place} t="s"><v>{index}</v></c>'
