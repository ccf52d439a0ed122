"""Custody events, an item's chain of them, and the operator's statement about it (docs/spec/custody.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol import cbor, expect
from protocol.cbor import Value
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from protocol.hashing import SHA256
from protocol.i18n import Text

VERSION = 1
ORIGIN_SUFFIX = "-custody"
FIRST_CLASS, LAST_CLASS = 64, 127
MAX_BODY = 2048
MAX_TEXT = 200
MAX_TOOL = 100
MAX_EVENTS = 4096
"""Events of one item that a sheet can hold."""
MAX_STATEMENT = 512
MAX_TREE = 2**63 - 1
STATEMENT_TAG = b"caseledger/custody/v1"


class ClassMisplaced(CaseledgerError):
    """A custody class outside a custody log, or another class in one."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "entry of a class that this kind of log does not hold"


class CustodyHolderMismatch(CaseledgerError):
    """A transfer by an organisation that does not hold the item and was not offered it."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "transfer by an organisation that does not hold the item"


class CustodyInFuture(CaseledgerError):
    """An event, or a statement about the chain, of a time that has not come."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "custody of a time that has not come"


class CustodyStatementInvalid(CaseledgerError):
    """The statement about an item's chain is not signed by the custody log's key."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "custody statement not signed by the log"


class CustodyKind(IntEnum):
    """What was done with an item: classes of a custody log (custody.md §1)."""

    ACCESS = 64
    COPY = 65
    EXPORT = 66
    TRANSFER = 67
    VERIFY = 68
    ERASE = 69

    @property
    def label(self) -> Text:
        """Name of the kind."""
        return _LABELS[self]


_LABELS = {
    CustodyKind.ACCESS: Text("查阅", "access"),
    CustodyKind.COPY: Text("复制", "copy"),
    CustodyKind.EXPORT: Text("导出", "export"),
    CustodyKind.TRANSFER: Text("移交", "transfer"),
    CustodyKind.VERIFY: Text("核验", "verify"),
    CustodyKind.ERASE: Text("删除", "erase"),
}
_GIVES = (CustodyKind.COPY, CustodyKind.EXPORT)


def is_custody_log(origin: str) -> bool:
    """Whether a log of this origin holds custody events."""
    return origin.endswith(ORIGIN_SUFFIX)


def check_place(number: int, origin: str) -> None:
    """Whether a log of this origin holds entries of class `number`; a continuation stands in any.

    Raises:
        ClassMisplaced
    """
    from protocol.entry import EvidenceClass

    if number == EvidenceClass.LOG_CONTINUATION:
        return
    if (FIRST_CLASS <= number <= LAST_CLASS) != is_custody_log(origin):
        kind = "a custody" if is_custody_log(origin) else "an evidence"
        raise ClassMisplaced(f"class {number} in {kind} log", field="class")


@dataclass(frozen=True)
class Tool:
    """The program that was used. `sha256` of it, 32 bytes, or None."""

    name: str
    version: str
    sha256: bytes | None = None


@dataclass(frozen=True)
class CustodyEvent:
    """Body of a custody event. Times UTC seconds, organisations by index; None where nothing is stated."""

    item: bytes
    number: int
    previous: bytes | None
    event_time: int
    salt: bytes
    purpose: str
    actor_ref: bytes | None = None
    giver: int | None = None
    receiver: int | None = None
    authority: str | None = None
    tool: Tool | None = None
    object: tuple[bytes, bytes] | None = None
    """(SHA-256, SM3)"""
    result: int | None = None
    """0 to 3, in the order of the verifier's results."""
    where: str | None = None
    before: str | None = None
    change: str | None = None

    def encode(self, kind: CustodyKind) -> bytes:
        """Deterministic CBOR, checked against the rules of the kind.

        Raises:
            MalformedInput, LimitExceeded
        """
        tool = self.tool
        data = cbor.encode(
            {
                0: VERSION,
                1: self.item,
                2: self.number,
                3: self.previous,
                4: self.event_time,
                5: self.salt,
                6: self.actor_ref,
                7: self.giver,
                8: self.receiver,
                9: self.purpose,
                10: self.authority,
                11: None if tool is None else [tool.name, tool.version, tool.sha256],
                12: None if self.object is None else list(self.object),
                13: self.result,
                14: self.where,
                15: self.before,
                16: self.change,
            }
        )
        CustodyEvent.parse(data, kind)
        return data

    @classmethod
    def parse(cls, data: bytes, kind: CustodyKind) -> CustodyEvent:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        if len(data) > MAX_BODY:
            raise LimitExceeded(f"body: {len(data)} bytes, at most {MAX_BODY} allowed", field="body")
        value = cbor.decode(data, max_bytes=MAX_BODY, max_depth=3, max_items=128)
        if isinstance(value, dict) and 0 in value:
            expect.version(value[0], VERSION, "body version")
        body = expect.fields(value, "body", range(17))
        event = cls(
            item=expect.octets(body[1], "item", 32),
            number=expect.uint(body[2], "number", expect.UINT32_MAX, minimum=1),
            previous=expect.octets_or_none(body[3], "previous", 32),
            event_time=expect.uint(body[4], "event time", expect.UINT40_MAX),
            salt=expect.octets(body[5], "salt", 32),
            actor_ref=expect.octets_or_none(body[6], "actor reference", 32),
            giver=_organisation(body[7], "from"),
            receiver=_organisation(body[8], "to"),
            purpose=expect.text(body[9], "purpose", MAX_TEXT),
            authority=_text(body[10], "authority"),
            tool=_tool(body[11]),
            object=_object(body[12]),
            result=None if body[13] is None else expect.uint(body[13], "result", 3),
            where=_text(body[14], "where"),
            before=_text(body[15], "where before"),
            change=_text(body[16], "change"),
        )
        event._check(kind)
        return event

    def _check(self, kind: CustodyKind) -> None:
        if (self.previous is None) != (self.number == 1):
            raise MalformedInput("previous: null in event 1 and only there", field="previous")
        moves = kind is CustodyKind.TRANSFER
        if moves != (self.giver is not None):
            raise MalformedInput("from: in a transfer and only there", field="from")
        if moves and (self.receiver is None or self.receiver == self.giver):
            raise MalformedInput("to: a transfer goes to another organisation", field="to")
        if self.receiver is not None and not moves and kind not in _GIVES:
            raise MalformedInput("to: in a copy, an export and a transfer only", field="to")
        if self.object is None and (kind in _GIVES or kind is CustodyKind.VERIFY):
            raise MalformedInput("object: digests are expected", field="object")
        if (self.result is not None) != (kind is CustodyKind.VERIFY):
            raise MalformedInput("result: in a verification and only there", field="result")


def _text(value: Value, field: str) -> str | None:
    return None if value is None else expect.text(value, field, MAX_TEXT)


def _organisation(value: Value, field: str) -> int | None:
    return None if value is None else expect.uint(value, field, expect.UINT32_MAX, minimum=1)


def _tool(value: Value) -> Tool | None:
    if value is None:
        return None
    name, version, digest = expect.array(value, "tool", 3)
    return Tool(
        expect.text(name, "tool name", MAX_TOOL),
        expect.text(version, "tool version", MAX_TOOL),
        expect.octets_or_none(digest, "tool digest", 32),
    )


def _object(value: Value) -> tuple[bytes, bytes] | None:
    if value is None:
        return None
    sha256, sm3 = expect.array(value, "object", 2)
    return expect.octets(sha256, "object SHA-256", 32), expect.octets(sm3, "object SM3", 32)


def event_hash(leaf: bytes) -> bytes:
    """What the item's next event names as its previous one, 32 bytes. The leaf's sequence does not matter."""
    return SHA256.leaf(leaf[:8] + bytes(8) + leaf[16:])


@dataclass(frozen=True)
class Chain:
    """How far an item's events have come. `holder` None: not known any more."""

    item: bytes
    count: int
    head: bytes | None
    holder: int | None
    pending: int | None = None
    """To whom the holder has offered the item."""

    @classmethod
    def start(cls, item: bytes, submitter: int) -> Chain:
        """Before the first event, in the hands of who submitted the item."""
        return cls(item, 0, None, submitter)

    def continued_by(self, event: CustodyEvent) -> bool:
        """Whether the event is the next one."""
        return event.number == self.count + 1 and event.previous == self.head

    def after(self, kind: CustodyKind, submitter: int, event: CustodyEvent | None, digest: bytes) -> Chain:
        """With one event more; `digest` is its event hash, None stands for a body that is withheld.

        Raises:
            CustodyHolderMismatch
        """
        longer = replace(self, count=self.count + 1, head=digest)
        if kind is not CustodyKind.TRANSFER or self.holder is None:
            return longer
        if event is None:
            return replace(longer, holder=None, pending=None)
        if submitter == event.giver == self.holder:
            return replace(longer, pending=event.receiver)
        if submitter == event.receiver == self.pending and event.giver == self.holder:
            return replace(longer, holder=submitter, pending=None)
        raise CustodyHolderMismatch(
            f"organisation {self.holder} holds the item"
            + (f" and offers it to {self.pending}" if self.pending else ""),
            field="from",
        )


@dataclass(frozen=True)
class Statement:
    """The log's word about one item: so many events in the first `size` leaves. `stated_at` seconds UTC."""

    log_id: bytes
    item: bytes
    count: int
    head: bytes | None
    size: int
    root_sha256: bytes
    root_sm3: bytes
    stated_at: int

    def encode(self) -> bytes:
        """Deterministic CBOR; what is signed is this behind `STATEMENT_TAG`."""
        return cbor.encode(
            {
                0: VERSION,
                1: self.log_id,
                2: self.item,
                3: self.count,
                4: self.head,
                5: self.size,
                6: self.root_sha256,
                7: self.root_sm3,
                8: self.stated_at,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        value = cbor.decode(data, max_bytes=MAX_STATEMENT, max_depth=2, max_items=32)
        if isinstance(value, dict) and 0 in value:
            expect.version(value[0], VERSION, "statement version")
        members = expect.fields(value, "statement", range(9))
        out = cls(
            expect.octets(members[1], "logId", 32),
            expect.octets(members[2], "item", 32),
            expect.uint(members[3], "count", MAX_EVENTS),
            expect.octets_or_none(members[4], "head", 32),
            expect.uint(members[5], "size", MAX_TREE),
            expect.octets(members[6], "rootSha256", 32),
            expect.octets(members[7], "rootSm3", 32),
            expect.uint(members[8], "statedAt", expect.UINT40_MAX),
        )
        if (out.head is None) != (out.count == 0):
            raise MalformedInput("head: null where there are no events and only there", field="head")
        return out

    def verify(self, signature: bytes, public_key: bytes) -> None:
        """Whether the log's Ed25519 key (32 bytes) signed this.

        Raises:
            CustodyStatementInvalid
        """
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, STATEMENT_TAG + self.encode())
        except InvalidSignature:
            raise CustodyStatementInvalid("the log's key did not sign it", field="signature") from None
