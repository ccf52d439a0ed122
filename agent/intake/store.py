"""What this agent imported: batches and their cases, on disk before anybody is told.

One SQLite file for each organisation, write-ahead log, synchronous FULL. It holds no row: contract numbers
only as a keyed hash (the key is a file beside it), rows only sealed, in the batch's own file. A batch is made
so that it may be killed at any point (`commit.py`):

1. MAKING is journaled with all that decides its content: the file's keyed digest, terms, recipients;
2. rows are sealed into `<id>.part`; every so many, the file is synced and then their keys and leaves are
   journaled with the file's length, so that a longer file is cut back to what the journal knows;
3. the trailer is written, the file synced and renamed, and READY is journaled.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.errors import JournalCorrupt
from agent.intake.errors import BatchBusy, BatchUnknown
from agent.intake.whole import sync_folder
from protocol import expect
from protocol.case_row import CaseRow

SCHEMA_VERSION = 2
BUSY_SECONDS = 30.0
_KEY_NAME = "index.key"
_FILE_TAG, _CONTRACT_TAG, _CONTENT_TAG = b"file\0", b"contract\0", b"content\0"

_SCHEMA = """
CREATE TABLE batches (
    id BLOB PRIMARY KEY CHECK (length(id) = 32),
    file_key BLOB NOT NULL CHECK (length(file_key) = 32),
    path TEXT NOT NULL,
    state TEXT NOT NULL,
    terms TEXT NOT NULL,
    header BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    expected INTEGER NOT NULL,
    summary TEXT NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0,
    length INTEGER NOT NULL DEFAULT 0,
    root BLOB,
    totals BLOB,
    act TEXT
) STRICT;
CREATE TABLE cases (
    batch BLOB NOT NULL REFERENCES batches (id),
    position INTEGER NOT NULL,
    contract_key BLOB NOT NULL UNIQUE CHECK (length(contract_key) = 32),
    content_key BLOB NOT NULL CHECK (length(content_key) = 32),
    case_id BLOB NOT NULL UNIQUE CHECK (length(case_id) = 32),
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    PRIMARY KEY (batch, position)
) STRICT;
CREATE INDEX batches_by_file ON batches (file_key);
"""
_FROM_VERSION_1 = """
ALTER TABLE batches ADD COLUMN totals BLOB;
ALTER TABLE batches ADD COLUMN act TEXT;
"""


class BatchState(StrEnum):
    """Where a batch stands."""

    MAKING = "MAKING"
    READY = "READY"
    SENT = "SENT"
    RECALLED = "RECALLED"


@dataclass(frozen=True)
class StoredBatch:
    """A batch as journaled. `terms` and `summary` are JSON without any person's data."""

    id: bytes
    file_key: bytes
    path: str
    state: BatchState
    terms: dict[str, Any]
    header: bytes
    made_at: int
    expected: int
    summary: dict[str, Any]
    sealed: int
    length: int
    root: bytes | None


@dataclass(frozen=True)
class Known:
    """A contract that an earlier batch holds."""

    batch: bytes
    same: bool
    """Whether with the same content."""


@dataclass(frozen=True)
class SealedCase:
    """What is journaled of one sealed row."""

    contract_key: bytes
    content_key: bytes
    case_id: bytes
    leaf_hash: bytes


class IntakeStore:
    """An organisation's batches. Closing it matters to nothing but the file handle."""

    def __init__(self, home: Path, organisation: int) -> None:
        """Opens the store, making it at first use.

        Raises:
            JournalCorrupt
        """
        self.organisation = organisation
        self.folder = home / "agent" / "intake" / str(organisation)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # HMAC-SHA256 with the key absorbed once; `hmac.digest` sets it up anew for every row.
        self._hmac = hmac.new(_index_key(self.folder), digestmod="sha256")
        path = self.folder / "batches.db"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise JournalCorrupt(
                f"the list of batches cannot be opened ({type(error).__name__})",
                field=path.name,
                hint="restore it from backup: it knows which contracts were imported",
            ) from None
        except JournalCorrupt:
            self._db.close()
            raise
        self._any_case = self._db.execute("SELECT 1 FROM cases LIMIT 1").fetchone() is not None

    def _prepare(self) -> None:
        with self._write():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == SCHEMA_VERSION:
                return
            steps = {0: _SCHEMA, 1: _FROM_VERSION_1}
            if version not in steps:
                raise JournalCorrupt(f"version {version} of the list, this release knows {SCHEMA_VERSION}")
            for statement in steps[version].split(";"):
                if statement.strip():
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> IntakeStore:
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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one process of an organisation makes batches; the lock dies with it.

        Raises:
            BatchBusy
        """
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BatchBusy(
                    "another import of this organisation is under way", hint="wait for it"
                ) from None
            yield
        finally:
            os.close(descriptor)

    # keyed hashes

    def _keyed(self, data: bytes) -> bytes:
        state = self._hmac.copy()
        state.update(data)
        return state.digest()

    def file_key(self, digest: str) -> bytes:
        """Of a file's SHA-256."""
        return self._keyed(_FILE_TAG + bytes.fromhex(digest))

    def contract_key(self, owner: int, contract: str) -> bytes:
        """Of an institution and its contract number."""
        return self._keyed(_CONTRACT_TAG + owner.to_bytes(4, "big") + contract.encode())

    def content_key(self, encoded: bytes) -> bytes:
        """Of an encoded row."""
        return self._keyed(_CONTENT_TAG + encoded)

    # cases

    def known(self, row: CaseRow, *, except_batch: bytes | None = None) -> Known | None:
        """The earlier batch that holds a row's contract, if any."""
        if not self._any_case:
            return None
        found = self._db.execute(
            "SELECT batch, content_key FROM cases WHERE contract_key = ?",
            (self.contract_key(row.owner, row.contract),),
        ).fetchone()
        if found is None or found[0] == except_batch:
            return None
        return Known(found[0], hmac.compare_digest(found[1], self.content_key(row.encode())))

    def append(self, batch: bytes, cases: Iterable[SealedCase], first: int, length: int) -> None:
        """Journals sealed rows from position `first` on, whose frames are on disk up to `length`."""
        with self._write():
            rows = [
                (batch, first + at, one.contract_key, one.content_key, one.case_id, one.leaf_hash)
                for at, one in enumerate(cases)
            ]
            self._db.executemany("INSERT INTO cases VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.execute(
                "UPDATE batches SET sealed = ?, length = ? WHERE id = ? AND state = 'MAKING'",
                (first + len(rows), length, batch),
            )
        self._any_case = True

    def content_keys(self, batch: bytes) -> Iterator[bytes]:
        """Content keys of a batch in order."""
        for (key,) in self._db.execute(
            "SELECT content_key FROM cases WHERE batch = ? ORDER BY position", (batch,)
        ):
            yield key

    def leaf_hashes(self, batch: bytes) -> list[bytes]:
        """Leaf hashes of a batch in order."""
        rows = self._db.execute("SELECT leaf_hash FROM cases WHERE batch = ? ORDER BY position", (batch,))
        return [row[0] for row in rows]

    def place(self, case_id: bytes) -> tuple[bytes, int] | None:
        """Batch and position of a case."""
        row = self._db.execute("SELECT batch, position FROM cases WHERE case_id = ?", (case_id,)).fetchone()
        return None if row is None else (row[0], row[1])

    def case_of(self, contract: str) -> bytes | None:
        """Case id of a contract of this organisation."""
        key = self.contract_key(self.organisation, contract)
        row = self._db.execute("SELECT case_id FROM cases WHERE contract_key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    # batches

    def begin(
        self, file_key: bytes, path: Path, terms: dict[str, Any], header: bytes, made_at: int, expected: int,
        summary: dict[str, Any], batch: bytes,
    ) -> StoredBatch:  # fmt: skip
        """Journals a batch about to be made."""
        with self._write():
            self._db.execute(
                "INSERT INTO batches (id, file_key, path, state, terms, header, made_at, expected, summary)"
                " VALUES (?, ?, ?, 'MAKING', ?, ?, ?, ?, ?)",
                (
                    batch, file_key, str(path), json.dumps(terms), header, made_at, expected,
                    json.dumps(summary, ensure_ascii=False),
                ),
            )  # fmt: skip
        return self.batch(batch)

    def ready(self, batch: bytes, root: bytes, length: int) -> None:
        """Journals that the batch's file is whole and in place."""
        with self._write():
            self._db.execute(
                "UPDATE batches SET state = 'READY', root = ?, length = ? WHERE id = ? AND state = 'MAKING'",
                (root, length, batch),
            )

    def keep_totals(self, batch: bytes, totals: bytes) -> None:
        """Journals the opening of a batch's totals. The first one stays: its salt is committed."""
        with self._write():
            self._db.execute("UPDATE batches SET totals = ? WHERE id = ? AND totals IS NULL", (totals, batch))

    def totals(self, batch: bytes) -> bytes | None:
        """The opening of a batch's totals; None before it is whole."""
        row = self._db.execute("SELECT totals FROM batches WHERE id = ?", (batch,)).fetchone()
        return None if row is None else row[0]

    def keep_act(self, batch: bytes, act: str) -> None:
        """Journals the signed act with which a batch is sent, before anybody gets it."""
        with self._write():
            self._db.execute("UPDATE batches SET act = ? WHERE id = ? AND state = 'READY'", (act, batch))

    def act(self, batch: bytes) -> str | None:
        """The signed act of a batch, if one was made."""
        row = self._db.execute("SELECT act FROM batches WHERE id = ?", (batch,)).fetchone()
        return None if row is None else row[0]

    def sent(self, batch: bytes) -> None:
        """Journals that the ledger has it."""
        with self._write():
            self._db.execute("UPDATE batches SET state = 'SENT' WHERE id = ? AND state = 'READY'", (batch,))

    def recalled(self, batch: bytes) -> None:
        """Journals that it was taken back: its rows count as new again, its file goes."""
        with self._write():
            self._db.execute("DELETE FROM cases WHERE batch = ?", (batch,))
            self._db.execute("UPDATE batches SET state = 'RECALLED' WHERE id = ?", (batch,))
        with suppress(FileNotFoundError):
            self.file_path(batch).unlink()
        sync_folder(self.folder)

    def drop(self, batch: bytes) -> None:
        """Forgets a batch that was not sent, with its file; its rows count as new again."""
        with self._write():
            self._db.execute("DELETE FROM cases WHERE batch = ?", (batch,))
            self._db.execute("DELETE FROM batches WHERE id = ?", (batch,))
        for path in (self.part_path(batch), self.file_path(batch)):
            with suppress(FileNotFoundError):
                path.unlink()
        sync_folder(self.folder)

    def batch(self, batch: bytes) -> StoredBatch:
        """One batch.

        Raises:
            BatchUnknown
        """
        found = self._select("WHERE id = ?", (batch,))
        if not found:
            raise BatchUnknown(batch.hex()[:16], field="batch")
        return found[0]

    def batch_named(self, text: str) -> StoredBatch:
        """A batch by the first digits of its id or of its root, under which the ledger knows it.

        Raises:
            BatchUnknown: none, or more than one.
        """
        digits = text.lower()
        found = [
            one
            for one in self.batches()
            if digits and (one.id.hex().startswith(digits) or (one.root or b"").hex().startswith(digits))
        ]
        if len(found) != 1:
            raise BatchUnknown(f"{len(found)} batches begin with these digits", field="batch")
        return found[0]

    def batches(self, *states: BatchState) -> list[StoredBatch]:
        """All batches, oldest first, or those in the given states."""
        marks = ", ".join("?" * len(states))
        where = f"WHERE state IN ({marks}) " if states else ""
        return self._select(where + "ORDER BY made_at, id", tuple(str(state) for state in states))

    def of_file(self, digest: str) -> list[StoredBatch]:
        """Batches made from a file, oldest first."""
        return self._select("WHERE file_key = ? ORDER BY made_at, id", (self.file_key(digest),))

    def _select(self, where: str, values: tuple[Any, ...]) -> list[StoredBatch]:
        rows = self._db.execute(
            "SELECT id, file_key, path, state, terms, header, made_at, expected, summary,"  # noqa: S608
            f" sealed, length, root FROM batches {where}",
            values,
        )
        return [
            StoredBatch(
                row[0], row[1], row[2], BatchState(row[3]), json.loads(row[4]), row[5], row[6], row[7],
                json.loads(row[8]), *row[9:],
            )
            for row in rows
        ]  # fmt: skip

    def part_path(self, batch: bytes) -> Path:
        """The file of a batch while it is made."""
        return self.folder / f"{batch.hex()}.part"

    def file_path(self, batch: bytes) -> Path:
        """The file of a batch that is whole."""
        return self.folder / f"{batch.hex()}.clbatch"


def _index_key(folder: Path) -> bytes:
    """The key of the index, made at first use: 32 bytes in a file for the owner alone."""
    path = folder / _KEY_NAME
    if not path.exists():
        fresh = folder / f"{_KEY_NAME}.{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_bytes(32))
            out.flush()
            os.fsync(out.fileno())
        # A link does not replace: of two processes at first use one key stays, and both read it.
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        sync_folder(folder)
    with path.open("rb") as source:
        return expect.octets(source.read(33), "index key", 32)
