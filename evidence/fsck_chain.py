"""Batches and anchors against the contract; a loss that a successor log records is known, not found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from evidence.contract import Anchored, ContractPort, Head, HeadStatus
from evidence.errors import RecordDamaged
from evidence.fsck_report import Finder, Fix
from evidence.fsck_trees import Roots
from evidence.logs import LogContext
from evidence.receipts import open_body
from evidence.tiles import TileReader
from evidence.vault import Vault
from protocol.entry import Continuation, EvidenceClass, Header, parse_body
from protocol.errors import CaseledgerError
from storage.db import AnyConnection

ZERO32 = bytes(32)
_ROWS = """
    SELECT b.*, a.link, a.previous_link, a.anchored_at, a.block_number, a.block_hash, a.transaction_hash
    FROM evidence.batch b LEFT JOIN evidence.anchor a USING (log_no, number)
    WHERE b.log_no = $1 ORDER BY b.number"""
_BATCH_SET = """
    INSERT INTO evidence.batch (log_no, number, old_size, new_size, root_sha256, root_sm3, sealed_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (log_no, number) DO UPDATE
    SET old_size = excluded.old_size, new_size = excluded.new_size, root_sha256 = excluded.root_sha256,
        root_sm3 = excluded.root_sm3"""
_ANCHOR_SET = """
    INSERT INTO evidence.anchor (log_no, number, previous_link, link, anchored_at, block_number, block_hash,
        transaction_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (log_no, number) DO UPDATE SET previous_link = excluded.previous_link, link = excluded.link,
        anchored_at = excluded.anchored_at, block_number = excluded.block_number,
        block_hash = excluded.block_hash, transaction_hash = excluded.transaction_hash"""


@dataclass
class ChainCheck:
    """One log against its contract."""

    conn: AnyConnection
    log: LogContext
    contract: ContractPort
    find: Finder
    roots: Roots
    """As the entries give them."""
    size: int
    """Leaves that follow without a gap."""
    vault: Vault | None

    async def run(self) -> None:
        head = await self.contract.head(self.log.log_id)
        rows = {row["number"]: row for row in await self.conn.fetch(_ROWS, self.log.log_no)}
        if head.status is HeadStatus.UNKNOWN:
            if rows:
                self.find("HeadUnknown", "head", "the contract does not know the log")
            return
        if head.operator != self.log.operator:
            self.find("OperatorMismatch", "head", f"{head.operator} on the chain")
        # What a thief anchored behind the size at which governance closed the log is no part of it.
        end = head.closed_size if head.status is HeadStatus.CLOSED else head.size
        told = await self.contract.anchored_all(self.log.log_id, 1)
        events = [event for event in told if event.old_size < end]
        missing = await self._events(events, rows)
        if missing and await self._recorded(head, events, missing):
            self.find.known(
                "LossRecorded",
                f"batches {missing[0].number} to {missing[-1].number}",
                f"leaves {missing[0].old_size} to {missing[-1].new_size - 1} are on the chain and not here; "
                f"the successor log begins with the tree of {head.closed_size} leaves",
            )
            missing = []
        for event in missing:
            self.find("AnchorUnknown", f"batch {event.number}", "anchored, not in the database",
                      *await self._restored(event, events))  # fmt: skip
        top = rows.get(head.batches)
        if head.size > end:
            pass
        elif missing:
            self.find("HeadAhead", "head", f"{head.batches} batches on the chain, {len(rows)} here")
        elif top is not None and (head.size, head.root_sha256) != (top["new_size"], top["root_sha256"]):
            self.find("HeadMismatch", "head", f"batch {head.batches} is another one on the chain")
        for number, row in rows.items():
            if row["link"] is not None and await self.contract.link(self.log.log_id, number) != row["link"]:
                self.find("LinkSlotMismatch", f"batch {number}")

    async def _events(self, events: list[Anchored], rows: Mapping[int, asyncpg.Record]) -> list[Anchored]:
        """Compare what the chain told with what is stored; the events whose batch is not."""
        missing, previous = [], ZERO32
        for event in events:
            before, previous = previous, event.link
            row = rows.get(event.number)
            place = f"batch {event.number}"
            if row is None:
                missing.append(event)
                continue
            on_chain = (event.old_size, event.new_size, event.root_sha256, event.root_sm3)
            if on_chain != (row["old_size"], row["new_size"], row["root_sha256"], row["root_sm3"]):
                self.find("AnchorMismatch", place, "the chain has another tree", *self._batch(event))
            if row["link"] is None:
                continue  # on its way into the database
            stored = (row["previous_link"], row["link"], row["anchored_at"])
            if (before, event.link, event.time) != stored:
                self.find("AnchorMismatch", place, "the chain has another link", self._anchor(event, before))
            stored = (row["block_number"], row["block_hash"], row["transaction_hash"])
            if (event.block_number, event.block_hash, event.transaction_hash) != stored:
                self.find(
                    "AnchorMismatch", place, "the chain has it in another block", self._anchor(event, before)
                )
        return missing

    def _batch(self, event: Anchored) -> tuple[Fix, ...]:
        """The batch as anchored, if that is the tree of our own entries: then the row alone is wrong."""
        if self.roots.other.get(event.new_size) != (event.root_sha256, event.root_sm3):
            return ()
        return (self._batch_set(event),)

    def _batch_set(self, event: Anchored) -> Fix:
        values = (
            self.log.log_no, event.number, event.old_size, event.new_size, event.root_sha256, event.root_sm3,
            event.time,
        )  # fmt: skip
        return Fix("batch", _BATCH_SET, values)

    def _anchor(self, event: Anchored, previous: bytes) -> Fix:
        values = (
            self.log.log_no, event.number, previous, event.link, event.time, event.block_number,
            event.block_hash, event.transaction_hash,
        )  # fmt: skip
        return Fix("anchor", _ANCHOR_SET, values)

    async def _restored(self, event: Anchored, events: list[Anchored]) -> tuple[Fix, ...]:
        """Batch and anchor as the chain has them, if the leaves are all here and give the anchored roots."""
        if event.new_size > self.size:
            return ()
        try:
            roots = await TileReader(self.log.log_no).roots(self.conn, event.new_size)
        except RecordDamaged:
            return ()
        if roots != (event.root_sha256, event.root_sm3):
            return ()
        previous = next((one.link for one in events if one.number == event.number - 1), ZERO32)
        return self._batch_set(event), self._anchor(event, previous)

    async def _recorded(self, head: Head, events: list[Anchored], missing: list[Anchored]) -> bool:
        """Whether the loss is all that is wrong behind a size, and the successor's first entry, itself
        anchored, commits to the tree that the lost leaves belong to.
        """
        tail = events[len(events) - len(missing) :]
        if head.status is not HeadStatus.CLOSED or missing != tail or tail[-1].new_size != head.closed_size:
            return False
        row = await self.conn.fetchrow(
            """SELECT l.log_id, e.leaf, e.body FROM evidence.log l
               JOIN evidence.entry e ON e.log_no = l.log_no AND e.leaf_index = 0
               JOIN evidence.batch b ON b.log_no = l.log_no AND b.number = 1
               JOIN evidence.anchor a ON a.log_no = l.log_no AND a.number = 1
               WHERE l.predecessor = $1 AND l.log_id = $2""",
            self.log.log_no,
            head.successor,
        )
        if row is None or self.vault is None or row["body"] is None:
            return False
        wanted = (self.log.log_id, head.closed_size, tail[-1].root_sha256, tail[-1].root_sm3)
        return committed(self.vault, row["leaf"], row["body"]) == wanted


def committed(vault: Vault, leaf: bytes, sealed: bytes) -> tuple[bytes, int, bytes, bytes] | None:
    """Log, size and roots that a log's first entry commits to; None when it is no continuation."""
    try:
        if Header.parse(leaf[:48]).evidence_class is not EvidenceClass.LOG_CONTINUATION:
            return None
        body = parse_body(open_body(vault, leaf, sealed), EvidenceClass.LOG_CONTINUATION)
    except CaseledgerError:
        return None
    if not isinstance(body, Continuation):
        return None
    return body.predecessor, body.size, body.root_sha256, body.root_sm3
