"""SM2 signatures over submissions: an extra fact that no verdict hangs on."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from protocol import sm2
from tests.support import vectors_attested, vectors_sm2
from verifier.conformance import answer
from verifier.verdict import Report
from verifier.verify import verify_receipt

ROWS = vectors_attested.load(vectors_sm2.FILE)
LINES = json.loads(vectors_sm2.FILE.read_text())["signatures"]
GOOD = ROWS[0]


def report(row: dict[str, Any], receipt: bytes | None = None) -> Report:
    line = row["line"]
    return verify_receipt(
        receipt or bytes.fromhex(line["receipt"]),
        bytes.fromhex(line["trust"]),
        at=line["at"],
        ignore_sha256="ignore" in line,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_each_receipt_has_its_codes_and_result(row: dict[str, Any]) -> None:
    found = report(row)
    assert found.result.value == row["result"]
    assert [one.code for one in found.attestations if one.kind == "sm2"] == row["sm2"]
    assert found.facts.get("sm2Key") == row["sm2Key"]
    assert answer("receipt", json.dumps(row["line"]).encode())["code"] == row["code"]


@pytest.mark.parametrize("row", LINES, ids=lambda row: row["name"])
def test_each_signature_has_its_code(row: dict[str, Any]) -> None:
    assert answer("sm2", json.dumps(row["line"]).encode())["code"] == row["code"]


def test_the_standards_example_is_reproduced_with_its_random_number() -> None:
    from gmalg.sm2 import SM2

    example = {name: bytes.fromhex(value) for name, value in vectors_sm2.STANDARD.items()}
    number = int.from_bytes(example["random"], "big")
    assert sm2.public_of(example["private"]) == example["publicKey"]
    library = SM2(
        sk=example["private"], uid=sm2.USER_ID, pk=b"\4" + example["publicKey"], rnd_fn=lambda _: number
    )
    assert b"".join(library.sign(example["message"])) == example["signature"]


def test_no_verdict_changes_whatever_becomes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = report(GOOD).as_dict()
    changed = next(row for row in ROWS if row["name"] == "wrong signature")
    without = report(changed).as_dict()
    monkeypatch.setitem(sys.modules, "gmalg.sm2", None)
    absent = report(GOOD).as_dict()
    for other in (without, absent):
        assert [v["status"] for v in other["verdicts"]] == [v["status"] for v in with_it["verdicts"]]  # type: ignore[attr-defined]
        assert other["result"] == with_it["result"]
        assert "sm2Key" not in other["facts"]  # type: ignore[operator]


def test_without_the_library_it_is_not_checked_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gmalg.sm2", None)
    assert [one.code for one in report(GOOD).attestations if one.kind == "sm2"] == ["Sm2NotChecked"]
    # What needs no SM2 is checked all the same.
    for name, code in (("wrong statement by another key", "Sm2KeyNotBound"), ("form", None)):
        found = report(next(row for row in ROWS if row["name"] == name))
        assert [one.code for one in found.attestations if one.kind == "sm2"] == ([code] if code else [])
    assert answer("sm2", json.dumps(LINES[0]["line"]).encode())["code"] == "Sm2LibraryMissing"


def test_a_private_key_out_of_range_is_refused() -> None:
    from protocol.errors import MalformedInput

    for scalar in (0, sm2.ORDER - 1, sm2.ORDER, 2**256 - 1):
        with pytest.raises(MalformedInput):
            sm2.public_of(scalar.to_bytes(32, "big"))
    assert sm2.public_of((sm2.ORDER - 2).to_bytes(32, "big"))
