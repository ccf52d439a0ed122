"""JSON that can be read in one way only (RFC 8259, I-JSON), and typed access that leaves no field unread.

Refused: duplicate names, floats, NaN and infinities, integers of more than 20 digits, deep nesting,
booleans where a number belongs, hex in mixed case, base64 that is not its own canonical form.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import NoReturn, TypeAlias

from protocol.expect import MAX_NESTING, nesting
from protocol.hashing import keccak256
from verifier.errors import (
    FieldInvalid,
    FieldMissing,
    FieldUnknown,
    JsonDuplicateKey,
    JsonLimit,
    JsonMalformed,
)

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

MAX_BYTES = 4 << 20
MAX_ELEMENTS = 1024
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-f]{2})*|(?:[0-9A-F]{2})*)")
_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise JsonLimit("integer of more than 20 digits, or a negative zero")
    return int(text)


def _no_float(text: str) -> NoReturn:
    raise JsonMalformed("numbers are integers here")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise JsonDuplicateKey()
    return out


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_no_float,
    parse_constant=_no_float,
    strict=True,
)


def loads(data: bytes) -> Json:
    """Parse UTF-8 JSON strictly; at most 4 MiB."""
    if len(data) > MAX_BYTES:
        raise JsonLimit(f"more than {MAX_BYTES} bytes")
    if nesting(data) > MAX_NESTING:
        raise JsonLimit(f"nested deeper than {MAX_NESTING}")
    try:
        text = data.decode("utf-8")
        value: Json = _DECODER.decode(text)
        _check_arrays(value)
    except UnicodeDecodeError as error:
        raise JsonMalformed("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise JsonMalformed(f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonLimit("nested too deep") from error
    return value


def _check_arrays(value: Json) -> None:
    """Every array, also one in a field that is ignored: what is refused does not hang on who reads it."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, list):
            if len(item) > MAX_ELEMENTS:
                raise JsonLimit(f"an array of more than {MAX_ELEMENTS} elements")
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item.values())


def parse_hex(text: str, length: int | None = None) -> bytes:
    """Bytes of hex with or without 0x, in one case throughout; ValueError otherwise."""
    match = _HEX.fullmatch(text)
    if match is None or (length is not None and len(match.group(1)) != 2 * length):
        raise ValueError("hex" if length is None else f"{length} bytes of hex")
    return bytes.fromhex(match.group(1))


class Fields:
    """One JSON object being read. Every getter names the field in its error; `done` refuses what was not
    read.
    """

    def __init__(self, value: Json, path: str = "") -> None:
        if not isinstance(value, dict):
            raise FieldInvalid("an object is expected", field=path or None)
        self._value = value
        self._path = path
        self._left = set(value)

    def name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        return key in self._value

    def skip(self, *keys: str) -> None:
        """Mark fields that say nothing about the proof."""
        self._left.difference_update(keys)

    def skip_unknown(self) -> None:
        """Mark every remaining field as a comment."""
        self._left.clear()

    def done(self) -> None:
        if self._left:
            raise FieldUnknown("not part of this form", field=self.name(min(self._left)[:40]))

    def invalid(self, key: str, expected: str) -> FieldInvalid:
        return FieldInvalid(f"expected {expected}", field=self.name(key))

    def raw(self, key: str) -> Json:
        if key not in self._value:
            raise FieldMissing(field=self.name(key))
        self._left.discard(key)
        return self._value[key]

    def integer(self, key: str) -> int:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.invalid(key, "an integer")
        return value

    def text(self, key: str) -> str:
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.invalid(key, "a string")
        return value

    def decimal(self, key: str) -> int:
        """Integer written as a decimal string, as CometBFT's RPC writes 64-bit numbers."""
        value = self.text(key)
        if not _DECIMAL.fullmatch(value):
            raise self.invalid(key, "a decimal string")
        return int(value)

    def quantity(self, key: str) -> int:
        """Ethereum RPC quantity: 0x without leading zeros."""
        value = self.text(key)
        if not _QUANTITY.fullmatch(value):
            raise self.invalid(key, "a 0x quantity without leading zeros")
        return int(value, 16)

    def hex(self, key: str, length: int | None = None, *, upper: bool | None = False) -> bytes:
        """Hex with or without 0x. `upper` True or False fixes the case of the digits, None takes either."""
        value = self.text(key)
        digits = value.removeprefix("0x")
        try:
            out = parse_hex(value, length)
        except ValueError as error:
            raise self.invalid(key, str(error)) from error
        if upper is not None and digits != (digits.upper() if upper else digits.lower()):
            raise self.invalid(key, "upper-case hex" if upper else "lower-case hex")
        return out

    def address(self, key: str) -> bytes:
        """20-byte address in lower case or with its EIP-55 checksum."""
        value = self.text(key)
        out = address_bytes(value)
        if out is None:
            raise self.invalid(key, "an address, lower case or with a right EIP-55 checksum")
        return out

    def base64(self, key: str) -> bytes:
        out = base64_bytes(self.text(key))
        if out is None:
            raise self.invalid(key, "canonical base64")
        return out

    def child(self, key: str) -> Fields:
        return Fields(self.raw(key), self.name(key))

    def items(self, key: str, limit: int = MAX_ELEMENTS) -> list[Json]:
        value = self.raw(key)
        if not isinstance(value, list):
            raise self.invalid(key, "an array")
        if len(value) > limit:
            raise JsonLimit(f"more than {limit} elements", field=self.name(key))
        return value

    def children(self, key: str, limit: int = MAX_ELEMENTS) -> list[Fields]:
        return [Fields(v, f"{self.name(key)}[{i}]") for i, v in enumerate(self.items(key, limit))]

    def texts(self, key: str, limit: int = MAX_ELEMENTS) -> list[str]:
        values = self.items(key, limit)
        out = [value for value in values if isinstance(value, str)]
        if len(out) != len(values):
            raise self.invalid(key, "an array of strings")
        return out

    def hexes(self, key: str, length: int | None = None, *, upper: bool | None = False) -> list[bytes]:
        values = {str(i): text for i, text in enumerate(self.texts(key))}
        reader = Fields(dict(values), self.name(key))
        return [reader.hex(i, length, upper=upper) for i in values]

    def addresses(self, key: str) -> list[bytes]:
        out = [address_bytes(text) for text in self.texts(key)]
        found = [address for address in out if address is not None]
        if len(found) != len(out):
            raise self.invalid(key, "addresses, lower case or with a right EIP-55 checksum")
        return found


def address_bytes(text: str) -> bytes | None:
    """Address bytes, or None when the text is not one or carries a wrong EIP-55 checksum."""
    digits = text.removeprefix("0x")
    if not re.fullmatch(r"[0-9a-fA-F]{40}", digits):
        return None
    lower = digits.lower()
    if digits not in (lower, eip55(lower)):
        return None
    return bytes.fromhex(lower)


def eip55(lower: str) -> str:
    """Checksum case of 40 lower-case hex digits."""
    digest = keccak256(lower.encode()).hex()
    return "".join(c.upper() if int(d, 16) >= 8 else c for c, d in zip(lower, digest, strict=False))


def base64_bytes(text: str) -> bytes | None:
    """Bytes of canonical padded base64, or None."""
    try:
        out = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return out if base64.b64encode(out).decode() == text else None
