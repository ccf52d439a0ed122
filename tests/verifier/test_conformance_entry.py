"""Conformance kind `entry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import entry
from tests.support.world import World
from verifier.conformance import answer

WORLD = World()
LEAF: dict[str, Any] = {
    "leaf": WORLD.core.leaf.hex(),
    "body": WORLD.body.hex(),
    "evidenceId": entry.evidence_id(WORLD.core.leaf).hex(),
}
SUBMISSION: dict[str, Any] = {
    "submission": WORLD.submission.encode().hex(),
    "root": WORLD.submission.root().hex(),
    "chainId": WORLD.chain_id,
    "contract": "0x" + WORLD.evidence_log.hex(),
    "signer": "0x" + WORLD.key.address.hex(),
}


def code(line: dict[str, Any]) -> object:
    found = answer("entry", json.dumps(line).encode())
    assert found["accepted"] is (found["code"] == "Ok")
    return found["code"]


@pytest.mark.parametrize(
    "line",
    [LEAF, {**LEAF, "body": None}, {"leaf": LEAF["leaf"], "body": LEAF["body"]}, SUBMISSION,
     {"submission": SUBMISSION["submission"]}, {**LEAF, "about": "x"}],
)  # fmt: skip
def test_accepts(line: dict[str, Any]) -> None:
    assert code(line) == "Ok"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another body": ({**LEAF, "body": WORLD.submission.entries[0][1].hex()}, "BodyMismatch"),
    "another evidence id": ({**LEAF, "evidenceId": "00" * 32}, "ClaimMismatch"),
    "leaf short": ({**LEAF, "leaf": LEAF["leaf"][2:]}, "MalformedInput"),
    "unknown version": ({**LEAF, "leaf": "02" + LEAF["leaf"][2:]}, "UnknownVersion"),
    "unknown class": ({**LEAF, "leaf": "010b" + LEAF["leaf"][4:]}, "UnknownEvidenceClass"),
    "mediation record in the open": ({**LEAF, "leaf": "0105" + LEAF["leaf"][4:]}, "PrivilegedFlagMissing"),
    "body with a trailing byte": ({**LEAF, "body": LEAF["body"] + "00"}, "MalformedInput"),
    "body over the limit": ({**LEAF, "body": "00" * 2049}, "LimitExceeded"),
    "upper-case hex": ({**LEAF, "leaf": LEAF["leaf"].upper()}, "FieldInvalid"),
    "an unknown field": ({**LEAF, "header": ""}, "FieldUnknown"),
    "no body field": ({"leaf": LEAF["leaf"]}, "FieldMissing"),
    "neither form": ({"x": 1}, "FieldMissing"),
    "both forms": ({**LEAF, **SUBMISSION}, "FieldUnknown"),
    "another root": ({**SUBMISSION, "root": "00" * 32}, "ClaimMismatch"),
    "another signer": ({**SUBMISSION, "signer": "0x" + "11" * 20}, "ClaimMismatch"),
    "another chain": ({**SUBMISSION, "chainId": 1}, "ClaimMismatch"),
    "signer without a domain": (
        {"submission": SUBMISSION["submission"], "signer": SUBMISSION["signer"]},
        "FieldMissing",
    ),
    "submission cut": ({**SUBMISSION, "submission": SUBMISSION["submission"][:-2]}, "MalformedInput"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    line, expected = REFUSED[name]
    assert code(line) == expected


def test_every_code_is_in_the_specification() -> None:
    page = (Path(__file__).parents[2] / "docs/spec/conformance.md").read_text()
    for _, expected in REFUSED.values():
        assert f"`{expected}`" in page
