"""`caseledger conformance KIND`: JSON lines on standard input, one JSON answer a line on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from protocol.errors import CaseledgerError

DEADLINE = "deadline"
TRIAGE = "triage"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand. Kinds are those of verifier.conformance, `deadline` and `triage`."""
    from verifier.conformance import CHECKS

    kinds = sorted([*CHECKS, DEADLINE, TRIAGE])
    parser = subparsers.add_parser("conformance", help=help_text, description=help_text)
    parser.add_argument("kind", choices=kinds, metavar="KIND", help=" | ".join(kinds))


def run(args: argparse.Namespace) -> int:
    """Answer every line; 0 whatever the verdicts are."""
    stream(args.kind, sys.stdin.buffer, sys.stdout.buffer)
    return 0


def stream(kind: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer each line of `source` as it comes. A line over the limit is read past without being kept."""
    from verifier.errors import JsonLimit
    from verifier.strict_json import MAX_BYTES

    answer, refuse = _answers(kind)
    while line := source.readline(MAX_BYTES + 2):
        text = line.removesuffix(b"\n")
        if len(text) > MAX_BYTES:
            while line and not line.endswith(b"\n"):
                line = source.readline(1 << 16)
            result = refuse(JsonLimit(f"line of more than {MAX_BYTES} bytes"))
        else:
            result = answer(text)
        sink.write(json.dumps(result).encode() + b"\n")
        sink.flush()


def _answers(kind: str) -> tuple[Callable[[bytes], Any], Callable[[CaseledgerError], Any]]:
    """What answers a line of this kind, and what refuses one that was not read."""
    if kind == DEADLINE:
        from cases import conformance

        return conformance.answer, conformance.refusal
    if kind == TRIAGE:
        from cases import conformance, triage_conformance

        return triage_conformance.answer, conformance.refusal
    from verifier.conformance import answer, refusal

    return partial(answer, kind), refusal
