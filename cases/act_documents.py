"""Acts on a case as JSON (docs/spec/case.md §8): what is signed, and what time alone makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.case_acts import SignedCaseAct, parse_document
from chain.case_contracts import CaseContracts
from protocol import expect
from protocol.case_acts import Move, Pause, Resume, Reverse
from protocol.errors import MalformedInput
from protocol.hashing import sha256

LAPSE, MARK_OVERDUE = "Lapse", "MarkOverdue"
ON_A_CASE = (Move, Pause, Resume, Reverse)
NAMES = (*(kind.__name__ for kind in ON_A_CASE), LAPSE, MARK_OVERDUE)
_TAG = b"caseledger/unsigned-case-act/v1"


@dataclass(frozen=True)
class TimeAct:
    """What time alone makes: a lapse, or that a deadline is recorded as passed (`transition` 0)."""

    case_id: bytes
    version: int
    transition: int = 0

    @property
    def name(self) -> str:
        """`Lapse` or `MarkOverdue`."""
        return LAPSE if self.transition else MARK_OVERDUE

    @property
    def digest(self) -> bytes:
        """Names it, as an act's digest names an act."""
        number = self.version.to_bytes(4, "big") + self.transition.to_bytes(2, "big")
        return sha256(_TAG + self.case_id + number)


@dataclass(frozen=True)
class CaseDocument:
    """A parsed document. `json` is what came in."""

    act: SignedCaseAct | TimeAct
    json: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The act's name."""
        return self.act.name

    @property
    def case_id(self) -> bytes:
        """32 bytes."""
        if isinstance(self.act, TimeAct):
            return self.act.case_id
        found: bytes = getattr(self.act.act, "case_id")  # noqa: B009 - all of ON_A_CASE have it
        return found

    @property
    def version(self) -> int:
        """The version of the case that it names."""
        if isinstance(self.act, TimeAct):
            return self.act.version
        return int(getattr(self.act.act, "version"))  # noqa: B009

    @property
    def organisations(self) -> tuple[int, int]:
        """Who acts, and who signs as well; 0 for nobody."""
        if isinstance(self.act, TimeAct):
            return 0, 0
        act = self.act.act
        return int(getattr(act, "organisation")), int(getattr(act, "co_organisation", 0))  # noqa: B009

    def digest(self, contracts: CaseContracts) -> bytes:
        """What the organisations sign; the same act has the same one whatever proofs come with it."""
        if isinstance(self.act, TimeAct):
            return self.act.digest
        return self.act.act.digest(contracts.ledger_domain)


def parse(value: object) -> CaseDocument:
    """From JSON. Nothing is checked but the shape.

    Raises:
        MalformedInput, LimitExceeded
    """
    name = value.get("act") if isinstance(value, dict) else None
    if name not in NAMES or not isinstance(value, dict):
        raise MalformedInput(f"act: one of {', '.join(NAMES)}", field="act")
    if name not in (LAPSE, MARK_OVERDUE):
        return CaseDocument(parse_document(value), value)
    request = expect.json_members(value, "act", ("act", "request"))["request"]
    members = ("caseId", "version", "transition") if name == LAPSE else ("caseId", "version")
    values = expect.json_members(request, "request", members)
    return CaseDocument(
        TimeAct(
            expect.from_hex(values["caseId"], "caseId", 32),
            expect.uint(values["version"], "version", expect.UINT32_MAX),
            expect.uint(values["transition"], "transition", 2**16 - 1, minimum=1) if name == LAPSE else 0,
        ),
        value,
    )


def time_document(act: TimeAct) -> dict[str, Any]:
    """Inverse of `parse` for what nobody signs."""
    request: dict[str, Any] = {"caseId": act.case_id.hex(), "version": act.version}
    if act.transition:
        request["transition"] = act.transition
    return {"act": act.name, "request": request}
