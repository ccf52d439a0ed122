"""Frozen hash renewals: the same code, the same result, whatever is ignored or has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.hashing import SHA3_256, sha256, sm3
from tests.support import vectors_attested, vectors_rehash
from verifier.conformance import answer
from verifier.content import ContentDigests
from verifier.verdict import Report, Status
from verifier.verify import verify_receipt

ROWS = vectors_attested.load(vectors_rehash.FILE)


ENTRIES = json.loads(vectors_rehash.FILE.read_text())["entries"]


def row_of(name: str) -> dict[str, Any]:
    return next(row for row in ROWS if row["name"] == name)


def report(row: dict[str, Any], **changes: Any) -> Report:
    line = {**row["line"], **changes}
    shown = line.get("content")
    content = None
    if isinstance(shown, str):
        data = bytes.fromhex(shown)
        content = ContentDigests(len(data), sha256(data), sm3(data), SHA3_256.digest(data))
    elif shown:
        renewed = bytes.fromhex(shown["sha3_256"]) if "sha3_256" in shown else None
        old = [bytes.fromhex(shown[name]) for name in ("sha256", "sm3")]
        content = ContentDigests(shown["size"], old[0], old[1], renewed)
    ignored = (line.get("ignore") or "").split(",")
    return verify_receipt(
        bytes.fromhex(line["receipt"]),
        bytes.fromhex(line["trust"]),
        at=line["at"],
        content=content,
        ignore_sha256="sha256" in ignored,
        ignore_sm3="sm3" in ignored,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_each_receipt_has_its_code_and_result(row: dict[str, Any]) -> None:
    found = report(row)
    assert found.result.value == row["result"], found.as_dict()
    assert [one.code for one in found.attestations if one.kind == "rehash"] == row["rehash"]
    assert found.facts.get("hashRenewedAt") == row["hashRenewedAt"]
    answered = answer("receipt", json.dumps(row["line"]).encode())
    assert (answered["code"], answered["accepted"]) == (row["code"], row["code"] == "Ok"), answered


@pytest.mark.parametrize("row", ENTRIES, ids=lambda row: row["name"])
def test_a_continuation_may_commit_a_renewal(row: dict[str, Any]) -> None:
    assert answer("entry", json.dumps(row["line"]).encode())["code"] == row["code"]


def test_with_a_renewal_the_old_proofs_are_still_checked_and_say_so() -> None:
    found = report(row_of("both ignored"))
    for name in ("finality", "append-only", "signer", "neutrality"):
        verdict = found.verdict(name)
        assert (verdict.status, verdict.code) == (Status.REDUCED, "HashRenewed")
    for name in ("content", "inclusion", "time"):
        assert found.verdict(name).status is Status.PASS
    assert found.facts["ignoredAlgorithm"] == "sha256,sm3"
    # The token under SHA-256 was renewed with the receipt: its earlier time stands.
    assert found.facts["notLaterThan"] < found.facts["hashRenewedAt"]  # type: ignore[operator]


def test_what_no_renewal_covers_is_passed_over() -> None:
    found = report(row_of("token not covered"))
    assert [(one.kind, one.code) for one in found.attestations] == [
        ("rfc3161", "AlgorithmIgnored"),
        ("rehash", "Ok"),
    ]
    assert found.verdict("time").code == "TimeTokensMissing"
    assert "WitnessesMissing" in report(row_of("witnesses not covered")).missing
    assert "WitnessesMissing" not in report(row_of("witnesses covered")).missing


@pytest.mark.parametrize("ignore", ["", "sha256,", "sm3,sha256", "md5", "sha256,sm3,sm3", " sha256"])
def test_only_known_algorithms_are_ignored(ignore: str) -> None:
    line = {**ROWS[0]["line"], "ignore": ignore}
    assert answer("receipt", json.dumps(line).encode())["code"] == "FieldInvalid"


def test_every_changed_byte_of_a_renewal_is_refused_or_takes_trust_away() -> None:
    row = row_of("both ignored")
    data = bytes.fromhex(row["line"]["receipt"])
    start = data.index(b"rehash") + 6
    for at in range(start, len(data), 7):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        found = report(row, receipt=changed.hex())
        assert found.result.value in ("INVALID", "INDETERMINATE"), at
