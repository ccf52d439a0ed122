"""Deterministic CBOR: the subset of RFC 8949 §4.2.1 that every format of this project uses.

Unsigned integers, byte strings, text, arrays, maps, true, false and null; shortest lengths, definite lengths,
map keys (unsigned integers or text) strictly ascending by their encoded bytes. One value has one encoding, so
a decoder that accepts bytes has also proved that encoding the value gives the same bytes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from protocol.errors import LimitExceeded, MalformedInput

Key: TypeAlias = "int | str"
Value: TypeAlias = "int | bytes | str | bool | tuple[Value, ...] | dict[Key, Value] | None"
Encodable: TypeAlias = "int | bytes | str | bool | Sequence[Encodable] | Mapping[Key, Encodable] | None"

MAX_DEPTH = 16
MAX_ITEMS = 65_536
"""Default bound on data items in one document, counted over all levels."""

_UINT, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 2, 3, 4, 5, 7
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6


def _head(major: int, argument: int) -> bytes:
    lead = major << 5
    if argument < 24:
        return bytes((lead | argument,))
    if argument < 1 << 8:
        return bytes((lead | 24, argument))
    if argument < 1 << 16:
        return bytes((lead | 25,)) + argument.to_bytes(2, "big")
    if argument < 1 << 32:
        return bytes((lead | 26,)) + argument.to_bytes(4, "big")
    if argument < 1 << 64:
        return bytes((lead | 27,)) + argument.to_bytes(8, "big")
    raise MalformedInput("integer over 64 bits")


head = _head
"""Lead byte and argument of a data item; for callers that write a fixed shape themselves."""
UINT, BYTES, ARRAY = _UINT, _BYTES, _ARRAY


def encode(value: Encodable) -> bytes:
    """Deterministic encoding of `value`.

    Raises:
        MalformedInput: a type outside the subset, a negative integer or one over 64 bits.
    """
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: Encodable, out: list[bytes]) -> None:
    if isinstance(value, bytes):
        out.append(_head(_BYTES, len(value)))
        out.append(value)
    elif isinstance(value, bool):
        out.append(bytes((_TRUE if value else _FALSE,)))
    elif isinstance(value, int):
        if value < 0:
            raise MalformedInput("negative integers are not used")
        out.append(_head(_UINT, value))
    elif isinstance(value, str):
        try:
            text = value.encode("utf-8")
        except UnicodeEncodeError:
            raise MalformedInput("text is not Unicode") from None
        out.append(_head(_TEXT, len(text)))
        out.append(text)
    elif value is None:
        out.append(bytes((_NULL,)))
    elif isinstance(value, Mapping):
        out.append(_head(_MAP, len(value)))
        for key, member in sorted((_encode_key(k), v) for k, v in value.items()):
            out.append(key)
            _encode(member, out)
    elif isinstance(value, (list, tuple)):
        out.append(_head(_ARRAY, len(value)))
        for member in value:
            _encode(member, out)
    else:
        raise MalformedInput(f"type {type(value).__name__} has no encoding here")


def _encode_key(key: object) -> bytes:
    if isinstance(key, (int, str)) and not isinstance(key, bool):
        return encode(key)
    raise MalformedInput("a map key is neither integer nor text")


def decode(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> Value:
    """The one value that `data` encodes. Arrays come back as tuples.

    Work and memory are bounded by the limits: an announced length is compared with what is left before
    anything is built.

    Raises:
        LimitExceeded: more bytes, items or levels than allowed.
        MalformedInput: not deterministic CBOR of the subset, or bytes after the value.
    """
    if len(data) > max_bytes:
        raise LimitExceeded(f"{len(data)} bytes, at most {max_bytes} allowed")
    decoder = _Decoder(data, max_items)
    value = decoder.item(max_depth)
    if decoder.position != len(data):
        raise MalformedInput(f"bytes after the end of the value, at {decoder.position}")
    return value


class _Decoder:
    __slots__ = ("data", "items_left", "position")

    def __init__(self, data: bytes, max_items: int) -> None:
        self.data = data
        self.position = 0
        self.items_left = max_items

    def item(self, depth: int) -> Value:
        self.items_left -= 1
        if self.items_left < 0:
            raise LimitExceeded("too many items")
        at = self.position
        data = self.data
        if at >= len(data):
            raise MalformedInput("input ends early")
        lead = data[at]
        major, argument = lead >> 5, lead & 0x1F
        if major == _SIMPLE:
            self.position = at + 1
            if lead == _NULL:
                return None
            if lead in (_TRUE, _FALSE):
                return lead == _TRUE
            raise MalformedInput(f"simple value or float at {at}")
        if argument < 24:
            self.position = at + 1
        else:
            argument = self._long_argument(at, argument)
        if major == _UINT:
            return argument
        if major == _BYTES:
            return self._take(argument)
        if major == _TEXT:
            try:
                return self._take(argument).decode("utf-8")
            except UnicodeDecodeError:
                raise MalformedInput(f"text at {at} is not UTF-8") from None
        if major == _ARRAY:
            self._enter(argument, depth)
            return tuple([self.item(depth - 1) for _ in range(argument)])
        if major == _MAP:
            self._enter(2 * argument, depth)
            return self._map(argument, depth - 1)
        raise MalformedInput(f"negative integer or tag at {at}")

    def _long_argument(self, at: int, info: int) -> int:
        if info > 27:
            raise MalformedInput(f"indefinite or reserved length at {at}")
        width = 1 << (info - 24)
        end = at + 1 + width
        raw = self.data[at + 1 : end]
        if len(raw) != width:
            raise MalformedInput("input ends early")
        argument = int.from_bytes(raw, "big")
        if argument < 24 or (width > 1 and argument >> (4 * width) == 0):
            raise MalformedInput(f"length or integer at {at} is not in its shortest form")
        self.position = end
        return argument

    def _take(self, length: int) -> bytes:
        start = self.position
        end = start + length
        if end > len(self.data):
            raise MalformedInput("input ends early")
        self.position = end
        return self.data[start:end]

    def _enter(self, members: int, depth: int) -> None:
        if depth <= 0:
            raise LimitExceeded("nested too deeply")
        if members > len(self.data) - self.position:
            raise MalformedInput("input ends early")
        if members > self.items_left:
            raise LimitExceeded("too many items")

    def _map(self, pairs: int, depth: int) -> dict[Key, Value]:
        out: dict[Key, Value] = {}
        previous = b""
        for _ in range(pairs):
            start = self.position
            # By its first byte: what an array in a key's place holds is not looked at, however deep.
            if start < len(self.data) and self.data[start] >> 5 not in (_UINT, _TEXT):
                raise MalformedInput(f"map key at {start} is neither integer nor text")
            key = cast("Key", self.item(0))
            encoded = self.data[start : self.position]
            if encoded <= previous:
                raise MalformedInput(f"map keys not ascending at {start}")
            previous = encoded
            out[key] = self.item(depth)
        return out
