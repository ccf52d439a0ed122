"""`make bench`: every figure of the speed table in one run, beside peers and physical limits.

Each bench runs in a process of its own with a temporary folder, so that none measures another's memory. A
bench fails when a wrong signature is taken; a figure that is not reached is shown and fails nothing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks import machine
from benchmarks.report import Result, document, machine_lines, summary_lines, table_lines
from benchmarks.rows import Options, Row
from protocol.i18n import Language, Text, language

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bench:
    """A module of this folder with `rows(options) -> Iterator[Row]`.

    `limits`: seconds, full and quick, after which it is given up; several times what it needs.
    """

    name: str
    label: Text
    limits: tuple[int, int]
    module: str = ""
    """Where the name is none for a module."""


BENCHES = (
    Bench("accept", Text("进程内接收", "accept in process"), (900, 450)),
    Bench("service", Text("HTTP 接收", "accept over HTTP"), (600, 300)),
    Bench("receipts", Text("收据", "receipts"), (600, 400)),
    Bench("gas", Text("链上费用", "gas"), (300, 200)),
    Bench("million", Text("一百万条：内存与查找", "a million leaves: memory and search"), (900, 450)),
    Bench("hashing", Text("文件摘要", "hashing a file"), (300, 200)),
    Bench("attested", Text("证明附件与证书", "attestations and certificates"), (900, 600)),
    Bench("watching", Text("镜像与见证", "mirror and witness"), (600, 300)),
    Bench("import", Text("批量导入", "bulk import"), (900, 300), "import_rows"),
    Bench("cases", Text("案件", "cases"), (900, 400)),
    Bench("browser", Text("网页核验", "verification page"), (600, 300)),
)
_USAGE = {
    "about": Text("性能表：与同类和物理上限并列", "speed and memory, beside peers and physical limits"),
    "quick": Text("每项缩短，全程三分钟内", "shorter runs, under three minutes in all"),
    "only": Text("只运行这些组（逗号分隔）：", "only these benches, comma-separated: "),
    "json": Text("以 JSON 输出", "print JSON"),
    "out": Text("同时写入 JSON 文件", "also write the JSON to this file"),
    "doc": Text("把结果写进这份文档的标记之间", "write the results between the marks of this document"),
    "dir": Text("临时文件放在这里（须是真实磁盘）", "temporary files go here (a real disk)"),
    "lang": Text("界面语言", "language"),
}
_NO_DISK = Text(
    "临时目录在内存里（{kind}），落盘的数字没有意义；请用 --dir 指定磁盘上的目录",
    "the temporary folder is in memory ({kind}), where sync costs nothing; give one on a disk with --dir",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 when a bench did not finish, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(language()).parse_args(arguments)
    lang = language(args.lang)
    if args.child:
        return _child(args.child, Path(args.out), Options(args.quick, Path(args.dir)))
    wanted = [name for name in (args.only or "").split(",") if name]
    unknown = set(wanted) - {bench.name for bench in BENCHES}
    if unknown:
        print(f"{', '.join(sorted(unknown))}?", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="clb-", dir=args.dir))
    try:
        result = _measure([b for b in BENCHES if not wanted or b.name in wanted], folder, args, lang)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(result.as_json(), ensure_ascii=False, indent=1)
    if args.out:
        Path(args.out).write_text(text + "\n", "utf-8")
    if args.doc:
        page = Path(args.doc)
        page.write_text(document(page.read_text("utf-8"), result), "utf-8")
    if args.json:
        print(text)
    else:
        print("\n".join(["", *table_lines(result.rows, lang), "", *summary_lines(result, lang)]))
    return 1 if result.failures else 0


def _parser(lang: Language) -> argparse.ArgumentParser:
    text = {name: words.choose(lang) for name, words in _USAGE.items()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=text["about"])
    parser.add_argument("--quick", action="store_true", help=text["quick"])
    parser.add_argument(
        "--only", metavar="NAMES", help=text["only"] + ", ".join(bench.name for bench in BENCHES)
    )
    parser.add_argument("--json", action="store_true", help=text["json"])
    parser.add_argument("--out", metavar="FILE", help=text["out"])
    parser.add_argument("--doc", metavar="FILE", help=text["doc"])
    parser.add_argument("--dir", metavar="FOLDER", help=text["dir"])
    parser.add_argument("--lang", choices=("zh", "en"), help=text["lang"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _measure(benches: Sequence[Bench], folder: Path, args: argparse.Namespace, lang: Language) -> Result:
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    here = machine.look(folder)
    if here.file_system in ("tmpfs", "ramfs"):
        print(_NO_DISK.format(lang, kind=here.file_system), file=sys.stderr)
    sync = machine.sync_cost(folder, 1.0 if args.quick else 4.0)
    say = (lambda line: print(line, file=sys.stderr, flush=True)) if args.json else _say
    for line in machine_lines(here, sync, lang):
        say(line)
    rows: list[Row] = []
    failures: list[tuple[str, str]] = []
    took: dict[str, float] = {}
    for bench in benches:
        at = time.monotonic()
        found, trouble = _run(bench, folder / bench.name, args.quick)
        took[bench.name] = time.monotonic() - at
        rows += found
        mark = "✓" if trouble is None else "✗"
        say(f"  {mark} {bench.label.choose(lang)}  {took[bench.name]:.0f} s")
        if trouble is not None:
            failures.append((bench.name, trouble))
    seconds = time.monotonic() - begun
    return Result(
        here, sync, args.quick, started, _commit(), tuple(rows), tuple(failures), seconds, took
    )  # fmt: skip


def _say(line: str) -> None:
    print(line, flush=True)


def _run(bench: Bench, folder: Path, quick: bool) -> tuple[list[Row], str | None]:
    """The bench's rows; also those that it had before it failed."""
    # Others must be able to pass: the database runs as a user of its own when the caller is root.
    folder.mkdir(mode=0o711)
    folder.parent.chmod(0o711)
    out, log = folder / "rows.json", folder / "log"
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--child",
        bench.name,
        "--out",
        str(out),
        "--dir",
        str(folder),
    ]
    if quick:
        command.append("--quick")
    # Nobody's settings reach a bench.
    env = {name: value for name, value in os.environ.items() if not name.startswith("CASELEDGER_")}
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT)
        try:
            process.wait(bench.limits[1 if quick else 0])
            trouble = None
        except subprocess.TimeoutExpired:
            trouble = "took too long"
        finally:
            if process.poll() is None:
                # It takes its own parts down; only if that hangs it is killed.
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    rows = [Row.from_json(row) for row in json.loads(out.read_text("utf-8"))] if out.exists() else []
    if trouble is None and process.returncode != 0:
        trouble = _last_line(log) or f"exit code {process.returncode}"
    if trouble is not None:
        sys.stderr.write(_tail(log))
    shutil.rmtree(folder, ignore_errors=True)
    return rows, trouble


def _child(name: str, out: Path, options: Options) -> int:
    signal.signal(signal.SIGTERM, _leave)
    bench = next(one for one in BENCHES if one.name == name)
    module = importlib.import_module(f"benchmarks.{bench.module or name}")
    found: list[Row] = []
    produced: Iterator[Row] = module.rows(options)
    for row in produced:
        found.append(row)
        out.write_text(json.dumps([one.as_json() for one in found]), "utf-8")
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    """So that every `finally` runs and nothing is left behind."""
    raise SystemExit(128 + number)


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(errors="replace").strip().splitlines()[-lines:] if log.exists() else []
    return "".join(f"    {line}\n" for line in text)


def _last_line(log: Path) -> str:
    text = log.read_text(errors="replace").strip().splitlines()
    return text[-1][:300] if text else ""


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    told = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
