"""`caseledger evidence custody …`: record what was done with an item, and read its custody."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protocol.custody import CustodyKind
from protocol.i18n import Language, Text

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.custody_journal import CustodyJournal, EventDraft, JournaledEvent
    from cli.evidence import Session

EXIT_FAILED = 1
DEFAULT_PATIENCE = 60.0
_TEXTS = {
    "add": Text("登记一次流转（查阅、复制、导出、移交、核验、删除）", "record one custody event"),
    "list": Text("取回保管流转单，离线核验后列出", "fetch the custody sheet, verify it offline, list it"),
    "kind": Text("类别", "what was done"),
    "purpose": Text("事由", "why"),
    "authority": Text("依据", "by what right"),
    "to": Text("接收机构编号", "receiving organisation"),
    "from": Text(
        "移交机构编号（移交时；默认本机构）", "giving organisation (of a transfer; this one by default)"
    ),
    "file": Text(
        "副本、导出件、核验报告或删除记录，只记其摘要", "the copy, report or record: its digests are kept"
    ),
    "result": Text("核验结论", "result of a verification"),
    "actor": Text("经办人（只在本机对应随机编号）", "who acted (mapped to a random id on this machine)"),
    "where": Text("地点或系统", "place or system"),
    "before": Text("此前所在", "where it was before"),
    "change": Text("不可避免的改变及其原因", "a change that could not be avoided, and why"),
    "at": Text("发生时间（默认现在）", "when it took place (now by default)"),
    "out": Text("流转单存到此处", "save the sheet here"),
    "receipt": Text(
        "材料的收据（默认取本机登记的那一份）", "the item's receipt (the journaled one by default)"
    ),
    "recorded": Text("已登记，第 {number} 条，编号 {id}", "recorded as event {number}, id {id}"),
    "refused": Text("未登记：{code}", "not recorded: {code}"),
    "pending": Text("以下已受理，尚未入链：", "accepted and not anchored yet:"),
    "verdict": Text("保管流转：{status} {words}", "custody: {status} {words}"),
    "saved": Text("流转单：{path}", "sheet: {path}"),
}


def add_parser(
    verbs: _SubParsersAction[argparse.ArgumentParser], common: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Register `custody` and its verbs under `evidence`. `common`: the options of all evidence verbs."""
    from protocol.i18n import language

    lang = language()

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    text = Text("保管流转", "custody of an item: docs/spec/custody.md").choose(lang)
    parser = verbs.add_parser("custody", help=text, description=text)
    acts = parser.add_subparsers(dest="act", metavar="VERB", required=True)
    add = acts.add_parser("add", help=words("add"), description=words("add"))
    common(add)
    add.add_argument("id", metavar="ID")
    kinds = [kind.name.lower() for kind in CustodyKind]
    add.add_argument("--kind", required=True, choices=kinds, help=words("kind"))
    add.add_argument("--purpose", required=True, metavar="TEXT", help=words("purpose"))
    for name in ("authority", "where", "before", "change", "actor"):
        add.add_argument(f"--{name}", metavar="TEXT", help=words(name))
    add.add_argument("--to", type=int, metavar="ORG", help=words("to"))
    add.add_argument("--from", dest="giver", type=int, metavar="ORG", help=words("from"))
    add.add_argument("--file", type=Path, metavar="FILE", help=words("file"))
    add.add_argument("--result", choices=_results(), help=words("result"))
    add.add_argument("--at", metavar="TIME", help=words("at"))
    add.add_argument("--patience", type=float, default=DEFAULT_PATIENCE, metavar="SECONDS")

    listing = acts.add_parser("list", help=words("list"), description=words("list"))
    common(listing)
    listing.add_argument("id", metavar="ID")
    listing.add_argument("--out", type=Path, metavar="FILE", help=words("out"))
    listing.add_argument("--receipt", type=Path, metavar="RECEIPT", help=words("receipt"))


def run(session: Session) -> int:
    """Run one verb; the exit code."""
    from agent.custody_journal import CustodyJournal

    with CustodyJournal(session.profile.custody_path) as journal:
        return {"add": _add, "list": _list}[session.args.act](session, journal)


def _results() -> list[str]:
    from cli.custody_lines import RESULTS

    return list(RESULTS)


def _draft(session: Session) -> EventDraft:
    from agent.custody_journal import EventDraft
    from agent.hashing import hash_file
    from cli.verify import parse_time

    args = session.args
    kind = CustodyKind[args.kind.upper()]
    digests = None if args.file is None else hash_file(args.file).digests
    giver = args.giver
    if kind is CustodyKind.TRANSFER and giver is None:
        giver = session.profile.organisation
    return EventDraft(
        kind=int(kind),
        event_time=parse_time(args.at) if args.at else int(time.time()),
        purpose=args.purpose,
        actor=args.actor,
        giver=giver,
        receiver=args.to,
        authority=args.authority,
        object_sha256=None if digests is None else digests.sha256.hex(),
        object_sm3=None if digests is None else digests.sm3.hex(),
        result=None if args.result is None else _results().index(args.result),
        where=args.where,
        before=args.before,
        change=args.change,
    )


def record_access(session: Session, item: bytes, purpose: str) -> None:
    """Record that this organisation is about to open an item's content.

    Raises:
        CustodyNotRecorded, and what the writer raises
    """
    from agent.custody import CustodyNotRecorded
    from agent.custody_journal import CustodyJournal, EventDraft
    from agent.journal import State

    draft = EventDraft(int(CustodyKind.ACCESS), int(time.time()), purpose)
    with CustodyJournal(session.profile.custody_path) as journal:
        event = _record(session, journal, item, draft, DEFAULT_PATIENCE)
    if event.state is not State.ACCEPTED:
        raise CustodyNotRecorded(event.code or "", field="purpose")


def _record(
    session: Session, journal: CustodyJournal, item: bytes, draft: EventDraft, patience: float
) -> JournaledEvent:
    """Journal an event and deliver it, with all that wait."""
    from agent.custody import CustodyWriter, check_draft

    check_draft(item, draft)
    number = journal.add(item, draft)
    CustodyWriter(
        journal,
        session.gateways[0],
        session.profile.logs,
        session.profile.act_key,
        session.profile.organisation,
        clock=time.time,
        sleep=time.sleep,
        patience=patience,
    ).run()
    return journal.event(number)


def _add(session: Session, journal: CustodyJournal) -> int:
    from agent.journal import State
    from protocol.custody import CustodyEvent
    from protocol.identifiers import parse_hex32

    session.need_gateway()
    item, draft = parse_hex32(session.args.id, "id"), _draft(session)
    event = _record(session, journal, item, draft, session.args.patience)
    if event.state is not State.ACCEPTED or event.evidence_id is None or event.body is None:
        if session.args.json:
            session.emit({"state": str(event.state), "code": event.code})
        else:
            session.print(_TEXTS["refused"].format(session.lang, code=event.code))
        return EXIT_FAILED
    placed = CustodyEvent.parse(event.body, draft.custody_kind).number
    identity = event.evidence_id.hex()
    if session.args.json:
        session.emit({"state": str(event.state), "id": identity, "number": placed, "index": event.leaf_index})
    else:
        session.print(_TEXTS["recorded"].format(session.lang, number=placed, id=identity))
    return 0


def _list(session: Session, journal: CustodyJournal) -> int:
    from agent.custody import check_own
    from cli.custody_lines import event_line, event_lines, summary
    from cli.verify import moment, read_bounded
    from protocol.custody import CustodyEvent
    from protocol.identifiers import parse_hex32
    from verifier import wording
    from verifier.custody import Sheet
    from verifier.receipt import MAX_RECEIPT
    from verifier.verdict import Status
    from verifier.verify import verify_receipt
    from verifier.verify_custody import CustodyShown

    session.need_gateway()
    item, gateway, lang = parse_hex32(session.args.id, "id"), session.gateways[0], session.lang
    data = gateway.custody_sheet(item.hex())
    chain = gateway.custody_chain(item.hex())
    path = session.args.receipt or _journaled(session, item)
    receipt = gateway.receipt(item.hex()) if path is None else read_bounded(path, MAX_RECEIPT)
    report = verify_receipt(receipt, session.profile.trust, at=int(time.time()), custody=CustodyShown(data))
    verdict = report.verdict("custody")
    if session.args.out is not None:
        session.args.out.write_bytes(data)
    good = verdict.status in (Status.PASS, Status.REDUCED)
    sheet = Sheet.parse(data) if good else None
    if sheet is not None:
        check_own(sheet, journal.events(item=item))
    shown = len(sheet.events) if sheet else 0
    waiting = [one for one in chain["events"] if one["number"] > shown]
    if session.args.json:
        events = [_json(one, lang) for one in chain["events"]]
        session.emit({"verdict": verdict.as_dict(), "facts": report.facts, "events": events})
        return 0 if good else EXIT_FAILED

    def when(seconds: int) -> str:
        return moment(seconds, lang)

    words = wording.say_code(verdict.code, lang)
    status = wording.STATUSES[verdict.status].choose(lang)
    lines = [_TEXTS["verdict"].format(lang, status=status, words=words)]
    if sheet is not None:
        lines += [*summary(report.facts, when, lang), *event_lines(sheet.events, when, lang)]
    if waiting:
        lines.append(_TEXTS["pending"].choose(lang))
        for one in waiting:
            kind = CustodyKind(one["class"])
            body = None if one["body"] is None else CustodyEvent.parse(bytes.fromhex(one["body"]), kind)
            lines.append(event_line(one["number"], kind, one["submitter"], body, when, lang))
    if session.args.out is not None:
        lines.append(_TEXTS["saved"].format(lang, path=session.args.out))
    session.print("\n".join(lines))
    return 0 if good else EXIT_FAILED


def _journaled(session: Session, item: bytes) -> Path | None:
    """The receipt that this agent saved, if it is still there."""
    entry = session.journal.by_evidence_id(item)
    path = Path(entry.receipt_path) if entry is not None and entry.receipt_path else None
    return path if path is not None and path.is_file() else None


def _json(event: dict[str, Any], lang: Language) -> dict[str, Any]:
    """An event for programs: what the gateway gives, and the kind by name."""
    kind = CustodyKind(event["class"])
    return {**event, "kind": kind.name.lower(), "label": kind.label.choose(lang)}
