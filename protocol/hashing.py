"""Digests that every room shares: SHA-256, SM3, SHA3-256, Keccak-256, the Merkle hashes of RFC 9162 §2.1.1.

SM3 is GB/T 32905-2016. Keccak-256 has the pre-standard padding that Ethereum uses; it is not SHA3-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.keccak import implementation as keccak_implementation

HASH_LEN = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


class Hasher(Protocol):
    """The part of a hashlib object that this module uses."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def copy(self) -> Hasher: ...


class _CryptographySm3:
    """SM3 for an interpreter whose OpenSSL was built without it; `cryptography` brings its own."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives import hashes

        self._context = hashes.Hash(hashes.SM3())

    def update(self, data: bytes, /) -> None:
        self._context.update(data)

    def digest(self) -> bytes:
        return self._context.copy().finalize()

    def copy(self) -> _CryptographySm3:
        other = _CryptographySm3.__new__(_CryptographySm3)
        other._context = self._context.copy()
        return other


def new_sha256() -> Hasher:
    """A fresh streaming SHA-256."""
    return hashlib.sha256()


def new_sm3() -> Hasher:
    """A fresh streaming SM3."""
    try:
        return hashlib.new("sm3")
    except ValueError:
        return _CryptographySm3()


@dataclass(frozen=True, eq=False)
class HashAlg:
    """A hash function and its RFC 9162 tree hashes. Compare with `is`; the instances are below.

    `leaf_state` and `node_state` have absorbed the domain byte; copying them is faster than starting afresh.
    """

    name: str
    base: Hasher
    leaf_state: Hasher
    node_state: Hasher
    empty: bytes
    """Root of the tree without leaves: the digest of the empty string."""

    def digest(self, data: bytes) -> bytes:
        """Plain 32-byte digest of `data`."""
        h = self.base.copy()
        h.update(data)
        return h.digest()

    def leaf(self, data: bytes) -> bytes:
        """Leaf hash, H(0x00 || data)."""
        h = self.leaf_state.copy()
        h.update(data)
        return h.digest()

    def node(self, left: bytes, right: bytes) -> bytes:
        """Interior hash, H(0x01 || left || right)."""
        h = self.node_state.copy()
        h.update(left + right)
        return h.digest()

    def pairs(self, level: Sequence[bytes]) -> list[bytes]:
        """Interior hashes of (0,1), (2,3), …; an odd last element is left out."""
        copy = self.node_state.copy
        out: list[bytes] = []
        append = out.append
        nodes = iter(level)
        # The same iterator twice: zip takes two neighbours at a time without index arithmetic.
        for left, right in zip(nodes, nodes, strict=False):
            h = copy()
            h.update(left + right)
            append(h.digest())
        return out


def _with_prefix(base: Hasher, prefix: bytes) -> Hasher:
    h = base.copy()
    h.update(prefix)
    return h


def _alg(name: str, base: Hasher) -> HashAlg:
    return HashAlg(
        name, base, _with_prefix(base, LEAF_PREFIX), _with_prefix(base, NODE_PREFIX), base.digest()
    )


SHA256 = _alg("sha256", new_sha256())
SM3 = _alg("sm3", new_sm3())
SHA3_256 = _alg("sha3-256", hashlib.sha3_256())
"""Of hash renewals (docs/spec/hash-renewal.md)."""
ALGORITHMS: dict[str, HashAlg] = {SHA256.name: SHA256, SM3.name: SM3}
"""Those that protect entries from the first day."""


def new_sha3_256() -> Hasher:
    """A fresh streaming SHA3-256."""
    return hashlib.sha3_256()


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(data).digest()


def sm3(data: bytes) -> bytes:
    """SM3 (GB/T 32905-2016), 32 bytes."""
    return SM3.digest(data)


_keccak256 = keccak_implementation()


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as in the Ethereum yellow paper, 32 bytes."""
    return _keccak256(data)
