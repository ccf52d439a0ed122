"""Reminders, marks and lapses: once each, never before their time, and nothing of what is moot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.keeping import MOST_ATTEMPTS, MOST_REFUSALS, ON_THE_WAY, PATIENCE
from cases.keeping_repository import report, ticked
from cases.keeping_rules import OVERDUE, PERCENTS, Clocked, Ticked, remind_at, watch_of
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from chain.bindings import CASE_LEDGER, interface
from chain.case_acts import mark_overdue
from chain.errors import ContractReverted, contract_error_class
from tests.conftest import PgDatabase
from tests.support.case_histories import lives
from tests.support.keeping import CONTRACTS, Keeping, T, add_change, keeping

pytestmark = pytest.mark.database
MEDIATION_EXPIRES = LIFECYCLE_V1.transition("mediation-expires").id


def with_keeper(pg: PgDatabase, check: Callable[[Keeping], Awaitable[None]], **options: object) -> None:
    async def inner() -> None:
        async with keeping(pg, **options) as k:  # type: ignore[arg-type]
            await check(k)

    asyncio.run(asyncio.wait_for(inner(), 60))


def refusal(name: str, **values: int) -> ContractReverted:
    return contract_error_class(name)(values=values)


def test_each_reminder_comes_in_its_second_and_once(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        await k.case(1, T + 100)
        for time, wanted in ((49, []), (50, [50]), (79, [50]), (80, [50, 80]), (99, [50, 80]),
                             (100, [50, 80, 100]), (10_000, [50, 80, 100])):  # fmt: skip
            await k.round(T + time)
            await k.round()
            assert [percent for _, _, percent in await k.reminders()] == wanted, time

    with_keeper(database, check)


def test_after_an_absence_all_that_is_due_is_made_in_the_order_of_its_time(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        await k.case(1, T + 100)
        await k.case(2, T + 200)
        await k.round(T + 170)
        assert await k.reminders() == [(1, 2, 50), (1, 2, 80), (1, 2, 100), (2, 2, 50), (2, 2, 80)]
        rows = await k.pool.fetch("SELECT position, due_at, made_at FROM cases.reminder ORDER BY position")
        assert [row["position"] for row in rows] == [1, 2, 3, 4, 5]
        assert [row["due_at"] - T for row in rows] == sorted(row["due_at"] - T for row in rows)
        assert {row["made_at"] for row in rows} == {T + 170}

    with_keeper(database, check)


def test_a_pause_makes_moot_what_was_said_and_drops_what_was_to_come(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100)
        await add_change(k, case, "moved", T, deadline=T + 100)
        await k.round(T + 60)
        await add_change(k, case, "paused", T + 70, version=3, open_holds=1)
        await k.set(case, version=3, deadline=None, open_holds=1)
        await k.round(T + 500)
        assert await k.reminders() == []
        assert await k.reminders(moot=True) == [(1, 2, 50)]
        # Seventy of a hundred seconds had run: half is over at once, four fifths ten seconds later.
        await add_change(k, case, "resumed", T + 1000, version=4, deadline=T + 1030)
        await k.set(case, version=4, deadline=T + 1030, open_holds=0)
        for time, wanted in ((1000, [50]), (1009, [50]), (1010, [50, 80]), (1030, [50, 80, 100])):
            await k.round(T + time)
            assert await k.reminders() == [(1, 4, percent) for percent in wanted], time

    with_keeper(database, check)


def test_a_longer_deadline_has_reminders_of_its_own(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100)
        await add_change(k, case, "moved", T, deadline=T + 100)
        await k.round(T + 85)
        await add_change(k, case, "moved", T + 90, version=3, deadline=T + 200)
        await k.set(case, version=3, deadline=T + 200)
        await k.round(T + 99)
        assert await k.reminders() == []
        await k.round(T + 100)
        assert await k.reminders() == [(1, 3, 50)]
        assert await k.reminders(moot=True) == [(1, 2, 50), (1, 2, 80)]

    with_keeper(database, check)


def test_a_case_that_comes_to_life_under_the_same_clock_is_not_reminded_of_again(
    database: PgDatabase,
) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100, version=0, stage=int(StageCode.IMPORTED))
        await k.round(T + 101)
        await add_change(k, case, "opened", T + 110, version=1, deadline=T + 100, stage=1)
        await add_change(k, case, "overdue", T + 110, version=1, deadline=T + 100, stage=1, marked=True)
        await k.set(case, version=1, marked=True)
        await k.round(T + 120)
        assert await k.reminders() == [(1, 1, 50), (1, 1, 80), (1, 1, 100)]
        assert await k.reminders(moot=True) == []

    with_keeper(database, check)


def test_a_provisional_deadline_is_reminded_of_and_never_said_to_have_passed(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100, provisional=True)
        k.tray.refuse = refusal("CalendarYearUnknown", year=2028)
        for _ in range(3 * MOST_REFUSALS):
            await k.round(k.clock.time + PATIENCE)
        assert await k.reminders() == [(1, 2, 50), (1, 2, 80)]
        assert k.tray.given == []
        assert (await report(k.pool)).given_up == 0
        # Governance set the year, and the contract names the deadline: the last second in time is not late.
        exact = k.clock.time + 2 * PATIENCE
        k.tray.refuse = refusal("CaseNotOverdue", deadline=exact)
        await k.round(k.clock.time + PATIENCE)
        k.tray.refuse = None
        await k.round(exact)
        assert k.tray.given == []
        await k.round(exact + 1)
        assert len(k.tray.given) == 1
        await k.fate("mined")
        await k.set(case, marked=True)
        await k.round()
        assert await k.reminders() == [(1, 2, 50), (1, 2, 80), (1, 2, 100)]

    with_keeper(database, check)


def test_a_mark_is_sent_a_second_after_the_deadline_and_once(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100)
        await k.round(T + 100)
        assert k.tray.given == []
        for _ in range(3):
            await k.round(T + 101)
        ((key, data),) = k.tray.given
        assert key == f"overdue:{case.hex()}:2:{T + 100}:1"
        assert data == mark_overdue(case, CONTRACTS).data
        # Looked at again while it is on its way: nothing is sent beside it.
        await k.set(case, policy=2)
        await k.round(T + 9_000)
        assert len(k.tray.given) == 1
        await k.fate("mined")
        await k.round(T + 10_000)
        await k.set(case, marked=True)
        await k.round(T + 20_000)
        assert len(k.tray.given) == 1

    with_keeper(database, check)


def test_a_stage_with_a_lapse_lapses_and_is_not_marked(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100, stage=int(StageCode.MEDIATING), version=4)
        await k.round(T + 100)
        assert k.tray.given == []
        await k.round(T + 101)
        ((key, data),) = k.tray.given
        assert key == f"lapse:{MEDIATION_EXPIRES}:{case.hex()}:4:{T + 100}:1"
        assert data == interface(CASE_LEDGER).function("lapse").encode(case, 4, MEDIATION_EXPIRES)

    with_keeper(database, check)


def test_no_lapse_goes_into_a_court_stage_whatever_the_table_says(database: PgDatabase) -> None:
    step = replace(LIFECYCLE_V1.transitions[MEDIATION_EXPIRES], target=int(StageCode.FILED))
    life = replace(LIFECYCLE_V1, transitions={**LIFECYCLE_V1.transitions, MEDIATION_EXPIRES: step})

    async def check(k: Keeping) -> None:
        await k.case(1, T + 100, stage=int(StageCode.MEDIATING), version=4)
        await k.round(T + 101)
        assert [key.split(":")[0] for key, _ in k.tray.given] == ["overdue"]

    with_keeper(database, check, life=life)


def test_nothing_lapses_unless_the_policy_says_so(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        await k.case(1, T + 100, stage=int(StageCode.MEDIATING), policy=9)
        for number, stage in enumerate(LIFECYCLE_V1.stages.values(), 2):
            if stage.clock and not any(step.lapse for step in LIFECYCLE_V1.leaving(stage.code)):
                await k.case(number, T + 100, stage=stage.code)
        for _ in range(4):
            await k.round(T + 101)
            await k.fate("mined")
        assert {key.split(":")[0] for key, _ in k.tray.given} == {"overdue"}
        assert len(k.tray.given) == sum(stage.clock is not None for stage in LIFECYCLE_V1.stages.values()) - 1

    with_keeper(database, check)


def test_a_refusal_is_asked_again_ever_later_and_given_up_until_the_case_changes(
    database: PgDatabase,
) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100)
        k.tray.refuse = refusal("CaseIsMarked")
        for _ in range(100):
            await k.round(k.clock.time + 3600)
        assert k.keeper.metrics.refused == MOST_REFUSALS
        found = await report(k.pool)
        assert (found.given_up, found.due) == (1, None)
        k.tray.refuse = None
        await k.set(case, version=3, deadline=T + 200)
        await k.round()
        assert len(k.tray.given) == 1

    with_keeper(database, check)


@pytest.mark.parametrize("state", ["reverted", "failed", "vanished"])
def test_a_transaction_that_failed_is_repeated_a_few_times_each_under_its_own_name(
    database: PgDatabase, state: str
) -> None:
    async def check(k: Keeping) -> None:
        await k.case(1, T + 100)
        await k.round(T + 101)
        for turn in range(1, 8):
            # While its fate is open nothing more is sent.
            await k.round(k.clock.time + 10**6)
            assert len(k.tray.given) == min(turn, MOST_ATTEMPTS)
            await k.fate(state, "CaseOnHold")
            await k.round()
            await k.round(k.clock.time + 10**6)
        assert [key.rsplit(":", 1)[1] for key, _ in k.tray.given] == ["1", "2", "3"]
        assert (await report(k.pool)).given_up == 1

    with_keeper(database, check)


def test_a_recalled_batch_leaves_nothing_to_do(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100, version=0, stage=1)
        await k.round(T + 60)
        await k.set(case, listed=False)
        await k.round(T + 10_000)
        assert await k.reminders(moot=True) == [(1, 1, 50)]
        assert await k.reminders() == []
        assert await k.pool.fetchval("SELECT count(*) FROM cases.watch") == 0
        assert k.tray.given == []

    with_keeper(database, check)


def test_what_a_reorganisation_brings_back_is_handed_out_once_more_under_the_same_id(
    database: PgDatabase,
) -> None:
    async def check(k: Keeping) -> None:
        case = await k.case(1, T + 100)
        await k.round(T + 60)
        (before,) = await k.pool.fetch("SELECT * FROM cases.reminder")
        await k.set(case, version=3, deadline=T + 300)
        await k.round(T + 61)
        await k.set(case, version=2, deadline=T + 100)
        await k.round(T + 62)
        (after,) = await k.pool.fetch("SELECT * FROM cases.reminder")
        assert after["reminder_id"] == before["reminder_id"]
        assert after["moot_at"] is None
        assert after["position"] > before["position"]

    with_keeper(database, check)


def test_only_so_many_transactions_are_on_their_way_at_a_time(database: PgDatabase) -> None:
    async def check(k: Keeping) -> None:
        for number in range(1, ON_THE_WAY + 11):
            await k.case(number, T + 100)
        for _ in range(3):
            await k.round(T + 101)
        assert len(k.tray.given) == ON_THE_WAY
        await k.fate("mined")
        await k.round()
        assert len({key for key, _ in k.tray.given}) == len(k.tray.given) == ON_THE_WAY + 10

    with_keeper(database, check)


def test_two_keepers_at_once_still_do_each_thing_once(database: PgDatabase) -> None:
    """The lock fails when its connection dies: then two may run for a moment."""

    async def check(k: Keeping) -> None:
        for number in range(1, 31):
            await k.case(number, T + 100)

        async def rounds() -> None:
            for time in range(40, 120, 4):
                k.clock.time = max(k.clock.time, T + time)
                await k.keeper.run_once()

        await asyncio.gather(*(rounds() for _ in range(3)))
        reminders = await k.reminders()
        assert len(reminders) == len(set(reminders)) == 90
        assert len(k.tray.given) == len({key for key, _ in k.tray.given}) == 30

    with_keeper(database, check)


def test_how_long_a_clock_has_run_follows_from_the_changes_of_any_life(database: PgDatabase) -> None:
    """Beside a plain second count: one second at a time would be the same, only slower."""

    async def check(k: Keeping) -> None:
        told = 0
        for number, case in enumerate(lives(5, 60, 60), 1):
            if not case.changes:
                continue
            case_id = await k.case(number, None, listed=False)
            for state, one in zip(case.states, case.changes, strict=True):
                await add_change(
                    k, case_id, one.kind, one.time, version=one.version, stage=one.stage, since=state.since,
                    clock_start=one.clock_start, deadline=one.deadline, open_holds=one.open_holds,
                )  # fmt: skip
            last = case.changes[-1]
            clocked = Clocked(
                case_id, 1, last.version, last.stage, last.clock_start, last.deadline, False, False
            )
            async with k.pool.acquire() as conn:
                found = (await ticked(conn, [clocked]))[case_id]
            seconds = 0
            for one, after in pairwise(case.changes):
                since = one.clock_start if one.kind == "opened" else one.time
                if one.clock_start == last.clock_start and one.deadline is not None:
                    seconds += max(0, min(after.time, one.deadline) - since)
            assert (found.seconds, found.until) == (seconds, last.time)
            told += seconds > 0
        assert told > 10

    with_keeper(database, check)


@given(
    started=st.integers(0, 10**6),
    seconds=st.integers(0, 10**8),
    until=st.integers(0, 10**8),
    ahead=st.integers(0, 10**8),
    stage=st.sampled_from([s.code for s in LIFECYCLE_V1.stages.values() if s.clock]),
    provisional=st.booleans(),
    marked=st.booleans(),
    made=st.sets(st.sampled_from(PERCENTS)),
)
def test_no_reminder_is_early_or_after_the_deadline_and_no_act_before_it_has_passed(
    started: int,
    seconds: int,
    until: int,
    ahead: int,
    stage: int,
    provisional: bool,
    marked: bool,
    made: set[int],
) -> None:
    deadline = until + ahead
    case = Clocked(bytes(32), 1, 3, stage, started, deadline, provisional, marked)
    found = watch_of(case, Ticked(seconds, until), LIFECYCLE_V1, made=made)
    assert found is not None
    ats = [remind_at(deadline, found.total, percent) for percent in PERCENTS]
    assert ats == sorted(ats)
    assert ats[-1] == deadline
    for percent, at in zip(PERCENTS, ats, strict=True):
        # In the second `at` this part has run, and in the second before not yet.
        ran = found.total - (deadline - at)
        assert 100 * ran >= percent * found.total
        assert 100 * (ran - 1) < percent * found.total
    assert found.percent not in made
    assert found.act_at is None or found.act_at == deadline + 1
    assert found.act != OVERDUE or not marked
    if provisional and not marked:
        assert found.percent != 100
