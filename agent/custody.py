"""Records custody events of this organisation, and reads an item's custody back with its own events at hand.

An event's number in its item's chain is under our signature, so it is chosen here, from what the gateway
shows. Whoever was faster makes ours fail with `CustodyChainMoved`; then it is signed anew, with the next one.
Killed at any point, the next run sends the same bytes and gets the same answer, or signs anew if they were
not taken.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.client import GatewayClient
from agent.custody_journal import CustodyJournal, EventDraft, JournaledEvent
from agent.errors import AgentError, GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable, LogNotTrusted
from agent.journal import State
from agent.patience import Patience
from agent.provenance import own_program
from agent.submit import TrustedLog
from protocol.acts import BadSignature, Signer
from protocol.custody import CustodyEvent, CustodyKind, Tool, event_hash, is_custody_log
from protocol.entry import FLAG_PRIVILEGED, Header, evidence_id
from protocol.errors import MalformedInput
from protocol.expect import from_hex, uint
from protocol.identifiers import actor_ref
from protocol.submission import Acceptance, PromiseMismatch, Submission, check_acceptance
from verifier.custody import Sheet

VALIDITY = 900
RENEW_BEFORE = 60
MOVED, EXPIRED = "CustodyChainMoved", "ActExpired"
KEY_REFUSALS = (401, 403)


class CustodyEventMissing(AgentError):
    """The log's signed word about the chain leaves out an event of ours that it promised: proof of fault."""

    title = "the custody sheet leaves out an event of ours"


class CustodyNotRecorded(AgentError):
    """An event that was to be recorded first was refused; what it was about was not done."""

    title = "custody event refused, nothing was opened"


@dataclass(frozen=True)
class NextPlace:
    """What a gateway says of an item: where the next event goes, and what its header repeats."""

    log_id: bytes
    number: int
    previous: bytes | None
    case: bytes
    privileged: bool

    @classmethod
    def of(cls, chain: Mapping[str, Any]) -> NextPlace:
        """From custody.md §7. Raises GatewayAnswerInvalid."""
        try:
            head = chain["head"]
            return cls(
                from_hex(chain["logId"], "logId", 32),
                uint(chain["count"], "count") + 1,
                None if head is None else from_hex(head, "head", 32),
                from_hex(chain["case"], "case", 32),
                bool(chain["privileged"]),
            )
        except (KeyError, TypeError, MalformedInput):
            raise GatewayAnswerInvalid("the chain does not have the documented shape") from None


class CustodyWriter:
    """Delivers journaled events through one gateway."""

    def __init__(
        self,
        journal: CustodyJournal,
        gateway: GatewayClient,
        trusted: Mapping[bytes, TrustedLog],
        signer: Signer,
        organisation: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        patience: float = 60.0,
    ) -> None:
        self._journal = journal
        self._gateway = gateway
        self._trusted = trusted
        self._signer = signer
        self._organisation = organisation
        self._clock = clock
        self._sleep = sleep
        self._patience = patience

    def run(self) -> int:
        """Delivers all that wait; how many were accepted.

        Raises:
            GatewayUnreachable, GatewayRefused (the key; or still too busy): all is in the journal.
            LogNotTrusted, GatewayAnswerInvalid
        """
        done = 0
        for event in self._journal.events([State.NEW, State.SIGNED]):
            done += self._deliver(event)
        return done

    def _deliver(self, event: JournaledEvent) -> bool:
        patience = Patience(self._patience, self._clock, self._sleep)
        while True:
            try:
                if event.state is State.NEW:
                    event = self._signed(event)
                return self._send(event)
            except GatewayRefused as error:
                if error.code == MOVED:
                    self._journal.lost(event.id)
                elif error.code == EXPIRED:
                    self._renew(event)
                elif error.status in KEY_REFUSALS:
                    raise
                elif not error.temporary:
                    self._journal.refuse(event.id, error.code)
                    return False
                fault: GatewayRefused | GatewayUnreachable = error
            except GatewayUnreachable as error:
                fault = error
            if patience.over:
                raise fault
            event = self._journal.event(event.id)
            patience.pause(fault)

    def _signed(self, event: JournaledEvent) -> JournaledEvent:
        """Chooses the place, signs, journals."""
        place = NextPlace.of(self._gateway.custody_chain(event.item.hex()))
        log = self._log(place.log_id)
        draft, salt = event.draft, secrets.token_bytes(32)
        actor = None if draft.actor is None else self._journal.actor(draft.actor)
        body = _body(event.item, draft, place.number, place.previous, salt, actor).encode(draft.custody_kind)
        flags = FLAG_PRIVILEGED if place.privileged else 0
        header = Header(draft.custody_kind, self._organisation, place.case, 0, flags).pack()
        self._keep(event.id, log, header, body)
        return self._journal.event(event.id)

    def _renew(self, event: JournaledEvent) -> None:
        """A fresh signature over the same event."""
        if event.log_id is not None and event.header is not None and event.body is not None:
            self._keep(event.id, self._log(event.log_id), event.header, event.body)

    def _keep(self, number: int, log: TrustedLog, header: bytes, body: bytes) -> None:
        submission = Submission.sign(
            log_id=log.log_id,
            organisation=self._organisation,
            valid_until=int(self._clock()) + VALIDITY,
            entries=[(header, body)],
            domain=log.domain,
            key=self._signer,
        )
        self._journal.sign(
            number, log_id=log.log_id, header=header, body=body, valid_until=submission.valid_until,
            signature=submission.signature,
        )  # fmt: skip

    def _send(self, event: JournaledEvent) -> bool:
        if event.valid_until is not None and event.valid_until <= self._clock() + RENEW_BEFORE:
            self._renew(event)
            event = self._journal.event(event.id)
        if (
            event.log_id is None
            or event.header is None
            or event.body is None
            or event.valid_until is None
            or event.signature is None
        ):
            raise AgentError("an event is signed and has no signature", field="custody")
        log = self._log(event.log_id)
        submission = Submission(
            event.log_id,
            self._organisation,
            event.valid_until,
            event.signature,
            ((event.header, event.body),),
        )
        answer = self._gateway.submit(log.log_id, submission.encode())
        try:
            acceptance = Acceptance.parse(answer)
            (leaf,) = check_acceptance(submission, acceptance, log.public_key)
        except (MalformedInput, PromiseMismatch, BadSignature) as error:
            raise GatewayAnswerInvalid(
                f"the promise does not hold: {error.detail}", field=error.field
            ) from None
        self._journal.accept(event.id, answer, evidence_id(leaf), acceptance.first_index)
        return True

    def _log(self, log_id: bytes) -> TrustedLog:
        log = self._trusted.get(log_id)
        if log is None or not is_custody_log(log.origin):
            raise LogNotTrusted(
                "the trust file names no such custody log", field="logId",
                hint="accept the current trust file",
            )  # fmt: skip
        return log


def check_draft(item: bytes, draft: EventDraft) -> None:
    """Whether an event says what its kind needs, before it is journaled. Raises MalformedInput."""
    _body(item, draft, 1, None, bytes(32), None).encode(draft.custody_kind)


def _body(
    item: bytes,
    draft: EventDraft,
    number: int,
    previous: bytes | None,
    salt: bytes,
    actor: bytes | None,
) -> CustodyEvent:
    """The event that a draft becomes at a place. `actor`: id of the person, 32 bytes."""
    program = own_program()
    digests = None
    if draft.object_sha256 is not None and draft.object_sm3 is not None:
        digests = bytes.fromhex(draft.object_sha256), bytes.fromhex(draft.object_sm3)
    return CustodyEvent(
        item=item,
        number=number,
        previous=previous,
        event_time=draft.event_time,
        salt=salt,
        purpose=draft.purpose,
        actor_ref=None if actor is None else actor_ref(salt, actor),
        giver=draft.giver,
        receiver=draft.receiver,
        authority=draft.authority,
        tool=Tool(program.name, program.version, program.sha256),
        object=digests,
        result=draft.result,
        where=draft.where,
        before=draft.before,
        change=draft.change,
    )


def check_own(sheet: Sheet, events: Sequence[JournaledEvent]) -> None:
    """Whether a sheet holds every event of ours that the log had promised below the size that it states.

    Raises:
        CustodyEventMissing
    """
    shown = {event.hash for event in sheet.events}
    stated = sheet.statement
    for event in events:
        if event.state is not State.ACCEPTED or event.header is None or event.body is None:
            continue
        submission = Submission(stated.log_id, 1, 0, bytes(65), ((event.header, event.body),))
        ours = event_hash(submission.unsequenced_leaves()[0])
        below = event.log_id != stated.log_id or (event.leaf_index or 0) < stated.size
        if below and ours not in shown:
            raise CustodyEventMissing(
                f"{CustodyKind(event.draft.kind).name.lower()}, promised at index {event.leaf_index}",
                field="custody", hint="keep the sheet and the journal: together they prove it",
            )  # fmt: skip
