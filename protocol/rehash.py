"""Hash renewal: what is hashed once more under SHA3-256, and what is stamped (docs/spec/hash-renewal.md).

Pure bytes: the operator's run, the holder's agent and the verifier build the same items.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from protocol import cbor, expect
from protocol.hashing import SHA3_256

ALGORITHM = 2
SCOPE_LOG, SCOPE_HOLDER = 0, 1
SUFFIX = "/sha3-256"
HOLDER_LINE = "holder rehash" + SUFFIX
VERSION = 1
ITEM_LEN = 130
_BODY, _CONTENT, _LISTED = 1, 2, 4
_ABSENT = bytes(32)


@dataclass(frozen=True, slots=True)
class Item:
    """What one receipt contributes to a tree: digests under SHA3-256, None where there is nothing."""

    bare_core: bytes
    body: bytes | None = None
    content: bytes | None = None
    listed: bytes | None = None

    def encode(self) -> bytes:
        """130 bytes."""
        flags = 0
        for bit, digest in ((_BODY, self.body), (_CONTENT, self.content), (_LISTED, self.listed)):
            flags |= bit if digest is not None else 0
        digests = (self.bare_core, *(one or _ABSENT for one in (self.body, self.content, self.listed)))
        return bytes((VERSION, flags)) + b"".join(expect.octets(one, "digest", 32) for one in digests)

    def leaf_hash(self) -> bytes:
        """RFC 9162 leaf hash, 32 bytes."""
        return SHA3_256.leaf(self.encode())


def listed_digest(attestations: Iterable[tuple[str, bytes]]) -> bytes | None:
    """Of (kind, payload) in their order; None for none."""
    each = [SHA3_256.digest(cbor.encode([kind, payload])) for kind, payload in attestations]
    return SHA3_256.digest(b"".join(each)) if each else None


def log_line(origin: str) -> str:
    """First line of the text over an operator's tree."""
    return origin + SUFFIX


def text(first_line: str, size: int, root: bytes) -> bytes:
    """What is signed by the log and stamped, three lines."""
    encoded = base64.b64encode(expect.octets(root, "root", 32)).decode("ascii")
    return f"{first_line}\n{size}\n{encoded}\n".encode("ascii")
