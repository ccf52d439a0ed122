"""Whole lives of cases on a real network, under the TEST CLOCK, each act by its organisation's key.

One validator in the usual suite, four in the slow one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from cases.deadlines import Unit
from cases.lifecycle import When
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import CASE_LEDGER, interface
from chain.networks.cometbft import CometNetwork
from protocol.case_acts import Pause, Resume, Reverse
from tests.support.case_court import FOREVER, INDEX, ZERO, Court, case_id, court, move_of

LIFE = LIFECYCLE_V1.with_test_clock()
_MEDIATED = "admit offer-mediation mediation-starts"
_AGREED = f"{_MEDIATED} mediation-agreed"
_NOT_MEDIATED = "admit offer-mediation mediation-not-taken"
_ORDERED = f"{_NOT_MEDIATED} order-filed order-issued"
_FILED = "admit transfer filed"
_BREACHED = f"{_AGREED} agreement-performing breached"
_ENFORCED = "enforcement-filed enforcement-starts"
PATHS = tuple(
    path.split()
    for path in (
        "admit route-central settle settlement-binds performed close",
        "admit route-central settle settlement-dropped withdraw",
        f"{_AGREED} agreement-performed-at-once close reopen reject",
        f"{_MEDIATED} mediation-prolonged mediation-agreed agreement-performing performed close",
        f"{_BREACHED} cured performed close",
        f"{_BREACHED} transfer-after-breach fix-required transfer filed ordinary-track",
        f"{_BREACHED} confirmation-filed confirmed performed",
        f"{_BREACHED} offer-mediation mediation-not-taken withdraw",
        f"{_AGREED} confirmation-filed confirmation-prolonged confirmed {_ENFORCED} enforcement-closes",
        f"{_AGREED} confirmation-filed confirmation-rejected offer-mediation route-special route-central",
        f"{_AGREED} confirmation-filed confirmation-rejected transfer filing-refused refusal-final",
        f"{_MEDIATED} mediation-ends offer-mediation mediation-starts mediation-expires transfer",
        f"{_ORDERED} order-served order-effective {_ENFORCED} enforcement-round-ends enforcement-resumes "
        "enforcement-closes",
        f"{_ORDERED} order-served performed close",
        f"{_ORDERED} order-served order-ended suit-declined transfer",
        f"{_ORDERED} order-not-served suit-declined decline-closes",
        f"{_ORDERED} order-ended order-to-suit simple-track judged judgment-effective performed",
        f"{_NOT_MEDIATED} order-filed order-refused transfer",
        "admit transfer filing-refused filed-on-appeal simple-track simple-prolonged to-ordinary "
        "ordinary-prolonged judged appealed remanded judged appealed appeal-mediated performed",
        f"{_FILED} small-track judged-small {_ENFORCED} enforcement-settled enforcement-resumes "
        "enforcement-closes",
        f"{_FILED} small-track small-prolonged small-to-simple mediated-in-court {_ENFORCED} "
        "enforcement-settled performed close",
        f"{_FILED} small-track to-ordinary suit-withdrawn withdraw reopen withdraw",
        f"{_FILED} suit-withdrawn decline-closes",
        f"{_FILED} suit-withdrawn transfer refer-police police-answers refer-prosecutor "
        "prosecutor-answers settle",
        f"{_FILED} simple-track judged appealed appeal-decided {_ENFORCED} enforcement-round-ends "
        "enforcement-closes",
        f"{_FILED} ordinary-track judged judgment-effective enforcement-filed enforcement-closes",
        f"{_FILED} refer-from-trial taken-over",
        "ask-completion admit route-special route-central refer-prosecutor taken-over",
        "ask-completion reject reopen ask-completion withdraw",
        "reject",
        f"{_FILED} small-track pause:3 resume:3 judged-small performed",
        f"{_FILED} reverse filed small-track pause:1 mediated-in-court performed",
        "withdraw reverse admit route-central reverse route-special transfer",
    )
)
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
