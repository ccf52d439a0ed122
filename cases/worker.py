"""The room's loops in the worker process: one of each at a time, and their troubles shown.

Each holds an advisory lock on a connection of its own and stops when that connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod

import asyncpg

from cases import keeping_repository as rows
from cases.carrying import ActSender
from cases.carrying_repository import CHANNEL
from cases.keeping import Keeper
from chain.outbox import CHANNEL_DONE
from evidence.ports import Clock, system_clock
from protocol.errors import CaseledgerError
from storage.db import TRANSIENT, Pool, unavailable
from storage.lease import lease

log = logging.getLogger(__name__)

_LOCK_SPACE = 0x6361  # "ca": first key of the two-key advisory locks of this room
_KEEPING, _CARRYING = 1, 2
LOOK_AGAIN = 0.2
ROUND = 1.0
RETRY_LIMIT = 30.0
"""Seconds between rounds; failures double the wait up to the limit."""


class LeasedWorker(ABC):
    """Rounds for as long as this process has the lock."""

    def __init__(self, pool: Pool, lock: int, pace: float) -> None:
        """`lock`: second key; one for each loop of the room. `pace`: seconds between rounds."""
        self.holds_lease = False
        self.trouble: str | None = None
        self._pool = pool
        self._lock = lock
        self._pace = pace

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; waits for the lock while another process has it."""
        while not stop.is_set():
            try:
                async with lease(self._pool, _LOCK_SPACE, self._lock) as lost:
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
            if await self._round():
                wait = self._pace
                await self._rest(stop)
            else:
                wait = min(2 * wait, RETRY_LIMIT)
                await _pause(stop, wait)

    async def _round(self) -> bool:
        try:
            await self._work()
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
            log.warning("%s: %s: %s", type(self).__name__, error.code, error.detail)
        self.trouble = error.code

    async def _rest(self, stop: asyncio.Event) -> None:
        """What lies between two good rounds."""
        await _pause(stop, self._pace)

    @abstractmethod
    async def _work(self) -> None:
        """A round. Raises faults of the chain and of the database."""


class KeeperWorker(LeasedWorker):
    """Rounds of the keeper."""

    def __init__(
        self, pool: Pool, keeper: Keeper, *, clock: Clock = system_clock, pace: float = ROUND
    ) -> None:
        super().__init__(pool, _KEEPING, pace)
        self._keeper = keeper
        self._clock = clock

    async def _work(self) -> None:
        moment = await self._keeper.run_once()
        await rows.looked(self._pool, moment, self._clock())

    async def _note(self, error: CaseledgerError) -> None:
        await super()._note(error)
        with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
            await rows.troubled(self._pool, error, self._clock())


class SenderWorker(LeasedWorker):
    """Rounds of the sender of acts, begun by each act that comes and each transaction that ends."""

    def __init__(self, pool: Pool, sender: ActSender, *, pace: float = ROUND) -> None:
        super().__init__(pool, _CARRYING, pace)
        self._sender = sender
        self._wake = asyncio.Event()
        self._busy = False

    async def _rounds(self, stop: asyncio.Event, lost: asyncio.Event) -> None:
        async with self._pool.acquire() as conn:
            for channel in (CHANNEL, CHANNEL_DONE):
                await conn.add_listener(channel, self._woken)
            try:
                await super()._rounds(stop, lost)
            finally:
                for channel in (CHANNEL, CHANNEL_DONE):
                    with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
                        await conn.remove_listener(channel, self._woken)

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _work(self) -> None:
        self._wake.clear()
        self._busy = await self._sender.run_once()

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until woken. The index, which nobody announces, is asked again soon."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._wake)]
        seconds = min(self._pace, LOOK_AGAIN) if self._busy else self._pace
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
