"""One process at a time: an advisory lock on a connection of its own, and a sign when that is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from storage.db import TRANSIENT, Pool

UNLOCK_SECONDS = 5.0


@contextlib.asynccontextmanager
async def lease(pool: Pool, space: int, number: int) -> AsyncIterator[asyncio.Event | None]:
    """Hold the lock of two keys (int4 each); None when another process has it.

    The event is set when the connection is lost, and the lock with it.
    """
    lost = asyncio.Event()
    async with pool.acquire() as conn:
        if not await conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", space, number):
            yield None
            return
        conn.add_termination_listener(lambda _: lost.set())
        try:
            yield lost
        finally:
            if not conn.is_closed():
                with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
                    await conn.execute(
                        "SELECT pg_advisory_unlock($1, $2)", space, number, timeout=UNLOCK_SECONDS
                    )
