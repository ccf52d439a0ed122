"""What goes to a time authority and what comes back (RFC 3161 §2.4): DER, both ways."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.timetoken import TimeToken
from verifier.timetoken_cms import (
    DIGEST_SIZES,
    IMPRINT_OIDS,
    MAX_NONCE_BITS,
    MAX_TOKEN,
    imprint_name,
)
from verifier.timetoken_der import (
    BIT_STRING,
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Members,
    encode,
    encode_integer,
    encode_oid,
    whole,
)
from verifier.timetoken_errors import (
    DerMalformed,
    TimeAnswerMalformed,
    TimeRequestRefused,
    TokenMalformed,
    TokenNonceMismatch,
    TokenPolicyNotAccepted,
)

REQUEST_TYPE = "application/timestamp-query"
ANSWER_TYPE = "application/timestamp-reply"
MAX_REQUEST = 512
MAX_ANSWER = MAX_TOKEN + 1024
GRANTED, REJECTION = 0, 2
FAILURES = {
    0: "badAlg", 2: "badRequest", 5: "badDataFormat", 14: "timeNotAvailable", 15: "unacceptedPolicy",
    16: "unacceptedExtension", 17: "addInfoNotAvailable", 25: "systemFailure",
}  # fmt: skip
"""Bits of PKIFailureInfo."""


@dataclass(frozen=True, slots=True)
class TimeRequest:
    """A TimeStampReq over "sha256", "sm3" or "sha3-256"; the signer's certificate is asked for by default."""

    algorithm: str
    imprint: bytes
    nonce: int | None
    policy: str | None = None
    certificates: bool = True

    def encode(self) -> bytes:
        """DER."""
        parts = [encode_integer(1), imprint(self.algorithm, self.imprint)]
        if self.policy is not None:
            parts.append(encode_oid(self.policy))
        if self.nonce is not None:
            parts.append(encode_integer(self.nonce))
        if self.certificates:
            parts.append(encode(BOOLEAN, b"\xff"))
        return encode(SEQUENCE, *parts)

    @classmethod
    def parse(cls, data: bytes) -> TimeRequest:
        """Strict.

        Raises:
            TokenMalformed; TokenAlgorithmWeak, TokenAlgorithmUnknown for another digest
        """
        if len(data) > MAX_REQUEST:
            raise TokenMalformed(f"request of {len(data)} bytes")
        try:
            members = whole(data).members()
            if members.next(INTEGER).integer() != 1:
                raise TokenMalformed("request of another version")
            parts = members.next(SEQUENCE).members()
            algorithm = imprint_name(parts.next(SEQUENCE), IMPRINT_OIDS)
            digest = parts.next(OCTET_STRING).octets()
            parts.finish()
            policy = members.optional(OID)
            nonce = members.optional(INTEGER)
            wanted = members.optional(BOOLEAN)
            members.finish()
            request = cls(
                algorithm,
                digest,
                None if nonce is None else nonce.integer(),
                None if policy is None else policy.oid(),
                wanted is not None and wanted.boolean(),
            )
        except DerMalformed as error:
            raise TokenMalformed(error.detail) from None
        if len(digest) != DIGEST_SIZES[algorithm]:
            raise TokenMalformed("imprint of another length")
        if request.nonce is not None and request.nonce.bit_length() > MAX_NONCE_BITS:
            raise TokenMalformed("nonce too long")
        return request

    def check(self, token: TimeToken) -> None:
        """The token is the answer to this request; its imprint was verified with the token.

        Raises:
            TokenNonceMismatch, TokenPolicyNotAccepted
        """
        if self.nonce is not None and token.nonce != self.nonce:
            raise TokenNonceMismatch("the nonce is missing" if token.nonce is None else "another nonce")
        if self.policy is not None and token.policy != self.policy:
            raise TokenPolicyNotAccepted(f"asked for {self.policy}, got {token.policy}")


def imprint(algorithm: str, digest: bytes) -> bytes:
    """A MessageImprint."""
    if algorithm not in IMPRINT_OIDS:
        raise TokenMalformed(f"imprint with {algorithm}")
    name = encode(SEQUENCE, encode_oid(IMPRINT_OIDS[algorithm]))
    return encode(SEQUENCE, name, encode(OCTET_STRING, digest))


def granted(token: bytes) -> bytes:
    """A TimeStampResp with a token."""
    return encode(SEQUENCE, encode(SEQUENCE, encode_integer(GRANTED)), token)


def refused(failure: int) -> bytes:
    """A TimeStampResp with a bit of `FAILURES` instead."""
    bits = bytearray(failure // 8 + 1)
    bits[-1] = 0x80 >> failure % 8
    info = encode(BIT_STRING, bytes([7 - failure % 8]), bytes(bits))
    return encode(SEQUENCE, encode(SEQUENCE, encode_integer(REJECTION), info))


def token_of(answer: bytes) -> bytes:
    """The token in a TimeStampResp.

    Raises:
        TimeRequestRefused: with the names of the failures, never the authority's words
        TimeAnswerMalformed
    """
    if len(answer) > MAX_ANSWER:
        raise TimeAnswerMalformed(f"{len(answer)} bytes, at most {MAX_ANSWER}")
    try:
        members = whole(answer).members()
        status = members.next(SEQUENCE).members()
        code = status.next(INTEGER).integer()
        if code != GRANTED:
            raise TimeRequestRefused(f"status {code}{_failures(status)}")
        token = members.next(SEQUENCE).raw
        members.finish()
    except DerMalformed as error:
        raise TimeAnswerMalformed(error.detail) from None
    return token


def _failures(status: Members) -> str:
    status.optional(SEQUENCE)
    found = status.optional(BIT_STRING)
    if found is None or len(found.value) < 2:
        return ""
    bits = found.value[1:]
    names = [
        name for bit, name in FAILURES.items() if bit // 8 < len(bits) and bits[bit // 8] >> (7 - bit % 8) & 1
    ]
    return "".join(f" {name}" for name in names)
