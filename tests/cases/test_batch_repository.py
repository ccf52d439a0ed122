"""Origins: one query gives what a contract takes as a proof, for every place in trees of every shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from cases import batch_repository as repository
from cases.errors import BatchDamaged
from protocol.case_batch import leaf_hash
from protocol.hashing import SHA256
from storage.db import Connection, migrate
from tests.conftest import PgDatabase
from tests.support.case_batches import MadeBatch, made_batch
from verifier.merkle import Tree, verify_inclusion

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


@asynccontextmanager
async def connected(database: PgDatabase, role: str = "gateway") -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(database.dsn(role))
    try:
        yield conn
    finally:
        await conn.close()


async def store(conn: Connection, batch: MadeBatch) -> None:
    hashes = b"".join(leaf_hash(row.leaf) for row in batch.rows)
    async with conn.transaction():
        await repository.insert_batch(conn, batch.header, batch.trailer, 1_800_000_100)
        await repository.insert_levels(conn, batch.root, hashes)
        assert await repository.insert_cases(conn, batch.root, 0, batch.leaves) == len(batch.rows)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 13])
def test_the_origin_of_every_case_is_its_inclusion_proof(database: PgDatabase, count: int) -> None:
    async def check() -> None:
        batch = made_batch(count)
        tree = Tree(SHA256, [leaf_hash(row.leaf) for row in batch.rows])
        async with connected(database) as conn:
            await store(conn, batch)
            for index, (row, leaf) in enumerate(zip(batch.rows, batch.leaves, strict=True)):
                found = await repository.origin(conn, leaf.case_id)
                assert found is not None
                assert (found.root, found.index) == (batch.root, index)
                assert (found.product, found.commitment) == (leaf.product, leaf.commitment)
                assert list(found.path) == list(tree.path(index))
                verify_inclusion(SHA256, leaf_hash(row.leaf), index, count, found.path, batch.root)

    asyncio.run(check())


def test_a_large_tree_has_the_same_root_and_paths(database: PgDatabase) -> None:
    async def check() -> None:
        hashes = [SHA256.leaf(n.to_bytes(4, "big")) for n in range(5000)]
        levels = list(repository.levels_of(b"".join(hashes)))
        tree = Tree(SHA256, hashes)
        assert levels[-1] == tree.root
        assert [len(level) // 32 for level in levels[:3]] == [5000, 2500, 1250]

    asyncio.run(check())


def test_there_is_no_origin_of_a_case_without_its_batch(database: PgDatabase) -> None:
    async def check() -> None:
        batch = made_batch(2)
        async with connected(database, "sealer") as conn:
            assert await repository.origin(conn, bytes(32)) is None
            # As a case that is known from the chain alone.
            leaf = batch.leaves[1]
            await conn.execute(
                "INSERT INTO cases.case (case_id, root, position, owner, product, commitment, version)"
                " VALUES ($1, $2, 1, $3, $4, $5, 1)",
                leaf.case_id, batch.root, leaf.owner, leaf.product, leaf.commitment,
            )  # fmt: skip
            assert await repository.origin(conn, leaf.case_id) is None
        async with connected(database) as conn:
            await store(conn, batch)
            found = await repository.origin(conn, leaf.case_id)
            assert found is not None
            assert found.index == 1

    asyncio.run(check())


def test_a_case_of_another_batch_or_with_another_leaf_is_not_taken_over(database: PgDatabase) -> None:
    async def check() -> None:
        first, second = made_batch(2), made_batch(2)
        async with connected(database) as conn:
            await store(conn, first)
            async with conn.transaction():
                await repository.insert_batch(conn, second.header, second.trailer, 1)
                mixed = [second.leaves[0], first.leaves[1]]
                assert await repository.insert_cases(conn, second.root, 0, mixed) == 1
            found = await repository.origin(conn, first.leaves[1].case_id)
            assert found is not None
            assert found.root == first.root

    asyncio.run(check())


def test_a_changed_tree_is_not_shown(database: PgDatabase) -> None:
    async def check() -> None:
        batch = made_batch(4)
        async with connected(database) as conn:
            await store(conn, batch)
        admin = await asyncpg.connect(database.superuser_dsn)
        try:
            await admin.execute(
                "UPDATE cases.batch_level SET hashes = set_byte(hashes, 3, get_byte(hashes, 3) # 1)"
                " WHERE root = $1 AND level = 1",
                batch.root,
            )
        finally:
            await admin.close()
        async with connected(database) as conn:
            # Its sibling's path goes over the changed node, its own does not.
            assert await repository.origin(conn, batch.leaves[0].case_id) is not None
            with pytest.raises(BatchDamaged):
                await repository.origin(conn, batch.leaves[2].case_id)

    asyncio.run(check())
