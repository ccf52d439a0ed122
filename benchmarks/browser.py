"""The verification page in a real Chromium, beside the Python command and the same program under Node.

From the press of the button to the report, in the page's own clock; the commands from start to end.
Where there is no Chromium, Node is measured alone and the row says so.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import BenchFailed, Beside, Figure, Options, Row
from protocol.i18n import Text
from verifier.content import digest_stream

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors" / "receipt"
SCRIPT = Path(__file__).with_suffix(".mjs")
CLI = ROOT / "console" / "verifier" / "cli.mjs"
AT = "2026-11-24T03:00:00Z"
MIB = 1 << 20
WHAT = Text("网页核验收据与文件", "browser: verify a receipt and its file")


def node() -> str:
    """The project's own node, else the machine's.

    Raises:
        BenchFailed: there is none.
    """
    own = ROOT / ".tools" / "bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    if found is None:
        raise BenchFailed("no node: scripts/bootstrap npm")
    return found


def rows(options: Options) -> Iterator[Row]:
    """Verification, then the hashing of a large file."""
    rounds = options.pick(15, 5)
    large = options.folder / "large.bin"
    with large.open("wb") as out:
        for _ in range(options.pick(256, 32)):
            out.write(os.urandom(MIB))
    python = _command([str(Path(sys.executable).parent / "caseledger"), "verify", *_arguments()], rounds)
    second = _command([node(), str(CLI), *_arguments()], rounds)
    beside = [
        Beside(Text("命令 caseledger verify（含启动）", "caseledger verify, with its start"), python),
    ]
    under_node = Beside(
        Text("同一程序在 Node（含启动）", "the same program under Node, with its start"), second
    )
    measured = _browser(rounds, large)
    if "reason" in measured:
        missing = Beside(Text(f"网页未测：{measured['reason']}", f"page not measured: {measured['reason']}"))
        what = Text(
            "第二核验程序在 Node 核验收据与文件", "second verifier under Node: a receipt and its file"
        )
        yield Row("node-verify", what, second, None, (*beside, missing))
        return
    yield _verify(measured, (*beside, under_node))
    yield _hash(measured, large)


def _arguments() -> list[str]:
    receipt, document = VECTORS / "recorded-contract.clr", VECTORS / "recorded-contract.pdf"
    return [str(receipt), str(document), "--trust", str(VECTORS / "recorded.cltrust"), "--at", AT, "--json"]


def _command(command: Sequence[str], rounds: int) -> Figure:
    """Median of whole runs; each must find the receipt valid."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
        times.append(time.perf_counter() - begun)
        if done.returncode != 0 or json.loads(done.stdout)["result"] != "VALID":
            raise BenchFailed(f"{Path(command[0]).name}: exit code {done.returncode}")
    return Figure(1000 * statistics.median(times), "ms")


def _browser(rounds: int, large: Path) -> dict[str, Any]:
    done = subprocess.run(
        [node(), str(SCRIPT), str(rounds), str(large)],
        cwd=ROOT, env={**os.environ, "TZ": "UTC"}, capture_output=True, check=False, timeout=500,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchFailed(done.stderr.decode(errors="replace").strip()[-500:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _verify(measured: dict[str, Any], beside: tuple[Beside, ...]) -> Row:
    times = [float(one) for one in measured["times"]]
    note = Text(
        "从按下按钮到屏幕上的结论；4 节点链的收据；改动一字节的收据先被拒",
        "from the button to the report; a receipt of a 4-validator chain; one changed byte was refused first",
    )
    detail = {"chromium": measured["version"], "times_ms": times}
    return Row("browser-verify", WHAT, Figure(statistics.median(times), "ms"), None, beside, note, detail)


def _hash(measured: dict[str, Any], large: Path) -> Row:
    """Both digests of a large file in the page; the receipt is of another, and the page says so."""
    begun = time.perf_counter()
    with large.open("rb", buffering=0) as source:
        digest_stream(source)
    python = Figure(large.stat().st_size / 1e6 / (time.perf_counter() - begun), "MB/s")
    page = Figure(measured["large"]["bytes"] / 1e6 / (measured["large"]["ms"] / 1000), "MB/s")
    beside = (Beside(Text("Python，OpenSSL，两个线程", "Python, OpenSSL, two threads"), python),)
    what = Text("网页计算 SHA-256 与 SM3", "browser: SHA-256 and SM3 of a file")
    note = Text(
        f"{large.stat().st_size // MIB} MiB，JavaScript", f"{large.stat().st_size // MIB} MiB, JavaScript"
    )
    return Row("browser-hash", what, page, None, beside, note)
