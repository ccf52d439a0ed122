"""The evidence of a step, proved from this service's own log (docs/spec/case.md §7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg

from cases.errors import EvidenceNotAnchored
from chain.case_acts import BatchLink, EvidenceEntry
from evidence import repository
from evidence.errors import EvidenceNotFound
from evidence.repository import Viewer
from evidence.tiles import TileReader
from protocol.entry import evidence_id
from storage.db import AnyConnection
from verifier.receipt import Receipt

_LINKS = """
    SELECT b.log_no, b.number, l.log_id, a.previous_link, b.new_size, b.root_sha256, b.root_sm3, a.anchored_at
    FROM unnest($1::int[], $2::bigint[]) AS w (log_no, number)
    JOIN evidence.batch b USING (log_no, number)
    JOIN evidence.anchor a USING (log_no, number)
    JOIN evidence.log l USING (log_no)"""


async def from_log(
    conn: AnyConnection, ids: Sequence[bytes], viewer: Viewer, case_id: bytes
) -> tuple[EvidenceEntry, ...]:
    """Entries with their paths, in the order of `ids`.

    `viewer` is who acts: entries that they may not see are not found here, so that a refusal by the contract
    tells nobody about entries of others.

    Raises:
        EvidenceNotFound, EvidenceNotAnchored, RecordDamaged
    """
    found = _standing(await repository.by_ids(conn, ids, viewer, case_id))
    rows = [found.get(one) for one in ids]
    for place, row in enumerate(rows):
        if row is None:
            raise EvidenceNotFound(
                f"entry {place + 1}: not here, or not for this organisation", field="evidence"
            )
        if row["anchored_at"] is None:
            raise EvidenceNotAnchored(f"entry {place + 1}", field="evidence", hint="wait for its anchor")
    present = [row for row in rows if row is not None]
    links = await _links(conn, present)
    paths: dict[tuple[int, int], tuple[bytes, ...]] = {}
    for log_no in {row["log_no"] for row in present}:
        places = [(row["leaf_index"], row["new_size"]) for row in present if row["log_no"] == log_no]
        inclusions = await TileReader(log_no, keep=0).inclusions(conn, places)
        for (index, _), (sha256, _) in zip(places, inclusions, strict=True):
            paths[log_no, index] = sha256
    return tuple(
        EvidenceEntry(
            links[row["log_no"], row["number"]],
            row["leaf"],
            row["leaf_index"],
            paths[row["log_no"], row["leaf_index"]],
        )
        for row in present
    )


def from_receipt(receipt: Receipt) -> EvidenceEntry:
    """The same from a receipt, for who has no gateway."""
    core = receipt.core
    link = BatchLink(
        core.log.log_id, core.link.number, core.link.previous, core.link.size, core.link.root_sha256,
        core.link.root_sm3, core.link.time,
    )  # fmt: skip
    return EvidenceEntry(link, core.leaf, core.inclusion.index, core.inclusion.path_sha256)


def _standing(rows: Sequence[asyncpg.Record]) -> dict[bytes, asyncpg.Record]:
    """By id; of an entry in two logs the one that its log still has."""
    found: dict[bytes, asyncpg.Record] = {}
    for row in rows:
        closed = row["closed_size"]
        beyond = closed is not None and row["leaf_index"] >= closed
        identifier = evidence_id(row["leaf"])
        if identifier not in found or not beyond:
            found[identifier] = row
    return found


async def _links(conn: AnyConnection, rows: Sequence[asyncpg.Record]) -> Mapping[tuple[int, int], BatchLink]:
    wanted = sorted({(row["log_no"], row["number"]) for row in rows})
    if not wanted:
        return {}
    return {
        (row["log_no"], row["number"]): BatchLink(
            row["log_id"], row["number"], row["previous_link"], row["new_size"], row["root_sha256"],
            row["root_sm3"], row["anchored_at"],
        )
        for row in await conn.fetch(_LINKS, *map(list, zip(*wanted, strict=True)))
    }  # fmt: skip
