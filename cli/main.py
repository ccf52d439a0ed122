"""The `caseledger` command. Each subcommand is a module of this room, imported only when it is the one
called.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence

from protocol.errors import CaseledgerError

# name -> (module, Chinese help, English help). A module has add_parser(subparsers, help_text) and run(args)
# -> int.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "verify": (
        "cli.verify",
        "离线核验收据（或整个文件夹）",
        "verify a receipt, or a folder of them, offline",
    ),
    "certificate": (
        "cli.certificate",
        "出具核验证书（PDF、HTML），内附收据",
        "certificates of a verification, PDF and HTML, with the receipts inside",
    ),
    "trust": (
        "cli.trust",
        "信任文件：查看、指纹、接受、签署、新建",
        "trust files: show, fingerprint, accept, sign, new",
    ),
    "keys": (
        "cli.keys",
        "密钥文件：新建、列出",
        "key files: new, list",
    ),
    "deploy": (
        "cli.deploy",
        "部署合约，或核对已部署的合约",
        "deploy the contracts, or check those that are there",
    ),
    "act": (
        "cli.act",
        "机构自己的行为：密钥轮换、治理；经自有节点发送",
        "an organisation's own acts: key rotation, governance; sent through its own node",
    ),
    "up": (
        "cli.up",
        "启动本地账本：数据库、链、合约、日志、网关",
        "start a local ledger: database, chain, contracts, log, gateway",
    ),
    "down": ("cli.down", "停止本地账本，数据保留", "stop the local ledger; data is kept"),
    "status": ("cli.status", "本地账本现况", "what runs of the local ledger"),
    "reset": ("cli.reset", "停止并删除本地账本（先询问）", "stop and delete the local ledger; asks first"),
    "demo": (
        "cli.demo",
        "一页看懂：存证、断网核验、篡改被指出",
        "the story in a page: anchor, verify without a network, tampering is named",
    ),
    "evidence": (
        "cli.evidence",
        "存证：登记、提交、收据、查找",
        "evidence: add, list, show, receipt, wait, find, open",
    ),
    "case": (
        "cli.case",
        "案件：导入模板、批量导入、批次",
        "cases: import template, bulk import, batches",
    ),
    "stats": (
        "cli.stats",
        "案件统计：仅凭一个节点重新计算并比对",
        "case statistics: compute them again from a node alone, and compare",
    ),
    "receipt": (
        "cli.receipt",
        "收据：换成其他格式、重新取链上证明",
        "a receipt: in other formats, proved again under an open epoch",
    ),
    "renew": (
        "cli.renew",
        "证书或算法到期前为收据加盖新的时间戳",
        "stamp receipts again before a certificate or an algorithm ends",
    ),
    "net": ("cli.net", "本地网络：启动、停止、状态、演练", "local network: up, down, status, drills"),
    "gateway": ("cli.gateway", "运行网关（HTTP 服务）", "run the gateway, the HTTP service"),
    "worker": ("cli.worker", "运行后台任务：封存、锚定、取证明", "run the worker: seal, anchor, capture"),
    "intake": (
        "cli.intake",
        "运行接收进程：没有代理的机构断点续传，就地核对并封存",
        "run the intake: resumable uploads of institutions without an agent, checked and sealed there",
    ),
    "witness": (
        "cli.witness",
        "运行见证：对照自有节点核对后联署检查点",
        "run a witness: cosign checkpoints after checking them against its own node",
    ),
    "tsa": (
        "cli.tsa",
        "运行开发用时间戳机构（RFC 3161，仅本机）",
        "run a time authority for development (RFC 3161, loopback alone)",
    ),
    "mirror": (
        "cli.mirror",
        "运行镜像：重算每个根，网关不在时仍可核对",
        "run a mirror: compute every root again, answer when the gateway is gone",
    ),
    "fsck": (
        "cli.fsck",
        "重新计算全部存储内容并与链比对",
        "compute all that is stored again and compare it with the chain",
    ),
    "log": (
        "cli.log",
        "日志恢复：密钥被盗或数据库恢复之后",
        "carry on after a stolen anchor key or a restored database",
    ),
    "conformance": (
        "cli.conformance",
        "逐行核验标准输入的 JSON 测试向量，逐行给出结论",
        "check JSON lines on standard input against the specification, one answer a line",
    ),
}
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_TEXTS = {
    "zh": {
        "about": "caseledger：金融纠纷证据存证与核验",
        "commands": "子命令",
        "lang": "界面语言（默认 zh，或环境变量 CASELEDGER_LANG）",
        "json": "以 JSON 输出错误",
        "hint": "提示",
    },
    "en": {
        "about": "caseledger: evidence for financial disputes, verifiable by anyone",
        "commands": "commands",
        "lang": "language (zh by default, or CASELEDGER_LANG)",
        "json": "print errors as JSON",
        "hint": "hint",
    },
}


def _language(argv: Sequence[str]) -> str:
    """Language before parsing, so that help itself is in it."""
    chosen = os.environ.get("CASELEDGER_LANG", "zh")
    for position, argument in enumerate(argv):
        if argument == "--lang" and position + 1 < len(argv):
            chosen = argv[position + 1]
        elif argument.startswith("--lang="):
            chosen = argument.removeprefix("--lang=")
    return "en" if chosen.lower().startswith("en") else "zh"


def _parser(argv: Sequence[str], lang: str) -> argparse.ArgumentParser:
    text = _TEXTS[lang]
    parser = argparse.ArgumentParser(prog="caseledger", description=text["about"])
    parser.add_argument("--lang", choices=["zh", "en"], default=lang, help=text["lang"])
    parser.add_argument("--json", action="store_true", dest="json_errors", help=text["json"])
    subparsers = parser.add_subparsers(dest="command", metavar=text["commands"], required=True)
    wanted = next((argument for argument in argv if argument in COMMANDS), None)
    for name, (module, zh, en) in COMMANDS.items():
        help_text = zh if lang == "zh" else en
        if name == wanted:
            importlib.import_module(module).add_parser(subparsers, help_text)
        else:
            subparsers.add_parser(name, help=help_text)
    return parser


def _report(error: CaseledgerError, lang: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**error.as_dict(), **error.more}, ensure_ascii=False), file=sys.stderr)
        return
    where = f" ({error.field})" if error.field else ""
    print(f"{error.code}: {error.detail}{where}", file=sys.stderr)
    rule = error.more.get("rule")
    if isinstance(rule, dict):
        cited = rule["cite"][lang]
        print(rule["text"][lang] + (f" ({cited})" if cited else ""), file=sys.stderr)
    if error.hint:
        print(f"{_TEXTS[lang]['hint']}: {error.hint}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. Usage errors leave through argparse with code 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    lang = _language(arguments)
    # Subcommands write their help before their own arguments are read.
    os.environ["CASELEDGER_LANG"] = lang
    args = _parser(arguments, lang).parse_args(arguments)
    try:
        code = importlib.import_module(COMMANDS[args.command][0]).run(args)
        return int(code)
    except CaseledgerError as error:
        _report(error, lang, args.json_errors or getattr(args, "json", False))
        return int(getattr(error, "exit_code", EXIT_FAILED))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away; without this, the interpreter complains again while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
