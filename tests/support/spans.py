"""Where each value of a CBOR document stands, so that a test can name the field that a byte belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Path: TypeAlias = tuple[int | str, ...]


def spans(data: bytes, at: int = 0, path: Path = ()) -> Iterator[tuple[Path, int, int]]:
    """(path, start, end) of every value, containers first; map keys belong to the container."""
    yield from _walk(data, at, path)[0]


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    major, info = data[at] >> 5, data[at] & 31
    if info < 24 or major == 7:
        return major, info, at + 1
    width = 1 << (info - 24)
    return major, int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def _walk(data: bytes, at: int, path: Path) -> tuple[list[tuple[Path, int, int]], int]:
    start = at
    major, argument, at = _head(data, at)
    found: list[tuple[Path, int, int]] = []
    if major in (2, 3):
        at += argument
    elif major == 4:
        for n in range(argument):
            inner, at = _walk(data, at, (*path, n))
            found += inner
    elif major == 5:
        for _ in range(argument):
            _, key, at = _head(data, at)
            inner, at = _walk(data, at, (*path, key))
            found += inner
    return [(path, start, at), *found], at


def field_at(data: bytes, offset: int) -> Path:
    """Path of the innermost value whose bytes contain `offset`."""
    return max((path for path, start, end in spans(data) if start <= offset < end), key=len)
