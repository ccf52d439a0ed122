"""Trust file: reading, writing, signatures (docs/spec/trust.md). Succession: `succession`."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import cbor, expect
from protocol.cbor import Value
from protocol.errors import MalformedInput, UnknownVersion
from protocol.hashing import sha256
from verifier import trust_parse
from verifier.errors import MalformedTrustFile, TrustQuorumMissing, TrustSignatureInvalid
from verifier.trust_payload import TrustPayload

MAGIC = "caseledger-trust"
VERSION = 1
"""Of the frame around the payload, which has a version of its own."""
TAG = b"caseledger/trust/v1"
SUFFIX = ".cltrust"
MAX_TRUST = 2**20


@dataclass(frozen=True, slots=True)
class TrustFile:
    """A trust file. Signatures are (key position, 64 bytes) in ascending position; maybe too few."""

    payload: TrustPayload
    payload_bytes: bytes
    signatures: tuple[tuple[int, bytes], ...]

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the payload, 32 bytes: what a person compares."""
        return sha256(self.payload_bytes)

    @property
    def message(self) -> bytes:
        """The bytes that every trust key signs."""
        return TAG + self.payload_bytes

    def encode(self) -> bytes:
        """The file's bytes."""
        return cbor.encode([MAGIC, VERSION, self.payload_bytes, self.signatures])

    def with_signature(self, public_key: bytes, signature: bytes) -> TrustFile:
        """A copy that carries one more signature.

        Raises:
            TrustSignatureInvalid: the key is not named in the file, or the signature is wrong.
        """
        for position, key in enumerate(self.payload.keys):
            if key.public_key == public_key:
                merged = {**dict(self.signatures), position: signature}
                out = TrustFile(self.payload, self.payload_bytes, tuple(sorted(merged.items())))
                out.check_signatures()
                return out
        raise TrustSignatureInvalid("the trust file does not name this key", field="key")

    @classmethod
    def draft(cls, payload: TrustPayload) -> TrustFile:
        """A trust file that nobody has signed yet.

        Raises:
            MalformedTrustFile: a rule of the specification is broken.
        """
        data = payload.encode()
        return cls(trust_parse.parse(data), data, ())

    @classmethod
    def parse(cls, data: bytes) -> TrustFile:
        """From the file's bytes; signatures are not checked yet.

        Raises:
            MalformedTrustFile: not a trust file of this version.
            UnknownVersion: one that a newer verifier may understand.
        """
        try:
            value = cbor.decode(data, max_bytes=MAX_TRUST, max_depth=4, max_items=256)
            members = expect.array(value, "trust file", minimum=2)
            if members[0] != MAGIC:
                raise MalformedTrustFile("not a trust file")
            expect.version(members[1], VERSION, "trust file")
            expect.array(value, "trust file", 4)
            payload = expect.octets(members[2], "payload")
            parsed = trust_parse.parse(payload)
            out = cls(parsed, payload, _signatures(members[3], len(parsed.keys)))
        except (MalformedTrustFile, UnknownVersion):
            raise
        except MalformedInput as error:
            raise MalformedTrustFile(f"{error.code}: {error.detail}", field=error.field) from error
        if out.encode() != data:
            raise MalformedTrustFile("the file is not what its members encode to")
        return out

    def check_signatures(self) -> tuple[int, ...]:
        """Positions of the keys that signed. Every signature that is present must be good.

        Raises:
            TrustSignatureInvalid
        """
        for position, signature in self.signatures:
            key = self.payload.keys[position]
            try:
                Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, self.message)
            except (InvalidSignature, ValueError):
                raise TrustSignatureInvalid(f"key {position}, {key.role}", field="signatures") from None
        return tuple(position for position, _ in self.signatures)

    def check(self) -> None:
        """Signatures by a quorum of the file's own keys.

        Raises:
            TrustSignatureInvalid, TrustQuorumMissing
        """
        signed = self.check_signatures()
        if not self.payload.is_quorum(signed):
            raise TrustQuorumMissing(
                f"{len(signed)} signatures; {self.payload.threshold} are needed, of two roles, "
                "a court or a regulator among them",
                field="signatures",
            )


def _signatures(value: Value, keys: int) -> tuple[tuple[int, bytes], ...]:
    out: list[tuple[int, bytes]] = []
    for member in expect.array(value, "signatures", maximum=trust_parse.MAX_KEYS):
        position, signature = expect.array(member, "signatures", 2)
        lowest = out[-1][0] + 1 if out else 0
        out.append(
            (
                expect.uint(position, "signatures", keys - 1, minimum=lowest),
                expect.octets(signature, "signatures", 64),
            )
        )
    return tuple(out)
