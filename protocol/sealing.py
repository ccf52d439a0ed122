"""What every sealed box of the case room has in common (docs/spec/case.md §3). No I/O."""

from __future__ import annotations

from cryptography.hazmat.primitives import hpke

from protocol.errors import MalformedInput

PAD = 256
WRAPPED_LEN = 80


def hpke_suite() -> hpke.Suite:
    """X25519, HKDF-SHA256, AES-256-GCM."""
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def padded(inner: bytes, size: int = PAD) -> bytes:
    """Length (2 bytes), content, zeros up to the next multiple of `size`, so that a length says little."""
    plain = len(inner).to_bytes(2, "big") + inner
    return plain + bytes(-len(plain) % size)


def unpadded(plain: bytes, size: int = PAD) -> bytes:
    """The content. Raises MalformedInput unless the padding is exactly the specified one."""
    end = 2 + int.from_bytes(plain[:2], "big")
    if end > len(plain) or len(plain) % size or len(plain) - end >= size or any(plain[end:]):
        raise MalformedInput("the padding is not the specified one", field="padding")
    return plain[2:end]
