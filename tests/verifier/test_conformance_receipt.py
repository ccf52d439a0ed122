"""Conformance kind `receipt`."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support.attacks import ATTACKS as CASES
from tests.support.attacks import Case
from tests.support.world import AT, CASE_ID, CONTENT, World
from tests.verifier.test_verify import VALID
from verifier.conformance import answer

WORLD = World()
LINE: dict[str, Any] = {
    "receipt": WORLD.receipt.hex(),
    "trust": WORLD.trust.hex(),
    "at": AT,
    "content": CONTENT.hex(),
    "case": CASE_ID.hex(),
}


def ask(line: dict[str, Any]) -> dict[str, bool | str]:
    return answer("receipt", json.dumps(line).encode())


def line_of(case: Case) -> dict[str, Any]:
    content, statement = case.content, case.provenance
    return {
        "receipt": base64.b64encode(case.receipt).decode(),
        "trust": base64.b64encode(case.trust).decode(),
        "at": case.at,
        "case": case.case_id.hex() if case.case_id else None,
        "content": content
        and {"size": content.size, "sha256": content.sha256.hex(), "sm3": content.sm3.hex()},
        "provenance": statement and base64.b64encode(statement).decode(),
    }


def test_accepts_in_either_spelling() -> None:
    found = ask(LINE)
    assert found["accepted"] is True
    assert str(found["detail"]).startswith("VALID, evidence ")
    bare = {key: LINE[key] for key in ("receipt", "trust", "at")}
    assert ask(bare)["accepted"] is True


@pytest.mark.parametrize("name", VALID)
def test_accepts(name: str) -> None:
    assert ask(line_of(VALID[name])) | {"detail": ""} == {"accepted": True, "code": "Ok", "detail": ""}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.custody is None])
def test_the_code_is_that_of_the_verdict(name: str) -> None:
    case = CASES[name]
    found = ask(line_of(case))
    if case.status.value == "REDUCED":
        assert found["accepted"] is True
        assert str(found["detail"]).startswith(f"VALID_REDUCED_TRUST ({case.code}), ")
    else:
        assert (found["accepted"], found["code"]) == (False, case.code)
        assert str(found["detail"]).startswith(f"{case.verdict}: ")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.custody is not None])
def test_a_custody_attack_is_refused_by_the_kind_custody(name: str) -> None:
    case = CASES[name]
    assert case.custody is not None
    line = {
        "receipt": case.receipt.hex(),
        "trust": case.trust.hex(),
        "sheet": case.custody.sheet.hex(),
        "known": [known.hex() for known in case.custody.known],
        "since": case.custody.since,
        "at": case.at,
    }
    found = answer("custody", json.dumps(line).encode())
    assert (found["accepted"], found["code"]) == (False, case.code)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "receipt cut": ({**LINE, "receipt": LINE["receipt"][:-2]}, "MalformedReceipt"),
    "trust file cut": ({**LINE, "trust": LINE["trust"][:-2]}, "MalformedTrustFile"),
    "receipt empty": ({**LINE, "receipt": ""}, "MalformedReceipt"),
    "receipt not hex": ({**LINE, "receipt": "zz!"}, "FieldInvalid"),
    "receipt in upper-case hex": ({**LINE, "receipt": LINE["receipt"].upper()}, "FieldInvalid"),
    "base64 without its padding": (
        {**LINE, "trust": base64.b64encode(b"x").decode().rstrip("=")},
        "FieldInvalid",
    ),
    "another document": ({**LINE, "content": "00"}, "ContentMismatch"),
    "digests of another document": (
        {**LINE, "content": {"size": 1, "sha256": "00" * 32, "sm3": "00" * 32}},
        "ContentMismatch",
    ),
    "digests incomplete": ({**LINE, "content": {"size": 1, "sha256": "00" * 32}}, "FieldMissing"),
    "another case": ({**LINE, "case": "00" * 32}, "CaseMismatch"),
    "time negative": ({**LINE, "at": -1}, "FieldInvalid"),
    "time over 40 bits": ({**LINE, "at": 2**40}, "FieldInvalid"),
    "no time": ({"receipt": "", "trust": ""}, "FieldMissing"),
    "an unknown field": ({**LINE, "fingerprint": ""}, "FieldUnknown"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    line, expected = REFUSED[name]
    found = ask(line)
    assert (found["accepted"], found["code"]) == (False, expected)
