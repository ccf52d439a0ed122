"""Typed access to decoded CBOR and JSON: each function returns the value in the wanted shape or refuses.

`field` is the name in the specification; it travels to whoever sent the input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import accumulate

from protocol.cbor import Key, Value
from protocol.errors import LimitExceeded, MalformedInput, UnknownVersion

_HEX = re.compile(r"(?:[0-9a-f]{2})*")
# An unterminated string takes the rest: otherwise every quote in it would be tried as a beginning.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEP = [1 if byte in b"[{" else -1 for byte in range(256)]

MAX_NESTING = 64
"""Arrays and objects inside one another; our documents need fewer than ten."""

_CONTROL = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff]"
)

UINT32_MAX = 2**32 - 1
UINT40_MAX = 2**40 - 1
UINT53_MAX = 2**53 - 1
UINT64_MAX = 2**64 - 1


def uint(value: object, field: str, maximum: int = UINT64_MAX, *, minimum: int = 0) -> int:
    """An integer in [minimum, maximum]; true and false are not integers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedInput(f"{field}: an integer is expected", field=field)
    if not minimum <= value <= maximum:
        raise MalformedInput(f"{field}: {value} is not between {minimum} and {maximum}", field=field)
    return value


def version(value: object, known: int, field: str = "version") -> int:
    """The version this release knows.

    Raises:
        UnknownVersion: any other integer.
    """
    number = uint(value, field)
    if number != known:
        raise UnknownVersion(f"{field}: {number} is not known, only {known}", field=field)
    return number


def octets(value: object, field: str, size: int | None = None, *, maximum: int | None = None) -> bytes:
    """A byte string, of exactly `size` bytes if given, of at most `maximum` if given."""
    if not isinstance(value, bytes):
        raise MalformedInput(f"{field}: bytes are expected", field=field)
    if size is not None and len(value) != size:
        raise MalformedInput(f"{field}: {len(value)} bytes, {size} expected", field=field)
    if maximum is not None and len(value) > maximum:
        raise LimitExceeded(f"{field}: {len(value)} bytes, at most {maximum} allowed", field=field)
    return value


def octets_or_none(value: object, field: str, size: int) -> bytes | None:
    """Null, or a byte string of exactly `size` bytes."""
    return None if value is None else octets(value, field, size)


def text(value: object, field: str, maximum: int) -> str:
    """Text of 1 to `maximum` UTF-8 bytes without control characters."""
    if not isinstance(value, str):
        raise MalformedInput(f"{field}: text is expected", field=field)
    if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= maximum:
        raise MalformedInput(f"{field}: 1 to {maximum} bytes are expected", field=field)
    if has_control(value):
        raise MalformedInput(f"{field}: control characters are not allowed", field=field)
    return value


def has_control(value: str) -> bool:
    """Whether a text holds what no reader would see: controls, what reorders or hides text, lone surrogates.

    A fixed list (docs/spec/entry.md): what is *printable* differs from one version of Unicode to the next.
    """
    return _CONTROL.search(value) is not None


def array(
    value: object, field: str, length: int | None = None, *, minimum: int = 0, maximum: int | None = None
) -> tuple[Value, ...]:
    """An array of exactly `length` members, or of `minimum` to `maximum`."""
    if not isinstance(value, tuple):
        raise MalformedInput(f"{field}: an array is expected", field=field)
    if length is not None and len(value) != length:
        raise MalformedInput(f"{field}: {len(value)} members, {length} expected", field=field)
    if len(value) < minimum:
        raise MalformedInput(f"{field}: {len(value)} members, at least {minimum} expected", field=field)
    if maximum is not None and len(value) > maximum:
        raise LimitExceeded(f"{field}: {len(value)} members, at most {maximum} allowed", field=field)
    return value


def digests(value: object, field: str, maximum: int) -> tuple[bytes, ...]:
    """An array of at most `maximum` 32-byte strings."""
    return tuple(octets(member, field, 32) for member in array(value, field, maximum=maximum))


def fields(value: object, field: str, keys: Iterable[Key]) -> dict[Key, Value]:
    """A map with exactly the given keys."""
    if not isinstance(value, dict):
        raise MalformedInput(f"{field}: a map is expected", field=field)
    wanted = set(keys)
    if value.keys() != wanted:
        off = sorted(map(str, value.keys() ^ wanted))[:4]
        raise MalformedInput(f"{field}: missing or unknown keys: {', '.join(off)}", field=field)
    return value


def from_hex(value: object, field: str, size: int | None = None, *, maximum: int | None = None) -> bytes:
    """Bytes from lower-case hex without prefix."""
    if not isinstance(value, str) or _HEX.fullmatch(value) is None:
        raise MalformedInput(f"{field}: lower-case hex without prefix is expected", field=field)
    return octets(bytes.fromhex(value), field, size, maximum=maximum)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise MalformedInput("a JSON object names a member twice")
    return out


def _no_constant(name: str) -> object:
    raise MalformedInput(f"{name} is not JSON")


def json_object(data: bytes | str, field: str, keys: Iterable[str], *, max_bytes: int) -> dict[str, object]:
    """A JSON object with exactly the given members; a member named twice is refused."""
    return json_members(json_value(data, field, max_bytes=max_bytes), field, keys)


def nesting(data: bytes | str) -> int:
    """How deep arrays and objects are nested in JSON text, malformed text included.

    Asked before a recursive parser sees foreign text: that parser's own guard is the interpreter's recursion
    limit, which any library may raise to where the stack ends first.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if raw.count(b"[") + raw.count(b"{") <= MAX_NESTING:
        return 0
    brackets = _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def json_value(data: bytes | str, field: str, *, max_bytes: int) -> object:
    """Any JSON value, nested 64 deep at most; a member named twice, NaN and Infinity are refused."""
    if len(data) > max_bytes:
        raise LimitExceeded(f"{field}: {len(data)} bytes, at most {max_bytes} allowed", field=field)
    if nesting(data) > MAX_NESTING:
        raise MalformedInput(f"{field}: nested deeper than {MAX_NESTING}", field=field)
    try:
        value: object = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedInput(f"{field}: not JSON", field=field) from None
    return value


def json_members(value: object, field: str, keys: Iterable[str]) -> dict[str, object]:
    """An already parsed JSON object with exactly the given members."""
    if not isinstance(value, dict):
        raise MalformedInput(f"{field}: a JSON object is expected", field=field)
    wanted = set(keys)
    if value.keys() != wanted:
        off = sorted(map(str, value.keys() ^ wanted))[:4]
        raise MalformedInput(f"{field}: missing or unknown members: {', '.join(off)}", field=field)
    return value


def json_array(value: object, field: str, maximum: int) -> list[object]:
    """An already parsed JSON array of at most `maximum` members."""
    if not isinstance(value, list):
        raise MalformedInput(f"{field}: a JSON array is expected", field=field)
    if len(value) > maximum:
        raise LimitExceeded(f"{field}: {len(value)} members, at most {maximum} allowed", field=field)
    return value
