"""What may be known of batches and of their sealed rows, and by whom.

| who | sees |
| --- | --- |
| owner | its own batches |
| centre, regulator | all batches |
| anybody else | none |

A sealed row goes to whom `cases.access.may_have_row` names. What the caller may not see is answered like what
is not there.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cases import batch_repository as repository
from cases.access import SEES_ALL, Standing, may_have_row
from cases.errors import BatchNotHere, CaseNotHere
from cases.looks import Looks
from cases.ports import KeptRow, PersonData
from chain.case_acts import Origin
from evidence.ports import Clock
from evidence.repository import Viewer
from protocol.case_batch import CaseLeaf
from protocol.errors import MalformedInput
from storage.db import Pool

MOST_ROWS = 200
"""Batches of a page."""
_PLACE = 8 + 32


class BatchState(StrEnum):
    """How far a batch is."""

    RECEIVED = "received"
    """Its file is here; the chain does not have it."""
    IMPORTED = "imported"
    RECALLED = "recalled"


@dataclass(frozen=True)
class Batch:
    """A batch as this service knows it. Times in seconds UTC, None for what did not happen.

    `received_at` is None for a batch that the chain has and whose file went to another gateway.
    """

    root: bytes
    owner: int
    count: int
    batch_id: bytes | None
    made_at: int | None
    received_at: int | None
    file_digest: bytes | None
    recipients: tuple[int, ...]
    imported_at: int | None
    imported_block: int | None
    imported_by: bytes | None
    """Transaction."""
    policy: int | None
    rules: bytes | None
    totals: bytes | None
    recalled_at: int | None
    moved: int
    """Cases that moved."""

    @property
    def state(self) -> BatchState:
        """The last thing that happened."""
        if self.recalled_at is not None:
            return BatchState.RECALLED
        return BatchState.RECEIVED if self.imported_at is None else BatchState.IMPORTED

    @property
    def place(self) -> tuple[int, bytes]:
        """In lists: when it was first known here."""
        return self.received_at or self.imported_at or 0, self.root

    def as_json(self) -> dict[str, Any]:
        """Hex and numbers."""

        def text(value: bytes | None) -> str | None:
            return None if value is None else value.hex()

        return {
            "root": self.root.hex(),
            "state": str(self.state),
            "owner": self.owner,
            "count": self.count,
            "moved": self.moved,
            "batchId": text(self.batch_id),
            "madeAt": self.made_at,
            "receivedAt": self.received_at,
            "fileDigest": text(self.file_digest),
            "recipients": list(self.recipients),
            "importedAt": self.imported_at,
            "importedBlock": self.imported_block,
            "importedBy": text(self.imported_by),
            "policy": self.policy,
            "rules": text(self.rules),
            "totals": text(self.totals),
            "recalledAt": self.recalled_at,
        }


@dataclass(frozen=True)
class Page:
    """Newest first; `next` continues, None at the end."""

    items: tuple[Batch, ...]
    next: str | None


@dataclass(frozen=True)
class SealedCase:
    """A sealed row for one recipient, with its leaf and the proof that the leaf is in the batch."""

    leaf: bytes
    origin: Origin
    size: int
    organisation: int
    kept: KeptRow = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Hex, base64 for what is long."""
        return {
            "caseId": CaseLeaf.parse(self.leaf).case_id.hex(),
            "leaf": self.leaf.hex(),
            "root": self.origin.root.hex(),
            "index": self.origin.index,
            "size": self.size,
            "path": [node.hex() for node in self.origin.path],
            "organisation": self.organisation,
            "wrapped": base64.b64encode(self.kept.wrapped).decode(),
            "ciphertext": base64.b64encode(self.kept.ciphertext).decode(),
        }


class Batches:
    """Reads batches and rows for a viewer."""

    def __init__(self, pool: Pool, persons: PersonData, looks: Looks, clock: Clock) -> None:
        self._pool = pool
        self._persons = persons
        self._looks = looks
        self._clock = clock

    async def show(self, root: bytes, viewer: Viewer) -> Batch:
        """One batch. Raises BatchNotHere."""
        async with self._pool.acquire() as conn:
            row = await repository.batch(conn, root, _owner(viewer))
        if row is None:
            raise BatchNotHere(field="root")
        return _batch(row)

    async def page(self, viewer: Viewer, cursor: str | None = None, limit: int = 100) -> Page:
        """Batches that the viewer may know of. Raises MalformedInput."""
        after = None if cursor is None else _place(cursor)
        limit = max(1, min(limit, MOST_ROWS))
        async with self._pool.acquire() as conn:
            rows = await repository.batches(conn, _owner(viewer), after, limit + 1)
        found = tuple(map(_batch, rows))
        return Page(found[:limit], _cursor(found[limit - 1]) if len(found) > limit else None)

    async def row(self, case_id: bytes, viewer: Viewer) -> SealedCase:
        """The sealed row of a case for the viewer; that it looked is on disk before.

        Raises:
            CaseNotHere: also for those who see the case and not its row.
            BatchDamaged
        """
        async with self._pool.acquire() as conn:
            found = await repository.sealed_case(conn, case_id)
            if found is None:
                raise CaseNotHere(field="case")
            standing = Standing(found["owner"], found["stage"], found["court"], found["listed"])
            if not may_have_row(viewer, found["recipients"], standing):
                raise CaseNotHere(field="case")
            origin = await repository.origin(conn, case_id)
            kept = await self._persons.row(conn, case_id, viewer.organisation)
        if kept is None or origin is None:
            raise CaseNotHere(field="case")
        await self._looks.record_row([case_id], viewer.organisation, self._clock())
        leaf = CaseLeaf(origin.product, found["owner"], case_id, origin.commitment).encode()
        return SealedCase(leaf, origin, found["count"], viewer.organisation, kept)


def _owner(viewer: Viewer) -> int | None:
    """Whose batches the viewer sees; None: everybody's."""
    return None if viewer.roles & SEES_ALL else viewer.organisation


def _batch(row: repository.Row) -> Batch:
    return Batch(**{**dict(row), "recipients": tuple(row["recipients"] or ())})


def _cursor(last: Batch) -> str:
    time, root = last.place
    return base64.urlsafe_b64encode(time.to_bytes(8, "big") + root).decode()


def _place(text: str) -> tuple[int, bytes]:
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    if len(data) != _PLACE or data[0] >= 0x80:
        raise MalformedInput("cursor: not from this list", field="cursor", hint="use `next` of a page")
    return int.from_bytes(data[:8], "big"), data[8:]
