"""Engine profiles are complete data; a file that lacks a fact is refused."""

from __future__ import annotations

from importlib.resources import files

import pytest

from chain.engines import EngineProfileMalformed, UnknownEngine, parse_profiles, profile, profiles

TEXT = files("chain").joinpath("engines.toml").read_text("utf-8")


def test_the_four_engines_and_what_callers_rely_on() -> None:
    assert set(profiles()) == {"cometbft", "qbft", "clique", "dev"}
    assert profile("cometbft").instant
    assert profile("cometbft").depth == 0
    assert profile("cometbft").proof == "ics23"
    assert profile("cometbft").nonce_gaps == "rejected"
    assert profile("cometbft").revert_gas == "limit"
    assert profile("qbft").poa_extra_data
    assert profile("qbft").min_gas_price == 0
    assert not profile("clique").instant
    assert profile("clique").depth == 11
    assert profile("dev").proof == "none"
    with pytest.raises(UnknownEngine):
        profile("raft")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('finality = "instant"', 'finality = "soon"'),
        ('finality = "instant"', "finality = 0"),
        ('proof = "ics23"', 'proof = "promise"'),
        ("min_gas_price = 1\n", "min_gas_price = -1\n"),
        ("min_gas_price = 1\n", "min_gas_price = true\n"),
        ("min_gas_price = 1\n", ""),
        ("max_batch = 100", "max_batch = 100\nmood = 1"),
        ("block_seconds = 0.55", "block_seconds = 0.0"),
        ("[cometbft]", "cometbft = 1\n[other]"),
        ("[cometbft]", "[cometbft"),
    ],
)
def test_a_profile_with_a_wrong_missing_or_unknown_fact_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(EngineProfileMalformed):
        parse_profiles(TEXT.replace(old, new, 1))
