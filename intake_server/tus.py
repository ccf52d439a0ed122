"""Headers of tus 1.0.0 (docs/spec/intake.md): read from the wire, or refused. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from intake_server.errors import TusVersionUnsupported, UploadHeaderInvalid

VERSION = b"1.0.0"
EXTENSIONS = b"creation,expiration,checksum,termination"
MEDIA_TYPE = b"application/offset+octet-stream"
ALGORITHMS: dict[str, Callable[[], Any]] = {
    # The protocol wants SHA-1 of every server; it tells damage on the way, nothing more.
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
METADATA_KEYS = frozenset({"filename", "encoding", "sheet", "mapping", "rows", "sum", "asOf", "lang"})
MAX_METADATA = 4096
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")
_KEY = re.compile(r"[!-+\--~]{1,64}")
_OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})


class Headers:
    """Request headers; a header of the protocol that stands twice is refused, not chosen from."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._found: dict[bytes, list[bytes]] = {}
        for name, value in pairs:
            self._found.setdefault(name.lower(), []).append(value)

    def get(self, name: str) -> bytes | None:
        """Raises UploadHeaderInvalid where the header is repeated."""
        values = self._found.get(name.lower().encode(), [])
        if len(values) > 1:
            raise UploadHeaderInvalid(f"{name} stands {len(values)} times", field=name)
        return values[0].strip(b" \t") if values else None

    def version(self) -> None:
        """Raises TusVersionUnsupported."""
        if self.get("Tus-Resumable") != VERSION:
            raise TusVersionUnsupported("Tus-Resumable: 1.0.0 is expected", field="Tus-Resumable")

    def method(self, given: str) -> str:
        """The method, or the one that a POST stands for where nothing else passes a proxy."""
        override = self.get("X-HTTP-Method-Override")
        if override is None:
            return given
        name = override.decode("latin-1").upper()
        if given != "POST" or name not in _OVERRIDES:
            raise UploadHeaderInvalid(
                "POST may stand for PATCH, DELETE or HEAD", field="X-HTTP-Method-Override"
            )
        return name

    def number(self, name: str) -> int:
        """A whole number below 10^16, without sign or leading zero."""
        value = self.get(name)
        if value is None or _NUMBER.fullmatch(value) is None:
            raise UploadHeaderInvalid("a whole number is expected", field=name)
        return int(value)

    def content_length(self) -> int | None:
        return None if self.get("Content-Length") is None else self.number("Content-Length")

    def metadata(self) -> dict[str, str]:
        """`Upload-Metadata`: `key base64, key base64`; the keys that mean something here, no other."""
        value = self.get("Upload-Metadata")
        if value is None:
            return {}
        if len(value) > MAX_METADATA or not value.isascii():
            raise UploadHeaderInvalid(f"at most {MAX_METADATA} ASCII characters", field="Upload-Metadata")
        found: dict[str, str] = {}
        for pair in value.decode("ascii").split(",") if value else ():
            key, _, encoded = pair.strip(" ").partition(" ")
            if _KEY.fullmatch(key) is None or key in found:
                raise UploadHeaderInvalid("keys are ASCII, each once", field="Upload-Metadata")
            found[key] = _text(encoded)
        return {key: text for key, text in found.items() if key in METADATA_KEYS}

    def checksum(self) -> Checksum | None:
        """`Upload-Checksum: algorithm base64`."""
        value = self.get("Upload-Checksum")
        if value is None:
            return None
        name, _, encoded = value.partition(b" ")
        algorithm = ALGORITHMS.get(name.decode("latin-1"))
        if algorithm is None:
            raise UploadHeaderInvalid(f"one of {', '.join(ALGORITHMS)}", field="Upload-Checksum")
        digest = _base64(encoded, "Upload-Checksum")
        state = algorithm()
        if len(digest) != state.digest_size:
            raise UploadHeaderInvalid("not a digest of this algorithm", field="Upload-Checksum")
        return Checksum(state, digest)


@dataclass
class Checksum:
    """What a request's data must add up to."""

    state: Any
    expected: bytes

    def update(self, piece: bytes) -> None:
        self.state.update(piece)

    def holds(self) -> bool:
        return hmac.compare_digest(self.state.digest(), self.expected)


def _text(encoded: str) -> str:
    try:
        text = _base64(encoded.encode(), "Upload-Metadata").decode("utf-8")
    except UnicodeDecodeError:
        raise UploadHeaderInvalid("values are UTF-8", field="Upload-Metadata") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise UploadHeaderInvalid("a value has control characters", field="Upload-Metadata")
    return text


def _base64(encoded: bytes, name: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UploadHeaderInvalid("base64 is expected", field=name) from None
