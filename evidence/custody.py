"""The books of custody: whether an event continues its item's chain, asked before it is written.

The transaction that accepts asks again (`evidence.accept_custody_group`), so of two writers one gets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evidence.errors import CustodyChainMoved, CustodyItemUnknown
from evidence.logs import LogContext
from evidence.repository import key_of
from protocol.custody import (
    FIRST_CLASS,
    LAST_CLASS,
    ORIGIN_SUFFIX,
    Chain,
    CustodyEvent,
    CustodyHolderMismatch,
    CustodyInFuture,
    CustodyKind,
    event_hash,
)
from protocol.entry import FLAG_PRIVILEGED, HEADER_LEN, Header, evidence_id
from protocol.submission import CheckedSubmission
from storage.db import AnyConnection

CLOCK_MARGIN = 300
"""Seconds that an event's clock may be ahead of ours."""


@dataclass(frozen=True)
class Place:
    """Where an event stands in its item's chain. `position`: its place in the submission."""

    position: int
    item: bytes
    number: int
    previous: bytes | None
    digest: bytes
    holder: int
    pending: int | None


class CustodyBooks:
    """Chains of the items of one operator, as committed."""

    def __init__(self, log: LogContext) -> None:
        self._log = log

    async def places(
        self,
        conn: AnyConnection,
        checked: CheckedSubmission,
        now: int,
        ahead: dict[bytes, Chain] | None = None,
    ) -> list[Place]:
        """The places of a submission's events. `ahead`: chains as they are once what waits is written; is
        moved on when every event fits.

        Raises:
            CustodyItemUnknown, CustodyInFuture, CustodyChainMoved, CustodyHolderMismatch
        """
        events = [view for view in checked.views if isinstance(view, CustodyEvent)]
        if len(events) != len(checked.views):
            return []  # a log continuation
        wanted = {event.item for event in events}
        items = await item_leaves(conn, self._log.operator, wanted)
        chains = await _chains(conn, items)
        chains.update({item: chain for item, chain in (ahead or {}).items() if item in wanted})
        out: list[Place] = []
        for position, (event, leaf) in enumerate(zip(events, checked.leaves, strict=True)):
            field = f"entries[{position}]"
            head = Header.parse(leaf[:HEADER_LEN])
            known = items.get(event.item)
            if known is None or not _same_case(known, leaf):
                raise CustodyItemUnknown(field=field)
            if event.event_time > now + CLOCK_MARGIN:
                raise CustodyInFuture(f"at {event.event_time}, now {now}", field=field)
            chain, digest = chains[event.item], event_hash(leaf)
            if not chain.continued_by(event):
                again = await self._again(conn, event, digest)
                if again is None:
                    raise CustodyChainMoved(
                        f"the next event is number {chain.count + 1}", field=field, hint="look and sign again"
                    )
                out.append(Place(position, event.item, event.number, event.previous, digest, *again))
                continue
            kind = head.evidence_class
            if not isinstance(kind, CustodyKind):
                raise TypeError("a custody body under another class")
            try:
                chain = chains[event.item] = chain.after(kind, head.submitter, event, digest)
            except CustodyHolderMismatch as error:
                error.field = field
                raise
            if chain.holder is None:
                raise TypeError("a holder is known from the item on")
            out.append(
                Place(position, event.item, event.number, event.previous, digest, chain.holder, chain.pending)
            )
        if ahead is not None:
            ahead.update({item: chains[item] for item in wanted})
        return out

    async def _again(
        self, conn: AnyConnection, event: CustodyEvent, digest: bytes
    ) -> tuple[int, int | None] | None:
        """Holder and offer after an event that a closed log has lost: it may be logged again, here."""
        row = await conn.fetchrow(
            """SELECT c.holder, c.pending FROM evidence.custody_event c
               JOIN evidence.log_status s USING (log_no)
               WHERE c.item = $1 AND c.number = $2 AND c.event_hash = $3 AND c.log_no <> $4
                 AND s.status = 'closed' AND c.leaf_index >= s.closed_size""",
            event.item,
            event.number,
            digest,
            self._log.log_no,
        )
        return None if row is None else (row["holder"], row["pending"])


def columns(places: Sequence[tuple[int, Place]]) -> tuple[list[object], ...]:
    """The event arrays of evidence.accept_custody_group, from (leaf index, place)."""
    return (
        [index for index, _ in places],
        [one.item for _, one in places],
        [one.number for _, one in places],
        [one.previous for _, one in places],
        [one.digest for _, one in places],
        [one.holder for _, one in places],
        [one.pending for _, one in places],
    )


def _same_case(item: bytes, event: bytes) -> bool:
    """Whether an event's leaf has the case and the privilege of its item's leaf."""
    return item[16:48] == event[16:48] and (item[3] ^ event[3]) & FLAG_PRIVILEGED == 0


async def item_leaves(conn: AnyConnection, operator: int, ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """Leaves of the evidence entries with these ids, in this operator's evidence logs."""
    rows = await conn.fetch(
        """SELECT e.leaf FROM evidence.entry e JOIN evidence.log l USING (log_no)
           WHERE e.id_key = ANY($1::bigint[]) AND l.operator = $2 AND right(l.origin, $3) <> $4
             AND get_byte(e.leaf, 1) NOT BETWEEN $5 AND $6 AND get_byte(e.leaf, 1) < 128""",
        [key_of(one) for one in ids],
        operator,
        len(ORIGIN_SUFFIX),
        ORIGIN_SUFFIX,
        FIRST_CLASS,
        LAST_CLASS,
    )
    wanted = set(ids)
    found = {evidence_id(row["leaf"]): row["leaf"] for row in rows}
    return {item: leaf for item, leaf in found.items() if item in wanted}


async def _chains(conn: AnyConnection, items: dict[bytes, bytes]) -> dict[bytes, Chain]:
    """How far the items' chains have come."""
    rows = await conn.fetch(
        """SELECT DISTINCT ON (item) item, number, event_hash, holder, pending FROM evidence.custody_event
           WHERE item = ANY($1::bytea[]) ORDER BY item, number DESC""",
        list(items),
    )
    chains = {
        item: Chain.start(item, Header.parse(leaf[:HEADER_LEN]).submitter) for item, leaf in items.items()
    }
    for row in rows:
        chains[row["item"]] = Chain(
            row["item"], row["number"], row["event_hash"], row["holder"], row["pending"]
        )
    return chains
