#!/usr/bin/env python3
"""Proves named properties of the contracts with halmos; each proof must fail on contracts broken on purpose.

The proofs are in contracts/test/proofs. Each patch in mutants/contracts breaks the contracts and names the
proof (a line `proof: NAME`) that must then find a counterexample. The sound contracts and the broken ones
(all patches at once; each proof is hurt by one of them) are built in two temporary copies and proved side by
side. Exit code 0 only if every proof holds on the one and every named proof fails on the other; each proof
must be named by a patch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATCHES = ROOT / "mutants" / "contracts"
PROVED, COUNTEREXAMPLE = 0, 1
LIMIT_SECONDS = 1800
# Symbolic lengths: a signature is what ECDSA takes, other arrays are empty or hold one element.
HALMOS = [
    "--root",
    ".",
    "--forge-build-out",
    "contracts/out",
    "--array-lengths",
    "origin={0,1},signature={65},proof={0,1},consistencyProof={0,1}",
    "--default-array-lengths",
    "0,1",
    "--default-bytes-lengths",
    "0,65",
    "--loop",
    "6",
    "--solver-threads",
    "1",
    "--solver-timeout-assertion",
    "300s",
    "--no-status",
]


def proof_names(root: Path = ROOT) -> set[str]:
    """Every `check_…` function in the proof contracts."""
    texts = [path.read_text("utf-8") for path in (root / "contracts" / "test" / "proofs").glob("*.sol")]
    return {name for text in texts for name in re.findall(r"function (check_\w+)\(", text)}


def patches() -> dict[Path, str]:
    """Each patch with the proof that must notice it."""
    found: dict[Path, str] = {}
    for path in sorted(PATCHES.glob("*.patch")):
        match = re.search(r"^proof: (\w+)$", path.read_text("utf-8"), re.MULTILINE)
        if match is None:
            raise SystemExit(f"{path.name}: no line `proof: NAME`")
        found[path] = match.group(1)
    return found


def prepare(folder: Path, broken: list[Path]) -> None:
    """A copy of what halmos needs, with the patches applied."""
    ignore = shutil.ignore_patterns("out", "cache")
    shutil.copytree(ROOT / "contracts", folder / "contracts", ignore=ignore)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "foundry.toml", folder)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    for patch in broken:
        subprocess.run(["git", "apply", str(patch)], cwd=folder, check=True)
    # See the comment in AnyProof.sol: a weaker library, so a stronger proof.
    proofs = folder / "contracts" / "test" / "proofs"
    (proofs / "AnyProof.sol").replace(folder / "contracts" / "libraries" / "MerkleLog.sol")


def prove(halmos: Path, broken: list[Path], stop_early: bool) -> dict[str, int]:
    """Proof name → halmos' exit code for it; an unfinished exploration counts as failed."""
    with tempfile.TemporaryDirectory(prefix="caseledger-proofs-") as name:
        folder = Path(name)
        prepare(folder, broken)
        tools = str(ROOT / ".tools" / "bin")
        environment = os.environ | {
            "FOUNDRY_PROFILE": "proofs",
            "PATH": tools + os.pathsep + os.environ.get("PATH", ""),
        }
        report = folder / "report.json"
        command = [str(halmos), *HALMOS, "--json-output", str(report)]
        if stop_early:
            command.append("--early-exit")
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        if not report.exists():
            raise SystemExit(f"halmos gave no report:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        results = json.loads(report.read_text("utf-8"))["test_results"]
        return {
            test["name"].split("(")[0]: (
                test["exitcode"] if test["exitcode"] != PROVED or not test["num_bounded_loops"] else -1
            )
            for tests in results.values()
            for test in tests
        }


def main() -> int:
    """Exit code 0, 1 when a proof or a counterexample is missing, 2 when halmos is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--halmos", type=Path, default=ROOT / ".tools" / "halmos" / "bin" / "halmos")
    options = parser.parse_args()
    if not options.halmos.exists():
        print(f"{options.halmos} is missing: install requirements/halmos.lock there", file=sys.stderr)
        return 2
    started = time.monotonic()
    names, broken = proof_names(), patches()
    unnamed = sorted(names ^ set(broken.values()))
    if unnamed:
        print(f"proofs and patches do not match: {', '.join(unnamed)}", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(2) as pool:
        sound_run = pool.submit(prove, options.halmos, [], False)
        broken_run = pool.submit(prove, options.halmos, list(broken), True)
        sound, hurt = sound_run.result(), broken_run.result()
    passed = 0
    for patch, name in broken.items():
        holds = sound.get(name) == PROVED
        noticed = hurt.get(name) == COUNTEREXAMPLE
        passed += holds and noticed
        print(
            f"{name}: {'proved' if holds else f'NOT PROVED ({sound.get(name)})'}; "
            f"{'fails' if noticed else f'DOES NOT FAIL ({hurt.get(name)})'} with {patch.stem}"
        )
    failed = len(broken) - passed
    print(f"{passed} passed, {failed} failed in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
