"""Carries out a run of triage: records each decision, then signs and sends its steps.

It may be killed at any point and run again: the sealed decision is durably at the gateway before the first
Move that carries its commitment leaves, and what was done is read from there. Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cases.decisions import record_of
from cases.errors import CaseStepNotTaken
from cases.lifecycle import Transition
from cases.triage_plan import Plan, State
from protocol.case_acts import Move
from protocol.case_batch import BatchRecipient
from protocol.case_decision import SealedDecision, seal_decision

VALID_SECONDS = 600


class Desk(Protocol):
    """What a run needs of the ledger."""

    def keep(self, sealed: SealedDecision, recipients: Sequence[int]) -> None:
        """Records a decision, durably. The same again changes nothing."""

    def evidence(self, case_id: bytes, step: Transition) -> tuple[bytes, ...]:
        """Ids of the entries that a step needs, in its order. Raises EvidenceMissing."""

    def send(self, act: Move, evidence: tuple[bytes, ...]) -> dict[str, Any]:
        """Signs a step, hands it in and waits; its state, `mined` once it counts."""


@dataclass(frozen=True)
class Done:
    """What a run did with one case."""

    commitment: bytes
    version: int
    steps: tuple[str, ...]


class Runner:
    """In the name of one organisation, to the recipients of one batch."""

    def __init__(
        self,
        desk: Desk,
        organisation: int,
        recipients: Callable[[bytes], Sequence[BatchRecipient]],
        clock: Callable[[], float],
    ) -> None:
        """`recipients`: of the batch of a case, in its order."""
        self._desk = desk
        self._organisation = organisation
        self._recipients = recipients
        self._clock = clock

    def carry_out(self, plan: Plan) -> Done:
        """Records and moves one case.

        Raises:
            ConfirmationMissing, EvidenceMissing, CaseStepNotTaken, and what the desk raises
        """
        if plan.state is State.RECORDED and plan.recorded is not None:
            commitment = plan.recorded
        else:
            commitment = self._record(plan)
        version = plan.at.version
        for step in plan.steps:
            self._move(plan.at.case_id, step, version, commitment)
            version += 1
        return Done(commitment, version, tuple(step.name for step in plan.steps))

    def _record(self, plan: Plan) -> bytes:
        # Evidence first: a decision that cannot be carried out is not recorded.
        for step in plan.steps:
            self._desk.evidence(plan.at.case_id, step)
        record = record_of(
            plan.proposal,
            plan.at.case_id,
            organisation=self._organisation,
            time=int(self._clock()),
            case_version=plan.at.version,
            officer=plan.officer,
            decided=plan.outcome,
            reason=plan.reason,
            previous=plan.at.newest,
        )
        recipients = self._recipients(plan.at.case_id)
        sealed = seal_decision(record, recipients)
        self._desk.keep(sealed, [one.organisation for one in recipients])
        return sealed.commitment

    def _move(self, case_id: bytes, step: Transition, version: int, commitment: bytes) -> None:
        from chain.case_acts import evidence_digest

        evidence = self._desk.evidence(case_id, step)
        until = int(self._clock()) + VALID_SECONDS
        act = Move(
            case_id, version, step.id, self._organisation, 0, 0, evidence_digest(evidence), bytes(32),
            commitment, until,
        )  # fmt: skip
        state = self._desk.send(act, evidence)
        if state.get("state") != "mined":
            code = str(state.get("code") or state.get("state"))
            raise CaseStepNotTaken(f"{step.name}: {code}", field="case", hint="run the same command again")
