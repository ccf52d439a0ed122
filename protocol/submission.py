"""Submission and acceptance (docs/spec/entry.md §4-5).

`Submission` is what travels; `check` proves every rule about its entries once and keeps what intake needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import cbor, entry, expect, tree
from protocol.acts import SIGNATURE_LEN, BadSignature, Domain, Signer, Submit, recover
from protocol.custody import CustodyEvent, CustodyKind
from protocol.entry import BodyView, EvidenceClass
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from protocol.hashing import SHA256, sha256, sm3

VERSION = 1
MAX_ENTRIES = 4096
MAX_BYTES = 8 * 2**20
MAX_JSON_BYTES = 2 * MAX_BYTES + 65_536
MAX_ACCEPTANCE = 4096
MAX_PATH = 63
PROMISE_TAG = b"caseledger/promise/v1"

EntryBytes = tuple[bytes, bytes]
"""Header (48 bytes, sequence zero) and body."""
EntryView: TypeAlias = "BodyView | CustodyEvent"
"""What intake needs of a body."""


class SubmitterMismatch(CaseledgerError):
    """An entry names another organisation than the submission does."""

    http_status: ClassVar[int] = 403
    title: ClassVar[str] = "entry of another organisation"


class PromiseMismatch(CaseledgerError):
    """The log's answer does not fit what was submitted."""

    http_status: ClassVar[int] = 502
    title: ClassVar[str] = "the log's answer does not fit the submission"


@dataclass(frozen=True)
class Submission:
    """Entries of one organisation for one log under one signature. `valid_until` seconds UTC, inclusive."""

    log_id: bytes
    organisation: int
    valid_until: int
    signature: bytes
    entries: tuple[EntryBytes, ...]

    def encode(self) -> bytes:
        """CBOR."""
        return cbor.encode(
            {
                0: VERSION,
                1: self.log_id,
                2: self.organisation,
                3: self.valid_until,
                4: self.signature,
                5: self.entries,
            }
        )

    def to_json(self) -> str:
        """JSON with lower-case hex."""
        return json.dumps(
            {
                "version": VERSION,
                "logId": self.log_id.hex(),
                "organisation": self.organisation,
                "validUntil": self.valid_until,
                "signature": self.signature.hex(),
                "entries": [{"header": header.hex(), "body": body.hex()} for header, body in self.entries],
            },
            separators=(",", ":"),
        )

    @classmethod
    def parse(cls, data: bytes) -> Submission:
        """From CBOR: shape and sizes. The entries' own rules are checked by `check`.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        usual = _parse_usual(data)
        if usual is not None:
            return cls._checked(*usual)
        value = cbor.decode(data, max_bytes=MAX_BYTES, max_depth=4, max_items=3 * MAX_ENTRIES + 16)
        if isinstance(value, dict) and 0 in value:
            expect.version(value[0], VERSION)
        body = expect.fields(value, "submission", range(6))
        entries = []
        for member in expect.array(body[5], "entries", maximum=MAX_ENTRIES):
            if (
                isinstance(member, tuple)
                and len(member) == 2
                and isinstance(member[0], bytes)
                and isinstance(member[1], bytes)
            ):
                entries.append((member[0], member[1]))
            else:
                raise MalformedInput("entries: [header, body] is expected", field="entries")
        return cls._checked(expect.octets(body[1], "logId", 32), body[2], body[3], body[4], tuple(entries))

    @classmethod
    def from_json(cls, data: bytes | str) -> Submission:
        """From the JSON form; same rules as `parse`."""
        members = ("version", "logId", "organisation", "validUntil", "signature", "entries")
        value = expect.json_object(data, "submission", members, max_bytes=MAX_JSON_BYTES)
        expect.version(value["version"], VERSION)
        entries = []
        for member in expect.json_array(value["entries"], "entries", MAX_ENTRIES):
            one = expect.json_members(member, "entries", ("header", "body"))
            entries.append((expect.from_hex(one["header"], "header"), expect.from_hex(one["body"], "body")))
        return cls._checked(
            expect.from_hex(value["logId"], "logId", 32),
            value["organisation"],
            value["validUntil"],
            expect.from_hex(value["signature"], "signature"),
            tuple(entries),
        )

    @classmethod
    def _checked(
        cls,
        log_id: bytes,
        organisation: object,
        valid_until: object,
        signature: object,
        entries: tuple[EntryBytes, ...],
    ) -> Submission:
        if not entries:
            raise MalformedInput("entries: at least one is expected", field="entries")
        return cls(
            log_id,
            expect.uint(organisation, "organisation", expect.UINT32_MAX, minimum=1),
            expect.uint(valid_until, "validUntil", expect.UINT40_MAX),
            expect.octets(signature, "signature", SIGNATURE_LEN),
            entries,
        )

    @classmethod
    def sign(
        cls,
        *,
        log_id: bytes,
        organisation: int,
        valid_until: int,
        entries: Sequence[EntryBytes],
        domain: Domain,
        key: Signer,
    ) -> Submission:
        """Build, check and sign. `domain` is that of the EvidenceLog."""
        draft = cls._checked(log_id, organisation, valid_until, bytes(SIGNATURE_LEN), tuple(entries))
        act = draft.act(draft.check().root)
        return cls(log_id, organisation, valid_until, key.sign_digest(act.digest(domain)), draft.entries)

    def check(self) -> CheckedSubmission:
        """Check every header and body; compute leaves and root.

        Raises:
            SubmitterMismatch, MalformedInput and its subclasses; `field` is `entries[i]…`. Nothing is
            returned for a submission with one bad entry.
        """
        if not 1 <= len(self.entries) <= MAX_ENTRIES:
            raise LimitExceeded(f"entries: 1 to {MAX_ENTRIES} are expected", field="entries")
        allowed = _header_starts(self.organisation)
        leaf_state, check_body = SHA256.leaf, entry.check_body
        no_case = bytes(32)
        views: list[EntryView | None] = []
        leaves: list[bytes] = []
        hashes: list[bytes] = []
        try:
            for header, body in self.entries:
                if header[:16] in allowed and len(header) == 48 and header[16:] != no_case:
                    views.append(check_body(body))
                else:
                    views.append(self._check_unusual(header, body))
                leaf = header + sha256(body) + sm3(body)
                leaves.append(leaf)
                hashes.append(leaf_state(leaf))
        except CaseledgerError as error:
            error.field = f"entries[{len(views)}]" + (f".{error.field}" if error.field else "")
            raise
        if len(set(hashes)) != len(hashes):
            raise MalformedInput("entries: the same entry twice", field="entries")
        return CheckedSubmission(self, tuple(views), tuple(leaves), tuple(hashes), tree.root(SHA256, hashes))

    def _check_unusual(self, header: bytes, body: bytes) -> EntryView | None:
        """The slow way: says what is wrong; takes custody events, and a continuation that stands alone."""
        parsed = entry.Header.parse(header)
        kind = parsed.evidence_class
        if parsed.submitter != self.organisation:
            raise SubmitterMismatch(
                f"submitter {parsed.submitter}, signed by {self.organisation}", field="header"
            )
        if parsed.sequence:
            raise MalformedInput("the sequence is assigned by the log and must be zero", field="header")
        if isinstance(kind, CustodyKind):
            return CustodyEvent.parse(body, kind)
        if kind is not EvidenceClass.LOG_CONTINUATION:
            return entry.check_body(body)
        if len(self.entries) != 1:
            raise MalformedInput("a log continuation is submitted alone", field="header")
        entry.Continuation.parse(body)
        return None

    def unsequenced_leaves(self) -> list[bytes]:
        """The leaves as signed, 112 bytes each; no rule is checked."""
        return [entry.leaf(header, body) for header, body in self.entries]

    def root(self) -> bytes:
        """Submission root over the unsequenced leaves, 32 bytes."""
        return tree.root(SHA256, [SHA256.leaf(leaf) for leaf in self.unsequenced_leaves()])

    def act(self, root: bytes) -> Submit:
        """What the submitter signs."""
        return Submit(self.log_id, self.organisation, root, len(self.entries), self.valid_until)


# CBOR has one form here, so bytes that fit this frame are what `cbor.decode` would take, 10 times faster.
_UINT40 = (
    rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|\x1b\x00\x00\x00(?!\x00).....)"
)
_FRAME = re.compile(
    rb"\xa6\x00\x01\x01\x58\x20(.{32})\x02(" + _UINT40 + rb")\x03(" + _UINT40 + rb")\x04\x58\x41(.{65})\x05"
    rb"([\x81-\x97]|\x98[\x18-\xff]|\x99(?!\x00)..)",
    re.DOTALL,
)
_HEADER_MARK = b"\x82\x58\x30"
_Parsed = tuple[bytes, int, int, bytes, tuple[EntryBytes, ...]]


def _parse_usual(data: bytes) -> _Parsed | None:
    """Members of a submission in its usual form; None for whatever has to be looked at more closely."""
    frame = _FRAME.match(data) if len(data) <= MAX_BYTES else None
    if frame is None:
        return None
    log_id, organisation, valid_until, signature, announced = frame.groups()
    count = _argument(announced, 0x80)
    if count > MAX_ENTRIES:
        return None
    entries: list[EntryBytes] = []
    at, end = frame.end(), len(data)
    for _ in range(count):
        # Three bytes of mark, 48 of header, then the body's length in one or two bytes.
        if at + 54 > end or data[at : at + 3] != _HEADER_MARK:
            return None
        kind, length, start = data[at + 51], data[at + 52], at + 53
        if kind == 0x59 and length:
            length, start = length << 8 | data[at + 53], at + 54
        elif kind != 0x58 or length < 24:
            return None
        stop = start + length
        entries.append((data[at + 3 : at + 51], data[start:stop]))
        at = stop
    if at != end:
        return None
    return log_id, _argument(organisation), _argument(valid_until), signature, tuple(entries)


def _argument(head: bytes, major: int = 0) -> int:
    """The number in a CBOR head."""
    return head[0] - major if len(head) == 1 else int.from_bytes(head[1:], "big")


@lru_cache(maxsize=1024)
def _header_starts(organisation: int) -> frozenset[bytes]:
    """Every valid first half of an unsequenced document header of this organisation."""
    starts = []
    for kind in EvidenceClass:
        if kind is EvidenceClass.LOG_CONTINUATION:
            continue
        for flags in (0, entry.FLAG_PRIVILEGED):
            if kind is EvidenceClass.MEDIATION_RECORD and not flags:
                continue
            starts.append(entry.Header(kind, organisation, b"\x01" * 32, 0, flags).pack()[:16])
    return frozenset(starts)


@dataclass(frozen=True)
class CheckedSubmission:
    """A submission whose entries all obey entry.md, with what intake stores.

    `leaves` are unsequenced (112 bytes each), `leaf_hashes` their RFC 9162 SHA-256 leaf hashes; a view is
    None for a log continuation alone.
    """

    submission: Submission
    views: tuple[EntryView | None, ...]
    leaves: tuple[bytes, ...]
    leaf_hashes: tuple[bytes, ...]
    root: bytes

    def act(self) -> Submit:
        """What the submitter signed."""
        return self.submission.act(self.root)

    def signer(self, domain: Domain) -> bytes:
        """Address that signed; whether it may is for the registry to say.

        Raises:
            BadSignature
        """
        return recover(self.act().digest(domain), self.submission.signature)


@dataclass(frozen=True)
class Promise:
    """What the log signs for all requests of one durable commit. Times in seconds UTC."""

    log_id: bytes
    group_root: bytes
    group_count: int
    accepted_at: int
    deadline: int

    def encode(self) -> bytes:
        """CBOR; what is signed is this behind `PROMISE_TAG`. By hand, as `Acceptance.encode` is."""
        head = cbor.head
        return b"".join(
            (
                b"\xa6\x00\x01\x01",
                head(cbor.BYTES, len(self.log_id)),
                self.log_id,
                b"\x02",
                head(cbor.BYTES, len(self.group_root)),
                self.group_root,
                b"\x03",
                head(cbor.UINT, self.group_count),
                b"\x04",
                head(cbor.UINT, self.accepted_at),
                b"\x05",
                head(cbor.UINT, self.deadline),
            )
        )

    def message(self) -> bytes:
        """The bytes under the log's Ed25519 signature."""
        return PROMISE_TAG + self.encode()

    @classmethod
    def parse(cls, data: bytes) -> Promise:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        value = expect.fields(
            cbor.decode(data, max_bytes=256, max_depth=2, max_items=16), "promise", range(6)
        )
        expect.version(value[0], VERSION)
        accepted = expect.uint(value[4], "acceptedAt", expect.UINT40_MAX)
        return cls(
            expect.octets(value[1], "logId", 32),
            expect.octets(value[2], "group root", 32),
            expect.uint(value[3], "group count", expect.UINT32_MAX, minimum=1),
            accepted,
            expect.uint(value[5], "deadline", expect.UINT40_MAX, minimum=accepted),
        )


@dataclass(frozen=True)
class Acceptance:
    """The log's answer to a submission: contiguous sequences and indexes, and the promise with its path."""

    promise: bytes
    signature: bytes
    first_sequence: int
    first_index: int
    count: int
    group_position: int
    group_path: tuple[bytes, ...]

    def encode(self) -> bytes:
        """CBOR. Written out by hand: one is made for each request, and this takes a fifth of the time."""
        head = cbor.head
        parts = [
            b"\xa8\x00\x01\x01",
            head(cbor.BYTES, len(self.promise)),
            self.promise,
            b"\x02",
            head(cbor.BYTES, len(self.signature)),
            self.signature,
            b"\x03",
            head(cbor.UINT, self.first_sequence),
            b"\x04",
            head(cbor.UINT, self.first_index),
            b"\x05",
            head(cbor.UINT, self.count),
            b"\x06",
            head(cbor.UINT, self.group_position),
            b"\x07",
            head(cbor.ARRAY, len(self.group_path)),
        ]
        for node in self.group_path:
            parts += (head(cbor.BYTES, len(node)), node)
        return b"".join(parts)

    def as_json(self) -> dict[str, object]:
        """Members of the JSON form, hex lower case."""
        return {
            "version": VERSION,
            "promise": self.promise.hex(),
            "signature": self.signature.hex(),
            "firstSequence": self.first_sequence,
            "firstIndex": self.first_index,
            "count": self.count,
            "groupPosition": self.group_position,
            "groupPath": [node.hex() for node in self.group_path],
        }

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(self.as_json(), separators=(",", ":"))

    @classmethod
    def parse(cls, data: bytes) -> Acceptance:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        value = expect.fields(
            cbor.decode(data, max_bytes=MAX_ACCEPTANCE, max_depth=3, max_items=128), "acceptance", range(8)
        )
        path = expect.digests(value[7], "group path", MAX_PATH)
        return cls._checked([value[key] for key in range(7)], path)

    @classmethod
    def from_json(cls, data: bytes | str) -> Acceptance:
        """From the JSON form."""
        names = (
            "version", "promise", "signature", "firstSequence", "firstIndex", "count", "groupPosition",
        )  # fmt: skip
        value = expect.json_object(data, "acceptance", (*names, "groupPath"), max_bytes=4 * MAX_ACCEPTANCE)
        members = [value[name] for name in names]
        members[1] = expect.from_hex(members[1], "promise")
        members[2] = expect.from_hex(members[2], "signature")
        path = expect.json_array(value["groupPath"], "groupPath", MAX_PATH)
        return cls._checked(members, tuple(expect.from_hex(node, "groupPath", 32) for node in path))

    @classmethod
    def _checked(cls, members: Sequence[object], path: tuple[bytes, ...]) -> Acceptance:
        expect.version(members[0], VERSION)
        return cls(
            expect.octets(members[1], "promise", maximum=256),
            expect.octets(members[2], "signature", 64),
            expect.uint(members[3], "firstSequence", minimum=1),
            expect.uint(members[4], "firstIndex"),
            expect.uint(members[5], "count", MAX_ENTRIES, minimum=1),
            expect.uint(members[6], "groupPosition", expect.UINT32_MAX),
            path,
        )


def request_root(sequenced_leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 root over the sequenced leaves of one submission, 32 bytes."""
    return tree.root(SHA256, [SHA256.leaf(leaf) for leaf in sequenced_leaves])


def group_leaf(root: bytes) -> bytes:
    """Leaf hash of a request root in its group, 32 bytes."""
    return SHA256.leaf(expect.octets(root, "request root", 32))


def check_acceptance(submission: Submission, acceptance: Acceptance, log_public_key: bytes) -> list[bytes]:
    """Rebuild the leaves from what was sent and check the log's signed promise over them.

    Returns:
        The sequenced leaves in order; leaf i stands at index `acceptance.first_index + i`.

    Raises:
        PromiseMismatch: another log, count or tree.
        BadSignature: not signed by the log's Ed25519 key (32 bytes).
        MalformedInput: the promise inside does not parse.
    """
    promise = Promise.parse(acceptance.promise)
    if promise.log_id != submission.log_id:
        raise PromiseMismatch("the promise is of another log", field="logId")
    if acceptance.count != len(submission.entries):
        raise PromiseMismatch(
            f"{acceptance.count} of {len(submission.entries)} entries answered", field="count"
        )
    leaves = [
        entry.sequenced(leaf, acceptance.first_sequence + at)
        for at, leaf in enumerate(submission.unsequenced_leaves())
    ]
    try:
        Ed25519PublicKey.from_public_bytes(expect.octets(log_public_key, "log key", 32)).verify(
            acceptance.signature, promise.message()
        )
    except InvalidSignature:
        raise BadSignature("the promise is not signed by the log's key", field="signature") from None
    root = tree.root_from_path(
        SHA256,
        group_leaf(request_root(leaves)),
        acceptance.group_position,
        promise.group_count,
        acceptance.group_path,
    )
    if root != promise.group_root:
        raise PromiseMismatch("the entries are not under the promised root", field="group root")
    return leaves
