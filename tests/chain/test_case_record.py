"""`cases.json`: what it takes, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain import case_record
from chain.case_contracts import PolicyVersion
from chain.case_record import CaseRecord, load, load_if_there, parse
from chain.deployment import DeployedContract
from chain.errors import DeploymentMismatch, DeploymentMissing
from protocol.errors import CaseledgerError, MalformedInput, UnknownVersion

NAMES = ("WorkCalendar", "EvidenceGuard", "LifecycleV1", "CaseBatches", "CaseLedger", "ActCarrier")
RECORD = CaseRecord(
    1776,
    PolicyVersion("LifecycleV1", b"\x05" * 32),
    {
        name: DeployedContract(bytes([number]) * 20, bytes([number]) * 32, bytes([number + 9]) * 32)
        for number, name in enumerate(NAMES, start=1)
    },
    41,
)


def text(change: dict[str, Any]) -> bytes:
    return json.dumps(RECORD.as_json() | change).encode()


def test_what_is_saved_is_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert load_if_there(home, 1776) is None
    RECORD.save(home)
    assert load(home) == RECORD == load(home / "cases.json") == load_if_there(home, 1776)
    assert os.listdir(home) == ["cases.json"]
    contracts = RECORD.contracts
    assert contracts.at == {name: RECORD.deployed[name].address for name in NAMES}
    assert set(contracts.speaking.values()) == {"WorkCalendar", "CaseBatches", "CaseLedger"}


def test_a_save_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RECORD.save(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        dataclasses.replace(RECORD, block=42).save(tmp_path)
    assert load(tmp_path) == RECORD


def test_a_record_of_another_chain_is_refused(tmp_path: Path) -> None:
    RECORD.save(tmp_path)
    with pytest.raises(DeploymentMismatch):
        load_if_there(tmp_path, 1777)
    with pytest.raises(DeploymentMissing):
        load(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "LifecycleV2"},
        {"policy": "LifecycleV1TestClock"},  # the contracts name the other one
        {"chainId": 0},
        {"chainId": True},
        {"sourceDigest": "05"},
        {"block": -1},
        {"more": 1},
        {"contracts": {}},
        {"contracts": RECORD.as_json()["contracts"] | {"CaseLedger": {"address": "0x" + "01" * 20}}},
        {"contracts": {name: RECORD.as_json()["contracts"]["CaseLedger"] for name in NAMES}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_with_a_fault_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        parse(text(change))


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(UnknownVersion) as caught:
        parse(text({"version": version}))
    assert "cases.json" in caught.value.detail
    assert "caseledger reset" in str(caught.value.hint)


def test_a_record_without_the_carrier_is_refused() -> None:
    contracts = {name: one for name, one in RECORD.as_json()["contracts"].items() if name != "ActCarrier"}
    with pytest.raises(MalformedInput):
        parse(text({"contracts": contracts}))


GOOD = json.dumps(RECORD.as_json()).encode()


@given(st.integers(0, len(GOOD)), st.binary(max_size=4))
@example(GOOD.index(b'"0505') + 1, b"A")
def test_damage_is_refused_or_seen(at: int, put: bytes) -> None:
    damaged = GOOD[:at] + put + GOOD[at + len(put) :]
    try:
        found = parse(damaged)
    except CaseledgerError:
        return
    # Hexadecimal digits mean the same in either case.
    assert json.loads(damaged.lower()) == json.loads(json.dumps(found.as_json()).lower())


def test_a_record_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_bytes(b" " * (1 << 17))
    with pytest.raises(CaseledgerError):
        load(tmp_path)
    assert case_record.FILE_NAME == "cases.json"
