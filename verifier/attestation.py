"""Attestations as a receipt carries them (docs/spec/attestation.md §2, §3): reading and writing.

What they claim is checked by `attested`. A kind or payload version that is not known here is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, TypeAlias

from protocol import cbor, expect, rehash
from protocol.cbor import Encodable, Value
from protocol.checkpoint import KEY_ID_LEN, MAX_TIME, SIGNATURE_LEN, TYPE_COSIGNATURE, TYPE_MLDSA44
from protocol.errors import MalformedInput
from verifier import chainproof
from verifier.chainproof import ChainProof
from verifier.errors import MalformedAttestation, UnknownProofKind
from verifier.receipt import MAX_ATTESTATIONS, MAX_PATH, MAX_RECEIPT, MAX_TREE, Attestation

VERSION = 1
MAX_COSIGNATURES = 32
MAX_TOKEN = 32_768
MAX_CERTIFICATES = 16
MAX_REVOCATION = 16
MAX_REHASH_TOKENS = 8
_COSIGNATURE_LENGTHS = (SIGNATURE_LEN[TYPE_COSIGNATURE], SIGNATURE_LEN[TYPE_MLDSA44])


@dataclass(frozen=True, slots=True)
class Where:
    """The leaf's inclusion path in a tree of `size` leaves, larger than that of the batch link."""

    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One witness's signature. `time` in seconds UTC; the key id is 4 bytes."""

    key_id: bytes
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class WitnessAttestation:
    """Cosignatures over the checkpoint of one tree (`algorithm` 0 SHA-256, 1 SM3), key ids ascending."""

    kind: ClassVar[str] = "witness"
    algorithm: int
    where: Where | None
    log_signature: bytes
    cosignatures: tuple[Cosignature, ...]

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        signed: list[Encodable] = [[one.key_id, one.time, one.signature] for one in self.cosignatures]
        return _pack(self.kind, [self.algorithm, _encode_where(self.where), self.log_signature, signed])

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> WitnessAttestation:
        _, algorithm, where, log_signature, cosignatures = expect.array(members, cls.kind, 5)
        listed = expect.array(cosignatures, "cosignatures", minimum=1, maximum=MAX_COSIGNATURES)
        signed = tuple(map(_cosignature, listed))
        if any(one.key_id >= two.key_id for one, two in pairwise(signed)):
            raise MalformedAttestation("key ids ascend, none twice", field="cosignatures")
        return cls(
            expect.uint(algorithm, "algorithm", 1),
            _where(where),
            expect.octets(log_signature, "log signature", 64),
            signed,
        )


@dataclass(frozen=True, slots=True)
class TokenAttestation:
    """An RFC 3161 token over a checkpoint's text, with what its check needs; all in DER."""

    kind: ClassVar[str] = "rfc3161"
    algorithm: int
    where: Where | None
    token: bytes
    certificates: tuple[bytes, ...] = ()
    revocation: tuple[bytes, ...] = ()

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        where = _encode_where(self.where)
        return _pack(self.kind, [self.algorithm, where, self.token, self.certificates, self.revocation])

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> TokenAttestation:
        _, algorithm, where, token, certificates, revocation = expect.array(members, cls.kind, 6)
        return cls(
            expect.uint(algorithm, "algorithm", 1),
            _where(where),
            *_stamped(token, certificates, revocation),
        )


@dataclass(frozen=True, slots=True)
class RenewalAttestation:
    """A token over earlier attestations of the same receipt, named by their places from 0."""

    kind: ClassVar[str] = "renewal"
    positions: tuple[int, ...]
    token: bytes
    certificates: tuple[bytes, ...] = ()
    revocation: tuple[bytes, ...] = ()

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        return _pack(self.kind, [self.positions, self.token, self.certificates, self.revocation])

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> RenewalAttestation:
        _, positions, token, certificates, revocation = expect.array(members, cls.kind, 5)
        return cls(_positions(positions, position, minimum=1), *_stamped(token, certificates, revocation))


@dataclass(frozen=True, slots=True)
class ChainAttestation:
    """The slots of the core, proved again in a later block."""

    kind: ClassVar[str] = "chain"
    proof: ChainProof

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        return _pack(self.kind, [self.proof.encode()])

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> ChainAttestation:
        _, proof = expect.array(members, cls.kind, 2)
        return cls(chainproof.parse(proof))


@dataclass(frozen=True, slots=True)
class Sm2Attestation:
    """The submission's roots signed by an SM2 key; `statement`: by the act key, which names that key."""

    kind: ClassVar[str] = "sm2"
    public_key: bytes
    statement: bytes
    signature: bytes
    path_sm3: tuple[bytes, ...]

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        return _pack(self.kind, [self.public_key, self.statement, self.signature, self.path_sm3])

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> Sm2Attestation:
        _, public_key, statement, signature, path = expect.array(members, cls.kind, 5)
        return cls(
            expect.octets(public_key, "public key", 64),
            expect.octets(statement, "statement", 65),
            expect.octets(signature, "signature", 64),
            expect.digests(path, "path", MAX_PATH),
        )


@dataclass(frozen=True, slots=True)
class Stamped:
    """One token of a hash renewal, with what its check needs; all in DER."""

    token: bytes
    certificates: tuple[bytes, ...] = ()
    revocation: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class RehashAttestation:
    """A hash renewal (docs/spec/hash-renewal.md §2): the receipt's item in a tree under SHA3-256, and tokens
    over that tree. `listed`: places of the attestations that the item covers.
    """

    kind: ClassVar[str] = "rehash"
    scope: int
    size: int
    position: int
    path: tuple[bytes, ...]
    body: bytes | None
    content: bytes | None
    listed: tuple[int, ...]
    log_signature: bytes | None
    tokens: tuple[Stamped, ...]

    def encode(self) -> Attestation:
        """As the receipt lists it."""
        tokens: list[Encodable] = [[one.token, one.certificates, one.revocation] for one in self.tokens]
        return _pack(
            self.kind,
            [
                rehash.ALGORITHM, self.scope, self.size, self.position, self.path, self.body, self.content,
                self.listed, self.log_signature, tokens,
            ],
        )  # fmt: skip

    @classmethod
    def parse(cls, members: Sequence[Value], position: int) -> RehashAttestation:
        _, algorithm, scope, size, place, path, body, content, listed, signature, tokens = expect.array(
            members, cls.kind, 11
        )
        expect.uint(algorithm, "algorithm", rehash.ALGORITHM, minimum=rehash.ALGORITHM)
        size = expect.uint(size, "size", MAX_TREE, minimum=1)
        out = cls(
            expect.uint(scope, "scope", rehash.SCOPE_HOLDER),
            size,
            expect.uint(place, "position", size - 1),
            expect.digests(path, "path", MAX_PATH),
            expect.octets_or_none(body, "body digest", 32),
            expect.octets_or_none(content, "content digest", 32),
            _positions(listed, position),
            expect.octets_or_none(signature, "log signature", 64),
            tuple(
                Stamped(*_stamped(*expect.array(one, "tokens", 3)))
                for one in expect.array(tokens, "tokens", minimum=1, maximum=MAX_REHASH_TOKENS)
            ),
        )
        if out.scope == rehash.SCOPE_LOG and (out.content is not None or out.listed):
            raise MalformedAttestation("the operator has no content and lists nothing", field="rehash")
        if (out.scope == rehash.SCOPE_LOG) != (out.log_signature is not None):
            raise MalformedAttestation("the log signs its own tree, and only that", field="log signature")
        return out


Known: TypeAlias = (
    "WitnessAttestation | TokenAttestation | RenewalAttestation | ChainAttestation | Sm2Attestation"
    " | RehashAttestation"
)
_KINDS: dict[
    str,
    type[WitnessAttestation]
    | type[TokenAttestation]
    | type[RenewalAttestation]
    | type[ChainAttestation]
    | type[Sm2Attestation]
    | type[RehashAttestation],
] = {
    one.kind: one
    for one in (
        WitnessAttestation,
        TokenAttestation,
        RenewalAttestation,
        ChainAttestation,
        Sm2Attestation,
        RehashAttestation,
    )
}


def parse(attestation: Attestation, position: int) -> Known | None:
    """One attestation; `position` is its place in the receipt. None for a kind or version not known here.

    Raises:
        MalformedAttestation: a known kind in another form than its one.
    """
    kind = _KINDS.get(attestation.kind)
    if kind is None:
        return None
    try:
        value = cbor.decode(attestation.payload, max_bytes=MAX_RECEIPT, max_depth=7, max_items=4096)
        members = expect.array(value, attestation.kind, minimum=1)
        if expect.uint(members[0], "version") != VERSION:
            return None
        found = kind.parse(members, position)
    except UnknownProofKind:
        return None
    except MalformedInput as error:
        raise MalformedAttestation(
            f"{attestation.kind}: {error.detail}", field=f"attestations[{position}]"
        ) from error
    if found.encode() != attestation:
        raise MalformedAttestation("not what its members encode to", field=f"attestations[{position}]")
    return found


def _pack(kind: str, members: Sequence[Encodable]) -> Attestation:
    return Attestation(kind, cbor.encode([VERSION, *members]))


def _encode_where(where: Where | None) -> Encodable:
    return None if where is None else [where.size, where.path]


def _where(value: Value) -> Where | None:
    if value is None:
        return None
    size, path = expect.array(value, "where", 2)
    return Where(expect.uint(size, "size", MAX_TREE, minimum=1), expect.digests(path, "path", MAX_PATH))


def _cosignature(value: Value) -> Cosignature:
    key_id, time, signature = expect.array(value, "cosignatures", 3)
    signature = expect.octets(signature, "cosignatures")
    if len(signature) not in _COSIGNATURE_LENGTHS:
        raise MalformedAttestation("a signature of 64 or 2,420 bytes is expected", field="cosignatures")
    return Cosignature(
        expect.octets(key_id, "key id", KEY_ID_LEN), expect.uint(time, "time", MAX_TIME), signature
    )


def _positions(value: Value, before: int, minimum: int = 0) -> tuple[int, ...]:
    """Places of earlier attestations, ascending."""
    named: list[int] = []
    for one in expect.array(value, "positions", minimum=minimum, maximum=MAX_ATTESTATIONS):
        lowest = named[-1] + 1 if named else 0
        named.append(expect.uint(one, "positions", before - 1, minimum=lowest))
    return tuple(named)


def _stamped(
    token: Value, certificates: Value, revocation: Value
) -> tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]:
    return (
        expect.octets(token, "token", maximum=MAX_TOKEN),
        _octets(certificates, "certificates", MAX_CERTIFICATES),
        _octets(revocation, "revocation data", MAX_REVOCATION),
    )


def _octets(value: Value, field: str, maximum: int) -> tuple[bytes, ...]:
    return tuple(expect.octets(one, field) for one in expect.array(value, field, maximum=maximum))
