"""JSON lines: one object a line, members named like the columns; numbers keep their literal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from agent.intake.cells import Cell, Odd
from agent.intake.columns import ERRORS_NAME, NAMES, folded
from agent.intake.errors import FileTooLarge
from agent.intake.text import MAX_EXTRA_ROWS, MAX_ROWS, bounded_lines
from protocol.expect import MAX_NESTING, nesting

DECLARED = "declared"
MAX_OBJECT = 1 << 16


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


class Unreadable(ValueError):
    """A line that is not one JSON object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable
    return found


def _no_constant(_name: str) -> Any:
    raise Unreadable


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_Literal, parse_int=_Literal, parse_constant=_no_constant
)


def parse_line(line: str) -> dict[str, Any]:
    """The object of one line.

    Raises:
        Unreadable
    """
    if len(line) > MAX_OBJECT or nesting(line) > MAX_NESTING:
        raise Unreadable
    try:
        value = _DECODER.decode(line.strip())
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(value, dict):
        raise Unreadable
    return value


def cell_of(value: Any) -> Cell:
    """A member's value as a cell."""
    if value is None or isinstance(value, _Literal):
        return None if value is None else Odd("d", str(value))
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return Odd("b", "1" if value else "0")
    return Odd("x", json.dumps(value, ensure_ascii=False)[:64])


def names_of(members: Mapping[str, Any], own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs of column name and member name; members that mean nothing are left out."""
    for member in members:
        name = own.get(folded(member)) or (member if member in NAMES else None)
        if name is not None:
            yield name, member


def read_jsonl(
    text: TextIO, own: Mapping[str, str]
) -> Iterator[tuple[int, list[Cell] | None, Mapping[str, Any] | None]]:
    """Lines with their numbers: cells in the order of `COLUMNS` (None: unreadable), or a declaration.

    Raises:
        FileTooLarge, FileDamaged
    """
    places = {name: at for at, name in enumerate(NAMES)}
    count = 0
    for number, line in enumerate(bounded_lines(text), 1):
        if not line.strip():
            continue
        count += 1
        if count > MAX_ROWS + MAX_EXTRA_ROWS:
            raise FileTooLarge(f"more than {MAX_ROWS} rows", hint="split it")
        try:
            members = parse_line(line)
        except Unreadable:
            yield number, None, None
            continue
        if DECLARED in members and not set(members) - {DECLARED, ERRORS_NAME}:
            declared = members[DECLARED]
            yield number, None, declared if isinstance(declared, dict) else {}
            continue
        cells: list[Cell] = [None] * len(NAMES)
        for name, member in names_of(members, own):
            cells[places[name]] = cell_of(members[member])
        yield number, cells, None


def members_of(line: str) -> list[tuple[str, str]]:
    """Names and raw values of an object's members, so that what is not changed comes back as it was.

    Raises:
        Unreadable
    """
    parse_line(line)
    text = line.strip()
    members: list[tuple[str, str]] = []
    at = _skip(text, 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        begin = at
        _, at = _DECODER.raw_decode(text, at)
        members.append((str(name), text[begin:at]))
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at
