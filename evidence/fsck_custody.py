"""The custody table against the events that it is derived from, and each item's chain event by event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import asyncpg

from evidence.custody import item_leaves
from evidence.errors import RecordDamaged
from evidence.logs import LogContext, LogStatus, log_status
from evidence.receipts import open_body
from evidence.vault import Vault
from protocol.custody import Chain, CustodyEvent, CustodyKind, event_hash, is_custody_log
from protocol.entry import Header, parse_leaf
from protocol.errors import CaseledgerError
from storage.db import AnyConnection

Find = Callable[[str, str, str], None]
"""Takes code, place and detail."""
PAGE = 1024

_EVENTS = """
    SELECT e.leaf_index, e.leaf, e.body, c.item, c.number, c.event_hash, c.holder, c.pending,
           p.event_hash AS before_hash
    FROM evidence.entry e
    LEFT JOIN evidence.custody_event c ON c.log_no = e.log_no AND c.leaf_index = e.leaf_index
    LEFT JOIN evidence.custody_event p ON p.item = c.item AND p.number = c.number - 1
    WHERE e.log_no = $1 AND e.leaf_index >= $2 AND get_byte(e.leaf, 1) < 128 ORDER BY e.leaf_index LIMIT $3"""


@dataclass(frozen=True)
class _Opened:
    """An entry with its body."""

    row: asyncpg.Record
    header: Header
    event: CustodyEvent

    @property
    def kind(self) -> CustodyKind:
        kind = self.header.evidence_class
        if not isinstance(kind, CustodyKind):
            raise RecordDamaged("a document in a custody log")
        return kind


async def check(conn: AnyConnection, log: LogContext, vault: Vault | None, find: Find) -> None:
    """Every event has its row, the row says what the body says, and continues the row before it."""
    if not is_custody_log(log.origin):
        return
    end = await _end(conn, log)
    async for row in _rows(conn, log.log_no):
        place = f"leaf {row['leaf_index']}"
        if end is not None and row["leaf_index"] >= end:
            continue  # logged again in the successor
        if row["item"] is None:
            find("CustodyRowMissing", place, "")
            continue
        if row["event_hash"] != event_hash(row["leaf"]):
            find("CustodyRowMismatch", place, "event hash")
        opened = _open(row, vault)
        if opened is None:
            continue
        event = opened.event
        if (event.item, event.number) != (row["item"], row["number"]):
            find("CustodyRowMismatch", place, "item or number")
            continue
        if event.previous != row["before_hash"]:
            find("CustodyChainBroken", place, f"event {event.number}")
            continue
        try:
            after = await _after(conn, log.operator, opened)
        except CaseledgerError as error:
            find(error.code, place, error.detail)
            continue
        if (after.holder, after.pending) != (row["holder"], row["pending"]):
            find("CustodyRowMismatch", place, "holder")
    for row in await conn.fetch(
        """SELECT c.leaf_index FROM evidence.custody_event c WHERE c.log_no = $1 AND NOT EXISTS (
               SELECT FROM evidence.entry e WHERE e.log_no = c.log_no AND e.leaf_index = c.leaf_index)
           ORDER BY c.leaf_index LIMIT 10""",
        log.log_no,
    ):
        find("CustodyRowWithoutEvent", f"leaf {row['leaf_index']}", "")


async def rebuild(conn: AnyConnection, log: LogContext, vault: Vault | None) -> None:
    """Make the rows of a custody log anew from its bodies; rows of erased ones stay as they are."""
    if vault is None or not is_custody_log(log.origin):
        return
    end = await _end(conn, log)
    async with conn.transaction():
        async for row in _rows(conn, log.log_no):
            opened = _open(row, vault)
            if opened is None or (end is not None and row["leaf_index"] >= end):
                continue
            event = opened.event
            await conn.execute(
                """DELETE FROM evidence.custody_event
                   WHERE (log_no = $1 AND leaf_index = $2) OR (item = $3 AND number = $4)""",
                log.log_no,
                row["leaf_index"],
                event.item,
                event.number,
            )
            try:
                after = await _after(conn, log.operator, opened)
            except CaseledgerError:
                continue  # the check that follows says what is wrong
            await conn.execute(
                "INSERT INTO evidence.custody_event VALUES ($1, $2, $3, $4, $5, $6, $7)",
                event.item,
                event.number,
                event_hash(row["leaf"]),
                log.log_no,
                row["leaf_index"],
                after.holder,
                after.pending,
            )


async def _end(conn: AnyConnection, log: LogContext) -> int | None:
    """The closed size, None while the log is open."""
    if await log_status(conn, log.log_no) is not LogStatus.CLOSED:
        return None
    return int(
        await conn.fetchval("SELECT closed_size FROM evidence.log_status WHERE log_no = $1", log.log_no)
    )


async def _rows(conn: AnyConnection, log_no: int) -> AsyncIterator[asyncpg.Record]:
    first = 0
    while True:
        rows = await conn.fetch(_EVENTS, log_no, first, PAGE)
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        first = rows[-1]["leaf_index"] + 1


def _open(row: asyncpg.Record, vault: Vault | None) -> _Opened | None:
    """None where the body is erased or is none of an event; the check of entries says what is wrong."""
    if vault is None or row["body"] is None:
        return None
    try:
        header = parse_leaf(row["leaf"]).header
        if not isinstance(header.evidence_class, CustodyKind):
            return None
        body = open_body(vault, row["leaf"], row["body"])
        return _Opened(row, header, CustodyEvent.parse(body, header.evidence_class))
    except CaseledgerError:
        return None


async def _after(conn: AnyConnection, operator: int, opened: _Opened) -> Chain:
    """The chain behind an event, from the row before it.

    Raises:
        RecordDamaged: no such item or no row before; CustodyHolderMismatch
    """
    event = opened.event
    if event.number == 1:
        leaf = (await item_leaves(conn, operator, [event.item])).get(event.item)
        if leaf is None:
            raise RecordDamaged("an event of an item that is not here")
        before = Chain.start(event.item, parse_leaf(leaf).header.submitter)
    else:
        row = await conn.fetchrow(
            "SELECT event_hash, holder, pending FROM evidence.custody_event WHERE item = $1 AND number = $2",
            event.item,
            event.number - 1,
        )
        if row is None:
            raise RecordDamaged(f"no event {event.number - 1} before it")
        before = Chain(event.item, event.number - 1, row["event_hash"], row["holder"], row["pending"])
    digest = event_hash(opened.row["leaf"])
    return before.after(opened.kind, opened.header.submitter, event, digest)
