"""Who sees which batch and gets which row; a list shows every batch once, however it is cut into pages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from cases.batch_intake import BatchIntake
from cases.batches import Batches, BatchState, Page
from cases.looks import Looks, What
from cases.sealed_rows import SealedRows
from evidence.repository import Viewer
from protocol.acts import Role
from protocol.case_batch import SealedRow, leaf_hash, open_row
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import SHA256
from storage.db import Connection, Pool, connect_pool, migrate
from tests.cases.test_batch_intake import pieces
from tests.conftest import PgDatabase
from tests.support.case_batches import (
    CENTRE,
    KEYS,
    OTHER,
    OWNER,
    MadeBatch,
    Recipients,
    made_batch,
    recipients,
)
from verifier.merkle import verify_inclusion

pytestmark = pytest.mark.database
CHAIN, CONTRACT = 777, b"\xca" * 20
BANK = Viewer(OWNER, Role.BANK.mask)
OTHER_BANK = Viewer(OTHER, Role.BANK.mask)
THE_CENTRE = Viewer(CENTRE, Role.CENTRE.mask)
REGULATOR = Viewer(CENTRE, Role.REGULATOR.mask)
"""With the centre's index: not even as a recipient."""
COURT = Viewer(OTHER, Role.COURT.mask)


@dataclass
class World:
    pool: Pool
    indexer: Connection
    folder: Path
    now: int = 1_800_000_000
    sequence: int = 0

    @property
    def batches(self) -> Batches:
        return Batches(self.pool, SealedRows(), Looks(self.pool), lambda: self.now)

    async def take(
        self, count: int = 2, *, owner: int = OWNER, to: tuple[int, ...] = (OWNER, CENTRE)
    ) -> MadeBatch:
        self.now += 10
        batch = made_batch(count, owner=owner, to=recipients(*to))
        intake = BatchIntake(self.pool, SealedRows(), Recipients(), self.folder, lambda: self.now)
        await intake.take(batch.header.batch_id, owner, pieces(batch.data))
        return batch

    async def on_chain(self, root: bytes, owner: int, count: int = 2, *, recalled: bool = False) -> None:
        """What the cursor writes for an event."""
        self.sequence += 1
        self.now += 10
        await self.indexer.execute(
            "INSERT INTO chain.block (chain_id, number, hash, time) VALUES ($1, $2, $3, $4)",
            CHAIN, self.sequence, secrets.token_bytes(32), self.now,
        )  # fmt: skip
        values = (None, None, None, None) if recalled else (count, 1, b"\x01" * 32, b"\x02" * 32)
        await self.indexer.execute(
            """INSERT INTO cases.batch_event
                   (chain_id, contract, sequence, root, recalled, organisation, count, policy, rules, totals,
                    time, block_number, transaction_hash)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $3, $12)""",
            CHAIN, CONTRACT, self.sequence, root, recalled, owner, *values, self.now, b"\x03" * 32,
        )  # fmt: skip
        await self.indexer.execute("UPDATE cases.case SET listed = $2 WHERE root = $1", root, not recalled)


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


InWorld = Callable[[Callable[[World], Awaitable[None]]], None]


@pytest.fixture
def in_world(database: PgDatabase, tmp_path: Path) -> InWorld:
    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        pool = await connect_pool(database.dsn("gateway"), max_size=4)
        indexer = await asyncpg.connect(database.dsn("sealer"))
        admin = await asyncpg.connect(database.superuser_dsn)
        try:
            await admin.execute("TRUNCATE cases.batch, cases.case, chain.block CASCADE")
            yield World(pool, indexer, tmp_path)
        finally:
            await asyncio.gather(pool.close(), indexer.close(), admin.close())

    def run(check: Callable[[World], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with world() as one:
                await check(one)

        asyncio.run(inside())

    return run


@contextmanager
def not_here(code: str = "BatchNotHere") -> Iterator[None]:
    with pytest.raises(CaseledgerError) as caught:
        yield
    assert caught.value.code == code


def test_a_batch_goes_from_received_to_imported_to_recalled(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = await world.take(3)
        found = await world.batches.show(batch.root, BANK)
        assert (found.state, found.count, found.moved) == (BatchState.RECEIVED, 3, 0)
        assert (found.batch_id, found.file_digest) == (batch.header.batch_id, batch.trailer.digest)
        assert found.recipients == (CENTRE, OWNER)
        await world.on_chain(batch.root, OWNER, 3)
        found = await world.batches.show(batch.root, BANK)
        assert (found.state, found.imported_at, found.imported_block) == (BatchState.IMPORTED, world.now, 1)
        assert (found.rules, found.totals) == (b"\x01" * 32, b"\x02" * 32)
        await world.indexer.execute(
            "UPDATE cases.case SET version = 2 WHERE case_id = $1", batch.leaves[1].case_id
        )
        assert (await world.batches.show(batch.root, BANK)).moved == 1
        await world.on_chain(batch.root, OWNER, recalled=True)
        found = await world.batches.show(batch.root, BANK)
        assert (found.state, found.recalled_at) == (BatchState.RECALLED, world.now)
        assert found.as_json()["state"] == "recalled"

    in_world(check)


def test_a_reorganised_import_is_a_received_file_again(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = await world.take()
        await world.on_chain(batch.root, OWNER)
        await world.indexer.execute("DELETE FROM chain.block WHERE chain_id = $1", CHAIN)
        assert (await world.batches.show(batch.root, BANK)).state is BatchState.RECEIVED

    in_world(check)


def test_an_institution_sees_its_own_batches_alone(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        mine, theirs = await world.take(), await world.take(owner=OTHER, to=(CENTRE, OTHER, OWNER))
        elsewhere = secrets.token_bytes(32)
        await world.on_chain(elsewhere, OTHER)
        for viewer, seen in (
            (BANK, {mine.root}),
            (OTHER_BANK, {theirs.root, elsewhere}),
            (THE_CENTRE, {mine.root, theirs.root, elsewhere}),
            (REGULATOR, {mine.root, theirs.root, elsewhere}),
            (Viewer(99, Role.COURT.mask | Role.MEDIATION.mask), set()),
        ):
            page = await world.batches.page(viewer)
            assert {one.root for one in page.items} == seen
            for root in {mine.root, theirs.root, elsewhere} - seen:
                with not_here():
                    await world.batches.show(root, viewer)
            for root in seen:
                assert (await world.batches.show(root, viewer)).root == root
        with not_here():
            await world.batches.show(bytes(32), THE_CENTRE)

    in_world(check)


def test_pages_show_every_batch_once_newest_first(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        roots = []
        for number in range(9):
            if number % 3 == 2:
                roots.append(secrets.token_bytes(32))
                await world.on_chain(roots[-1], OWNER)
            else:
                batch = await world.take(1)
                roots.append(batch.root)
                if number % 2:
                    await world.on_chain(batch.root, OWNER, 1)
        for limit in (1, 2, 4, 9, 50):
            found: list[bytes] = []
            cursor: str | None = None
            while True:
                page: Page = await world.batches.page(BANK, cursor, limit)
                assert len(page.items) <= limit
                found += [one.root for one in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert found == roots[::-1]

    in_world(check)


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 53 + "=", "AAAA", "_" * 54])
def test_a_cursor_of_nobody_is_refused(in_world: InWorld, cursor: str) -> None:
    async def check(world: World) -> None:
        with pytest.raises(MalformedInput):
            await world.batches.page(BANK, cursor)

    in_world(check)


def test_a_row_goes_to_recipients_that_see_the_case_and_opens_under_their_keys(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = await world.take(5, to=(OWNER, CENTRE, OTHER))
        leaf = batch.leaves[3]
        for viewer in (BANK, THE_CENTRE, COURT):
            with not_here("CaseNotHere"):  # not a case of the centre before the chain has it
                await world.batches.row(leaf.case_id, viewer)
        await world.on_chain(batch.root, OWNER, 5)
        for viewer in (BANK, THE_CENTRE):
            got = await world.batches.row(leaf.case_id, viewer)
            verify_inclusion(SHA256, leaf_hash(got.leaf), 3, 5, got.origin.path, batch.root)
            sealed = SealedRow(got.leaf, got.kept.ciphertext, (got.kept.wrapped,))
            key = KEYS[viewer.organisation].private_bytes_raw()
            assert open_row(sealed, got.kept.wrapped, viewer.organisation, key).row.contract == "JK-3"
            assert set(got.as_json()) >= {"leaf", "path", "wrapped", "ciphertext"}
            assert got.kept.ciphertext.hex() not in repr(got)
        looks = await Looks(world.pool).of(leaf.case_id)
        assert {(look.organisation, look.what, look.count) for look in looks} == {
            (OWNER, What.ROW, 1), (CENTRE, What.ROW, 1)
        }  # fmt: skip
        # A recipient, but the case has not reached it; then it has.
        with not_here("CaseNotHere"):
            await world.batches.row(leaf.case_id, COURT)
        await world.indexer.execute(
            "UPDATE cases.case SET court = $1 WHERE case_id = $2", OTHER, leaf.case_id
        )
        assert (await world.batches.row(leaf.case_id, COURT)).organisation == OTHER
        # A regulator, another institution, and somebody who sees the case and is no recipient.
        for viewer in (REGULATOR, OTHER_BANK, Viewer(99, Role.CENTRE.mask)):
            with not_here("CaseNotHere"):
                await world.batches.row(leaf.case_id, viewer)
        with not_here("CaseNotHere"):
            await world.batches.row(bytes(32), THE_CENTRE)
        # A batch that was recalled is nobody's business any more.
        await world.on_chain(batch.root, OWNER, recalled=True)
        for viewer in (BANK, THE_CENTRE):
            with not_here("CaseNotHere"):
                await world.batches.row(leaf.case_id, viewer)

    in_world(check)
