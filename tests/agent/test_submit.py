"""Delivery: the same bytes until they are accepted, patience with the busy, a way round the silent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agent.adding import Options, add_files, parse_class, parse_link, resolve_case
from agent.client import GatewayClient, LogInfo
from agent.errors import (
    ArgumentRefused,
    GatewayAnswerInvalid,
    GatewayRefused,
    GatewayUnreachable,
    LogNotTrusted,
    UnknownCase,
)
from agent.journal import Journal, State
from agent.keys import Ed25519Key, KeyLabel, Secp256k1Key, new_key
from agent.patience import PatientStorage
from agent.submit import MAX_ENTRIES, Submitter, TrustedLog
from protocol import entry as leaves
from protocol import tree
from protocol.acts import Domain
from protocol.entry import EvidenceClass, Relation
from protocol.errors import MalformedInput
from protocol.hashing import SHA256
from protocol.identifiers import log_id
from protocol.submission import Acceptance, Promise, Submission, group_leaf, request_root

ORGANISATION = 5
DOMAIN = Domain(77, b"\x42" * 20)
NOW = 1_800_000_000.0


def ed25519() -> Ed25519Key:
    key = new_key("ed25519", KeyLabel("log", "log", 1))
    assert isinstance(key, Ed25519Key)
    return key


def act_key() -> Secp256k1Key:
    key = new_key("secp256k1", KeyLabel("bank-act", "act", ORGANISATION))
    assert isinstance(key, Secp256k1Key)
    return key


class Log:
    """An honest log in memory: assigns places, signs promises, answers repeats alike."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ed25519()
        self.size = 0
        self.answers: dict[bytes, bytes] = {}
        self.leaves: list[bytes] = []

    @property
    def trusted(self) -> TrustedLog:
        return TrustedLog(log_id(self.origin), self.origin, DOMAIN, self.key.public_key)

    def accept(self, data: bytes) -> bytes:
        submission = Submission.parse(data)
        root = submission.check().root
        if root not in self.answers:
            first = self.size
            placed = [
                leaves.sequenced(leaf, first + at + 1)
                for at, leaf in enumerate(submission.unsequenced_leaves())
            ]
            self.size += len(placed)
            self.leaves += placed
            group = tree.root(SHA256, [group_leaf(request_root(placed))])
            promise = Promise(submission.log_id, group, 1, int(NOW), int(NOW) + 60)
            self.answers[root] = Acceptance(
                promise.encode(), self.key.sign(promise.message()), first + 1, first, len(placed), 0, ()
            ).encode()
        return self.answers[root]


Reply = Callable[[Log, bytes], bytes]


def honest(log: Log, data: bytes) -> bytes:
    return log.accept(data)


def busy(seconds: float | None = None) -> Reply:
    def reply(log: Log, data: bytes) -> bytes:
        raise GatewayRefused("Busy", "later", status=503, retry_after=seconds)

    return reply


def silent(log: Log, data: bytes) -> bytes:
    raise GatewayUnreachable("no answer")


def unheard(log: Log, data: bytes) -> bytes:
    """Accepts, and the answer is lost."""
    log.accept(data)
    raise GatewayUnreachable("no answer")


def refusing(code: str, status: int) -> Reply:
    def reply(log: Log, data: bytes) -> bytes:
        raise GatewayRefused(code, "no", status=status)

    return reply


def lying(log: Log, data: bytes) -> bytes:
    answer = Acceptance.parse(log.accept(data))
    return replace(answer, first_sequence=answer.first_sequence + 1).encode()


class Gateway:
    """Speaks for one log; follows its script, then keeps to its last word."""

    def __init__(self, url: str, log: Log, *script: Reply) -> None:
        self.url = url
        self.log = log
        self.script: list[Reply] = list(script) or [honest]
        self.sent: list[bytes] = []

    def logs(self) -> list[LogInfo]:
        return [LogInfo(log_id(self.log.origin), self.log.origin, 1, True, "open", self.log.size)]

    def submit(self, log: bytes, data: bytes) -> bytes:
        self.sent.append(data)
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return reply(self.log, data)


class Time:
    def __init__(self) -> None:
        self.now = NOW
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as made:
        yield made


@pytest.fixture
def clock() -> Time:
    return Time()


def files(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:05}").write_bytes(secrets.token_bytes(12))
    return folder


def add(journal: Journal, folder: Path, **changes: Any) -> list[int]:
    options = Options(journal.case("c"), EvidenceClass.CONTRACT, ORGANISATION, **changes)
    return add_files([folder], journal, options).numbers


def submitter(journal: Journal, gateways: Sequence[Gateway], clock: Time, **changes: Any) -> Submitter:
    trusted = {log_id(g.log.origin): g.log.trusted for g in gateways}
    values: dict[str, Any] = {"clock": clock.clock, "sleep": clock.sleep, "patience": 5.0, **changes}
    return Submitter(
        journal, cast("list[GatewayClient]", list(gateways)), values.pop("trusted", trusted), act_key(),
        ORGANISATION, **values,
    )  # fmt: skip


def states(journal: Journal) -> set[State]:
    return {entry.state for entry in journal.entries()}


def test_busy_gateway_is_waited_for_as_long_as_it_asks(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", 2))
    gateway = Gateway("http://a", Log("a/x"), busy(3.0), busy(1.0), honest)
    assert submitter(journal, [gateway], clock).run().accepted == 2
    assert clock.pauses[0] >= 3.0
    assert len(set(gateway.sent)) == 1


class Away(Gateway):
    """Does not answer, or is busy, when first asked for its logs."""

    def __init__(self, url: str, log: Log, *faults: Exception) -> None:
        super().__init__(url, log)
        self.faults = list(faults)

    def logs(self) -> list[LogInfo]:
        if self.faults:
            raise self.faults.pop(0)
        return super().logs()


def down(times: int) -> list[Exception]:
    return [GatewayUnreachable("no answer") for _ in range(times)]


def test_gateway_that_is_down_at_first_contact_is_waited_for(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 2))
    busy_now = GatewayRefused("TooManyRequests", "no", status=429, retry_after=2.0)
    gateway = Away("http://a", Log("a/x"), *down(2), busy_now)
    assert submitter(journal, [gateway], clock).run().accepted == 2
    assert clock.pauses[-1] >= 2.0


def test_gateway_that_stays_down_is_given_up_after_the_patience_and_the_journal_holds_all(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 2))
    gateway = Away("http://a", Log("a/x"), *down(10_000))
    with pytest.raises(GatewayUnreachable):
        submitter(journal, [gateway], clock).run()
    assert NOW + 5.0 <= clock.now < NOW + 5.0 + 10.0
    assert states(journal) == {State.NEW}
    gateway.faults = []
    assert submitter(journal, [gateway], clock).run().accepted == 2


def test_nobody_waits_for_what_time_does_not_mend(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", 1))
    gone = Away("http://a", Log("a/x"), GatewayRefused("NotFound", "no", status=404))
    lying_one = Away("http://b", Log("b/x"), GatewayAnswerInvalid("no"))
    with pytest.raises(GatewayAnswerInvalid):
        submitter(journal, [gone, lying_one], clock).run()
    assert clock.pauses == []


def test_a_second_gateway_that_answers_is_not_kept_waiting_by_the_first(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 1))
    first, second = Away("http://a", Log("a/x"), *down(10_000)), Gateway("http://b", Log("b/x"))
    assert submitter(journal, [first, second], clock).run().gateways == ["http://b"]
    assert clock.pauses == []


class Shelf:
    """Where chunks go; fails as told."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.chunks: dict[str, bytes] = {}

    def has_chunk(self, cid: str) -> bool:
        return bool(self._told(lambda: cid in self.chunks))

    def put_chunk(self, cid: str, data: bytes) -> None:
        self._told(lambda: self.chunks.update({cid: data}))

    def organisations(self) -> list[dict[str, Any]]:
        return list(self._told(lambda: [{"index": 1}]))

    def _told(self, answer: Callable[[], Any]) -> Any:
        if self.faults:
            raise self.faults.pop(0)
        return answer()


def test_content_is_stored_through_a_gateway_that_comes_back(clock: Time) -> None:
    def patient(shelf: Shelf) -> PatientStorage:
        return PatientStorage(shelf, 5.0, clock=clock.clock, sleep=clock.sleep)

    shelf = Shelf(*down(2))
    patient(shelf).put_chunk("a", b"x")
    assert shelf.chunks == {"a": b"x"}
    shelf.faults = down(1)
    assert patient(shelf).has_chunk("a")
    shelf.faults = down(1)
    assert patient(shelf).organisations() == [{"index": 1}]
    with pytest.raises(GatewayUnreachable):
        patient(Shelf(*down(10_000))).organisations()
    for status in (401, 404, 422):
        waited = len(clock.pauses)
        with pytest.raises(GatewayRefused):
            patient(Shelf(GatewayRefused("No", "no", status=status))).put_chunk("a", b"")
        assert len(clock.pauses) == waited


def test_lost_answer_is_asked_for_again_and_adds_no_second_leaf(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 3))
    gateway = Gateway("http://a", Log("a/x"), unheard, honest)
    assert submitter(journal, [gateway], clock).run().accepted == 3
    assert gateway.log.size == 3


def test_silent_gateway_without_another_keeps_the_submission_as_it_is(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 3))
    gateway = Gateway("http://a", Log("a/x"), unheard)
    with pytest.raises(GatewayUnreachable):
        submitter(journal, [gateway], clock).run()
    assert states(journal) == {State.SIGNED}
    gateway.script = [honest]
    assert submitter(journal, [gateway], clock).run().accepted == 3
    assert gateway.log.size == 3
    assert len(set(gateway.sent)) == 1


def test_silent_gateway_is_left_for_another_log_with_the_same_leaves(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 4))
    first, second = Gateway("http://a", Log("a/x"), silent), Gateway("http://b", Log("b/x"))
    done = submitter(journal, [first, second], clock).run()
    assert (done.accepted, done.moved, done.gateways) == (4, 4, ["http://b"])
    sent = Submission.parse(first.sent[0])
    assert [leaves.unsequenced(leaf) for leaf in second.log.leaves] == sent.unsequenced_leaves()
    assert [s.state for s in journal.submissions([State.BROKEN])] == [State.BROKEN]


def test_what_a_closed_log_does_not_hold_goes_into_its_successor_once(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 5))
    old, new = Gateway("http://a", Log("a/x")), Gateway("http://a", Log("a/y"))
    assert submitter(journal, [old], clock).run().accepted == 5
    held = {e.id: e.evidence_id for e in journal.entries() if (e.leaf_index or 0) < 2}
    for expected in (3, 0):
        done = submitter(journal, [new], clock, closed={log_id("a/x"): 2}).run()
        assert (done.carried, done.accepted) == (expected, expected)
    assert [leaves.unsequenced(leaf) for leaf in new.log.leaves] == [
        leaves.unsequenced(leaf) for leaf in old.log.leaves[2:]
    ]
    assert {e.id: e.evidence_id for e in journal.entries() if e.id in held} == held
    assert [s.state for s in journal.submissions(list(State))] == [State.ACCEPTED, State.ACCEPTED]


def test_submission_signed_for_a_closed_log_is_signed_anew_for_its_successor(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 2))
    with pytest.raises(GatewayUnreachable):
        submitter(journal, [Gateway("http://a", Log("a/x"), silent)], clock).run()
    new = Gateway("http://a", Log("a/y"))
    done = submitter(journal, [new], clock, closed={log_id("a/x"): 0}).run()
    assert (done.carried, done.accepted, new.log.size) == (2, 2, 2)


def test_promise_that_does_not_hold_is_no_acceptance(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", 2))
    liar, good = Gateway("http://a", Log("a/x"), lying), Gateway("http://b", Log("b/x"))
    with pytest.raises(GatewayAnswerInvalid):
        submitter(journal, [liar], clock).run()
    assert states(journal) == {State.SIGNED}
    done = submitter(journal, [liar, good], clock).run()
    assert (done.accepted, done.gateways) == (2, ["http://b"])


def test_promise_by_another_key_than_the_trust_file_names_is_refused(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 1))
    gateway = Gateway("http://a", Log("a/x"))
    other = replace(gateway.log.trusted, public_key=ed25519().public_key)
    with pytest.raises(GatewayAnswerInvalid):
        submitter(journal, [gateway], clock, trusted={other.log_id: other}).run()


def test_log_outside_the_trust_file_gets_nothing(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", 1))
    gateway = Gateway("http://a", Log("a/x"))
    with pytest.raises(LogNotTrusted):
        submitter(journal, [gateway], clock, trusted={}).run()
    assert gateway.sent == []
    assert states(journal) == {State.NEW}


def test_refusal_of_the_content_is_kept_with_its_code_and_not_repeated(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    folder = files(tmp_path / "d", 2)
    add(journal, folder)
    gateway = Gateway("http://a", Log("a/x"), refusing("DuplicateEntry", 409))
    assert submitter(journal, [gateway], clock).run().refused == {"DuplicateEntry": 2}
    assert states(journal) == {State.REFUSED}
    submitter(journal, [gateway], clock).run()
    assert len(gateway.sent) == 1
    gateway.script = [honest]
    add(journal, folder)
    assert submitter(journal, [gateway], clock).run().accepted == 2


def test_refused_key_stops_the_run_and_loses_nothing(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", 2))
    gateway = Gateway("http://a", Log("a/x"), refusing("OrganisationSuspended", 403))
    with pytest.raises(GatewayRefused) as caught:
        submitter(journal, [gateway], clock).run()
    assert caught.value.code == "OrganisationSuspended"
    assert states(journal) == {State.SIGNED}
    gateway.script = [honest]
    assert submitter(journal, [gateway], clock).run().accepted == 2


def test_expired_signature_is_renewed_over_the_same_root(
    journal: Journal, tmp_path: Path, clock: Time
) -> None:
    add(journal, files(tmp_path / "d", 2))
    gateway = Gateway("http://a", Log("a/x"), silent)
    with pytest.raises(GatewayUnreachable):
        submitter(journal, [gateway], clock).run()
    clock.now += 10_000
    gateway.script = [refusing("ActExpired", 403), honest]
    assert submitter(journal, [gateway], clock).run().accepted == 2
    first, last = Submission.parse(gateway.sent[0]), Submission.parse(gateway.sent[-1])
    assert first.root() == last.root()
    assert last.valid_until > clock.now


def test_many_files_go_in_submissions_of_a_thousand(journal: Journal, tmp_path: Path, clock: Time) -> None:
    add(journal, files(tmp_path / "d", MAX_ENTRIES + 1))
    gateway = Gateway("http://a", Log("a/x"))
    assert submitter(journal, [gateway], clock).run().accepted == MAX_ENTRIES + 1
    assert [len(Submission.parse(data).entries) for data in gateway.sent] == [MAX_ENTRIES, 1]


# what is added


def test_second_run_adds_no_second_leaf_unless_asked(journal: Journal, tmp_path: Path) -> None:
    folder = files(tmp_path / "d", 3)
    first = add(journal, folder)
    assert add(journal, folder) == first
    more = add(journal, folder, again=True)
    assert len(set(more) - set(first)) == 3
    (folder / "00000").write_bytes(b"new content")
    assert len(set(add(journal, folder)) - {*first, *more}) == 1


def test_two_entries_over_one_file_share_nothing_that_can_be_compared(
    journal: Journal, tmp_path: Path
) -> None:
    folder = files(tmp_path / "d", 1)
    add(journal, folder)
    add(journal, folder, again=True)
    one, two = (leaves.Body.parse(entry.body) for entry in journal.entries())
    assert one.salt != two.salt
    assert one.case_ref != two.case_ref


def test_mediation_records_are_always_privileged(journal: Journal, tmp_path: Path) -> None:
    options = Options(journal.case("c"), EvidenceClass.MEDIATION_RECORD, ORGANISATION)
    add_files([files(tmp_path / "d", 1)], journal, options)
    assert leaves.Header.parse(journal.entries()[0].header).privileged


@pytest.mark.parametrize("text", ["contract", "1", "合同", "CONTRACT"])
def test_class_by_number_or_name_in_both_languages(text: str) -> None:
    assert parse_class(text) is EvidenceClass.CONTRACT


@pytest.mark.parametrize("text", ["", "128", "log-continuation", "novel"])
def test_unknown_class_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(ArgumentRefused) as caught:
        parse_class(text)
    assert "court-document" in str(caught.value.hint)
    assert caught.value.exit_code == 2  # as every usage error


def test_links_and_cases_are_parsed_or_refused(journal: Journal) -> None:
    assert parse_link("derived-from:" + "ab" * 32) == (Relation.DERIVED_FROM, b"\xab" * 32)
    for text in ("follows:" + "ab" * 32, "replaces:xy", "replaces"):
        with pytest.raises(MalformedInput):
            parse_link(text)
    assert resolve_case("ab" * 32, journal) == b"\xab" * 32
    assert resolve_case("（2026）示 1 号", journal) == resolve_case("（2026）示 1 号", journal)
    for text in ("", "x" * 201, "line\nbreak"):
        with pytest.raises(UnknownCase):
            resolve_case(text, journal)
