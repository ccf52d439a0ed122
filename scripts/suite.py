"""Runs the named steps of ``make check`` and ``make test`` and ends with a table of what ran and what not.

``python -m scripts.suite check|test|test-slow|summary``. The result of each target stays in
``.bootstrap/results/`` so that CI can print one table over several targets. Exit status 1 when a step failed
or a test runner ran no test.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".bootstrap" / "results"
PY = str(ROOT / ".venv" / "bin" / "python")
NODE_BIN = "node_modules/.bin"
ROOMS = [
    "protocol", "verifier", "storage", "chain", "evidence", "cases", "monitor", "agent", "ledger_gateway",
    "intake_server", "cli",
]  # fmt: skip
SIDES = ["tests", "scripts", "benchmarks"]
PLAIN_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Counts:
    """What a step's tool says it did."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)


@dataclass
class Result:
    name: str
    state: str  # passed | failed
    seconds: float
    counts: Counts


Reader = Callable[[str, int], Counts]


@dataclass(frozen=True)
class Step:
    name: str
    command: list[str]
    read: Reader
    live: bool = False


def one(_output: str, status: int) -> Counts:
    """A step without cases of its own counts as one."""
    return Counts(passed=int(status == 0), failed=int(status != 0))


def from_junit(report: Path) -> Reader:
    """Counts the cases of a pytest report."""

    def read(_output: str, status: int) -> Counts:
        counts = Counts()
        if report.is_file():
            # Written a moment ago by our own pytest, so entity expansion is no concern.
            for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
                skipped = case.find("skipped")
                if skipped is not None:
                    counts.skipped += 1
                    counts.reasons.append(f"{case.get('name')}: {skipped.get('message', '')}")
                elif case.find("failure") is not None or case.find("error") is not None:
                    counts.failed += 1
                else:
                    counts.passed += 1
        if counts.passed + counts.failed == 0 or (status != 0 and counts.failed == 0):
            counts.failed += 1
            counts.reasons.append("pytest ended without a report of every test")
        return counts

    return read


def from_pattern(pattern: str) -> Reader:
    """Sums the runner's summary lines; named groups ``passed``, ``failed``, ``skipped``."""
    expression = re.compile(pattern)

    def read(output: str, status: int) -> Counts:
        counts = Counts()
        for found in expression.finditer(PLAIN_ANSI.sub("", output)):
            groups = found.groupdict(default="0")
            counts.passed += int(groups.get("passed", "0"))
            counts.failed += int(groups.get("failed", "0"))
            counts.skipped += int(groups.get("skipped", "0"))
        if counts.passed + counts.failed == 0 or (status != 0 and counts.failed == 0):
            counts.failed += 1
            counts.reasons.append("the runner reported no test")
        return counts

    return read


def existing(names: list[str]) -> list[str]:
    return [name for name in names if (ROOT / name).exists()]


def check_steps() -> list[Step]:
    paths = existing(ROOMS + SIDES)
    bin_ = f"{ROOT}/.venv/bin"
    return [
        Step("mypy", [f"{bin_}/mypy", "--no-error-summary", *paths], one),
        Step("contracts", ["sh", "-c", "exec scripts/check_contracts.sh"], one),
        Step("ruff", [f"{bin_}/ruff", "check", "--no-cache", "."], one),
        Step("format", [f"{bin_}/ruff", "format", "--no-cache", "--check", "."], one),
        Step("imports", [f"{bin_}/lint-imports", "--no-cache"], one),
        Step("errors.md", [PY, "-m", "scripts.errors_doc"], one),
        Step("import tables", [PY, "-m", "scripts.import_doc"], one),
        Step("documents", [PY, "-m", "scripts.docs_check"], one),
        Step("lifecycle", [PY, "-m", "scripts.lifecycle"], one),
        Step("deadlines", [PY, "-m", "scripts.deadlines_doc"], one),
        Step("decision tables", [PY, "-m", "scripts.decision_tables"], one),
        Step("browser page", [PY, "-m", "scripts.browser_verifier", "--check"], one),
        Step("tree", [PY, "-m", "scripts.tree_check"], one),
        Step("mutants", [PY, "-m", "scripts.mutants", "--check"], one),
    ]


def pytest_step(name: str, *arguments: str, live: bool = False) -> Step:
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [PY, "-m", "pytest", "--junitxml", str(report), "--durations=10", *arguments]
    return Step(name, command, from_junit(report), live)


CASES_LIVE = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "e2e").glob("test_*case*.py"))
NETWORKED = {"chain": ["tests/chain", "tests/monitor", *CASES_LIVE], "ledger": ["tests/e2e", "tests/cli"]}
"""Tests that mostly wait for blocks, in two parts of about one length: they run beside the others."""


def test_steps() -> list[Step]:
    forge = from_pattern(
        r"Ran \d+ test suites? .*: (?P<passed>\d+) tests? passed,"
        r" (?P<failed>\d+) failed, (?P<skipped>\d+) skipped"
    )
    others = [f"--ignore={path}" for paths in NETWORKED.values() for path in paths]
    apart = {"ledger": [f"--ignore={path}" for path in CASES_LIVE]}
    return [
        *(
            pytest_step(name, "-m", "not slow", *apart.get(name, []), *existing(folders))
            for name, folders in NETWORKED.items()
        ),
        pytest_step("rooms", "-m", "not slow", *others, live=True),
        Step("forge", [".tools/bin/forge", "test"], forge),
        Step("hardhat", [f"{NODE_BIN}/hardhat", "test"], from_pattern(r"(?m)^\s*(?P<passed>\d+) passing.*$")),
        Step(
            "proofs",
            [PY, "scripts/prove.py"],
            from_pattern(r"(?m)^(?P<passed>\d+) passed, (?P<failed>\d+) failed.*$"),
        ),
    ]


TARGETS: dict[str, Callable[[], list[Step]]] = {
    "check": check_steps,
    "test": test_steps,
    "test-slow": lambda: [pytest_step("slow", "-m", "slow", "--timeout", "7200", live=True)],
}


def execute(step: Step) -> Result:
    started = time.monotonic()
    env = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"}
    output: list[str] = []
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            if step.live:
                sys.stdout.write(line)
                sys.stdout.flush()
    counts = step.read("".join(output), process.returncode)
    failed = process.returncode != 0 or counts.failed > 0
    result = Result(step.name, "failed" if failed else "passed", time.monotonic() - started, counts)
    (RESULTS / f"{step.name}.log").write_text("".join(output))
    if failed and not step.live:
        print(f"--- {step.name} ---\n" + "".join(output[-400:]), flush=True)
    print(f"{'失败 FAILED' if failed else '通过 ok':<10} {step.name:<12} {result.seconds:6.1f} s", flush=True)
    return result


def run_target(target: str) -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{target}.json").unlink(missing_ok=True)
    steps = TARGETS[target]()
    # What waits for blocks leaves a core to the others. Slow tests own the machine.
    with ThreadPoolExecutor(max_workers={"check": 2, "test": 3}.get(target, 1)) as pool:
        results = list(pool.map(execute, steps))
    (RESULTS / f"{target}.json").write_text(json.dumps([asdict(result) for result in results], indent=1))
    return summary([target])


def summary(targets: list[str]) -> int:
    """Print one table over the targets; their results were written by ``run_target``."""
    totals = Counts()
    status = 0
    print(f"\n{'step':<12} {'state':<8} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}")
    for target in targets:
        path = RESULTS / f"{target}.json"
        if not path.is_file():
            print(f"{target:<12} did not finish")
            totals.failed += 1
            status = 1
            continue
        for row in json.loads(path.read_text()):
            counts = Counts(**row["counts"])
            print(
                f"{row['name']:<12} {row['state']:<8} {counts.passed:>7} {counts.failed:>7}"
                f" {counts.skipped:>8} {row['seconds']:>8.1f}"
            )
            totals.passed += counts.passed
            totals.failed += counts.failed
            totals.skipped += counts.skipped
            totals.reasons += [f"{row['name']}: {reason}" for reason in counts.reasons]
            status |= row["state"] != "passed"
    print("\n跳过及原因 / skipped, and why:")
    for reason in totals.reasons or ["无 / nothing"]:
        print(f"  {reason}")
    if "test" in targets:
        print("  marked slow: not part of this run, see `make test-slow`")
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return status


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["summary"]:
        return summary(arguments[1:] or ["check", "test"])
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        print(f"usage: python -m scripts.suite {'|'.join(TARGETS)}|summary", file=sys.stderr)
        return 2
    return run_target(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
