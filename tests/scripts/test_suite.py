"""A failed step, and a runner that ran nothing, are never counted as a pass."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import suite
from scripts.suite import Step

FORGE = (
    "Ran 3 tests for contracts/test/A.t.sol:A\n"
    "Ran 2 test suites in 1.20s (2.1s CPU time): 40 tests passed, 1 failed, 2 skipped (43 total tests)\n"
)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    return tmp_path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def forge() -> suite.Reader:
    return next(step for step in suite.test_steps() if step.name == "forge").read


def test_a_runners_own_summary_is_counted() -> None:
    counts = forge()(FORGE, 1)
    assert (counts.passed, counts.failed, counts.skipped) == (40, 1, 2)


def test_a_runner_that_ran_nothing_has_failed() -> None:
    assert forge()("No tests found in project!", 0).failed == 1
    assert forge()(FORGE.replace("1 failed", "0 failed"), 1).failed == 1


def test_the_status_of_a_target_is_that_of_its_worst_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Step("good", python(""), suite.one), Step("bad", python("raise SystemExit(3)"), suite.one)
    monkeypatch.setitem(suite.TARGETS, "check", lambda: [good, bad])
    assert suite.run_target("check") == 1
    assert capsys.readouterr().out.rstrip().endswith("1 passed, 1 failed, 0 skipped")
    monkeypatch.setitem(suite.TARGETS, "check", lambda: [good])
    assert suite.run_target("check") == 0


def test_a_target_without_a_result_fails_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.summary(["check", "test"]) == 1
    assert "did not finish" in capsys.readouterr().out


def test_skips_are_shown_with_their_reason(results: Path) -> None:
    (results / "pytest.xml").write_text(
        '<testsuites><testsuite><testcase name="a"/>'
        '<testcase name="b"><skipped message="no docker"/></testcase>'
        '<testcase name="c"><failure message="x"/></testcase></testsuite></testsuites>'
    )
    counts = suite.from_junit(results / "pytest.xml")("", 1)
    assert (counts.passed, counts.failed, counts.skipped) == (1, 1, 1)
    assert counts.reasons == ["b: no docker"]


def test_a_run_that_ended_without_its_report_is_a_failure(results: Path) -> None:
    assert suite.from_junit(results / "none.xml")("", 0).failed == 1
