"""What this agent did, on disk before it is told to anybody.

One SQLite file, write-ahead log, synchronous FULL: a row is durable when the method that wrote it returns.
The order that makes `add` safe to kill and to repeat:

1. salt, body and unsequenced leaf of a file are journaled (`add`): NEW;
2. a submission over a fixed, ordered set of entries is signed and journaled (`open_submission`): SIGNED;
3. only then it is sent, as often as needed: the gateway answers the same submission with the same answer;
4. the checked acceptance is journaled (`accept`): ACCEPTED;
5. a receipt that verifies is saved and noted: RECEIVED.

A file is known by (path, digest, case, class, organisation, repetition), so a second run adds no second leaf.
Salts and case ids are here in clear: the file is 0600 and never leaves the machine.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.errors import JournalCorrupt

SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE cases (
    name TEXT PRIMARY KEY,
    case_id BLOB NOT NULL UNIQUE CHECK (length(case_id) = 32)
) STRICT;
CREATE TABLE submissions (
    id INTEGER PRIMARY KEY,
    log_id BLOB NOT NULL CHECK (length(log_id) = 32),
    organisation INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    valid_until INTEGER NOT NULL,
    signature BLOB NOT NULL CHECK (length(signature) = 65),
    gateway TEXT NOT NULL,
    state TEXT NOT NULL,
    acceptance BLOB,
    deadline INTEGER,
    code TEXT
) STRICT;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    content_sha256 BLOB NOT NULL CHECK (length(content_sha256) = 32),
    content_sm3 BLOB NOT NULL CHECK (length(content_sm3) = 32),
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    case_id BLOB NOT NULL CHECK (length(case_id) = 32),
    evidence_class INTEGER NOT NULL,
    organisation INTEGER NOT NULL,
    repetition INTEGER NOT NULL,
    header BLOB NOT NULL CHECK (length(header) = 48),
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    submission INTEGER REFERENCES submissions (id),
    position INTEGER,
    sequence INTEGER,
    leaf_index INTEGER,
    evidence_id BLOB,
    receipt_path TEXT,
    verdict TEXT,
    code TEXT,
    UNIQUE (path, content_sha256, case_id, evidence_class, organisation, repetition),
    UNIQUE (submission, position)
) STRICT;
CREATE TABLE released (
    submission INTEGER NOT NULL REFERENCES submissions (id),
    position INTEGER NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (id),
    sequence INTEGER,
    leaf_index INTEGER,
    PRIMARY KEY (submission, position)
) STRICT;
CREATE INDEX entries_by_state ON entries (organisation, state);
CREATE INDEX entries_by_evidence ON entries (evidence_id);
CREATE INDEX entries_by_digest ON entries (content_sha256);
CREATE INDEX submissions_by_state ON submissions (state);
"""


class State(StrEnum):
    """Where an entry or a submission stands."""

    NEW = "NEW"
    SIGNED = "SIGNED"
    ACCEPTED = "ACCEPTED"
    RECEIVED = "RECEIVED"
    REFUSED = "REFUSED"
    BROKEN = "BROKEN"
    """Submissions only: promised and not kept, or never answered; its entries went elsewhere."""


@dataclass(frozen=True)
class Draft:
    """An entry about to be journaled."""

    path: str
    content_sha256: bytes
    content_sm3: bytes
    size: int
    media_type: str
    case_id: bytes
    evidence_class: int
    organisation: int
    repetition: int
    header: bytes
    body: bytes


@dataclass(frozen=True)
class Entry:
    """A journaled entry."""

    id: int
    path: str
    content_sha256: bytes
    content_sm3: bytes
    size: int
    media_type: str
    case_id: bytes
    evidence_class: int
    organisation: int
    repetition: int
    header: bytes
    body: bytes
    state: State
    submission: int | None
    position: int | None
    sequence: int | None
    leaf_index: int | None
    evidence_id: bytes | None
    receipt_path: str | None
    verdict: str | None
    code: str | None


@dataclass(frozen=True)
class StoredSubmission:
    """A signed submission as journaled; its entries come from `entries_of`."""

    id: int
    log_id: bytes
    organisation: int
    root: bytes
    valid_until: int
    signature: bytes
    gateway: str
    state: State
    acceptance: bytes | None
    deadline: int | None
    code: str | None


@dataclass(frozen=True)
class Placement:
    """Where one accepted leaf stands."""

    sequence: int
    leaf_index: int
    evidence_id: bytes


# Only these constants and literal conditions are ever put into SQL text; values are always bound.
_SELECT_ENTRY = f"SELECT {', '.join(Entry.__dataclass_fields__)} FROM entries "  # noqa: S608
_SELECT_SUBMISSION = f"SELECT {', '.join(StoredSubmission.__dataclass_fields__)} FROM submissions "  # noqa: S608


class Journal:
    """The journal of one agent. Methods that write return after the disk has it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Created with its mode before SQLite opens it, so that there is no moment when others can read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path = path
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise JournalCorrupt(
                f"the journal cannot be opened ({type(error).__name__})",
                field=path.name,
                hint="restore it from backup; without it salts of leaves already sent are lost",
            ) from None
        except JournalCorrupt:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with self._write():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == SCHEMA_VERSION:
                return
            if version != 0:
                raise JournalCorrupt(f"journal version {version}, this release knows {SCHEMA_VERSION}")
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _write(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # cases

    def case(self, name: str) -> bytes:
        """The random id behind a local case name, made at first use. The name stays on this machine."""
        with self._write():
            row = self._db.execute("SELECT case_id FROM cases WHERE name = ?", (name,)).fetchone()
            if row is not None:
                return bytes(row[0])
            case_id = secrets.token_bytes(32)
            self._db.execute("INSERT INTO cases VALUES (?, ?)", (name, case_id))
            return case_id

    def known_case(self, name: str) -> bytes | None:
        """The id behind a name that was used before."""
        row = self._db.execute("SELECT case_id FROM cases WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def case_names(self) -> dict[bytes, str]:
        """Id to name of all local cases."""
        return {bytes(row[1]): row[0] for row in self._db.execute("SELECT name, case_id FROM cases")}

    # entries

    def find(
        self, path: str, content_sha256: bytes, case_id: bytes, evidence_class: int, organisation: int
    ) -> Entry | None:
        """The latest entry of this file in this case and class, or None."""
        return self._one(
            "WHERE path = ? AND content_sha256 = ? AND case_id = ? AND evidence_class = ?"
            " AND organisation = ? ORDER BY repetition DESC LIMIT 1",
            (path, content_sha256, case_id, evidence_class, organisation),
        )

    def add(self, drafts: Iterable[Draft]) -> list[int]:
        """Journals entries in one transaction. An entry that another process journaled meanwhile is kept
        as it is: its number is returned and the draft's salt dies unused."""
        numbers: list[int] = []
        with self._write():
            for d in drafts:
                row = self._db.execute(
                    "INSERT INTO entries (path, content_sha256, content_sm3, size, media_type, case_id,"
                    " evidence_class, organisation, repetition, header, body, state)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'NEW')"
                    " ON CONFLICT DO NOTHING RETURNING id",
                    (
                        d.path, d.content_sha256, d.content_sm3, d.size, d.media_type, d.case_id,
                        d.evidence_class, d.organisation, d.repetition, d.header, d.body,
                    ),
                ).fetchone()  # fmt: skip
                if row is None:
                    row = self._db.execute(
                        "SELECT id FROM entries WHERE path = ? AND content_sha256 = ? AND case_id = ?"
                        " AND evidence_class = ? AND organisation = ? AND repetition = ?",
                        (
                            d.path, d.content_sha256, d.case_id,
                            d.evidence_class, d.organisation, d.repetition,
                        ),
                    ).fetchone()  # fmt: skip
                numbers.append(int(row[0]))
        return numbers

    def entry(self, number: int) -> Entry:
        found = self._one("WHERE id = ?", (number,))
        if found is None:
            raise JournalCorrupt("an entry is not in the journal")
        return found

    def by_evidence_id(self, evidence_id: bytes) -> Entry | None:
        return self._one("WHERE evidence_id = ?", (evidence_id,))

    def by_digest(self, content_sha256: bytes) -> list[Entry]:
        return self._many("WHERE content_sha256 = ? ORDER BY id", (content_sha256,))

    def entries(
        self,
        organisation: int | None = None,
        *,
        states: Sequence[State] | None = None,
        case_id: bytes | None = None,
        limit: int = -1,
    ) -> list[Entry]:
        """Entries in the order in which they were journaled."""
        conditions, values = ["1"], list[Any]()
        if organisation is not None:
            conditions.append("organisation = ?")
            values.append(organisation)
        if states is not None:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values.extend(str(state) for state in states)
        if case_id is not None:
            conditions.append("case_id = ?")
            values.append(case_id)
        return self._many(f"WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?", (*values, limit))

    def counts(self) -> dict[str, int]:
        """Number of entries in each state."""
        return dict(self._db.execute("SELECT state, count(*) FROM entries GROUP BY state"))

    # submissions

    def open_submission(
        self,
        entries: Sequence[Entry],
        *,
        log_id: bytes,
        root: bytes,
        valid_until: int,
        signature: bytes,
        gateway: str,
    ) -> int | None:
        """Journals a signed submission over NEW entries, in this order.

        None when another process took one of them meanwhile; nothing is written then.
        """
        with self._write():
            cursor = self._db.execute(
                "INSERT INTO submissions (log_id, organisation, root, valid_until, signature, gateway, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'SIGNED')",
                (log_id, entries[0].organisation, root, valid_until, signature, gateway),
            )
            number = cursor.lastrowid
            changed = self._db.executemany(
                "UPDATE entries SET submission = ?, position = ?, state = 'SIGNED'"
                " WHERE id = ? AND state = 'NEW'",
                [(number, position, entry.id) for position, entry in enumerate(entries)],
            ).rowcount
            if changed != len(entries):
                self._db.execute("UPDATE entries SET submission = NULL, position = NULL, state = 'NEW'"
                                 " WHERE submission = ?", (number,))  # fmt: skip
                self._db.execute("DELETE FROM submissions WHERE id = ?", (number,))
                return None
        return number

    def submissions(self, states: Sequence[State], organisation: int | None = None) -> list[StoredSubmission]:
        marks = ", ".join("?" * len(states))
        values: list[Any] = [str(state) for state in states]
        condition = ""
        if organisation is not None:
            condition = " AND organisation = ?"
            values.append(organisation)
        rows = self._db.execute(
            _SELECT_SUBMISSION + f"WHERE state IN ({marks}){condition} ORDER BY id",
            values,
        )
        return [_submission(row) for row in rows]

    def submission(self, number: int) -> StoredSubmission:
        row = self._db.execute(_SELECT_SUBMISSION + "WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise JournalCorrupt("a submission is not in the journal")
        return _submission(row)

    def entries_of(self, submission: int) -> list[Entry]:
        """The entries of a submission in their signed order."""
        return self._many("WHERE submission = ? ORDER BY position", (submission,))

    def resign(self, submission: int, *, valid_until: int, signature: bytes) -> None:
        """Replaces an expired signature over the same root."""
        with self._write():
            self._db.execute(
                "UPDATE submissions SET valid_until = ?, signature = ? WHERE id = ? AND state = 'SIGNED'",
                (valid_until, signature, submission),
            )

    def accept(
        self, submission: int, *, acceptance: bytes, deadline: int, placements: Sequence[Placement]
    ) -> None:
        """Journals a checked acceptance and where its leaves stand."""
        with self._write():
            self._db.execute(
                "UPDATE submissions SET state = 'ACCEPTED', acceptance = ?, deadline = ? WHERE id = ?",
                (acceptance, deadline, submission),
            )
            self._db.executemany(
                "UPDATE entries SET state = 'ACCEPTED', sequence = ?, leaf_index = ?, evidence_id = ?"
                " WHERE submission = ? AND position = ? AND state = 'SIGNED'",
                [
                    (p.sequence, p.leaf_index, p.evidence_id, submission, position)
                    for position, p in enumerate(placements)
                ],
            )

    def refuse(self, submission: int, code: str) -> None:
        """A lasting refusal: the entries are kept with the code and are not sent again by themselves."""
        with self._write():
            self._db.execute(
                "UPDATE submissions SET state = 'REFUSED', code = ? WHERE id = ?", (code, submission)
            )
            self._db.execute(
                "UPDATE entries SET state = 'REFUSED', code = ? WHERE submission = ?", (code, submission)
            )

    def release(self, submission: int, code: str) -> int:
        """Gives the entries of a dropped submission back, to be sent through another gateway; the
        submission stays, with its promise if there was one. Returns how many entries."""
        with self._write():
            self._db.execute(
                "UPDATE submissions SET state = 'BROKEN', code = ? WHERE id = ?", (code, submission)
            )
            self._db.execute(
                "INSERT INTO released SELECT submission, position, id, sequence, leaf_index FROM entries"
                " WHERE submission = ?",
                (submission,),
            )
            return self._db.execute(
                "UPDATE entries SET state = 'NEW', submission = NULL, position = NULL, sequence = NULL,"
                " leaf_index = NULL, evidence_id = NULL"
                " WHERE submission = ? AND state IN ('SIGNED', 'ACCEPTED')",
                (submission,),
            ).rowcount

    def carry_over(self, organisation: int, log_id: bytes, size: int) -> int:
        """Gives back what a log closed at `size` does not hold: leaves promised beyond it, and submissions
        that were signed for it and not answered. Promises and old places stay. Returns how many entries."""
        which = "(state = 'SIGNED' OR state IN ('ACCEPTED', 'RECEIVED') AND leaf_index >= ?)"
        return self._give_back(organisation, log_id, which, size)

    def give_back(self, organisation: int, log_id: bytes, entries: Sequence[int]) -> int:
        """Gives back accepted entries of a closed log that nobody can prove, as `carry_over` does."""
        which = "state = 'ACCEPTED' AND id IN (SELECT value FROM json_each(?))"
        return self._give_back(organisation, log_id, which, json.dumps(list(entries)))

    def _give_back(self, organisation: int, log_id: bytes, which: str, value: int | str) -> int:
        """`which`: a constant condition with one place for `value`."""
        beyond = (
            f"submission IN (SELECT id FROM submissions WHERE log_id = ? AND organisation = ?) AND {which}"  # noqa: S608
        )
        values = (log_id, organisation, value)
        with self._write():
            self._db.execute(
                "INSERT INTO released SELECT submission, position, id, sequence, leaf_index FROM entries"  # noqa: S608
                f" WHERE {beyond}",
                values,
            )
            moved = self._db.execute(
                "UPDATE entries SET state = 'NEW', submission = NULL, position = NULL, sequence = NULL,"  # noqa: S608
                " leaf_index = NULL, evidence_id = NULL, receipt_path = NULL, verdict = NULL"
                f" WHERE {beyond}",
                values,
            ).rowcount
            self._db.execute(
                "UPDATE submissions SET state = 'BROKEN', code = 'LogClosed' WHERE log_id = ?"
                " AND organisation = ? AND state IN ('SIGNED', 'ACCEPTED')"
                " AND NOT EXISTS (SELECT 1 FROM entries WHERE submission = submissions.id)",
                (log_id, organisation),
            )
        return moved

    def retry(self, entry: int) -> None:
        """Makes a refused entry NEW again, after what was wrong has been put right."""
        with self._write():
            self._db.execute(
                "UPDATE entries SET state = 'NEW', submission = NULL, position = NULL, code = NULL"
                " WHERE id = ? AND state = 'REFUSED'",
                (entry,),
            )

    def receive(self, received: Iterable[tuple[int, str, str]]) -> None:
        """Notes saved receipts: (entry, file, result of its verification)."""
        with self._write():
            self._db.executemany(
                "UPDATE entries SET state = 'RECEIVED', receipt_path = ?, verdict = ? WHERE id = ?",
                [(path, verdict, number) for number, path, verdict in received],
            )

    # rows

    def _one(self, where: str, values: Sequence[Any]) -> Entry | None:
        row = self._db.execute(_SELECT_ENTRY + where, values).fetchone()
        return None if row is None else _entry(row)

    def _many(self, where: str, values: Sequence[Any]) -> list[Entry]:
        return [_entry(row) for row in self._db.execute(_SELECT_ENTRY + where, values)]


_STATE_OF_ENTRY = list(Entry.__dataclass_fields__).index("state")
_STATE_OF_SUBMISSION = list(StoredSubmission.__dataclass_fields__).index("state")


def _entry(row: tuple[Any, ...]) -> Entry:
    values = list(row)
    values[_STATE_OF_ENTRY] = State(values[_STATE_OF_ENTRY])
    return Entry(*values)


def _submission(row: tuple[Any, ...]) -> StoredSubmission:
    values = list(row)
    values[_STATE_OF_SUBMISSION] = State(values[_STATE_OF_SUBMISSION])
    return StoredSubmission(*values)
