"""`caseledger net`: a local BFT network on loopback."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import unicodedata
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from chain.networks.state import NetworkStatus, NodeStatus

EXIT_DOWN = 3

_HELP = {
    "up": Text(
        "创建（若无）并启动网络；已停的节点会重新启动",
        "create the network if there is none, start what is down",
    ),
    "down": Text("停止全部节点，数据保留", "stop all nodes, data is kept"),
    "status": Text("各节点：角色、高度、签名、磁盘增长", "each node: role, height, signing, disk growth"),
    "kill": Text("强行终止一个节点（演练）", "kill one node (drill)"),
    "restart": Text("重新启动一个节点", "restart one node"),
    "join": Text("让后备节点成为验证者", "let a reserve node become a validator"),
    "leave": Text("让验证者取回全部质押并退出", "let a validator take back its bond and leave"),
    "reset": Text("停止并删除网络、数据与密钥", "stop, and delete network, data and keys"),
}
_TEXT = {
    "validators": Text("验证者数目，1 至 7（默认 1）", "number of validators, 1 to 7 (default 1)"),
    "reserve": Text("另备的后备节点数", "further homes that may join later"),
    "block": Text(
        "出块间隔，如 1s（默认约 0.5 秒）", "time between blocks, such as 1s (about 0.5 s by default)"
    ),
    "engine": Text("cometbft（默认）或 clique", "cometbft (default) or clique"),
    "home": Text(
        "数据目录（默认 CASELEDGER_HOME 或 .caseledger）", "data folder (CASELEDGER_HOME or .caseledger)"
    ),
    "json": Text("以 JSON 输出", "print JSON"),
    "yes": Text("不再询问", "do not ask"),
    "node": Text("节点编号，自 1 起", "number of the node, from 1"),
    "action": Text("操作", "actions"),
    "up": Text("网络已启动：{n} 个节点，{s:.1f} 秒", "network is up: {n} nodes, {s:.1f} s"),
    "down": Text("已停止 {n} 个节点", "stopped {n} nodes"),
    "killed": Text("节点 {n} 已终止", "node {n} killed"),
    "was_dead": Text("节点 {n} 本来就没有运行", "node {n} was not running"),
    "restarted": Text("节点 {n} 已恢复，{s:.1f} 秒", "node {n} is back, {s:.1f} s"),
    "joined": Text("节点 {n} 已成为验证者，{s:.1f} 秒", "node {n} is a validator now, {s:.1f} s"),
    "left": Text("节点 {n} 已退出验证者集合，{s:.1f} 秒", "node {n} has left the validator set, {s:.1f} s"),
    "ask": Text(
        "将删除 {p} 下的整个网络、数据与密钥，无法恢复。输入 yes 继续：",
        "This deletes the network under {p} with data and keys, for good. Type yes to go on: ",
    ),
    "kept": Text("未改动", "nothing changed"),
    "gone": Text("网络已删除", "network deleted"),
    "chain": Text(
        "链 {c}（EVM 链号 {e}），运行 {r}/{n}，每块 {b} 秒",
        "chain {c} (EVM id {e}), {r}/{n} running, {b} s a block",
    ),
    "halted": Text("没有新区块", "no new blocks"),
    "set": Text("验证者集合哈希", "validators_hash"),
    "differ": Text("节点间不一致", "nodes differ"),
}
_COLUMNS = (
    Text("节点", "node"),
    Text("管理方", "controller"),
    Text("角色", "role"),
    Text("高度", "height"),
    Text("距上一块", "block age"),
    Text("对等", "peers"),
    Text("签名", "signs"),
    Text("票权", "power"),
    Text("内存", "memory"),
    Text("磁盘", "disk"),
    Text("每日增长", "growth a day"),
)
_ROLES = {"archive": Text("归档", "archive"), "pruned": Text("裁剪", "pruned")}
_CONTROLLERS = {
    "bank-association": Text("银行业协会", "bank association"),
    "centre": Text("一站式中心", "centre"),
    "court": Text("法院", "court"),
    "regulator": Text("监管机构", "regulator"),
    "insurance-association": Text("保险业协会", "insurance association"),
    "securities-association": Text("证券业协会", "securities association"),
    "notary-chamber": Text("公证处", "notary chamber"),
    "enforcement-bureau": Text("执行局", "enforcement bureau"),
    "consumer-council": Text("消费者委员会", "consumer council"),
    "university": Text("高校", "university"),
}


def _default_home() -> Path:
    return Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")


def add_parser(subparsers: Any, help_text: str = "", lang: Language | None = None) -> None:
    """Add `net` and its actions to the command's parser."""
    words = lang or language(_asked_language())
    parser = subparsers.add_parser("net", help=help_text, description=help_text)
    actions = parser.add_subparsers(dest="action", metavar=_TEXT["action"].choose(words), required=True)
    for name, text in _HELP.items():
        action = actions.add_parser(name, help=text.choose(words), description=text.choose(words))
        action.add_argument("--home", type=Path, default=None, help=_TEXT["home"].choose(words))
        action.add_argument("--json", action="store_true", help=_TEXT["json"].choose(words))
        if name == "up":
            action.add_argument(
                "--validators", type=int, default=None, help=_TEXT["validators"].choose(words)
            )
            action.add_argument(
                "--engine", choices=["cometbft", "clique"], default=None, help=_TEXT["engine"].choose(words)
            )
            action.add_argument("--reserve", type=int, default=0, help=_TEXT["reserve"].choose(words))
            action.add_argument("--block-time", default=None, help=_TEXT["block"].choose(words))
        if name in ("kill", "restart", "join", "leave"):
            action.add_argument("node", type=int, help=_TEXT["node"].choose(words))
        if name == "reset":
            action.add_argument("--yes", action="store_true", help=_TEXT["yes"].choose(words))


def _asked_language() -> str | None:
    """`--lang` as it was given, before parsing: help is printed while parsing."""
    for position, word in enumerate(sys.argv):
        if word == "--lang" and position + 1 < len(sys.argv):
            return sys.argv[position + 1]
        if word.startswith("--lang="):
            return word.removeprefix("--lang=")
    return None


def run(args: argparse.Namespace) -> int:
    """Do the action. Exit code 0, or 3 from `status` when no blocks are made. Errors are raised."""
    from chain.networks.cometbft import CometNetwork
    from cli import net_clique

    lang = language(getattr(args, "lang", None))
    home = (args.home or _default_home()).resolve()
    begun = time.monotonic()

    def progress(text: str) -> None:
        if not args.json:
            print(f"  {text}", file=sys.stderr, flush=True)

    def say(name: str, **values: object) -> int:
        if args.json:
            print(json.dumps({"done": name, **values}, ensure_ascii=False, default=str))
        else:
            print(_TEXT[name].format(lang, **values))
        return 0

    clique = net_clique.existing(home)
    if args.action == "up" and (args.engine == "clique" or (args.engine is None and clique is not None)):
        made = net_clique.up(args, home, progress)
        return say("up", n=len(made.rpc_urls), s=time.monotonic() - begun)
    if args.action == "up":
        options: dict[str, Any] = {"reserve": args.reserve} if args.reserve else {}
        if args.block_time:
            options["timeout_commit"] = args.block_time
        started = CometNetwork.ensure(home, validators=args.validators, progress=progress, **options)
        started.up(progress=progress)
        return say("up", n=len(started.rpc_urls), s=time.monotonic() - begun)
    network = clique or CometNetwork.load(home)
    if args.action == "down":
        return say("down", n=network.down())
    if args.action == "status" and isinstance(network, CometNetwork):
        status = network.status()
        print(_as_json(status) if args.json else _as_table(status, lang))
        return 0 if status.moving else EXIT_DOWN
    if args.action == "status" and clique is not None:
        return 0 if net_clique.show(clique, args, lang) else EXIT_DOWN
    if args.action == "kill":
        return say("killed" if network.kill(args.node) else "was_dead", n=args.node)
    if args.action == "restart":
        network.restart(args.node, progress=progress)
        return say("restarted", n=args.node, s=time.monotonic() - begun)
    if args.action in ("join", "leave") and not isinstance(network, CometNetwork):
        raise net_clique.ActionNotOnThisEngine("signers are voted in and out by the signers", field="action")
    if args.action == "join" and isinstance(network, CometNetwork):
        return say("joined", n=args.node, s=network.join(args.node, progress=progress))
    if args.action == "leave" and isinstance(network, CometNetwork):
        return say("left", n=args.node, s=network.leave(args.node))
    if not args.yes:
        answer = input(_TEXT["ask"].format(lang, p=home)) if sys.stdin.isatty() else ""
        if answer.strip().lower() != "yes":
            say("kept")
            return 1
    network.reset()
    return say("gone")


def _as_json(status: NetworkStatus) -> str:
    return json.dumps({**asdict(status), "moving": status.moving}, ensure_ascii=False, indent=1)


def _as_table(status: NetworkStatus, lang: Language) -> str:
    dash = "–"
    rows = [[column.choose(lang) for column in _COLUMNS]]
    rows += [_row(node, lang) for node in status.nodes]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    block = f"{status.block_seconds:.2f}" if status.block_seconds else dash
    lines = [
        _TEXT["chain"].format(
            lang,
            c=status.chain_id,
            e=status.evm_chain_id,
            r=status.running,
            n=len(status.nodes),
            b=block,
        )
    ]
    if not status.moving:
        lines.append(_TEXT["halted"].choose(lang))
    lines += [
        "  ".join(c + " " * (w - _width(c)) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    note = "" if len(status.validators_hashes) < 2 else f"  ({_TEXT['differ'].choose(lang)})"
    lines.append(f"{_TEXT['set'].choose(lang)}  {', '.join(status.validators_hashes) or dash}{note}")
    return "\n".join(lines)


def _row(node: NodeStatus, lang: Language) -> list[str]:
    def show(value: object, form: str = "{}") -> str:
        return "–" if value is None else form.format(value)

    def megabytes(value: int | None) -> str:
        return "–" if value is None else f"{value / 1e6:.0f} MB"

    signs = None if node.signs is None else Text("是", "yes") if node.signs else Text("否", "no")
    state = show(node.height) if node.running else Text("已停", "down").choose(lang)
    return [
        str(node.number),
        controller_name(node.controller, lang),
        _ROLES[node.role].choose(lang),
        state,
        show(node.block_age, "{:.1f} s"),
        show(node.peers),
        "–" if signs is None else signs.choose(lang),
        show(node.voting_power),
        megabytes(node.memory_bytes),
        megabytes(node.disk_bytes),
        megabytes(node.disk_bytes_per_day),
    ]


def controller_name(slug: str, lang: Language) -> str:
    """Who controls a node, as people call it."""
    known = _CONTROLLERS.get(slug)
    return known.choose(lang) if known else slug


def _width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
