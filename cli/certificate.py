"""`caseledger certificate`: a verification as a document, PDF and HTML, with the receipts inside."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.custody_lines import sheet_beside
from cli.verify import (
    BadArgument,
    CannotRead,
    describe,
    digest_file,
    held_trust,
    pairs,
    parse_time,
    printable,
    read_bounded,
    statement_beside,
)
from protocol.hashing import sha256
from protocol.i18n import Language, Text, language
from protocol.identifiers import parse_hex32
from protocol.provenance import MAX_STATEMENT
from verifier.custody import MAX_SHEET
from verifier.receipt import MAX_RECEIPT, SUFFIX
from verifier.trust import MAX_TRUST
from verifier.verdict import Report, Result
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from evidence.certificate.signing import SigningKey

CHECK_URL = "CASELEDGER_CHECK_URL"
MAX_KEY_FILE = 1_048_576
MAX_PAGE = 16_777_216
MAX_SHOWN = 20
_LANGUAGES: dict[str, tuple[Language, ...]] = {"zh": ("zh",), "en": ("en",), "both": ("zh", "en")}
_GOOD = (Result.VALID, Result.VALID_REDUCED_TRUST)
_WORST = (Result.INVALID, Result.INDETERMINATE, Result.VALID_REDUCED_TRUST, Result.VALID)
_TEXTS = {
    "receipts": Text("收据（.clr）或文件夹，可多个", "receipts (.clr) or folders of them"),
    "trust": Text("信任文件（默认为已接受的那一份）", "trust file (the accepted one by default)"),
    "file": Text(
        "对应的文件，按收据的顺序；或文件所在的文件夹（默认找收据旁边的同名文件）",
        "the documents, in the order of the receipts; or their folder (by default those beside the receipts)",
    ),
    "out": Text("输出文件夹（默认当前）", "output folder (this one by default)"),
    "at": Text("核验时点（默认现在）", "evaluation time (now by default)"),
    "case": Text("案件编号（64 位十六进制）", "case id (64 hex digits)"),
    "lang": Text("证书语言：zh、en 或 both（默认）", "language of the certificate: zh, en or both (default)"),
    "sign": Text("签名密钥（PEM 文件）", "signing key (PEM file)"),
    "certificate": Text(
        "签名证书（PEM，可带上级证书）", "certificate of the key (PEM, may have its chain behind it)"
    ),
    "chain": Text("上级证书（PEM）", "certificates above it (PEM)"),
    "root": Text("根证书：签名方与时间戳机构的", "roots, of the signer and of the time authority"),
    "revocation": Text(
        "吊销列表；给出后签名为 B-LTA 级", "revocation lists; with them the signature has level B-LTA"
    ),
    "password": Text("密钥口令所在的文件", "file with the key's password"),
    "authority": Text(
        "时间戳机构：网址，或本地时间戳机构的文件夹", "time authority: URL, or folder of a local one"
    ),
    "url": Text(
        "二维码打开的公开核验页（默认取 CASELEDGER_CHECK_URL）",
        "the public check that the QR code opens (CASELEDGER_CHECK_URL by default)",
    ),
    "page": Text(
        "核验页文件；证书写明其摘要", "file of the verification page; the certificate gives its digest"
    ),
    "statement": Text(
        "签发方自述（JSON：operator、filingNumber、organisations）",
        "the issuer's own statement (JSON: operator, filingNumber, organisations)",
    ),
    "new": Text(
        "新建开发用签名密钥与证书，写入该文件夹", "make a development key and certificate in this folder"
    ),
    "name": Text("证书名称（与 --new-key 同用）", "name in the certificate (with --new-key)"),
    "json": Text("输出 JSON", "print JSON"),
    "home": Text("数据目录", "home folder"),
}


@dataclass(frozen=True)
class _Checked:
    path: Path
    file: Path | None
    data: bytes
    report: Report
    provenance: bytes | None
    custody: bytes | None


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("certificate", help=help_text, description=help_text)

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    parser.add_argument("receipts", type=Path, metavar="RECEIPT", nargs="*", help=words("receipts"))
    parser.add_argument("--trust", type=Path, help=words("trust"))
    parser.add_argument("--file", type=Path, action="append", default=[], help=words("file"))
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help=words("out"))
    parser.add_argument("--at", metavar="TIME", help=words("at"))
    parser.add_argument("--case", metavar="HEX", help=words("case"))
    parser.add_argument("--lang", dest="written", choices=[*_LANGUAGES], default="both", help=words("lang"))
    parser.add_argument("--sign", type=Path, metavar="KEY", help=words("sign"))
    parser.add_argument("--certificate", type=Path, metavar="PEM", help=words("certificate"))
    parser.add_argument("--chain", type=Path, metavar="PEM", help=words("chain"))
    for name in ("root", "revocation"):
        parser.add_argument(
            f"--{name}", type=Path, action="append", default=[], metavar="FILE", help=words(name)
        )
    parser.add_argument("--password-file", type=Path, metavar="FILE", help=words("password"))
    parser.add_argument("--time-authority", metavar="URL", help=words("authority"))
    parser.add_argument("--check-url", metavar="URL", help=words("url"))
    parser.add_argument("--check-page", type=Path, metavar="FILE", help=words("page"))
    parser.add_argument("--statement", type=Path, metavar="JSON", help=words("statement"))
    parser.add_argument("--new-key", type=Path, metavar="DIR", help=words("new"))
    parser.add_argument("--name", default="caseledger development", help=words("name"))
    parser.add_argument("--json", action="store_true", help=words("json"))
    parser.add_argument("--home", type=Path, help=words("home"))


def run(args: argparse.Namespace) -> int:
    """Verify, then write certificates; 0 or 10, or 20 or 30 and no certificate."""
    if args.new_key is not None:
        return _new_key(args)
    if not args.receipts:
        raise BadArgument("name a receipt or a folder", field="RECEIPT")
    key, trust = _key(args), read_bounded(args.trust or held_trust(args.home), MAX_TRUST)
    checked = list(_verify(args, trust))
    if not checked:
        raise CannotRead(f"no {SUFFIX} file", field="RECEIPT")
    worst = next(one for one in _WORST if any(each.report.result is one for each in checked))
    if worst not in _GOOD:
        _refuse(args, checked, worst, language())
        return worst.exit_code
    return _issue(args, checked, trust, key, worst)


def _new_key(args: argparse.Namespace) -> int:
    from evidence.certificate import development

    if args.new_key.exists():
        raise BadArgument(f"{args.new_key} exists already", field="--new-key")
    try:
        development.save(development.make_signer(args.name, int(time.time())), args.new_key)
    except (OSError, ValueError) as error:
        raise CannotRead(f"{args.new_key}: {type(error).__name__}", field="--new-key") from None
    made = Text("已建开发用密钥与证书：{path}", "made a development key and certificate: {path}")
    print(
        json.dumps({"path": str(args.new_key)}) if args.json else made.format(language(), path=args.new_key)
    )
    return 0


def _key(args: argparse.Namespace) -> SigningKey | None:
    if args.sign is None:
        given = [
            name
            for name in ("certificate", "chain", "password_file", "time_authority")
            if getattr(args, name)
        ]
        if given or args.root or args.revocation:
            raise BadArgument("goes with --sign", field=f"--{(given or ['root'])[0].replace('_', '-')}")
        return None
    if args.certificate is None or args.time_authority is None:
        raise BadArgument("--sign needs --certificate and --time-authority", field="--sign")
    from evidence.certificate.signing import SigningKey

    password = read_bounded(args.password_file, MAX_KEY_FILE).rstrip(b"\r\n") if args.password_file else None
    return SigningKey.parse(
        read_bounded(args.sign, MAX_KEY_FILE),
        read_bounded(args.certificate, MAX_KEY_FILE),
        chain=read_bounded(args.chain, MAX_KEY_FILE) if args.chain else b"",
        roots=[read_bounded(path, MAX_KEY_FILE) for path in args.root],
        revoked=[read_bounded(path, MAX_KEY_FILE) for path in args.revocation],
        password=password,
    )


def _verify(args: argparse.Namespace, trust: bytes) -> Iterator[_Checked]:
    at = parse_time(args.at) if args.at else int(time.time())
    case = parse_hex32(args.case, "--case") if args.case else None
    for path, file in _wanted(args.receipts, args.file):
        data = read_bounded(path, MAX_RECEIPT)
        content = digest_file(file) if file else None
        beside = statement_beside(path, data)
        statement = read_bounded(beside, MAX_STATEMENT) if beside else None
        sheet = sheet_beside(path)
        custody = None if sheet is None else read_bounded(sheet, MAX_SHEET)
        report = verify_receipt(
            data, trust, content=content, at=at, case_id=case, provenance=statement,
            custody=None if custody is None else CustodyShown(custody),
        )  # fmt: skip
        yield _Checked(path, file, data, report, statement, custody)


def _wanted(receipts: Sequence[Path], files: Sequence[Path]) -> Iterator[tuple[Path, Path | None]]:
    """Each receipt with its document."""
    folder = files[0] if len(files) == 1 and files[0].is_dir() else None
    if files and folder is None and (len(files) != len(receipts) or any(one.is_dir() for one in receipts)):
        raise BadArgument("one file a receipt, or one folder", field="--file")
    for at, receipt in enumerate(receipts):
        if receipt.is_dir():
            yield from pairs(receipt, folder)
        elif files and folder is None:
            yield receipt, files[at]
        else:
            beside = (folder or receipt.parent) / receipt.name.removesuffix(SUFFIX)
            yield receipt, beside if beside != receipt and beside.is_file() else None


def _refuse(args: argparse.Namespace, checked: Sequence[_Checked], worst: Result, lang: Language) -> None:
    bad = [one for one in checked if one.report.result not in _GOOD]
    if args.json:
        results = Counter(one.report.result.value for one in checked)
        rows = [{"receipt": str(one.path), **one.report.as_dict()} for one in bad]
        document = {"exitCode": worst.exit_code, "certificate": None, "summary": results, "results": rows}
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    said = Text(
        "未出具证书：{n} 份收据中有 {bad} 份未通过核验。",
        "No certificate: {bad} of {n} receipts did not verify.",
    )
    print(said.format(lang, n=len(checked), bad=len(bad)))
    for one in bad[:MAX_SHOWN]:
        print()
        print("\n".join(describe(one.report, one.path, one.file, lang)))
    if len(bad) > MAX_SHOWN:
        print(f"\n… +{len(bad) - MAX_SHOWN}")


def _issue(
    args: argparse.Namespace,
    checked: Sequence[_Checked],
    trust: bytes,
    key: SigningKey | None,
    worst: Result,
) -> int:
    from evidence.certificate import html, pdf
    from evidence.certificate.build import Options, build
    from evidence.certificate.entries import Entry
    from evidence.certificate.statement import MAX_STATEMENT as MAX_CLAIMS
    from evidence.certificate.statement import Statement

    page = read_bounded(args.check_page, MAX_PAGE) if args.check_page else None
    statement = read_bounded(args.statement, MAX_CLAIMS) if args.statement else b"{}"
    options = Options(
        _LANGUAGES[args.written],
        _check_url(args.check_url or os.environ.get(CHECK_URL)),
        sha256(page).hex() if page is not None else None,
        key.name if key else None,
        Statement.parse(statement),
    )
    entries = [
        Entry(
            one.data,
            one.path.name,
            one.file.name if one.file else None,
            one.report,
            one.provenance,
            one.custody,
        )
        for one in checked
    ]
    document = build(entries, trust, options)
    made = pdf.render(document)
    if key is not None:
        from evidence.certificate.authority import asking
        from evidence.certificate.signing import sign

        made = sign(made, key, asking(args.time_authority))
    stem = args.out / f"certificate-{document.code}"
    paths = stem.with_suffix(".pdf"), stem.with_suffix(".html")
    _write(paths[0], made)
    _write(paths[1], html.render(document))
    if args.json:
        print(
            json.dumps(
                {
                    "exitCode": worst.exit_code, "result": worst.value, "code": document.code,
                    "entries": len(entries), "signedBy": options.signer, "pdf": str(paths[0]),
                    "html": str(paths[1]),
                },
                ensure_ascii=False, indent=2,
            )
        )  # fmt: skip
    else:
        said = Text(
            "{result}  已出具证书，共 {n} 份记录，核验码 {code}",
            "{result}  certificate issued for {n} entries, check code {code}",
        )
        print(said.format(language(), result=worst.value, n=len(entries), code=document.code))
        print("\n".join(printable(str(path)) for path in paths))
    return worst.exit_code


def _check_url(url: str | None) -> str | None:
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or len(url) > 200:
        raise BadArgument("an http or https address without a fragment is expected", field="--check-url")
    if parts.username or parts.password or not url.isascii() or any(one.isspace() for one in url):
        raise BadArgument("plain ASCII, without a user's name", field="--check-url")
    return url


def _write(path: Path, data: bytes) -> None:
    """The whole file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}", field="--out") from None
