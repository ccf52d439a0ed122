"""Evidence Record Syntax (RFC 4998): hash tree, record in DER, verification.

The data object is the log's leaf with its RFC 9162 prefix, `0x00 ‖ leaf` (113 bytes); its hash is the
evidence id. A digest of the document itself would be in other people's records too, and could not be erased.
A node is the hash of its children's hashes in binary ascending order, one behind the other (§4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING

from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import ALGORITHMS, HASH_LEN, LEAF_PREFIX, HashAlg
from verifier import timetoken_cms
from verifier.timetoken_cms import IMPRINTS, digest_name
from verifier.timetoken_der import (
    INTEGER,
    SEQUENCE,
    Element,
    context,
    encode,
    encode_integer,
    encode_oid,
    whole,
)
from verifier.timetoken_errors import DerMalformed, TokenAlgorithmMismatch
from verifier.views.errors import EvidenceRecordExpired, EvidenceRecordMalformed, EvidenceRecordMismatch

if TYPE_CHECKING:
    from verifier.timetoken import Authority, TimeToken

SUFFIX = ".ers"
MEDIA_TYPE = "application/octet-stream"
MAX_RECORD = 512 * 1024
MAX_CHAIN = 32
MAX_LISTS = 64
MAX_HASHES = 64
_OIDS = {name: oid for oid, name in timetoken_cms.DIGESTS.items() if name in IMPRINTS}

HashList = tuple[bytes, ...]


def data_object(leaf: bytes) -> bytes:
    """The bytes that a record of this leaf (112 bytes) is about."""
    return LEAF_PREFIX + leaf


def combine(alg: HashAlg, hashes: Sequence[bytes]) -> bytes:
    """Hash of a group of hashes (§4.2): ascending, concatenated, hashed; one alone is itself."""
    if len(hashes) == 1:
        return hashes[0]
    return alg.digest(b"".join(sorted(hashes)))


def _level(alg: HashAlg, nodes: Sequence[bytes]) -> list[bytes]:
    """Parents of neighbours; an odd last node goes up as it is."""
    digest = alg.digest
    above = [
        digest(left + right if left < right else right + left)
        for left, right in zip(nodes[::2], nodes[1::2], strict=False)
    ]
    if len(nodes) & 1:
        above.append(nodes[-1])
    return above


class ErsTree:
    """The hash tree over data object hashes in the log's order; kept whole, for many reduced trees."""

    def __init__(self, alg: HashAlg, hashes: Sequence[bytes]) -> None:
        """At least one hash, each of 32 bytes."""
        if not hashes:
            raise MalformedInput("a tree without hashes has no root", field="hashes")
        if any(len(one) != HASH_LEN for one in hashes):
            raise MalformedInput(f"hashes of {HASH_LEN} bytes are expected", field="hashes")
        self.levels: list[Sequence[bytes]] = [hashes]
        while len(self.levels[-1]) > 1:
            self.levels.append(_level(alg, self.levels[-1]))

    @property
    def root(self) -> bytes:
        """What is stamped, 32 bytes; with one hash that hash."""
        return self.levels[-1][0]

    def reduced(self, index: int) -> tuple[HashList, ...]:
        """The reduced hash tree of one data object; empty when it is the only one.

        The first list holds its own hash and its sibling's, each further one the sibling at the next level.
        """
        if not 0 <= index < len(self.levels[0]):
            raise MalformedInput("the index must lie below the number of hashes", field="index")
        own, lists = self.levels[0][index], list[HashList]()
        for nodes in self.levels[:-1]:
            sibling = index ^ 1
            if sibling < len(nodes):
                lists.append((nodes[sibling],) if lists else tuple(sorted((own, nodes[sibling]))))
            index >>= 1
        return tuple(lists)


def ers_root(hashes: Sequence[bytes], alg: HashAlg) -> bytes:
    """Root over data object hashes, 32 bytes."""
    return ErsTree(alg, hashes).root


def reduced_tree(hashes: Sequence[bytes], index: int, alg: HashAlg) -> tuple[HashList, ...]:
    """Reduced hash tree of the object at `index`; for many of one tree, `ErsTree.reduced`."""
    return ErsTree(alg, hashes).reduced(index)


def root_of(alg: HashAlg, object_hash: bytes, lists: Sequence[HashList]) -> bytes:
    """The value that the reduced tree leads to (§4.3 steps 1 to 3).

    Raises:
        EvidenceRecordMismatch: the object's hash is not in the first list.
    """
    if not lists:
        return object_hash
    if not any(compare_digest(object_hash, one) for one in lists[0]):
        raise EvidenceRecordMismatch("the object's hash is not in the first list")
    node = combine(alg, lists[0])
    for hashes in lists[1:]:
        node = combine(alg, (*hashes, node))
    return node


@dataclass(frozen=True, slots=True)
class ArchiveTimeStamp:
    """A reduced hash tree (may be empty) and the time-stamp token (DER) over what it leads to."""

    lists: tuple[HashList, ...]
    token: bytes


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One chain of time stamps under one hash function: the first over the object, each further one over the
    token before it. Renewal with another hash function starts a record of its own here.
    """

    algorithm: str
    chain: tuple[ArchiveTimeStamp, ...]

    def encode(self) -> bytes:
        """DER (§3.1; IMPLICIT TAGS)."""
        stamps = [
            encode(SEQUENCE, *([_encode_lists(one.lists)] if one.lists else []), one.token)
            for one in self.chain
        ]
        algorithm = encode(SEQUENCE, encode_oid(_OIDS[self.algorithm]))
        sequence = encode(SEQUENCE, encode(SEQUENCE, *stamps))
        return encode(SEQUENCE, encode_integer(1), encode(SEQUENCE, algorithm), sequence)

    @classmethod
    def parse(cls, data: bytes) -> EvidenceRecord:
        """Strict; nothing is verified. Crypto and encryption infos, attributes and hash renewal are refused.

        Raises:
            EvidenceRecordMalformed
        """
        if len(data) > MAX_RECORD:
            raise EvidenceRecordMalformed(f"{len(data)} bytes, at most {MAX_RECORD} allowed")
        try:
            return cls._parse(data)
        except EvidenceRecordMalformed:
            raise
        except CaseledgerError as error:
            raise EvidenceRecordMalformed(error.detail) from None

    @classmethod
    def _parse(cls, data: bytes) -> EvidenceRecord:
        members = whole(data).members()
        if members.next(INTEGER).integer() != 1:
            raise EvidenceRecordMalformed("another version than 1")
        algorithms = members.next(SEQUENCE).members()
        algorithm = digest_name(algorithms.next(SEQUENCE))
        algorithms.finish()
        sequence = members.next(SEQUENCE).members()
        members.finish()
        chain = tuple(_time_stamp(one) for one in sequence.next(SEQUENCE).members().rest(MAX_CHAIN))
        sequence.finish()
        record = cls(algorithm, chain)
        if algorithm not in _OIDS or not chain:
            raise EvidenceRecordMalformed("SHA-256 or SM3, and at least one time stamp, are expected")
        if record.encode() != data:
            raise EvidenceRecordMalformed("not what its members encode to")
        return record

    def renewed(self, token: bytes, lists: Sequence[HashList] = ()) -> EvidenceRecord:
        """With a further time stamp over `renewal_imprint`, or over what `lists` lead from it to (§5.2)."""
        return EvidenceRecord(self.algorithm, (*self.chain, ArchiveTimeStamp(tuple(lists), token)))

    @property
    def renewal_imprint(self) -> bytes:
        """What a renewing token has to be over: the hash of the last token."""
        return ALGORITHMS[self.algorithm].digest(self.chain[-1].token)

    def verify(
        self, object_hash: bytes, authorities: Sequence[Authority], *, at: int, not_before: int = 0
    ) -> tuple[TimeToken, ...]:
        """Each time stamp is over what it should be, by a trusted authority, and was renewed in time (§5.3).

        Times in seconds UTC. What the tokens prove, in their order: the object existed at the first one's
        genTime.

        Raises:
            EvidenceRecordMismatch, EvidenceRecordExpired, and the errors of verifier/timetoken.py
        """
        from verifier.timetoken import check_token

        alg, expected = ALGORITHMS[self.algorithm], object_hash
        proved: list[TimeToken] = []
        for one in self.chain:
            root = root_of(alg, expected, one.lists)

            def imprint_of(name: str, root: bytes = root) -> bytes:
                if name != self.algorithm:
                    raise TokenAlgorithmMismatch(f"imprint with {name}, the record is of {self.algorithm}")
                return root

            token = check_token(
                one.token, (), (), imprint_of=imprint_of, authorities=authorities, at=at,
                not_before=proved[-1].gen_time if proved else not_before,
            )  # fmt: skip
            if proved and proved[-1].expired_at(token.gen_time):
                raise EvidenceRecordExpired(f"ended at {proved[-1].signer_not_after}")
            proved.append(token)
            expected = alg.digest(one.token)
        if proved[-1].expired_at(at):
            raise EvidenceRecordExpired(f"ended at {proved[-1].signer_not_after}")
        return tuple(proved)


def evidence_record(
    algorithm: str, lists: Sequence[HashList], token: bytes, certificates: Sequence[bytes] = ()
) -> EvidenceRecord:
    """A record with one time stamp. `certificates` (DER) that the token lacks are put into it; its signature
    does not cover them.

    Raises:
        TokenMalformed and the like
    """
    parsed = timetoken_cms.parse(token)
    if set(certificates) - set(parsed.certificates) and not parsed.crls:
        token = parsed.with_certificates(dict.fromkeys((*parsed.certificates, *certificates)))
    return EvidenceRecord(algorithm, (ArchiveTimeStamp(tuple(lists), token),))


def _encode_lists(lists: Sequence[HashList]) -> bytes:
    parts = [encode(SEQUENCE, *(encode(0x04, one) for one in hashes)) for hashes in lists]
    return encode(context(2), *parts)


def _time_stamp(element: Element) -> ArchiveTimeStamp:
    members = element.expect(SEQUENCE).members()
    lists: tuple[HashList, ...] = ()
    tree = members.optional(context(2))
    if tree is not None:
        lists = tuple(_hashes(one) for one in tree.members(context(2)).rest(MAX_LISTS))
        if not lists:
            raise EvidenceRecordMalformed("an empty hash tree")
    token = members.next(SEQUENCE).raw
    members.finish()
    return ArchiveTimeStamp(lists, token)


def _hashes(element: Element) -> HashList:
    hashes = tuple(one.octets() for one in element.expect(SEQUENCE).members().rest(MAX_HASHES))
    if not hashes or any(len(one) != HASH_LEN for one in hashes):
        raise DerMalformed(f"lists hold hashes of {HASH_LEN} bytes")
    return hashes
