"""kill -9 of gateway, worker, PostgreSQL and one of four validators, again and again, while agents submit.

`KILL_ROUNDS` sets the number of rounds of the long run (200); `KILL_HOME` names a home that is kept: a run
that was ended goes on there with the rounds that are missing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import make_home
from tests.support.killing import POINTS, SHORT, VALIDATORS, VICTIMS, KillRounds, Strike, strikes_of

pytestmark = [pytest.mark.chain, pytest.mark.database]
HITS = 5


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


def test_long_plan_strikes_everything_and_hits_every_point_often_enough() -> None:
    plan = [strikes_of(number) for number in range(200)]
    strikes = [strike for one in plan for strike in one]
    assert {strike.victim for strike in strikes} == set(VICTIMS)
    assert all(sum(strike.point == point for strike in strikes) >= HITS for point in POINTS)
    assert plan == [strikes_of(number) for number in range(200)]
