"""What `caseledger fsck` prints, and the exit code that follows from it."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from cli import fsck as command
from evidence.fsck_report import Finding, FsckReport, Renewal
from ledger_gateway import maintenance

LOST = Finding("LossRecorded", "centre.example/log", "batches 2 to 3", "leaves 5 to 13")
WRONG = Finding("CosignatureInvalid", "centre.example/log", "sha256 cosignature of court at 9", "by court")
NOTE = Finding("ChunkOrphan", "*", "chunk bafkrei", "no entry names it")
FIXED = Finding("DedupeMismatch", "centre.example/log", "leaf 9")
RENEWED = Renewal("centre.example/log", "tsa-a", 0, 1, "tsa-b", 5, 9)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> FsckReport:
    report = FsckReport(leaves=14, tokens=3, chain_compared=True)

    async def check(settings: object, **how: Any) -> FsckReport:
        report.rebuilt = how["rebuild"]
        report.chain_compared = how["with_chain"]
        return report

    monkeypatch.setattr(maintenance, "check", check)
    return report


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["fsck", *arguments]))


def test_nothing_wrong_is_zero_and_says_what_was_looked_at(
    told: FsckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--lang", "zh") == 0
    printed = capsys.readouterr().out
    assert "叶 14" in printed
    assert "时间戳 3" in printed
    assert printed.endswith("没有发现问题。\n")
    assert run("--no-chain", "--lang", "en") == 0
    assert "not compared with the chain" in capsys.readouterr().out


def test_known_losses_notes_and_renewals_are_named_and_are_no_failure(
    told: FsckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    told.known.append(LOST)
    told.note(NOTE)
    told.note(NOTE)
    told.renewal(RENEWED)
    assert run("--lang", "en") == 0
    printed = capsys.readouterr().out
    assert "known losses" in printed
    assert "LossRecorded  centre.example/log  batches 2 to 3  leaves 5 to 13" in printed
    assert printed.count("ChunkOrphan") == 1
    assert "tsa-a 0.1  tsa-b  9" in printed
    assert run("--lang", "zh") == 0
    assert "已知的损失" in capsys.readouterr().out


def test_a_finding_is_twenty_also_after_a_repair(
    told: FsckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    told.find(WRONG)
    told.repaired.append(FIXED)
    assert run("--repair", "--lang", "en") == command.EXIT_FINDINGS == 20
    printed = capsys.readouterr().out
    assert told.rebuilt
    assert "1 repaired:\n  DedupeMismatch" in printed
    assert "1 findings:\n  CosignatureInvalid" in printed
    assert run("--json") == 20
    document = json.loads(capsys.readouterr().out)
    assert document["clean"] is False
    assert [one["code"] for one in document["findings"]] == ["CosignatureInvalid"]
    assert [one["code"] for one in document["repaired"]] == ["DedupeMismatch"]
    assert document["tokens"] == 3
