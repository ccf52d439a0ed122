"""Encoding and separators of a text file, found from its bytes rather than believed."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from agent.intake.cells import Cell
from agent.intake.columns import MAX_COLUMNS
from agent.intake.errors import EncodingMismatch, EncodingUnknown, FileDamaged, FileTooLarge, MappingInvalid

MAX_ROWS = 1_000_000
MAX_EXTRA_ROWS = 64
MAX_LINE = 1 << 20
"""Characters of one physical line."""
MAX_FIELD = 1 << 16
PIECE = 1 << 20
_BOM = codecs.BOM_UTF8
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NAMES = {
    "utf-8": "utf-8", "utf8": "utf-8", "utf-8-sig": "utf-8",
    "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030",
}  # fmt: skip
_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Encoding:
    """How bytes become text."""

    codec: str
    """`utf-8` or `gb18030`."""
    bom: bool
    declared: bool


def encoding_named(name: str) -> str:
    """Our name of a declared encoding.

    Raises:
        MappingInvalid
    """
    found = _NAMES.get(name.strip().lower())
    if found is None:
        raise MappingInvalid("utf-8 or gb18030 is expected", field="encoding")
    return found


def survey(file: BinaryIO, declared: str | None = None) -> tuple[str, Encoding]:
    """SHA-256 of the whole file (hex) and its encoding, in one pass; a second where it is not UTF-8.

    Text that is valid UTF-8 beyond ASCII is UTF-8: other encodings do not come out so by chance. What is not
    must be valid GB18030 to its last byte.

    Raises:
        EncodingUnknown, EncodingMismatch
    """
    digest = hashlib.sha256()
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    ascii_only, zeros, size, lines, bad_line = True, 0, 0, 1, 0
    bom = False
    file.seek(0)
    while piece := file.read(PIECE):
        if not size:
            if piece.startswith(_UTF16):
                raise EncodingUnknown("UTF-16", field="encoding", hint="save it as CSV UTF-8")
            bom = piece.startswith(_BOM)
        size += len(piece)
        digest.update(piece)
        ascii_only = ascii_only and piece.isascii()
        zeros += piece.count(0)
        if decoder is not None:
            try:
                decoder.decode(piece)
                lines += piece.count(b"\n")
            except UnicodeDecodeError as error:
                bad_line = lines + piece.count(b"\n", 0, max(error.start, 0))
                decoder = None
    if decoder is not None:
        try:
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            bad_line, decoder = lines, None
    if zeros * 10 > size:
        raise EncodingUnknown("holds zero bytes like UTF-16", field="encoding", hint="save it as CSV UTF-8")
    wanted = None if declared is None else encoding_named(declared)
    if decoder is not None:
        if wanted == "gb18030" and not ascii_only:
            raise EncodingMismatch("it is UTF-8", field="encoding", hint="--encoding utf-8")
        return digest.hexdigest(), Encoding(wanted or "utf-8", bom, wanted is not None)
    gb_line = None if bom else _first_bad_line(file, "gb18030")
    if wanted == "utf-8" or bom:
        hint = "--encoding gb18030" if gb_line == 0 else "export it again; it may be cut off"
        raise EncodingMismatch(f"line {bad_line} is not UTF-8", field="encoding", hint=hint)
    if gb_line != 0:
        where = f"line {bad_line} is not UTF-8, line {gb_line} is not GB18030"
        if wanted is not None:
            raise EncodingMismatch(where, field="encoding", hint="export it again; it may be cut off")
        raise EncodingUnknown(where, field="encoding", hint="save it as CSV UTF-8")
    return digest.hexdigest(), Encoding("gb18030", False, wanted is not None)


def _first_bad_line(file: BinaryIO, codec: str) -> int:
    """Line of the first byte that does not decode, 0 where all do."""
    decoder = codecs.getincrementaldecoder(codec)()
    lines = 1
    file.seek(0)
    while piece := file.read(PIECE):
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            return lines + piece.count(b"\n", 0, max(error.start, 0))
        lines += piece.count(b"\n")
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return lines
    return 0


def bounded_lines(text: TextIO) -> Iterator[str]:
    """Physical lines with their ends; none without bound.

    Raises:
        FileDamaged
    """
    try:
        while line := text.readline(MAX_LINE):
            if len(line) == MAX_LINE and not line.endswith("\n"):
                raise FileDamaged("a line without end", hint="is it text? export it again")
            yield line
    except UnicodeDecodeError:
        raise FileDamaged("it changed while it was read", hint="try again") from None


def separator_of(lines: Iterable[str]) -> str:
    """The separator that one of the lines uses most outside quotes; a comma where there is none.

    The line of headings has the most, whatever title stands above it.
    """
    outside = ["".join(line.split('"')[::2]) for line in lines]
    return max(
        _SEPARATORS, key=lambda one: (max((text.count(one) for text in outside), default=0), one == ",")
    )


def read_csv(text: TextIO, separator: str) -> Iterator[tuple[int, list[Cell]]]:
    """Records with their numbers from 1, as a spreadsheet counts rows; empty lines count and are left out.

    Raises:
        FileDamaged: a quote that is never closed, among others. What follows it could not be told apart.
        FileTooLarge
    """
    csv.field_size_limit(MAX_FIELD)
    records = csv.reader(bounded_lines(text), delimiter=separator, strict=True)
    number = count = 0
    while True:
        number += 1
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error:
            raise FileDamaged(
                f"row {number} (line {records.line_num}): quotes or separators are broken",
                field=f"row {number}",
                hint="the file may be cut off; quotes inside a field are doubled",
            ) from None
        if not any(record):
            continue
        if len(record) > MAX_COLUMNS:
            raise FileTooLarge(f"row {number} has more than {MAX_COLUMNS} columns", field=f"row {number}")
        count += 1
        if count > MAX_ROWS + MAX_EXTRA_ROWS:
            raise FileTooLarge(f"more than {MAX_ROWS} rows", hint="split it")
        yield number, [cell or None for cell in record]
