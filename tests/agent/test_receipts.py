"""Receipts: only what verifies is kept, in a file of its own; a promise not kept is proof of fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from agent.client import GatewayClient, ReceiptItem
from agent.errors import GatewayRefused, GatewayUnreachable
from agent.journal import Draft, Entry, Journal, Placement, State
from agent.receipts import ReceiptCollector, save_receipt
from protocol.entry import evidence_id
from tests.support.world import AT, CASE_ID, CONTENT, World
from verifier.receipt import Receipt

WORLD = World()
LEAF = Receipt.parse(WORLD.receipt).core.leaf
ID = evidence_id(LEAF)
ORGANISATION = 3


class Gateway:
    """Answers with what it is given."""

    def __init__(self, url: str, item: ReceiptItem | Exception, state: str | None = "ACCEPTED") -> None:
        self.url = url
        self.item = item
        self.state = state

    def receipts(self, ids: Sequence[str]) -> list[ReceiptItem]:
        if isinstance(self.item, Exception):
            raise self.item
        return [self.item for _ in ids]

    def evidence(self, identifier: str) -> dict[str, Any]:
        if self.state is None:
            raise GatewayRefused("EvidenceNotFound", "no", status=404)
        return {"state": self.state}


def ready(data: bytes = WORLD.receipt) -> ReceiptItem:
    return ReceiptItem(ID.hex(), data, None, None)


PENDING = ReceiptItem(ID.hex(), None, "PENDING", "ReceiptNotReady")


class Time:
    def __init__(self, now: float = AT) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.01)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as made:
        yield made


def accepted(journal: Journal, folder: Path, deadline: int = 2**33, name: str = "合同.txt") -> Entry:
    """The world's entry as this agent's own, accepted."""
    path = folder / name
    path.write_bytes(CONTENT)
    digests = WORLD.content
    number = journal.add(
        [
            Draft(
                str(path), digests.sha256, digests.sm3, digests.size, "text/plain", CASE_ID, 1, ORGANISATION,
                0, LEAF[:48], WORLD.body,
            )
        ]
    )[0]  # fmt: skip
    submission = journal.open_submission(
        [journal.entry(number)], log_id=bytes(32), root=bytes(32), valid_until=1, signature=bytes(65),
        gateway="http://a",
    )  # fmt: skip
    assert submission is not None
    journal.accept(submission, acceptance=b"x", deadline=deadline, placements=[Placement(1, 0, ID)])
    return journal.entry(number)


def collector(journal: Journal, *gateways: Gateway, time: Time | None = None) -> ReceiptCollector:
    held = time or Time()
    return ReceiptCollector(
        journal, cast("list[GatewayClient]", list(gateways)), WORLD.trust, ORGANISATION,
        clock=held.clock, sleep=held.sleep,
    )  # fmt: skip


def test_receipt_that_verifies_is_saved_beside_its_file(journal: Journal, tmp_path: Path) -> None:
    entry = accepted(journal, tmp_path)
    done = collector(journal, Gateway("http://a", ready())).wait(None, folder=None, seconds=5)
    assert [item.path.name for item in done.received] == ["合同.txt.clr"]
    assert (tmp_path / "合同.txt.clr").read_bytes() == WORLD.receipt
    noted = journal.entry(entry.id)
    assert (noted.state, noted.verdict) == (State.RECEIVED, "VALID")


@pytest.mark.parametrize("data", [b"", b"nonsense", WORLD.receipt[:-1], World(chain_id=7778).receipt])
def test_receipt_that_does_not_verify_is_not_saved(journal: Journal, tmp_path: Path, data: bytes) -> None:
    entry = accepted(journal, tmp_path)
    done = collector(journal, Gateway("http://a", ready(data))).wait(None, folder=None, seconds=0)
    assert [(e.id, bool(code)) for e, code in done.invalid] == [(entry.id, True)]
    assert not list(tmp_path.glob("*.clr"))
    assert journal.entry(entry.id).state is State.ACCEPTED


def test_receipt_of_another_document_is_not_taken_for_this_one(journal: Journal, tmp_path: Path) -> None:
    accepted(journal, tmp_path)
    other = World(seed="other network").receipt
    done = collector(journal, Gateway("http://a", ready(other))).wait(None, folder=None, seconds=0)
    assert done.invalid
    assert not done.received


def test_first_gateway_without_it_is_no_reason_to_stop(journal: Journal, tmp_path: Path) -> None:
    accepted(journal, tmp_path)
    first = Gateway("http://a", GatewayUnreachable("no answer"))
    done = collector(journal, first, Gateway("http://b", ready())).wait(None, folder=None, seconds=5)
    assert len(done.received) == 1


def test_nobody_answering_is_said_after_the_time(journal: Journal, tmp_path: Path) -> None:
    accepted(journal, tmp_path)
    time = Time()
    with pytest.raises(GatewayUnreachable):
        collector(journal, Gateway("http://a", GatewayUnreachable("no")), time=time).wait(
            None, folder=None, seconds=4
        )
    assert time.now >= AT + 4


def test_pending_is_counted_not_raised(journal: Journal, tmp_path: Path) -> None:
    accepted(journal, tmp_path)
    done = collector(journal, Gateway("http://a", PENDING)).wait(None, folder=None, seconds=3)
    assert (done.pending, done.broken) == (1, 0)


def test_leaf_missing_at_the_deadline_goes_to_another_gateway_and_the_promise_is_kept(
    journal: Journal, tmp_path: Path
) -> None:
    entry = accepted(journal, tmp_path, deadline=AT - 1)
    gone = Gateway("http://a", ReceiptItem(ID.hex(), None, None, "EvidenceNotFound"), state=None)
    alone = collector(journal, gone).wait(None, folder=None, seconds=0)
    assert alone.broken == 1
    assert journal.entry(entry.id).state is State.ACCEPTED
    other = Gateway("http://b", ReceiptItem(ID.hex(), None, None, "EvidenceNotFound"), state=None)
    assert collector(journal, gone, other).wait(None, folder=None, seconds=0).broken == 1
    assert journal.entry(entry.id).state is State.NEW
    kept = journal.submissions([State.BROKEN])
    assert [(s.acceptance, s.code) for s in kept] == [(b"x", "PromiseBroken")]


def test_sealed_but_late_is_slow_not_broken(journal: Journal, tmp_path: Path) -> None:
    accepted(journal, tmp_path, deadline=AT - 1)
    slow = Gateway("http://a", PENDING, state="SEALED")
    assert collector(journal, slow, slow).wait(None, folder=None, seconds=0).broken == 0


def test_other_receipts_under_the_same_name_are_left_alone(journal: Journal, tmp_path: Path) -> None:
    entry = accepted(journal, tmp_path)
    (tmp_path / "合同.txt.clr").write_bytes(b"another entry's receipt")
    path = save_receipt(entry, b"mine", None)
    assert path.name == f"合同.txt.{ID.hex()[:16]}.clr"
    assert (tmp_path / "合同.txt.clr").read_bytes() == b"another entry's receipt"
    assert save_receipt(entry, b"mine", tmp_path / "out") == tmp_path / "out" / "合同.txt.clr"
    assert {p.suffix for p in tmp_path.iterdir() if p.is_file()} <= {
        ".txt",
        ".clr",
        ".db",
        ".db-wal",
        ".db-shm",
    }


def lost(code: str) -> ReceiptItem:
    return ReceiptItem(ID.hex(), None, None, code)


@pytest.mark.parametrize("code", ["NotInClosedLog", "EvidenceNotFound"])
def test_what_a_closed_log_cannot_prove_is_given_back_with_its_promise_kept(
    journal: Journal, tmp_path: Path, code: str
) -> None:
    entry = accepted(journal, tmp_path)
    assert collector(journal, Gateway("http://a", lost(code))).settle({bytes(32): 9}, folder=None) == 1
    assert journal.entry(entry.id).state is State.NEW
    assert [s.acceptance for s in journal.submissions([State.BROKEN])] == [b"x"]


@pytest.mark.parametrize(
    "other",
    [PENDING, GatewayUnreachable("down"), GatewayRefused("DatabaseUnavailable", "no", status=503)],
)
def test_entry_of_a_closed_log_stays_while_one_gateway_may_still_prove_it(
    journal: Journal, tmp_path: Path, other: ReceiptItem | Exception
) -> None:
    entry = accepted(journal, tmp_path)
    for order in ((0, 1), (1, 0)):
        gateways = [Gateway("http://a", lost("EvidenceNotFound")), Gateway("http://b", other)]
        collecting = collector(journal, *(gateways[at] for at in order))
        assert collecting.settle({bytes(32): 9}, folder=None) == 0
    assert journal.entry(entry.id).state is State.ACCEPTED


def test_receipt_of_a_closed_log_is_taken_and_entries_of_open_logs_are_left_alone(
    journal: Journal, tmp_path: Path
) -> None:
    entry = accepted(journal, tmp_path)
    silent = Gateway("http://a", lost("EvidenceNotFound"))
    assert collector(journal, silent).settle({b"\x01" * 32: 9}, folder=None) == 0
    assert collector(journal, silent).settle({}, folder=None) == 0
    assert journal.entry(entry.id).state is State.ACCEPTED
    assert collector(journal, Gateway("http://a", ready())).settle({bytes(32): 9}, folder=None) == 0
    assert journal.entry(entry.id).state is State.RECEIVED
