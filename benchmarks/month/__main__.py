"""`python -m benchmarks.month`: a synthetic month of the centre, audited from a node alone.

On the development chain with set block times, and with `--slice` some of it on four validators under the TEST
CLOCK. The same seed gives the same month; with `--home` an interrupted run goes on where its chain is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.month.bft_run import BftRun, live_slice
from benchmarks.month.checks import Audit, check
from benchmarks.month.dev_run import Progress
from benchmarks.month.run import follow, month_of_run, open_month
from chain.networks.cometbft import CometNetwork
from protocol.i18n import Language, Text, language

SEED, CASES, SLICE = 20250301, 19_000, 500
_TEXTS = {
    "about": Text(
        "中心的一个模拟月：真实合约，逐项核对", "a synthetic month: real contracts, all of it checked"
    ),
    "seed": Text("种子", "seed"),
    "cases": Text("案件数", "number of cases"),
    "slice": Text(
        "另在四节点网络上运行这么多件（TEST CLOCK）", "so many cases on four validators (TEST CLOCK)"
    ),
    "home": Text("在此目录运行并保留，中断后可续", "run and stay here; an interrupted run goes on"),
    "json": Text("以 JSON 输出结果", "print the result as JSON"),
}


def main() -> int:
    """Exit code 0 when everything holds; what does not is raised."""
    lang = language()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.month", description=_TEXTS["about"].choose(lang)
    )
    parser.add_argument("--seed", type=int, default=SEED, help=_TEXTS["seed"].choose(lang))
    parser.add_argument("--cases", type=int, default=CASES, help=_TEXTS["cases"].choose(lang))
    parser.add_argument("--slice", type=int, nargs="?", const=SLICE, help=_TEXTS["slice"].choose(lang))
    parser.add_argument("--home", type=Path, help=_TEXTS["home"].choose(lang))
    parser.add_argument("--json", action="store_true", help=_TEXTS["json"].choose(lang))
    args = parser.parse_args()
    home = args.home or Path(tempfile.mkdtemp(prefix="clm-"))
    home.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        made = _slice(home, args.seed, args.slice) if args.slice else _month(home, args.seed, args.cases)
    finally:
        if args.home is None:
            shutil.rmtree(home, ignore_errors=True)
    made["seconds"] = int(time.monotonic() - begun)
    _show(made, lang, as_json=args.json)
    return 0


def _month(home: Path, seed: int, cases: int) -> dict[str, Any]:
    made = open_month(home, seed, cases)
    try:
        last = [0.0]

        def tell(progress: Progress) -> None:
            if time.monotonic() - last[0] > 2:
                last[0] = time.monotonic()
                _progress(
                    f"{progress.blocks} blocks, {progress.transactions:,} transactions, {progress.due:,} due"
                )

        follow(made, tell)
        lived = time.monotonic() - made.run.progress.begun
        audit = check(month_of_run(made), made.run.wire)
        found = made.run.progress
        return {
            "network": "dev", "seed": seed, "blocks": found.blocks, "transactions": found.transactions,
            "livedSeconds": int(lived), **_figures(audit),
        }  # fmt: skip
    finally:
        made.close()
        made.network.down()


def _slice(home: Path, seed: int, cases: int) -> dict[str, Any]:
    network = CometNetwork.create(home, validators=4)
    try:
        network.up(wait=180)

        def tell(run: BftRun) -> None:
            left = sum(life.next is not None for life in run.lives.values())
            _progress(f"round {run.rounds}, {run.transactions:,} transactions, {left} lives left")

        begun = time.monotonic()
        run, audit = live_slice(network, home, seed, cases, tell)
        return {
            "network": "cometbft, 4 validators, TEST CLOCK", "seed": seed, "transactions": run.transactions,
            "tooLate": run.too_late, "livedSeconds": int(time.monotonic() - begun), **_figures(audit),
        }  # fmt: skip
    finally:
        network.down()


def _figures(audit: Audit) -> dict[str, Any]:
    figures = {one["figure"]: one["by"]["all"][0] for one in audit.report["figures"]}
    durations = {one["duration"]: one["by"]["all"][0] for one in audit.report["durations"]}
    return {
        "cases": audit.cases, "opened": audit.opened, "events": audit.events,
        "holds": audit.invariants, "deadlines": dict(sorted(audit.deadlines.items())),
        "figures": figures, "durations": durations, "sums": audit.report["sums"]["by"]["all"][0],
    }  # fmt: skip


def _progress(line: str) -> None:
    print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)


def _show(made: dict[str, Any], lang: Language, *, as_json: bool) -> None:
    print(file=sys.stderr)
    if as_json:
        print(json.dumps(made, ensure_ascii=False))
        return
    for name, value in made.items():
        if name == "holds":
            for one in value:
                print(f"✓ {one}")
        elif isinstance(value, dict):
            for key, one in value.items():
                print(f"{name} {key}: {json.dumps(one)}")
        else:
            print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
