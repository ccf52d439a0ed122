"""A small synthetic month on the development chain, audited from its node alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.month.checks import Audit, InvariantBroken, Month, check, totals_of
from benchmarks.month.run import AnotherMonth, MonthRun, follow, month_of_run, open_month
from cases.statistics import Query, View, canonical, report
from cases.statistics_sums import Trouble
from chain.cursor import EventsWithheld
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from cli.main import main
from tests.conftest import _remove, make_home
from tests.support.lying_proxy import Change, lying_proxy

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

SEED, CASES = 7, 300


@pytest.fixture(scope="module")
def run() -> Iterator[MonthRun]:
    """The month, lived through; its node still runs."""
    home = make_home()
    try:
        made = open_month(home, SEED, CASES)
        follow(made, lambda progress: None)
        yield made
        made.close()
    finally:
        _remove(home)


@pytest.fixture(scope="module")
def month(run: MonthRun) -> Month:
    return month_of_run(run)


@pytest.fixture(scope="module")
def audit(run: MonthRun, month: Month) -> Audit:
    return check(month, run.run.wire)


def test_every_invariant_holds_and_every_deadline_is_accounted_for(audit: Audit, run: MonthRun) -> None:
    assert len(audit.invariants) == 8
    assert audit.cases == CASES
    assert audit.events == run.run.progress.events + 1  # the policy was switched on before
    assert sum(audit.deadlines.values()) > CASES
    figures = {figure["figure"]: figure["by"]["all"][0] for figure in audit.report["figures"]}
    assert figures["intake"]["numerator"] == CASES
    assert figures["closing"]["numerator"] > CASES // 2
    assert 0 < figures["breach"]["numerator"] < figures["breach"]["denominator"]


def test_what_is_checked_can_fail(month: Month, run: MonthRun, audit: Audit) -> None:
    assert audit.source is not None
    first = next(life for life in month.lives.values() if life.state is not None)
    state = first.state
    assert state is not None
    first.state = replace(state, since=state.since + 1)
    with pytest.raises(InvariantBroken, match="case"):
        check(month, run.run.wire)
    first.state = state
    late = [*month.changes]
    late[5] = replace(late[5], time=late[5].time + 1)
    with pytest.raises(InvariantBroken, match="view"):
        check(replace(month, changes=late), run.run.wire)


def test_the_command_gives_the_same_bytes_twice_and_names_what_differs(
    run: MonthRun, month: Month, audit: Audit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, totals = tmp_path / "stats.json", tmp_path / "totals"
    totals.mkdir()
    for number, data in enumerate(totals_of(month)):
        (totals / f"{number}.cltotals").write_bytes(data)
    words = ["--lang", "en", "stats", "recompute", "--from-chain", "--home", str(run.network.home)]
    assert main([*words, "--view", "full", "--totals", str(totals), "--out", str(out)]) == 0
    assert out.read_bytes() == canonical(audit.report)
    assert main([*words, "--view", "full", "--totals", str(totals), "--compare", str(out)]) == 0
    assert "the same bytes" in capfd.readouterr().out
    assert main([*words]) == 0
    public = capfd.readouterr().out.encode()
    assert audit.source is not None
    wanted = report(audit.source.histories(), audit.source.snapshot, Query(View.PUBLIC))
    assert public == canonical(wanted)
    told = json.loads(out.read_bytes())
    told["figures"][3]["by"]["all"][0]["numerator"] += 1
    out.write_bytes(canonical(told))
    assert main([*words, "--view", "full", "--totals", str(totals), "--compare", str(out)]) == 20
    assert "figures[mediation].by.all[].numerator" in capfd.readouterr().out


def test_a_wrong_or_missing_opening_is_named_and_not_guessed(
    run: MonthRun, month: Month, audit: Audit
) -> None:
    assert audit.source is not None
    found = audit.source.histories()
    openings = totals_of(month)
    first = month.batches[0].totals
    one = first.products[0]
    more = replace(one, principal=one.principal + 1, total=one.total + 1)
    raised = replace(first, products=(more, *first.products[1:]))
    for changed, trouble, name in (
        ([raised.encode(), *openings[1:]], Trouble.COMMITMENT_DIFFERS, first.root.hex()),
        (openings[1:], Trouble.MISSING, first.root.hex()),
        ([b"no opening", *openings], Trouble.UNREADABLE, None),
        (
            [replace(first, root=bytes(32)).encode(), *openings],
            Trouble.BATCH_UNKNOWN,
            bytes(32).hex(),
        ),
    ):
        made = report(found, audit.source.snapshot, Query(View.FULL), changed)["sums"]
        assert [one["trouble"] for one in made["troubles"]] == [trouble]
        assert name in (None, made["troubles"][0]["name"])
        held = made["opened"] == len(openings)
        assert held is (trouble in (Trouble.UNREADABLE, Trouble.BATCH_UNKNOWN))
        principal = made["by"]["all"][0]["principal"]
        whole = audit.report["sums"]["by"]["all"][0]["principal"]
        own = sum(one.principal for one in first.products)
        assert principal == (whole if held else whole - own)


def withheld(which: str) -> Change:
    """A node that keeps one event back: one in the middle, or the very last."""

    def change(method: str, params: Any, result: Any) -> Any:
        if method != "eth_getLogs" or not result:
            return result
        return result[:-1] if which == "last" else result[:7] + result[8:]

    return change


@pytest.mark.parametrize("which", ["middle", "last"])
def test_a_node_that_withholds_one_event_is_named(
    run: MonthRun, which: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], audit: Audit
) -> None:
    async def scenario() -> tuple[int, str]:
        async with lying_proxy(run.network.rpc_urls[0]) as proxy:
            proxy.change = withheld(which)
            words = ["--lang", "en", "stats", "recompute", "--from-chain", "--rpc", proxy.url]
            words += ["--home", str(run.network.home), "--out", str(tmp_path / "none.json")]
            return await asyncio.to_thread(main, words), proxy.url.removeprefix("http://")

    code, node = asyncio.run(scenario())
    said = capfd.readouterr().err
    assert code == 1
    named = re.search(rf"{EventsWithheld.__name__}: node {node}: event (\d+) of \w+ is missing", said)
    assert named is not None
    # It is that event, not only a count that falls short at the end.
    assert (int(named[1]) <= 8) is (which == "middle")
    assert not (tmp_path / "none.json").exists()


def test_an_interrupted_run_goes_on_from_the_chain(run: MonthRun) -> None:
    again = open_month(run.network.home, SEED, CASES)
    follow(again, lambda progress: None)
    again.close()
    assert again.run.progress.followed == again.run.progress.blocks == run.run.progress.blocks
    assert again.run.progress.events == run.run.progress.events
    with pytest.raises(AnotherMonth):
        open_month(run.network.home, SEED + 1, CASES)
