"""What readers get of an item's custody: the signed sheet, and the chain as accepted (custody.md §5, §7)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from evidence.errors import CustodyLogMissing, EvidenceNotFound, ReceiptNotReady
from evidence.logs import LogContext, load_logs
from evidence.ports import Clock, PromiseSigner, system_clock
from evidence.receipts import ReceiptMaker, open_body
from evidence.service import EvidenceService, EvidenceView, Viewer
from evidence.vault import Vault
from protocol.custody import MAX_EVENTS, STATEMENT_TAG, CustodyKind, Statement
from protocol.entry import evidence_id, parse_leaf
from protocol.errors import LimitExceeded
from protocol.hashing import sha256, sm3
from storage.db import TRANSIENT, AnyConnection, Pool, unavailable
from verifier.custody import encode

PROOF_SECONDS = 1800
"""How long an anchored batch may wait for its proof before sheets wait too: after an hour a statement that
leaves it out would prove our own fault."""
LAST_EVENTS = 1000
"""Of a chain that is shown as accepted."""

# In a log that was closed, what stands behind its end is not in it any more.
_EVENTS = """
    SELECT c.number, c.event_hash, c.log_no, c.leaf_index, c.holder, c.pending, e.leaf, e.body,
           s.status, s.closed_size, g.accepted_at, b.number AS batch, a.anchored_at
    FROM evidence.custody_event c
    JOIN evidence.entry e ON e.log_no = c.log_no AND e.leaf_index = c.leaf_index
    JOIN evidence.log_status s ON s.log_no = c.log_no
    JOIN LATERAL (SELECT * FROM evidence.promise_group g WHERE g.log_no = c.log_no
                  AND g.first_index <= c.leaf_index ORDER BY g.first_index DESC LIMIT 1) g ON true
    LEFT JOIN LATERAL (SELECT * FROM evidence.batch b WHERE b.log_no = c.log_no AND b.new_size > c.leaf_index
                  ORDER BY b.new_size LIMIT 1) b ON true
    LEFT JOIN evidence.anchor a ON a.log_no = c.log_no AND a.number = b.number
    WHERE c.item = $1 ORDER BY c.number DESC LIMIT $2"""

_PROVED = """
    SELECT b.new_size, b.root_sha256, b.root_sm3 FROM evidence.batch b
    JOIN evidence.batch_proof USING (log_no, number)
    WHERE log_no = $1 ORDER BY number DESC LIMIT 1"""
_UNPROVED = """
    SELECT min(a.anchored_at) FROM evidence.anchor a WHERE a.log_no = $1 AND NOT EXISTS (
        SELECT FROM evidence.batch_proof p WHERE p.log_no = a.log_no AND p.number = a.number)"""


@dataclass(frozen=True)
class ChainView:
    """An item's chain as accepted; `events` are the last ones, oldest first, bodies in hex."""

    item: EvidenceView
    log: LogContext
    count: int
    head: bytes | None
    holder: int
    pending: int | None
    events: tuple[dict[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """custody.md §7."""
        return {
            "item": self.item.evidence_id.hex(),
            "log": self.log.origin,
            "logId": self.log.log_id.hex(),
            "submitter": self.item.submitter,
            "case": self.item.case.hex(),
            "privileged": self.item.privileged,
            "count": self.count,
            "head": self.head.hex() if self.head else None,
            "holder": self.holder,
            "pending": self.pending,
            "events": list(self.events),
        }


class CustodyService:
    """Custody of the items of one operator, whose custody log is `log`."""

    def __init__(
        self,
        pool: Pool,
        vault: Vault,
        evidence: EvidenceService,
        log: LogContext,
        signer: PromiseSigner,
        *,
        clock: Clock = system_clock,
    ) -> None:
        self.log = log
        self._pool = pool
        self._vault = vault
        self._evidence = evidence
        self._signer = signer
        self._clock = clock
        self._makers: dict[int, ReceiptMaker] = {}
        self._making = asyncio.Lock()

    async def chain(self, identity: bytes, viewer: Viewer, *, case_id: bytes | None = None) -> ChainView:
        """What a writer continues. Raises EvidenceNotFound, CustodyLogMissing."""
        item = await self._item(identity, viewer, case_id)
        try:
            async with self._pool.acquire() as conn:
                rows = await conn.fetch(_EVENTS, identity, LAST_EVENTS)
        except TRANSIENT as error:
            raise unavailable(error) from error
        last = rows[0] if rows else None
        return ChainView(
            item,
            self.log,
            last["number"] if last else 0,
            last["event_hash"] if last else None,
            last["holder"] if last else item.submitter,
            last["pending"] if last else None,
            tuple(self._event(row) for row in reversed(rows)),
        )

    async def sheet(self, identity: bytes, viewer: Viewer, *, case_id: bytes | None = None) -> bytes:
        """The newest sheet. Raises EvidenceNotFound, CustodyLogMissing, ReceiptNotReady, LimitExceeded."""
        await self._item(identity, viewer, case_id)
        try:
            async with (
                self._making,
                self._pool.acquire() as conn,
                conn.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await self._sheet(conn, identity)
        except TRANSIENT as error:
            raise unavailable(error) from error

    async def _sheet(self, conn: AnyConnection, identity: bytes) -> bytes:
        newest = await self._newest(conn)
        size = newest["new_size"] if newest else 0
        rows = [
            row
            for row in reversed(await conn.fetch(_EVENTS, identity, MAX_EVENTS + 1))
            if self._counts(row, size)
        ]
        if len(rows) > MAX_EVENTS:
            raise LimitExceeded(f"more than {MAX_EVENTS} events", field="id")
        receipts = await self._receipts(conn, rows)
        stated = Statement(
            log_id=self.log.log_id,
            item=identity,
            count=len(rows),
            head=rows[-1]["event_hash"] if rows else None,
            size=size,
            root_sha256=newest["root_sha256"] if newest else sha256(b""),
            root_sm3=newest["root_sm3"] if newest else sm3(b""),
            stated_at=self._clock(),
        )
        return encode(stated, self._signer.sign(STATEMENT_TAG + stated.encode()), receipts)

    async def _newest(self, conn: AnyConnection) -> asyncpg.Record | None:
        """The newest batch whose proof is here: receipts up to it can be made.

        Raises:
            ReceiptNotReady: a batch that was anchored has waited too long for its proof.
        """
        late = await conn.fetchval(_UNPROVED, self.log.log_no)
        if late is not None and late + PROOF_SECONDS < self._clock():
            raise ReceiptNotReady("an anchored batch is not proved yet", hint="see the status")
        return await conn.fetchrow(_PROVED, self.log.log_no)

    def _counts(self, row: asyncpg.Record, size: int) -> bool:
        """Whether the event is among the first `size` leaves, or in a log that this one continues.

        Raises:
            ReceiptNotReady: it was in a closed log, and its submitter has not sent it to the successor yet.
        """
        if row["log_no"] == self.log.log_no:
            return bool(row["leaf_index"] < size)
        if row["status"] == "closed" and row["leaf_index"] >= row["closed_size"]:
            raise ReceiptNotReady(f"event {row['number']}", hint="its submitter logs it again")
        return True

    async def _receipts(self, conn: AnyConnection, rows: list[asyncpg.Record]) -> list[bytes]:
        """In the order of the rows, which may be of several logs."""
        wanted: dict[int, list[int]] = {}
        for row in rows:
            wanted.setdefault(row["log_no"], []).append(row["leaf_index"])
        made: dict[tuple[int, int], bytes] = {}
        for log_no, indexes in wanted.items():
            maker = await self._maker(conn, log_no)
            for one in await maker.make(conn, indexes):
                made[log_no, one.index] = one.data
        return [made[row["log_no"], row["leaf_index"]] for row in rows]

    async def _maker(self, conn: AnyConnection, log_no: int) -> ReceiptMaker:
        maker = self._makers.get(log_no)
        if maker is None:
            log = next(one for one in await load_logs(conn) if one.log_no == log_no)
            maker = self._makers[log_no] = ReceiptMaker(log, self._vault, clock=self._clock)
        return maker

    async def _item(self, identity: bytes, viewer: Viewer, case_id: bytes | None) -> EvidenceView:
        item = await self._evidence.show(identity, viewer, case_id=case_id)
        if isinstance(item.evidence_class, CustodyKind):
            raise EvidenceNotFound(field="id")
        return item

    def _event(self, row: asyncpg.Record) -> dict[str, Any]:
        leaf: bytes = row["leaf"]
        header = parse_leaf(leaf).header
        body = None if row["body"] is None else open_body(self._vault, leaf, row["body"]).hex()
        state = "ACCEPTED" if row["batch"] is None else "SEALED"
        return {
            "id": evidence_id(leaf).hex(),
            "number": row["number"],
            "class": int(header.evidence_class),
            "submitter": header.submitter,
            "state": "ANCHORED" if row["anchored_at"] is not None else state,
            "acceptedAt": row["accepted_at"],
            "body": body,
        }


def missing() -> CustodyLogMissing:
    """What is said where no custody log is run."""
    return CustodyLogMissing(hint="its operator opens one by governance: docs/operator.md")
