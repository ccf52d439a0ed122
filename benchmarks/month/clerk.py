"""Turns deeds into signed transactions, and says which events each must leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.month.cast import Cast
from benchmarks.month.ledger import EvidenceDesk
from benchmarks.month.lives import FOREVER, ZERO, Deed, Society, move_of, reverse_of
from benchmarks.month.plan import BatchPlan
from cases.machine import CaseState
from chain.case_acts import (
    NOWHERE,
    BatchLink,
    call_for,
    evidence_digest,
    evidence_proof,
    lapse,
    mark_overdue,
    sign,
)
from chain.case_contracts import CaseContracts
from chain.transactions import Call
from protocol.acts import Purpose
from protocol.case_acts import CaseAct, Import, Pause, Resume
from protocol.case_totals import rules_digest

RULES = rules_digest("month", (), None)
EVENTS = {
    "move": "CaseMoved",
    "lapse": "CaseMoved",
    "pause": "CasePaused",
    "resume": "CaseResumed",
    "reverse": "CaseReversed",
    "mark": "CaseOverdue",
}


@dataclass(frozen=True)
class Expected:
    """An event that must come, and the values that matter."""

    name: str
    values: dict[str, Any]


@dataclass
class Clerk:
    """One desk for all organisations: each act is signed with its own organisation's key."""

    cast: Cast
    society: Society
    contracts: CaseContracts
    desk: EvidenceDesk

    def imported(self, batch: BatchPlan) -> tuple[Call, list[Expected]]:
        """The import of a batch."""
        act = Import(batch.owner, batch.root, len(batch.cases), RULES, batch.totals.commitment, FOREVER)
        signature = sign(act, self.contracts, self.cast.key(batch.owner))
        values = {
            "root": batch.root, "organisation": batch.owner, "count": len(batch.cases),
            "totals": batch.totals.commitment, "rules": RULES,
        }  # fmt: skip
        return call_for(act, signature, self.contracts), [Expected("BatchImported", values)]

    def gather(self, deed: Deed) -> tuple[int, ...]:
        """Hand in the entries that a deed rests on; they are anchored before it."""
        return tuple(self.desk.add(kind, who, deed.life.plan.case_id) for kind, who in deed.need)

    def call(self, deed: Deed, entries: Sequence[int], link: BatchLink | None) -> Call:
        """The transaction of a deed that the model has not made yet."""
        origin = deed.life.origin if deed.opens else NOWHERE
        case_id = deed.life.plan.case_id
        match deed.kind:
            case "lapse":
                assert deed.step is not None
                return lapse(case_id, deed.version, deed.step.id, self.contracts)
            case "mark":
                return mark_overdue(case_id, self.contracts, origin=origin)
            case "pause":
                pause = Pause(case_id, deed.version, deed.organisation, deed.hold, ZERO, FOREVER)
                return call_for(pause, self._sign(pause, deed), self.contracts, origin=origin)
            case "resume":
                resume = Resume(case_id, deed.version, deed.organisation, deed.hold, ZERO, FOREVER)
                return call_for(resume, self._sign(resume, deed), self.contracts)
            case "reverse":
                back = reverse_of(deed)
                other = sign(back, self.contracts, self.cast.key(deed.co_organisation))
                return call_for(back, self._sign(back, deed), self.contracts, co_signature=other)
        ids = [self.desk.id_of(index) for index in entries]
        move = move_of(deed, evidence_digest(ids))
        shown = [self.desk.show(index, link) for index in entries if link is not None]
        other = b""
        if deed.co_organisation:
            other = sign(move, self.contracts, self.cast.key(deed.co_organisation))
        return call_for(
            move, self._sign(move, deed), self.contracts,
            origin=origin, proof=evidence_proof(shown), co_signature=other,
        )  # fmt: skip

    def expected(self, deed: Deed, before: CaseState, after: CaseState, *, opens: bool) -> list[Expected]:
        """What the contract must report, given the case before and after in the model."""
        life = deed.life
        found = []
        if opens:
            origin = life.origin
            values = {
                "caseId": life.plan.case_id, "root": origin.root, "owner": life.plan.lead.owner,
                "index": origin.index, "product": origin.product, "commitment": origin.commitment,
                "deadline": before.deadline or 0,
            }  # fmt: skip
            found.append(Expected("CaseOpened", values))
        values = {"caseId": life.plan.case_id, "version": after.version}
        if deed.kind == "mark":
            values |= {"deadline": before.deadline, "stage": after.stage}
        elif deed.kind != "pause":
            values["deadline"] = after.deadline or 0
        if deed.kind in ("move", "lapse", "reverse"):
            values |= {"from": before.stage, "to": after.stage, "organisation": deed.organisation}
        if deed.step is not None:
            values |= {"transition": deed.step.id, "reason": deed.reason}
        return [*found, Expected(EVENTS[deed.kind], values)]

    def _sign(self, act: CaseAct, deed: Deed) -> bytes:
        lead = deed.life.plan.lead
        which = lead.mediator if deed.organisation == lead.mediation else 0
        return sign(act, self.contracts, self.cast.key(deed.organisation, Purpose.ACT, which))
