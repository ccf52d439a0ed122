"""A bank's file: what it is, and its rows with headings and declarations taken apart, whatever the format.

The file is opened once; a table can be read from it more than once, and each reading sees the same bytes or
fails (`FileChanged`).
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal

from agent.errors import FileChanged, FileNotReadable
from agent.intake import cells, jsonl
from agent.intake.cells import Cell
from agent.intake.columns import (
    HEADING_ROWS,
    NAMES,
    Layout,
    layout,
    looks_like_headings,
    matches,
)
from agent.intake.container import MAX_FILE as MAX_WORKBOOK
from agent.intake.errors import DeclarationInvalid, FileEmpty, FileTooLarge, FormatUnknown
from agent.intake.mapping import ColumnMapping
from agent.intake.rules import Defect
from agent.intake.text import MAX_LINE, PIECE, Encoding, read_csv, separator_of, survey
from agent.intake.xlsx_reader import WorkbookReader
from protocol.i18n import Language

Format = Literal["xlsx", "csv", "jsonl"]
MAX_TEXT_FILE = 1 << 30
_ZIP = b"PK\x03\x04"
_COMPOUND = b"\xd0\xcf\x11\xe0"
_REMARK_CELLS = 5
_ROWS_WORDS = frozenset({"#rows", "#行数", "#声明行数", "#笔数"})
_SUM_WORDS = frozenset({"#sum", "#合计", "#声明金额", "#总额"})


@dataclass
class Declared:
    """What the sender says that the file holds."""

    rows: int | None = None
    fen: int | None = None

    def take(self, rows: int | None = None, fen: int | None = None) -> None:
        """Adds a declaration; the same thing may be said twice, not two things.

        Raises:
            DeclarationInvalid
        """
        for name, value in (("rows", rows), ("fen", fen)):
            if value is None:
                continue
            if getattr(self, name) not in (None, value):
                raise DeclarationInvalid(f"two different declarations of {name}", field=name)
            setattr(self, name, value)


@dataclass
class Table:
    """Rows of a file. `layout` and `epoch` are known at once; `declared` is whole after the last row."""

    layout: Layout
    rows: Iterator[tuple[int, list[Cell] | None]]
    """Row number and cells; None is a line that could not be read at all."""
    headings_at: int
    """Number of the row of headings, 0 where the format has none."""
    epoch: date = cells.EPOCH_1900
    ragged: bool = False
    part: str = ""
    """Of a workbook: the part that holds the sheet."""
    declared: Declared = field(default_factory=Declared)
    widest: int = 0
    """Cells of the widest row so far."""


class Source:
    """One file of a bank, open."""

    def __init__(
        self, path: Path, mapping: ColumnMapping, *, encoding: str | None = None, sheet: str | None = None
    ) -> None:
        """Opens the file, tells its format and takes its digest.

        Raises:
            FileNotReadable, FormatUnknown, FileTooLarge, EncodingUnknown, EncodingMismatch
        """
        self.path = path
        self.mapping = mapping
        self._sheet = sheet or mapping.sheet
        self.encoding: Encoding | None = None
        self.separator = ","
        self._readers: list[WorkbookReader | io.TextIOWrapper] = []
        try:
            self._file: BufferedReader = open(path, "rb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise FileNotReadable(f"{path.name}: {error.strerror}", field="file") from None
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.format = self._tell()
            self._file.seek(0)
            if self.format == "xlsx":
                self.digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            else:
                self.digest, self.encoding = survey(self._file, encoding or mapping.encoding)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._release()
        self._file.close()

    def _release(self) -> None:
        """Ends what still reads: the process of a workbook, an open text."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self) -> Format:
        begin = self._file.read(4096)
        if not begin:
            raise FileEmpty("an empty file", field="file")
        packed = begin.startswith((_ZIP, _COMPOUND))
        limit = MAX_WORKBOOK if packed else MAX_TEXT_FILE
        if self.size > limit:
            raise FileTooLarge(f"{self.size} bytes, at most {limit}", field="file", hint="split it")
        if packed:
            return "xlsx"
        if self.path.suffix.lower() in (".xlsx", ".xlsm", ".xls"):
            raise FormatUnknown(
                "not a workbook, whatever its name says", field="file", hint="export it again"
            )
        first = begin.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        return "jsonl" if first == b"{" else "csv"

    def read_under(self, mapping: ColumnMapping, sheet: str | None) -> None:
        """From now on with this mapping and sheet."""
        self.mapping, self._sheet = mapping, sheet or mapping.sheet

    def unchanged(self) -> None:
        """Raises FileChanged unless the file still has the digest that it had when it was opened."""
        self._file.seek(0)
        digest = hashlib.sha256()
        while piece := self._file.read(PIECE):
            digest.update(piece)
        if digest.hexdigest() != self.digest:
            raise FileChanged(f"{self.path.name} was written to meanwhile", field="file", hint="try again")

    def binary(self) -> BinaryIO:
        """The open file from its beginning. There is one reader at a time: an earlier one ends."""
        self._release()
        self._file.seek(0)
        return self._file

    def text(self) -> io.TextIOWrapper:
        """The file as text, from its beginning; closed with the source, or when something else reads."""
        encoding = self.encoding
        if encoding is None:
            raise FormatUnknown("a workbook is no text")
        codec = "utf-8-sig" if encoding.bom else encoding.codec
        text = open(os.dup(self.binary().fileno()), encoding=codec, newline="")  # noqa: SIM115 - see _release
        self._readers.append(text)
        return text

    def table(self, lang: Language = "zh") -> Table:
        """The rows from the beginning.

        Raises:
            ImportRefused
        """
        if self.format == "jsonl":
            return self._jsonl()
        if self.format == "xlsx":
            reader = WorkbookReader(self.binary(), self._sheet)
            self._readers.append(reader)
            epoch = cells.EPOCH_1904 if reader.date1904 else cells.EPOCH_1900
            return _grid(reader.rows(), self.mapping.headings, lang, epoch=epoch, part=reader.part)
        self.separator = self._separator()
        return _grid(self._csv(), self.mapping.headings, lang, ragged=True)

    def _separator(self) -> str:
        text = self.text()
        return separator_of([text.readline(MAX_LINE) for _ in range(HEADING_ROWS)])

    def _csv(self) -> Iterator[tuple[int, list[Cell]]]:
        yield from read_csv(self.text(), self.separator)

    def _jsonl(self) -> Table:
        own = self.mapping.headings
        headings = {name: self.mapping.columns.get(name, name) for name in NAMES}
        declared = Declared()
        places = Layout(tuple(range(len(NAMES))), headings, len(NAMES), lettered=False)
        table = Table(places, iter(()), 0, declared=declared)

        def rows() -> Iterator[tuple[int, list[Cell] | None]]:
            for number, found, said in jsonl.read_jsonl(self.text(), own):
                if said is not None:
                    _declared_members(said, declared)
                else:
                    yield number, found

        table.rows = rows()
        return table


def _declared_members(members: Mapping[str, Any], declared: Declared) -> None:
    if "rows" in members:
        declared.take(rows=_count(jsonl.cell_of(members["rows"])))
    if "sum" in members:
        declared.take(fen=_sum(jsonl.cell_of(members["sum"])))


def _count(cell: Cell) -> int:
    value = cells.word(cell).replace(",", "").removesuffix(".0")
    if value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    raise DeclarationInvalid("the declared number of rows is no whole number", field="rows")


def _sum(cell: Cell) -> int:
    found = cells.fen_of(cell, "sum")
    if isinstance(found, Defect):
        raise DeclarationInvalid("the declared sum is no amount", field="sum")
    return found


def _control(row: list[Cell], declared: Declared) -> bool:
    """Whether a row is a declaration or a remark: its first cell begins with #, and there are few."""
    first = next((cell for cell in row if cell is not None), None)
    if not isinstance(first, str) or not cells.trimmed(cells.half_width(first)).startswith("#"):
        return False
    filled = [cell for cell in row if not cells.is_empty(cell)]
    if len(filled) > _REMARK_CELLS:
        return False  # a row of data whose contract number begins so: it must come back, not vanish
    for at, cell in enumerate(filled[:-1]):
        key = cells.word(cell).rstrip(":")
        if key in _ROWS_WORDS:
            declared.take(rows=_count(filled[at + 1]))
        elif key in _SUM_WORDS:
            declared.take(fen=_sum(filled[at + 1]))
    return True


def _grid(
    raw: Iterator[tuple[int, list[Cell]]],
    own: Mapping[str, str],
    lang: Language,
    *,
    epoch: date = cells.EPOCH_1900,
    ragged: bool = False,
    part: str = "",
) -> Table:
    """Finds the headings. Two rows of headings may follow each other: the template has a hidden one."""
    declared = Declared()
    held: list[tuple[int, list[Cell]]] = []
    first: tuple[int, list[Cell]] | None = None
    for number, row in raw:
        if _control(row, declared):
            continue
        if first is None and looks_like_headings(row, own):
            first = number, row
        elif first is not None:
            held.append((number, row))
            break
        else:
            held.append((number, row))
            if len(held) == HEADING_ROWS:
                break
    if first is None:
        if not held:
            raise FileEmpty("no rows", field="file")
        # Nothing looks like headings: the likeliest row names what is missing.
        first = max(held, key=lambda one: matches(one[1], own))
    elif held and looks_like_headings(held[-1][1], own):
        first, held = held[-1], []
    else:
        held = held[-1:] if held and held[-1][0] > first[0] else []
    found = layout(first[1], own, lang)
    table = Table(found, iter(()), first[0], epoch, ragged, part, declared, len(first[1]))

    def rows() -> Iterator[tuple[int, list[Cell] | None]]:
        for number, row in held:
            if all(cells.is_empty(cell) for cell in row):
                continue
            table.widest = max(table.widest, len(row))
            yield number, row
        for number, row in raw:
            first_cell = row[0] if row else None
            if (first_cell is None or (isinstance(first_cell, str) and first_cell[:1] in "#＃ '")) and (
                _control(row, declared)
            ):
                continue
            if all(cells.is_empty(cell) for cell in row):
                continue
            if len(row) > table.widest:
                table.widest = len(row)
            yield number, row

    table.rows = rows()
    return table
