"""Frozen custody events and sheets: the same bytes, the same code, and no other verdict touched."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.support import vectors_custody
from verifier.conformance import answer
from verifier.verdict import Status
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

ROWS = vectors_custody.load()
ENTRIES: list[dict[str, Any]] = json.loads(vectors_custody.CUSTODY.read_text())["entries"]


def test_frozen_bytes_are_what_the_code_makes() -> None:
    assert vectors_custody.CUSTODY.read_bytes() == vectors_custody.document()


@pytest.mark.parametrize("row", ENTRIES, ids=lambda row: row["name"])
def test_entries(row: dict[str, Any]) -> None:
    found = answer("entry", json.dumps(row["line"]).encode())
    assert (found["accepted"], found["code"]) == (row["accepted"], row["code"]), found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_each_sheet_has_its_verdict(row: dict[str, Any]) -> None:
    found = answer("custody", json.dumps(row["line"]).encode())
    good = row["status"] in ("PASS", "REDUCED")
    assert (found["code"], found["accepted"]) == ("Ok" if good else row["code"], good), found
    if good:
        assert str(found["detail"]).startswith(f"{row['status']} {row['code']}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_sheet_touches_no_other_verdict_and_no_fact_of_the_receipt(row: dict[str, Any]) -> None:
    line = row["line"]
    receipt, trust = base64.b64decode(line["receipt"]), base64.b64decode(line["trust"])
    known = tuple(map(base64.b64decode, line.get("known", [])))
    shown = CustodyShown(base64.b64decode(line["sheet"]), known, line.get("since", 0))
    without = verify_receipt(receipt, trust, at=line["at"])
    beside = verify_receipt(receipt, trust, at=line["at"], custody=shown)
    assert [one for one in beside.verdicts if one.name != "custody"] == [
        one for one in without.verdicts if one.name != "custody"
    ]
    assert without.facts.items() <= beside.facts.items()
    assert beside.verdict("custody").status is Status[row["status"]]
    if row["status"] == "PASS":
        assert beside.result is without.result
