"""`caseledger evidence …`: anchor documents, follow them, fetch receipts. The work is done in `agent/`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import evidence_custody
from protocol.i18n import Language, Text

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.client import GatewayClient
    from agent.journal import Entry, Journal
    from agent.profile import Profile
    from agent.sm2_envelope import Sm2Envelopes
    from agent.submit import Delivery

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_PENDING = 3
"""Something is not there yet; the same command later goes on."""
DEFAULT_WAIT = 120.0

_TEXTS = {
    "add": Text("存证：登记文件并提交", "anchor documents: journal, sign, submit"),
    "list": Text("列出本机登记的存证", "list what this agent anchored"),
    "show": Text("查看一条存证的状态", "show one entry"),
    "receipt": Text("取回一份收据并离线核验", "fetch one receipt and verify it offline"),
    "wait": Text("等待收据，逐份离线核验后保存", "wait for receipts, verify each offline, save them"),
    "find": Text(
        "按文件或摘要查找（仅限本机构可知范围）", "find by file or digest, within what you may know"
    ),
    "open": Text("取回并解密存放的文件", "fetch and decrypt stored content"),
    "provenance": Text(
        "来源说明（docs/spec/provenance.md）", "how the documents came to be (docs/integrator.md)"
    ),
    "stated": Text(
        "来源说明：{path}（与收据一并出示）", "provenance statement: {path}; show it with the receipt"
    ),
    "hashing": Text("计算摘要 {done}/{total}", "hashing {done}/{total}"),
    "sending": Text("已受理 {done}/{total}", "accepted {done}/{total}"),
    "receiving": Text("收据 {done}/{total}", "receipts {done}/{total}"),
    "added": Text(
        "文件 {files} 个：新登记 {fresh}，此前已登记 {known}；已受理 {accepted}。",
        "{files} files: {fresh} new, {known} known before; {accepted} accepted.",
    ),
    "moved": Text(
        "{moved} 条改由其他网关受理：{gateways}", "{moved} went through another gateway: {gateways}"
    ),
    "carried": Text(
        "{carried} 条不在已关闭的日志内，改提交至后继日志",
        "{carried} not in the closed log: submitted to its successor",
    ),
    "refused": Text("拒收 {count} 条：{code}", "{count} refused: {code}"),
    "unchecked": Text(
        "提示：收件方 {index} 的密钥仅来自网关，未经自有节点或固定值核对。",
        "note: organisation {index}'s key comes from the gateway alone; no pin or own node confirmed it.",
    ),
    "received": Text("收据 {received} 份，待取 {pending} 份。", "{received} receipts, {pending} pending."),
    "invalid": Text("收据未通过核验：{file}（{code}）", "receipt does not verify: {file} ({code})"),
    "broken": Text(
        "承诺逾期未兑现 {count} 份（凭据已留存）", "{count} promises not kept; the proof is in the journal"
    ),
    "none": Text("没有记录。", "nothing."),
    "purpose": Text(
        "先登记一条查阅（事由），再解密", "record an access in the custody log first, with this reason"
    ),
    "opened": Text("已解密 {size} 字节：{path}", "{size} bytes decrypted: {path}"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `evidence` and its verbs."""
    from protocol.i18n import language

    lang = language()
    parser = subparsers.add_parser("evidence", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def common(one: argparse.ArgumentParser) -> None:
        one.add_argument("--home", default=None, metavar="DIR")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--gateway", action="append", metavar="URL", help="again for a second choice")
        one.add_argument("--key", metavar="NAME", help="act key under <home>/keys")
        one.add_argument("--trust", type=Path, metavar="FILE")
        one.add_argument("--json", action="store_true")
        one.add_argument("--quiet", action="store_true", help="no progress")

    def verb(name: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=_TEXTS[name].choose(lang), description=_TEXTS[name].choose(lang))
        common(one)
        return one

    add = verb("add")
    add.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    add.add_argument("--case", required=True, metavar="REF|HEX")
    add.add_argument("--class", dest="evidence_class", required=True, metavar="CLASS")
    add.add_argument("--store", action="store_true", help="upload encrypted")
    add.add_argument("--to", action="append", type=int, default=[], metavar="ORG")
    add.add_argument("--media", metavar="TYPE")
    add.add_argument("--event-time", type=int, metavar="SECONDS")
    add.add_argument("--provenance", type=Path, metavar="TOML", help=_TEXTS["provenance"].choose(lang))
    add.add_argument("--replaces", metavar="ID")
    add.add_argument("--link", action="append", default=[], metavar="RELATION:ID")
    add.add_argument("--privileged", action="store_true")
    add.add_argument("--again", action="store_true", help="a further entry for files that have one")
    add.add_argument("--wait", action="store_true", help="wait for the receipts too")
    add.add_argument("--timeout", type=float, default=DEFAULT_WAIT, metavar="SECONDS")
    add.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS",
        help="how long a gateway that is down or busy is waited for, also at first contact",
    )  # fmt: skip
    add.add_argument("--out", type=Path, metavar="DIR", help="receipts go here, not beside the files")

    listing = verb("list")
    listing.add_argument("--case", metavar="REF|HEX")
    listing.add_argument("--remote", action="store_true", help="what the gateway shows to this organisation")

    show = verb("show")
    show.add_argument("id", metavar="ID")

    receipt = verb("receipt")
    receipt.add_argument("id", metavar="ID")
    receipt.add_argument("--out", type=Path, metavar="FILE")

    wait = verb("wait")
    wait.add_argument("ids", nargs="*", metavar="ID")
    wait.add_argument("--timeout", type=float, default=DEFAULT_WAIT, metavar="SECONDS")
    wait.add_argument("--out", type=Path, metavar="DIR")

    find = verb("find")
    find.add_argument("target", metavar="FILE|SHA256")

    opening = verb("open")
    opening.add_argument("receipt", type=Path, metavar="RECEIPT")
    opening.add_argument("--out", type=Path, required=True, metavar="FILE")
    opening.add_argument("--hpke-key", metavar="NAME")
    opening.add_argument("--purpose", metavar="TEXT", help=_TEXTS["purpose"].choose(lang))

    evidence_custody.add_parser(verbs, common)


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    verbs: dict[str, Callable[[Session], int]] = {
        "add": _add,
        "list": _list,
        "show": _show,
        "receipt": _receipt,
        "wait": _wait,
        "find": _find,
        "open": _open,
        "custody": evidence_custody.run,
    }
    with ExitStack() as stack:
        return verbs[args.verb](_session(args, stack))


@dataclass
class Session:
    """One run of an evidence verb: who speaks, to whom, and how the answer is printed."""

    args: argparse.Namespace
    lang: Language
    profile: Profile
    journal: Journal
    gateways: list[GatewayClient]

    def say(self, name: str, **values: object) -> None:
        if not self.args.json:
            print(_TEXTS[name].format(self.lang, **values))

    def warn(self, name: str, **values: object) -> None:
        print(_TEXTS[name].format(self.lang, **values), file=sys.stderr)

    def emit(self, value: object) -> None:
        print(json.dumps(value, ensure_ascii=False))

    def print(self, text: str) -> None:
        print(text)

    def need_gateway(self) -> None:
        """Raises GatewayUnreachable where none is configured."""
        from agent.errors import GatewayUnreachable

        if not self.gateways:
            raise GatewayUnreachable(
                "no gateway is configured", field="gateway",
                hint="--gateway URL, or `gateways` in table [agent] of caseledger.toml",
            )  # fmt: skip


class _Progress:
    """One line on a terminal that rewrites itself; silent elsewhere."""

    def __init__(self, session: Session, name: str, total: int) -> None:
        self._on = sys.stderr.isatty() and not session.args.quiet and not session.args.json
        self._text = _TEXTS[name]
        self._lang = session.lang
        self._total = total
        self._done = 0
        self._shown = 0.0

    def to(self, done: int, total: int | None = None) -> None:
        self._done = done
        self._total = self._total if total is None else total
        now = time.monotonic()
        if self._on and (now - self._shown > 0.1 or done == self._total):
            self._shown = now
            end = "\n" if done == self._total else ""
            text = self._text.format(self._lang, done=done, total=self._total)
            print(f"\r{text}", end=end, file=sys.stderr, flush=True)

    def by(self, count: int) -> None:
        self.to(self._done + count)


def _session(args: argparse.Namespace, stack: ExitStack) -> Session:
    from agent.client import GatewayClient
    from agent.journal import Journal
    from agent.login import LoginTokens
    from agent.profile import home_of, load_profile
    from protocol.i18n import language

    profile = load_profile(home_of(args.home), key=args.key, trust=args.trust, gateways=args.gateway)
    tokens = None
    if profile.auth_key is not None:
        tokens = LoginTokens(profile.auth_key, profile.organisation, profile.login_domain(), time.time)
    gateways = [stack.enter_context(GatewayClient(url, tokens=tokens)) for url in profile.gateways]
    journal = stack.enter_context(Journal(profile.journal_path))
    return Session(args, language(getattr(args, "lang", None)), profile, journal, gateways)


def _entry_json(entry: Entry, names: dict[bytes, str] | None = None) -> dict[str, Any]:
    from protocol.entry import EvidenceClass

    return {
        "path": entry.path,
        "state": str(entry.state),
        "evidenceId": entry.evidence_id.hex() if entry.evidence_id else None,
        "class": EvidenceClass(entry.evidence_class).name.lower().replace("_", "-"),
        "case": (names or {}).get(entry.case_id) or entry.case_id.hex(),
        "contentSha256": entry.content_sha256.hex(),
        "contentSm3": entry.content_sm3.hex(),
        "size": entry.size,
        "sequence": entry.sequence,
        "index": entry.leaf_index,
        "receipt": entry.receipt_path,
        "result": entry.verdict,
        "code": entry.code,
    }


def _add(session: Session) -> int:
    from agent import adding
    from agent.provenance import keep_beside, statement_of
    from protocol.entry import Link, Relation
    from protocol.identifiers import parse_hex32
    from protocol.provenance import provenance_digest

    args = session.args
    session.need_gateway()
    kind = adding.parse_class(args.evidence_class)
    links = [adding.parse_link(text) for text in args.link]
    if args.replaces:
        links.append(Link(Relation.REPLACES, parse_hex32(args.replaces, "replaces")))
    statement = None
    if args.provenance is not None:
        statement = statement_of(args.provenance, session.profile.home)
    options = adding.Options(
        case_id=adding.resolve_case(args.case, session.journal),
        evidence_class=kind,
        organisation=session.profile.organisation,
        privileged=args.privileged,
        media_type=args.media,
        event_time=args.event_time,
        provenance=None if statement is None else provenance_digest(statement),
        links=tuple(links),
        again=args.again,
    )
    store = _store(session) if args.store else None
    hashing = _Progress(session, "hashing", 0)
    added = adding.add_files(args.paths, session.journal, options, store=store, on_file=hashing.to)
    if statement is not None:
        session.say("stated", path=keep_beside(statement, args.out or args.paths[0]))
    delivery = _send(session, args.patience)
    session.say(
        "added", files=len(added.numbers), fresh=added.fresh, known=added.known, accepted=delivery.accepted
    )
    code = _tell(session, delivery)
    collected: dict[str, Any] | None = None
    if args.wait and code == EXIT_OK:
        code, collected = _collect(session, list(dict.fromkeys(added.numbers)), args.out, args.timeout)
    if args.json:
        names = session.journal.case_names()
        session.emit(
            {
                "files": len(added.numbers),
                "fresh": added.fresh,
                "known": added.known,
                "accepted": delivery.accepted,
                "refused": delivery.refused,
                "moved": delivery.moved,
                "carried": delivery.carried,
                "gateways": delivery.gateways,
                "receipts": collected,
                "entries": [_entry_json(session.journal.entry(n), names) for n in added.numbers],
            }
        )
    return code


def _send(session: Session, patience: float) -> Delivery:
    """Delivers what the journal holds and no log has yet."""
    from agent.journal import State
    from agent.submit import Submitter

    lost = _settle(session)
    waiting = len(session.journal.entries(session.profile.organisation, states=[State.NEW, State.SIGNED]))
    sending = _Progress(session, "sending", waiting)
    delivery = Submitter(
        session.journal,
        session.gateways,
        session.profile.logs,
        session.profile.act_key,
        session.profile.organisation,
        clock=time.time,
        sleep=time.sleep,
        closed=session.profile.closed,
        patience=patience,
        on_accepted=sending.by,
    ).run()
    delivery.carried += lost
    return delivery


def _envelopes(session: Session) -> Sm2Envelopes | None:
    """Where the settings name an SM2 key."""
    if session.profile.sm2_key is None:
        return None
    from agent.sm2_envelope import Sm2Envelopes

    return Sm2Envelopes(session.journal, session.profile.sm2_key, session.profile.act_key)


def _settle(session: Session) -> int:
    """Gives back what closed logs hold no more; nothing to do where the trust file names none."""
    from agent.receipts import ReceiptCollector

    if not session.profile.closed:
        return 0
    return ReceiptCollector(
        session.journal,
        session.gateways,
        session.profile.trust,
        session.profile.organisation,
        clock=time.time,
        sleep=time.sleep,
    ).settle(session.profile.closed, folder=session.args.out)


def _tell(session: Session, delivery: Delivery) -> int:
    """What happened to entries on their way; the exit code."""
    if delivery.carried:
        session.say("carried", carried=delivery.carried)
    if delivery.moved:
        session.say("moved", moved=delivery.moved, gateways=", ".join(delivery.gateways))
    for refusal, count in delivery.refused.items():
        session.warn("refused", count=count, code=refusal)
    return EXIT_FAILED if delivery.refused else EXIT_OK


def _store(session: Session) -> Callable[[Any], bytes]:
    """Uploads through the first gateway; recipients are looked up once."""
    from agent.patience import PatientStorage
    from agent.store import choose_recipients, load_pins, store_file

    gateway = PatientStorage(session.gateways[0], session.args.patience, clock=time.time, sleep=time.sleep)
    checks = [load_pins(session.profile.pins_path).get]
    if session.profile.rpc:
        checks.append(_node_keys(session.profile).get)
    recipients = choose_recipients(
        gateway.organisations(),
        session.args.to,
        session.profile.organisation,
        now=int(time.time()),
        checks=checks,
    )
    for recipient in recipients:
        if not recipient.checked and recipient.organisation != session.profile.organisation:
            session.warn("unchecked", index=recipient.organisation)
    return lambda hashed: store_file(hashed, recipients, gateway)


def _node_keys(profile: Profile) -> dict[int, bytes]:
    """HPKE keys as the bank's own node has them; its addresses are under `rpc` in table [agent]."""
    import asyncio

    from chain.deployment import load
    from chain.engines import profile as engine_profile
    from chain.registry_view import RegistryView
    from chain.rpc import RpcPool

    async def read() -> dict[int, bytes]:
        deployment = load(profile.home)
        engine = engine_profile(deployment.engine)
        async with RpcPool(profile.rpc, engine, chain_id=deployment.chain_id) as pool:
            snapshot = await RegistryView(pool, deployment).refresh()
        return {one.index: one.hpke_key for one in snapshot.organisations.values() if one.hpke_key}

    return asyncio.run(read())


def _collect(
    session: Session, numbers: list[int] | None, folder: Path | None, seconds: float
) -> tuple[int, dict[str, Any]]:
    from agent.journal import State
    from agent.receipts import ReceiptCollector

    wanted = session.journal.entries(session.profile.organisation, states=[State.ACCEPTED])
    total = len(wanted if numbers is None else [e for e in wanted if e.id in set(numbers)])
    progress = _Progress(session, "receiving", total)
    collection = ReceiptCollector(
        session.journal,
        session.gateways,
        session.profile.trust,
        session.profile.organisation,
        clock=time.time,
        sleep=time.sleep,
        on_received=progress.by,
        envelopes=_envelopes(session),
    ).wait(numbers, folder=folder, seconds=seconds)
    session.say("received", received=len(collection.received), pending=collection.pending)
    for entry, code in collection.invalid:
        session.warn("invalid", file=Path(entry.path).name, code=code)
    if collection.broken:
        session.warn("broken", count=collection.broken)
    result = {
        "received": len(collection.received),
        "pending": collection.pending,
        "invalid": [{"path": e.path, "code": code} for e, code in collection.invalid],
        "broken": collection.broken,
    }
    if collection.invalid or collection.broken:
        return EXIT_FAILED, result
    return (EXIT_PENDING if collection.pending else EXIT_OK), result


def _wait(session: Session) -> int:
    session.need_gateway()
    numbers = None
    if session.args.ids:
        numbers = [_local(session, text).id for text in session.args.ids]
    delivery = _send(session, session.args.timeout)
    refused = _tell(session, delivery)
    code, result = _collect(session, numbers, session.args.out, session.args.timeout)
    if session.args.json:
        session.emit(result | {"carried": delivery.carried})
    return refused or code


def _local(session: Session, text: str) -> Entry:
    from agent.errors import AgentError
    from protocol.identifiers import parse_hex32

    entry = session.journal.by_evidence_id(parse_hex32(text, "id"))
    if entry is None:
        raise AgentError("this agent's journal has no such entry", field="id")
    return entry


def _list(session: Session) -> int:
    from agent.adding import resolve_case
    from protocol.identifiers import case_commitment

    args = session.args
    case_id = resolve_case(args.case, session.journal) if args.case else None
    if args.remote:
        return _list_remote(session, None if case_id is None else case_commitment(case_id).hex())
    names = session.journal.case_names()
    entries = session.journal.entries(session.profile.organisation, case_id=case_id)
    if args.json:
        session.emit([_entry_json(entry, names) for entry in entries])
        return EXIT_OK
    for entry in entries:
        identifier = entry.evidence_id.hex()[:16] if entry.evidence_id else "-"
        print(f"{entry.state:<9} {identifier:<16} {entry.verdict or entry.code or '-':<20} {entry.path}")
    if not entries:
        session.say("none")
    return EXIT_OK


def _list_remote(session: Session, case_commitment: str | None) -> int:
    session.need_gateway()
    cursor: str | None = None
    while True:
        page = session.gateways[0].list_evidence(case_commitment=case_commitment, cursor=cursor)
        _say_items(session, page["items"])
        cursor = page.get("next")
        if cursor is None:
            return EXIT_OK


def _show(session: Session) -> int:
    from agent.errors import GatewayRefused, GatewayUnreachable
    from cli.people import entry_lines, local_lines
    from protocol.identifiers import parse_hex32

    identifier = parse_hex32(session.args.id, "id")
    local = session.journal.by_evidence_id(identifier)
    remote: dict[str, Any] | None = None
    fault: GatewayRefused | GatewayUnreachable | None = None
    for gateway in session.gateways:
        try:
            remote = gateway.evidence(identifier.hex())
            break
        except (GatewayRefused, GatewayUnreachable) as error:
            fault = error
    if remote is None and local is None and fault is not None:
        raise fault
    value = {
        "local": None if local is None else _entry_json(local, session.journal.case_names()),
        "gateway": remote,
    }
    if session.args.json:
        session.emit(value)
        return EXIT_OK
    if remote is not None:
        print("\n".join(entry_lines(remote, session.lang)))
    if value["local"] is not None:
        print("\n".join(local_lines(value["local"], session.lang)))
    return EXIT_OK


def _receipt(session: Session) -> int:
    from agent.errors import AgentError
    from agent.receipts import GOOD_RESULTS, ReceiptCollector, save_receipt
    from protocol.identifiers import parse_hex32
    from verifier.verify import verify_receipt

    session.need_gateway()
    identifier = parse_hex32(session.args.id, "id")
    local = session.journal.by_evidence_id(identifier)
    data = session.gateways[0].receipt(identifier.hex())
    if local is not None:
        collector = ReceiptCollector(
            session.journal, [], session.profile.trust, session.profile.organisation,
            clock=time.time, sleep=time.sleep,
        )  # fmt: skip
        result, code = collector.verify(local, data)
    else:
        report = verify_receipt(data, session.profile.trust, content=None, at=int(time.time()))
        result, code = report.result.value, None
    if result not in GOOD_RESULTS:
        raise AgentError(f"the receipt does not verify: {code or result}", field="receipt")
    if session.args.out is not None:
        session.args.out.write_bytes(data)
        path = session.args.out
    elif local is not None:
        path = save_receipt(local, data, None)
        session.journal.receive([(local.id, str(path), result)])
    else:
        path = Path(f"{identifier.hex()}.clr")
        path.write_bytes(data)
    if session.args.json:
        session.emit({"evidenceId": identifier.hex(), "receipt": str(path), "result": result})
    else:
        print(f"{result}  {path}")
    return EXIT_OK


def _find(session: Session) -> int:
    from agent.hashing import hash_file
    from protocol.identifiers import parse_hex32

    session.need_gateway()
    target = Path(session.args.target)
    if target.is_file():
        digest = hash_file(target).digests.sha256
    else:
        digest = parse_hex32(session.args.target, "target")
    items = session.gateways[0].find(digest)
    if session.args.json:
        session.emit(items)
        return EXIT_OK
    _say_items(session, items)
    if not items:
        session.say("none")
    return EXIT_OK


def _say_items(session: Session, items: list[dict[str, Any]]) -> None:
    """A JSON line for each item, or lines for people with a gap between items."""
    from cli.people import entry_lines

    for item in items:
        if session.args.json:
            session.emit(item)
        else:
            print("\n".join(entry_lines(item, session.lang)), end="\n\n")


def _open(session: Session) -> int:
    from agent.errors import ContentUnavailable
    from agent.opening import open_content
    from agent.profile import hpke_key
    from agent.receipts import GOOD_RESULTS
    from protocol.entry import Body, evidence_id
    from verifier.receipt import Receipt
    from verifier.verify import verify_receipt

    session.need_gateway()
    data = session.args.receipt.read_bytes()
    report = verify_receipt(data, session.profile.trust, content=None, at=int(time.time()))
    core = Receipt.parse(data).core
    if report.result.value not in GOOD_RESULTS or core.body is None:
        raise ContentUnavailable(f"the receipt is {report.result.value}", field="receipt")
    key = hpke_key(session.profile.home, session.args.hpke_key, session.profile.organisation)
    if session.args.purpose is not None:
        evidence_custody.record_access(session, evidence_id(core.leaf), session.args.purpose)
    size = open_content(Body.parse(core.body), key, session.gateways[0], session.args.out)
    session.say("opened", size=size, path=session.args.out)
    return EXIT_OK
