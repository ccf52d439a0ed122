"""`caseledger gateway`: the HTTP service of one organisation's log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("gateway", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from ledger_gateway.serve import run as serve
    from ledger_gateway.settings import load

    serve(load(args.home))
    return 0
