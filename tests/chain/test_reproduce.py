"""scripts/reproduce.py: the committed bytecode comes from the sources, and a network runs just that."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from chain.bytecode import ARTIFACTS, load_artifact
from scripts.compile import build, collect_sources, input_digest, require_clean, stale
from scripts.reproduce import compare_with_node, compile_with_solcx
from tests.support.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def artifacts() -> dict[str, dict[str, Any]]:
    return {name: load_artifact(name) for name in ARTIFACTS}


def test_the_sources_give_the_committed_bytecode() -> None:
    fresh = build(compile_with_solcx)
    assert stale(fresh) == []
    tampered = {name: text.replace("0x6080", "0x6180", 1) for name, text in fresh.items()}
    assert stale(tampered) == sorted(fresh)
    assert stale({name: fresh[name] for name in sorted(fresh)[1:]}) == sorted(fresh)[:1]


def test_the_input_digest_covers_every_source() -> None:
    texts = collect_sources()
    recorded = json.loads((ROOT / "chain" / "abi" / "EvidenceLog.json").read_text())["inputDigest"]
    assert input_digest(texts) == recorded
    for name in texts:
        assert input_digest(texts | {name: texts[name] + " "}) != recorded


def test_a_warning_in_our_own_sources_ends_the_build() -> None:
    def warning(file: str) -> dict[str, Any]:
        return {
            "errors": [
                {"severity": "warning", "sourceLocation": {"file": file}, "formattedMessage": f"in {file}"}
            ]
        }

    require_clean(warning("@openzeppelin/contracts/utils/Strings.sol"))
    with pytest.raises(SystemExit, match="EvidenceLog"):
        require_clean(warning("contracts/evidence/EvidenceLog.sol"))


@pytest.mark.chain
def test_a_network_is_compared_with_its_record(ledger: Ledger, artifacts: dict[str, dict[str, Any]]) -> None:
    good = ledger.deployment
    assert compare_with_node(good.rpc[0], good, artifacts) == []

    first = dataclasses.replace(good.genesis[0], vote=not good.genesis[0].vote)
    other_member = dataclasses.replace(good, genesis=(first, *good.genesis[1:]))
    assert compare_with_node(good.rpc[0], other_member, artifacts) == [
        "ConsortiumRegistry: not made by the recorded constructor arguments"
    ]
    other_threshold = dataclasses.replace(good, threshold=good.threshold + 1)
    assert compare_with_node(good.rpc[0], other_threshold, artifacts) == [
        "ConsortiumGovernance: not made by the recorded constructor arguments"
    ]
    other_delay = dataclasses.replace(good, delay=good.delay + 1)
    assert compare_with_node(good.rpc[0], other_delay, artifacts) == [
        f"ConsortiumGovernance: other code at 0x{good.governance.address.hex()}",
        "ConsortiumGovernance: not made by the recorded constructor arguments",
    ]
    other_chain = dataclasses.replace(good, chain_id=good.chain_id + 1)
    assert compare_with_node(good.rpc[0], other_chain, artifacts) == [
        f"the node is not of chain {other_chain.chain_id}"
    ]
