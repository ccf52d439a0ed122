"""`caseledger fsck`: compute everything that is stored again, and compare it with the chain."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction
    from collections.abc import Iterator

    from evidence.fsck_report import Finding, FsckReport

EXIT_FINDINGS = 20

_TEXTS = {
    "home": Text("数据目录", "home folder"),
    "rebuild": Text(
        "先重建树砖与链上索引，再修复其余可推导的内容（先停网关与后台任务）",
        "rebuild tiles and chain index, then repair what else is derived (stop gateway and worker first)",
    ),
    "no_content": Text("不读取存储的密文块", "do not read the stored content"),
    "no_chain": Text("不与链比对（链停时用）", "do not compare with the chain (when it is stopped)"),
    "json": Text("以 JSON 输出", "print JSON"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "looked": Text(
        "已核对：日志 {logs}，叶 {leaves}，提交 {submissions}，正文 {bodies}，批次 {batches}，"
        "收据证明 {proofs}，检查点 {checkpoints}，联署 {cosignatures}，时间戳 {tokens}，"
        "证据记录时间戳 {records}，密文块 {chunks}，案件 {cases}",
        "checked: logs {logs}, leaves {leaves}, submissions {submissions}, bodies {bodies}, "
        "batches {batches}, receipt proofs {proofs}, checkpoints {checkpoints}, cosignatures {cosignatures}, "
        "time tokens {tokens}, record stamps {records}, chunks {chunks}, cases {cases}",
    ),
    "clean": Text("没有发现问题。", "Nothing wrong was found."),
    "clean_no_chain": Text(
        "没有发现问题；未与链比对。", "Nothing wrong was found; not compared with the chain."
    ),
    "found": Text("发现 {count} 处：", "{count} findings:"),
    "repaired": Text("已修复 {count} 处：", "{count} repaired:"),
    "known": Text("已知的损失，后继日志已承诺：", "known losses, which the successor log commits to:"),
    "notes": Text("说明（不是损坏）：", "notes (no damage):"),
    "renewals": Text("续期的时间戳：{count}", "stamps that renew others: {count}"),
    "more": Text("……还有更多", "… and more"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `fsck`."""
    lang = language()
    parser = subparsers.add_parser("fsck", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR", help=_TEXTS["home"].choose(lang))
    parser.add_argument("--rebuild", "--repair", action="store_true", help=_TEXTS["rebuild"].choose(lang))
    parser.add_argument("--no-chain", action="store_true", help=_TEXTS["no_chain"].choose(lang))
    parser.add_argument("--no-content", action="store_true", help=_TEXTS["no_content"].choose(lang))
    parser.add_argument("--json", action="store_true", help=_TEXTS["json"].choose(lang))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Check; 0 when all is as it should be or its loss is known, 20 when something is not."""
    from ledger_gateway.maintenance import check
    from ledger_gateway.settings import load

    def progress(leaves: int) -> None:
        if sys.stderr.isatty() and not args.json:
            print(f"\r{leaves}", end="", file=sys.stderr, flush=True)

    report = asyncio.run(
        check(
            load(args.home),
            rebuild=args.rebuild,
            with_chain=not args.no_chain,
            with_content=not args.no_content,
            progress=progress,
        )
    )
    if args.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        print("\n".join(lines(report, language(getattr(args, "lang", None)))))
    return 0 if report.clean else EXIT_FINDINGS


def lines(report: FsckReport, lang: Language) -> Iterator[str]:
    """The report for a person."""
    counts = (
        "logs", "leaves", "submissions", "bodies", "batches", "proofs", "checkpoints", "cosignatures",
        "tokens", "records", "chunks", "cases",
    )  # fmt: skip
    yield _TEXTS["looked"].format(lang, **{name: getattr(report, name) for name in counts})
    if report.renewals:
        yield _TEXTS["renewals"].format(lang, count=len(report.renewals))
        for one in report.renewals:
            place = f"{one.authority} {one.from_size}.{one.position}"
            yield f"  {one.origin}  {place}  {one.stamped_by}  {one.until}"
    for name, found in (("repaired", report.repaired), ("known", report.known), ("notes", report.notes)):
        if found:
            yield _TEXTS[name].format(lang, count=len(found))
            yield from map(_line, found)
    if report.clean:
        yield _TEXTS["clean" if report.chain_compared else "clean_no_chain"].choose(lang)
    else:
        yield _TEXTS["found"].format(lang, count=len(report.findings))
        yield from map(_line, report.findings)
    if report.more:
        yield _TEXTS["more"].choose(lang)


def _line(finding: Finding) -> str:
    return f"  {finding.code}  {finding.origin}  {finding.place}  {finding.detail}"
