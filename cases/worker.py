"""The keeper's place in the worker process: one at a time, and its troubles shown.

It holds an advisory lock on a connection of its own and stops when that connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import asyncpg

from cases import keeping_repository as rows
from cases.keeping import Keeper
from evidence.ports import Clock, system_clock
from protocol.errors import CaseledgerError
from storage.db import TRANSIENT, Pool, unavailable
from storage.lease import lease

log = logging.getLogger(__name__)

_LOCK_SPACE = 0x6361  # "ca": first key of the two-key advisory locks of this room
_KEEPING = 1
ROUND = 1.0
RETRY_LIMIT = 30.0
"""Seconds between rounds; failures double the wait up to the limit."""


class KeeperWorker:
    """Rounds of the keeper for as long as this process has the lock."""

    def __init__(
        self, pool: Pool, keeper: Keeper, *, clock: Clock = system_clock, pace: float = ROUND
    ) -> None:
        self.holds_lease = False
        self.trouble: str | None = None
        self._pool = pool
        self._keeper = keeper
        self._clock = clock
        self._pace = pace

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; waits for the lock while another process has it."""
        while not stop.is_set():
            try:
                async with lease(self._pool, _LOCK_SPACE, _KEEPING) as lost:
                    if lost is not None:
                        self.holds_lease = True
                        await self._rounds(stop, lost)
            except TRANSIENT as error:
                self.trouble = unavailable(error).code
            finally:
                self.holds_lease = False
            await _pause(stop, self._pace)

    async def _rounds(self, stop: asyncio.Event, lost: asyncio.Event) -> None:
        wait = self._pace
        while not stop.is_set() and not lost.is_set():
            good = await self._round()
            wait = self._pace if good else min(2 * wait, RETRY_LIMIT)
            await _pause(stop, wait)

    async def _round(self) -> bool:
        try:
            moment = await self._keeper.run_once()
            await rows.looked(self._pool, moment, self._clock())
        except CaseledgerError as error:
            await self._note(error)
            return False
        except (*TRANSIENT, asyncpg.PostgresError) as error:
            await self._note(unavailable(error))
            return False
        self.trouble = None
        return True

    async def _note(self, error: CaseledgerError) -> None:
        if self.trouble != error.code:
            log.warning("keeper: %s: %s", error.code, error.detail)
        self.trouble = error.code
        with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
            await rows.troubled(self._pool, error, self._clock())


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
