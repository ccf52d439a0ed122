"""Seals of Ethereum block headers: 65-byte recoverable secp256k1 signatures in their one canonical form."""

from __future__ import annotations

from coincurve import PublicKey

from protocol.hashing import keccak256

LENGTH = 65
_HALF_N = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def canonical(seal: bytes) -> bool:
    """Whether a seal is r ‖ s ‖ recovery id (0 or 1) with s in the lower half."""
    return len(seal) == LENGTH and seal[64] <= 1 and int.from_bytes(seal[32:64], "big") <= _HALF_N


def recover(digest: bytes, seal: bytes) -> bytes | None:
    """Address that made a canonical seal over a 32-byte digest; None when it recovers to no key."""
    try:
        key = PublicKey.from_signature_and_message(seal, digest, hasher=None)
    except Exception:  # coincurve raises bare Exception for an unrecoverable signature
        return None
    return keccak256(key.format(compressed=False)[1:])[12:]
