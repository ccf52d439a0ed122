"""`caseledger fsck`: compute everything that is stored again, and compare it with the chain."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

EXIT_FINDINGS = 20

_TEXTS = {
    "home": Text("数据目录", "home folder"),
    "rebuild": Text(
        "先重建一切可推导的内容（树砖、链上索引）", "first rebuild what is derived (tiles, chain index)"
    ),
    "no_chain": Text("不与链比对（链停时用）", "do not compare with the chain (when it is stopped)"),
    "json": Text("以 JSON 输出", "print JSON"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "looked": Text(
        "已核对：日志 {logs}，叶 {leaves}，提交 {submissions}，正文 {bodies}，批次 {batches}，"
        "收据证明 {proofs}",
        "checked: logs {logs}, leaves {leaves}, submissions {submissions}, bodies {bodies}, "
        "batches {batches}, receipt proofs {proofs}",
    ),
    "clean": Text("没有发现问题。", "Nothing wrong was found."),
    "clean_no_chain": Text(
        "没有发现问题；未与链比对。", "Nothing wrong was found; not compared with the chain."
    ),
    "found": Text("发现 {count} 处：", "{count} findings:"),
    "more": Text("……还有更多", "… and more"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `fsck`."""
    lang = language()
    parser = subparsers.add_parser("fsck", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR", help=_TEXTS["home"].choose(lang))
    parser.add_argument("--rebuild", action="store_true", help=_TEXTS["rebuild"].choose(lang))
    parser.add_argument("--no-chain", action="store_true", help=_TEXTS["no_chain"].choose(lang))
    parser.add_argument("--json", action="store_true", help=_TEXTS["json"].choose(lang))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Check; 0 when all is as it should be, 20 when something is not."""
    from ledger_gateway.maintenance import check
    from ledger_gateway.settings import load

    lang = language(getattr(args, "lang", None))

    def progress(leaves: int) -> None:
        if sys.stderr.isatty() and not args.json:
            print(f"\r{leaves}", end="", file=sys.stderr, flush=True)

    report = asyncio.run(
        check(load(args.home), rebuild=args.rebuild, with_chain=not args.no_chain, progress=progress)
    )
    if args.json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        counts = ("logs", "leaves", "submissions", "bodies", "batches", "proofs")
        print(_TEXTS["looked"].format(lang, **{name: getattr(report, name) for name in counts}))
        if report.clean:
            print(_TEXTS["clean" if report.chain_compared else "clean_no_chain"].choose(lang))
        else:
            print(_TEXTS["found"].format(lang, count=len(report.findings)))
            for finding in report.findings:
                print(f"  {finding.code}  {finding.origin}  {finding.place}  {finding.detail}")
            if report.more:
                print(_TEXTS["more"].choose(lang))
    return 0 if report.clean else EXIT_FINDINGS
