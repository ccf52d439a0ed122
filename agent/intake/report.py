"""The bank's own file back with an error column, values unmasked: it is the bank's file, for the bank."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from agent.intake import jsonl
from agent.intake.columns import ERRORS_HEADING, ERRORS_NAME, Layout
from agent.intake.rules import RULES, Defect, sentence
from agent.intake.source import Source
from agent.intake.text import bounded_lines
from agent.intake.whole import write_whole
from agent.intake.xlsx_edit import edit_workbook
from protocol.i18n import Language

_LEADS = "=+-@\t\r＝＋－＠"
_NUMBER = re.compile(r"[+-]?[0-9][0-9,]*(?:\.[0-9]+)?%?")
_SEPARATOR = " | "

Defects = Mapping[int, Sequence[Defect]]


def neutral(text: str) -> str:
    """Text that no spreadsheet runs as a formula; numbers stay. Reading takes the apostrophe off again."""
    if text.startswith(tuple(_LEADS)) and _NUMBER.fullmatch(text) is None:
        return "'" + text
    return text


def row_text(defects: Sequence[Defect], layout: Layout, row: int, lang: Language) -> str:
    """All that is wrong with a row, in one cell."""
    first, *others = defects
    texts = [sentence(first, layout, lang, row=row), *(sentence(one, layout, lang) for one in others)]
    return _SEPARATOR.join(texts)


def write_errors(
    source: Source, target: Path, layout: Layout, defects: Defects, lang: Language, *,
    headings_at: int, part: str, widest: int,
) -> None:  # fmt: skip
    """Writes the file again, defects beside their rows; whole or not at all.

    Raises:
        FileChanged, ImportRefused
    """
    column = layout.errors_at if layout.errors_at is not None else max(widest, layout.width)
    with write_whole(target) as out:
        if source.format == "xlsx":
            texts = {row: row_text(found, layout, row, lang) for row, found in defects.items()}
            texts[headings_at] = ERRORS_HEADING
            replace = layout.errors_at is not None
            edit_workbook(source.binary(), part, out, column, texts, replace=replace)
        elif source.format == "csv":
            _csv(source, out, layout, defects, lang, headings_at, column)
        else:
            _jsonl(source, out, layout, defects, lang)
        source.unchanged()


def _csv(
    source: Source, out: BinaryIO, layout: Layout, defects: Defects, lang: Language,
    headings_at: int, column: int,
) -> None:  # fmt: skip
    encoding = source.encoding
    assert encoding is not None  # noqa: S101 - a text file has one
    text = source.text()
    writing = io.TextIOWrapper(
        out, "utf-8-sig" if encoding.bom else encoding.codec, newline="", errors="replace"
    )
    try:
        first = text.readline(1 << 20)
        text.seek(0)
        writer = csv.writer(
            writing, delimiter=source.separator, lineterminator="\r\n" if first.endswith("\r\n") else "\n"
        )
        for number, record in enumerate(csv.reader(bounded_lines(text), delimiter=source.separator), 1):
            cells = [neutral(cell) for cell in record]
            if cells:
                cells += [""] * (column + 1 - len(cells))
                if number == headings_at:
                    cells[column] = ERRORS_HEADING
                elif number in defects:
                    cells[column] = row_text(defects[number], layout, number, lang)
                elif layout.errors_at is not None:
                    cells[column] = ""
            writer.writerow(cells)
        writing.flush()
    finally:
        writing.detach()


def error_members(defects: Sequence[Defect], lang: Language) -> list[dict[str, Any]]:
    """Defects as JSON, values unmasked."""
    return [
        {
            "rule": one.rule,
            "column": one.column or None,
            "value": one.value or None,
            "says": RULES[one.rule].says.format(lang, **dict(one.info)),
            "fix": RULES[one.rule].fix.format(lang, **dict(one.info)),
        }
        for one in defects
    ]


def _jsonl(source: Source, out: BinaryIO, layout: Layout, defects: Defects, lang: Language) -> None:
    encoding = source.encoding
    assert encoding is not None  # noqa: S101 - a text file has one
    if encoding.bom:
        out.write(b"\xef\xbb\xbf")
    for number, line in enumerate(bounded_lines(source.text()), 1):
        out.write(_with_errors(line, defects.get(number), lang).encode(encoding.codec, "replace"))


def _with_errors(line: str, defects: Sequence[Defect] | None, lang: Language) -> str:
    body = line.rstrip("\r\n")
    end = line[len(body) :] or "\n"
    try:
        members = jsonl.members_of(body)
    except jsonl.Unreadable:
        if not defects:
            return line
        members = [("line", json.dumps(body, ensure_ascii=False))]
    had = any(name == ERRORS_NAME for name, _ in members)
    if not had and not defects:
        return line
    kept = [(name, raw) for name, raw in members if name != ERRORS_NAME]
    if defects:
        kept.append((ERRORS_NAME, json.dumps(error_members(defects, lang), ensure_ascii=False)))
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {raw}" for name, raw in kept) + "}" + end
