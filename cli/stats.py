"""`caseledger stats recompute`: statistics of cases from a node alone, the same bytes as a gateway's."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from chain.case_events import CaseEvents
    from chain.case_record import CaseRecord
    from chain.deployment import Deployment

EXIT_DIFFERS = 20
_MAX_REPORT = 64 << 20
_SUFFIX = "*.cltotals"
_VIEWS = ("public", "full", "own")

_TEXTS = {
    "recompute": Text(
        "仅凭一个节点重新计算统计数据", "compute the statistics again from a node alone"
    ),
    "from_chain": Text("从链上事件计算", "from the chain's events"),
    "home": Text("数据目录，内有 deployment.json 与 cases.json", "home with deployment.json and cases.json"),
    "rpc": Text("自有节点的地址（可重复）；默认取部署记录", "own node's address, repeatable"),
    "to_block": Text(
        "计至这个区块（默认为 --compare 那份所写的，否则最新的最终区块）",
        "up to this block (that of the report to compare with, else the newest final one)",
    ),
    "view": Text("public：隐去小数目；full：全部；own：一家机构", "public: small cells withheld; full; own"),
    "owner": Text("机构编号，用于 own", "the institution's number, for own"),
    "totals": Text(
        "机构交来的批次合计文件（文件或文件夹，可重复）",
        "openings of batch totals: file or folder, repeatable",
    ),
    "out": Text("写入文件，不写到标准输出", "write to a file, not to standard output"),
    "compare": Text("与这份统计逐字节比较", "compare with this report, byte by byte"),
    "json": Text("错误以 JSON 输出", "print errors as JSON"),
    "read": Text(
        "区块 {block}：CaseBatches 事件 {batches} 个，CaseLedger 事件 {ledger} 个，序号无缺",
        "block {block}: {batches} events of CaseBatches, {ledger} of CaseLedger, no number missing",
    ),
    "test_clock": Text("TEST CLOCK：期限以秒计，不作数", "TEST CLOCK: clocks run in seconds"),
    "same": Text("✓ 与 {file} 逐字节相同", "✓ the same bytes as {file}"),
    "differs": Text("✗ 与 {file} 不同：", "✗ not what {file} says:"),
    "trouble": Text("批次合计 {name}：{trouble}", "totals {name}: {trouble}"),
}  # fmt: skip


class ReportUnreadable(CaseledgerError):
    """The file to compare with is no report, or the totals are not there."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "file not readable"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `stats`."""
    lang = language()
    parser = subparsers.add_parser("stats", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", required=True)
    about = _TEXTS["recompute"].choose(lang)
    verb = verbs.add_parser("recompute", help=about, description=about)
    verb.add_argument("--from-chain", action="store_true", required=True, help=_say("from_chain", lang))
    verb.add_argument("--home", type=Path, metavar="DIR", help=_say("home", lang))
    verb.add_argument("--rpc", action="append", default=[], metavar="URL", help=_say("rpc", lang))
    verb.add_argument("--to-block", type=int, metavar="N", help=_say("to_block", lang))
    verb.add_argument("--view", choices=_VIEWS, help=_say("view", lang))
    verb.add_argument("--owner", type=int, metavar="N", help=_say("owner", lang))
    verb.add_argument(
        "--totals", type=Path, action="append", metavar="PATH", help=_say("totals", lang)
    )  # fmt: skip
    verb.add_argument("--out", type=Path, metavar="FILE", help=_say("out", lang))
    verb.add_argument("--compare", type=Path, metavar="FILE", help=_say("compare", lang))
    verb.add_argument("--json", action="store_true", help=_say("json", lang))
    verb.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Compute; 0, or 20 when the report to compare with says something else."""
    from cases.statistics import Query, View, canonical, report
    from cases.statistics_chain import from_chain
    from chain import case_record, deployment
    from chain.configuration import pool_of

    lang = language(getattr(args, "lang", None))
    home = args.home or Path(".caseledger")
    wanted = None if args.compare is None else _read(args.compare)
    asked = _asked(args, wanted)
    query = Query(View(asked.view), asked.owner)
    placed, record = deployment.load(home), case_record.load(home)
    openings = None if args.totals is None else list(_openings(args.totals))
    seen = asyncio.run(_read_chain(placed, record, args.rpc, asked.block, pool_of))
    source = from_chain(seen, record.contracts)
    _tell("read", lang, block=seen.head.number, batches=len(seen.batches), ledger=len(seen.ledger))
    if any(policy.test_clock for policy in source.snapshot.policies):
        _tell("test_clock", lang)
    made = report(source.histories(), source.snapshot, query, openings)
    for trouble in made.get("sums", {}).get("troubles", ()):
        _tell("trouble", lang, **trouble)
    data = canonical(made)
    if args.out is not None:
        args.out.write_bytes(data)
    elif wanted is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0 if wanted is None else _compare(data, made, wanted, args.compare, lang)


async def _read_chain(
    placed: Deployment, record: CaseRecord, rpc: list[str], block: int | None, pool_of: Any
) -> CaseEvents:
    from chain.case_events import read_all

    def progress(block: int, last: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{block}/{last}", end="" if block < last else "\n", file=sys.stderr, flush=True)

    async with pool_of(placed, tuple(rpc)) as pool:
        return await read_all(pool, record, to_block=block, progress=progress)


@dataclass(frozen=True)
class _Asked:
    """Which report is computed."""

    view: str
    owner: int | None
    block: int | None


def _asked(args: argparse.Namespace, wanted: bytes | None) -> _Asked:
    """As the caller says; what is left open, as the report to compare with says of itself.

    Whatever that report says, it is computed from the chain, so a false statement only makes it differ.
    """
    stated: Any = {}
    if wanted is not None:
        with suppress(ValueError, RecursionError):
            stated = json.loads(wanted)
    query, snapshot = (_member(stated, name) for name in ("query", "snapshot"))
    view, owner, block = _member(query, "view"), _member(query, "owner"), _member(snapshot, "block")
    return _Asked(
        args.view or (view if view in _VIEWS else _VIEWS[0]),
        args.owner if args.view or args.owner is not None or type(owner) is not int else owner,
        args.to_block if args.to_block is not None or type(block) is not int or block < 0 else block,
    )


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _openings(paths: list[Path]) -> Iterator[bytes]:
    """Every opening file; folders are not searched further down."""
    from protocol.case_totals import MAX_FILE

    for path in paths:
        for one in sorted(path.glob(_SUFFIX)) if path.is_dir() else [path]:
            try:
                with one.open("rb") as file:
                    yield file.read(MAX_FILE + 1)
            except OSError:
                raise ReportUnreadable(f"cannot read {one.name}", field="totals") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_REPORT)
    except OSError:
        raise ReportUnreadable(f"cannot read {path.name}", field="compare") from None


def _compare(data: bytes, made: dict[str, Any], wanted: bytes, path: Path, lang: Language) -> int:
    if data == wanted:
        print(_TEXTS["same"].format(lang, file=path.name))
        return 0
    print(_TEXTS["differs"].format(lang, file=path.name))
    try:
        other = json.loads(wanted)
    except ValueError:
        print("  JSON?")
        return EXIT_DIFFERS
    lines = list(differences(made, other))
    for line in lines[:20]:
        print(f"  {line}")
    if len(lines) > 20:
        print(f"  … {len(lines) - 20}")
    if not lines:
        print("  (canonical form)")
    return EXIT_DIFFERS


def differences(here: Any, there: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ: member, what was computed, what is said."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in sorted(here.keys() | there.keys()):
            yield from differences(here.get(name), there.get(name), f"{path}.{name}" if path else name)
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for at, (one, other) in enumerate(zip(here, there, strict=True)):
            name = one.get("key", one.get("figure", at)) if isinstance(one, dict) else at
            yield from differences(one, other, f"{path}[{name}]")
    elif here != there or type(here) is not type(there):
        shown = [json.dumps(value, ensure_ascii=False) for value in (here, there)]
        yield f"{path}: {shown[0][:80]} ≠ {shown[1][:80]}"


def _say(name: str, lang: Language) -> str:
    return _TEXTS[name].choose(lang)


def _tell(name: str, lang: Language, **values: Any) -> None:
    print(_TEXTS[name].format(lang, **values), file=sys.stderr)
