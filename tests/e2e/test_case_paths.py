"""Whole lives of cases on a real network, under the TEST CLOCK, each act by its organisation's key.

One validator in the usual suite, four in the slow one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from benchmarks.month.paths import PATHS
from cases.deadlines import Unit
from cases.lifecycle import When
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import CASE_LEDGER, interface
from chain.networks.cometbft import CometNetwork
from protocol.case_acts import Pause, Resume, Reverse
from tests.support.case_court import FOREVER, INDEX, ZERO, Court, case_id, court, move_of

LIFE = LIFECYCLE_V1.with_test_clock()
QUICK = (0, 2, 12, 30, 31)


async def walk(made: Court, which: int, path: Sequence[str], seen: set[tuple[int, str, int]]) -> None:
    """One life; every step is checked against what the lifecycle says."""
    previous: list[int] = []
    reached = 0
    for name in path:
        case = await made.case(case_id(which), reached)
        root, commitments, paths = made.batch
        alive = case["version"] != 0
        origin = (ZERO, 0, 0, ZERO, []) if alive else (root, which, 1, commitments[which], paths[which])
        version, stage = case["version"] or 1, case["stage"] or 1
        reached = version + 1
        domain = made.contracts.ledger_domain
        kind, _, argument = name.partition(":")
        if kind == "pause":
            pause = Pause(case_id(which), version, case["court"], int(argument), ZERO, FOREVER)
            await made.act(pause, "pause", domain, [case["court"]], origin)
            assert (await made.case(case_id(which), reached))["deadline"] == 0
            continue
        if kind == "resume":
            resume = Resume(case_id(which), version, case["court"], int(argument), ZERO, FOREVER)
            await made.act(resume, "resume", domain, [case["court"]])
            assert (await made.case(case_id(which), reached))["deadline"] >= case["since"]
            continue
        if kind == "reverse":
            other = next(org for org in (INDEX["centre"], INDEX["regulator"]) if org != previous[-1])
            back = Reverse(case_id(which), version, previous[-1], other, ZERO, FOREVER)
            await made.act(back, "reverse", domain, [previous[-1], other])
            continue
        step = LIFE.transition(name)
        assert stage in step.sources, f"{name} from {LIFE.stages[stage].name}"
        if step.when is When.AFTER:
            await passed(made, case["deadline"])
        if step.lapse:
            lapse = interface(CASE_LEDGER).function("lapse").encode(case_id(which), version, step.id)
            await made.send(made.contracts.ledger, lapse)
        else:
            _, move, actor = move_of(made, which, name, case)
            await made.send(made.contracts.ledger, move)
            previous.append(actor)
        now = await made.case(case_id(which), reached)
        assert now["stage"] == step.target, name
        assert now["version"] == version + 1
        seen.add((stage, name, step.target))


async def passed(made: Court, deadline: int) -> None:
    while (await made.evm.head()).time <= deadline:  # noqa: ASYNC110  (blocks are not events here)
        await asyncio.sleep(0.5)


def all_at_once(network: CometNetwork, which: Sequence[int], at_a_time: int) -> set[tuple[int, str, int]]:
    seen: set[tuple[int, str, int]] = set()

    async def scenario() -> None:
        async with court(network, len(which)) as made:
            places = asyncio.Semaphore(at_a_time)

            async def one(at: int, path: Sequence[str]) -> None:
                async with places:
                    await walk(made, at, path, seen)

            async with asyncio.TaskGroup() as group:
                for at, number in enumerate(which):
                    group.create_task(one(at, PATHS[number]))

    asyncio.run(scenario())
    return seen


@pytest.mark.chain
def test_cases_live_their_lives_under_the_test_clock(network1: CometNetwork) -> None:
    seen = all_at_once(network1, QUICK, at_a_time=len(QUICK))
    wanted_names = {name for number in QUICK for name in PATHS[number]} & _NAMES
    assert wanted_names == {name for _, name, _ in seen}


@pytest.mark.slow
@pytest.mark.chain
@pytest.mark.timeout(3600)
def test_every_stage_and_transition_is_lived_through(network4: CometNetwork) -> None:
    assert len(PATHS) >= 30
    seen = all_at_once(network4, range(len(PATHS)), at_a_time=6)
    assert {name for _, name, _ in seen} == _NAMES
    assert {stage for stage, _, _ in seen} | {target for _, _, target in seen} == set(LIFE.stages)


def test_the_paths_take_every_transition_and_both_clocks_are_told_apart() -> None:
    assert {name for path in PATHS for name in path if ":" not in name} - {"reverse"} == _NAMES
    assert LIFE.test_clock
    assert all(stage.clock is None or stage.clock.unit is Unit.SECONDS for stage in LIFE.stages.values())


_NAMES = {step.name for step in LIFE.transitions.values()}
