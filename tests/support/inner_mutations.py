"""Damage inside RLP and protocol buffers: one value changes, and all around it is written again.

A flipped digit mostly breaks a length or a hash; what is well-formed and wrong reaches the rules behind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from verifier import rlp
from verifier.proto import read_uvarint, uvarint
from verifier.rlp import RlpItem

EXTRA = 12
Field = tuple[int, int, bytes | int]


def _bytes(rng: random.Random, value: bytes) -> bytes:
    how = rng.randrange(8)
    if how == 0:
        return b""
    if how == 1:
        return value[:-1]
    if how == 2:
        return value + bytes([rng.randrange(256)])
    if how == 3:
        return b"\x00" + value
    if how == 4:
        return bytes(len(value))
    if how == 5:
        return bytes([rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF))]) * rng.choice((1, 4, 5, 8, 9, 32, 33))
    out = bytearray(value or b"\x00")
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _places(item: list[RlpItem]) -> Iterator[tuple[list[RlpItem], int]]:
    for at, one in enumerate(item):
        yield item, at
        if isinstance(one, list):
            yield from _places(one)


def _other(rng: random.Random, value: RlpItem) -> RlpItem:
    if rng.random() < 0.1:
        strange: list[RlpItem] = [b"", [], [b""], [[[]]], b"\x00"]
        return rng.choice(strange)
    if isinstance(value, bytes):
        return _bytes(rng, value)
    out = list(value)
    how = rng.randrange(5)
    if not out or how == 0:
        out.append(rng.choice([*out, b"", []]))
    elif how == 1:
        del out[rng.randrange(len(out))]
    elif how == 2:
        out.insert(rng.randrange(len(out) + 1), rng.choice(out))
    elif how == 3:
        rng.shuffle(out)
    else:
        out = []
    return out


def rlp_changed(rng: random.Random, data: bytes) -> bytes:
    """A list's encoding with one item in it changed."""
    items = rlp.decode(data)
    if not isinstance(items, list):
        return _bytes(rng, data)
    if rng.random() < 0.1:
        return rlp.encode(_other(rng, items))
    container, at = rng.choice(list(_places(items)))
    container[at] = _other(rng, container[at])
    return rlp.encode(items)


def qbft_header_changed(rng: random.Random, data: bytes) -> bytes:
    """A header with one of its fields, or one part of its extraData, changed."""
    if rng.random() < 0.5:
        return rlp_changed(rng, data)
    fields = rlp.decode(data)
    extra = fields[EXTRA]
    if not isinstance(fields, list) or not isinstance(extra, bytes):
        raise TypeError(fields)
    return rlp.encode([*fields[:EXTRA], rlp_changed(rng, extra), *fields[EXTRA + 1 :]])


def _fields(data: bytes) -> list[Field] | None:
    """Fields of what may be a message of varints and byte strings."""
    out: list[Field] = []
    at = 0
    try:
        while at < len(data):
            tag, at = read_uvarint(data, at)
            value, at = read_uvarint(data, at)
            if tag & 7 == 0:
                out.append((tag >> 3, 0, value))
            elif tag & 7 == 2 and value <= len(data) - at and tag >> 3:
                out.append((tag >> 3, 2, data[at : at + value]))
                at += value
            else:
                return None
    except Exception:
        return None
    return out or None


def _written(fields: list[Field]) -> bytes:
    out = b""
    for number, wire, value in fields:
        out += uvarint(number << 3 | wire)
        out += uvarint(value) if isinstance(value, int) else uvarint(len(value)) + value
    return out


def proto_changed(rng: random.Random, data: bytes) -> bytes:
    """A message with one field, of it or of a message inside, changed."""
    fields = _fields(data)
    if fields is None or rng.random() < 0.05:
        return _bytes(rng, data)
    at = rng.randrange(len(fields))
    number, wire, value = fields[at]
    how = rng.randrange(10)
    if how == 0:
        del fields[at]
    elif how == 1:
        fields.insert(at, fields[at])
    elif how == 2:
        fields[at] = (rng.choice((1, 2, 3, 4, 5, 6)), wire, value)
    elif how == 3:
        rng.shuffle(fields)
    elif isinstance(value, int):
        fields[at] = (number, wire, rng.choice((0, 1, 2, value + 1, 2**63, 2**64 - 1)))
    else:
        fields[at] = (number, wire, proto_changed(rng, value))
    return _written(fields)
