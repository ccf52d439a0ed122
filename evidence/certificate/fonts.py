"""The one font of the certificate, and which characters it has."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from evidence.certificate.errors import CertificateNotSet
from evidence.certificate.extra import need

FAMILY = "Noto Sans CJK SC"
_UNICODE = {(0, 3), (0, 4), (0, 6), (3, 1), (3, 10)}
KEPT = frozenset("\n\u200b")


def path() -> Path:
    """The font collection of the package `noto-cjk-sans-otc`.

    Raises:
        CertificateExtraMissing
    """
    return Path(str(need("noto_cjk_sans_otc").FONT_PATH))


@lru_cache(maxsize=1)
def covered() -> frozenset[int]:
    """Code points that every face of the collection has: their `cmap` tables (ISO/IEC 14496-22) are one.

    PDF/A refuses the box that a font shows for a character that it lacks.
    """
    data = path().read_bytes()
    if data[:4] != b"ttcf":
        raise CertificateNotSet("a font collection is expected")
    faces = struct.unpack_from(">I", data, 8)[0]
    points: frozenset[int] | None = None
    read: dict[int, frozenset[int]] = {}
    for at in struct.unpack_from(f">{faces}I", data, 12):
        start = _table(data, at, b"cmap")
        if start not in read:
            read[start] = _cmap(data, start)
        points = read[start] if points is None else points & read[start]
    return points or frozenset()


def _table(data: bytes, face: int, tag: bytes) -> int:
    for at in range(face + 12, face + 12 + 16 * struct.unpack_from(">H", data, face + 4)[0], 16):
        if data[at : at + 4] == tag:
            return int(struct.unpack_from(">I", data, at + 8)[0])
    raise CertificateNotSet(f"the font has no table {tag.decode()}")


def _cmap(data: bytes, start: int) -> frozenset[int]:
    found: set[int] = set()
    for n in range(struct.unpack_from(">H", data, start + 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHI", data, start + 4 + 8 * n)
        at = start + offset
        if (platform, encoding) in _UNICODE and struct.unpack_from(">H", data, at)[0] == 12:
            groups = struct.unpack_from(">I", data, at + 12)[0]
            for first, last, _ in struct.iter_unpack(">III", data[at + 16 : at + 16 + 12 * groups]):
                found.update(range(first, last + 1))
    return frozenset(found)


def representable(value: Any) -> Any:
    """The same JSON value with characters that the font lacks written as their numbers."""
    if isinstance(value, str):
        points = covered()
        if all(ord(one) in points or one in KEPT for one in value):
            return value
        return "".join(one if ord(one) in points or one in KEPT else f"[U+{ord(one):04X}]" for one in value)
    if isinstance(value, Mapping):
        return {key: representable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [representable(one) for one in value]
    return value
