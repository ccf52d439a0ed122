"""A batch file is taken whole or not at all; the same again changes nothing, another one is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import asyncpg
import pytest

from cases import batch_repository as repository
from cases.batch_intake import BatchIntake, Limits, Taken
from cases.sealed_rows import SealedRows
from protocol.case_batch import BatchRecipient, open_row
from protocol.errors import CaseledgerError
from storage.db import Pool, connect_pool, migrate
from tests.conftest import PgDatabase
from tests.support.case_batches import (
    CENTRE,
    KEYS,
    OTHER,
    OWNER,
    MadeBatch,
    Published,
    Recipients,
    assembled,
    made_batch,
    recipients,
)

pytestmark = pytest.mark.database
NOW = 1_800_000_100
USUAL = Limits()
TABLES = ("batch", "batch_level", "sealed_row", "case")


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


@dataclass
class World:
    pool: Pool
    intake: BatchIntake
    registry: Recipients

    async def take(
        self, batch: MadeBatch | bytes, *, by: int = OWNER, batch_id: bytes | None = None
    ) -> Taken:
        data = batch if isinstance(batch, bytes) else batch.data
        named = batch_id or (bytes(32) if isinstance(batch, bytes) else batch.header.batch_id)
        return await self.intake.take(named, by, pieces(data))

    async def counts(self) -> list[int]:
        return [await self.pool.fetchval(f"SELECT count(*) FROM cases.{table}") for table in TABLES]  # noqa: S608


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[at : at + size]


@asynccontextmanager
async def world(database: PgDatabase, folder: Path, limits: Limits = USUAL) -> AsyncIterator[World]:
    pool = await connect_pool(database.dsn("gateway"), max_size=4)
    try:
        registry = Recipients()
        yield World(pool, BatchIntake(pool, SealedRows(), registry, folder, lambda: NOW, limits), registry)
    finally:
        await pool.close()


@pytest.fixture
def in_world(database: PgDatabase, tmp_path: Path) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def run(check: Callable[[World], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with world(database, tmp_path / "incoming") as one:
                await check(one)
            assert list((tmp_path / "incoming").glob("*")) == []

        asyncio.run(inside())

    return run


InWorld = Callable[[Callable[[World], Awaitable[None]]], None]


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(CaseledgerError) as caught:
        yield
    assert caught.value.code == code


def test_a_file_is_taken_and_each_recipient_can_open_each_row(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = made_batch(2500)
        assert await world.take(batch) == Taken(batch.root, 2500, new=True)
        async with world.pool.acquire() as conn:
            for at in (0, 1, 1999, 2000, 2499):
                leaf = batch.leaves[at]
                found = await repository.origin(conn, leaf.case_id)
                assert found is not None
                assert found.index == at
                for organisation in (OWNER, CENTRE):
                    kept = await SealedRows().row(conn, leaf.case_id, organisation)
                    assert kept is not None
                    assert kept.ciphertext == batch.rows[at].ciphertext
                    opened = open_row(
                        batch.rows[at], kept.wrapped, organisation, KEYS[organisation].private_bytes_raw()
                    )
                    assert opened.row.contract == f"JK-{at}"
                assert await SealedRows().row(conn, leaf.case_id, OTHER) is None
            assert await SealedRows().row(conn, bytes(32), OWNER) is None

    in_world(check)


def test_the_same_file_again_is_the_same_answer_and_changes_nothing(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = made_batch(3)
        first = await world.take(batch)
        counts = await world.counts()
        # A key that was rotated since does not matter to what is here.
        world.registry.members[CENTRE] = Published(hpke_key=bytes(32))
        assert await world.take(batch) == dataclasses.replace(first, new=False)
        assert await world.counts() == counts

    in_world(check)


def test_many_senders_of_the_same_file_at_once_bring_it_once(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = made_batch(40)
        taken = await asyncio.gather(world.take(batch), world.take(batch))
        assert sorted(one.new for one in taken) == [False, True]

    in_world(check)


def broken(name: str) -> tuple[str, MadeBatch | bytes, bytes | None, int]:
    """Code, file, batch id to send it under, sender."""
    batch = made_batch(3)
    own = batch.header.batch_id
    changed = bytearray(batch.data)
    changed[-200] ^= 1
    trailer_at = batch.data.rindex(b"\xa3\x00\x03\x01") - 4
    foreign = assembled([*batch.rows, *made_batch(1, owner=OTHER).rows], batch.header)
    later = batch.data.replace(b"\xa5\x00\x01", b"\xa5\x00\x02", 1)
    cases: dict[str, tuple[str, MadeBatch | bytes, bytes | None, int]] = {
        "nothing": ("BatchNotWhole", b"", own, OWNER),
        "no batch file": ("MalformedInput", b"PK\x03\x04" + bytes(100), own, OWNER),
        "cut off": ("BatchNotWhole", batch.data[:-1], own, OWNER),
        "without its trailer": ("BatchNotWhole", batch.data[:trailer_at], own, OWNER),
        "a byte more": ("BatchNotWhole", batch.data + b"\0", own, OWNER),
        "a changed byte": ("BatchNotWhole", bytes(changed), own, OWNER),
        "under another id": ("MalformedInput", batch, secrets.token_bytes(32), OWNER),
        "by another institution": ("BatchOfAnother", batch, own, OTHER),
        "a leaf of another owner": ("MalformedInput", foreign, own, OWNER),
        "a case twice": ("MalformedInput", assembled([*batch.rows, batch.rows[0]], batch.header), own, OWNER),
        "a frame too long": ("LimitExceeded", batch.data[:20] + b"\xff\xff\xff\xff", own, OWNER),
        "another version": ("UnknownVersion", later, own, OWNER),
    }  # fmt: skip
    return cases[name]


@pytest.mark.parametrize(
    "name",
    [
        "nothing", "no batch file", "cut off", "without its trailer", "a byte more", "a changed byte",
        "under another id", "by another institution", "a leaf of another owner", "a case twice",
        "a frame too long", "another version",
    ],
)  # fmt: skip
def test_a_file_that_breaks_a_rule_is_refused_and_nothing_stays(in_world: InWorld, name: str) -> None:
    async def check(world: World) -> None:
        code, batch, batch_id, sender = broken(name)
        before = await world.counts()
        with refused(code):
            await world.take(batch, by=sender, batch_id=batch_id)
        assert await world.counts() == before

    in_world(check)


def test_another_file_under_the_same_id_or_root_is_refused(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = made_batch(3)
        await world.take(batch)
        before = await world.counts()
        later = assembled(batch.rows, dataclasses.replace(batch.header, made_at=batch.header.made_at + 1))
        renamed = assembled(batch.rows, dataclasses.replace(batch.header, batch_id=secrets.token_bytes(32)))
        for other in (later, renamed, made_batch(2, batch_id=batch.header.batch_id)):
            with refused("BatchDiffers"):
                await world.take(other)
        assert await world.counts() == before

    in_world(check)


@pytest.mark.parametrize("at", [0, 1500])
def test_a_case_of_another_batch_spoils_the_whole_file(in_world: InWorld, at: int) -> None:
    async def check(world: World) -> None:
        first, second = made_batch(1), made_batch(at + 2)
        await world.take(first)
        before = await world.counts()
        rows = [*second.rows[:at], first.rows[0], *second.rows[at:]]
        with refused("CaseInOtherBatch"):
            await world.take(assembled(rows, second.header))
        assert await world.counts() == before
        assert (await world.take(second)).new

    in_world(check)


def test_a_row_that_is_kept_already_spoils_the_whole_file(in_world: InWorld, database: PgDatabase) -> None:
    """The port's own refusal: also where the index of cases was lost."""

    async def check(world: World) -> None:
        batch, other = made_batch(2), made_batch(1)
        await world.take(other)
        admin = await asyncpg.connect(database.superuser_dsn)
        await admin.execute("DELETE FROM cases.case WHERE root = $1", other.root)
        await admin.close()
        before = await world.counts()
        with refused("CaseInOtherBatch"):
            await world.take(assembled([*batch.rows, other.rows[0]], batch.header))
        assert await world.counts() == before

    in_world(check)


def test_a_case_that_the_chain_knows_from_another_batch_spoils_the_file(
    in_world: InWorld, database: PgDatabase
) -> None:
    async def check(world: World) -> None:
        batch = made_batch(3)
        leaf = batch.leaves[2]
        indexer = await asyncpg.connect(database.dsn("sealer"))
        try:
            await indexer.execute(
                "INSERT INTO cases.case (case_id, root, position, owner, product, commitment, version)"
                " VALUES ($1, $2, 2, $3, $4, $5, 1)",
                leaf.case_id, bytes(32), leaf.owner, leaf.product, leaf.commitment,
            )  # fmt: skip
        finally:
            await indexer.close()
        before = await world.counts()
        with refused("CaseInOtherBatch"):
            await world.take(batch)
        assert await world.counts() == before

    in_world(check)


def test_rows_are_sealed_to_members_under_their_published_keys(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        good = made_batch(2)
        strange = (*recipients(OWNER), BatchRecipient(99, KEYS[CENTRE].public_key().public_bytes_raw()))
        with refused("BatchRecipientUnknown"):
            await world.take(made_batch(2, to=strange))
        for member in (Published(active=False), Published(hpke_key=None), Published(hpke_key=bytes(32))):
            world.registry.members[CENTRE] = member
            with refused("BatchRecipientUnknown"):
                await world.take(good)
        world.registry.members.update(Recipients().members)
        assert (await world.take(good)).new

    in_world(check)


def test_a_file_over_the_limit_and_a_file_too_many_are_refused(database: PgDatabase, tmp_path: Path) -> None:
    async def check() -> None:
        batch = made_batch(5)
        async with world(database, tmp_path, Limits(most_bytes=len(batch.data) - 1, at_once=1)) as one:
            with refused("LimitExceeded"):
                await one.take(batch)
        async with world(database, tmp_path, Limits(most_bytes=len(batch.data), at_once=1)) as one:
            gate, begun = asyncio.Event(), asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                yield batch.data[:50]
                begun.set()
                await gate.wait()
                yield batch.data[50:]

            first = asyncio.create_task(one.intake.take(batch.header.batch_id, OWNER, slow()))
            await begun.wait()
            with refused("BatchesBusy"):
                await one.take(made_batch(1))
            gate.set()
            assert (await first).new
            assert (await one.take(made_batch(1))).new

    asyncio.run(check())


def test_a_sender_that_goes_away_leaves_nothing(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        batch = made_batch(5)
        before = await world.counts()

        async def broken_off() -> AsyncIterator[bytes]:
            yield batch.data[:2000]
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await world.intake.take(batch.header.batch_id, OWNER, broken_off())
        assert await world.counts() == before
        assert (await world.take(batch)).new

    in_world(check)


def test_a_full_disk_is_said_and_nothing_stays(in_world: InWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> BinaryIO:
        return Path("/dev/full").open("wb", buffering=0)

    async def check(world: World) -> None:
        monkeypatch.setattr(world.intake, "_spool", full)
        with refused("StorageFull"):
            await world.take(made_batch(2))
        monkeypatch.undo()
        assert (await world.take(made_batch(2))).new

    in_world(check)
