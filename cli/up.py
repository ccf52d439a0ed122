"""`caseledger up`: start database, chain, contracts, log, gateway, worker."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cli import local
from protocol.i18n import language

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    parser = local.add_parser("up", subparsers, help_text)
    parser.add_argument("--validators", type=int, metavar="N", help="1 – 7")
    parser.add_argument("--witnesses", type=int, metavar="N", help="0 – 4")
    parser.add_argument("--authorities", type=int, metavar="N", help="0 – 2")
    parser.add_argument(
        "--test-clock", action="store_true", default=None, help=local.words("test-clock", language())
    )


def run(args: argparse.Namespace) -> int:
    """Run it."""
    return local.up(args)
