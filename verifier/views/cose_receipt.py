"""COSE Receipt of inclusion (RFC 9942, verifiable data structure 1, RFC9162_SHA256).

A COSE_Sign1 whose detached payload is the tree's root. The checkpoint signature of the receipt is over
another message, so the log signs once more, on request. What it signs for others cannot be taken for this: a
Sig_structure begins with the byte 0x84, a checkpoint with its origin and a promise with its tag, both ASCII.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest

from protocol import cbor
from protocol.checkpoint import TYPE_ED25519, key_id
from protocol.hashing import SHA256
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core
from verifier.views.errors import CoseReceiptMismatch, CoseSignatureInvalid, ViewNotPossible

SUFFIX = ".cose"
MEDIA_TYPE = "application/cose"
ALG, KID, CWT_CLAIMS, VDS, VDP = 1, 4, 15, 395, 396
ISSUER, SUBJECT = 1, 2
"""CWT claims (RFC 8392 §4), which RFC 9943 §6 wants in a receipt."""
RFC9162_SHA256 = 1
SIGNATURE_LEN = 64
_EDDSA = b"\x27"
"""-8; Ed25519 by the log key. Fully specified -19 (RFC 9864) is not read by the libraries of today."""
_INCLUSION = b"\x20"
"""-1, key of the inclusion proofs."""
_SIGN1 = b"\xd2\x84"
"""Tag 18 and an array of four."""


def _uint(value: int) -> bytes:
    return cbor.head(cbor.UINT, value)


def _bytes(value: bytes) -> bytes:
    return cbor.head(cbor.BYTES, len(value)) + value


def protected_header(core: Core, log_key: bytes) -> bytes:
    """Content of the protected bucket: algorithm, key id, issuer (the log), subject (evidence id)."""
    identity = key_id(core.log.origin, TYPE_ED25519, log_key)
    claims = cbor.encode({ISSUER: core.log.origin, SUBJECT: SHA256.leaf(core.leaf).hex()})
    members = (
        _uint(ALG), _EDDSA, _uint(KID), _bytes(identity), _uint(CWT_CLAIMS), claims, _uint(VDS),
        _uint(RFC9162_SHA256),
    )  # fmt: skip
    return b"\xa4" + b"".join(members)


def to_be_signed(core: Core, log_key: bytes) -> bytes:
    """Sig_structure (RFC 9052 §4.4) with the recomputed root as payload.

    Raises:
        MerkleProofLength and the like; CoseReceiptMismatch: the batch link holds another root.
    """
    path, index = core.inclusion.path_sha256, core.inclusion.index
    root = root_from_inclusion(SHA256, SHA256.leaf(core.leaf), index, core.link.size, path)
    if not compare_digest(root, core.link.root_sha256):
        raise CoseReceiptMismatch("the path does not lead to the batch's root", field="inclusion")
    return cbor.encode(["Signature1", protected_header(core, log_key), b"", root])


def cose_receipt(core: Core, log_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The receipt. `log_key` is the log's Ed25519 public key (32 bytes), `sign` signs with it.

    Raises:
        ViewNotPossible: a tree of one leaf, for which RFC 9942 §5.2 has no form (its path is never empty).
        CoseSignatureInvalid: `sign` is of another key.
    """
    if not core.inclusion.path_sha256:
        raise ViewNotPossible("a tree of one leaf has an empty path, which RFC 9942 does not allow")
    message = to_be_signed(core, log_key)
    signature = sign(message)
    _check(log_key, signature, message)
    return _assemble(core, log_key, signature)


def verify_cose_receipt(data: bytes, core: Core, log_key: bytes) -> None:
    """`data` is the COSE Receipt of this core, signed by the log key.

    Raises:
        CoseReceiptMismatch, CoseSignatureInvalid
    """
    signature = data[-SIGNATURE_LEN:]
    if not compare_digest(data, _assemble(core, log_key, signature)):
        raise CoseReceiptMismatch("other bytes than this receipt's")
    _check(log_key, signature, to_be_signed(core, log_key))


def _assemble(core: Core, log_key: bytes, signature: bytes) -> bytes:
    proof = cbor.encode([core.link.size, core.inclusion.index, core.inclusion.path_sha256])
    proofs = b"\xa1" + _INCLUSION + cbor.encode([proof])
    return b"".join(
        (
            _SIGN1,
            _bytes(protected_header(core, log_key)),
            b"\xa1",
            _uint(VDP),
            proofs,
            cbor.encode(None),
            _bytes(signature),
        )
    )


def _check(log_key: bytes, signature: bytes, message: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(log_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise CoseSignatureInvalid(field="signature") from None
