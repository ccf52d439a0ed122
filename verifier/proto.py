"""Protocol buffers, strict reader and the few writers that CometBFT hashing needs.

The reader takes only what a deterministic proto3 writer gives: fields in ascending order, shortest varints,
no default values, nothing unknown, nothing twice. So one message has one encoding, and no byte of it is
free.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from verifier.errors import ProtoLimit, ProtoMalformed

MAX_BYTES = 1 << 16
MAX_REPEATED = 256
_UINT64 = (1 << 64) - 1


class Kind(Enum):
    """What a field may hold."""

    UINT = "uint"
    BYTES = "bytes"
    MESSAGE = "message"
    MESSAGES = "messages"


class Message:
    """Fields of one message, as `read` found them. Absent fields have the proto3 default."""

    def __init__(self, uints: dict[int, int], chunks: dict[int, list[bytes]]) -> None:
        self._uints = uints
        self._chunks = chunks

    def uint(self, number: int) -> int:
        return self._uints.get(number, 0)

    def blob(self, number: int) -> bytes:
        return self._chunks.get(number, [b""])[0]

    def message(self, number: int) -> bytes | None:
        """Body of an embedded message; an empty body is not the same as an absent one."""
        found = self._chunks.get(number)
        return found[0] if found else None

    def messages(self, number: int) -> list[bytes]:
        return self._chunks.get(number, [])


def read(data: bytes, schema: Mapping[int, Kind], *, max_bytes: int = MAX_BYTES) -> Message:
    """Split one message into the fields of `schema`. Linear in `len(data)`, which `max_bytes` bounds."""
    if len(data) > max_bytes:
        raise ProtoLimit(f"{len(data)} bytes, at most {max_bytes}")
    uints: dict[int, int] = {}
    chunks: dict[int, list[bytes]] = {}
    at, last = 0, 0
    while at < len(data):
        tag, at = read_uvarint(data, at)
        number, wire = tag >> 3, tag & 7
        kind = schema.get(number)
        if kind is None:
            raise ProtoMalformed(f"field {number} is unknown")
        if number < last or (number == last and kind is not Kind.MESSAGES):
            raise ProtoMalformed(f"field {number} is repeated or out of order")
        last = number
        if wire != (0 if kind is Kind.UINT else 2):
            raise ProtoMalformed(f"field {number} has wire type {wire}")
        value, at = read_uvarint(data, at)
        if kind is Kind.UINT:
            if value == 0:
                raise ProtoMalformed(f"field {number} states its default")
            uints[number] = value
            continue
        if value > len(data) - at:
            raise ProtoMalformed(f"field {number} is cut off")
        if value == 0 and kind is Kind.BYTES:
            raise ProtoMalformed(f"field {number} states its default")
        found = chunks.setdefault(number, [])
        if len(found) == MAX_REPEATED:
            raise ProtoLimit(f"field {number} occurs more than {MAX_REPEATED} times")
        found.append(data[at : at + value])
        at += value
    return Message(uints, chunks)


def read_uvarint(data: bytes, at: int) -> tuple[int, int]:
    """Unsigned varint in its shortest form, below 2^64, and the position after it."""
    value = shift = 0
    for position in range(at, min(len(data), at + 10)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise ProtoMalformed("varint not in its shortest form")
            if value > _UINT64:
                raise ProtoMalformed("varint above 64 bits")
            return value, position + 1
        shift += 7
    raise ProtoMalformed("varint cut off or too long")


def uvarint(value: int) -> bytes:
    """Unsigned varint of 0 <= value < 2^64."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_uint(number: int, value: int) -> bytes:
    """Varint field; nothing for zero. A negative int64 is written in two's complement."""
    return uvarint(number << 3) + uvarint(value & _UINT64) if value else b""


def put_sfixed64(number: int, value: int) -> bytes:
    """Fixed 64-bit field, little-endian; nothing for zero."""
    return uvarint(number << 3 | 1) + value.to_bytes(8, "little", signed=True) if value else b""


def put_bytes(number: int, value: bytes) -> bytes:
    """Length-delimited scalar; nothing for the empty string."""
    return put_message(number, value) if value else b""


def put_message(number: int, body: bytes) -> bytes:
    """Embedded message, written even when its body is empty."""
    return uvarint(number << 3 | 2) + uvarint(len(body)) + body
