"""Evidence entries: header, body, leaf (docs/spec/entry.md §1-3).

A body has one valid encoding. `check_body` recognises it with one byte pattern, which is fast enough for bulk
intake; `Body.parse` says exactly what is wrong where the pattern does not fit.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, NamedTuple, TypeAlias

from protocol import cbor, expect
from protocol.custody import CustodyEvent, CustodyKind
from protocol.errors import LimitExceeded, MalformedInput
from protocol.hashing import SHA256, sha256, sm3
from protocol.i18n import Text

VERSION = 1
RENEWED_VERSION, RENEWED_ALGORITHM = 2, 2
"""Of a log continuation that commits a hash renewal, and its algorithm: SHA3-256."""
HEADER_LEN = 48
LEAF_LEN = 112
MAX_BODY = 2048
MAX_TREE_SIZE = 2**63 - 1
MAX_LINKS = 16
MAX_MEDIA_TYPE = 127
FLAG_PRIVILEGED = 1
_HEADER = struct.Struct(">BBHIQ32s")
_SEQUENCE = slice(8, 16)
_NO_SEQUENCE = bytes(8)


class UnknownEvidenceClass(MalformedInput):
    """A class number that this version does not define."""

    title: ClassVar[str] = "unknown evidence class"


class PrivilegedFlagMissing(MalformedInput):
    """A mediation record without the flag that keeps it out of court files."""

    title: ClassVar[str] = "mediation record not marked as privileged"


class EvidenceClass(IntEnum):
    """What a document is (entry.md §2)."""

    CONTRACT = 1
    STATEMENT = 2
    DUNNING = 3
    IDENTITY_CHECK = 4
    MEDIATION_RECORD = 5
    AGREEMENT = 6
    SERVICE_VOUCHER = 7
    COURT_DOCUMENT = 8
    ASSET_CLUE = 9
    OTHER = 10
    LOG_CONTINUATION = 128

    @property
    def label(self) -> Text:
        """Name of the class."""
        return _CLASS_LABELS[self]


_CLASS_LABELS = {
    EvidenceClass.CONTRACT: Text("合同", "contract"),
    EvidenceClass.STATEMENT: Text("对账单", "statement"),
    EvidenceClass.DUNNING: Text("催收记录", "dunning"),
    EvidenceClass.IDENTITY_CHECK: Text("身份核验", "identity check"),
    EvidenceClass.MEDIATION_RECORD: Text("调解记录", "mediation record"),
    EvidenceClass.AGREEMENT: Text("协议", "agreement"),
    EvidenceClass.SERVICE_VOUCHER: Text("送达凭证", "service voucher"),
    EvidenceClass.COURT_DOCUMENT: Text("法律文书", "court document"),
    EvidenceClass.ASSET_CLUE: Text("财产线索", "asset clue"),
    EvidenceClass.OTHER: Text("其他材料", "other document"),
    EvidenceClass.LOG_CONTINUATION: Text("日志接续", "log continuation"),
}


EntryClass: TypeAlias = "EvidenceClass | CustodyKind"
"""What a leaf says that it is: a document or continuation, or a custody event (custody.md §1)."""


class Relation(IntEnum):
    """How an entry stands to an earlier one."""

    CORROBORATES = 1
    REPLACES = 2
    DERIVED_FROM = 3
    PAGE_OF = 4
    DISPUTES = 5

    @property
    def label(self) -> Text:
        """Name of the relation."""
        return _RELATION_LABELS[self]


_RELATION_LABELS = {
    Relation.CORROBORATES: Text("印证", "corroborates"),
    Relation.REPLACES: Text("替代", "replaces"),
    Relation.DERIVED_FROM: Text("派生自", "derived from"),
    Relation.PAGE_OF: Text("所属文件", "page of"),
    Relation.DISPUTES: Text("质疑", "disputes"),
}


@dataclass(frozen=True)
class Header:
    """First 48 bytes of a leaf. Sequence 0 means not yet assigned."""

    evidence_class: EntryClass
    submitter: int
    case_commitment: bytes
    sequence: int = 0
    flags: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        expect.version(self.version, VERSION)
        expect.uint(self.submitter, "submitter", expect.UINT32_MAX, minimum=1)
        expect.uint(self.sequence, "sequence")
        expect.octets(self.case_commitment, "case commitment", 32)
        if self.flags & ~FLAG_PRIVILEGED:
            raise MalformedInput("flags: only bit 0 is defined", field="flags")
        if self.evidence_class is EvidenceClass.MEDIATION_RECORD and not self.privileged:
            raise PrivilegedFlagMissing("class 5 needs the privileged flag", field="flags")
        continuation = self.evidence_class is EvidenceClass.LOG_CONTINUATION
        if continuation != (self.case_commitment == bytes(32)):
            raise MalformedInput(
                "case commitment: zero in a log continuation and only there", field="case commitment"
            )

    @property
    def privileged(self) -> bool:
        """Whether the entry must stay out of court files."""
        return bool(self.flags & FLAG_PRIVILEGED)

    def pack(self) -> bytes:
        """48 bytes."""
        return _HEADER.pack(
            self.version, self.evidence_class, self.flags, self.submitter, self.sequence, self.case_commitment
        )

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """From 48 bytes.

        Raises:
            UnknownVersion, UnknownEvidenceClass, PrivilegedFlagMissing, MalformedInput
        """
        number, kind, flags, submitter, sequence, case = _HEADER.unpack(
            expect.octets(data, "header", HEADER_LEN)
        )
        expect.version(number, VERSION)
        return cls(parse_class(kind), submitter, case, sequence, flags, number)


def parse_class(number: int) -> EntryClass:
    """The class of a number.

    Raises:
        UnknownEvidenceClass
    """
    for kinds in (EvidenceClass, CustodyKind):
        try:
            return kinds(number)
        except ValueError:
            continue
    raise UnknownEvidenceClass(f"class: {number} is not defined", field="class")


class Link(NamedTuple):
    """A statement about an earlier entry."""

    relation: Relation
    evidence_id: bytes


# RFC 6838 §4.2 restricted names, lower case. No byte of them can be a CBOR key between 0 and 12.
_NAME = rb"[a-z0-9][a-z0-9!#$&\-^_.+]{0,126}"
_MEDIA_TYPE = re.compile(_NAME + b"/" + _NAME)


@dataclass(frozen=True)
class Body:
    """What an entry says about a document; sealed away, only its digests are published. Times UTC seconds."""

    content_sha256: bytes
    content_sm3: bytes
    content_size: int
    media_type: str
    salt: bytes
    case_ref: bytes
    subject_ref: bytes | None = None
    actor_ref: bytes | None = None
    event_time: int | None = None
    provenance: bytes | None = None
    manifest: bytes | None = None
    links: tuple[Link, ...] = ()

    def encode(self) -> bytes:
        """Deterministic CBOR, checked against the rules of the specification.

        Raises:
            MalformedInput, LimitExceeded
        """
        data = cbor.encode(
            {
                0: VERSION,
                1: self.content_sha256,
                2: self.content_sm3,
                3: self.content_size,
                4: self.media_type,
                5: self.salt,
                6: self.case_ref,
                7: self.subject_ref,
                8: self.actor_ref,
                9: self.event_time,
                10: self.provenance,
                11: self.manifest,
                12: [[int(link.relation), link.evidence_id] for link in self.links],
            }
        )
        Body.parse(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Body:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        body = _members(data, 13)
        expect.version(body[0], VERSION, "body version")
        return cls(
            content_sha256=expect.octets(body[1], "content SHA-256", 32),
            content_sm3=expect.octets(body[2], "content SM3", 32),
            content_size=expect.uint(body[3], "content size", expect.UINT53_MAX),
            media_type=_media_type(body[4]),
            salt=expect.octets(body[5], "salt", 32),
            case_ref=expect.octets(body[6], "case reference", 32),
            subject_ref=expect.octets_or_none(body[7], "subject reference", 32),
            actor_ref=expect.octets_or_none(body[8], "actor reference", 32),
            event_time=None if body[9] is None else expect.uint(body[9], "event time", expect.UINT40_MAX),
            provenance=expect.octets_or_none(body[10], "provenance digest", 32),
            manifest=expect.octets_or_none(body[11], "manifest digest", 32),
            links=tuple(map(_link, expect.array(body[12], "links", maximum=MAX_LINKS))),
        )


@dataclass(frozen=True)
class Continuation:
    """Body of class 128: commits a successor log to the closed head of its predecessor.

    `renewed_root`: of the predecessor's hash renewal (docs/spec/hash-renewal.md §5), in version 2.
    """

    predecessor: bytes
    size: int
    root_sha256: bytes
    root_sm3: bytes
    salt: bytes
    renewed_root: bytes | None = None

    def encode(self) -> bytes:
        """Deterministic CBOR."""
        members: dict[int | str, cbor.Encodable] = {
            0: VERSION if self.renewed_root is None else RENEWED_VERSION,
            1: self.predecessor,
            2: self.size,
            3: self.root_sha256,
            4: self.root_sm3,
            5: self.salt,
        }
        if self.renewed_root is not None:
            members |= {6: RENEWED_ALGORITHM, 7: self.renewed_root}
        data = cbor.encode(members)
        Continuation.parse(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Continuation:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        body = _members(data, 6, renewed=8)
        renewed = body[0] == RENEWED_VERSION
        if renewed and expect.uint(body[6], "algorithm") != RENEWED_ALGORITHM:
            raise MalformedInput("algorithm: 2 is expected", field="algorithm")
        return cls(
            renewed_root=expect.octets(body[7], "root", 32) if renewed else None,
            predecessor=expect.octets(body[1], "predecessor logId", 32),
            size=expect.uint(body[2], "size", MAX_TREE_SIZE),
            root_sha256=expect.octets(body[3], "rootSha256", 32),
            root_sm3=expect.octets(body[4], "rootSm3", 32),
            salt=expect.octets(body[5], "salt", 32),
        )


def _members(data: bytes, count: int, renewed: int | None = None) -> dict[cbor.Key, cbor.Value]:
    """`count` members in version 1; `renewed` in version 2, where there is one."""
    if len(data) > MAX_BODY:
        raise LimitExceeded(f"body: {len(data)} bytes, at most {MAX_BODY} allowed", field="body")
    value = cbor.decode(data, max_bytes=MAX_BODY, max_depth=3, max_items=128)
    if isinstance(value, dict) and 0 in value:
        if renewed is not None and value[0] == RENEWED_VERSION:
            return expect.fields(value, "body", range(renewed))
        expect.version(value[0], VERSION, "body version")
    return expect.fields(value, "body", range(count))


def _media_type(value: object) -> str:
    media_type = expect.text(value, "media type", MAX_MEDIA_TYPE)
    if not media_type.isascii() or _MEDIA_TYPE.fullmatch(media_type.encode()) is None:
        raise MalformedInput("media type: lower-case type/subtype is expected", field="media type")
    return media_type


def _link(value: cbor.Value) -> Link:
    relation, evidence = expect.array(value, "links", 2)
    try:
        known = Relation(expect.uint(relation, "links"))
    except ValueError:
        raise MalformedInput("links: unknown relation", field="links") from None
    return Link(known, expect.octets(evidence, "links", 32))


def parse_body(data: bytes, evidence_class: EntryClass) -> Body | Continuation | CustodyEvent:
    """The body that belongs to an entry of this class."""
    if isinstance(evidence_class, CustodyKind):
        return CustodyEvent.parse(data, evidence_class)
    if evidence_class is EvidenceClass.LOG_CONTINUATION:
        return Continuation.parse(data)
    return Body.parse(data)


class BodyView(NamedTuple):
    """The members that intake indexes, cut out of a body that is known to be well-formed."""

    content_sha256: bytes
    content_sm3: bytes
    salt: bytes
    case_ref: bytes
    manifest: bytes | None
    raw_links: bytes

    @property
    def links(self) -> tuple[Link, ...]:
        """The entry's statements about earlier ones."""
        raw = self.raw_links
        return tuple(
            Link(Relation(raw[at + 1]), raw[at + 4 : at + _LINK_LEN]) for at in range(0, len(raw), _LINK_LEN)
        )


_LINK_LEN = 36
_BYTES32 = rb"\x58\x20(.{32})"
_BYTES32_NULL = rb"(?:\xf6|\x58\x20(?:.{32}))"
_UINT40 = (
    rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|\x1b\x00\x00\x00(?!\x00).....)"
)
_UINT53 = (
    rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|"
    rb"\x1b(?!\x00\x00\x00\x00)\x00[\x00-\x1f]......)"
)
_BODY = re.compile(
    rb"\xad\x00\x01"
    rb"\x01" + _BYTES32 + rb"\x02" + _BYTES32 + rb"\x03" + _UINT53 + rb"\x04"
    rb"(?:\x78([\x18-\x7f])|([\x63-\x77]))(" + _NAME + b"/" + _NAME + rb")"
    rb"\x05" + _BYTES32 + rb"\x06" + _BYTES32 + rb"\x07" + _BYTES32_NULL + rb"\x08" + _BYTES32_NULL + rb"\x09"
    rb"(?:\xf6|" + _UINT40 + rb")"
    rb"\x0a" + _BYTES32_NULL + rb"\x0b(?:\xf6|" + _BYTES32 + rb")"
    rb"\x0c([\x80-\x90])((?:\x82[\x01-\x05]\x58\x20.{32}){0,16})",
    re.DOTALL,
)


def check_body(data: bytes) -> BodyView:
    """Check the body of a document's entry (class 1 to 10) and cut out what intake needs.

    Accepts exactly what `Body.parse` accepts, several times faster.

    Raises:
        MalformedInput, UnknownVersion, LimitExceeded
    """
    found = _BODY.fullmatch(data) if len(data) <= MAX_BODY else None
    if found is not None:
        sha, sm, long, short, media, salt, case, manifest, count, links = found.groups()
        announced = long[0] if long is not None else short[0] - 0x60
        if len(media) == announced and len(links) == _LINK_LEN * (count[0] - 0x80):
            return BodyView(sha, sm, salt, case, manifest, links)
    body = Body.parse(data)
    # Only reached when pattern and parser disagree; refusing is the safe answer.
    raise MalformedInput(f"body of {body.content_size} bytes is not in the expected form", field="body")


@dataclass(frozen=True)
class Leaf:
    """A parsed leaf."""

    header: Header
    body_sha256: bytes
    body_sm3: bytes

    def pack(self) -> bytes:
        """112 bytes."""
        return self.header.pack() + self.body_sha256 + self.body_sm3


def leaf(header: Header | bytes, body: bytes) -> bytes:
    """The 112-byte leaf of an entry; `body` is taken as it is."""
    head = header.pack() if isinstance(header, Header) else expect.octets(header, "header", HEADER_LEN)
    return head + sha256(body) + sm3(body)


def parse_leaf(data: bytes) -> Leaf:
    """From 112 bytes.

    Raises:
        MalformedInput and the errors of `Header.parse`
    """
    expect.octets(data, "leaf", LEAF_LEN)
    return Leaf(Header.parse(data[:HEADER_LEN]), data[48:80], data[80:])


def evidence_id(leaf_bytes: bytes) -> bytes:
    """RFC 9162 leaf hash of a sequenced leaf, 32 bytes; shown in hex."""
    return SHA256.leaf(expect.octets(leaf_bytes, "leaf", LEAF_LEN))


def unsequenced(leaf_bytes: bytes) -> bytes:
    """The leaf as its submitter signed it."""
    expect.octets(leaf_bytes, "leaf", LEAF_LEN)
    return leaf_bytes[:8] + _NO_SEQUENCE + leaf_bytes[16:]


def sequenced(leaf_bytes: bytes, sequence: int) -> bytes:
    """The leaf with its submitter's running number (from 1)."""
    expect.octets(leaf_bytes, "leaf", LEAF_LEN)
    expect.uint(sequence, "sequence", minimum=1)
    return leaf_bytes[:8] + sequence.to_bytes(8, "big") + leaf_bytes[16:]


def sequence_of(leaf_bytes: bytes) -> int:
    """The running number of a leaf; 0 while it has none."""
    return int.from_bytes(expect.octets(leaf_bytes, "leaf", LEAF_LEN)[_SEQUENCE], "big")
