"""Acts on cases (docs/spec/case.md §6). Organisations are indexes, times seconds UTC, the rest 32 bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from protocol.acts import Act, Purpose


@dataclass(frozen=True)
class CaseAct(Act):
    """Base of the acts that CaseBatches and CaseLedger check; all are signed with an act key."""

    PURPOSE: ClassVar[Purpose | None] = Purpose.ACT


@dataclass(frozen=True)
class Import(CaseAct):
    """Bring a batch of cases; verifying contract CaseBatches."""

    TYPE = (
        "Import(uint32 organisation,bytes32 root,uint32 count,bytes32 rules,bytes32 totals,uint40 validUntil)"
    )
    organisation: int
    root: bytes
    count: int
    rules: bytes
    totals: bytes
    valid_until: int


@dataclass(frozen=True)
class Recall(CaseAct):
    """Take a batch back within 24 hours while no case of it has moved; verifying contract CaseBatches."""

    TYPE = "Recall(uint32 organisation,bytes32 root,uint40 validUntil)"
    organisation: int
    root: bytes
    valid_until: int


@dataclass(frozen=True)
class Move(CaseAct):
    """One step of a case; two organisations sign the same act where the policy wants two."""

    TYPE = (
        "Move(bytes32 caseId,uint32 version,uint16 transition,uint32 organisation,uint32 coOrganisation,"
        "uint16 reason,bytes32 evidence,bytes32 statement,bytes32 note,uint40 validUntil)"
    )
    case_id: bytes
    version: int
    transition: int
    organisation: int
    co_organisation: int
    reason: int
    evidence: bytes
    statement: bytes
    note: bytes
    valid_until: int


@dataclass(frozen=True)
class Pause(CaseAct):
    """Stop the clock of a case."""

    TYPE = (
        "Pause(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
    )
    case_id: bytes
    version: int
    organisation: int
    kind: int
    basis: bytes
    valid_until: int


@dataclass(frozen=True)
class Resume(CaseAct):
    """Let the clock of a case run again."""

    TYPE = (
        "Resume(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
    )
    case_id: bytes
    version: int
    organisation: int
    kind: int
    basis: bytes
    valid_until: int


@dataclass(frozen=True)
class Reverse(CaseAct):
    """Take the last step of a case back; its originator and another organisation sign."""

    TYPE = (
        "Reverse(bytes32 caseId,uint32 version,uint32 organisation,uint32 coOrganisation,bytes32 note,"
        "uint40 validUntil)"
    )
    case_id: bytes
    version: int
    organisation: int
    co_organisation: int
    note: bytes
    valid_until: int


CASE_ACTS: tuple[type[CaseAct], ...] = (Import, Recall, Move, Pause, Resume, Reverse)
