"""Bulk import: 100,000 rows of four banks to the preview and to sealed batches; memory of all processes.

Every figure is the `caseledger` command in a process of its own, as a bank runs it; parsing alone by calamine
and by Python's csv is measured in the same run.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.keys import KeyLabel, X25519Key, new_key, save_key
from benchmarks.import_data import Made, make
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row
from protocol.i18n import Text

HOLDER = 12
_SAMPLE_SECONDS = 0.02
_LIMIT_SECONDS = 900


@dataclass
class Measured:
    """One command."""

    seconds: float
    processor: float
    """Seconds of processor time, of all its processes."""
    peak: float
    """Resident memory of all its processes together at the worst moment, MB."""
    output: dict[str, object]


def rows(options: Options) -> Iterator[Row]:
    """Time and memory of both steps, then rates beside bare parsing."""
    each = options.pick(25_000, 2_500)
    files = [
        make(options.folder / "one.xlsx", 1, each, "xlsx"),
        make(options.folder / "two.csv", 2, each, "csv", "gb18030"),
        make(options.folder / "three.csv", 3, each, "csv"),
        make(options.folder / "four.xlsx", 4, each, "xlsx"),
    ]
    home = _home(options.folder)
    previews = [_run(home, made) for made in files]
    commits = [_run(home, made, "--confirm", "--to", str(HOLDER)) for made in files]
    again = [_run(home, made, "--confirm", "--to", str(HOLDER)) for made in files]
    for made, measured in zip(files * 2, previews + commits, strict=True):
        if (measured.output["rows"], measured.output["defective"]) != (made.rows, made.defective):
            raise BenchFailed("rows or defects are not those that were made")
    if any(measured.output["new"] or measured.output["batch"] for measured in again):
        raise BenchFailed("the same file again changed something")
    total = sum(made.rows for made in files)
    what = f"{total:,} 行（四家银行，XLSX 与 CSV，UTF-8 与 GB18030，3% 有错）"
    what_en = f"{total:,} rows (four banks, XLSX and CSV, UTF-8 and GB18030, 3 % defective)"
    scale = total / 100_000
    yield _seconds_row(
        "import-preview", Text(f"导入预览：{what}", f"import preview: {what_en}"), previews, 60 * scale
    )
    yield _seconds_row(
        "import-commit",
        Text(f"导入封存：{what}", f"import to sealed batches: {what_en}"),
        commits,
        120 * scale,
    )
    yield _seconds_row("import-again", Text("同样的文件再次导入", "the same files again"), again, None)
    yield _memory_row(options, home, previews + commits)
    yield _rate_row("xlsx", files[0], previews[0], _calamine(files[0].path), "calamine")
    yield _rate_row("csv", files[2], previews[2], _bare_csv(files[2].path), "csv")


def _seconds_row(key: str, what: Text, measured: Sequence[Measured], bound: float | None) -> Row:
    seconds = sum(one.seconds for one in measured)
    reach = None if bound is None else Reach("<", Figure(bound, "s"))
    processor = sum(one.processor for one in measured)
    each = {"seconds": [one.seconds for one in measured], "processor": [one.processor for one in measured]}
    note = Text(f"处理器时间 {processor:.1f} 秒。", f"{processor:.1f} s of processor time.")
    return Row(key, what, Figure(seconds, "s"), reach, note=note, detail=each)


def _memory_row(options: Options, home: Path, measured: Sequence[Measured]) -> Row:
    count = options.pick(100_000, 10_000)
    large = make(options.folder / "large.xlsx", 5, count, "xlsx")
    one = _run(home, large, "--confirm", "--to", str(HOLDER))
    return Row(
        "import-memory",
        Text("导入内存峰值，全部进程合计", "import, peak memory of all processes together"),
        Figure(max(one.peak, *(other.peak for other in measured)), "MB"),
        Reach("<", Figure(300, "MB")),
        (
            Beside(
                Text(
                    f"其中一份 {count:,} 行的 XLSX，预览并封存", f"of it one XLSX of {count:,} rows, sealed"
                ),
                Figure(one.peak, "MB"),
            ),
        ),
        Text(
            f"每 {_SAMPLE_SECONDS * 1000:.0f} 毫秒取样一次。",
            f"sampled every {_SAMPLE_SECONDS * 1000:.0f} ms.",
        ),
        {"largeSeconds": one.seconds},
    )


def _rate_row(form: str, made: Made, measured: Measured, bare: float, peer: str) -> Row:
    return Row(
        f"import-{form}",
        Text(f"导入预览速率，{form.upper()}", f"import preview, {form.upper()}"),
        Figure(made.rows / measured.seconds, "1/s"),
        beside=(
            Beside(Text(f"{peer} 只解析，不校验", f"{peer}, parsing alone"), Figure(made.rows / bare, "1/s")),
        ),
        note=Text("含进程启动与错误文件。", "with process start and the file of errors."),
    )  # fmt: skip


def _home(folder: Path) -> Path:
    home = folder / "home"
    holder = new_key("x25519", KeyLabel("holder", "content", HOLDER))
    if not isinstance(holder, X25519Key):
        raise BenchFailed("no key")
    save_key(holder, folder / "holder")
    (home / "agent").mkdir(parents=True)
    (home / "agent" / "hpke-pins.json").write_text(json.dumps({str(HOLDER): holder.public_key.hex()}))
    return home


def _run(home: Path, made: Made, *options: str) -> Measured:
    command = [
        sys.executable, "-m", "cli.main", "case", "import", str(made.path), "--home", str(home), "--json",
        "--organisation", str(made.bank), *options,
    ]  # fmt: skip
    started, before = time.perf_counter(), _processor()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(_SAMPLE_SECONDS):
            peak = max(peak, _session_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        output, _ = process.communicate(timeout=_LIMIT_SECONDS)
    finally:
        ended.set()
        watcher.join()
        if process.poll() is None:
            process.kill()
    if process.returncode not in (0, 3):
        raise BenchFailed(f"the import ended with {process.returncode}")
    return Measured(time.perf_counter() - started, _processor() - before, peak, json.loads(output))


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _session_memory(session: int) -> float:
    """Resident memory of a session's processes, 10^6 bytes; shared pages count once for each."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6


def _calamine(path: Path) -> float:
    from python_calamine import CalamineWorkbook

    started = time.perf_counter()
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    count = sum(1 for _ in sheet.iter_rows())
    if not count:
        raise BenchFailed("calamine found no rows")
    return time.perf_counter() - started


def _bare_csv(path: Path) -> float:
    started = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as source:
        if not sum(1 for _ in csv.reader(source)):
            raise BenchFailed("csv found no rows")
    return time.perf_counter() - started
