"""Recursive Length Prefix, writing only (Ethereum yellow paper, appendix B). Reading is `verifier.rlp`."""

from __future__ import annotations

from collections.abc import Sequence


def integer(value: int) -> bytes:
    """A scalar: big-endian without leading zeros, empty for 0."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_list(items: Sequence[bytes]) -> bytes:
    """A list of byte strings."""
    body = b"".join(_string(item) for item in items)
    return _length(len(body), 0xC0) + body


def _string(item: bytes) -> bytes:
    return item if len(item) == 1 and item[0] < 0x80 else _length(len(item), 0x80) + item


def _length(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = (length.bit_length() + 7) // 8
    return bytes([offset + 55 + size]) + length.to_bytes(size, "big")
