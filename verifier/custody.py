"""Custody sheet: reading and writing (docs/spec/custody.md §5). `verify_custody` checks what it claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol import cbor, entry, expect
from protocol.cbor import Encodable
from protocol.custody import MAX_EVENTS, MAX_STATEMENT, CustodyEvent, CustodyKind, Statement, event_hash
from protocol.entry import Header
from protocol.errors import MalformedInput, UnknownVersion
from verifier.custody_errors import MalformedCustody
from verifier.errors import UnknownProofKind
from verifier.receipt import MAX_RECEIPT, Receipt

MAGIC = "caseledger-custody"
VERSION = 1
SUFFIX = ".clc"
MAX_SHEET = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Event:
    """One event with its receipt. `body` is None where it is withheld."""

    data: bytes
    receipt: Receipt
    kind: CustodyKind
    header: Header
    body: CustodyEvent | None

    @property
    def hash(self) -> bytes:
        """What the next event names, 32 bytes."""
        return event_hash(self.receipt.core.leaf)

    @property
    def identity(self) -> bytes:
        """Evidence id of the event, 32 bytes."""
        return entry.evidence_id(self.receipt.core.leaf)

    @classmethod
    def parse(cls, data: bytes) -> Event:
        """From the receipt's bytes.

        Raises:
            MalformedCustody: no receipt, or one of another class.
            UnknownVersion, UnknownProofKind
        """
        try:
            receipt = Receipt.parse(data)
        except (UnknownVersion, UnknownProofKind):
            raise
        except MalformedInput as error:
            raise MalformedCustody(f"{error.code}: {error.detail}", field="event") from error
        core = receipt.core
        header = entry.parse_leaf(core.leaf).header
        kind = header.evidence_class
        if not isinstance(kind, CustodyKind):
            raise MalformedCustody(f"a receipt of class {int(kind)}", field="event")
        body = None if core.body is None else CustodyEvent.parse(core.body, kind)
        return cls(data, receipt, kind, header, body)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A custody sheet."""

    statement: Statement
    signature: bytes
    events: tuple[Event, ...]

    def encode(self) -> bytes:
        """The file's bytes."""
        return encode(self.statement, self.signature, [event.data for event in self.events])

    @classmethod
    def parse(cls, data: bytes) -> Sheet:
        """From the file's bytes.

        Raises:
            MalformedCustody, UnknownVersion, UnknownProofKind
        """
        try:
            return cls._parse(data)
        except (MalformedCustody, UnknownVersion, UnknownProofKind):
            raise
        except MalformedInput as error:
            raise MalformedCustody(f"{error.code}: {error.detail}", field=error.field) from error

    @classmethod
    def _parse(cls, data: bytes) -> Sheet:
        value = cbor.decode(data, max_bytes=MAX_SHEET, max_depth=3, max_items=MAX_EVENTS + 16)
        members = expect.array(value, "custody sheet", minimum=2)
        if members[0] != MAGIC:
            raise MalformedCustody("not a custody sheet")
        expect.version(members[1], VERSION, "custody sheet")
        expect.array(value, "custody sheet", 5)
        statement = expect.octets(members[2], "statement", maximum=MAX_STATEMENT)
        listed = expect.array(members[4], "events", maximum=MAX_EVENTS)
        return cls(
            Statement.parse(statement),
            expect.octets(members[3], "signature", 64),
            tuple(Event.parse(expect.octets(one, "event", maximum=MAX_RECEIPT)) for one in listed),
        )


def encode(statement: Statement, signature: bytes, receipts: Sequence[bytes]) -> bytes:
    """The file of a signed statement and the events' receipts, in the order of the chain."""
    listed: list[Encodable] = list(receipts)
    return cbor.encode([MAGIC, VERSION, statement.encode(), signature, listed])
