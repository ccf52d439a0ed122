"""`caseledger renew`: a further time stamp over a receipt, before a certificate or an algorithm ends."""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from protocol.errors import CaseledgerError, MalformedInput
from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.renewing import Standing
    from verifier.receipt import Receipt

WITHIN_DAYS = 180
DAY = 86_400
_TEXTS = {
    "paths": Text("收据文件或文件夹", "receipts, or folders of them"),
    "url": Text(
        "时间戳机构地址（默认取自 [[time_authority]]）", "time authority ([[time_authority]] by default)"
    ),
    "chain": Text("机构的中间证书（PEM 或 DER）", "the authority's intermediate certificates (PEM or DER)"),
    "within": Text("到期前多少天续期（默认 180）", "renew this many days before the end (180)"),
    "all": Text("不论是否到期", "whether due or not"),
    "due": Text("只列到期日，不续期", "list due dates, renew nothing"),
    "rehash": Text(
        "散列续期：收据及其文件（或文件夹）在 SHA3-256 下再固定一次",
        "hash renewal: fix the receipts and their document (or folder of documents) once more under SHA3-256",
    ),
    "imprint": Text("摘要算法（默认 sha256）", "digest (sha256)"),
    "metrics": Text("把最近到期日写成 Prometheus 文本", "write the earliest due date as Prometheus text"),
    "trust": Text("信任文件（默认为已接受的那一份）", "trust file (the accepted one by default)"),
    "line": Text("{state}  {until}  {path}", "{state}  {until}  {path}"),
    "renewed": Text("已续期", "renewed"),
    "fine": Text("未到期", "not due"),
    "due-now": Text("应续期", "due"),
    "rehash-due": Text("应作散列续期", "hash renewal due"),
    "never": Text("无时间戳", "no token"),
    "no-end": Text("无期限", "no end"),
}


Row: TypeAlias = "tuple[Path, str, Standing, CaseledgerError | None]"
"""A receipt, what became of it, what its tokens are worth, why it could not be renewed."""


class NoTimeAuthority(CaseledgerError):
    """No time authority to ask."""

    title = "no time authority"


@dataclass(frozen=True)
class Source:
    """Where to ask. `chain`: certificates (DER) between its signer and its root."""

    url: str
    chain: tuple[bytes, ...] = ()


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("renew", help=help_text, description=help_text)

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    parser.add_argument("paths", nargs="+", type=Path, metavar="RECEIPT", help=words("paths"))
    parser.add_argument("--url", metavar="URL", help=words("url"))
    parser.add_argument("--chain", type=Path, metavar="FILE", help=words("chain"))
    parser.add_argument("--within", type=int, default=WITHIN_DAYS, metavar="DAYS", help=words("within"))
    parser.add_argument("--all", action="store_true", help=words("all"))
    parser.add_argument("--due", action="store_true", help=words("due"))
    parser.add_argument("--rehash", type=Path, metavar="FILE|DIR", help=words("rehash"))
    parser.add_argument("--imprint", choices=["sha256", "sm3"], default="sha256", help=words("imprint"))
    parser.add_argument("--metrics", type=Path, metavar="FILE", help=words("metrics"))
    parser.add_argument("--trust", type=Path, metavar="FILE", help=words("trust"))
    parser.add_argument("--home", type=Path, metavar="DIR")
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Renew what is due; 0, or 1 when something that is due could not be renewed."""
    from agent.rehashing import renewed_until_end
    from agent.renewing import payload_of, standing
    from cli.receipt import read_receipt, read_trust
    from cli.renew_rehash import end_lines, end_metrics

    lang = language(getattr(args, "lang", None))
    trust = read_trust(args)
    payload, now = payload_of(trust), int(time.time())
    if args.rehash is not None:
        from agent.rehashing import Authority
        from agent.renewing import http_ask
        from cli import renew_rehash

        asked = [Authority(http_ask(one.url), one.chain) for one in _sources(args)]
        return renew_rehash.run(args, lang, trust, list(_receipts(args.paths)), asked)
    sources = [] if args.due else _sources(args)
    rows: list[Row] = []
    code = unrenewed = 0
    first = min((end for _, end in payload.algorithm_ends), default=None)
    for path in _receipts(args.paths):
        receipt = read_receipt(path)
        held = standing(receipt, payload, now)
        state = "fine" if held.authorities else "never"
        error: CaseledgerError | None = None
        if held.authorities and (args.all or held.due(now, args.within * DAY)):
            state = "due-now"
            if not args.due:
                try:
                    receipt = _renew(args, receipt, held, trust, sources, path)
                    held, state = standing(receipt, payload, int(time.time())), "renewed"
                except CaseledgerError as failure:
                    error, code = failure, 1
        if first is not None and not renewed_until_end(receipt, payload, now):
            unrenewed += 1
            if args.due and state != "due-now" and first <= now + args.within * DAY:
                state = "rehash-due"
        rows.append((path, state, held, error))
    if args.metrics is not None:
        _write_metrics(args.metrics, [held for _, _, held, _ in rows], end_metrics(payload, unrenewed))
    if not args.json:
        for line in end_lines(payload, now, lang):
            print(line)
    _show(args, lang, rows)
    return code


def _renew(
    args: argparse.Namespace,
    receipt: Receipt,
    held: Standing,
    trust: bytes,
    sources: Sequence[Source],
    path: Path,
) -> Receipt:
    """By the first authority whose token the verifier takes and that keeps it longer; written in place."""
    from agent.renewing import RenewalRefused, http_ask, payload_of, renew, standing
    from cli.receipt import write_whole

    failure: CaseledgerError | None = None
    for source in sources:
        try:
            out = renew(
                receipt, trust, http_ask(source.url), int(time.time()) + 5,
                algorithm=args.imprint, certificates=source.chain,
            )  # fmt: skip
        except CaseledgerError as error:
            failure = failure or error
            continue
        until = standing(out, payload_of(trust), int(time.time())).until
        if not args.all and until is not None and until <= (held.until or 0):
            failure = failure or RenewalRefused("the authority's certificate ends no later", field="renewal")
            continue
        write_whole(path, out.encode())
        return out
    raise failure or NoTimeAuthority()


def _sources(args: argparse.Namespace) -> list[Source]:
    """`--url`, or the tables `[[time_authority]]` of the home.

    Raises:
        NoTimeAuthority, MalformedInput, CannotRead
    """
    from agent.profile import home_of
    from cli.verify import read_bounded

    if args.url:
        chain = _certificates(read_bounded(args.chain, 1 << 18)) if args.chain else ()
        return [Source(args.url, chain)]
    home = home_of(None if args.home is None else str(args.home))
    path = home / "caseledger.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise MalformedInput("caseledger.toml is not TOML", field="caseledger.toml") from None
    found = []
    for table in document.get("time_authority", []):
        if not isinstance(table, dict) or not isinstance(table.get("url"), str):
            raise MalformedInput("a url is expected", field="time_authority")
        between = table.get("chain")
        certificates = (
            _certificates(read_bounded(home / between, 1 << 18)) if isinstance(between, str) else ()
        )
        found.append(Source(table["url"], certificates))
    if not found:
        raise NoTimeAuthority(
            "none is named", field="time_authority", hint="--url, or [[time_authority]] in caseledger.toml"
        )
    return found


def _certificates(data: bytes) -> tuple[bytes, ...]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        if b"-----BEGIN" in data:
            found = x509.load_pem_x509_certificates(data)
        else:
            found = [x509.load_der_x509_certificate(data)]
    except ValueError:
        raise MalformedInput("neither PEM nor DER certificates", field="chain") from None
    return tuple(one.public_bytes(Encoding.DER) for one in found)


def _receipts(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*.clr") if one.is_file())
        else:
            yield path


def _write_metrics(path: Path, standings: Sequence[Standing], more: Sequence[str]) -> None:
    """For the textfile collector of a node exporter; no name of a file or case."""
    from cli.receipt import write_whole

    ends = [one.until for one in standings if one.until is not None]
    lines = [
        "# HELP caseledger_receipts_renewal_due_seconds When the first receipt's tokens end, seconds UTC.",
        "# TYPE caseledger_receipts_renewal_due_seconds gauge",
        *([f"caseledger_receipts_renewal_due_seconds {min(ends)}"] if ends else []),
        "# HELP caseledger_receipts Receipts looked at, by whether a token counts.",
        "# TYPE caseledger_receipts gauge",
        f'caseledger_receipts{{token="counts"}} {sum(bool(one.authorities) for one in standings)}',
        f'caseledger_receipts{{token="none"}} {sum(not one.authorities for one in standings)}',
        *more,
    ]
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def _show(
    args: argparse.Namespace,
    lang: Language,
    rows: Sequence[tuple[Path, str, Standing, CaseledgerError | None]],
) -> None:
    if args.json:
        shown = [
            {
                "path": str(path), "state": state, "authorities": list(held.authorities),
                "until": held.until, "error": None if error is None else error.as_dict(),
            }
            for path, state, held, error in rows
        ]  # fmt: skip
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    for path, state, held, error in rows:
        until = _TEXTS["no-end"].choose(lang) if held.authorities else "-"
        if held.until is not None:
            until = f"{datetime.fromtimestamp(held.until, UTC):%Y-%m-%d}"
        words = _TEXTS[state].choose(lang)
        print(_TEXTS["line"].format(lang, state=words, until=until, path=path))
        if error is not None:
            print(f"  {error.code}: {error.detail}")
