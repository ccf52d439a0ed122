"""Decisions of triage: made from a table's proposal, checked against the table, kept sealed and in a chain.

docs/spec/triage.md §3 to §5. What the gateway keeps it cannot read; whoever opens a record can run the table
again (`reproduce`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from cases import decision_repository as repository
from cases import tracks, triage
from cases.access import Standing, may_have_row, may_see
from cases.decision_table import Confirmation, Decision, DecisionTable, Outcome, TableKind
from cases.errors import (
    CaseNotHere,
    ConfirmationMissing,
    DecisionNotLatest,
    DecisionNotReproduced,
    DecisionRecipientsWrong,
    DecisionTableUnknown,
    TooManyDecisions,
)
from cases.looks import Looks
from evidence.ports import Clock
from evidence.repository import Viewer
from protocol.case_decision import DecisionRecord, SealedDecision
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool

MOST_DECISIONS = 200
"""For one case."""


def table_of(kind: int, version: int) -> DecisionTable:
    """A released table. Raises DecisionTableUnknown."""
    released = {TableKind.TRIAGE: triage.TABLES, TableKind.TRACK: tracks.TABLES}
    for known, versions in released.items():
        if known == kind and version in versions:
            return versions[version]
    raise DecisionTableUnknown(f"kind {kind}, version {version}", field="table")


def record_of(
    proposal: Decision,
    case_id: bytes,
    *,
    organisation: int,
    time: int,
    case_version: int,
    officer: str | None = None,
    decided: Outcome | None = None,
    reason: str | None = None,
    previous: bytes | None = None,
) -> DecisionRecord:
    """What an organisation decides on a proposal: as proposed, or otherwise with a reason.

    Raises:
        ConfirmationMissing: a person must confirm this one case, and none is named.
    """
    outcome = decided or proposal.outcome
    _require_person(proposal, outcome, officer)
    return DecisionRecord(
        case_id,
        int(proposal.table.kind),
        proposal.table.version,
        proposal.table.digest,
        proposal.rule.number,
        proposal.values,
        proposal.outcome.code,
        outcome.code,
        organisation,
        officer,
        reason,
        time,
        case_version,
        previous,
    )


def _require_person(proposal: Decision, outcome: Outcome, officer: str | None) -> None:
    needed = Confirmation.PERSON in (proposal.confirm, outcome.confirm)
    if officer is None and (needed or outcome is not proposal.outcome):
        raise ConfirmationMissing(
            f"{outcome.name} by rule {proposal.rule.name}: a named person confirms this case", field="officer"
        )


def reproduce(record: DecisionRecord) -> tuple[Decision, Outcome]:
    """The table's answer to a record's inputs, and what was decided.

    Raises:
        DecisionTableUnknown, DecisionInputInvalid
        DecisionNotReproduced: the table says otherwise than the record claims.
        ConfirmationMissing
    """
    table = table_of(record.kind, record.table_version)
    proposal = table.decide(record.inputs)
    claimed = (record.table_digest, record.rule, record.proposed)
    if claimed != (table.digest, proposal.rule.number, proposal.outcome.code):
        raise DecisionNotReproduced(f"the table gives rule {proposal.rule.number}", field="rule")
    if record.decided not in table.outcomes:
        raise DecisionNotReproduced(f"{record.decided} is no outcome of the table", field="decided")
    outcome = table.outcomes[record.decided]
    _require_person(proposal, outcome, record.officer)
    return proposal, outcome


@dataclass(frozen=True)
class KeptDecision:
    """A decision as one organisation gets it; without content for who is no recipient."""

    case_id: bytes
    number: int
    commitment: bytes
    previous: bytes | None
    organisation: int
    received_at: int
    recipients: tuple[int, ...]
    ciphertext: bytes | None = field(default=None, repr=False)
    wrapped: bytes | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Hex, base64 for what is long."""

        def text(value: bytes | None) -> str | None:
            return None if value is None else base64.b64encode(value).decode()

        return {
            "number": self.number,
            "commitment": self.commitment.hex(),
            "previous": None if self.previous is None else self.previous.hex(),
            "organisation": self.organisation,
            "receivedAt": self.received_at,
            "recipients": list(self.recipients),
            "ciphertext": text(self.ciphertext),
            "wrapped": text(self.wrapped),
        }


class Decisions:
    """Keeps decisions and shows them to whom they concern."""

    def __init__(self, pool: Pool, looks: Looks, clock: Clock) -> None:
        self._pool = pool
        self._looks = looks
        self._clock = clock

    async def keep(self, sealed: SealedDecision, recipients: tuple[int, ...], viewer: Viewer) -> KeptDecision:
        """Adds a decision to its case's chain, durably. The same again changes nothing.

        Raises:
            MalformedInput
            CaseNotHere: for all who would not get the case's row.
            DecisionRecipientsWrong: not sealed to exactly the recipients of the batch, in their order.
            DecisionNotLatest: it does not name the newest decision of the case.
            TooManyDecisions
        """
        sealed.check()
        async with self._pool.acquire() as conn:
            expected = await self._recipients(conn, sealed.case_id, viewer)
            if expected is None:
                raise CaseNotHere(field="case")
            if recipients != expected or len(sealed.wrapped) != len(expected):
                raise DecisionRecipientsWrong(
                    f"organisations {', '.join(map(str, expected))}, in this order", field="recipients"
                )
            found = await repository.by_commitment(conn, sealed.commitment)
            if found is None:
                found = await self._added(conn, sealed, recipients, viewer)
        same = (found["case_id"], found["previous"], found["ciphertext"], tuple(found["wrapped"]))
        if same != (sealed.case_id, sealed.previous, sealed.ciphertext, sealed.wrapped):
            raise DecisionNotLatest("another record has this commitment", field="commitment")
        return _kept(found, viewer)

    async def _added(
        self, conn: AnyConnection, sealed: SealedDecision, recipients: tuple[int, ...], viewer: Viewer
    ) -> repository.Row:
        last = await repository.newest(conn, sealed.case_id)
        if sealed.previous != (None if last is None else last["commitment"]):
            raise _not_latest(last)
        number = 1 if last is None else last["number"] + 1
        if number > MOST_DECISIONS:
            raise TooManyDecisions(f"{MOST_DECISIONS} decisions of one case", field="case")
        now = self._clock()
        added = await repository.insert(conn, sealed, number, viewer.organisation, recipients, now)
        if added is not None:
            return added
        # Somebody was quicker; perhaps with the same record.
        added = await repository.by_commitment(conn, sealed.commitment)
        if added is None:
            raise _not_latest(await repository.newest(conn, sealed.case_id))
        return added

    async def of(self, case_id: bytes, viewer: Viewer) -> list[KeptDecision]:
        """All decisions of a case, first to last; content for recipients alone, noted as a look.

        Raises:
            CaseNotHere
        """
        async with self._pool.acquire() as conn:
            case = await repository.case(conn, case_id)
            if case is None or not may_see(viewer, _standing(case)):
                raise CaseNotHere(field="case")
            rows = await repository.of(conn, case_id)
        opens = may_have_row(viewer, case["recipients"] or (), _standing(case))
        if opens and rows:
            await self._looks.record_row([case_id], viewer.organisation, self._clock())
        else:
            await self._looks.note(case_id, viewer.organisation, self._clock())
        return [_kept(row, viewer if opens else None) for row in rows]

    async def _recipients(
        self, conn: AnyConnection, case_id: bytes, viewer: Viewer
    ) -> tuple[int, ...] | None:
        case = await repository.case(conn, case_id)
        if case is None or not may_have_row(viewer, case["recipients"] or (), _standing(case)):
            return None
        return tuple(case["recipients"])


def _standing(row: repository.Row) -> Standing:
    return Standing(row["owner"], row["stage"], row["court"], row["listed"])


def _kept(row: repository.Row, viewer: Viewer | None) -> KeptDecision:
    recipients = tuple(row["recipients"])
    content: tuple[bytes | None, bytes | None] = (None, None)
    if viewer is not None and viewer.organisation in recipients:
        content = row["ciphertext"], row["wrapped"][recipients.index(viewer.organisation)]
    return KeptDecision(
        row["case_id"],
        row["number"],
        row["commitment"],
        row["previous"],
        row["organisation"],
        row["received_at"],
        recipients,
        *content,
    )


def _not_latest(last: repository.Row | None) -> CaseledgerError:
    newest = "none" if last is None else last["commitment"].hex()
    return DecisionNotLatest(f"the newest decision is {newest}", field="previous", hint="read it first")
