"""The keeper on a chain with set block times: lapses, marks and reminders of the shipped policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cases.accounting import Outcome
from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from storage.db import migrate
from tests.conftest import PgDatabase
from tests.support.case_court import case_id
from tests.support.dev_blocks import dev_blocks, lapses, set_year_2027, when
from tests.support.kept_chain import Kept, kept

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

pytestmark = pytest.mark.database
LAPSES = lapses(LIFECYCLE_V1)
BEGIN = "2025-11-24T09:00:00"


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


def tell(pg: PgDatabase, home: Path, cases: int, story: Callable[[Kept], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with dev_blocks(home, BEGIN, cases, LIFECYCLE_V1) as blocks, kept(pg, blocks) as k:
            await story(k)

    asyncio.run(asyncio.wait_for(scenario(), 240))


async def lapses_by_itself(k: Kept, which: int, stage: int, step: Transition, last_day: str) -> None:
    """Nothing while the last final block is of the last second; with the next one a lapse is sent."""
    deadline = when(f"{last_day}T23:59:59")
    before = len(await k.acts())
    for second in (deadline - 1, deadline, deadline + 1):
        assert await k.round(second) == 0
    assert (await k.blocks.made.case(case_id(which)))["stage"] == stage
    assert await k.round(deadline + 2) == 1
    await k.rounds(deadline + 3)
    case = await k.blocks.made.case(case_id(which))
    assert (case["stage"], case["since"]) == (step.target, deadline + 3)
    assert (await k.acts())[before:] == [("lapse", "mined")]
    row = await k.pool.fetchrow("SELECT stage, watched FROM cases.case WHERE case_id = $1", case_id(which))
    assert row is not None
    assert (row["stage"], row["watched"]) == (step.target, True)


@pytest.mark.parametrize(("stage", "step"), LAPSES, ids=[step.name for _, step in LAPSES])
def test_every_lapse_of_the_shipped_policy_comes_by_itself(
    database: PgDatabase, home: Path, stage: int, step: Transition
) -> None:
    async def story(k: Kept) -> None:
        b = k.blocks
        await b.reach(0, stage, when("2025-12-02T15:30:00"))
        # The other cases wait in their first stage; their marks are for another test.
        await k.follow()
        await k.pool.execute("UPDATE cases.case SET listed = false WHERE version = 0")
        await lapses_by_itself(k, 0, stage, step, "2026-01-04")
        await b.reach(1, stage, when("2026-01-17T23:59:59"))
        await k.follow()
        await k.pool.execute("UPDATE cases.case SET listed = false WHERE case_id = $1", case_id(0))
        await lapses_by_itself(k, 1, stage, step, "2026-02-24")

    tell(database, home, 3, story)


def test_a_lapse_waits_while_a_pause_is_open_and_for_a_year_without_notice(
    database: PgDatabase, home: Path
) -> None:
    stage, step = StageCode.MEDIATING, LIFECYCLE_V1.transition("mediation-expires")
    hold = LIFECYCLE_V1.stages[stage].holds[-1]

    async def story(k: Kept) -> None:
        b = k.blocks
        await b.reach(0, stage, when("2026-11-02T00:00:00"))
        await b.stop(when("2026-11-10T10:00:00"), 0, hold)
        await k.rounds(when("2026-12-03T00:00:00"))
        assert await k.acts() == []
        await b.stop(when("2026-12-15T10:00:00"), 0, hold, again=True)
        # Thirty-five days later: 6 January 2027, of which nobody knows yet whether it is a holiday.
        await k.rounds(when("2027-01-07T00:00:00"))
        assert await k.acts() == []
        row = await k.pool.fetchrow("SELECT * FROM cases.watch WHERE case_id = $1", case_id(0))
        assert row is not None
        assert (row["provisional"], row["code"]) == (True, "CalendarYearUnknown")
        await set_year_2027(b)
        # Now the contract names the second, 11 January 23:59:59, and the keeper waits for it.
        await k.rounds(when("2027-01-11T12:00:00"))
        assert await k.pool.fetchval("SELECT act_at FROM cases.watch") == when("2027-01-12T00:00:00")
        await k.rounds(when("2027-01-11T23:59:55"))
        assert await k.acts() == []
        await k.rounds(when("2027-01-12T00:00:00"), 7)
        assert (await b.made.case(case_id(0)))["stage"] == step.target
        assert await k.acts() == [("lapse", "mined")]

    tell(database, home, 1, story)


def test_a_pause_that_comes_first_makes_the_lapse_a_refusal_and_nothing_is_tried_for_ever(
    database: PgDatabase, home: Path
) -> None:
    stage = StageCode.MEDIATING
    hold = LIFECYCLE_V1.stages[stage].holds[-1]

    async def story(k: Kept) -> None:
        b = k.blocks
        await b.reach(0, stage, when("2026-03-02T09:00:00"))
        deadline = when("2026-04-01T23:59:59")
        await b.mine(deadline + 1)
        await b.mine(deadline + 2)
        await k.follow()
        await k.keeper.run_once()
        # The transaction is in the outbox, and a pause is in the chain before it leaves.
        await b.stop(deadline + 3, 0, hold)
        await k.rounds(deadline + 4, 9)
        assert await k.acts() == [("lapse", "failed")]
        code = await k.pool.fetchval("SELECT code FROM cases.timed_act")
        assert code == "CaseVersionStale"
        # Passed before the pause: once that ends the time is still over, and the lapse comes.
        await b.stop(deadline + 86_400, 0, hold, again=True)
        await k.rounds(deadline + 86_401, 7)
        assert await k.acts() == [("lapse", "failed"), ("lapse", "mined")]

    tell(database, home, 1, story)


def test_cases_that_never_moved_are_marked_once_and_every_deadline_is_accounted_for(
    database: PgDatabase, home: Path
) -> None:
    async def story(k: Kept) -> None:
        b = k.blocks
        imported = await k.blocks.made.evm.head()
        await b.reach(0, StageCode.ADMITTED, imported.time + 100)
        await k.follow()
        first = await k.pool.fetchval("SELECT deadline FROM cases.case WHERE case_id = $1", case_id(1))
        await k.rounds(first - 1, 3)
        assert await k.acts() == []
        await k.rounds(first + 2)
        await k.rounds(first + 90_000)
        await k.rounds(first + 200_000)
        assert {act for act, _ in await k.acts()} == {"overdue"}
        for which in range(3):
            case = await b.made.case(case_id(which))
            assert (case["version"], case["flags"] & 1) == (2 if which == 0 else 1, 1)
        assert await k.pool.fetchval("SELECT count(*) FROM cases.change WHERE kind = 'overdue'") == 3
        found = await k.account()
        assert found.counts == {Outcome.MET: 1, Outcome.OVERDUE: 3}
        assert all(ran.marked for ran in found.deadlines if ran.outcome is Outcome.OVERDUE)
        percents = await k.pool.fetch(
            "SELECT case_id, version, percent FROM cases.reminder WHERE moot_at IS NULL"
        )
        assert len(percents) == len(set(map(tuple, percents))) == 9

    tell(database, home, 3, story)
