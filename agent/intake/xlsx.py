"""Rows of an XLSX sheet, streamed: constant memory but for the shared strings, exact, formulas seen.

Runs in a process of its own with a memory limit (`xlsx_child.py`). Every cell keeps what the file says:
numbers their literal, so that none passes through a double; formulas are marked, whatever they last gave.
"""

from __future__ import annotations

import posixpath
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

from agent.intake.cells import Cell, Odd
from agent.intake.columns import MAX_COLUMNS
from agent.intake.container import Container, guarded_parser
from agent.intake.errors import (
    FileDamaged,
    FileTooLarge,
    FormatUnknown,
    SheetUnknown,
    WorkbookActive,
    WorkbookUnusual,
)

MAX_ROWS = 200_000
MAX_EXTRA_ROWS = 64
"""Headings, declarations and remarks beside the rows of data."""
MAX_SHEET_ROW = 1_048_576
MAX_STRINGS = 8_000_000
MAX_STRING_BYTES = 160 << 20
MAX_CELL = 32_767
"""Characters; no spreadsheet takes more."""
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SHEET = ("/worksheet", "/officeDocument/2006/relationships/worksheet")
_MACRO_SHEET = ("/xlMacrosheet", "/xlIntlMacrosheet", "/dialogsheet")
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DIGITS = "0123456789"

Row = tuple[int, list[Cell]]


@dataclass(frozen=True)
class Sheet:
    """Which part holds the rows."""

    name: str
    part: str
    date1904: bool


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def choose_sheet(container: Container, wanted: str | None) -> Sheet:
    """The sheet of that name, or the first that is visible.

    Raises:
        SheetUnknown, FormatUnknown, FileDamaged
    """
    book = _main_part(container)
    sheets: list[tuple[str, str, bool]] = []
    date1904 = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal date1904
        kind = _local(name)
        if kind == "workbookPr":
            date1904 = attributes.get("date1904", "").lower() in ("1", "true")
        elif kind == "sheet":
            relation = next((v for k, v in attributes.items() if _local(k) == "id" and ":" in k), "")
            visible = attributes.get("state", "visible") == "visible"
            sheets.append((attributes.get("name", ""), relation, visible))
        elif kind == "externalReference":
            raise FileDamaged("a link without its part")

    container.parse(book, start)
    for name, relation, visible in sheets:
        if (wanted is None and visible) or name == wanted:
            return Sheet(name, _target(container, book, relation), date1904)
    raise SheetUnknown(
        f"{len(sheets)} sheets, none of that name" if wanted else "no visible sheet", field="sheet"
    )


def _main_part(container: Container) -> str:
    found: list[str] = []

    def start(_name: str, attributes: dict[str, str]) -> None:
        if attributes.get("Type", "").endswith("/officeDocument"):
            found.append(attributes.get("Target", "").lstrip("/"))

    container.parse("_rels/.rels", start)
    if not found or found[0] not in container.names or not found[0].startswith("xl/"):
        raise FormatUnknown("not a spreadsheet", hint="give an .xlsx, a CSV or JSON lines")
    return found[0]


def _relations_of(part: str) -> str:
    folder, _, name = part.rpartition("/")
    return f"{folder}/_rels/{name}.rels"


def _target(container: Container, book: str, relation: str) -> str:
    found: list[tuple[str, str]] = []

    def start(_name: str, attributes: dict[str, str]) -> None:
        if attributes.get("Id") == relation:
            found.append((attributes.get("Type", ""), attributes.get("Target", "")))

    container.parse(_relations_of(book), start)
    if not found:
        raise FileDamaged("a sheet without its part", hint="export it again")
    kind, target = found[0]
    if kind.endswith(_MACRO_SHEET):
        raise WorkbookActive("a sheet of macros", hint="save it as .xlsx without macros")
    if not kind.endswith(_SHEET):
        raise SheetUnknown("the sheet is a chart", field="sheet", hint="--sheet NAME")
    return _absolute(book, target)


def _absolute(book: str, target: str) -> str:
    if target.startswith("/"):
        return target.lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(book), target))


class Strings:
    """The shared strings, as bytes in one piece: a tenth of what a list of them would take."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")

    def add(self, text: str) -> None:
        """Raises FileTooLarge."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))
        if len(self._ends) > MAX_STRINGS or len(self._bytes) > MAX_STRING_BYTES:
            raise FileTooLarge("too much text in the workbook", hint="split it, or use CSV")

    def __getitem__(self, index: int) -> str:
        ends = self._ends
        start = ends[index - 1] if index else 0
        return self._bytes[start : ends[index]].decode("utf-8", "surrogatepass")

    def __len__(self) -> int:
        return len(self._ends)


def _unescaped(text: str) -> str:
    """`_x000D_` is how spreadsheets write a character that XML cannot hold."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def read_strings(container: Container, book: str) -> Strings:
    """The workbook's shared strings; none where it has none."""
    strings = Strings()
    parts: list[str] = []

    def relation(_name: str, attributes: dict[str, str]) -> None:
        if attributes.get("Type", "").endswith("/sharedStrings"):
            parts.append(_absolute(book, attributes.get("Target", "")))

    container.parse(_relations_of(book), relation)
    if not parts:
        return strings
    pieces: list[str] = []
    length, phonetic, collecting = 0, 0, False

    def start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal phonetic, collecting, length
        kind = _local(name)
        if kind == "t":
            collecting = not phonetic
        elif kind == "si":
            pieces.clear()
            length = 0
        elif kind == "rPh":
            phonetic += 1

    def end(name: str) -> None:
        nonlocal phonetic, collecting
        kind = _local(name)
        if kind == "t":
            collecting = False
        elif kind == "si":
            strings.add(_unescaped("".join(pieces)))
        elif kind == "rPh":
            phonetic -= 1

    def text(data: str) -> None:
        nonlocal length
        if collecting and length <= MAX_CELL:
            pieces.append(data)
            length += len(data)

    container.parse(parts[0], start, EndElementHandler=end, CharacterDataHandler=text)
    return strings


class _SheetRows:
    """Handlers that turn a sheet's XML into rows; `ready` holds those that are complete."""

    def __init__(self, strings: Strings) -> None:
        self.ready: list[Row] = []
        self._strings = strings
        self._columns: dict[str, int] = {}
        self._number = 0
        self._count = 0
        self._row: list[Cell] = []
        self._at = -1
        self._kind = ""
        self._formula = False
        self._pieces: list[str] = []
        self._length = 0
        self._collecting = False
        self._phonetic = 0
        self._in_row = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if ":" in name:
            name = _local(name)
        if name == "c":
            reference = attributes.get("r")
            self._at = self._column(reference) if reference else self._at + 1
            self._kind = attributes.get("t", "n")
            self._formula = False
            self._pieces = []
            self._length = 0
        elif name == "v" or name == "t":
            self._collecting = not self._phonetic
        elif name == "f":
            self._formula = True
        elif name == "row":
            number = int(attributes.get("r") or self._number + 1)
            if self._in_row or not self._number < number <= MAX_SHEET_ROW:
                raise WorkbookUnusual("rows are not in order", hint="save it again as .xlsx")
            self._number, self._row, self._at, self._in_row = number, [], -1, True
        elif name == "rPh":
            self._phonetic += 1

    def end(self, name: str) -> None:
        if ":" in name:
            name = _local(name)
        if name == "v" or name == "t":
            self._collecting = False
        elif name == "c":
            if self._pieces or self._formula:
                self._put(self._value("".join(self._pieces)))
        elif name == "row":
            self._in_row = False
            if self._row:
                self._count += 1
                if self._count > MAX_ROWS + MAX_EXTRA_ROWS:
                    raise FileTooLarge(f"more than {MAX_ROWS} rows", hint="split it, or use CSV")
                self.ready.append((self._number, self._row))
        elif name == "rPh":
            self._phonetic -= 1

    def text(self, data: str) -> None:
        if self._collecting and self._length <= MAX_CELL:
            self._pieces.append(data)
            self._length += len(data)

    def _column(self, reference: str) -> int:
        letters = reference.rstrip(_DIGITS)
        at = self._columns.get(letters)
        if at is None:
            at = 0
            if not 1 <= len(letters) <= 3 or not letters.isascii() or not letters.isupper():
                raise WorkbookUnusual("a cell without a place", hint="save it again as .xlsx")
            for letter in letters:
                at = at * 26 + ord(letter) - 64
            at -= 1
            self._columns[letters] = at
        if at <= self._at:
            raise WorkbookUnusual("cells are not in order", hint="save it again as .xlsx")
        return at

    def _put(self, cell: Cell) -> None:
        row, at = self._row, self._at
        if at >= MAX_COLUMNS:
            raise FileTooLarge(f"more than {MAX_COLUMNS} columns", hint="remove columns that are not needed")
        if not self._in_row:
            raise WorkbookUnusual("a cell outside a row", hint="save it again as .xlsx")
        if at > len(row):
            row.extend([None] * (at - len(row)))
        row.append(cell)

    def _value(self, text: str) -> Cell:
        kind = self._kind
        if self._formula:
            return Odd("f", text)
        if kind == "s":
            try:
                index = int(text)
                if index < 0:
                    raise IndexError
                return self._strings[index] or None
            except (ValueError, IndexError):
                raise FileDamaged("a cell refers to a text that is not there") from None
        if kind == "n":
            return Odd("n", text.strip())
        if kind in ("inlineStr", "str"):
            return _unescaped(text) or None
        return Odd({"b": "b", "e": "e", "d": "t"}.get(kind, "x"), text)


def read_rows(container: Container, sheet: Sheet) -> Iterator[Row]:
    """Rows that hold something, with their numbers from 1.

    Raises:
        FileDamaged, FileTooLarge, WorkbookBomb, WorkbookUnusual
    """
    strings = read_strings(container, _main_part(container))
    rows = _SheetRows(strings)
    parser = guarded_parser(rows.start, bare=True, EndElementHandler=rows.end, CharacterDataHandler=rows.text)
    try:
        for piece in container.stream(sheet.part):
            parser.Parse(piece, False)
            yield from rows.ready
            rows.ready.clear()
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError) as error:  # the latter: a row number that is none
        raise FileDamaged("the sheet is not XML", hint="export it again") from error
    yield from rows.ready
