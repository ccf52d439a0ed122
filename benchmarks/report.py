"""The table that a person reads, and the same in JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import Machine, SyncCost
from benchmarks.rows import Beside, Row
from protocol.i18n import Language, Text

_HEADS = (
    Text("项目", "what"),
    Text("要达到", "reach"),
    Text("测得", "measured"),
    Text("对照（同一次运行）", "beside it (same run)"),
    Text("比值", "ratio"),
    Text("达到", "met"),
)
_MET = {True: Text("是", "yes"), False: Text("否", "NO"), None: Text("—", "—")}
_NOTES = Text("说明", "notes")
_FAILED = Text("未完成", "did not finish")
_MACHINE = Text(
    "机器：{cpu}，{cores} 核，{memory} GiB，{kernel}，{python}，{fs}；开始时负载 {load:.2f}",
    "machine: {cpu}, {cores} cores, {memory} GiB, {kernel}, {python}, {fs}; load at the start {load:.2f}",
)
_SYNC = Text(
    "落盘：追加 64 字节并 fdatasync，{rate:,.0f} 次/秒，p50 {p50:.0f} µs，p99 {p99:.0f} µs（{rounds:,} 次）",
    "sync: append 64 B and fdatasync, {rate:,.0f}/s, p50 {p50:.0f} µs, p99 {p99:.0f} µs ({rounds:,} rounds)",
)
_WHEN = Text("{started}，提交 `{commit}`。", "{started}, commit `{commit}`.")
_TOTAL = Text(
    "用时 {seconds:.0f} 秒；{met} 项达到，{missed} 项未达到，{failed} 组未完成",
    "took {seconds:.0f} s; {met} met, {missed} not met, {failed} benches did not finish",
)


@dataclass(frozen=True)
class Result:
    """One whole run."""

    machine: Machine
    sync: SyncCost
    quick: bool
    started: str
    commit: str
    rows: tuple[Row, ...]
    failures: tuple[tuple[str, str], ...]
    """(bench, what went wrong)"""
    seconds: float
    bench_seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine.as_json(),
            "sync": self.sync.as_json(),
            "quick": self.quick,
            "started": self.started,
            "commit": self.commit,
            "rows": [row.as_json() for row in self.rows],
            "failures": [{"bench": name, "what": what} for name, what in self.failures],
            "seconds": round(self.seconds, 1),
            "benchSeconds": {name: round(took, 1) for name, took in self.bench_seconds.items()},
        }


def machine_lines(machine: Machine, sync: SyncCost, lang: Language) -> list[str]:
    """Two lines, printed before anything is measured."""
    return [
        _MACHINE.format(
            lang,
            cpu=machine.cpu,
            cores=machine.cores,
            memory=machine.memory_gib,
            kernel=machine.kernel,
            python=machine.python,
            fs=machine.file_system,
            load=machine.load[0],
        ),
        _SYNC.format(lang, rate=sync.rate, p50=sync.p50 * 1e6, p99=sync.p99 * 1e6, rounds=sync.rounds),
    ]


def table_lines(rows: Sequence[Row], lang: Language) -> list[str]:
    """The table (Markdown), a line for each thing that stands beside a row, then the notes by number."""
    cells: list[list[str]] = []
    notes: list[str] = []
    for row in rows:
        mark = ""
        if row.note is not None:
            notes.append(row.note.choose(lang))
            mark = f" [{len(notes)}]"
        first, *rest = row.beside or (None,)
        cells.append(
            [
                row.what.choose(lang) + mark,
                row.reach.show(lang) if row.reach else "",
                row.measured.show(),
                *_beside(row, first, lang),
                _MET[row.met].choose(lang),
            ]
        )
        cells += [["", "", "", *_beside(row, other, lang), ""] for other in rest]
    lines = _markdown([[head.choose(lang) for head in _HEADS], *cells])
    if notes:
        lines += ["", f"{_NOTES.choose(lang)}:"]
        lines += [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return lines


def summary_lines(result: Result, lang: Language) -> list[str]:
    """What did not finish, and the count."""
    lines = [f"{_FAILED.choose(lang)}: {name}: {what}" for name, what in result.failures]
    met = [row.met for row in result.rows]
    lines.append(
        _TOTAL.format(
            lang,
            seconds=result.seconds,
            met=met.count(True),
            missed=met.count(False),
            failed=len(result.failures),
        )
    )
    return lines


RESULTS = (
    "<!-- results: written by `python -m benchmarks --doc docs/benchmarks.md` -->",
    "<!-- end of results -->",
)


def document(text: str, result: Result) -> str:
    """`text` with the results between its two marks replaced, in both languages."""
    first, last = RESULTS
    before, _, rest = text.partition(first)
    _, found, after = rest.partition(last)
    if not found:
        raise ValueError("the document has no place for results")
    lines = [first]
    headings: tuple[tuple[Language, str], ...] = (("zh", "## 结果"), ("en", "## Results"))
    for lang, heading in headings:
        lines += ["", heading, "", _WHEN.format(lang, started=result.started, commit=result.commit)]
        lines += ["", *(f"* {line}" for line in machine_lines(result.machine, result.sync, lang))]
        lines += ["", *table_lines(result.rows, lang), "", *summary_lines(result, lang)]
    return before + "\n".join([*lines, "", last]) + after


def _beside(row: Row, other: Beside | None, lang: Language) -> list[str]:
    if other is None:
        return ["", ""]
    name = other.name.choose(lang)
    ratio = row.ratio(other)
    shown = "" if ratio is None else f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}"
    return [name if other.figure is None else f"{name}: {other.figure.show()}", shown]


def _markdown(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(_width(line[at]) for line in cells) for at in range(len(cells[0]))]

    def one(line: Sequence[str]) -> str:
        padded = (text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True))
        return "| " + " | ".join(padded) + " |"

    return [one(cells[0]), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(one, cells[1:])]


def _width(text: str) -> int:
    """Columns on a terminal; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
