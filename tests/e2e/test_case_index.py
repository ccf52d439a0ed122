"""The index of cases beside the ledger's, from a real chain: nodes that lie, blocks that change, kills."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cases import fsck
from cases.events import case_events
from chain.bindings import CASE_BATCHES, CASE_LEDGER, interface
from chain.case_acts import mark_overdue
from chain.case_record import CaseRecord
from chain.case_state import CaseReader
from chain.cursor import ChainRewritten, EventCursor, EventSource, EventsWithheld, ledger_events, rebuild
from chain.deployment import Deployment
from chain.engines import profile
from chain.evm import Evm
from chain.networks.cometbft import CometNetwork
from chain.rpc import Answer, RpcPool
from evidence.fsck_report import FsckReport
from protocol.case_acts import Import, Recall
from storage.db import Pool, connect_pool, migrate
from tests.conftest import PgDatabase
from tests.e2e.test_case_paths import LIFE, passed, walk
from tests.support.case_court import FOREVER, INDEX, ZERO, case_id, court
from tests.support.stack import ROOT, environment

pytestmark = [pytest.mark.chain, pytest.mark.database]

PATHS = (
    "admit offer-mediation mediation-starts mediation-expires transfer",
    "admit transfer filed reverse filed small-track pause:3 resume:3 small-prolonged judged-small",
    "withdraw reverse admit route-central",
    "ask-completion",
)
TABLES = ("policy", "calendar_year", "batch_event", "change", "case")


@dataclass(frozen=True)
class Lived:
    """A chain on which cases have moved, and its records under `home`."""

    network: CometNetwork
    home: Path
    deployment: Deployment
    record: CaseRecord

    @property
    def sources(self) -> list[EventSource]:
        return [ledger_events(self.deployment), case_events(self.record)]

    @asynccontextmanager
    async def pool(self, kind: type[RpcPool] = RpcPool, blocks: int = 500) -> AsyncIterator[RpcPool]:
        """`blocks`: how many are asked for at a time."""
        engine = dataclasses.replace(profile("cometbft"), max_log_range=blocks)
        pool = kind(self.network.rpc_urls, engine, chain_id=self.deployment.chain_id)
        async with pool:
            yield pool


@pytest.fixture(scope="module")
def lived(network1: CometNetwork, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Every kind of event has happened: lapse, extension, pause, reversal, overdue, recall."""

    async def live() -> Lived:
        async with court(network1, len(PATHS)) as made:
            async with asyncio.TaskGroup() as group:
                for which, path in enumerate(PATHS):
                    group.create_task(walk(made, which, path.split(), set()))
            late = (await made.case(case_id(3)))["deadline"]
            await passed(made, late)
            mark = mark_overdue(case_id(3), made.contracts)
            await made.send(made.contracts.ledger, mark.data)
            bank, root = INDEX["bank"], b"\x33" * 32
            domain = made.contracts.batches_domain
            await made.act(Import(bank, root, 2, ZERO, ZERO, FOREVER), "importBatch", domain, [bank])
            await made.act(Recall(bank, root, FOREVER), "recallBatch", domain, [bank])
            home = tmp_path_factory.mktemp("lived")
            made.record.save(home)
            return Lived(network1, home, made.deployment, made.record)

    return asyncio.run(live())


@pytest.fixture(scope="module")
def tables(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


@asynccontextmanager
async def worker_of(tables: PgDatabase) -> AsyncIterator[Pool]:
    """The worker's database, empty of what was read."""
    pool = await connect_pool(tables.dsn("sealer"))
    try:
        await pool.execute("DELETE FROM chain.cursor")
        await pool.execute("DELETE FROM chain.block")
        yield pool
    finally:
        await pool.close()


async def drain(db: Pool, pool: RpcPool, *sources: EventSource) -> list[EventCursor]:
    cursors = [EventCursor(db, pool, source) for source in sources]
    for cursor in cursors:
        while await cursor.run_once():
            pass
    return cursors


async def rows(db: Pool) -> dict[str, list[Any]]:
    return {
        name: await db.fetch(f"SELECT * FROM cases.{name} ORDER BY 1, 2, 3, 4")  # noqa: S608
        for name in TABLES
    }


def test_the_index_of_a_chain_is_what_its_contracts_say(lived: Lived, tables: PgDatabase) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            _, cursor = await drain(db, pool, *lived.sources)
            reader = CaseReader(Evm(pool), lived.record.contracts)
            for which in range(len(PATHS)):
                there = await reader.case(case_id(which))
                row = await db.fetchrow("SELECT * FROM cases.case WHERE case_id = $1", case_id(which))
                assert there is not None
                assert row is not None
                assert (
                    row["version"], row["stage"], row["owner"], row["product"], row["policy"], row["since"],
                    row["deadline"] or 0, row["court"], row["open_holds"], row["clock_start"],
                    row["commitment"], row["marked"], row["provisional"],
                ) == (
                    there.version, there.stage, there.owner, there.product, there.policy, there.since,
                    there.deadline, there.court, there.open_holds, there.clock_start, there.commitment,
                    bool(there.flags & 1), bool(there.flags & 8),
                )  # fmt: skip
                assert row["listed"]
            kinds = {row["kind"] for row in await db.fetch("SELECT DISTINCT kind FROM cases.change")}
            assert kinds == {"opened", "moved", "lapsed", "paused", "resumed", "reversed", "overdue"}
            batches = await db.fetch("SELECT root, recalled FROM cases.batch_event ORDER BY sequence")
            assert [row["recalled"] for row in batches] == [False, False, True]
            policy = await db.fetchrow("SELECT * FROM cases.policy")
            assert policy is not None
            assert (policy["table_hash"], policy["test_clock"]) == (LIFE.table_hash, True)
            counted = interface(CASE_LEDGER).function("sequence")
            assert cursor.metrics.sequences[CASE_LEDGER] == await _count(pool, lived, counted)

    asyncio.run(check())


async def _count(pool: RpcPool, lived: Lived, function: Any) -> int:
    from chain.transactions import Call

    answer = await Evm(pool).call(bytes(20), Call(lived.record.contracts.ledger, function.encode()))
    return int(function.decode(answer)[0])


def test_a_rebuild_reads_both_indexes_again_and_finds_the_same(lived: Lived, tables: PgDatabase) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            await drain(db, pool, *lived.sources)
            before, events = await rows(db), await db.fetchval("SELECT count(*) FROM chain.event")
            # An index that somebody has changed by hand.
            await db.execute("UPDATE cases.case SET stage = 44, marked = true, deadline = 1")
            await db.execute("DELETE FROM cases.change WHERE kind = 'paused'")
            assert await rebuild(db, pool, lived.sources) == events
            assert await rows(db) == before
            assert all(before.values())

    asyncio.run(check())


async def findings(db: Pool, pool: RpcPool, lived: Lived) -> dict[str, str]:
    """What `fsck` says of the index: code by place."""
    report = FsckReport()
    await fsck.check(db, pool, lived.record, report)
    return {finding.place: finding.code for finding in report.findings}


DAMAGE = {
    "a stage": ("UPDATE cases.case SET stage = 44 WHERE version = 2", {"CaseRowMismatch"}),
    "a deadline": ("UPDATE cases.case SET deadline = deadline + 60 WHERE deadline > 0", {"CaseRowMismatch"}),
    "an owner": ("UPDATE cases.case SET owner = 9", {"CaseRowMismatch"}),
    "an unlisted case": ("UPDATE cases.case SET listed = false", {"CaseRowMismatch"}),
    "a case that nobody brought": (
        "INSERT INTO cases.case (case_id, root, position, owner, product, commitment, listed)"
        " VALUES (sha256('x'), sha256('y'), 0, 1, 1, sha256('z'), true)",
        {"CaseRowUnknown"},
    ),
    "no case": ("DELETE FROM cases.case", {"CaseRowMissing"}),
    "who acted": ("UPDATE cases.change SET organisation = 9 WHERE kind = 'moved'", {"CaseRowMismatch"}),
    "a time": ("UPDATE cases.change SET time = time - 1 WHERE kind = 'paused'", {"CaseRowMismatch"}),
    "a lost step": ("DELETE FROM cases.change WHERE kind = 'overdue'", {"CaseRowMissing", "CaseRowMismatch"}),
    "an invented step": (
        "INSERT INTO cases.change SELECT (h).* FROM"
        " (SELECT jsonb_populate_record(c, jsonb_build_object('sequence', 9999)) AS h FROM cases.change c"
        " ORDER BY sequence DESC LIMIT 1) AS one",
        {"CaseRowUnknown"},
    ),
    "another policy": ("UPDATE cases.policy SET table_hash = sha256('x')", {"CaseRowMismatch"}),
    "a day": ("UPDATE cases.calendar_year SET days = set_byte(days, 47, 0)", {"CaseRowMismatch"}),
    "a lost year": ("DELETE FROM cases.calendar_year WHERE year = 2026", {"CaseRowMissing"}),
    "a recall": ("DELETE FROM cases.batch_event WHERE recalled", {"CaseRowMissing"}),
    "totals": ("UPDATE cases.batch_event SET totals = sha256('x') WHERE NOT recalled", {"CaseRowMismatch"}),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_fsck_finds_what_somebody_changed_and_a_rebuild_puts_it_right(
    lived: Lived, tables: PgDatabase, name: str
) -> None:
    statement, codes = DAMAGE[name]

    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            await rebuild(db, pool, lived.sources, fsck.forget)
            before = await rows(db)
            assert await findings(db, pool, lived) == {}
            owner = await connect_pool(tables.superuser_dsn, max_size=1)
            await owner.execute(statement)
            await owner.close()
            found = await findings(db, pool, lived)
            assert set(found.values()) == codes
            await rebuild(db, pool, lived.sources, fsck.forget)
            assert await findings(db, pool, lived) == {}
            assert await rows(db) == before

    asyncio.run(check())


def test_fsck_says_that_nothing_was_read_yet_and_believes_no_node_that_keeps_back(
    lived: Lived, tables: PgDatabase
) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool, lived.pool(WithholdingPool) as liar:
            report = FsckReport()
            await fsck.check(db, pool, lived.record, report)
            assert [note.code for note in report.notes] == ["CaseIndexNotRead"]
            await drain(db, pool, *lived.sources)
            assert isinstance(liar, WithholdingPool)
            liar.hidden = interface(CASE_LEDGER).event("CaseOverdue").topic
            with pytest.raises(EventsWithheld):
                await fsck.check(db, liar, lived.record, report)

    asyncio.run(check())


class WithholdingPool(RpcPool):
    """A lone node that keeps one kind of event back."""

    hidden: bytes = b""

    async def ask(self, method: str, params: Any = (), /) -> Answer:
        answer = await super().ask(method, params)
        if method == "eth_getLogs" and self.hidden:
            kept = [e for e in answer.result if bytes.fromhex(e["topics"][0][2:]) != self.hidden]
            return Answer(kept, answer.url)
        return answer


@pytest.mark.parametrize(
    ("contract", "event"),
    [
        (CASE_LEDGER, "CaseReversed"),
        (CASE_LEDGER, "CasePaused"),
        (CASE_LEDGER, "CaseOverdue"),  # the last of all: nothing later betrays it
        (CASE_BATCHES, "BatchImported"),
        (CASE_BATCHES, "BatchRecalled"),
    ],
)
def test_a_node_that_keeps_an_event_back_is_left_and_nothing_of_its_page_is_written(
    lived: Lived, tables: PgDatabase, contract: str, event: str
) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool(WithholdingPool) as pool:
            assert isinstance(pool, WithholdingPool)
            pool.hidden = interface(contract).event(event).topic
            with pytest.raises(EventsWithheld):
                await drain(db, pool, case_events(lived.record))
            assert all(health.reason == "withheld_logs" for health in pool.health() if health.kind == "evm")
            at = await db.fetchval("SELECT max(block_number) FROM chain.cursor")
            assert await db.fetchval("SELECT count(*) FROM chain.block WHERE number > $1", at or 0) == 0
            done = await db.fetchval("SELECT count(*) FROM chain.event WHERE name = $1", event)
            assert done == 0
            async with lived.pool() as honest:
                await drain(db, honest, case_events(lived.record))
            assert await db.fetchval("SELECT count(*) FROM chain.event WHERE name = $1", event)

    asyncio.run(check())


def test_what_rests_on_an_event_that_was_kept_back_pages_ago_names_the_node(
    lived: Lived, tables: PgDatabase
) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool(WithholdingPool, blocks=10) as pool:
            assert isinstance(pool, WithholdingPool)
            # No later event of its own contract is in the page, and the page is not the newest.
            pool.hidden = interface(CASE_BATCHES).event("BatchImported").topic
            with pytest.raises(EventsWithheld):
                await drain(db, pool, case_events(lived.record))
            assert await db.fetchval("SELECT count(*) FROM chain.event WHERE name = 'CaseOpened'") == 0

    asyncio.run(check())


def test_a_changed_block_of_a_final_chain_stops_the_reader_of_cases_alone(
    lived: Lived, tables: PgDatabase
) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            await drain(db, pool, *lived.sources)
            before = await rows(db)
            cases = case_events(lived.record)
            await db.execute(
                "UPDATE chain.cursor SET block_hash = $2 WHERE name = $1", cases.name, b"\x13" * 32
            )
            await asyncio.sleep(2.0)
            with pytest.raises(ChainRewritten):
                await EventCursor(db, pool, cases).run_once()
            assert await rows(db) == before
            await drain(db, pool, ledger_events(lived.deployment))

    asyncio.run(check())


def test_a_block_that_another_reader_stored_under_another_hash_stops_this_one(
    lived: Lived, tables: PgDatabase
) -> None:
    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            number = await _block_of_an_event(pool, lived)
            await db.execute(
                "INSERT INTO chain.block VALUES ($1, $2, $3, 1)",
                lived.deployment.chain_id, number, b"\x13" * 32,
            )  # fmt: skip
            with pytest.raises(ChainRewritten):
                await drain(db, pool, case_events(lived.record))
            assert await db.fetchval("SELECT count(*) FROM cases.change") == 0

    asyncio.run(check())


async def _block_of_an_event(pool: RpcPool, lived: Lived) -> int:
    evm, at = Evm(pool), [lived.record.contracts.ledger]
    head = await evm.head()
    return (await evm.logs(at, lived.record.block, head.number))[-1].block_number


@pytest.mark.parametrize("after", [1, 9, 20])
def test_a_reader_that_is_killed_in_the_middle_of_a_page_leaves_nothing_of_it(
    lived: Lived, tables: PgDatabase, tmp_path: Path, after: int
) -> None:
    def read(number: int) -> int:
        settings = tmp_path / "settings.json"
        settings.write_text(
            json.dumps(
                {
                    "home": str(lived.home), "rpc": lived.network.rpc_urls, "dsn": tables.dsn("sealer"),
                    "after": number,
                }
            )
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.support.dying_reader", str(settings)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), timeout=120, check=False)
        return done.returncode

    async def check() -> None:
        async with worker_of(tables) as db, lived.pool() as pool:
            await drain(db, pool, case_events(lived.record))
            whole = await rows(db)
            await db.execute("DELETE FROM chain.cursor")
            await db.execute("DELETE FROM chain.block")
            assert await asyncio.to_thread(read, after) == -signal.SIGKILL
            events = await db.fetchval("SELECT count(*) FROM chain.event")
            position = await db.fetchval("SELECT block_number FROM chain.cursor")
            # What is there is whole pages: no event is without its position.
            assert await db.fetchval(
                "SELECT count(*) FROM chain.event WHERE block_number > $1", position or 0
            ) == (0 if position is not None else events)
            assert events < after
            assert await asyncio.to_thread(read, 0) == 0
            assert await rows(db) == whole

    asyncio.run(check())


def test_a_record_that_differs_from_the_chain_is_refused(lived: Lived) -> None:
    from chain.case_contracts import PolicyVersion
    from chain.case_deployment import check_cases
    from chain.errors import DeploymentMismatch

    async def check() -> None:
        async with lived.pool() as pool:
            evm, record = Evm(pool), lived.record
            await check_cases(evm, lived.deployment, record)
            code = dict(record.deployed)
            code[CASE_LEDGER] = dataclasses.replace(code[CASE_LEDGER], code_hash=bytes(32))
            moved = dict(record.deployed)
            moved[CASE_LEDGER] = dataclasses.replace(moved[CASE_LEDGER], address=b"\x09" * 20)
            other = PolicyVersion(record.version.name, b"\x01" * 32)
            for wrong in (
                dataclasses.replace(record, deployed=code),
                dataclasses.replace(record, deployed=moved),
                dataclasses.replace(record, version=other),
                dataclasses.replace(record, chain_id=5),
            ):
                with pytest.raises(DeploymentMismatch):
                    await check_cases(evm, lived.deployment, wrong)

    asyncio.run(check())
