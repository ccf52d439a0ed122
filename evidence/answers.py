"""Answers that were given before, rebuilt from what was stored with them: identical to the byte."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from protocol.hashing import SHA256
from protocol.submission import Acceptance, group_leaf
from storage.db import AnyConnection
from verifier.merkle import Tree

_SUBMISSIONS = """SELECT s.organisation, s.root, s.first_index, s.leaves, s.first_sequence, s.group_position,
        g.promise, g.signature, g.roots
    FROM evidence.submission s
    JOIN evidence.promise_group g ON g.log_no = s.log_no AND g.first_index = s.group_first
    WHERE s.log_no = $1 AND s.root = ANY($2::bytea[])"""
_LEAVES = """SELECT e.dedupe, e.leaf FROM evidence.entry e
    WHERE e.log_no = $1
      AND e.dedupe = ANY($2::bytea[])"""


async def stored_answers(
    conn: AnyConnection, log_no: int, keys: Sequence[tuple[int, bytes]]
) -> dict[tuple[int, bytes], Acceptance]:
    """The answers to those (organisation, submission root) that were accepted."""
    rows = await conn.fetch(_SUBMISSIONS, log_no, [root for _, root in keys])
    wanted = set(keys)
    found = {}
    for row in rows:
        key = (row["organisation"], row["root"])
        if key in wanted:
            found[key] = answer_of(row)
    return found


def answer_of(row: asyncpg.Record) -> Acceptance:
    """From a joined row of submission and promise_group."""
    roots: bytes = row["roots"]
    tree = Tree(SHA256, [group_leaf(roots[at : at + 32]) for at in range(0, len(roots), 32)])
    return Acceptance(
        row["promise"],
        row["signature"],
        row["first_sequence"],
        row["first_index"],
        row["leaves"],
        row["group_position"],
        tree.path(row["group_position"]),
    )


async def known_leaves(conn: AnyConnection, log_no: int, dedupe: Sequence[bytes]) -> dict[bytes, bytes]:
    """Which of these 16-byte dedupe keys the log has, with the sequenced leaf."""
    rows = await conn.fetch(_LEAVES, log_no, list(dedupe))
    return {row["dedupe"]: row["leaf"] for row in rows}
