"""`caseledger intake`: take files of banks without an agent, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_TEXTS = {
    "home": Text("此进程的数据目录，与网关的分开", "this process's home folder, apart from the gateway's"),
    "listen": Text("监听地址", "where to listen"),
    "runs": Text(
        "接收机构 {organisations} 的文件，监听 {listen}",
        "taking files of organisations {organisations}, listening at {listen}",
    ),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("intake", help=help_text, description=help_text)
    parser.add_argument("--home", metavar="DIR", help=_TEXTS["home"].choose(lang))
    where = "127.0.0.1:8795"
    parser.add_argument("--listen", default=where, metavar="HOST:PORT", help=_TEXTS["listen"].choose(lang))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from agent.profile import home_of
    from cli.witness import listen_address
    from intake_server.serve import serve
    from intake_server.settings import read_settings
    from ledger_gateway import logs

    host, port = listen_address(args.listen)
    settings = read_settings(home_of(args.home), host, port)
    logs.configure()
    shown = ", ".join(str(one) for one in sorted(settings.organisations))
    lang = language(getattr(args, "lang", None))
    asyncio.run(
        serve(
            settings,
            lambda: print(_TEXTS["runs"].format(lang, organisations=shown, listen=args.listen), flush=True),
        )
    )
    return 0
