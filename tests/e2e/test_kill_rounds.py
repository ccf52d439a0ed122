"""kill -9 of gateway, worker, PostgreSQL and one of four validators, again and again, while agents submit.

`KILL_ROUNDS` sets the number of rounds of the long run (200); `KILL_HOME` names a home that is kept: a run
that was ended goes on there with the rounds that are missing.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from chain.networks.cometbft import CometNetwork
from tests.conftest import make_home
from tests.support.killing import POINTS, SHORT, VALIDATORS, VICTIMS, KillRounds, Strike, strikes_of
from tests.support.stack import wait_for

pytestmark = [pytest.mark.chain, pytest.mark.database]
HITS = 5
STOPPED_SECONDS = 120.0


def soak(home: Path, plan: Sequence[Sequence[Strike]]) -> KillRounds:
    rounds = KillRounds(home)
    rounds.stack.up(validators=VALIDATORS)
    rounds.all_back()
    with rounds.load():
        for strikes in plan[len(rounds.done()) :]:
            rounds.run(strikes)
    found = rounds.findings()
    print(rounds.table(found), flush=True)
    assert not found.wrong, found.wrong
    return rounds


def hits(rounds: KillRounds) -> Counter[str]:
    return Counter(strike.partition("@")[2] for strikes in rounds.done() for strike in strikes)


@pytest.fixture
def kept_home() -> Iterator[Path]:
    """The named home, which stays; or one of this test."""
    named = os.environ.get("KILL_HOME")
    if named is not None:
        Path(named).mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Path(named)
        return
    home = make_home()
    try:
        yield home
    finally:
        KillRounds(home).stack.reset()


def test_three_rounds_of_kill_lose_nothing(home: Path) -> None:
    rounds = soak(home, SHORT)
    assert set(hits(rounds)) >= set(POINTS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_rounds_of_kill_lose_nothing(kept_home: Path) -> None:
    count = int(os.environ.get("KILL_ROUNDS", "200"))
    rounds = soak(kept_home, [strikes_of(number) for number in range(count)])
    if count >= 200:
        assert all(hits(rounds)[point] >= HITS for point in POINTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_chain_stopped_for_two_minutes_under_load_loses_nothing(home: Path) -> None:
    rounds = KillRounds(home)
    rounds.stack.up(validators=VALIDATORS)
    network = CometNetwork.load(home)
    with rounds.load():
        services = [service.pid for service in rounds.stack.state().services]
        network.down()
        before, started = rounds.accepted(), time.monotonic()
        while time.monotonic() - started < STOPPED_SECONDS:
            last = rounds.accepted()
            time.sleep(STOPPED_SECONDS / 8)
            print(
                f"{time.monotonic() - started:5.0f} s without a chain: {rounds.accepted()} accepted",
                flush=True,
            )
            assert rounds.accepted() > last
        state = rounds.stack.state()
        assert not state.healthy
        assert state.evidence is not None
        log = state.evidence["evidence"]["logs"][0]
        assert log["troubles"]
        assert log["accepted"] > log["anchored"]
        stopped = rounds.accepted()
        network.up(wait=120)
        back = time.monotonic()

        def caught_up() -> bool:
            evidence = rounds.stack.state().evidence
            return evidence is not None and evidence["evidence"]["logs"][0]["proved"] >= stopped

        wait_for(caught_up, 120, 0.2)
        seconds = time.monotonic() - back
        print(f"{stopped - before} accepted meanwhile, proved {seconds:.1f} s after the chain was back")
        # By themselves: nobody started anything again.
        assert [service.pid for service in rounds.stack.state().services] == services
    found = rounds.findings()
    print(rounds.table(found), flush=True)
    assert not found.wrong, found.wrong


def test_long_plan_strikes_everything_and_hits_every_point_often_enough() -> None:
    plan = [strikes_of(number) for number in range(200)]
    strikes = [strike for one in plan for strike in one]
    assert {strike.victim for strike in strikes} == set(VICTIMS)
    assert all(sum(strike.point == point for strike in strikes) >= HITS for point in POINTS)
    assert plan == [strikes_of(number) for number in range(200)]
