"""Frozen ML-DSA-44 cosignatures: the same code, the same result, with and without the flag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import vectors_attested, vectors_mldsa
from verifier.conformance import answer
from verifier.verify import verify_receipt

ROWS = vectors_attested.load(vectors_mldsa.FILE)
LINES = json.loads(vectors_mldsa.FILE.read_text())["cosignatures"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_each_receipt_has_its_code_and_result(row: dict[str, Any]) -> None:
    line = row["line"]
    found = answer("receipt", json.dumps(line).encode())
    assert (found["code"], found["accepted"]) == (row["code"], row["code"] == "Ok"), found
    report = verify_receipt(
        bytes.fromhex(line["receipt"]),
        bytes.fromhex(line["trust"]),
        at=line["at"],
        ignore_sha256="ignore" in line,
        mldsa=line.get("mlDsa", False),
    )
    assert report.result.value == row["result"]


@pytest.mark.parametrize("row", LINES, ids=lambda row: row["name"])
def test_each_cosignature_has_its_code(row: dict[str, Any]) -> None:
    assert answer("cosignature", json.dumps(row["line"]).encode())["code"] == row["code"]


def test_what_is_made_today_is_what_is_frozen_save_the_random_part() -> None:
    made = vectors_mldsa.document()
    frozen = json.loads(vectors_mldsa.FILE.read_text())
    assert made["trusts"] == frozen["trusts"]
    assert [(row["name"], row["code"], row["result"]) for row in made["rows"]] == [
        (row["name"], row["code"], row["result"]) for row in frozen["rows"]
    ]


@pytest.mark.parametrize("said", [1, "true", None, []])
def test_the_flag_is_true_or_false(said: object) -> None:
    line = {**ROWS[0]["line"], "mlDsa": said}
    assert answer("receipt", json.dumps(line).encode())["code"] == "FieldInvalid"


def test_every_byte_of_the_signed_message_counts() -> None:
    line = LINES[0]["line"]
    for field, changed in (
        ("time", line["time"] + 1),
        ("name", line["name"] + "x"),
        ("text", line["text"].replace("centre", "centro", 1)),
        ("publicKey", ("0" if line["publicKey"][0] != "0" else "1") + line["publicKey"][1:]),
    ):
        other = {name: value for name, value in line.items() if name != "keyId"} | {field: changed}
        assert answer("cosignature", json.dumps(other).encode())["code"] == "CosignatureInvalid", field
