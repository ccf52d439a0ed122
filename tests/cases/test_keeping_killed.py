"""SIGKILL at every named point, a hundred deadlines: each reminder, mark and lapse exactly once."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from cases.accounting import Outcome
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from tests.conftest import PgDatabase
from tests.support.case_court import case_id
from tests.support.dev_blocks import Blocks, dev_blocks, when
from tests.support.kept_chain import LANE, Kept, kept

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

pytestmark = pytest.mark.database
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Size:
    """Cases; of them admitted, and in mediation, where a lapse comes. The rest never moves."""

    cases: int
    moved: int
    mediated: int


@dataclass
class Victim:
    """The loops' process, ended at one point after the other."""

    home: Path
    pg: PgDatabase
    blocks: Blocks
    points: list[str] = field(default_factory=list)
    module: str = "tests.cases.keeping_process"
    process: subprocess.Popen[bytes] | None = None

    def start(self, point: str | None, count: int = 1) -> None:
        plan = {
            "point": point, "count": count, "dsn": self.pg.dsn("sealer"),
            "rpc": self.blocks.made.network.rpc_urls,
            "relayer": str(self.blocks.made.network.home / "keys" / f"{LANE}.key"),
        }  # fmt: skip
        (self.home / "plan.json").write_text(json.dumps(plan))
        with (self.home / "loops.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, str(self.home / "plan.json")],
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def ended(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code in (None, -signal.SIGKILL), (self.home / "loops.log").read_text()[-3000:]
        return code is not None

    async def killed_at(self, point: str, count: int = 1, seconds: float = 60) -> None:
        """Run until it has ended itself there; blocks go on."""
        self.start(point, count)
        async with asyncio.timeout(seconds):
            while not self.ended():
                await self.block()
        self.points.append(point)
        print(point, time.monotonic(), flush=True)

    async def block(self) -> None:
        """One more second of chain time."""
        head = await self.blocks.made.evm.head()
        await self.blocks.mine(head.time + 1)
        await asyncio.sleep(0.1)

    async def until(self, query: str, seconds: float = 120) -> None:
        """Run without a fault until this holds in the database."""
        self.start(None)
        conn = await asyncpg.connect(self.pg.superuser_dsn)
        try:
            async with asyncio.timeout(seconds):
                while not await conn.fetchval(query):
                    assert not self.ended()
                    await self.block()
        finally:
            await conn.close()
            await self.stop()

    async def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)


@asynccontextmanager
async def victim(pg: PgDatabase, home: Path, size: Size) -> AsyncIterator[tuple[Victim, Kept]]:
    begin = "2026-03-02T09:00:00"
    async with dev_blocks(home, begin, size.cases, LIFECYCLE_V1) as blocks, kept(pg, blocks) as k:
        folder = home / "loops"
        folder.mkdir()
        blocks.made.record.save(folder)
        v = Victim(folder, pg, blocks)
        try:
            yield v, k
        finally:
            if v.process is not None and v.process.poll() is None:
                v.process.kill()
                v.process.wait()


async def moved(b: Blocks, size: Size) -> None:
    """Some cases get further, each under a clock of its own."""
    second = (await b.made.evm.head()).time + 60
    for which in range(size.moved):
        await b.reach(which, StageCode.ADMITTED, second)
        second += 600
    for which in range(size.moved, size.moved + size.mediated):
        await b.reach(which, StageCode.MEDIATING, second)
        second += 600


def whatever_is_killed(database: PgDatabase, home: Path, size: Size, turns: int) -> None:
    """One process after the other, each ended at its point; at last one that is not."""

    async def scenario() -> None:
        async with victim(database, home, size) as (v, k):
            await moved(v.blocks, size)
            # What the cases are is learnt under fire, and what is due at half time said.
            for turn in range(1, turns + 1):
                await v.killed_at("keep.watching", turn)
                await v.killed_at("keep.watched", turn)
            await v.blocks.mine(when("2026-03-03T18:00:00"))
            for turn in range(1, turns + 1):
                await v.killed_at("remind.made", turn)
                await v.killed_at("remind.committed", turn)
            # Two working days are over for those that never moved, then for those that were admitted.
            await v.blocks.mine(when("2026-03-04T23:59:59"))
            for turn in range(1, turns + 1):
                for point in ("keep.sending", "keep.sent", "keep.settled"):
                    await v.killed_at(point, 2 * turn)
            await v.until(_ALL.format("overdue", size.cases - size.mediated))
            await v.blocks.mine(when("2026-04-01T23:59:59"))
            for point in ("remind.made", "keep.sending", "keep.sent", "keep.settled")[:: 3 - turns]:
                await v.killed_at(point)
            await v.until(_ALL.format("lapsed", size.mediated))
            await k.follow()
            await once_each(k, size)
            marks = Counter((v.home / "marks").read_text().split())
            assert marks == Counter(v.points)
            assert set(marks) == set(POINTS)
            print(dict(marks))

    asyncio.run(asyncio.wait_for(scenario(), 1700))


@pytest.mark.timeout(900)
def test_each_reminder_mark_and_lapse_exactly_once_whatever_is_killed(
    database: PgDatabase, home: Path
) -> None:
    whatever_is_killed(database, home, Size(24, 4, 4), 1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_deadlines_each_point_twice(database: PgDatabase, home: Path) -> None:
    whatever_is_killed(database, home, Size(100, 12, 8), 2)


POINTS = (
    "keep.watching", "keep.watched", "remind.made", "remind.committed", "keep.sending", "keep.sent",
    "keep.settled",
)  # fmt: skip
_ALL = """SELECT (SELECT count(*) FROM cases.change WHERE kind = '{}') >= {}
    AND NOT EXISTS (SELECT FROM cases.timed_act WHERE state IS NULL)"""


async def once_each(k: Kept, size: Size) -> None:
    """By the chain, and by what is stored."""
    rows = await k.pool.fetch("SELECT case_id, kind FROM cases.change WHERE kind IN ('overdue', 'lapsed')")
    told = Counter((bytes(row["case_id"]), row["kind"]) for row in rows)
    marked = [case_id(at) for at in range(size.cases) if not size.moved <= at < size.moved + size.mediated]
    lapsed = [case_id(at) for at in range(size.moved, size.moved + size.mediated)]
    assert told == Counter([(one, "overdue") for one in marked] + [(one, "lapsed") for one in lapsed])
    acts = await k.pool.fetch("SELECT case_id, act, attempt, state FROM cases.timed_act")
    assert sorted((row["attempt"], row["state"]) for row in acts) == [(1, "mined")] * size.cases
    sent = await k.pool.fetchval("SELECT count(*) FROM chain.outbox WHERE business_key NOT LIKE 'fill:%'")
    assert sent == size.cases
    reminders = await k.pool.fetch("SELECT * FROM cases.reminder ORDER BY position")
    assert [row["position"] for row in reminders] == list(range(1, len(reminders) + 1))
    each = Counter(
        (bytes(row["case_id"]), row["version"], row["deadline"], row["percent"]) for row in reminders
    )
    assert set(each.values()) == {1}
    whole = {(*clock, percent) for clock in await k.passed() for percent in (50, 80, 100)}
    assert len(whole) == 3 * size.cases
    assert whole <= set(each)
    found = await k.account()
    assert found.counts[Outcome.LAPSED] == size.mediated
    assert found.counts[Outcome.OVERDUE] == len(marked)
