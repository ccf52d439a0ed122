"""`caseledger case …`: each group of verbs is a module of its own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cli import case_act, case_import, case_read, case_reminders, case_triage, case_verify

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `case` and its verbs."""
    parser = subparsers.add_parser("case", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    case_import.add_verbs(verbs)
    case_triage.add_verbs(verbs)
    case_read.add_verbs(verbs)
    case_act.add_verbs(verbs)
    case_verify.add_verbs(verbs)
    case_reminders.add_verbs(verbs)


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    if args.verb in case_triage.VERBS:
        return case_triage.run(args)
    if args.verb in case_read.VERBS:
        return case_read.run(args)
    if args.verb in case_act.VERBS:
        return case_act.run(args)
    if args.verb in case_verify.VERBS:
        return case_verify.run(args)
    if args.verb == case_reminders.VERB:
        return case_reminders.run(args)
    return case_import.run(args)
