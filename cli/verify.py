"""`caseledger verify`: check a receipt, or a folder of them, offline. Opens files and nothing else."""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cli.custody_lines import sheet_beside, summary
from protocol.entry import parse_body, parse_class, parse_leaf
from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text, language
from protocol.identifiers import parse_hex32
from protocol.provenance import MAX_STATEMENT
from verifier import wording
from verifier.attested import Rules
from verifier.content import ContentDigests, digest_stream
from verifier.custody import MAX_SHEET
from verifier.receipt import MAX_RECEIPT, SUFFIX, Receipt
from verifier.trust import MAX_TRUST
from verifier.verdict import Changed, Report, Result, Status, Verdict, complete
from verifier.verify import verify_receipt
from verifier.verify_custody import CustodyShown

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HELD_TRUST = "trust/accepted.cltrust"
# A second receipt beside one file carries part of its evidence id: name.<16 hex>.clr.
_DISTINCT = re.compile(r"(.+)\.[0-9a-f]{16}")
_WORST = (Result.INVALID, Result.INDETERMINATE, Result.VALID_REDUCED_TRUST, Result.VALID)
_TEXTS = {
    "receipt": Text("收据文件（.clr）或文件夹", "receipt (.clr), or a folder of them"),
    "file": Text("被证明的文件（或文件所在的文件夹）", "the document (or the folder of documents)"),
    "trust": Text("信任文件（默认为已接受的那一份）", "trust file (the accepted one by default)"),
    "at": Text(
        "核验时点：秒数或带时区的 ISO 8601（默认现在）", "evaluation time: seconds, or ISO 8601 with zone"
    ),
    "case": Text("案件编号（64 位十六进制），核对归属", "case id (64 hex digits): is the entry of this case"),
    "json": Text("输出 JSON", "print JSON"),
    "csv": Text("文件夹：把逐份结果写入 CSV", "folder: write one row a receipt"),
    "explain": Text(
        "逐步说明比对了什么、没有核验什么", "say step by step what was compared, and what was not"
    ),
    "ignore": Text(
        "视为已被攻破的算法：只依其余算法的见证方签名、时间戳与散列续期",
        "take it as broken: only cosignatures, tokens and hash renewals of other algorithms count",
    ),
    "provenance": Text(
        "来源说明（.clp；默认取收据旁的那一份）",
        "provenance statement (.clp; the one beside the receipt by default)",
    ),
    "custody": Text(
        "保管流转单（.clc；默认取收据旁的那一份）",
        "custody sheet (.clc; the one beside the receipt by default)",
    ),
    "event": Text(
        "已知的流转记录的收据：流转单里应当有它（可多次）",
        "receipt of a custody event that the sheet should hold (again for more)",
    ),
    "since": Text("流转单不得早于此时点", "the sheet must not be older than this"),
    "mldsa": Text("计入 ML-DSA-44 见证方签名（试行）", "count ML-DSA-44 cosignatures (experimental)"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "quiet": Text("不输出，只给退出码", "print nothing, only the exit code"),
    "home": Text("数据目录", "home folder"),
}


class CannotRead(CaseledgerError):
    """A file that was named cannot be read; nothing was verified."""

    title: ClassVar[str] = "cannot be read"
    exit_code: ClassVar[int] = 2


class BadArgument(CaseledgerError):
    """An argument that means nothing."""

    title: ClassVar[str] = "argument not understood"
    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class Checked:
    """One receipt of a run; `file` is None where no document was found beside it."""

    receipt: Path
    file: Path | None
    report: Report


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("verify", help=help_text, description=help_text)

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    parser.add_argument("receipt", type=Path, metavar="RECEIPT", help=words("receipt"))
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?", help=words("file"))
    parser.add_argument("--trust", type=Path, help=words("trust"))
    parser.add_argument("--at", metavar="TIME", help=words("at"))
    parser.add_argument("--case", metavar="HEX", help=words("case"))
    parser.add_argument("--json", action="store_true", help=words("json"))
    parser.add_argument("--csv", type=Path, metavar="OUT", help=words("csv"))
    parser.add_argument("--explain", action="store_true", help=words("explain"))
    parser.add_argument("--ignore", choices=["sha256", "sm3", "sha256,sm3"], help=words("ignore"))
    parser.add_argument("--provenance", type=Path, metavar="STATEMENT", help=words("provenance"))
    parser.add_argument("--custody", type=Path, metavar="SHEET", help=words("custody"))
    parser.add_argument(
        "--custody-event", type=Path, action="append", default=[], metavar="RECEIPT", help=words("event")
    )
    parser.add_argument("--custody-since", metavar="TIME", help=words("since"))
    parser.add_argument("--ml-dsa", action="store_true", help=words("mldsa"))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=words("lang"))
    parser.add_argument("--quiet", action="store_true", help=words("quiet"))
    parser.add_argument("--home", type=Path, help=words("home"))


def run(args: argparse.Namespace) -> int:
    """Verify and print; 0, 10, 20, 30, or 2 for what cannot be read."""
    lang = language(getattr(args, "lang", None))
    at = parse_time(args.at) if args.at else int(time.time())
    case_id = _case(args.case)
    trust = read_bounded(args.trust or held_trust(args.home), MAX_TRUST)
    ignored = (args.ignore or "").split(",")
    rules = Rules("sha256" in ignored, args.ml_dsa, "sm3" in ignored)
    if args.receipt.is_dir():
        for name in ("provenance", "custody", "custody_event", "custody_since"):
            if getattr(args, name):
                option = "--" + name.replace("_", "-")
                raise BadArgument(f"{option} goes with one receipt", field=option)
        return _folder(args, trust, at, case_id, lang, rules)
    if args.csv is not None:
        raise BadArgument("--csv goes with a folder", field="--csv")
    custody = _custody(args)
    report = check(args.receipt, args.file, trust, at, case_id, rules, args.provenance, custody)
    if args.json:
        print(json.dumps({"receipt": str(args.receipt), **report.as_dict()}, ensure_ascii=False, indent=2))
    elif not args.quiet:
        print("\n".join(describe(report, args.receipt, args.file, lang, explain=args.explain)))
    return report.result.exit_code


def held_trust(home: Path | None) -> Path:
    """Where `caseledger trust accept` keeps the accepted trust file."""
    return (home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")) / HELD_TRUST


def read_bounded(path: Path, maximum: int) -> bytes:
    """A whole file; one byte over `maximum` is enough for the parser to refuse it.

    Raises:
        CannotRead
    """
    try:
        with open(path, "rb") as source:
            return source.read(maximum + 1)
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}", field=str(path)) from None


def digest_file(path: Path, *, renewed: bool = False) -> ContentDigests:
    """Both digests of a document; `renewed`: SHA3-256 as well.

    Raises:
        CannotRead
    """
    try:
        with open(path, "rb", buffering=0) as source:
            return digest_stream(source, renewed=renewed)
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}", field=str(path)) from None


def parse_time(text: str) -> int:
    """Seconds UTC from digits or from ISO 8601 with a zone.

    Raises:
        BadArgument
    """
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadArgument("seconds, or ISO 8601 with a zone, such as 2026-07-01T00:00:00+08:00", field="--at")
    return int(moment.timestamp())


def _case(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return parse_hex32(text, "--case")
    except CaseledgerError as error:
        raise BadArgument(error.detail, field="--case") from None


def _custody(args: argparse.Namespace) -> CustodyShown | None:
    """What the command names of an item's custody; nothing where there is no sheet either."""
    path = args.custody or sheet_beside(args.receipt)
    if path is None:
        if args.custody_event or args.custody_since:
            raise BadArgument("--custody SHEET is needed", field="--custody")
        return None
    return CustodyShown(
        read_bounded(path, MAX_SHEET),
        tuple(read_bounded(one, MAX_RECEIPT) for one in args.custody_event),
        parse_time(args.custody_since) if args.custody_since else 0,
    )


def check(
    receipt: Path,
    file: Path | None,
    trust: bytes,
    at: int,
    case_id: bytes | None,
    rules: Rules | None = None,
    provenance: Path | None = None,
    custody: CustodyShown | None = None,
) -> Report:
    """Verify one receipt, with its document, provenance statement and custody sheet if there are any."""
    data = read_bounded(receipt, MAX_RECEIPT)
    # A third digest costs time, and only a hash renewal asks for it.
    content = None if file is None else digest_file(file, renewed=b"rehash" in data)
    statement = provenance or statement_beside(receipt, data)
    asked = rules or Rules()
    return verify_receipt(
        data,
        trust,
        content=content,
        at=at,
        case_id=case_id,
        provenance=None if statement is None else read_bounded(statement, MAX_STATEMENT),
        custody=custody,
        ignore_sha256=asked.ignore_sha256,
        mldsa=asked.mldsa,
        ignore_sm3=asked.ignore_sm3,
    )


def statement_beside(receipt: Path, data: bytes) -> Path | None:
    """The provenance statement that the receipt's body names, in the receipt's folder."""
    try:
        core = Receipt.parse(data).core
        body = (
            None if core.body is None else parse_body(core.body, parse_leaf(core.leaf).header.evidence_class)
        )
    except CaseledgerError:
        return None  # the verification says what is wrong with it
    digest = getattr(body, "provenance", None)
    if digest is None:
        return None
    path = receipt.with_name(f"provenance-{digest.hex()[:16]}.clp")
    return path if path.is_file() else None


def _check_or_say(
    receipt: Path, file: Path | None, trust: bytes, at: int, case_id: bytes | None, rules: Rules
) -> Report:
    """As `check`; one unreadable file does not end a folder."""
    try:
        sheet = sheet_beside(receipt)
        custody = None if sheet is None else CustodyShown(read_bounded(sheet, MAX_SHEET))
        return check(receipt, file, trust, at, case_id, rules, None, custody)
    except CannotRead as error:
        unread = Verdict("receipt", Status.INDETERMINATE, error.code, error.detail)
        return Report(at, complete({"receipt": unread}), {})


def pairs(folder: Path, documents: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Receipts under a folder in order, each with its document beside it or at the same place elsewhere."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            # A pipe or a device by this name would never end.
            if not name.endswith(SUFFIX) or not Path(root, name).is_file():
                continue
            stem = name.removesuffix(SUFFIX)
            beside = Path(root) if documents is None else documents / Path(root).relative_to(folder)
            distinct = _DISTINCT.fullmatch(stem)
            candidates = [beside / stem] + ([beside / distinct[1]] if distinct else [])
            yield Path(root, name), next((path for path in candidates if path.is_file()), None)


def _folder(
    args: argparse.Namespace, trust: bytes, at: int, case_id: bytes | None, lang: Language, rules: Rules
) -> int:
    if args.file is not None and not args.file.is_dir():
        raise BadArgument("with a folder of receipts FILE is a folder too", field="FILE")
    checked = [
        Checked(receipt, file, _check_or_say(receipt, file, trust, at, case_id, rules))
        for receipt, file in pairs(args.receipt, args.file)
    ]
    if not checked:
        raise CannotRead(f"{args.receipt}: no {SUFFIX} file", field=str(args.receipt))
    results = Counter(one.report.result for one in checked)
    worst = next(result for result in _WORST if results[result])
    if args.csv is not None:
        _write_csv(args.csv, checked)
    if args.json:
        summary = {result.value: results[result] for result in Result}
        rows = [
            {"receipt": str(one.receipt), "file": str(one.file) if one.file else None, **one.report.as_dict()}
            for one in checked
        ]
        document = {"exitCode": worst.exit_code, "summary": summary, "results": rows}
        print(json.dumps(document, ensure_ascii=False, indent=2))
    elif not args.quiet:
        for one in checked:
            if args.explain:
                print("\n".join(describe(one.report, one.receipt, one.file, lang, explain=True)), end="\n\n")
            else:
                print(_row(one, args.receipt, lang))
        print("\n".join(_summary(checked, results, lang)))
    return worst.exit_code


def _write_csv(path: Path, checked: Sequence[Checked]) -> None:
    try:
        with open(path, "w", newline="", encoding="utf-8-sig") as out:
            rows = csv.writer(out)
            rows.writerow(
                [
                    "receipt",
                    "file",
                    "result",
                    "changed",
                    "codes",
                    "evidenceId",
                    "class",
                    "submitter",
                    "anchoredAt",
                ]
            )
            for one in checked:
                facts, changed = one.report.facts, one.report.changed
                rows.writerow(
                    [
                        _cell(str(one.receipt)), _cell(str(one.file or "")), one.report.result.value,
                        changed.value if changed else "", " ".join(_codes(one.report)),
                        facts.get("evidenceId", ""), facts.get("class", ""), facts.get("submitter", ""),
                        facts.get("anchoredAt", ""),
                    ]
                )  # fmt: skip
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}", field="--csv") from None


def _cell(text: str) -> str:
    """A spreadsheet takes a leading =, +, - or @ for a formula; a file name must not become one."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def _codes(report: Report) -> list[str]:
    bad = (Status.FAIL, Status.INDETERMINATE, Status.REDUCED)
    return list(dict.fromkeys(one.code for one in report.verdicts if one.status in bad))


def printable(text: str) -> str:
    """Text without control and direction characters, which could make a terminal show another outcome."""
    return "".join(
        "?" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text
    )


def _row(one: Checked, folder: Path, lang: Language) -> str:
    name = printable(str(one.receipt.relative_to(folder)))
    why = "; ".join(wording.say_code(code, lang) for code in _codes(one.report))
    if one.file is None:
        why = "; ".join(filter(None, [why, wording.say_code("NoFileGiven", lang)]))
    return f"{one.report.result.value:<20} {name}" + (f"  ({why})" if why else "")


def _summary(checked: Sequence[Checked], results: Counter[Result], lang: Language) -> list[str]:
    total = Text("共 {n} 份收据，其中无对应文件 {bare} 份", "{n} receipts, {bare} of them without a document")
    lines = ["", total.format(lang, n=len(checked), bare=sum(one.file is None for one in checked))]
    lines += [
        f"  {result.value:<20} {results[result]:>6}  {wording.RESULTS[result].choose(lang)}"
        for result in Result
    ]
    return [*lines, wording.LIMITS.choose(lang)]


def describe(
    report: Report, receipt: Path, file: Path | None, lang: Language, *, explain: bool = False
) -> list[str]:
    """The report as lines for a person."""

    def say(zh: str, en: str) -> str:
        return en if lang == "en" else zh

    colon = say("：", ": ")
    lines = [f"{report.result.value}  {wording.RESULTS[report.result].choose(lang)}"]
    if report.changed:
        lines.append(say("改动之处", "changed") + colon + wording.CHANGED[report.changed].choose(lang))
    lines.append(say("收据", "receipt") + colon + printable(str(receipt)))
    lines.append(
        say("文件", "file") + colon + (printable(str(file)) if file else say("未提供", "none given"))
    )
    lines += _facts(report, lang, colon)
    lines.append(say("核验时点", "evaluated at") + colon + moment(report.evaluated_at, lang))
    lines.append("")
    for verdict in report.verdicts:
        words = wording.say_code(verdict.code, lang)
        status = wording.STATUSES[verdict.status].choose(lang)
        name = wording.NAMES[verdict.name].choose(lang)
        lines.append(f"  {_pad(name, 14)}{_pad(status, 14)}{words}".rstrip())
        if explain:
            if verdict.code != "Ok":
                lines.append(
                    f"      {verdict.code}" + (f"  {printable(verdict.detail)}" if verdict.detail else "")
                )
            for what, value in verdict.compared:
                lines.append(f"      {wording.say_compared(what, lang)}{colon}{printable(value)}")
            if verdict.name in wording.NOT_CHECKED:
                missing = wording.NOT_CHECKED[verdict.name].choose(lang)
                lines.append("      " + say("没有核验", "not checked") + colon + missing)
    lines += _attestations(report, lang, colon) if explain else []
    for kind in report.unchecked_attestations:
        words = say("附加证明种类未知，未核验", "attestation of unknown kind, not checked")
        lines.append(f"  {words}{colon}{printable(kind)}")
    return [*lines, "", wording.LIMITS.choose(lang)]


def _attestations(report: Report, lang: Language, colon: str) -> list[str]:
    """What became of each attestation: one line, and what was found."""
    lines = []
    for one in report.attestations:
        kind = wording.KINDS[one.kind].choose(lang)
        status = Text("计入", "counts").choose(lang) if one.code == "Ok" else wording.say_code(one.code, lang)
        head = Text("附加证明 {n}（{kind}）", "attestation {n} ({kind})").format(
            lang, n=one.position, kind=kind
        )
        detail = f"  {printable(one.detail)}" if one.detail else ""
        lines.append(f"  {head}{colon}{status}{detail}")
    return lines


def _facts(report: Report, lang: Language, colon: str) -> list[str]:
    facts = report.facts
    lines = []
    if report.changed in (Changed.RECEIPT, Changed.TRUST_FILE) and "evidenceId" in facts:
        lines.append(Text("以下为收据自述，未经证实", "what the receipt says, unproved").choose(lang) + colon)
    if "evidenceId" in facts:
        kind = parse_class(int(facts["class"] or 0)).label.choose(lang)
        lines.append(Text("证据编号", "evidence id").choose(lang) + colon + str(facts["evidenceId"]))
        line = Text(
            "{kind}，提交机构 {submitter}，日志 {log} 第 {index} 号，入链 {time}{proved}",
            "{kind}, submitted by organisation {submitter}, log {log} index {index}, anchored {time}{proved}",
        )
        stated = Text("（收据自述，链上未经证明）", " (as the receipt says; no chain proved it)")
        opened = report.verdict("append-only").status is Status.PASS
        lines.append(
            line.format(
                lang, kind=kind, submitter=facts["submitter"], log=facts["log"], index=facts["index"],
                time=moment(int(facts["anchoredAt"] or 0), lang),
                proved="" if opened else stated.choose(lang),
            )
        )  # fmt: skip
    if "notLaterThan" in facts and report.verdict("time").status in (Status.PASS, Status.REDUCED):
        by = wording.BOUNDS[str(facts["timeBy"])].choose(lang)
        line = Text("不晚于 {time} 已存在（依据：{by}）", "existed not later than {time} (by {by})")
        lines.append(line.format(lang, time=moment(int(facts["notLaterThan"] or 0), lang), by=by))
    lines += _signed_by(report, lang)
    lines += _provenance(report, lang)
    if report.verdict("custody").status in (Status.PASS, Status.REDUCED):
        lines += summary(facts, lambda seconds: moment(seconds, lang), lang)
    if "ignoredAlgorithm" in facts:
        names = str(facts["ignoredAlgorithm"]).replace("sha256", "SHA-256").replace("sm3", "SM3")
        line = Text("不依赖 {names}（按要求，或已到终止日）", "{names}: not relied on, as asked or ended")
        lines.append(line.format(lang, names=names))
    if "hashRenewedAt" in facts:
        line = Text("散列续期于 {time}", "hash renewal of {time}")
        lines.append(line.format(lang, time=moment(int(facts["hashRenewedAt"] or 0), lang)))
    if "trustFingerprint" in facts:
        name = printable(str(facts["consortiumEn" if lang == "en" else "consortiumZh"]))
        line = Text(
            "信任文件：{name}，序号 {serial}，指纹 {print}",
            "trust file: {name}, serial {serial}, fingerprint {print}",
        )
        lines.append(
            line.format(lang, name=name, serial=facts["trustSerial"], print=facts["trustFingerprint"])
        )
    return lines


def _signed_by(report: Report, lang: Language) -> list[str]:
    """Witnesses and time authorities whose signatures count, by name."""
    compared = [one for verdict in report.verdicts for one in verdict.compared]
    witnesses = {
        name for what, value in compared if what == "witness.quorum"
        for name in value.split(": ", 1)[1].split(", ")[:-1]
    }  # fmt: skip
    authorities = {value.rsplit(": ", 1)[0] for what, value in compared if what == "time.token"}
    lines = []
    for text, names in (
        (Text("见证方签名：{names}", "cosigned by witnesses: {names}"), witnesses),
        (Text("时间戳机构：{names}", "stamped by time authorities: {names}"), authorities),
    ):
        if names:
            lines.append(text.format(lang, names=", ".join(printable(name) for name in sorted(names))))
    return lines


def _provenance(report: Report, lang: Language) -> list[str]:
    """What the statement says, once its binding holds, and how long the document was in one hand."""
    facts, lines = report.facts, []
    if report.verdict("provenance").status is Status.PASS:
        parts = [
            str(facts[name])
            for name in ("sourceSystem", "generatingEvent", "generationMechanism", "collector", "extraction")
            if facts.get(name)
        ]
        line = Text("来源（提交方所述）：{parts}", "provenance, as the submitter states it: {parts}")
        lines.append(line.format(lang, parts=printable("; ".join(parts))))
    if "anchorLag" in facts:
        days = int(facts["anchorLag"] or 0) / 86400
        line = Text("事件至入链 {days:.1f} 天", "{days:.1f} days from the event to the anchor")
        warning = Text("，超过该类材料的期限，请注意", ", longer than this class allows: take note")
        late = warning.choose(lang) if facts["anchorLagLong"] else ""
        lines.append(line.format(lang, days=days) + late)
    return lines


def moment(seconds: int, lang: Language) -> str:
    """A time as a person reads it."""
    try:
        if lang == "en":
            return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        beijing = timezone(timedelta(hours=8))
        return datetime.fromtimestamp(seconds, beijing).strftime("%Y-%m-%d %H:%M:%S（北京时间）")
    except (ValueError, OverflowError):
        return str(seconds)


def _pad(text: str, columns: int) -> str:
    """Pad to a number of terminal columns; a Chinese character takes two."""
    width = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(1, columns - width)
