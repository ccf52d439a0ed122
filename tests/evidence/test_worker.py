"""The loops of a log come back after a lost lease, and a loop that ends is never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from evidence import worker as worker_module
from evidence.worker import LogWorker
from tests.conftest import PgDatabase
from tests.support.evidence import run
from tests.support.line import Line, line

pytestmark = pytest.mark.database


def worker_with(w: Line, step: worker_module.Step) -> LogWorker:
    return LogWorker(
        w.pool, w.desk.log, w.sealer, w.follower, w.capturer, beside={"aside": step}, clock=w.desk.clock
    )


async def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def test_a_cancellation_that_the_driver_swallows_does_not_keep_the_lease_away(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(worker_module, "BESIDE", 0.05)
        started = 0

        async def swallowing() -> bool:
            """As asyncpg when its server is killed in the moment of the cancellation."""
            nonlocal started
            started += 1
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                raise asyncpg.ConnectionDoesNotExistError("closed in the middle of operation") from None
            return False

        async with line(database) as w:
            worker, stop = worker_with(w, swallowing), asyncio.Event()
            working = asyncio.create_task(worker.run(stop))
            await until(lambda: started == 1)
            for turn in (2, 3):
                conn = await asyncpg.connect(database.superuser_dsn)
                await conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'sealer' AND datname = current_database()"
                )
                await conn.close()

                def back(turn: int = turn) -> bool:
                    return started == turn and worker.metrics.holds_lease

                await until(back)
            sealed = worker.metrics.sealed
            await w.acceptor.accept(w.desk.submission(3))
            await until(lambda: worker.metrics.sealed > sealed)
            stop.set()
            await working

    run(check())


def test_an_error_that_nobody_expected_ends_the_worker_and_is_raised(database: PgDatabase) -> None:
    async def check() -> None:
        async def broken() -> bool:
            raise LookupError("a fault of ours")

        async with line(database) as w:
            with pytest.raises(LookupError):
                await asyncio.wait_for(worker_with(w, broken).run(asyncio.Event()), 15)

    run(check())
