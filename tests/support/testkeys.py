"""Keys that follow from organisation and purpose: for tests that make their own consortium."""

from __future__ import annotations

from coincurve import PrivateKey

from protocol.hashing import keccak256


def private_key(purpose: int, organisation: int) -> PrivateKey:
    return PrivateKey((purpose << 32 | organisation).to_bytes(32, "big"))


def address_of(key: PrivateKey) -> bytes:
    return keccak256(key.public_key.format(compressed=False)[1:])[-20:]


def signature(key: PrivateKey, digest: bytes) -> bytes:
    raw = key.sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes([27 + raw[64]])
