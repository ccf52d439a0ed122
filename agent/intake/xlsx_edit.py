"""The same workbook with one column more: the sheet's XML is edited as a stream, other parts are copied.

The reading process has refused comments, CDATA and processing instructions in the sheet, so `<row` and `<c`
in its bytes are rows and cells. Our text goes in as inline strings, which no spreadsheet takes for a formula.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from agent.intake.columns import letters
from agent.intake.container import Container
from agent.intake.errors import FileDamaged, WorkbookUnusual
from agent.intake.xlsx import MAX_CELL

_ATTRIBUTES = rb"(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*"
_ROW = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?)row(" + _ATTRIBUTES + rb")\s*(/?)>")
_ROW_BEGINS = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?row[\s/>]")
_CELL = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?)c(" + _ATTRIBUTES + rb")\s*(?:/>|>.*?</\1c\s*>)", re.DOTALL)
_R = re.compile(rb"\sr\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_SPANS = re.compile(rb"\sspans\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_MAX_HELD = 64 << 20
_LEVEL = 3
"""Of compression: the file goes back to one reader, once."""


def edit_workbook(
    source: BinaryIO, part: str, target: BinaryIO, column: int, texts: Mapping[int, str], *, replace: bool
) -> None:
    """Writes the workbook to `target` with `texts` (row number to text) in `column` (from 0).

    `replace`: the column was ours before; what stood there goes from every row.

    Raises:
        FileDamaged, WorkbookUnusual, and the refusals of `Container`
    """
    container = Container(source)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as out:
        for name in container.names:
            pieces = container.stream(name)
            if name == part:
                pieces = edit_sheet(pieces, column, texts, replace=replace)
            with out.open(name, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)


def edit_sheet(
    pieces: Iterator[bytes], column: int, texts: Mapping[int, str], *, replace: bool
) -> Iterator[bytes]:
    """The sheet's XML with a cell more in the rows that have a text."""
    held = b""
    number = 0
    left = len(texts)
    for piece in pieces:
        held += piece
        at = 0
        while (begin := _ROW_BEGINS.search(held, at)) is not None:
            opening = _ROW.match(held, begin.start())
            if opening is None:
                break  # the tag is not all here yet
            number = _number(opening[2], number)
            if opening[3]:
                at = opening.end()
                continue
            if number not in texts and not replace:
                at = opening.end()
                continue
            closing = b"</" + opening[1] + b"row"
            end = held.find(closing, opening.end())
            if end < 0:
                begin_again = number - 1
                number = begin_again if begin_again >= 0 else 0
                break
            yield held[: opening.start()]
            left -= number in texts
            yield _edited(held[opening.start() : end], opening, number, column, texts.get(number))
            held = held[end:]
            at = len(closing)
        keep = _complete(held, at)
        if keep:
            yield held[:keep]
            held = held[keep:]
        if len(held) > _MAX_HELD:
            raise WorkbookUnusual("a row without end")
    yield held
    if left:
        raise FileDamaged("rows are missing that were there when it was read")


def _complete(held: bytes, at: int) -> int:
    """How much of `held` can go out: up to a row that is not all here, or a tag that may become one."""
    begin = _ROW_BEGINS.search(held, at)
    if begin is not None:
        return begin.start()
    last = held.rfind(b"<", max(at, len(held) - 256))
    return last if last >= 0 else len(held)


def _number(attributes: bytes, before: int) -> int:
    found = _R.search(attributes)
    if found is None:
        return before + 1
    value = found[1] if found[1] is not None else found[2]
    if not value.isdigit():
        raise WorkbookUnusual("a row with an unusual number", hint="save it again as .xlsx")
    return int(value)


def _edited(row: bytes, opening: re.Match[bytes], number: int, column: int, text: str | None) -> bytes:
    """One row, from its opening tag up to its closing tag."""
    prefix = opening[1]
    head = b"<" + prefix + b"row" + _SPANS.sub(b"", opening[2]) + b">"
    cells: list[tuple[int, bytes]] = []
    at = -1
    for found in _CELL.finditer(row, opening.end() - opening.start()):
        reference = _R.search(found[2])
        at = _column(reference[1] or reference[2] or b"") if reference else at + 1
        if at != column:
            cells.append((at, found[0]))
    if text is not None:
        place = f"{letters(column)}{number}".encode()
        cell = b'<%bc r="%b" t="inlineStr"><%bis><%bt xml:space="preserve">%b</%bt></%bis></%bc>' % (
            prefix,
            place,
            prefix,
            prefix,
            _escaped(text),
            prefix,
            prefix,
            prefix,
        )
        cells.append((column, cell))
        cells.sort(key=lambda one: one[0])
    return head + b"".join(cell for _, cell in cells)


def _column(reference: bytes) -> int:
    at = 0
    for letter in reference.rstrip(b"0123456789"):
        at = at * 26 + letter - 64
    return at - 1


def _escaped(text: str) -> bytes:
    kept = "".join(c if c.isprintable() or c == "\n" else "�" for c in text[:MAX_CELL])
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode("utf-8", "replace")
