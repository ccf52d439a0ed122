"""Who looked at a case: nothing is lost or counted twice, and a sealed row is noted before it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from cases import looks
from cases.calendar import day_of
from cases.looks import Look, Looks, What
from storage.db import migrate
from tests.conftest import PgDatabase

pytestmark = pytest.mark.database
NOW = 1_800_000_000
DAY = day_of(NOW)


@pytest.fixture(scope="module", autouse=True)
def _tables(pg: PgDatabase) -> None:
    asyncio.run(migrate(pg.dsn("migrator")))


def with_looks(pg: PgDatabase, work: Callable[[Looks, Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncpg.create_pool(pg.dsn("gateway"), min_size=1, max_size=6) as pool:
            await work(Looks(pool), pool)

    asyncio.run(run())


def test_looks_are_counted_by_day_organisation_and_kind(pg: PgDatabase) -> None:
    async def work(book: Looks, pool: Any) -> None:
        case = b"\1" * 32
        for late in (5, 0, 9):
            await book.note(case, 7, NOW + late)
        await book.note(case, 8, NOW)
        await book.note(case, 7, NOW + 86_400)
        await book.record_row([case], 7, NOW + 20)
        await book.flush()
        await book.note(case, 7, NOW + 11)
        assert await book.of(case) == [
            Look(DAY + 1, 7, What.CASE, 1, NOW + 86_400, NOW + 86_400),
            Look(DAY, 7, What.ROW, 1, NOW + 20, NOW + 20),
            Look(DAY, 7, What.CASE, 4, NOW, NOW + 11),
            Look(DAY, 8, What.CASE, 1, NOW, NOW),
        ]
        assert await book.of(b"\2" * 32) == []

    with_looks(pg, work)


def test_a_look_at_a_row_is_on_disk_when_it_returns(pg: PgDatabase) -> None:
    async def work(book: Looks, pool: Any) -> None:
        case = b"\3" * 32
        await book.record_row([case, case], 7, NOW)
        assert await pool.fetchval("SELECT count FROM cases.look WHERE case_id = $1", case) == 1

    with_looks(pg, work)


def test_what_cannot_be_written_waits_and_is_counted_once(pg: PgDatabase) -> None:
    async def work(book: Looks, pool: Any) -> None:
        case = b"\4" * 32
        owner = await asyncpg.connect(pg.superuser_dsn)
        await book.note(case, 7, NOW)
        await owner.execute("ALTER TABLE cases.look RENAME TO look_away")
        try:
            with pytest.raises(asyncpg.UndefinedTableError):
                await book.flush()
            await book.note(case, 7, NOW + 3)
        finally:
            await owner.execute("ALTER TABLE cases.look_away RENAME TO look")
            await owner.close()
        assert await book.of(case) == [Look(DAY, 7, What.CASE, 2, NOW, NOW + 3)]

    with_looks(pg, work)


def test_writers_of_the_same_cases_in_any_order_do_not_hold_each_other_up(pg: PgDatabase) -> None:
    async def work(book: Looks, pool: Any) -> None:
        cases = [bytes([5, number]) + bytes(30) for number in range(60)]
        books = [Looks(pool) for _ in range(5)]
        for at, one in enumerate(books):
            for case in cases if at % 2 else reversed(cases):
                await one.note(case, 7, NOW)
        await asyncio.gather(*(one.flush() for one in books))
        assert [look.count for look in await book.of(cases[0])] == [5]

    with_looks(pg, work)


def test_a_full_book_writes_before_it_takes_more(pg: PgDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(book: Looks, pool: Any) -> None:
        monkeypatch.setattr(looks, "MOST_WAITING", 3)
        cases = [bytes([6, number]) + bytes(30) for number in range(4)]
        for case in cases:
            await book.note(case, 7, NOW)
        written = await pool.fetchval("SELECT count(*) FROM cases.look WHERE case_id = ANY($1)", cases)
        assert written == 3

    with_looks(pg, work)


def test_the_loop_writes_within_its_time_and_at_its_end(pg: PgDatabase) -> None:
    async def work(book: Looks, pool: Any) -> None:
        stop, case = asyncio.Event(), b"\7" * 32
        loop = asyncio.create_task(book.run(stop, every=60.0))
        await book.note(case, 7, NOW)
        stop.set()
        await loop
        assert await pool.fetchval("SELECT count FROM cases.look WHERE case_id = $1", case) == 1

    with_looks(pg, work)
