"""Frozen receipts with attestations: the same bytes, the same code, the same result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import vectors_attested
from verifier.conformance import answer
from verifier.verify import verify_receipt

ROWS = [
    row
    for path in (vectors_attested.ATTESTED, vectors_attested.TOKENS)
    for row in vectors_attested.load(path)
]


def test_frozen_bytes_are_what_the_code_makes() -> None:
    assert vectors_attested.ATTESTED.read_bytes() == vectors_attested.document()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_each_line_has_its_code_and_result(row: dict[str, Any]) -> None:
    line = row["line"]
    found = answer("receipt", json.dumps(line).encode())
    assert (found["code"], found["accepted"]) == (row["code"], row["code"] == "Ok"), found
    report = verify_receipt(
        bytes.fromhex(line["receipt"]),
        bytes.fromhex(line["trust"]),
        at=line["at"],
        ignore_sha256="ignore" in line,
    )
    assert report.result.value == row["result"]
