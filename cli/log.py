"""`caseledger log …`: what an operator does after a stolen anchor key or a restored database."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_TEXTS = {
    "home": Text("数据目录", "home folder"),
    "json": Text("以 JSON 输出", "print JSON"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "plan": Text(
        "比较本库与链上，给出可关闭的大小", "compare database and chain: where the log can be closed"
    ),
    "release": Text(
        "与链一致后，重新开放停住的日志", "open a halted log again, once it agrees with the chain"
    ),
    "succeed": Text(
        "治理已关闭旧日志并开通后继后，在本库登记后继", "record the successor that governance opened"
    ),
    "custody": Text(
        "治理开通流转日志后，在本库登记",
        "record the custody log that governance opened beside the evidence log",
    ),
    "begin": Text(
        "在后继日志写入延续条目，并重新登记本机构未入旧日志的条目",
        "write the successor's first entry, and log one's own leaves beyond the closed size again",
    ),
    "rehash": Text(
        "散列续期：把日志的全部叶与正文在 SHA3-256 下再固定一次，并取时间戳；中断后重复即可继续",
        "hash renewal: fix all leaves and bodies once more under SHA3-256 and have them stamped; goes on "
        "after an interruption",
    ),
    "size": Text("到此大小（默认最新已锚定的批次）", "up to this size (the newest anchored batch)"),
    "runs": Text("只列进度", "show progress only"),
    "rehashed": Text(
        "{size} 叶，根 {root}，时间戳：{names}", "{size} leaves, root {root}, stamped by {names}"
    ),
    "running": Text("{size} 叶中完成 {done}", "{done} of {size} leaves"),
    "no-token": Text("没有取得时间戳：{name}：{why}", "no token: {name}: {why}"),
    "no-run": Text("没有散列续期", "no hash renewal"),
    "origin": Text("后继日志的来源名", "the successor's origin"),
    "act_key": Text("运营方的行为密钥文件", "the operator's act key file"),
    "sizes": Text(
        "链上 {head_size} 叶（{head_batches} 批），本库一致到 {own_size} 叶（{own_batches} 批），"
        "已受理 {accepted} 叶",
        "chain: {head_size} leaves in {head_batches} batches; the database agrees up to {own_size} in "
        "{own_batches}; accepted {accepted}",
    ),
    "same": Text("两边一致，无需关闭。", "Both agree; nothing has to be closed."),
    "forked": Text(
        "链上有本库没有的批次。密钥被盗：关闭于 {own_size}；数据库恢复自备份：关闭于 {head_size}。",
        "The chain holds batches that the database does not. Stolen key: close at {own_size}; "
        "restored database: close at {head_size}.",
    ),
    "released": Text("已重新开放。", "Open again."),
    "recorded": Text(
        "已登记后继日志。把 caseledger.toml 的 log_origin 改为它，并重启网关与后台任务。",
        "Recorded. Set log_origin in caseledger.toml to it, and restart gateway and worker.",
    ),
    "kept": Text(
        "已登记流转日志 {origin}。请重启网关与后台任务。",
        "Recorded custody log {origin}. Restart gateway and worker.",
    ),
    "began": Text(
        "延续条目 {entry}；重新登记 {count} 叶。其他机构由其代理重新提交。",
        "Continuation {entry}; {count} leaves logged again. Other organisations' agents send theirs again.",
    ),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `log` and its verbs."""
    lang = language()
    parser = subparsers.add_parser("log", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in ("plan", "release", "succeed", "begin", "custody", "rehash"):
        words = _TEXTS[name].choose(lang)
        one = verbs.add_parser(name, help=words, description=words)
        one.add_argument("--home", type=Path, metavar="DIR", help=_TEXTS["home"].choose(lang))
        one.add_argument("--json", action="store_true", help=_TEXTS["json"].choose(lang))
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        if name == "succeed":
            one.add_argument("origin", metavar="ORIGIN", help=_TEXTS["origin"].choose(lang))
        if name == "rehash":
            one.add_argument("--size", type=int, metavar="N", help=_TEXTS["size"].choose(lang))
            one.add_argument("--progress", action="store_true", help=_TEXTS["runs"].choose(lang))
        if name == "begin":
            one.add_argument("key", type=Path, metavar="KEYFILE", help=_TEXTS["act_key"].choose(lang))


def run(args: argparse.Namespace) -> int:
    """Do one step; 0, or an error."""
    lang = language(getattr(args, "lang", None))
    if args.verb == "rehash":
        return _rehash(args, lang)
    verbs = {
        "plan": _plan, "release": _release, "succeed": _succeed, "begin": _begin, "custody": _custody,
    }  # fmt: skip
    value, words = verbs[args.verb](args, lang)
    print(json.dumps(value, ensure_ascii=False) if args.json else words)
    return 0


def _rehash(args: argparse.Namespace, lang: Language) -> int:
    """0 when the tree is finished and every authority stamped it, else 1."""
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    def told(done: int, size: int) -> None:
        if not args.json:
            print(_TEXTS["running"].format(lang, done=done, size=size), file=sys.stderr, flush=True)

    troubles: dict[str, str] = {}
    if args.progress:
        runs = asyncio.run(maintenance.rehash_progress(load(args.home)))
    else:
        one, troubles = asyncio.run(maintenance.rehash(load(args.home), args.size, told))
        runs = [one]
    if args.json:
        rows = [
            {
                "size": one.size, "done": one.done, "root": one.root.hex() if one.root else None,
                "stampedBy": list(one.authorities),
            }
            for one in runs
        ]  # fmt: skip
        print(json.dumps({"runs": rows, "troubles": troubles}, ensure_ascii=False))
    else:
        for one in runs:
            facts = {"size": one.size, "done": one.done, "names": ", ".join(one.authorities) or "-"}
            root = one.root.hex() if one.root else ""
            print(_TEXTS["rehashed" if one.root else "running"].format(lang, root=root, **facts))
        for name, why in troubles.items():
            print(_TEXTS["no-token"].format(lang, name=name, why=why))
        if not runs:
            print(_TEXTS["no-run"].choose(lang))
    stamped = args.progress or all(one.authorities for one in runs)
    return 0 if stamped and not troubles else 1


def _plan(args: argparse.Namespace, lang: Language) -> tuple[object, str]:
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    choice = asyncio.run(maintenance.plan(load(args.home)))
    facts = asdict(choice)
    verdict = _TEXTS["forked" if choice.forked else "same"].format(lang, **facts)
    return facts | {"forked": choice.forked}, f"{_TEXTS['sizes'].format(lang, **facts)}\n{verdict}"


def _release(args: argparse.Namespace, lang: Language) -> tuple[object, str]:
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    asyncio.run(maintenance.release(load(args.home)))
    return {"open": True}, _TEXTS["released"].choose(lang)


def _succeed(args: argparse.Namespace, lang: Language) -> tuple[object, str]:
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    log = asyncio.run(maintenance.succeed(load(args.home), args.origin))
    return {"origin": log.origin, "logId": log.log_id.hex()}, _TEXTS["recorded"].choose(lang)


def _custody(args: argparse.Namespace, lang: Language) -> tuple[object, str]:
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    log = asyncio.run(maintenance.add_custody(load(args.home)))
    words = _TEXTS["kept"].format(lang, origin=log.origin)
    return {"origin": log.origin, "logId": log.log_id.hex()}, words


def _begin(args: argparse.Namespace, lang: Language) -> tuple[object, str]:
    from ledger_gateway import maintenance
    from ledger_gateway.settings import load

    entry, count = asyncio.run(maintenance.begin(load(args.home), args.key))
    return (
        {"continuation": entry.hex(), "loggedAgain": count},
        _TEXTS["began"].format(lang, entry=entry.hex(), count=count),
    )
