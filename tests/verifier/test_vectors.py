"""Frozen vectors: the code still makes the same bytes, and still says the same about them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.submission import Submission
from tests.support import vectors
from tests.support.world import AT
from verifier.conformance import answer
from verifier.content import digest_stream
from verifier.verdict import Result
from verifier.verify import verify_receipt

FILES = vectors.files()
ENTRIES: list[dict[str, Any]] = [
    row
    for name in ("entry.json", "submission.json")
    for row in json.loads((vectors.FOLDER / name).read_text())
]
RECEIPTS: list[dict[str, Any]] = json.loads((vectors.RECEIPTS / "index.json").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_frozen_bytes_are_what_the_code_makes(path: Path) -> None:
    assert path.read_bytes() == FILES[path]


@pytest.mark.parametrize("row", ENTRIES, ids=lambda row: row["name"])
def test_entries_and_submissions(row: dict[str, Any]) -> None:
    found = answer("entry", json.dumps(row["line"]).encode())
    assert (found["accepted"], found["code"]) == (row["accepted"], row["code"])
    if "json" in row:
        parsed = Submission.from_json(json.dumps(row["json"]))
        assert parsed.encode().hex() == row["line"]["submission"]


def read(name: str) -> bytes:
    return (vectors.RECEIPTS / name).read_bytes()


@pytest.mark.parametrize("row", RECEIPTS, ids=lambda row: row["receipt"])
def test_receipts(row: dict[str, Any]) -> None:
    content = digest_stream(io.BytesIO(read(row["content"]))) if row["content"] else None
    case_id = bytes.fromhex(row["case"]) if row["case"] else None
    report = verify_receipt(
        read(row["receipt"]), read(row["trust"]), content=content, at=row["at"], case_id=case_id
    )
    assert report.result.value == row["result"], [verdict.as_dict() for verdict in report.verdicts]
    assert report.facts["evidenceId"] == row["evidenceId"]
    assert len(read(row["receipt"])) <= 8192


@pytest.mark.parametrize(
    "name", ["recorded-contract", pytest.param("recorded-identity-check", marks=pytest.mark.slow)]
)
def test_every_changed_byte_of_a_recorded_receipt_is_refused(name: str) -> None:
    data, trust = read(f"{name}.clr"), read("recorded.cltrust")
    for offset in range(len(data) - 1):
        changed = bytearray(data)
        changed[offset] ^= 1 << offset * 3 % 8
        report = verify_receipt(bytes(changed), trust, at=vectors.RECORDED_AT)
        assert report.result in (Result.INVALID, Result.INDETERMINATE), offset


def test_every_receipt_is_refused_under_every_other_trust_file() -> None:
    for row in RECEIPTS:
        for other in RECEIPTS:
            report = verify_receipt(read(row["receipt"]), read(other["trust"]), at=AT)
            good = report.result in (Result.VALID, Result.VALID_REDUCED_TRUST)
            assert good is (read(row["trust"]) == read(other["trust"]))
