"""SIGKILL at every named point of the sender: each act is carried once, and its fate is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from tests.cases.test_keeping_killed import Victim
from tests.conftest import PgDatabase
from tests.support.carried_chain import carried
from tests.support.case_court import case_id

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

pytestmark = pytest.mark.database
POINTS = ("carry.taking", "carry.taken", "carry.settling", "carry.settled")
EACH = 5
"""Acts that wait when the sender is begun again."""


@pytest.mark.timeout(400)
def test_each_act_is_carried_once_whatever_is_killed(database: PgDatabase, home: Path) -> None:
    cases = EACH * len(POINTS) + 1

    async def scenario() -> None:
        async with carried(database, home, cases) as c:
            folder = home / "loops"
            folder.mkdir()
            c.blocks.made.record.save(folder)
            victim = Victim(folder, database, c.blocks, module="tests.cases.carrying_process")
            try:
                ids = []
                for turn, point in enumerate(POINTS):
                    for which in range(turn * EACH, (turn + 1) * EACH):
                        ids.append(await c.hand_in(which, "ask-completion"))
                    await victim.killed_at(point)
                ids.append(await c.hand_in(cases - 1, "ask-completion"))
                await victim.until(
                    "SELECT count(*) = count(*) FILTER (WHERE state IS NOT NULL) FROM cases.carried"
                )
            finally:
                if victim.process is not None and victim.process.poll() is None:
                    victim.process.kill()
                    victim.process.wait()
            assert (folder / "marks").read_text().split() == list(POINTS)
            assert await c.fates(ids) == cases * [("mined", None)]
            rows = await c.kept.pool.fetch("SELECT case_id FROM cases.change WHERE kind = 'moved'")
            assert Counter(bytes(row["case_id"]) for row in rows) == {case_id(at): 1 for at in range(cases)}
            # Nothing was sent twice and refused either.
            sent = [int(kind.split()[1]) if " " in kind else 1 for kind in await c.sent()]
            assert sum(sent) == cases
            assert max(sent) > 1
            states = await c.kept.pool.fetch("SELECT DISTINCT state FROM chain.outbox")
            assert [row["state"] for row in states] == ["mined"]

    asyncio.run(asyncio.wait_for(scenario(), 300))
