"""The agent's custody journal and writer against a gateway in memory; sheets against its own events."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent.client import GatewayClient
from agent.custody import CustodyEventMissing, CustodyWriter, check_draft, check_own
from agent.custody_journal import CustodyJournal, EventDraft, JournaledEvent
from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable, LogNotTrusted
from agent.journal import State
from agent.submit import TrustedLog
from protocol.custody import CustodyEvent, CustodyKind, event_hash
from protocol.entry import evidence_id, parse_leaf, sequenced
from protocol.errors import MalformedInput
from protocol.hashing import SHA256
from protocol.identifiers import actor_ref, log_id
from protocol.submission import PROMISE_TAG, Acceptance, Promise, Submission, group_leaf, request_root
from tests.support.custody_world import COURT, CUSTODY_ORIGIN, CustodyWorld, signing_key
from verifier.custody import Sheet
from verifier.merkle import Tree

WORLD = CustodyWorld()
ITEM = WORLD.identity
LOG = TrustedLog(
    log_id(CUSTODY_ORIGIN),
    CUSTODY_ORIGIN,
    WORLD.item.domain,
    WORLD.item.log_key.public_key().public_bytes_raw(),
)
DRAFT = EventDraft(int(CustodyKind.ACCESS), 1_800_000_000, "庭审核对", actor="经办人")


class Gateway:
    """Accepts events of one item in the order of their numbers, as the real one does."""

    url = "http://gateway"

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.answers: dict[bytes, bytes] = {}
        self.faults: list[Exception] = []
        """Raised one a request, after the event was taken."""
        self.strangers = 0
        """So many others write first, each between our look and our event."""

    def custody_chain(self, item: str) -> dict[str, Any]:
        head = parse_leaf(WORLD.item.core.leaf).header
        return {
            "logId": LOG.log_id.hex(), "count": len(self.heads), "case": head.case_commitment.hex(),
            "head": self.heads[-1].hex() if self.heads else None, "privileged": head.privileged,
        }  # fmt: skip

    def submit(self, log: bytes, data: bytes) -> bytes:
        submission = Submission.parse(data)
        submission.check()
        root = submission.root()
        if self.strangers:
            self.strangers -= 1
            self.heads.append(bytes([self.strangers]) * 32)
        if root not in self.answers:
            leaf = submission.unsequenced_leaves()[0]
            event = CustodyEvent.parse(submission.entries[0][1], CustodyKind(leaf[1]))
            if (event.number, event.previous) != (
                len(self.heads) + 1,
                self.heads[-1] if self.heads else None,
            ):
                raise GatewayRefused("CustodyChainMoved", "", status=409)
            self.heads.append(event_hash(leaf))
            self.answers[root] = self._answer(leaf)
        if self.faults:
            raise self.faults.pop(0)
        return self.answers[root]

    def _answer(self, leaf: bytes) -> bytes:
        number = len(self.heads)
        tree = Tree(SHA256, [group_leaf(request_root([sequenced(leaf, number)]))])
        promise = Promise(LOG.log_id, tree.root, 1, 1, 2).encode()
        signature = WORLD.item.log_key.sign(PROMISE_TAG + promise)
        return Acceptance(promise, signature, number, number + 3, 1, 0, ()).encode()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[CustodyJournal]:
    with CustodyJournal(tmp_path / "custody.db") as made:
        yield made


def writer(journal: CustodyJournal, gateway: Gateway, log: TrustedLog = LOG, **changes: Any) -> CustodyWriter:
    now = [1_800_000_000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds + 0.01

    return CustodyWriter(
        journal, cast("GatewayClient", gateway), {log.log_id: log}, signing_key("court", COURT), COURT,
        clock=lambda: now[0], sleep=sleep, **changes,
    )  # fmt: skip


def body_of(event: JournaledEvent) -> CustodyEvent:
    assert event.body is not None
    return CustodyEvent.parse(event.body, event.draft.custody_kind)


def test_who_loses_the_race_signs_again_with_the_next_number(journal: CustodyJournal) -> None:
    gateway = Gateway()
    gateway.strangers = 3
    number = journal.add(ITEM, DRAFT)
    assert writer(journal, gateway).run() == 1
    event = journal.event(number)
    assert event.state is State.ACCEPTED
    assert body_of(event).number == 4
    assert body_of(event).previous == gateway.heads[2]


@pytest.mark.parametrize("fault", [GatewayUnreachable("no answer"), GatewayRefused("Busy", "", status=503)])
def test_an_answer_that_was_lost_is_asked_for_with_the_same_bytes(
    journal: CustodyJournal, fault: Exception
) -> None:
    gateway = Gateway()
    gateway.faults = [fault]
    number = journal.add(ITEM, DRAFT)
    with pytest.raises(type(fault)):
        writer(journal, gateway, patience=0.0).run()
    signed = journal.event(number)
    assert signed.state is State.SIGNED
    assert writer(journal, gateway).run() == 1
    event = journal.event(number)
    assert (event.state, event.body) == (State.ACCEPTED, signed.body)
    assert len(gateway.heads) == 1
    assert event.evidence_id is not None


def test_a_refusal_is_kept_and_not_repeated(journal: CustodyJournal) -> None:
    gateway = Gateway()
    gateway.faults = [GatewayRefused("CustodyHolderMismatch", "", status=422)]
    number = journal.add(ITEM, DRAFT)
    assert writer(journal, gateway).run() == 0
    assert (journal.event(number).state, journal.event(number).code) == (
        State.REFUSED,
        "CustodyHolderMismatch",
    )
    assert writer(journal, gateway).run() == 0


def test_only_a_custody_log_of_the_trust_file_gets_an_event(journal: CustodyJournal) -> None:
    journal.add(ITEM, DRAFT)
    for log in (
        dataclasses.replace(LOG, log_id=bytes(32)),
        dataclasses.replace(LOG, origin="centre.example/evidence"),
    ):
        with pytest.raises(LogNotTrusted):
            writer(journal, Gateway(), log).run()


def test_a_promise_of_another_key_is_no_answer(journal: CustodyJournal) -> None:
    number = journal.add(ITEM, DRAFT)
    with pytest.raises(GatewayAnswerInvalid):
        writer(journal, Gateway(), dataclasses.replace(LOG, public_key=bytes(31) + b"\x01")).run()
    assert journal.event(number).state is State.SIGNED


def test_a_person_is_a_salted_reference_to_an_id_that_stays_here(journal: CustodyJournal) -> None:
    one, two = (journal.add(ITEM, DRAFT) for _ in range(2))
    writer(journal, Gateway()).run()
    bodies = [body_of(journal.event(number)) for number in (one, two)]
    identity = journal.actor("经办人")
    assert [body.actor_ref for body in bodies] == [actor_ref(body.salt, identity) for body in bodies]
    assert bodies[0].actor_ref != bodies[1].actor_ref
    assert journal.actor("另一人") != identity


def test_a_draft_without_what_its_kind_needs_is_refused_before_it_is_journaled() -> None:
    check_draft(ITEM, DRAFT)
    for wrong in ({"kind": 65}, {"kind": 67, "receiver": 4}, {"kind": 68}, {"purpose": "x" * 201}):
        with pytest.raises(MalformedInput):
            check_draft(ITEM, dataclasses.replace(DRAFT, **wrong))


def ours(index: int) -> JournaledEvent:
    """Event `index` of the world's story as the agent that signed it journaled it."""
    event = WORLD.events[index]
    header, body = event.submission.entries[0]
    return JournaledEvent(
        1, ITEM, DRAFT, State.ACCEPTED, LOG.log_id, header, body, 0, bytes(65), b"",
        evidence_id(event.core.leaf), event.index, None,
    )  # fmt: skip


def test_a_sheet_that_leaves_out_an_event_of_ours_is_refused() -> None:
    whole = Sheet.parse(WORLD.sheet())
    check_own(whole, [ours(0), ours(6)])
    short = dataclasses.replace(whole, events=whole.events[:6])
    with pytest.raises(CustodyEventMissing):
        check_own(short, [ours(6)])
    older = Sheet.parse(WORLD.sheet(WORLD.receipts[:6], WORLD.statement(6)))
    check_own(older, [ours(6)])
    check_own(short, [dataclasses.replace(ours(6), state=State.SIGNED)])
