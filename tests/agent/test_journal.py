"""The journal keeps its order of steps whatever happens between them."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import JournalCorrupt
from agent.journal import Draft, Journal, Placement, State

ORGANISATION = 5


def draft(path: str = "/d/a.pdf", **changes: object) -> Draft:
    values: dict[str, object] = {
        "path": path,
        "content_sha256": b"\x01" * 32,
        "content_sm3": b"\x02" * 32,
        "size": 3,
        "media_type": "application/pdf",
        "case_id": b"\x03" * 32,
        "evidence_class": 1,
        "organisation": ORGANISATION,
        "repetition": 0,
        "header": secrets.token_bytes(48),
        "body": secrets.token_bytes(200),
    }
    values.update(changes)
    return Draft(**values)  # type: ignore[arg-type]


def opened(journal: Journal, count: int = 2) -> int:
    numbers = journal.add([draft(f"/d/{i}") for i in range(count)])
    number = journal.open_submission(
        [journal.entry(n) for n in numbers],
        log_id=b"\x09" * 32,
        root=b"\x08" * 32,
        valid_until=1000,
        signature=bytes(65),
        gateway="http://127.0.0.1:1",
    )
    assert number is not None
    return number


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "agent" / "journal.db")


def test_file_is_for_the_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "agent" / "journal.db").close()
    for path in (tmp_path / "agent").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "agent").stat().st_mode & 0o077 == 0


def test_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, only text that is long enough to be read" * 20)
    with pytest.raises(JournalCorrupt) as caught:
        Journal(tmp_path / "journal.db")
    assert caught.value.field == "journal.db"


def test_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(JournalCorrupt):
        Journal(path)


def test_same_file_case_and_class_is_one_entry(journal: Journal) -> None:
    first = journal.add([draft()])
    assert journal.add([draft()]) == first
    assert len(journal.entries()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/d/b.pdf"},
        {"content_sha256": b"\x07" * 32},
        {"case_id": b"\x07" * 32},
        {"evidence_class": 2},
        {"organisation": 6},
        {"repetition": 1},
    ],
)
def test_anything_else_is_another_entry(journal: Journal, change: dict[str, object]) -> None:
    journal.add([draft()])
    journal.add([draft(**change)])  # type: ignore[arg-type]
    assert len(journal.entries()) == 2


def test_salted_body_of_the_first_entry_is_kept(journal: Journal) -> None:
    first = draft()
    journal.add([first])
    journal.add([draft()])
    assert journal.entries()[0].body == first.body


def test_case_names_map_to_one_random_id(journal: Journal) -> None:
    assert journal.case("2026-0001") == journal.case("2026-0001")
    assert journal.case("2026-0001") != journal.case("2026-0002")
    assert journal.known_case("2026-0003") is None


def test_submission_takes_new_entries_only_once(journal: Journal) -> None:
    number = opened(journal)
    entries = journal.entries_of(number)
    assert [entry.state for entry in entries] == [State.SIGNED, State.SIGNED]
    again = journal.open_submission(
        entries, log_id=b"\x09" * 32, root=b"\x08" * 32, valid_until=1, signature=bytes(65), gateway="x"
    )
    assert again is None
    assert len(journal.submissions([State.SIGNED])) == 1
    assert [e.submission for e in journal.entries()] == [number, number]


def test_half_taken_entries_leave_no_trace(journal: Journal) -> None:
    opened(journal)
    fresh = journal.add([draft("/d/fresh")])
    mixed = [journal.entry(fresh[0]), *journal.entries(states=[State.SIGNED])]
    taken = journal.open_submission(
        mixed, log_id=b"\x09" * 32, root=b"\x01" * 32, valid_until=1, signature=bytes(65), gateway="x"
    )
    assert taken is None
    assert journal.entry(fresh[0]).state is State.NEW
    assert journal.entry(fresh[0]).submission is None
    assert len(journal.entries_of(1)) == 2


def test_acceptance_places_every_entry(journal: Journal) -> None:
    number = opened(journal)
    places = [Placement(7 + at, 70 + at, bytes([at]) * 32) for at in range(2)]
    journal.accept(number, acceptance=b"answer", deadline=99, placements=places)
    assert [(e.state, e.sequence, e.leaf_index) for e in journal.entries_of(number)] == [
        (State.ACCEPTED, 7, 70),
        (State.ACCEPTED, 8, 71),
    ]
    assert journal.submission(number).acceptance == b"answer"
    found = journal.by_evidence_id(b"\x01" * 32)
    assert found is not None
    assert found.sequence == 8


def test_released_entries_go_elsewhere_and_the_promise_stays(journal: Journal) -> None:
    number = opened(journal)
    places = [Placement(1, 0, b"\x05" * 32), Placement(2, 1, b"\x06" * 32)]
    journal.accept(number, acceptance=b"promise", deadline=1, placements=places)
    assert journal.release(number, "PromiseBroken") == 2
    assert {e.state for e in journal.entries()} == {State.NEW}
    kept = journal.submission(number)
    assert (kept.state, kept.acceptance, kept.code) == (State.BROKEN, b"promise", "PromiseBroken")
    assert journal._db.execute(
        "SELECT count(*) FROM released WHERE submission = ?", (number,)
    ).fetchone() == (2,)


def test_refused_entry_is_sent_again_only_when_asked(journal: Journal) -> None:
    number = opened(journal, 1)
    journal.refuse(number, "DuplicateEntry")
    entry = journal.entries()[0]
    assert (entry.state, entry.code) == (State.REFUSED, "DuplicateEntry")
    assert journal.entries(states=[State.NEW]) == []
    journal.retry(entry.id)
    assert journal.entries(states=[State.NEW])[0].code is None


_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.agent.test_journal import draft
from agent.journal import Journal
journal = Journal(Path({path!r}))
i = 0
while True:
    journal.add([draft(f"/d/{{i}}")])
    print(i, flush=True)
    i += 1
"""


def test_what_was_journaled_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    root = str(Path(__file__).resolve().parents[2])
    writer = subprocess.Popen(
        [sys.executable, "-c", _KILLED.format(root=root, path=str(path))],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert writer.stdout is not None
    seen = -1
    for line in writer.stdout:
        seen = int(line)
        if seen >= 30:
            break
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    last = int(rest[-1]) if rest else seen
    with Journal(path) as journal:
        assert [e.path for e in journal.entries()][: last + 1] == [f"/d/{i}" for i in range(last + 1)]
