"""With 500,000 cases every read goes through an index. The time is shown; a bench holds it to a bound."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from typing import Any

import asyncpg
import pytest

from cases import listing
from cases.listing import Filters
from cases.paging import Sort
from cases.reading import Reading, show, timeline
from evidence.repository import Viewer
from protocol.acts import Role
from storage.db import connect_pool, migrate
from tests.conftest import PgDatabase
from tests.support.case_histories import lives
from tests.support.case_rows import CONTRACTS, DAY, NOW, add_policy, copy_cases, copy_life, many_cases

pytestmark = [pytest.mark.database, pytest.mark.slow, pytest.mark.timeout(1200)]
CASES, HISTORIES = 500_000, 500
VIEWERS = {
    "bank": Viewer(3, Role.BANK.mask),
    "centre": Viewer(90, Role.CENTRE.mask),
    "court": Viewer(51, Role.COURT.mask),
    "mediation": Viewer(60, Role.MEDIATION.mask),
}
LISTS: dict[str, tuple[Filters, Sort]] = {
    "all": (Filters(), Sort.CASE),
    "one stage": (Filters(stages=(8,)), Sort.CASE),
    "four stages": (Filters(stages=(8, 9, 28, 30)), Sort.CASE),
    "one bank": (Filters(owner=7), Sort.CASE),
    "one batch": (Filters(batch=(77).to_bytes(32, "big")), Sort.CASE),
    "paused": (Filters(paused=True), Sort.CASE),
    "deadlines": (Filters(), Sort.DEADLINE),
    "overdue": (Filters(overdue=True), Sort.DEADLINE),
    "thirty days": (Filters(due_from=NOW, due_before=NOW + 30 * DAY), Sort.DEADLINE),
    "product": (Filters(product=2), Sort.CASE),
}
ROUNDS = 40


def p99(times: list[float]) -> float:
    return sorted(times)[math.ceil(0.99 * len(times)) - 1]


def test_reads_and_pages_use_indexes(pg: PgDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> dict[str, float]:
        await migrate(pg.dsn("migrator"))
        owner = await asyncpg.connect(pg.superuser_dsn)
        await copy_cases(owner, many_cases(CASES, 1, owners=range(1, 41), courts=range(50, 55)))
        await add_policy(owner)
        found, sequence = [], 1
        for life in lives(seed=5, count=HISTORIES, acts=30):
            if life.changes:
                sequence = await copy_life(owner, life, sequence, root=b"\xee" * 32)
                found.append(life.case_id)
        await owner.execute("VACUUM ANALYZE cases.case")
        await owner.execute("ANALYZE cases.change")
        pool = await connect_pool(pg.dsn("gateway"), max_size=2)
        try:
            figures = {"one case": await _reads(Reading(pool, CONTRACTS), found)}
            for who, viewer in VIEWERS.items():
                for name, (filters, sort) in LISTS.items():
                    await _indexed(pool, viewer, filters, sort)
                    figures[f"{who}: {name}"] = await _pages(pool, viewer, filters, sort)
            return figures
        finally:
            await pool.close()
            await owner.close()

    figures = asyncio.run(run())
    with capsys.disabled():
        for name, seconds in figures.items():
            print(f"{name:28} p99 {seconds * 1000:6.1f} ms")


async def _reads(reading: Reading, ids: list[bytes]) -> float:
    dice, times = random.Random(3), []  # noqa: S311 - repeatable
    for _ in range(500):
        started = time.perf_counter()
        case = await reading.find(VIEWERS["centre"], dice.choice(ids))
        show(case, VIEWERS["centre"], NOW)
        timeline(case)
        times.append(time.perf_counter() - started)
    return p99(times)


async def _pages(pool: Any, viewer: Viewer, filters: Filters, sort: Sort) -> float:
    times, cursor = [], None
    async with pool.acquire() as conn:
        await listing.page(conn, viewer, filters, sort, now=NOW)
        for _ in range(ROUNDS):
            started = time.perf_counter()
            page = await listing.page(conn, viewer, filters, sort, now=NOW, cursor=cursor)
            times.append(time.perf_counter() - started)
            cursor = page.next
    return p99(times)


async def _indexed(pool: Any, viewer: Viewer, filters: Filters, sort: Sort) -> None:
    """No page reads the table from its beginning, not even with a plan for all parameters."""
    statements: list[tuple[str, tuple[Any, ...]]] = []

    class Watched:
        def __init__(self, conn: Any) -> None:
            self._conn = conn

        async def fetch(self, sql: str, *values: Any) -> Any:
            statements.append((sql, values))
            return await self._conn.fetch(sql, *values)

    async with pool.acquire() as conn:
        watched: Any = Watched(conn)
        page = await listing.page(watched, viewer, filters, sort, now=NOW)
        await listing.page(watched, viewer, filters, sort, now=NOW, cursor=page.next)
        for mode in ("force_custom_plan", "force_generic_plan"):
            await conn.execute(f"SET plan_cache_mode = {mode}")
            for sql, values in statements:
                (plan,) = await conn.fetch("EXPLAIN (FORMAT JSON) " + sql, *values)
                assert '"Seq Scan"' not in json.dumps(json.loads(plan[0])), (mode, sql)
        await conn.execute("RESET plan_cache_mode")
