"""The whole synthetic month on the development chain, and its slice on four validators."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.month.__main__ import CASES, SEED, SLICE
from benchmarks.month.bft_run import live_slice
from benchmarks.month.cast import BANKS, COURT_TEAMS, MEDIATORS
from benchmarks.month.checks import check
from benchmarks.month.run import follow, month_of_run, open_month
from chain.networks.cometbft import CometNetwork
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_month_of_the_centre_is_lived_through_and_audited(home: Path) -> None:
    try:
        anvil_binary()
    except NetworkToolMissing:
        pytest.skip("anvil is not installed (npm ci)")
    made = open_month(home, SEED, CASES)
    try:
        follow(made, lambda progress: None)
        month = month_of_run(made)
        audit = check(month, made.run.wire)
        assert len(audit.invariants) == 8
        assert audit.cases == audit.opened == CASES == 19_000
        owners = {batch.owner for batch in month.batches}
        leads = [life.plan.lead for life in month.lives.values()]
        assert len(owners) == BANKS == 40
        assert len({lead.court for lead in leads}) == COURT_TEAMS == 5
        assert len({(lead.mediation, lead.mediator) for lead in leads}) == MEDIATORS == 60
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.chain
@pytest.mark.timeout(7200)
def test_a_slice_of_it_on_four_validators_under_the_test_clock(network4: CometNetwork, home: Path) -> None:
    run, audit = live_slice(network4, home, SEED, SLICE, lambda run: None)
    assert len(audit.invariants) == 8
    assert audit.cases == SLICE == 500
    assert run.too_late < SLICE // 10
