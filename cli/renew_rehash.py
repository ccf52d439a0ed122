"""`caseledger renew --rehash`: hash renewal by whoever holds receipts and their documents."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text

if TYPE_CHECKING:
    from agent.rehashing import Authority, Held
    from verifier.trust_payload import TrustPayload

NAMES = ("SHA-256", "SM3")
_TEXTS = {
    "done": Text(
        "已作散列续期 {count} 份（另含 {files} 份文件）",
        "{count} receipts renewed, {files} with their documents",
    ),
    "no-file": Text("没有文件，只续收据：{path}", "no document, the receipt alone is renewed: {path}"),
    "wrong": Text("未续期：{path}：{code}：{detail}", "not renewed: {path}: {code}: {detail}"),
    "end": Text("{name} 终止于 {day}，还有 {days} 天", "{name} ends {day}, in {days} days"),
    "ended": Text("{name} 已于 {day} 终止", "{name} ended {day}"),
}  # fmt: skip


class DocumentMissing(CaseledgerError):
    """`--rehash FILE` goes with one receipt."""

    title = "one receipt for one document"
    exit_code = 2


def run(
    args: argparse.Namespace,
    lang: Language,
    trust: bytes,
    receipts: Sequence[Path],
    authorities: Sequence[Authority],
) -> int:
    """Renew what verifies, each file in place; 0, or 1 when one could not be renewed."""
    from agent.rehashing import check_held, renew_hashes
    from cli.receipt import write_whole

    now = int(time.time()) + 5
    good: list[tuple[Path, Held]] = []
    code = 0
    for path, held in _pairs(args.rehash, receipts):
        try:
            check_held(held, trust, now)
        except CaseledgerError as error:
            code = 1
            print(_TEXTS["wrong"].format(lang, path=path, code=error.code, detail=error.detail))
            continue
        if held.content is None and not args.json:
            print(_TEXTS["no-file"].format(lang, path=path))
        good.append((path, held))
    if good:
        renewed = renew_hashes([held for _, held in good], trust, authorities, now)
        for (path, _), out in zip(good, renewed, strict=True):
            write_whole(path, out.encode())
    files = sum(held.content is not None for _, held in good)
    if args.json:
        print(json.dumps({"renewed": len(good), "withDocument": files, "failed": code}))
    else:
        print(_TEXTS["done"].format(lang, count=len(good), files=files))
    return code


def _pairs(documents: Path, receipts: Sequence[Path]) -> list[tuple[Path, Held]]:
    """Each receipt with its document: the one file, or by name in the folder.

    Raises:
        DocumentMissing, CannotRead, and errors of receipts
    """
    from agent.rehashing import Held
    from cli.receipt import read_receipt
    from cli.verify import digest_file, pairs

    if not documents.is_dir():
        if len(receipts) != 1:
            raise DocumentMissing(f"{len(receipts)} receipts", field="--rehash", hint="name a folder")
        held = Held(read_receipt(receipts[0]), digest_file(documents, renewed=True))
        return [(receipts[0], held)]
    out = []
    for receipt in receipts:
        found = next((file for path, file in pairs(receipt.parent, documents) if path == receipt), None)
        content = None if found is None else digest_file(found, renewed=True)
        out.append((receipt, Held(read_receipt(receipt), content)))
    return out


def end_lines(payload: TrustPayload, now: int, lang: Language) -> list[str]:
    """When algorithms end, one line each."""
    lines = []
    for algorithm, end in payload.algorithm_ends:
        day = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
        text = _TEXTS["ended" if now > end else "end"]
        lines.append(text.format(lang, name=NAMES[algorithm], day=day, days=(end - now) // 86_400))
    return lines


def end_metrics(payload: TrustPayload, unrenewed: int) -> list[str]:
    """Prometheus lines: ends of algorithms, and receipts that no renewal carries past the first."""
    lines = [
        "# HELP caseledger_algorithm_end_seconds Last second of an algorithm by the trust file, seconds UTC.",
        "# TYPE caseledger_algorithm_end_seconds gauge",
    ]
    for algorithm, end in payload.algorithm_ends:
        lines.append(f'caseledger_algorithm_end_seconds{{algorithm="{("sha256", "sm3")[algorithm]}"}} {end}')
    lines += [
        "# HELP caseledger_receipts_without_hash_renewal Receipts that end with the first algorithm.",
        "# TYPE caseledger_receipts_without_hash_renewal gauge",
        f"caseledger_receipts_without_hash_renewal {unrenewed}",
    ]
    return lines
