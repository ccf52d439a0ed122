"""The lapses of the shipped policy on a chain whose blocks have the times that the test sets.

Dates are written down by hand from the notices on holidays; contract and Python have to come to them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from chain import case_acts
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from tests.support.case_court import case_id
from tests.support.dev_blocks import Blocks, dev_blocks, lapses, set_year_2027, when

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

LAPSES = lapses(LIFECYCLE_V1)
BEGIN = "2025-11-24T09:00:00"


async def lapse(b: Blocks, second: int, which: int, step: Transition) -> str | None:
    case = await b.made.case(case_id(which))
    call = case_acts.lapse(case_id(which), case["version"], step.id, b.made.contracts)
    return await b.at(second, b.made.contracts.ledger, call.data)


async def lapses_after(b: Blocks, which: int, step: Transition, last_day: str) -> None:
    """Refused in the last second of the day, taken in the next one, and then no more."""
    deadline = when(f"{last_day}T23:59:59")
    assert (await b.made.case(case_id(which)))["deadline"] == deadline
    assert await lapse(b, deadline - 1, which, step) == "CaseTooEarly"
    assert await lapse(b, deadline, which, step) == "CaseTooEarly"
    assert await lapse(b, deadline + 1, which, step) is None
    case = await b.made.case(case_id(which))
    assert case["stage"] == step.target
    assert not LIFECYCLE_V1.stages[step.target].court
    assert case["since"] == deadline + 1
    assert await lapse(b, deadline + 2, which, step) == "CaseTransitionIllegal"


def test_the_shipped_policy_lapses_where_the_law_says_so() -> None:
    assert {(StageCode(stage).name, step.name) for stage, step in LAPSES} == {
        ("MEDIATING", "mediation-expires"),
        ("PO_ISSUED", "order-not-served"),
    }


@pytest.mark.parametrize(("stage", "step"), LAPSES, ids=[step.name for _, step in LAPSES])
def test_every_lapse_waits_for_the_last_second_of_its_day(home: Path, stage: int, step: Transition) -> None:
    async def scenario() -> None:
        async with dev_blocks(home, BEGIN, 4, LIFECYCLE_V1) as b:
            # Thirty days from 2 December end on 1 January; 4 January is a Sunday, and worked.
            await b.reach(0, stage, when("2025-12-02T15:30:00"))
            await lapses_after(b, 0, step, "2026-01-04")
            # Into Spring Festival, 15 to 23 February.
            await b.reach(1, stage, when("2026-01-17T23:59:59"))
            assert await lapse(b, when("2026-02-17T00:00:00"), 1, step) == "CaseTooEarly"
            await lapses_after(b, 1, step, "2026-02-24")
            # Thirty days that do not count, from 10 March to 9 April, lead into the holiday of 1 to 5 May.
            await b.reach(2, stage, when("2026-03-02T00:00:00"))
            await held(b, 2, stage, step, when("2026-03-10T10:00:00"), when("2026-04-09T10:00:00"))
            await lapses_after(b, 2, step, "2026-05-06")
            # A year without a notice: nobody can say that time is over until there is one.
            await b.reach(3, stage, when("2026-12-07T12:00:00"))
            assert await lapse(b, when("2027-01-07T00:00:00"), 3, step) == "CalendarYearUnknown"
            await set_year_2027(b)
            assert await lapse(b, when("2027-01-11T23:59:59"), 3, step) == "CaseTooEarly"
            assert await lapse(b, when("2027-01-12T00:00:00"), 3, step) is None

    asyncio.run(scenario())


async def held(b: Blocks, which: int, stage: int, step: Transition, since: int, until: int) -> None:
    """A pause where the stage has one, else a step that is taken back: meanwhile nothing lapses."""
    inside = when("2026-04-03T00:00:00")
    if holds := LIFECYCLE_V1.stages[stage].holds:
        assert await b.stop(since, which, holds[-1]) is None
        assert await lapse(b, inside, which, step) == "CaseOnHold"
        assert await b.stop(until, which, holds[-1], again=True) is None
        return
    assert await b.stop(since - 1, which, 4) == "CaseHoldNotAllowed"
    away = next(one for one in LIFECYCLE_V1.leaving(stage) if not one.lapse)
    assert await b.move(since, which, away.name) is None
    assert await lapse(b, inside, which, step) == "CaseTransitionIllegal"
    assert await b.back(until, which) is None


def test_mediation_that_all_prolonged_lapses_thirty_days_later(home: Path) -> None:
    step = LIFECYCLE_V1.transition("mediation-expires")

    async def scenario() -> None:
        async with dev_blocks(home, BEGIN, 2, LIFECYCLE_V1) as b:
            await b.reach(0, StageCode.MEDIATING, when("2026-06-01T09:00:00"))
            await b.reach(1, StageCode.MEDIATING, when("2026-06-01T10:00:00"))
            assert await b.move(when("2026-07-01T23:59:59"), 0, "mediation-prolonged") is None
            assert await b.move(when("2026-07-02T00:00:00"), 1, "mediation-prolonged") == "CaseTooLate"
            assert await lapse(b, when("2026-07-02T00:00:01"), 0, step) == "CaseTooEarly"
            assert await lapse(b, when("2026-07-02T00:00:02"), 1, step) is None
            await lapses_after(b, 0, step, "2026-07-31")

    asyncio.run(scenario())
