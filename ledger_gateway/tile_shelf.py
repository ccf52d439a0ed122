"""Full hash tiles kept in memory: they never change, and whoever asks for one asks for the next.

A mirror that catches up reads a tree from left to right, so a miss reads a run of neighbours in one query.
A tile is kept for a minute and no longer: after `caseledger fsck --rebuild` the rebuilt one is served.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from evidence.logs import load_log
from evidence.tiles import TileKey, read_tiles
from protocol.hashing import HASH_LEN
from protocol.tilepath import TILE_WIDTH
from storage.db import Pool

RUN = 32
"""Tiles that one miss reads."""
KEPT = 1024
"""Tiles; 8 KiB each."""
KEEP_SECONDS = 60.0
FULL = TILE_WIDTH * HASH_LEN

_Place = tuple[int, TileKey]


class TileShelf:
    """Tiles of any log of this database, for many callers at once. Belongs to one event loop."""

    def __init__(self, pool: Pool, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._numbers: dict[bytes, int] = {}
        self._kept: OrderedDict[_Place, tuple[float, bytes]] = OrderedDict()
        self._reading: dict[_Place, asyncio.Future[dict[TileKey, bytes]]] = {}

    async def get(self, log_id: bytes, key: TileKey, width: int) -> bytes | None:
        """The first `width` hashes of a tile, None while it has fewer. Raises LogUnknown."""
        log_no = self._numbers.get(log_id)
        if log_no is None:
            async with self._pool.acquire() as conn:
                log_no = self._numbers[log_id] = (await load_log(conn, log_id)).log_no
        held = self._kept.get((log_no, key))
        if held is not None and self._monotonic() < held[0]:
            return held[1][: width * HASH_LEN]
        if width < TILE_WIDTH:
            async with self._pool.acquire() as conn:
                data = (await read_tiles(conn, log_no, [key])).get(key, b"")
        else:
            data = (await self._run(log_no, key)).get(key, b"")
        return data[: width * HASH_LEN] if len(data) >= width * HASH_LEN else None

    async def _run(self, log_no: int, key: TileKey) -> dict[TileKey, bytes]:
        """The tile and its neighbours; those who miss the same run wait for one reading of it."""
        algorithm, level, index = key
        first = index - index % RUN
        place = (log_no, (algorithm, level, first))
        reading = self._reading.get(place)
        if reading is None:
            keys = [(algorithm, level, first + offset) for offset in range(RUN)]
            reading = self._reading[place] = asyncio.ensure_future(self._read(log_no, keys))
            reading.add_done_callback(lambda done: self._was_read(place, done))
        return await asyncio.shield(reading)

    def _was_read(self, place: _Place, done: asyncio.Future[dict[TileKey, bytes]]) -> None:
        del self._reading[place]
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more

    async def _read(self, log_no: int, keys: list[TileKey]) -> dict[TileKey, bytes]:
        async with self._pool.acquire() as conn:
            found = await read_tiles(conn, log_no, keys)
        until = self._monotonic() + KEEP_SECONDS
        for key, data in found.items():
            if len(data) == FULL:
                self._kept[log_no, key] = (until, data)
                self._kept.move_to_end((log_no, key))
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found
