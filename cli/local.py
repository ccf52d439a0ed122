"""What `caseledger up`, `down`, `status` and `reset` have in common: the local ledger of a home."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from cli.stack import StackState

EXIT_DOWN = 3

_TEXTS = {
    "starting": Text("启动本地账本", "starting the local ledger"),
    "ready": Text("就绪，{seconds:.0f} 秒。数据目录 {home}", "ready in {seconds:.0f} s; data under {home}"),
    "next": Text(
        "试一试：caseledger evidence add 文件… --case 案号 --class contract --wait",
        "try: caseledger evidence add FILE… --case REF --class contract --wait",
    ),
    "down": Text("已停止，数据保留。", "stopped; data is kept."),
    "ask": Text(
        "将删除 {home} 下的账本、数据库、密钥与本机登记簿，无法恢复。输入 yes 继续：",
        "This deletes ledger, database, keys and journal under {home}, for good. Type yes to go on: ",
    ),
    "kept": Text("未改动。", "nothing changed."),
    "gone": Text("已删除。", "deleted."),
    "database": Text("数据库", "database"),
    "chain": Text("区块链", "chain"),
    "gateway": Text("网关", "gateway"),
    "worker": Text("后台任务", "worker"),
    "witness": Text("见证", "witness"),
    "time": Text("时间戳", "time"),
    "up": Text("运行", "up"),
    "not": Text("未运行", "down"),
    "nodes": Text("{running}/{all} 个节点，{moving}", "{running}/{all} nodes, {moving}"),
    "moving": Text("正在出块", "making blocks"),
    "still": Text("未出块", "no new blocks"),
    "cases": Text("案件", "cases"),
    "test-clock": Text(
        "TEST CLOCK：案件的所有期限按秒计，仅供演示与测试；新的数据目录才可选",
        "TEST CLOCK: every time limit of a case in seconds, for demonstrations and tests; of a new home",
    ),
    "trouble": Text("受阻：{step} {code}", "trouble: {step} {code}"),
}


def words(name: str, lang: Language) -> str:
    """A text of these commands."""
    return _TEXTS[name].choose(lang)


def add_parser(
    name: str, subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str
) -> argparse.ArgumentParser:
    """Register one of the four."""
    parser = subparsers.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
    return parser


def up(args: argparse.Namespace) -> int:
    """Bring everything to life; 0 when healthy, 3 when not."""
    from agent.profile import home_of
    from cli.stack import Narrator, Silent, Stack

    lang = language(args.lang)
    home = args.home.absolute() if args.home else home_of()
    narrator = Silent() if args.json else Narrator(lang)
    started = time.monotonic()
    if not args.json:
        print(_TEXTS["starting"].choose(lang), flush=True)
    state = Stack(home, narrator).up(
        validators=args.validators,
        witnesses=args.witnesses,
        authorities=args.authorities,
        test_clock=args.test_clock,
    )
    if args.json:
        print(json.dumps(state.as_json(), ensure_ascii=False))
    else:
        seconds = time.monotonic() - started
        print(_TEXTS["ready"].format(lang, seconds=seconds, home=home))
        print(_TEXTS["next"].choose(lang))
    return 0 if state.healthy else EXIT_DOWN


def down(args: argparse.Namespace) -> int:
    """Stop everything."""
    from cli.stack import Stack

    stack = Stack(_home(args))
    stack.down()
    if args.json:
        print(json.dumps(stack.state().as_json(), ensure_ascii=False))
    else:
        print(_TEXTS["down"].choose(language(args.lang)))
    return 0


def status(args: argparse.Namespace) -> int:
    """Show what runs; 0 when healthy, 3 when not."""
    from cli.stack import Stack

    state = Stack(_home(args)).state()
    if args.json:
        print(json.dumps(state.as_json(), ensure_ascii=False))
    else:
        _print(args, state)
    return 0 if state.healthy else EXIT_DOWN


def _print(args: argparse.Namespace, state: StackState) -> None:
    lang = language(args.lang)

    def word(name: str) -> str:
        return _TEXTS[name].choose(lang)

    def up(running: bool) -> str:
        return word("up") if running else word("not")

    moving = word("moving") if state.moving else word("still")
    nodes = _TEXTS["nodes"].format(
        lang, running=state.validators_running, all=state.validators, moving=moving
    )
    print(f"{word('database'):<10} {up(state.database)}")
    print(f"{word('chain'):<10} {nodes}")
    for service in state.services:
        where = f"  {state.gateway_url}" if service.name == "gateway" and service.running else ""
        kind, _, who = service.name.partition(":")
        print(f"{word(kind):<10} {up(service.running)}{where}{who and f'  {who}'}")
    if state.cases is not None:
        clock = "  TEST CLOCK" if state.cases["testClock"] else ""
        print(f"{word('cases'):<10} {state.cases['policy']}{clock}")
    evidence = (state.evidence or {}).get("evidence")
    if evidence is not None:
        from cli.people import log_lines

        for log in evidence["logs"]:
            print("\n".join(log_lines(log, lang)))


def reset(args: argparse.Namespace) -> int:
    """Delete the home after asking; 1 when the answer was not yes."""
    from cli.stack import Stack

    lang = language(args.lang)
    home = _home(args)
    if not args.yes:
        print(_TEXTS["ask"].format(lang, home=home), end="", flush=True)
        if sys.stdin.readline().strip() != "yes":
            print(_TEXTS["kept"].choose(lang))
            return 1
    Stack(home).reset()
    print(_TEXTS["gone"].choose(lang))
    return 0


def _home(args: argparse.Namespace) -> Path:
    from agent.profile import home_of

    home: Path = args.home.absolute() if args.home else home_of()
    return home
