"""The index of cases is what the contracts say: act by act, through reorganisations, whatever came first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from cases import batch_repository
from cases.chain_index import CaseIndex
from cases.errors import CaseIndexDamaged, PolicyNotOfThisRelease
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import CASE_BATCHES, CASE_LEDGER, WORK_CALENDAR
from protocol.case_acts import Import, Move, Pause, Recall, Resume, Reverse
from storage.db import AnyConnection, migrate
from tests.conftest import PgDatabase
from tests.support.case_batches import MadeBatch, made_batch

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.contracts.test_case_model import CaseRules
from tests.support.case_index import FIRST_BLOCK, IndexedWorld, rows
from tests.support.case_world import CASES, NOWHERE, ZERO, World, case_id, values, weekdays
from tests.support.revm import BANK, CENTRE, COURT, FOREVER

pytestmark = pytest.mark.database
T = TypeVar("T")
DAY = 86_400


@pytest.fixture(scope="module")
def tables(pg: PgDatabase) -> PgDatabase:
    """Our tables. What follows the chain has the worker's role, files come by the gateway's."""
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


async def clean(pg: PgDatabase) -> None:
    owner = await asyncpg.connect(pg.dsn("migrator"))
    for table in ("chain.block", "cases.batch", "cases.case"):
        await owner.execute(f"DELETE FROM {table}")  # noqa: S608
    await owner.close()


def scenario(tables: PgDatabase, run: Callable[[IndexedWorld], Coroutine[Any, Any, None]]) -> None:
    """A fresh world, its index empty."""

    async def inside() -> None:
        await clean(tables)
        conn = await asyncpg.connect(tables.dsn("sealer"))
        try:
            await run(IndexedWorld(conn, World()))
        finally:
            await conn.close()

    asyncio.run(inside())


def move(world: World, which: int, name: str, actor: int, version: int, beside: int = 0) -> None:
    step = LIFECYCLE_V1.transition(name)
    proof, digest, _ = world.evidence(which, step)
    reason = step.reasons[0].code if step.reasons else 0
    act = Move(case_id(which), version, step.id, actor, beside, reason, digest, ZERO, ZERO, FOREVER)
    origin = world.origin(which) if version == 1 else NOWHERE
    signed = world.sign(act, actor), world.sign(act, beside) if beside else b""
    world.chain.call(CASE_LEDGER, "move", values(act), origin, proof, *signed)


# The contract decides


class FollowedRules(CaseRules):
    """The random acts of the contract's own test, each followed into the tables; now and then blocks go."""

    tables: ClassVar[PgDatabase]

    @initialize()
    def start(self) -> None:
        super().start()
        self.runner = asyncio.Runner()
        self.wait(clean(self.tables))
        self.conn = self.wait(asyncpg.connect(self.tables.dsn("sealer")))
        self.index = IndexedWorld(self.conn, self.world)
        self.wait(self.index.follow())
        self.after = {self.index.read: self.wait(rows(self.conn))}

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def same(self, which: int) -> None:
        super().same(which)
        self.wait(self.index.follow())
        assert self.wait(self.index.in_table(case_id(which))) == self.index.on_chain(case_id(which))
        self.after[self.index.read] = self.wait(rows(self.conn))
        found = self.wait(CaseIndex(self.world.contracts).state(self.conn, case_id(which)))
        assert found is not None
        _, state = found
        # All that a further step depends on, not only what the table shows.
        assert state == self.states[which]

    @rule(blocks=st.integers(1, 12))
    def reorganise(self, blocks: int) -> None:
        self.wait(self.index.rewind(min(blocks, self.index.read - min(self.after))))
        remembered = self.after.get(self.index.read)
        if remembered is not None:
            assert self.wait(rows(self.conn)) == remembered
        self.wait(self.index.follow())
        for which in self.states:
            assert self.wait(self.index.in_table(case_id(which))) == self.index.on_chain(case_id(which))
        self.after = {
            self.index.read: self.wait(rows(self.conn))
        }  # hashes of transactions are other ones from here on

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.wait(self.conn.close())
            self.runner.close()


def _run(tables: PgDatabase, examples: int) -> None:
    FollowedRules.tables = tables
    FollowedRules.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    FollowedRules.TestCase().runTest()


def test_the_tables_are_the_contracts_after_every_act_and_every_reorganisation(tables: PgDatabase) -> None:
    _run(tables, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_tables_are_the_contracts_for_a_long_time(tables: PgDatabase) -> None:
    _run(tables, 100)


def test_what_an_event_does_not_say_follows_from_those_before_it(tables: PgDatabase) -> None:
    """Reversals of a step and of an extension, a pause that was ended, an open one that a step closed."""

    async def run(index: IndexedWorld) -> None:
        world, version = index.world, 1

        async def same() -> None:
            nonlocal version
            await index.follow()
            row = await index.in_table(case_id(0))
            assert row == index.on_chain(case_id(0))
            version = row["version"]

        async def step(name: str, actor: int) -> None:
            world.chain.warp(DAY)
            move(world, 0, name, actor, version)
            await same()

        async def send(act: Pause | Resume | Reverse, function: str, *signers: int) -> None:
            world.chain.warp(DAY)
            origin = (NOWHERE,) if isinstance(act, Pause) else ()
            signed = [world.sign(act, signer) for signer in signers]
            world.chain.call(CASE_LEDGER, function, values(act), *origin, *signed)
            await same()

        async def back() -> None:
            act = Reverse(case_id(0), version, COURT, CENTRE, ZERO, FOREVER)
            await send(act, "reverse", COURT, CENTRE)

        await step("admit", CENTRE)
        await step("transfer", CENTRE)
        await step("filed", COURT)
        await back()
        assert (await index.in_table(case_id(0)))["court"] == 0
        await step("filed", COURT)
        await step("small-track", COURT)
        await step("small-prolonged", COURT)
        await back()
        await send(Pause(case_id(0), version, COURT, 3, ZERO, FOREVER), "pause", COURT)
        await send(Resume(case_id(0), version, COURT, 3, ZERO, FOREVER), "resume", COURT)
        await step("small-prolonged", COURT)
        await send(Pause(case_id(0), version, COURT, 1, ZERO, FOREVER), "pause", COURT)
        await step("mediated-in-court", COURT)
        await back()
        kinds = await index.conn.fetch("SELECT kind FROM cases.change ORDER BY sequence")
        assert [row["kind"] for row in kinds].count("reversed") == 3

    scenario(tables, run)


# Batches


def send_import(world: World, root: bytes, count: int) -> None:
    act = Import(BANK, root, count, b"\x0a" * 32, b"\x0b" * 32, FOREVER)
    world.chain.call(CASE_BATCHES, "importBatch", values(act), world.sign(act, BANK, CASE_BATCHES))


def send_recall(world: World, root: bytes) -> None:
    act = Recall(BANK, root, FOREVER)
    world.chain.call(CASE_BATCHES, "recallBatch", values(act), world.sign(act, BANK, CASE_BATCHES))


async def store(conn: AnyConnection, batch: MadeBatch) -> None:
    await batch_repository.insert_batch(conn, batch.header, batch.trailer, 1_800_000_100)
    await batch_repository.insert_cases(conn, batch.root, 0, batch.leaves)


async def bring_file(conn: AnyConnection, batch: MadeBatch) -> None:
    """As the gateway stores it."""
    async with conn.transaction():
        await store(conn, batch)


async def standing(conn: AnyConnection, batch: MadeBatch) -> list[tuple[Any, ...]]:
    found = await conn.fetch(
        """SELECT listed, policy, version, stage, since, clock_start, deadline, provisional
           FROM cases.case WHERE root = $1 ORDER BY position""",
        batch.root,
    )
    return [tuple(row) for row in found]


@pytest.mark.parametrize("first", ["file", "import"])
def test_a_batch_is_listed_by_its_import_whichever_comes_first(tables: PgDatabase, first: str) -> None:
    batch = made_batch(3, owner=BANK)

    async def run(index: IndexedWorld) -> None:
        gateway = await asyncpg.connect(tables.dsn("gateway"))
        world, conn = index.world, index.conn
        await index.follow()
        if first == "file":
            await bring_file(gateway, batch)
            assert await standing(conn, batch) == [(False, 0, 0, 1, 0, 0, None, False)] * 3
        send_import(world, batch.root, 3)
        imported = world.chain.now
        await index.follow()
        if first == "import":
            assert await standing(conn, batch) == []
            await bring_file(gateway, batch)
        await gateway.close()
        opened = world.machine.opened(owner=BANK, product=1, imported=imported)
        seen = [(True, 1, 0, 1, imported, imported, opened.deadline, False)] * 3
        assert await standing(conn, batch) == seen
        world.chain.warp(3600)
        send_recall(world, batch.root)
        await index.follow()
        assert [row[0] for row in await standing(conn, batch)] == [False] * 3
        # The recall, and then the import as well, are in blocks that go away.
        await index.rewind(1)
        assert await standing(conn, batch) == seen
        await index.rewind(1)
        assert await standing(conn, batch) == [(False, 0, 0, 1, 0, 0, None, False)] * 3
        await index.follow()
        assert [row[0] for row in await standing(conn, batch)] == [False] * 3
        event = await conn.fetchrow(
            "SELECT * FROM cases.batch_event WHERE root = $1 AND NOT recalled", batch.root
        )
        assert event is not None
        assert (event["organisation"], event["count"], event["policy"]) == (BANK, 3, 1)
        assert (event["rules"], event["totals"], event["time"]) == (b"\x0a" * 32, b"\x0b" * 32, imported)

    scenario(tables, run)


def test_a_file_and_its_import_at_the_same_moment_do_not_miss_each_other(tables: PgDatabase) -> None:
    batch = made_batch(2, owner=BANK)

    async def run(index: IndexedWorld) -> None:
        gateway = await asyncpg.connect(tables.dsn("gateway"))
        await index.follow()
        send_import(index.world, batch.root, 2)
        # Both transactions are open at once; neither sees what the other has written.
        file = gateway.transaction()
        await file.start()
        await store(gateway, batch)
        events = index.conn.transaction()
        await events.start()
        await index.follow()
        waiting = asyncio.create_task(file.commit())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await events.commit()
        await waiting
        await gateway.close()
        assert [row[0] for row in await standing(index.conn, batch)] == [True, True]

    scenario(tables, run)


def test_a_case_known_from_the_chain_alone_goes_with_its_block_and_one_with_a_file_stays(
    tables: PgDatabase,
) -> None:
    async def run(index: IndexedWorld) -> None:
        world, conn = index.world, index.conn
        await index.follow()
        move(world, 0, "admit", CENTRE, 1)
        await index.follow()
        assert await conn.fetchval("SELECT count(*) FROM cases.case") == 1
        kinds = await conn.fetch("SELECT kind, from_stage, stage FROM cases.change ORDER BY sequence")
        assert [tuple(row) for row in kinds] == [("opened", 0, 1), ("moved", 1, 2)]
        await index.rewind(1)
        assert await conn.fetchval("SELECT count(*) FROM cases.case") == 0
        await index.follow()
        gateway = await asyncpg.connect(tables.dsn("gateway"))
        await gateway.execute(
            "INSERT INTO cases.batch VALUES ($1, $2, $3, 4, 1, 1, $4, $5, $6)",
            world.batch, bytes(32), BANK, bytes(32), [1], [bytes(32)],
        )  # fmt: skip
        await gateway.close()
        before = await index.in_table(case_id(0))
        assert before == index.on_chain(case_id(0))
        await index.rewind(1)
        unmoved = await index.in_table(case_id(0))
        opened = world.machine.opened(owner=BANK, product=1, imported=world.imported)
        assert unmoved == before | {
            "version": 0, "stage": 1, "since": world.imported, "clock_start": world.imported,
            "deadline": opened.deadline,
        }  # fmt: skip
        await index.follow()
        assert await index.in_table(case_id(0)) == before

    scenario(tables, run)


# The calendar


def test_a_deadline_beyond_the_calendar_is_provisional_until_the_year_is_set(tables: PgDatabase) -> None:
    async def run(index: IndexedWorld) -> None:
        world, conn = index.world, index.conn
        # To the last days of the calendar's last year, 2028.
        world.chain.warp(1_861_800_000 - world.chain.now)
        batch = made_batch(2, owner=BANK)
        send_import(world, batch.root, 2)
        move(world, 0, "admit", CENTRE, 1)
        await index.follow()
        assert await index.in_table(case_id(0)) == index.on_chain(case_id(0))
        assert await conn.fetchval("SELECT provisional FROM cases.case WHERE case_id = $1", case_id(0))
        assert await conn.fetchval("SELECT provisional FROM cases.batch_event WHERE root = $1", batch.root)
        year = weekdays(2029)
        world.chain.decide("setYear", 2029, year.low, year.high, "notice\0of 2029", target=WORK_CALENDAR)
        move(world, 1, "admit", CENTRE, 1)
        await index.follow()
        # What was computed before stays as it was computed; what comes after is exact.
        for which, provisional in ((0, True), (1, False)):
            assert await index.in_table(case_id(which)) == index.on_chain(case_id(which))
            row = await index.in_table(case_id(which))
            assert row["provisional"] is provisional
        calendar = await CaseIndex(world.contracts).calendar(conn)
        assert set(calendar.years) == {2027, 2028, 2029}
        assert calendar.years[2029].bits == year.bits
        assert calendar.years[2029].notice == "noticeof 2029"

    scenario(tables, run)


# Faults


def test_an_index_that_lost_a_row_is_noticed_and_nothing_is_guessed(tables: PgDatabase) -> None:
    async def run(index: IndexedWorld) -> None:
        world, conn = index.world, index.conn
        move(world, 0, "admit", CENTRE, 1)
        move(world, 0, "route-central", CENTRE, 2)
        await index.follow()
        await conn.execute("DELETE FROM cases.change WHERE version = 3")
        hold = LIFECYCLE_V1.stage("CENTRAL").holds[0]
        act = Pause(case_id(0), 3, CENTRE, hold, ZERO, FOREVER)
        world.chain.call(CASE_LEDGER, "pause", values(act), NOWHERE, world.sign(act, CENTRE))
        with pytest.raises(CaseIndexDamaged):
            await index.follow()
        assert await conn.fetchval("SELECT count(*) FROM cases.change WHERE kind = 'paused'") == 0
        # Read again from the chain, all is there.
        await index.rewind(index.read)
        assert await conn.fetchval("SELECT count(*) FROM cases.case") == 0
        await index.follow()
        assert await index.in_table(case_id(0)) == index.on_chain(case_id(0))

    scenario(tables, run)


def test_a_lifecycle_of_a_later_release_stops_the_index(tables: PgDatabase) -> None:
    async def run(index: IndexedWorld) -> None:
        await index.follow()
        # As if governance had switched to a lifecycle of which this release knows only the hash.
        row = await index.conn.fetchrow("DELETE FROM cases.policy RETURNING *")
        assert row is not None
        await index.conn.execute(
            "INSERT INTO cases.policy VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *(dict(row) | {"table_hash": b"\x07" * 32}).values(),
        )
        move(index.world, 0, "admit", CENTRE, 1)
        with pytest.raises(PolicyNotOfThisRelease):
            await index.follow()
        assert index.block < FIRST_BLOCK + len(index.world.chain.said) - 1
        assert await index.conn.fetchval("SELECT count(*) FROM cases.case") == 0

    scenario(tables, run)


def test_reading_from_nothing_gives_the_same_rows(tables: PgDatabase) -> None:
    async def run(index: IndexedWorld) -> None:
        world = index.world
        for which in range(CASES):
            move(world, which, "admit", CENTRE, 1)
        move(world, 0, "route-central", CENTRE, 2)
        move(world, 1, "transfer", CENTRE, 2)
        move(world, 1, "filed", COURT, 3)
        world.chain.warp(90 * DAY)
        world.chain.call(CASE_LEDGER, "markOverdue", case_id(0), NOWHERE)
        await index.follow()
        before = await rows(index.conn)
        await index.rewind(index.read)
        assert not any((await rows(index.conn)).values())
        index.branch = 0
        await index.follow()
        assert await rows(index.conn) == before
        assert any(row["marked"] for row in before["case"])
        assert any(row["court"] == COURT for row in before["case"])

    scenario(tables, run)
