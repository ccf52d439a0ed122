"""Custody on a whole ledger: recorded over HTTP, handed out as a sheet, verified under its own trust file."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from agent.client import GatewayClient
from agent.custody import CustodyEventMissing, CustodyWriter, NextPlace, check_own
from agent.custody_journal import CustodyJournal, EventDraft, JournaledEvent
from agent.errors import GatewayRefused
from agent.journal import State
from agent.login import LoginTokens
from agent.profile import trusted_logs
from cli.stack import GATEWAY
from protocol.custody import CustodyKind
from protocol.entry import Header
from protocol.identifiers import log_id
from protocol.submission import Acceptance
from storage.cluster import Cluster
from tests.conftest import _remove, make_home
from tests.support.faulty import FaultyStack
from tests.support.stack import BANK_A, COURT, ORIGIN, Caller, caller, command, wait_for
from verifier.custody import Sheet, encode
from verifier.receipt import Receipt
from verifier.trust import TrustFile
from verifier.verdict import Report, Status
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

pytestmark = [pytest.mark.chain, pytest.mark.database]
CUSTODY = f"{ORIGIN}-custody"


@pytest.fixture(scope="module")
def stack() -> Iterator[FaultyStack]:
    """A ledger of its own, whose gateway can be ended at a point."""
    home = make_home()
    try:
        made = FaultyStack(home)
        made.up()
        yield made
    finally:
        _remove(home)


@dataclass
class Party:
    """An organisation's agent: journal, gateway, keys."""

    stack: FaultyStack
    who: Caller
    journal: CustodyJournal
    gateway: GatewayClient

    def record(self, item: str, kind: CustodyKind = CustodyKind.ACCESS, **said: Any) -> JournaledEvent:
        draft = EventDraft(int(kind), int(time.time()), "庭审核对", **said)
        number = self.journal.add(bytes.fromhex(item), draft)
        self.writer().run()
        return self.journal.event(number)

    def writer(self, patience: float = 60.0) -> CustodyWriter:
        logs = trusted_logs(TrustFile.parse(self.stack.accepted_path.read_bytes()))
        return CustodyWriter(
            self.journal, self.gateway, logs, self.who.key(), self.who.index, clock=time.time,
            sleep=time.sleep, patience=patience,
        )  # fmt: skip


Make = Callable[[str, int], Party]


@contextmanager
def parties(stack: FaultyStack, folder: Path) -> Iterator[Make]:
    """Agents of organisations, each with a journal of its own; closed by the thread that made them."""
    with ExitStack() as closing:

        def party(slug: str, index: int) -> Party:
            who = caller(stack, slug, index)
            tokens = LoginTokens(who.key("auth"), index, who.domain, time.time)
            path = folder / f"custody-{slug}-{secrets.token_hex(4)}.db"
            journal = closing.enter_context(CustodyJournal(path))
            return Party(stack, who, journal, closing.enter_context(GatewayClient(who.url, tokens=tokens)))

        yield party


@pytest.fixture
def make(stack: FaultyStack, tmp_path: Path) -> Iterator[Make]:
    with parties(stack, tmp_path) as party:
        yield party


@pytest.fixture
def bank(make: Make) -> Party:
    return make("bank-a", BANK_A)


@pytest.fixture
def court(make: Make) -> Party:
    return make("court", COURT)


def document(bank: Party) -> tuple[str, bytes]:
    """A new item of the bank: its id and its receipt."""
    done = bank.who.post(bank.who.submission())
    assert done.status_code == 200, done.text
    index = Acceptance.parse(done.content).first_index
    items = bank.gateway.list_evidence(limit=20)["items"]
    identity = next(one["id"] for one in items if one["index"] == index)

    def receipt() -> bytes | None:
        try:
            return bank.gateway.receipt(identity)
        except Exception:
            return None

    return identity, wait_for(receipt)


def sheet_of(party: Party, item: str, count: int) -> bytes:
    """The sheet, once so many events are anchored and proved."""

    def fetch() -> bytes | None:
        try:
            data = party.gateway.custody_sheet(item)
        except Exception:
            return None
        return data if Sheet.parse(data).statement.count >= count else None

    found: bytes = wait_for(fetch)
    return found


def verdict(stack: FaultyStack, receipt: bytes, sheet: bytes, *known: bytes) -> tuple[Status, str]:
    report = report_of(stack, receipt, sheet, *known)
    found = report.verdict("custody")
    return found.status, found.code


def report_of(stack: FaultyStack, receipt: bytes, sheet: bytes, *known: bytes) -> Report:
    trust = stack.accepted_path.read_bytes()
    return verify_receipt(receipt, trust, at=int(time.time()), custody=CustodyShown(sheet, known))


GOOD = (Status.PASS, "CustodyContinuous")


def test_events_of_several_organisations_make_one_sheet_that_verifies(
    stack: FaultyStack, bank: Party, court: Party
) -> None:
    item, receipt = document(bank)
    empty = bank.gateway.custody_sheet(item)
    assert verdict(stack, receipt, empty) == (Status.PASS, "CustodyNoEvents")
    digests = {"object_sha256": "ab" * 32, "object_sm3": "cd" * 32}
    hand = {"giver": BANK_A, "receiver": COURT}
    bank.record(item, CustodyKind.COPY, receiver=COURT, actor="经办人", **digests)
    bank.record(item, CustodyKind.TRANSFER, **hand)
    court.record(item, CustodyKind.TRANSFER, **hand)
    last = court.record(item, CustodyKind.VERIFY, result=0, **digests)
    data = sheet_of(bank, item, 4)
    report = report_of(stack, receipt, data)
    assert (report.verdict("custody").status, report.verdict("custody").code) == GOOD
    assert report.facts["custodyEvents"] == 4
    assert report.facts["custodyHolder"] == COURT
    assert report.facts["custodyLast"] == (last.evidence_id or b"").hex()
    without = verify_receipt(receipt, stack.accepted_path.read_bytes(), at=int(time.time()))
    assert report.result is without.result

    sheet = Sheet.parse(data)
    events = [one.data for one in sheet.events]

    def shown(*chosen: bytes) -> bytes:
        return encode(sheet.statement, sheet.signature, chosen)

    one, two, three, four = events
    assert verdict(stack, receipt, shown(one, three, four)) == (Status.FAIL, "CustodyGap")
    assert verdict(stack, receipt, shown(one, two, three)) == (Status.FAIL, "CustodyCountMismatch")
    assert verdict(stack, receipt, shown(one, three, two, four)) == (Status.FAIL, "CustodyReordered")
    forged = dataclasses.replace(sheet.statement, count=3, head=sheet.events[2].hash)
    assert verdict(stack, receipt, encode(forged, sheet.signature, events[:3])) == (
        Status.FAIL,
        "CustodyStatementInvalid",
    )
    other_item, other_receipt = document(bank)
    assert verdict(stack, other_receipt, data) == (Status.FAIL, "CustodyOtherItem")
    bank.record(other_item)
    foreign = Sheet.parse(sheet_of(bank, other_item, 1)).events[0].data
    assert verdict(stack, receipt, shown(foreign, two, three, four)) == (Status.FAIL, "CustodyOtherItem")
    # Another organisation's name on an event: the leaf is another one, and in no tree.
    core = sheet.events[0].receipt.core
    leaf = core.leaf[:4] + COURT.to_bytes(4, "big") + core.leaf[8:]
    stolen = Receipt.of(dataclasses.replace(core, leaf=leaf)).encode()
    assert verdict(stack, receipt, shown(stolen, two, three, four))[0] is Status.FAIL


def test_an_older_sheet_is_found_out_by_who_knows_a_later_event(
    stack: FaultyStack, bank: Party, court: Party
) -> None:
    item, receipt = document(bank)
    court.record(item)
    older = sheet_of(bank, item, 1)
    court.record(item)
    newer = sheet_of(bank, item, 2)
    event = Sheet.parse(newer).events[1].data
    assert verdict(stack, receipt, older) == GOOD
    assert verdict(stack, receipt, older, event) == (Status.REDUCED, "CustodyOutdated")
    assert verdict(stack, receipt, newer, event) == GOOD
    since = Sheet.parse(newer).statement.stated_at + 1
    trust = stack.accepted_path.read_bytes()
    shown = CustodyShown(older, since=since)
    late = verify_receipt(receipt, trust, at=int(time.time()), custody=shown).verdict("custody")
    assert (late.status, late.code) == (Status.REDUCED, "CustodyOutdated")
    # The agent knows its own events: a sheet over a size that holds one and leaves it out is refused.
    events = court.journal.events(item=bytes.fromhex(item))
    check_own(Sheet.parse(newer), events)
    check_own(Sheet.parse(older), events)
    lie = Sheet.parse(older)
    size = Sheet.parse(newer).statement.size
    lie = dataclasses.replace(lie, statement=dataclasses.replace(lie.statement, size=size))
    with pytest.raises(CustodyEventMissing):
        check_own(lie, events)


def test_each_log_refuses_the_other_kind_of_entry(bank: Party) -> None:
    item, _ = document(bank)
    place = NextPlace.of(bank.gateway.custody_chain(item))
    assert place.log_id == log_id(CUSTODY)
    custody = dataclasses.replace(bank.who, log_id=place.log_id)
    refused = custody.post(custody.submission())
    assert (refused.status_code, refused.json()["code"]) == (422, "ClassMisplaced")
    event = bank.record(item)
    assert event.header is not None
    assert event.body is not None
    wrong = bank.who.post(bank.who.submission([(event.header, event.body)]))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "ClassMisplaced")
    other = Header(CustodyKind.ACCESS, BANK_A, secrets.token_bytes(32)).pack()
    unknown = custody.post(custody.submission([(other, event.body)]))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CustodyItemUnknown")


def test_two_organisations_recording_at_once_never_fork_the_chain(
    stack: FaultyStack, bank: Party, tmp_path: Path
) -> None:
    item, receipt = document(bank)
    faults: list[Exception] = []

    def work(slug: str, index: int) -> None:
        try:
            with parties(stack, tmp_path) as party:
                one = party(slug, index)
                for _ in range(6):
                    assert one.record(item).state is State.ACCEPTED
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=who) for who in (("bank-a", BANK_A), ("court", COURT)) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    assert verdict(stack, receipt, sheet_of(bank, item, 24)) == GOOD


def test_a_gateway_killed_between_accept_and_answer_neither_loses_nor_doubles_an_event(
    stack: FaultyStack, bank: Party, court: Party
) -> None:
    item, receipt = document(bank)
    number = court.journal.add(
        bytes.fromhex(item), EventDraft(int(CustodyKind.ACCESS), int(time.time()), "核对")
    )
    stack.arm("accept.committed")
    with pytest.raises(Exception, match=r"no answer|gateway"):
        court.writer(patience=0.0).run()
    assert stack.was_hit("accept.committed")
    assert court.journal.event(number).state is State.SIGNED
    stack.start(GATEWAY)
    stack.wait_ready(GATEWAY)
    court.writer().run()
    assert court.journal.event(number).state is State.ACCEPTED
    assert court.record(item).state is State.ACCEPTED
    data = sheet_of(bank, item, 2)
    assert verdict(stack, receipt, data) == GOOD
    assert Sheet.parse(data).statement.count == 2


def test_the_operator_records_what_it_hands_to_others_before_it_does(
    stack: FaultyStack, bank: Party, court: Party
) -> None:
    item, _ = document(bank)
    handed = court.gateway.receipt(item)
    events = bank.gateway.custody_chain(item)["events"]
    assert [(one["class"], one["submitter"]) for one in events] == [(int(CustodyKind.EXPORT), 1)]
    court.gateway.receipts([item, item])
    chain = bank.gateway.custody_chain(item)
    assert chain["count"] == 2
    bank.gateway.receipt(item)
    bank.gateway.receipts([item])
    assert bank.gateway.custody_chain(item)["count"] == 2
    assert verdict(stack, handed, sheet_of(bank, item, 2)) == GOOD


def test_who_may_not_see_the_item_learns_nothing_of_its_custody(bank: Party, make: Make) -> None:
    item, _ = document(bank)
    stranger = make("bank-b", BANK_A + 1)
    for path in ("custody", "custody/chain"):
        with httpx.Client(base_url=bank.who.url, trust_env=False) as http:
            answer = http.get(f"/v1/evidence/{item}/{path}", headers=stranger.who.headers())
            missing = http.get(f"/v1/evidence/{'ab' * 32}/{path}", headers=stranger.who.headers())
        assert (answer.status_code, answer.json()["code"]) == (404, "EvidenceNotFound")
        assert answer.json()["detail"] == missing.json()["detail"]


def test_the_books_are_clean_and_lists_show_no_events(stack: FaultyStack, bank: Party, court: Party) -> None:
    item, _ = document(bank)
    court.record(item)
    sheet_of(bank, item, 1)
    assert command(stack.home, "fsck")["findings"] == []
    for who in (bank, court):
        classes = {one["class"] for one in who.gateway.list_evidence(limit=1000)["items"]}
        assert not classes & {int(kind) for kind in CustodyKind}
    case = bank.gateway.evidence(item)["case"]
    assert [one["id"] for one in court.gateway.list_evidence(case_commitment=case)["items"]] == [item]
    custody = bank.gateway.status()["custody"]
    assert custody["recordsOwn"] is True
    assert custody["trouble"] is None


def test_a_custody_log_that_stands_still_holds_up_no_evidence(
    stack: FaultyStack, bank: Party, court: Party
) -> None:
    item, _ = document(bank)

    async def halt(status: str) -> None:
        owner = await asyncpg.connect(Cluster(stack.home).dsn("migrator"))
        try:
            await owner.execute(
                "UPDATE evidence.log_status SET status = $1 WHERE log_no ="
                " (SELECT log_no FROM evidence.log WHERE log_id = $2)",
                status, log_id(CUSTODY),
            )  # fmt: skip
        finally:
            await owner.close()

    asyncio.run(halt("halted"))
    try:
        number = court.journal.add(
            bytes.fromhex(item), EventDraft(int(CustodyKind.ACCESS), int(time.time()), "核对")
        )
        with pytest.raises(GatewayRefused) as caught:
            court.writer(patience=0.0).run()
        assert caught.value.status == 503
        # What the operator cannot record it does not hand out.
        with pytest.raises(GatewayRefused) as kept:
            court.gateway.receipt(item)
        assert kept.value.status == 503
        assert bank.who.post(bank.who.submission()).status_code == 200
        assert document(bank)
        ready = httpx.get(f"{bank.who.url}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["checks"]["custody"]) == (200, False)
    finally:
        asyncio.run(halt("open"))
    assert wait_for(lambda: court.writer().run() == 1)
    assert court.journal.event(number).state is State.ACCEPTED
