"""All reading SQL of the service, and with it who may see what.

A row is visible to its submitter; to a court or a regulator; and to whoever presents the case's id, which is
32 random bytes that nobody can guess. A court is never shown mediation material marked as privileged, not
even that it exists. What is not visible is left out in SQL, so that a hit elsewhere looks like a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from protocol.acts import Role
from protocol.custody import FIRST_CLASS, LAST_CLASS, ORIGIN_SUFFIX
from protocol.entry import EvidenceClass, Relation
from protocol.identifiers import case_commitment
from storage.db import AnyConnection

WIDE = Role.COURT.mask | Role.REGULATOR.mask
"""Roles that see every entry by id."""
MAX_PAGE = 1000


@dataclass(frozen=True)
class Viewer:
    """Who asks. `roles`: bits of the registry."""

    organisation: int
    roles: int = 0

    @property
    def wide(self) -> bool:
        """Sees entries of others by id."""
        return bool(self.roles & WIDE)

    @property
    def privileged(self) -> bool:
        """May see privileged material of others: not a court, whatever other role it has."""
        return not self.roles & Role.COURT.mask


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to. `log_no` None: all logs of this service."""

    case: bytes | None = None
    evidence_class: EvidenceClass | None = None
    log_no: int | None = None


_COLUMNS = """
    e.log_no, e.leaf_index, e.leaf, e.body, s.first_index, s.leaves, g.accepted_at, g.deadline,
    b.number, b.new_size, a.anchored_at, a.block_number, a.transaction_hash, p.height AS proved_at,
    k.signer IS NOT NULL AS key_proved, st.status, st.closed_size"""
_JOINS = """
    JOIN evidence.log_status st ON st.log_no = e.log_no
    JOIN LATERAL (SELECT * FROM evidence.submission s
                  WHERE s.log_no = e.log_no AND s.first_index <= e.leaf_index
                  ORDER BY s.first_index DESC LIMIT 1) s ON true
    JOIN evidence.promise_group g ON g.log_no = e.log_no AND g.first_index = s.group_first
    LEFT JOIN LATERAL (SELECT * FROM evidence.batch b WHERE b.log_no = e.log_no AND b.new_size > e.leaf_index
                  ORDER BY b.new_size LIMIT 1) b ON true
    LEFT JOIN evidence.anchor a ON a.log_no = e.log_no AND a.number = b.number
    LEFT JOIN evidence.batch_proof p ON p.log_no = e.log_no AND p.number = b.number
    LEFT JOIN evidence.key_proof k ON k.log_no = e.log_no AND k.number = b.number AND k.signer = s.signer"""
# $1 organisation's four bytes, $2 sees all, $3 case commitment or null, $4 may see privileged material.
_VISIBLE = """(substr(e.leaf, 5, 4) = $1 OR (($2 OR substr(e.leaf, 17, 32) = $3)
               AND ($4 OR get_byte(e.leaf, 3) & 1 = 0)))"""

# No custody event: those stand in their items' sheets.
_DOCUMENT = f"get_byte(e.leaf, 1) NOT BETWEEN {FIRST_CLASS} AND {LAST_CLASS}"


def _who(viewer: Viewer, case_id: bytes | None, *, wide: bool) -> tuple[bytes, bool, bytes | None, bool]:
    return (
        viewer.organisation.to_bytes(4, "big"),
        wide and viewer.wide,
        None if case_id is None else case_commitment(case_id),
        viewer.privileged,
    )


def key_of(value: bytes) -> int:
    """First eight bytes as the indexes hold them."""
    return int.from_bytes(value[:8], "big", signed=True)


async def by_ids(
    conn: AnyConnection, ids: Sequence[bytes], viewer: Viewer, case_id: bytes | None = None
) -> list[asyncpg.Record]:
    """Visible entries with these ids (32 bytes each), in no order."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM evidence.entry e {_JOINS}
            WHERE e.id_key = ANY($5::bigint[]) AND {_VISIBLE}""",  # noqa: S608 - constants
        *_who(viewer, case_id, wide=True),
        [key_of(one) for one in ids],
    )
    return list(rows)


async def by_tag(
    conn: AnyConnection, tag: bytes, viewer: Viewer, case_id: bytes | None, limit: int
) -> list[asyncpg.Record]:
    """Own entries, and those of a presented case, over a document; roles give no right to search."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM evidence.entry e {_JOINS}
            WHERE e.tag_key = $5 AND {_VISIBLE} ORDER BY e.log_no DESC, e.leaf_index DESC LIMIT $6""",  # noqa: S608
        *_who(viewer, case_id, wide=False),
        key_of(tag),
        limit,
    )
    return list(rows)


async def by_case(
    conn: AnyConnection,
    commitment: bytes,
    viewer: Viewer,
    case_id: bytes | None,
    after: tuple[int, int] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Visible entries of a case, newest first, before the place `after` (log, index)."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM evidence.entry e {_JOINS}
            WHERE e.case_key = $5 AND substr(e.leaf, 17, 32) = $6 AND {_VISIBLE} AND {_DOCUMENT}
              AND ($7::int IS NULL OR (e.log_no, e.leaf_index) < ($7, $8))
            ORDER BY e.log_no DESC, e.leaf_index DESC LIMIT $9""",  # noqa: S608
        *_who(viewer, case_id, wide=True),
        key_of(commitment),
        commitment,
        None if after is None else after[0],
        None if after is None else after[1],
        limit,
    )
    return list(rows)


async def own(
    conn: AnyConnection,
    organisation: int,
    evidence_class: EvidenceClass | None,
    log_no: int | None,
    after: tuple[int, int] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """An organisation's entries, newest first, before the place `after`.

    Its submissions lead to them: sequences rise with the index, and (log, organisation, sequence) is indexed.
    """
    out: list[asyncpg.Record] = []
    logs = await conn.fetch(
        """SELECT log_no FROM evidence.submitter JOIN evidence.log l USING (log_no)
           WHERE organisation = $1 AND ($2::int IS NULL OR log_no = $2)
             AND ($3::int IS NULL OR log_no <= $3) AND right(l.origin, $4) <> $5 ORDER BY log_no DESC""",
        organisation,
        log_no,
        None if after is None else after[0],
        len(ORIGIN_SUFFIX),
        ORIGIN_SUFFIX,
    )
    for log in (row["log_no"] for row in logs):
        before = after[1] if after is not None and after[0] == log else None
        while len(out) < limit:
            places, before = await _places(conn, log, organisation, before, limit)
            if not places:
                break
            rows = await conn.fetch(
                f"""SELECT {_COLUMNS} FROM evidence.entry e {_JOINS}
                    WHERE e.log_no = $1 AND e.leaf_index = ANY($2::bigint[])
                      AND ($3::int IS NULL OR get_byte(e.leaf, 1) = $3)
                    ORDER BY e.leaf_index DESC""",  # noqa: S608
                log,
                places,
                None if evidence_class is None else int(evidence_class),
            )
            out += rows[: limit - len(out)]
    return out


async def _places(
    conn: AnyConnection, log_no: int, organisation: int, before: int | None, limit: int
) -> tuple[list[int], int | None]:
    """The next indexes of an organisation below `before`, and where to go on."""
    rows = await conn.fetch(
        """SELECT first_index, leaves FROM evidence.submission
           WHERE log_no = $1 AND organisation = $2 AND ($3::bigint IS NULL OR first_index < $3)
           ORDER BY first_sequence DESC LIMIT $4""",
        log_no,
        organisation,
        before,
        limit,
    )
    places: list[int] = []
    for row in rows:
        first = row["first_index"]
        last = first + row["leaves"] if before is None else min(first + row["leaves"], before)
        places.extend(range(last - 1, first - 1, -1))
        if len(places) >= limit:
            break
    places = places[:limit]
    return places, places[-1] if places else before


async def pointing_at(
    conn: AnyConnection, ids: Sequence[bytes], viewer: Viewer, case_id: bytes | None
) -> list[asyncpg.Record]:
    """Replacements and disputes of entries: (target, relation, leaf).

    A replacement counts only from the submitter of the replaced entry, and is shown to whoever sees that one;
    anybody's dispute counts.
    """
    rows = await conn.fetch(
        """SELECT l.target, l.relation, e.leaf FROM evidence.entry_link l
           JOIN evidence.entry e USING (log_no, leaf_index)
           WHERE l.target = ANY($1::bytea[]) AND l.relation = ANY($2::smallint[])
           ORDER BY l.log_no, l.leaf_index LIMIT 1000""",
        list(ids),
        [int(Relation.REPLACES), int(Relation.DISPUTES)],
    )
    return list(rows)


async def continued(
    conn: AnyConnection, places: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, int, bytes]]:
    """Where entries beyond a closed log's end were logged again: (log, index) → (log, index, leaf)."""
    if not places:
        return {}
    rows = await conn.fetch(
        """SELECT o.log_no, o.leaf_index, n.log_no AS new_log, n.leaf_index AS new_index, n.leaf
           FROM unnest($1::int[], $2::bigint[]) AS w (log_no, leaf_index)
           JOIN evidence.entry o USING (log_no, leaf_index)
           JOIN evidence.log successor ON successor.predecessor = o.log_no
           JOIN evidence.entry n ON n.dedupe = o.dedupe AND n.log_no = successor.log_no""",
        *map(list, zip(*places, strict=True)),
    )
    return {
        (row["log_no"], row["leaf_index"]): (row["new_log"], row["new_index"], row["leaf"]) for row in rows
    }


async def log_report(conn: AnyConnection, log_no: int) -> asyncpg.Record:
    """Numbers of one log for status and metrics."""
    row = await conn.fetchrow(
        """SELECT w.accepted_size, w.epoch, st.status, st.code, st.detail, st.since, st.closed_size,
                  t.tiled_size,
                  coalesce((SELECT max(new_size) FROM evidence.batch WHERE log_no = $1), 0) AS sealed_size,
                  coalesce((SELECT max(number) FROM evidence.batch WHERE log_no = $1), 0) AS batches,
                  last.anchored_size, last.anchored_at, last.block_number,
                  coalesce((SELECT max(b.new_size) FROM evidence.batch_proof p JOIN evidence.batch b
                            USING (log_no, number) WHERE p.log_no = $1), 0) AS proved_size
           FROM evidence.log_writer w JOIN evidence.log_status st USING (log_no)
           JOIN evidence.tile_state t USING (log_no)
           LEFT JOIN LATERAL (
               SELECT b.new_size AS anchored_size, a.anchored_at, a.block_number FROM evidence.anchor a
               JOIN evidence.batch b USING (log_no, number) WHERE a.log_no = $1 ORDER BY a.number DESC LIMIT 1
           ) last ON true
           WHERE w.log_no = $1""",
        log_no,
    )
    if row is None:
        raise LookupError(log_no)
    return row


async def oldest_waiting(conn: AnyConnection, log_no: int, anchored: int) -> tuple[int, int] | None:
    """(accepted at, deadline) of the group that holds the first leaf at or after `anchored`."""
    row = await conn.fetchrow(
        """SELECT accepted_at, deadline FROM evidence.promise_group
           WHERE log_no = $1 AND first_index <= $2 ORDER BY first_index DESC LIMIT 1""",
        log_no,
        anchored,
    )
    return None if row is None else (row["accepted_at"], row["deadline"])


async def troubles(conn: AnyConnection, log_no: int) -> list[asyncpg.Record]:
    """Steps that fail now."""
    return list(
        await conn.fetch(
            """SELECT step, code, detail, first_at, last_at, times FROM evidence.trouble
               WHERE log_no = $1 ORDER BY step""",
            log_no,
        )
    )
