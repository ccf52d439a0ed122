"""Who looked at a case: each reading by an organisation, counted by day, for the person whose case it is.

A look at where a case stands is noted and written within a second, so that no reading waits for it; one at
the sealed row is on disk before the row is handed out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import asyncpg

from cases.calendar import day_of
from storage.db import TRANSIENT, Pool

log = logging.getLogger(__name__)

MOST_WAITING = 50_000
"""Different (case, day, organisation, kind) that may wait; whoever brings more writes first."""
_WRITE = """
    INSERT INTO cases.look (case_id, day, organisation, what, count, first_at, last_at)
    SELECT * FROM unnest($1::bytea[], $2::int[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[],
                         $7::bigint[])
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (case_id, day, organisation, what) DO UPDATE
    SET count = look.count + excluded.count, first_at = least(look.first_at, excluded.first_at),
        last_at = greatest(look.last_at, excluded.last_at)"""


class What(IntEnum):
    """What was looked at."""

    CASE = 1
    ROW = 2


@dataclass(frozen=True)
class Look:
    """How often an organisation looked on one day. Times in seconds UTC."""

    day: int
    organisation: int
    what: What
    count: int
    first_at: int
    last_at: int


_Key = tuple[bytes, int, int, int]


class Looks:
    """Notes looks and writes them together. `run` is the loop; `close` writes what is left."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[_Key, tuple[int, int, int]] = {}
        self._writing = asyncio.Lock()

    async def note(self, case_id: bytes, organisation: int, now: int) -> None:
        """A look at where a case stands."""
        if len(self._waiting) >= MOST_WAITING:
            await self.flush()
        key = (case_id, day_of(now), organisation, int(What.CASE))
        count, first, last = self._waiting.get(key, (0, now, now))
        self._waiting[key] = (count + 1, min(first, now), max(last, now))

    async def record_row(self, case_ids: Iterable[bytes], organisation: int, now: int) -> None:
        """A look at sealed rows, on disk when this returns: call it before the rows leave."""
        day = day_of(now)
        await self._write({(one, day, organisation, int(What.ROW)): (1, now, now) for one in set(case_ids)})

    async def flush(self) -> None:
        """Writes what waits. What cannot be written waits on."""
        async with self._writing:
            taken, self._waiting = self._waiting, {}
            try:
                await self._write(taken)
            except BaseException:
                for key, (count, first, last) in taken.items():
                    more, other_first, other_last = self._waiting.get(key, (0, first, last))
                    self._waiting[key] = (count + more, min(first, other_first), max(last, other_last))
                raise

    async def run(self, stop: asyncio.Event, *, every: float = 1.0) -> None:
        """Writes every second until `stop` is set; failures are logged and tried again."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await stop.wait()
            await self._try()
        await self._try()

    async def _try(self) -> None:
        try:
            await self.flush()
        except TRANSIENT as error:
            log.warning("looks: %s", type(error).__name__)

    async def of(self, case_id: bytes, most: int = 1000) -> list[Look]:
        """All looks at a case, newest day first, those that wait included."""
        with contextlib.suppress(*TRANSIENT, asyncpg.PostgresError):
            await self.flush()
        rows = await self._pool.fetch(
            """SELECT day, organisation, what, count, first_at, last_at FROM cases.look
               WHERE case_id = $1 ORDER BY day DESC, last_at DESC LIMIT $2""",
            case_id,
            most,
        )
        return [
            Look(r["day"], r["organisation"], What(r["what"]), r["count"], r["first_at"], r["last_at"])
            for r in rows
        ]

    async def _write(self, looks: dict[_Key, tuple[int, int, int]]) -> None:
        if not looks:
            return
        columns = list(zip(*((*key, *value) for key, value in looks.items()), strict=True))
        await self._pool.execute(_WRITE, *map(list, columns))
