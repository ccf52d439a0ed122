"""All SQL over batches: what was handed in, its tree, and how far the chain has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import asyncpg

from cases.errors import BatchDamaged
from chain.case_acts import Origin
from protocol.batch_file import above
from protocol.case_batch import BatchHeader, BatchTrailer, CaseLeaf, leaf_hash
from protocol.errors import MalformedInput
from protocol.hashing import HASH_LEN, SHA256
from protocol.tree import root_from_path
from storage.db import AnyConnection

LISTING_SECONDS = 1800.0
"""A batch of a million cases on a busy disk."""


async def origin(conn: AnyConnection, case_id: bytes) -> Origin | None:
    """The origin of a case whose batch file is here, checked; None for any other.

    It is asked of cases that did not move yet: whoever moves a case further shows an empty one.

    Raises:
        BatchDamaged: the stored tree does not lead to the root.
    """
    row = await conn.fetchrow(_ORIGIN, case_id)
    if row is None:
        return None
    found = Origin(
        row["root"],
        row["position"],
        row["product"],
        row["commitment"],
        tuple(node for node in row["path"] if node),
    )
    leaf = leaf_hash(CaseLeaf(found.product, row["owner"], case_id, found.commitment).encode())
    try:
        root = root_from_path(SHA256, leaf, found.index, row["count"], found.path)
    except MalformedInput:
        root = b""
    if root != found.root:
        raise BatchDamaged("the stored tree of the batch does not lead to its root", hint="caseledger fsck")
    return found


# The sibling of node i is node i ^ 1. Beyond the end of a level there is none: that node goes up as it is.
_ORIGIN = """
SELECT c.root, c.position, c.owner, c.product, c.commitment, b.count, p.path
FROM cases.case c
JOIN cases.batch b ON b.root = c.root AND b.owner = c.owner
CROSS JOIN LATERAL (
    SELECT array_agg(substring(l.hashes FROM ((((c.position >> l.level) # 1) * 32 + 1))::int FOR 32)
                     ORDER BY l.level) AS path
    FROM cases.batch_level l WHERE l.root = c.root
) p
WHERE c.case_id = $1"""


def levels_of(leaf_hashes: bytes | bytearray) -> Iterator[bytes]:
    """The levels of a tree, from the leaf hashes to the root, 32 bytes a node."""
    level = bytes(leaf_hashes)
    yield level
    while len(level) > HASH_LEN:
        level = above(level)
        yield level


async def lock(conn: AnyConnection, root: bytes) -> None:
    """Whoever changes what is known of a batch takes this first, for the rest of its transaction."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(root[:8], "big", signed=True))


async def settle(conn: AnyConnection) -> None:
    """Lists the cases of a batch that the chain has already, now rather than at the commit.

    For a million cases that takes longer than a statement of this service may take.
    """
    await conn.execute("SET LOCAL statement_timeout = 0")
    await conn.execute("SET CONSTRAINTS cases.came IMMEDIATE", timeout=LISTING_SECONDS)


async def insert_batch(conn: AnyConnection, header: BatchHeader, trailer: BatchTrailer, now: int) -> None:
    """A batch. The caller's transaction brings its tree, its cases and its rows as well."""
    await conn.execute(
        """INSERT INTO cases.batch
               (root, batch_id, owner, count, made_at, received_at, file_digest, recipients, recipient_keys)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        trailer.root,
        header.batch_id,
        header.owner,
        trailer.count,
        header.made_at,
        now,
        trailer.digest,
        [one.organisation for one in header.recipients],
        [one.public_key for one in header.recipients],
    )


async def insert_levels(conn: AnyConnection, root: bytes, leaf_hashes: bytes | bytearray) -> None:
    """The tree of a batch."""
    for level, hashes in enumerate(levels_of(leaf_hashes)):
        await conn.execute("INSERT INTO cases.batch_level VALUES ($1, $2, $3)", root, level, hashes)


async def insert_cases(conn: AnyConnection, root: bytes, first: int, leaves: Sequence[CaseLeaf]) -> int:
    """Cases of a batch from position `first` on; how many of them are this batch's now.

    A case that moved before its file came is known from the chain already, with the same leaf.
    """
    status = await conn.execute(
        """INSERT INTO cases.case (case_id, root, position, owner, product, commitment)
           SELECT c.id, $1, $2 + c.at - 1, c.owner, c.product, c.commitment
           FROM unnest($3::bytea[], $4::bigint[], $5::smallint[], $6::bytea[])
                WITH ORDINALITY AS c (id, owner, product, commitment, at)
           ON CONFLICT (case_id) DO UPDATE SET position = excluded.position
           WHERE (cases.case.root, cases.case.position, cases.case.owner, cases.case.product,
                  cases.case.commitment)
               = (excluded.root, excluded.position, excluded.owner, excluded.product, excluded.commitment)""",
        root,
        first,
        [leaf.case_id for leaf in leaves],
        [leaf.owner for leaf in leaves],
        [leaf.product for leaf in leaves],
        [leaf.commitment for leaf in leaves],
    )
    return int(status.rsplit(" ", 1)[1])


async def same_batch(conn: AnyConnection, batch_id: bytes, root: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Root, id and digest of what is here under an id or a root."""
    row = await conn.fetchrow(
        "SELECT root, batch_id, file_digest FROM cases.batch WHERE batch_id = $1 OR root = $2 LIMIT 1",
        batch_id,
        root,
    )
    return None if row is None else (row["root"], row["batch_id"], row["file_digest"])


# reading

Row = asyncpg.Record

_MOVED = "(SELECT count(*) FROM cases.case c WHERE c.root = {root} AND c.version > 0)"
_EVENTS = """
    LEFT JOIN LATERAL (
        SELECT e.time, e.block_number, e.transaction_hash, e.policy, e.rules, e.totals
        FROM cases.batch_event e WHERE e.root = {root} AND NOT e.recalled ORDER BY e.sequence DESC LIMIT 1
    ) i ON true
    LEFT JOIN LATERAL (
        SELECT e.time FROM cases.batch_event e WHERE e.root = {root} AND e.recalled
        ORDER BY e.sequence DESC LIMIT 1
    ) r ON true"""
_FROM_CHAIN = """i.time AS imported_at, i.block_number AS imported_block, i.transaction_hash AS imported_by,
    i.policy, i.rules, i.totals, r.time AS recalled_at"""
_HERE = f"""
SELECT b.root, b.owner, b.count, b.batch_id, b.made_at, b.received_at, b.file_digest, b.recipients,
       {_FROM_CHAIN}, {_MOVED.format(root="b.root")} AS moved
FROM cases.batch b {_EVENTS.format(root="b.root")}"""  # noqa: S608 - constants
# The chain has it, its file is elsewhere.
_ELSEWHERE = f"""
SELECT n.root, n.organisation AS owner, n.count, NULL::bytea AS batch_id, NULL::bigint AS made_at,
       NULL::bigint AS received_at, NULL::bytea AS file_digest, NULL::bigint[] AS recipients,
       {_FROM_CHAIN}, {_MOVED.format(root="n.root")} AS moved
FROM cases.batch_event n {_EVENTS.format(root="n.root")}
WHERE NOT n.recalled AND NOT EXISTS (SELECT FROM cases.batch b WHERE b.root = n.root)"""  # noqa: S608


async def batch(conn: AnyConnection, root: bytes, owner: int | None) -> Row | None:
    """One batch, if it is the owner's; None for any owner."""
    return await conn.fetchrow(
        f"""{_HERE} WHERE b.root = $1 AND ($2::bigint IS NULL OR b.owner = $2)
            UNION ALL {_ELSEWHERE} AND n.root = $1 AND ($2::bigint IS NULL OR n.organisation = $2) LIMIT 1""",
        root,
        owner,
    )


async def batches(
    conn: AnyConnection, owner: int | None, after: tuple[int, bytes] | None, limit: int
) -> list[Row]:
    """Batches of an owner, or all; newest first, before the place `after`. Each half has an index."""
    return await conn.fetch(
        f"""SELECT * FROM (
                ({_HERE} WHERE ($1::bigint IS NULL OR b.owner = $1)
                    AND ($2::bigint IS NULL OR (b.received_at, b.root) < ($2, $3::bytea))
                 ORDER BY b.received_at DESC, b.root DESC LIMIT $4)
                UNION ALL
                ({_ELSEWHERE} AND ($1::bigint IS NULL OR n.organisation = $1)
                    AND ($2::bigint IS NULL OR (n.time, n.root) < ($2, $3::bytea))
                 ORDER BY n.time DESC, n.root DESC LIMIT $4)
            ) found ORDER BY coalesce(received_at, imported_at) DESC, root DESC LIMIT $4""",  # noqa: S608
        owner,
        None if after is None else after[0],
        None if after is None else after[1],
        limit,
    )


async def sealed_case(conn: AnyConnection, case_id: bytes) -> Row | None:
    """What decides who gets the row of a case whose batch is here."""
    return await conn.fetchrow(
        """SELECT c.owner, c.stage, c.court, c.listed, b.count, b.recipients
           FROM cases.case c JOIN cases.batch b ON b.root = c.root AND b.owner = c.owner
           WHERE c.case_id = $1""",
        case_id,
    )
