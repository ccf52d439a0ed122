"""Recursive Length Prefix (Ethereum yellow paper, appendix B), strict: each value has exactly one
encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from verifier.errors import RlpLimit, RlpMalformed

RlpItem: TypeAlias = "bytes | list[RlpItem]"

MAX_BYTES = 1 << 16
MAX_DEPTH = 8


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> RlpItem:
    """The one item that `data` encodes. Trailing bytes, long forms and padded lengths are refused.

    Work is linear in `len(data)`, which `max_bytes` bounds; lists nest at most `max_depth` deep.
    """
    if len(data) > max_bytes:
        raise RlpLimit(f"{len(data)} bytes, at most {max_bytes}")
    item, end = _item(data, 0, len(data), max_depth)
    if end != len(data):
        raise RlpMalformed("bytes after the item")
    return item


def _item(data: bytes, at: int, limit: int, depth: int) -> tuple[RlpItem, int]:
    """Item that starts at `at` and must end at or before `limit`, and where it ends."""
    if at >= limit:
        raise RlpMalformed("item missing")
    prefix = data[at]
    if prefix < 0x80:
        return data[at : at + 1], at + 1
    is_list = prefix >= 0xC0
    short = prefix - (0xC0 if is_list else 0x80)
    start, length = (at + 1, short) if short <= 55 else _long_length(data, at + 1, short - 55, limit)
    end = start + length
    if end > limit:
        raise RlpMalformed("length beyond the end")
    if not is_list:
        if length == 1 and data[start] < 0x80:
            raise RlpMalformed("a single byte below 0x80 stands for itself")
        return data[start:end], end
    if depth == 0:
        raise RlpLimit("lists nested too deep")
    items: list[RlpItem] = []
    while start < end:
        item, start = _item(data, start, end, depth - 1)
        items.append(item)
    return items, end


def _long_length(data: bytes, at: int, width: int, limit: int) -> tuple[int, int]:
    if at + width > limit:
        raise RlpMalformed("length cut off")
    length = int.from_bytes(data[at : at + width], "big")
    if data[at] == 0 or length <= 55:
        raise RlpMalformed("length not in its shortest form")
    return at + width, length


def encode(item: RlpItem | Sequence[RlpItem]) -> bytes:
    """Canonical encoding of byte strings and nested sequences of them."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    body = b"".join(encode(inner) for inner in item)
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length <= 55:
        return bytes([base + length])
    raw = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(raw)]) + raw


def to_int(value: bytes, max_bytes: int = 32) -> int:
    """Unsigned scalar: big-endian without leading zeros, zero is the empty string."""
    if len(value) > max_bytes or value[:1] == b"\0":
        raise RlpMalformed("integer not canonical")
    return int.from_bytes(value, "big")


def from_int(value: int) -> bytes:
    """Inverse of `to_int` for value >= 0."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
