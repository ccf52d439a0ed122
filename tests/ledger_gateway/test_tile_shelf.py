"""Kept tiles are those of the database; a run of neighbours is read once, and a rebuilt one comes through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from evidence.errors import LogUnknown
from evidence.tiles import extend, read_tiles
from ledger_gateway import tile_shelf
from ledger_gateway.tile_shelf import KEEP_SECONDS, TileShelf
from protocol.hashing import HASH_LEN
from storage.db import migrate
from tests.conftest import PgDatabase
from tests.support.evidence import run
from tests.support.line import Line, line

pytestmark = pytest.mark.database
LEAVES = 1500


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


async def _filled(w: Line) -> None:
    await w.acceptor.accept(w.desk.submission(LEAVES))
    async with w.pool.acquire() as conn:
        await extend(conn, w.desk.log.log_no, LEAVES)


async def _stored(w: Line, algorithm: int, index: int) -> bytes:
    key = (algorithm, 0, index)
    async with w.pool.acquire() as conn:
        return (await read_tiles(conn, w.desk.log.log_no, [key]))[key]


def test_every_width_of_both_trees_is_what_is_stored(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await _filled(w)
            shelf, log_id = TileShelf(w.pool), w.desk.log.log_id
            for algorithm in (0, 1):
                for index in (0, 4, 5):
                    data = await _stored(w, algorithm, index)
                    for width in (256, 1, 200, 220, 221, 256):
                        wanted = data[: width * HASH_LEN] if len(data) >= width * HASH_LEN else None
                        assert await shelf.get(log_id, (algorithm, 0, index), width) == wanted
            assert await shelf.get(log_id, (0, 0, 6), 1) is None
            assert await shelf.get(log_id, (0, 7, 0), 256) is None
            with pytest.raises(LogUnknown):
                await shelf.get(bytes(32), (0, 0, 0), 1)

    run(scenario())


def test_a_run_is_read_once_and_a_rebuilt_tile_is_served_after_a_minute(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    async def counting(conn: Any, log_no: int, keys: Any) -> Any:
        read.append(len(keys))
        return await read_tiles(conn, log_no, keys)

    async def scenario() -> None:
        async with line(database) as w:
            await _filled(w)
            now = 0.0
            shelf, log_id = TileShelf(w.pool, monotonic=lambda: now), w.desk.log.log_id
            await asyncio.gather(*(shelf.get(log_id, (0, 0, index), 256) for index in range(5) for _ in "ab"))
            assert read == [tile_shelf.RUN]
            before = await shelf.get(log_id, (0, 0, 0), 256)
            await w.pool.execute(
                "UPDATE evidence.tile SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1)"
                " WHERE log_no = $1 AND level = 0 AND tile_index = 0 AND algorithm = 0",
                w.desk.log.log_no,
            )
            assert await shelf.get(log_id, (0, 0, 0), 256) == before
            now = KEEP_SECONDS
            assert await shelf.get(log_id, (0, 0, 0), 256) == await _stored(w, 0, 0) != before

    monkeypatch.setattr(tile_shelf, "read_tiles", counting)
    run(scenario())


def test_a_tile_that_grows_is_not_kept_while_it_does(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_shelf, "KEPT", 3)

    async def scenario() -> None:
        async with line(database) as w:
            await _filled(w)
            shelf, log_id = TileShelf(w.pool), w.desk.log.log_id
            assert await shelf.get(log_id, (1, 0, 5), 256) is None
            await w.acceptor.accept(w.desk.submission(100))
            async with w.pool.acquire() as conn:
                await extend(conn, w.desk.log.log_no, LEAVES + 100)
            assert await shelf.get(log_id, (1, 0, 5), 256) == await _stored(w, 1, 5)
            assert len(shelf._kept) == 3

    run(scenario())
