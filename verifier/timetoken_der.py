"""Distinguished Encoding Rules (X.690 §8, §10, §11), as much as time tokens need: each value has exactly one
encoding, and there is no recursion, so that nesting costs an attacker more than it costs us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from verifier.timetoken_errors import DerMalformed

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, GENERALIZED_TIME, SEQUENCE, SET = 0x0C, 0x18, 0x30, 0x31
MAX_OID = 32
MAX_INTEGER = 64
"""Content bytes of an object identifier and of an integer."""
MAX_MEMBERS = 4096
"""Members of one value; a token has no room for more."""
MAX_DEPTH = 32
"""Levels of values below the outermost one."""
CONSTRUCTED = 0x20
_TIME = re.compile(rb"(\d{14})(?:\.(\d{0,8}[1-9]))?Z")


def context(number: int, *, constructed: bool = True) -> int:
    """The tag [number]."""
    return (0xA0 if constructed else 0x80) | number


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value: `data[start:end]` is all of it, `data[body:end]` the value."""

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def raw(self) -> bytes:
        """The whole encoding."""
        return self.data[self.start : self.end]

    @property
    def value(self) -> bytes:
        """The content bytes."""
        return self.data[self.body : self.end]

    def expect(self, tag: int) -> Element:
        """Itself, when it has this tag."""
        if self.tag != tag:
            raise DerMalformed(f"tag {self.tag:#04x} where {tag:#04x} is expected")
        return self

    def members(self, tag: int = SEQUENCE) -> Members:
        """The members of a constructed value."""
        return Members(self.data, self.expect(tag).body, self.end)

    def integer(self) -> int:
        """An INTEGER in its shortest form."""
        return integer(self.expect(INTEGER).value)

    def oid(self) -> str:
        """An OBJECT IDENTIFIER, dotted."""
        return oid_text(self.expect(OID).value)

    def octets(self) -> bytes:
        """An OCTET STRING."""
        return self.expect(OCTET_STRING).value

    def bits(self) -> bytes:
        """A BIT STRING of whole bytes, which keys and signatures are."""
        content = self.expect(BIT_STRING).value
        if content[:1] != b"\0":
            raise DerMalformed("a bit string of whole bytes is expected")
        return content[1:]

    def boolean(self) -> bool:
        """A BOOLEAN that is TRUE: DER leaves out a FALSE that is the default."""
        if self.expect(BOOLEAN).value != b"\xff":
            raise DerMalformed("a boolean is TRUE or left out")
        return True


class Members:
    """Reads the members of a constructed value one after another."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    @property
    def ended(self) -> bool:
        return self._at >= self._end

    def next(self, tag: int | None = None) -> Element:
        """The next member, which must be there, with this tag if one is given."""
        found = element(self._data, self._at, self._end)
        self._at = found.end
        return found if tag is None else found.expect(tag)

    def optional(self, tag: int) -> Element | None:
        """The next member if it has this tag."""
        if self.ended or self._data[self._at] != tag:
            return None
        return self.next()

    def finish(self) -> None:
        """Nothing is left."""
        if not self.ended:
            raise DerMalformed("a member too many")

    def rest(self, limit: int) -> list[Element]:
        """All that are left, at most `limit`."""
        found: list[Element] = []
        while not self.ended:
            if len(found) == limit:
                raise DerMalformed(f"more than {limit} members")
            found.append(self.next())
        return found


def element(data: bytes, at: int, limit: int) -> Element:
    """The value that starts at `at` and ends at or before `limit`."""
    if at + 2 > limit:
        raise DerMalformed("cut off")
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise DerMalformed("a tag above 30")
    if length >= 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4 or body + width > limit:
            raise DerMalformed("length indefinite, too wide or cut off")
        length = int.from_bytes(data[body : body + width], "big")
        if length < 0x80 or data[body] == 0:
            raise DerMalformed("length not in its shortest form")
        body += width
    if body + length > limit:
        raise DerMalformed("length beyond the end")
    return Element(data, tag, at, body, body + length)


def whole(data: bytes) -> Element:
    """The one value that `data` is; the caller compares `end` with the length when it wants to say more."""
    found = element(data, 0, len(data))
    if found.end != len(data):
        raise DerMalformed("bytes after the value")
    return found


def check_structure(root: Element) -> None:
    """Every constructed value below `root` consists of whole values, down to the leaves.

    Run before anything is interpreted, so that what is named first does not hang on who reads how far ahead.

    Raises:
        DerMalformed
    """
    found = [(root, 0)]
    while found:
        value, depth = found.pop()
        if depth > MAX_DEPTH:
            raise DerMalformed("nested too deeply")
        if value.tag & CONSTRUCTED:
            found.extend((one, depth + 1) for one in value.members(value.tag).rest(MAX_MEMBERS))


def integer(content: bytes) -> int:
    """Content bytes of an INTEGER: two's complement in its shortest form."""
    if not 1 <= len(content) <= MAX_INTEGER:
        raise DerMalformed(f"an integer has 1 to {MAX_INTEGER} bytes")
    if len(content) > 1 and content[0] in (0x00, 0xFF) and content[0] >> 7 == content[1] >> 7:
        raise DerMalformed("integer not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def oid_text(content: bytes) -> str:
    """Content bytes of an OBJECT IDENTIFIER as dotted text."""
    if not 1 <= len(content) <= MAX_OID or content[-1] & 0x80:
        raise DerMalformed("object identifier empty, too long or cut off")
    arcs: list[int] = []
    value, fresh = 0, True
    for byte in content:
        if fresh and byte == 0x80:
            raise DerMalformed("object identifier not in its shortest form")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def generalized_time(content: bytes) -> tuple[int, int]:
    """Content of a GeneralizedTime: UTC seconds and nanoseconds.

    `YYYYMMDDhhmmss[.f]Z`, no zero at the end of f.
    """
    match = _TIME.fullmatch(content)
    if match is None:
        raise DerMalformed("time not in its one form")
    digits = match[1]
    parts = (digits[:4], *(digits[at : at + 2] for at in range(4, 14, 2)))
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc,arg-type]  # six integers
    except ValueError:
        raise DerMalformed("no such time") from None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds, int((match[2] or b"").ljust(9, b"0"))


def is_sorted(elements: Iterable[Element]) -> bool:
    """Whether the members stand in the order of a SET OF, none twice (X.690 §11.6)."""
    raws = [one.raw for one in elements]
    return all(left < right for left, right in pairwise(raws))


# Writing


def encode(tag: int, *parts: bytes) -> bytes:
    """One value of these content bytes."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    width = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + length.to_bytes(width, "big") + content


def encode_integer(value: int) -> bytes:
    """INTEGER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def encode_oid(text: str) -> bytes:
    """OBJECT IDENTIFIER from dotted text.

    Raises:
        DerMalformed: text that is none.
    """
    try:
        first, second, *rest = map(int, text.split("."))
    except ValueError:
        raise DerMalformed("not an object identifier") from None
    if not 0 <= first <= 2 or second < 0 or (first < 2 and second > 39) or any(arc < 0 for arc in rest):
        raise DerMalformed("not an object identifier")
    out = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return encode(OID, bytes(out))


def encode_time(seconds: int, nanoseconds: int = 0) -> bytes:
    """GeneralizedTime of UTC seconds."""
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return encode(
        GENERALIZED_TIME, f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d%H%M%S}{fraction}Z".encode()
    )


def encode_set(members: Iterable[bytes], tag: int = SET) -> bytes:
    """SET OF, in its order."""
    return encode(tag, *sorted(members))
