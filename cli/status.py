"""`caseledger status`: what runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cli import local

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    local.add_parser("status", subparsers, help_text)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    return local.status(args)
