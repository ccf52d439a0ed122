"""Custody events of this agent, on disk before they are sent (SQLite, synchronous FULL).

An event is NEW once it is decided, SIGNED once its place in the item's chain is chosen and signed, ACCEPTED
once the log's checked promise is here. Who lost the race for a place is NEW again. Salts and the ids
of acting persons are here in clear: the file is 0600 and never leaves the machine.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.errors import JournalCorrupt
from agent.journal import State
from protocol.custody import CustodyKind

SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE actors (
    name TEXT PRIMARY KEY,
    actor_id BLOB NOT NULL UNIQUE CHECK (length(actor_id) = 32)
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    item BLOB NOT NULL CHECK (length(item) = 32),
    draft TEXT NOT NULL,
    state TEXT NOT NULL,
    log_id BLOB,
    header BLOB,
    body BLOB,
    valid_until INTEGER,
    signature BLOB,
    acceptance BLOB,
    evidence_id BLOB,
    leaf_index INTEGER,
    code TEXT
) STRICT;
CREATE INDEX events_by_item ON events (item);
CREATE INDEX events_by_state ON events (state);
"""


@dataclass(frozen=True)
class EventDraft:
    """What is to be recorded; its place in the chain is chosen when it is signed. Bytes in hex."""

    kind: int
    event_time: int
    purpose: str
    actor: str | None = None
    """Name of a person, on this machine only."""
    giver: int | None = None
    receiver: int | None = None
    authority: str | None = None
    object_sha256: str | None = None
    object_sm3: str | None = None
    result: int | None = None
    where: str | None = None
    before: str | None = None
    change: str | None = None

    @property
    def custody_kind(self) -> CustodyKind:
        return CustodyKind(self.kind)


@dataclass(frozen=True)
class JournaledEvent:
    """A journaled event; what is signed is None while it is NEW."""

    id: int
    item: bytes
    draft: EventDraft
    state: State
    log_id: bytes | None
    header: bytes | None
    body: bytes | None
    valid_until: int | None
    signature: bytes | None
    acceptance: bytes | None
    evidence_id: bytes | None
    leaf_index: int | None
    code: str | None


class CustodyJournal:
    """One organisation's events. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise JournalCorrupt(f"custody journal of version {version}", field=path.name)

    def __enter__(self) -> CustodyJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def actor(self, name: str) -> bytes:
        """The random id of a person, 32 bytes, made at first use."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO actors VALUES (?, ?) ON CONFLICT DO NOTHING", (name, secrets.token_bytes(32))
            )
            row = self._db.execute("SELECT actor_id FROM actors WHERE name = ?", (name,)).fetchone()
        return bytes(row["actor_id"])

    def add(self, item: bytes, draft: EventDraft) -> int:
        """Journal an event that is to be recorded; its number here."""
        with self._transaction():
            done = self._db.execute(
                "INSERT INTO events (item, draft, state) VALUES (?, ?, ?)",
                (item, json.dumps(asdict(draft), ensure_ascii=False), State.NEW),
            )
        return int(done.lastrowid or 0)

    def sign(self, number: int, **signed: Any) -> None:
        """Keep what is about to be sent: log_id, header, body, valid_until, signature."""
        self._set(number, state=State.SIGNED, **signed)

    def lost(self, number: int) -> None:
        """Its place was taken; it is to be signed anew."""
        self._set(
            number, state=State.NEW, log_id=None, header=None, body=None, valid_until=None, signature=None
        )

    def accept(self, number: int, acceptance: bytes, evidence_id: bytes, leaf_index: int) -> None:
        """The log's checked promise."""
        self._set(
            number, state=State.ACCEPTED, acceptance=acceptance, evidence_id=evidence_id,
            leaf_index=leaf_index,
        )  # fmt: skip

    def refuse(self, number: int, code: str) -> None:
        """Refused for what it says; not sent again."""
        self._set(number, state=State.REFUSED, code=code)

    def event(self, number: int) -> JournaledEvent:
        return _event(self._db.execute("SELECT * FROM events WHERE id = ?", (number,)).fetchone())

    def events(
        self, states: Sequence[State] = tuple(State), item: bytes | None = None
    ) -> list[JournaledEvent]:
        """In the order in which they were decided."""
        marks = ",".join("?" * len(states))
        rows = self._db.execute(
            f"SELECT * FROM events WHERE state IN ({marks}) AND (? IS NULL OR item = ?) ORDER BY id",  # noqa: S608
            (*states, item, item),
        )
        return [_event(row) for row in rows]

    def _set(self, number: int, **values: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._transaction():
            self._db.execute(f"UPDATE events SET {names} WHERE id = ?", (*values.values(), number))  # noqa: S608


def _event(row: sqlite3.Row) -> JournaledEvent:
    return JournaledEvent(
        row["id"],
        bytes(row["item"]),
        EventDraft(**json.loads(row["draft"])),
        State(row["state"]),
        row["log_id"],
        row["header"],
        row["body"],
        row["valid_until"],
        row["signature"],
        row["acceptance"],
        row["evidence_id"],
        row["leaf_index"],
        row["code"],
    )
