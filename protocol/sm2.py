"""SM2 signatures over submissions (docs/spec/attestation.md §3, kind `sm2`).

The curve arithmetic is gmalg's: an extra (`caseledger[sm2]`), pure Python and slow, imported when
it is needed.
Everything else here is a matter of bytes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, ClassVar

from protocol import expect
from protocol.acts import Act, Domain, Purpose
from protocol.errors import CaseledgerError

USER_ID = b"1234567812345678"
"""The user id that GB/T 32918 names where none is agreed on."""
PUBLIC_KEY_LEN = SIGNATURE_LEN = 64
MESSAGE_TAG = b"caseledger/sm2-submission/v1"
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_POINT = b"\x04"


class Sm2LibraryMissing(CaseledgerError):
    """gmalg is not installed."""

    http_status: ClassVar[int] = 501
    title: ClassVar[str] = "SM2 is not available here"


class Sm2SignatureInvalid(CaseledgerError):
    """Not a signature by this key over this message."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "the SM2 signature does not verify"


@dataclass(frozen=True)
class Sm2Key(Act):
    """The act key's word that this SM2 key, too, signed the submission; verifying contract EvidenceLog."""

    TYPE = "Sm2Key(bytes32 logId,uint32 organisation,bytes32 root,bytes32 x,bytes32 y)"
    PURPOSE = Purpose.ACT
    log_id: bytes
    organisation: int
    root: bytes
    x: bytes
    y: bytes


@dataclass(frozen=True)
class SignedRoots:
    """What the SM2 key signs: both roots over a submission's unsequenced leaves, and where they belong."""

    domain: Domain
    log_id: bytes
    organisation: int
    root_sha256: bytes
    root_sm3: bytes
    count: int
    valid_until: int

    def message(self) -> bytes:
        """The signed bytes."""
        return b"".join(
            (
                MESSAGE_TAG,
                self.domain.chain_id.to_bytes(8, "big"),
                expect.octets(self.domain.contract, "contract", 20),
                expect.octets(self.log_id, "log id", 32),
                self.organisation.to_bytes(4, "big"),
                expect.octets(self.root_sha256, "root", 32),
                expect.octets(self.root_sm3, "root", 32),
                self.count.to_bytes(4, "big"),
                self.valid_until.to_bytes(8, "big"),
            )
        )

    def statement(self, public_key: bytes) -> Sm2Key:
        """What the act key signs about `public_key` (64 bytes)."""
        expect.octets(public_key, "public key", PUBLIC_KEY_LEN)
        return Sm2Key(self.log_id, self.organisation, self.root_sha256, public_key[:32], public_key[32:])


def available() -> bool:
    """Whether SM2 can be computed here."""
    try:
        import gmalg  # noqa: F401
    except ImportError:
        return False
    return True


def _sm2(**arguments: Any) -> Any:
    try:
        from gmalg.sm2 import SM2
    except ImportError:
        raise Sm2LibraryMissing("gmalg is not installed", hint="pip install caseledger[sm2]") from None
    return SM2(uid=USER_ID, rnd_fn=secrets.randbits, **arguments)


def new_private() -> bytes:
    """A fresh private key, 32 bytes: 1 to n - 2."""
    return (1 + secrets.randbelow(ORDER - 2)).to_bytes(32, "big")


def public_of(private: bytes) -> bytes:
    """x and y of a private key's point, 64 bytes.

    Raises:
        MalformedInput: not from 1 to n - 2. Sm2LibraryMissing
    """
    scalar = int.from_bytes(expect.octets(private, "private", 32), "big")
    expect.uint(scalar, "private", ORDER - 2, minimum=1)
    point: bytes = _sm2().generate_pk(private)
    return point.removeprefix(_POINT)


def sign(private: bytes, message: bytes) -> bytes:
    """r and s, 64 bytes; randomised. Raises as `public_of`."""
    r, s = _sm2(sk=private, pk=_POINT + public_of(private)).sign(message)
    return bytes(r.rjust(32, b"\0") + s.rjust(32, b"\0"))


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check r ‖ s over a message, with the standard user id.

    Raises:
        Sm2SignatureInvalid, Sm2LibraryMissing
    """
    if len(public_key) != PUBLIC_KEY_LEN or len(signature) != SIGNATURE_LEN:
        raise Sm2SignatureInvalid("a key and a signature of 64 bytes each are expected", field="signature")
    library = _sm2()
    point = _POINT + public_key
    try:
        good = library.verify_pk(point) and _sm2(pk=point).verify(message, signature[:32], signature[32:])
    except Exception:  # the library raises its own errors for what is no point
        good = False
    if not good:
        raise Sm2SignatureInvalid(field="signature")
