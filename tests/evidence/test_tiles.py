"""Roots and proofs from stored tiles are those of the tree in memory, at every size."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import RecordDamaged
from evidence.tiles import (
    ALGORITHMS,
    Tile,
    TileGrower,
    TileKey,
    TileReader,
    extend,
    place_of,
    read_tiles,
    root_at,
    store_tiles,
)
from protocol.hashing import SHA256, SM3
from tests.conftest import PgDatabase
from tests.support.evidence import desk, run
from verifier.merkle import (
    Tree,
    consistency_proof,
    inclusion_proof,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [secrets.token_bytes(112) for _ in range(70_000)]
HASHES = tuple([alg.leaf(leaf) for leaf in LEAVES] for alg in ALGORITHMS)


def grown(*steps: int) -> tuple[TileGrower, dict[TileKey, bytes]]:
    """Tiles after growing in these steps, each from what was stored before."""
    stored: dict[TileKey, bytes] = {}
    size = 0
    grower = TileGrower(0, {})
    for step in steps:
        edge = {key: stored[key] for key in TileGrower.edge_keys(size)}
        grower = TileGrower(size, edge)
        stored |= grower.extend(LEAVES[size : size + step])
        size += step
    return grower, stored


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.data())
def test_growing_in_any_steps_gives_the_same_tiles_and_every_earlier_tree(
    steps: list[int], data: st.DataObject
) -> None:
    grower, stored = grown(*steps)
    size = sum(steps)
    _, at_once = grown(size)
    assert stored == at_once
    assert grower.edge() == {key: stored[key] for key in TileGrower.edge_keys(size)}
    earlier = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, earlier - 1))
    for number, (alg, hashes) in enumerate(zip(ALGORITHMS, HASHES, strict=True)):

        def get(level: int, at: int, number: int = number) -> bytes:
            key, depth, offset = place_of(number, level, at)
            return Tile.of(ALGORITHMS[number], stored[key]).nodes[depth][offset]

        root = tree_root(alg, hashes[:earlier])
        assert root_at(alg, earlier, get) == root
        verify_inclusion(alg, hashes[index], index, earlier, inclusion_proof(alg, index, earlier, get), root)
        whole = tree_root(alg, hashes[:size])
        verify_consistency(alg, earlier, size, root, whole, consistency_proof(alg, earlier, size, get))


@pytest.mark.database
def test_stored_tiles_prove_across_tile_borders(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database, role="superuser") as d, d.pool.acquire() as conn:
            size = 0
            for step in (1, 254, 1, 256, 65_025, 4_000):
                tiles = await read_tiles(conn, d.log.log_no, TileGrower.edge_keys(size))
                await store_tiles(
                    conn, d.log.log_no, TileGrower(size, tiles).extend(LEAVES[size : size + step])
                )
                size += step
            reader = TileReader(d.log.log_no, keep=4)
            for n in (1, 255, 256, 257, 512, 65_535, 65_536, 65_537, size):
                sha, sm3 = await reader.roots(conn, n)
                assert sha == tree_root(SHA256, HASHES[0][:n])
                assert sm3 == tree_root(SM3, HASHES[1][:n])
            places = [(0, 1), (0, size), (255, 256), (256, 257), (65_535, 65_537), (size - 1, size)]
            trees: dict[int, Tree] = {}
            for (index, n), (sha_path, _) in zip(places, await reader.inclusions(conn, places), strict=True):
                tree = trees.setdefault(n, Tree(SHA256, HASHES[0][:n]))
                assert sha_path == tree.path(index)
            for old, new in ((1, 257), (256, 65_536), (65_535, size), (size, size)):
                proofs = await reader.consistency(conn, old, new)
                for alg, hashes, proof in zip(ALGORITHMS, HASHES, proofs, strict=True):
                    verify_consistency(
                        alg, old, new, tree_root(alg, hashes[:old]), tree_root(alg, hashes[:new]), proof
                    )

    run(check())


@pytest.mark.database
def test_entries_become_tiles_and_two_workers_do_no_harm(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor, desk(database, role="sealer") as s:
            await acceptor.writable()
            await acceptor.accept(d.submission(700))
            async with s.pool.acquire() as one, s.pool.acquire() as two:
                await asyncio.gather(extend(one, d.log.log_no, 700), extend(two, d.log.log_no, 600))
                leaves = [
                    row["leaf"]
                    for row in await one.fetch(
                        "SELECT leaf FROM evidence.entry WHERE log_no = $1 ORDER BY leaf_index", d.log.log_no
                    )
                ]
                sha, sm3 = await TileReader(d.log.log_no).roots(one, 700)
                assert sha == tree_root(SHA256, [SHA256.leaf(leaf) for leaf in leaves])
                assert sm3 == tree_root(SM3, [SM3.leaf(leaf) for leaf in leaves])
                with pytest.raises(RecordDamaged):
                    await extend(one, d.log.log_no, 701)
                with pytest.raises(RecordDamaged):
                    await TileReader(d.log.log_no).roots(one, 701)

    run(check())
