"""`caseledger worker`: seals, anchors and captures proofs for one log, and sends transactions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("worker", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM."""
    import uvloop

    from ledger_gateway import logs
    from ledger_gateway.settings import load
    from ledger_gateway.worker import run as work

    settings = load(args.home)
    logs.configure(settings.log_level)
    uvloop.run(work(settings))
    return 0
