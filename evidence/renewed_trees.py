"""The operator's trees of hash renewals, read: paths, bodies' digests and tokens for receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from evidence.tiles import Tile, TileKey, place_of
from protocol import rehash
from protocol.hashing import HASH_LEN, SHA3_256
from storage.db import AnyConnection
from verifier.attestation import MAX_REHASH_TOKENS, RehashAttestation, Stamped
from verifier.merkle import NodeReader, inclusion_proof
from verifier.receipt import Attestation

ABSENT = bytes(HASH_LEN)
"""Stands for the digest of a body that was erased before the run."""
_T = TypeVar("_T")


async def rehash_attestations(
    conn: AnyConnection, log_no: int, places: Sequence[tuple[int, int]]
) -> list[tuple[Attestation, ...]]:
    """For each (leaf index, size of the core's batch link): the first stamped tree that holds the batch."""
    trees = await conn.fetch(
        """SELECT t.size, t.log_signature FROM evidence.rehash_tree t WHERE t.log_no = $1
               AND EXISTS (SELECT FROM evidence.rehash_token k WHERE k.log_no = $1 AND k.size = t.size)
           ORDER BY t.size""",
        log_no,
    )
    made: dict[tuple[int, int], Attestation] = {}
    for tree in trees:
        size = tree["size"]
        wanted = [at for at in dict.fromkeys(places) if at not in made and at[1] <= size]
        if not wanted:
            continue
        tokens = await _tokens(conn, log_no, size)
        indexes = [index for index, _ in wanted]
        paths = await _paths(conn, log_no, size, indexes)
        bodies = await _bodies(conn, log_no, size, indexes)
        for (index, link_size), path in zip(wanted, paths, strict=True):
            made[index, link_size] = RehashAttestation(
                rehash.SCOPE_LOG, size, index, path, bodies[index], None, (), tree["log_signature"], tokens
            ).encode()
    return [(made[at],) if at in made else () for at in places]


async def _tokens(conn: AnyConnection, log_no: int, size: int) -> tuple[Stamped, ...]:
    rows = await conn.fetch(
        """SELECT token, certificates FROM evidence.rehash_token WHERE log_no = $1 AND size = $2
           ORDER BY authority LIMIT $3""",
        log_no,
        size,
        MAX_REHASH_TOKENS,
    )
    return tuple(Stamped(row["token"], tuple(row["certificates"])) for row in rows)


async def _paths(
    conn: AnyConnection, log_no: int, size: int, indexes: Sequence[int]
) -> list[tuple[bytes, ...]]:
    return await with_nodes(
        conn,
        log_no,
        size,
        lambda get: [tuple(inclusion_proof(SHA3_256, index, size, get)) for index in indexes],
    )


async def _bodies(
    conn: AnyConnection, log_no: int, size: int, indexes: Sequence[int]
) -> dict[int, bytes | None]:
    """Digests of the bodies as the run saw them."""
    rows = await conn.fetch(
        """SELECT i.leaf_index, substr(t.bodies, 1 + 32 * (i.leaf_index % 256)::int, 32) AS digest
           FROM unnest($3::bigint[]) AS i (leaf_index)
           JOIN evidence.rehash_tile t ON t.log_no = $1 AND t.size = $2 AND t.level = 0
               AND t.tile_index = i.leaf_index / 256""",
        log_no,
        size,
        list(set(indexes)),
    )
    return {row["leaf_index"]: None if row["digest"] == ABSENT else row["digest"] for row in rows}


async def with_nodes(
    conn: AnyConnection, log_no: int, size: int, work: Callable[[NodeReader], list[_T]]
) -> list[_T]:
    """Run `work` once to learn which tiles it reads, load them, and run it on them."""
    wanted: set[TileKey] = set()

    def note(level: int, index: int) -> bytes:
        wanted.add(place_of(0, level, index)[0])
        return ABSENT

    work(note)
    stored = await read_renewed_tiles(conn, log_no, size, list(wanted))
    held = {key: Tile.of(SHA3_256, data) for key, data in stored.items()}

    def read(level: int, index: int) -> bytes:
        key, depth, offset = place_of(0, level, index)
        return held[key].nodes[depth][offset]

    return work(read)


async def read_renewed_tiles(
    conn: AnyConnection, log_no: int, size: int, keys: Sequence[TileKey]
) -> dict[TileKey, bytes]:
    rows = await conn.fetch(
        """SELECT t.level, t.tile_index, t.hashes FROM evidence.rehash_tile t
           JOIN unnest($3::smallint[], $4::bigint[]) AS w (level, tile_index)
               ON t.level = w.level AND t.tile_index = w.tile_index
           WHERE t.log_no = $1 AND t.size = $2""",
        log_no,
        size,
        [level for _, level, _ in keys],
        [index for _, _, index in keys],
    )
    return {(0, row["level"], row["tile_index"]): row["hashes"] for row in rows}
