"""The receipt of an event of a case: its bytes (docs/spec/case-receipt.md §1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol import cbor, expect
from protocol.cbor import Encodable, Value
from protocol.errors import MalformedInput, UnknownVersion
from verifier.case_state import CaseProof, parse_proof
from verifier.errors import MalformedReceipt, UnknownProofKind

MAGIC = "caseledger-case-receipt"
VERSION = 1
SUFFIX = ".ccr"
MAX_RECEIPT = 64 * 1024
_ZERO = bytes(32)


class EventKind(IntEnum):
    """What happened."""

    OPENED = 1
    MOVED = 2
    LAPSED = 3
    PAUSED = 4
    RESUMED = 5
    REVERSED = 6
    OVERDUE = 7


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """What the chain said. Codes are those of the case's policy; 0 is none. Times in seconds UTC."""

    kind: EventKind
    case_id: bytes
    version: int
    transition: int
    from_stage: int
    stage: int
    organisation: int
    co_organisation: int
    reason: int
    hold: int
    deadline: int
    time: int
    evidence: bytes = _ZERO
    statement: bytes = _ZERO
    note: bytes = _ZERO

    def encode(self) -> Encodable:
        return {
            0: int(self.kind), 1: self.case_id, 2: self.version, 3: self.transition, 4: self.from_stage,
            5: self.stage, 6: self.organisation, 7: self.co_organisation, 8: self.reason, 9: self.hold,
            10: self.deadline, 11: self.time, 12: [self.evidence, self.statement, self.note],
        }  # fmt: skip

    @classmethod
    def parse(cls, value: Value) -> CaseEvent:
        if not isinstance(value, dict) or list(value) != list(range(13)):
            raise MalformedInput("event: a map with the keys 0 to 12 is expected", field="event")
        digests = expect.array(value[12], "digests", 3)
        return cls(
            EventKind(expect.uint(value[0], "kind", 7, minimum=1)),
            expect.octets(value[1], "case id", 32),
            expect.uint(value[2], "version", expect.UINT32_MAX, minimum=1),
            expect.uint(value[3], "transition", 0xFFFF),
            expect.uint(value[4], "from stage", 63),
            expect.uint(value[5], "stage", 63, minimum=1),
            expect.uint(value[6], "organisation", expect.UINT32_MAX),
            expect.uint(value[7], "second organisation", expect.UINT32_MAX),
            expect.uint(value[8], "reason", 0xFFFF),
            expect.uint(value[9], "pause", 0xFF),
            expect.uint(value[10], "deadline", expect.UINT40_MAX),
            expect.uint(value[11], "time", expect.UINT40_MAX, minimum=1),
            *(expect.octets(one, "digest", 32) for one in digests),
        )


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where any node shows the event: told, not proved."""

    chain_id: int
    contract: bytes
    sequence: int
    block: int
    block_hash: bytes
    transaction: bytes
    log_index: int

    def encode(self) -> Encodable:
        return [
            self.chain_id, self.contract, self.sequence, self.block, self.block_hash, self.transaction,
            self.log_index,
        ]  # fmt: skip

    @classmethod
    def parse(cls, value: Value) -> EventPlace:
        members = expect.array(value, "place", 7)
        return cls(
            expect.uint(members[0], "chain id", minimum=1),
            expect.octets(members[1], "CaseLedger", 20),
            expect.uint(members[2], "sequence", minimum=1),
            expect.uint(members[3], "block number"),
            expect.octets(members[4], "block hash", 32),
            expect.octets(members[5], "transaction", 32),
            expect.uint(members[6], "log index", expect.UINT32_MAX),
        )


@dataclass(frozen=True, slots=True)
class CaseReceipt:
    """One event with its proof."""

    event: CaseEvent
    place: EventPlace
    proof: CaseProof

    def encode(self) -> bytes:
        return cbor.encode([MAGIC, VERSION, self.event.encode(), self.place.encode(), self.proof.encode()])

    @classmethod
    def parse(cls, data: bytes) -> CaseReceipt:
        """From the file's bytes.

        Raises:
            MalformedReceipt, UnknownVersion, UnknownProofKind
        """
        try:
            value = cbor.decode(data, max_bytes=MAX_RECEIPT, max_depth=8, max_items=4096)
            members = expect.array(value, "case receipt", minimum=2)
            if members[0] != MAGIC:
                raise MalformedReceipt("not a receipt of a case")
            expect.version(members[1], VERSION, "case receipt")
            expect.array(value, "case receipt", 5)
            out = cls(CaseEvent.parse(members[2]), EventPlace.parse(members[3]), parse_proof(members[4]))
        except (MalformedReceipt, UnknownVersion, UnknownProofKind):
            raise
        except MalformedInput as error:
            raise MalformedReceipt(f"{error.code}: {error.detail}", field=error.field) from error
        if out.encode() != data:
            raise MalformedReceipt("the receipt is not what its members encode to")
        return out
