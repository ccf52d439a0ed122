"""`caseledger case receipts` and `case verify`: receipts of a case's events, fetched and checked offline."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from verifier.trust_payload import PinnedContract
    from verifier.verify_case import CaseReport

VERBS = ("receipts", "verify")
_TEXTS = {
    "receipts": Text("取回一起案件每一步的收据", "fetch the receipt of every event of a case"),
    "verify": Text("离线核验案件收据", "verify receipts of cases, offline"),
    "cases": Text(
        "案件合约记录 cases.json，另行取得；仅在信任文件未载明案件合约时需要",
        "record of the case contracts, cases.json, which came another way; for a trust file that names none",
    ),
    "written": Text("收据 {count} 份，已写入 {folder}", "{count} receipts written to {folder}"),
    "skipped": Text("第 {sequence} 号：{code}，稍后再取", "number {sequence}: {code}; ask again later"),
    "hole": Text(
        "案件 {case}：缺少版本 {versions} 的收据，有步骤没有出示。",
        "case {case}: no receipt of version {versions}; a step is not shown.",
    ),
    "whole": Text(
        "案件 {case}：版本 1 至 {last} 没有缺口。", "case {case}: versions 1 to {last} without a hole."
    ),
}


def add_verbs(verbs: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs."""
    lang = language()
    for name in VERBS:
        one = verbs.add_parser(name, help=_TEXTS[name].choose(lang), description=_TEXTS[name].choose(lang))
        one.add_argument("--home", default=None, metavar="DIR")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--trust", type=Path, metavar="FILE", required=name == "verify")
        one.add_argument("--json", action="store_true")
        if name == "receipts":
            one.add_argument("case", metavar="CASE")
            one.add_argument("--out", type=Path, required=True, metavar="DIR")
            one.add_argument("--gateway", action="append", metavar="URL")
            one.add_argument("--key", metavar="NAME")
        else:
            one.add_argument("files", nargs="+", type=Path, metavar="FILE")
            one.add_argument("--cases", type=Path, metavar="FILE", help=_TEXTS["cases"].choose(lang))
            one.add_argument("--at", type=int, metavar="SECONDS", help="evaluation time")


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    lang = language(getattr(args, "lang", None))
    return _receipts(args, lang) if args.verb == "receipts" else _verify(args, lang)


def _receipts(args: argparse.Namespace, lang: Language) -> int:
    from agent.errors import GatewayRefused
    from cli.case_read import case_id_of, connected
    from verifier.case_receipt import SUFFIX

    args.out.mkdir(parents=True, exist_ok=True)
    written, skipped = [], []
    with connected(args) as client:
        case_id = case_id_of(client, args.case)
        for event in client.read_cases(f"cases/{case_id}/timeline")["events"]:
            sequence = int(event["receipt"]["sequence"])
            try:
                data = client.read_case_file(f"cases/{case_id}/timeline/{sequence}/receipt")
            except GatewayRefused as error:
                skipped.append((sequence, error.code))
                continue
            path = args.out / f"{case_id[:12]}-{event['version']:04d}-{sequence}{SUFFIX}"
            path.write_bytes(data)
            written.append(str(path))
    if args.json:
        print(json.dumps({"written": written, "skipped": [list(one) for one in skipped]}))
    else:
        print(_TEXTS["written"].format(lang, count=len(written), folder=args.out))
        for sequence, code in skipped:
            print(_TEXTS["skipped"].format(lang, sequence=sequence, code=code))
    return 3 if skipped else 0


def _verify(args: argparse.Namespace, lang: Language) -> int:
    from verifier.verify_case import holes, verify_case_receipt

    trust, pin = args.trust.read_bytes(), _pin(args.cases)
    at = int(time.time()) if args.at is None else args.at
    reports = [verify_case_receipt(path.read_bytes(), trust, at=at, pin=pin) for path in args.files]
    missing = holes(reports)
    if args.json:
        found = [{"file": str(path), **one.as_dict()} for path, one in zip(args.files, reports, strict=True)]
        print(json.dumps({"receipts": found, "holes": {k.hex(): v for k, v in missing.items()}}))
    else:
        _print(args.files, reports, missing, lang)
    return max(report.result.exit_code for report in reports)


def _print(
    files: list[Path], reports: list[CaseReport], missing: dict[bytes, tuple[int, ...]], lang: Language
) -> None:
    for path, report in zip(files, reports, strict=True):
        print(f"{report.result.value}  {path.name}")
        for verdict in report.verdicts:
            if verdict.status.value != "PASS":
                print(f"    {verdict.name}: {verdict.status.value} {verdict.code} {verdict.detail}".rstrip())
    for case_id, versions in missing.items():
        last = max(
            one.receipt.event.version
            for one in reports
            if one.receipt is not None and one.receipt.event.case_id == case_id
        )
        name = "hole" if versions else "whole"
        shown = ", ".join(map(str, versions))
        print(_TEXTS[name].format(lang, case=case_id.hex()[:12], versions=shown, last=last))


def _pin(path: Path | None) -> PinnedContract | None:
    if path is None:
        return None
    from chain.bindings import CASE_LEDGER
    from chain.case_record import load
    from verifier.trust_payload import PinnedContract

    deployed = load(path).deployed[CASE_LEDGER]
    return PinnedContract(deployed.address, deployed.code_hash)
