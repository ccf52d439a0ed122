"""Breaks one rule at a time and asks whether the test that guards it notices.

``python -m scripts.mutants [--check] [NAME…]``. Each ``mutants/NAME.patch`` begins with ``rule:`` (what the
patch takes away) and ``test:`` lines (pytest node ids, or ``forge:PATH::TEST``), then a diff. All named tests
must pass on the tree as it is, and those of a patch must fail with it applied. The work is done in a copy;
``--check`` only asks that each patch still applies and each test still exists.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "mutants"
PYTHON = ROOT / ".venv" / "bin" / "python"
LINKED = [".venv", ".tools", "node_modules"]  # the copy shares what is installed
TESTS_FAILED = 1  # pytest's status when tests ran and failed; 2 and up: it did not come to that
TIMEOUT = 900


@dataclass(frozen=True)
class Mutant:
    """One patch; ``tests`` are the ids that must go red."""

    name: str
    rule: str
    tests: tuple[str, ...]
    path: Path


def parse(path: Path) -> Mutant:
    head = path.read_text().split("\n--- ", 1)[0].splitlines()
    rules = [line.removeprefix("rule:").strip() for line in head if line.startswith("rule:")]
    tests = [line.removeprefix("test:").strip() for line in head if line.startswith("test:")]
    if len(rules) != 1 or not tests:
        raise ValueError(f"{path.name}: wants one rule: and at least one test: before the diff")
    return Mutant(path.stem, rules[0], tuple(tests), path)


def copy_tree(target: Path) -> None:
    """The files of the working tree, without what was built; ignored files stay behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for name in LINKED:
        if (ROOT / name).exists():
            (target / name).symlink_to(ROOT / name)


def apply(tree: Path, mutant: Mutant, *options: str) -> bool:
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        ["git", "apply", *options, str(mutant.path)], cwd=tree, env=env, capture_output=True, check=False
    )
    return done.returncode == 0


def execute(tree: Path, command: list[str]) -> tuple[int, str]:
    # Without byte code: a patch of equal size within one second would meet the old one.
    # Solidity without the optimizer: compiling is three times faster, and rules do not depend on it.
    env = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "FOUNDRY_OPTIMIZER": "false",
        # A broken contract may leave a parameter unused.
        "FOUNDRY_DENY": "never",
        "PATH": f"{ROOT}/.tools/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    try:
        done = subprocess.run(
            command, cwd=tree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "timed out"
    return done.returncode, done.stdout.decode(errors="replace")


def outcome(tree: Path, tests: tuple[str, ...]) -> tuple[str, str]:
    """``green``, ``red``, or ``broken`` (nothing ran), with the output."""
    python = [test for test in tests if not test.startswith("forge:")]
    states: list[str] = []
    outputs: list[str] = []
    if python:
        status, output = execute(
            tree, [str(PYTHON), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *python]
        )
        states.append({0: "green", TESTS_FAILED: "red"}.get(status, "broken"))
        outputs.append(output)
    by_path: dict[str, list[str]] = {}
    for test in tests:
        if test.startswith("forge:"):
            path, _, name = test.removeprefix("forge:").partition("::")
            by_path.setdefault(path, []).append(name)
    for path, names in by_path.items():
        pattern = f"^({'|'.join(names)})\\("
        status, output = execute(
            tree, [".tools/bin/forge", "test", "--match-path", path, "--match-test", pattern]
        )
        ran = len(re.findall(r"^\[(?:PASS|FAIL)", output, re.MULTILINE)) >= len(names)
        states.append("broken" if not ran else "green" if status == 0 else "red")
        outputs.append(output)
    worst = "broken" if "broken" in states else "red" if "red" in states else "green"
    return worst, "\n".join(outputs)


def exists(test: str) -> bool:
    path, _, name = test.removeprefix("forge:").partition("::")
    name = re.split(r"::|\[", name)[-1] if "[" not in name else name.split("[")[0].split("::")[-1]
    return (ROOT / path).is_file() and name in (ROOT / path).read_text()


def check(mutants: list[Mutant]) -> int:
    wrong = [f"{m.name}: the patch does not apply" for m in mutants if not apply(ROOT, m, "--check")]
    wrong += [f"{m.name}: no test {test}" for m in mutants for test in m.tests if not exists(test)]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def run(mutants: list[Mutant]) -> int:
    bad = 0
    with tempfile.TemporaryDirectory(prefix="caseledger-mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        everything = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        before, output = outcome(tree, everything)
        if before != "green":
            print(output[-4000:])
            print("the named tests must pass on the tree as it is")
            return 1
        print(f"{'mutant':<34} {'seen':<9} {'s':>5}  rule")
        for mutant in mutants:
            started = time.monotonic()
            if not apply(tree, mutant):
                state = "no patch"
            else:
                seen = [outcome(tree, (test,)) for test in mutant.tests]
                state, output = next((one for one in seen if one[0] != "red"), ("red", ""))
                apply(tree, mutant, "--reverse")
            noticed = state == "red"
            bad += not noticed
            word = "红 red" if noticed else f"!! {state}"
            print(
                f"{mutant.name:<34} {word:<9} {time.monotonic() - started:>5.1f}  {mutant.rule}", flush=True
            )
            if state == "broken":
                print(output[-2000:])
    print(f"{len(mutants) - bad} of {len(mutants)} noticed")
    return 1 if bad else 0


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != "--check"]
    mutants = [parse(path) for path in sorted(FOLDER.glob("*.patch"))]
    chosen = [m for m in mutants if not names or any(m.path.match(f"{name}.patch") for name in names)]
    if not chosen:
        print("no such mutant", file=sys.stderr)
        return 2
    return check(chosen) if "--check" in arguments else run(chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
