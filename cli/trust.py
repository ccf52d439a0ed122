"""`caseledger trust …`: look at trust files, accept one, make and sign one."""

from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cli.trust_build import add_verb as add_build
from cli.trust_build import run as run_build
from cli.verify import BadArgument, CannotRead, held_trust, printable, read_bounded
from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from protocol.i18n import Language, Text, language
from protocol.identifiers import parse_hex32
from verifier.succession import accept_chain, accept_first
from verifier.trust import MAX_TRUST, SUFFIX, TrustFile
from verifier.trust_payload import TrustPayload

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_TEXTS = {
    "show": Text("显示信任文件的内容与签名", "show what a trust file says and who signed it"),
    "fingerprint": Text("只输出指纹", "print the fingerprint alone"),
    "accept": Text(
        "接受信任文件：第一份凭指纹，以后凭接续规则",
        "accept: the first by fingerprint, later ones by succession",
    ),
    "sign": Text("用信任密钥签署", "add a signature by a trust key"),
    "new": Text("由 JSON 新建未签署的信任文件", "make an unsigned trust file from JSON"),
    "file": Text("信任文件", "trust file"),
    "by": Text("另行取得的指纹（64 位十六进制）", "fingerprint that came another way (64 hex digits)"),
    "through": Text("中间各份，按先后给出", "the files between, in order"),
    "key": Text("Ed25519 密钥文件，或 keys/ 下的名称", "Ed25519 key file, or its name under keys/"),
    "out": Text("写到此处（默认原文件）", "write here (the file itself by default)"),
    "draft": Text("JSON 草稿（同 trust show --json）", "JSON draft, as `trust show --json` prints it"),
    "made": Text("新信任文件的路径", "path of the new trust file"),
    "build": Text(
        "由链上状态与联盟配置制作（或制作后继）",
        "make one from the chain and the consortium file, or a successor",
    ),
    "home": Text("数据目录", "home folder"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
}


class FingerprintNeeded(CaseledgerError):
    """There is no held trust file yet; only a fingerprint from elsewhere can vouch for the first."""

    title: ClassVar[str] = "fingerprint needed for the first trust file"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `trust` and its verbs."""
    lang = language()
    parser = subparsers.add_parser("trust", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    def verb(name: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=words(name), description=words(name))
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=words("lang"))
        one.add_argument("--json", action="store_true", help="JSON")
        return one

    for name in ("show", "fingerprint"):
        verb(name).add_argument("file", type=Path, metavar="FILE", help=words("file"))
    accept = verb("accept")
    accept.add_argument("file", type=Path, metavar="FILE", help=words("file"))
    accept.add_argument("--fingerprint", metavar="HEX", help=words("by"))
    accept.add_argument(
        "--through", type=Path, action="append", default=[], metavar="FILE", help=words("through")
    )
    accept.add_argument("--home", type=Path, help=words("home"))
    sign = verb("sign")
    sign.add_argument("file", type=Path, metavar="FILE", help=words("file"))
    sign.add_argument("--key", required=True, metavar="KEY", help=words("key"))
    sign.add_argument("--out", type=Path, metavar="FILE", help=words("out"))
    sign.add_argument("--home", type=Path, help=words("home"))
    new = verb("new")
    new.add_argument("draft", type=Path, metavar="DRAFT", help=words("draft"))
    new.add_argument("file", type=Path, metavar="OUT", help=words("made"))
    add_build(verb)


def run(args: argparse.Namespace) -> int:
    """Run one verb; 0, or an error."""
    lang = language(getattr(args, "lang", None))
    verbs = {"show": _show, "fingerprint": _fingerprint, "accept": _accept, "sign": _sign, "new": _new}
    if args.verb == "build":
        return run_build(args, lang)
    return verbs[args.verb](args, lang)


def load(path: Path) -> TrustFile:
    """Read and parse; signatures are not checked."""
    return TrustFile.parse(read_bounded(path, MAX_TRUST))


def _signers(trust: TrustFile) -> tuple[set[int], str | None]:
    """Positions that signed, and the code of what is wrong with the signatures, if anything."""
    try:
        signed = set(trust.check_signatures())
        trust.check()
    except CaseledgerError as error:
        return (set() if error.code == "TrustSignatureInvalid" else signed), error.code
    return signed, None


def _show(args: argparse.Namespace, lang: Language) -> int:
    from cli.trust_json import to_json

    trust = load(args.file)
    signed, fault = _signers(trust)
    if args.json:
        document = to_json(trust.payload)
        if fault is None:
            print(json.dumps(document, ensure_ascii=False, indent=2))
            return 0
        print(json.dumps(document, ensure_ascii=False, indent=2))
        trust.check()
    for line in _lines(trust, signed, lang):
        print(printable(line))
    if fault is not None:
        trust.check()
    return 0


def _lines(trust: TrustFile, signed: set[int], lang: Language) -> list[str]:
    def say(zh: str, en: str) -> str:
        return en if lang == "en" else zh

    payload = trust.payload
    zh, en = payload.name
    out = [
        say(zh, en),
        f"{say('指纹', 'fingerprint')}  {trust.fingerprint.hex()}",
        f"{say('序号', 'serial')}  {payload.serial}",
        f"{say('前一份', 'predecessor')}  {payload.predecessor.hex() if payload.predecessor else '-'}",
        f"{say('有效期', 'window')}  {_day(payload.issued_at)} – {_day(payload.valid_until)}",
        say(f"签名门槛  {payload.threshold}", f"threshold  {payload.threshold}"),
    ]
    for at, key in enumerate(payload.keys):
        mark = say("已签", "signed") if at in signed else say("未签", "not signed")
        out.append(f"  [{at}] {key.role:<10} {mark}  {key.name}  {key.public_key.hex()}")
    for chain in payload.chains:
        out.append(
            f"{say('链', 'chain')} {chain.chain_id}  {chain.engine}  {chain.network_id}  {chain.proof_kind}"
        )
        for what, pin in (("ConsortiumRegistry", chain.registry), ("EvidenceLog", chain.evidence_log)):
            out.append(f"  {what:<20}0x{pin.address.hex()}  {pin.code_hash.hex()}")
        for named in payload.contracts:
            if named.chain_id == chain.chain_id:
                out.append(f"  {named.name:<20}0x{named.address.hex()}  {named.code_hash.hex()}")
        for epoch in chain.epochs:
            last = say("至今", "open") if epoch.to_height is None else str(epoch.to_height)
            if epoch.closed_at is not None:
                last += say(f"  卸任于 {_day(epoch.closed_at)}", f"  ended {_day(epoch.closed_at)}")
            out.append(f"  {say('届次', 'epoch')} {epoch.number}  {epoch.from_height} – {last}")
            for one in epoch.validators:
                group = say(f"利益群体 {one.group}", f"group {one.group}")
                out.append(f"    {one.public_key.hex()}  {one.power}  {one.controller}  {group}")
    for log in payload.logs:
        end = (
            ""
            if log.closed_size is None
            else say(f"  已关闭于 {log.closed_size}", f"  closed at {log.closed_size}")
        )
        out.append(f"{say('日志', 'log')} {log.origin}  {say('运营机构', 'operator')} {log.operator}{end}")
    return out + (_attesting_lines(payload, lang) if payload.version >= 2 else [])


def _attesting_lines(payload: TrustPayload, lang: Language) -> list[str]:
    """Witnesses, their policy and the time authorities."""

    def say(zh: str, en: str) -> str:
        return en if lang == "en" else zh

    policy, out = payload.witness_policy, []
    for one in policy.witnesses:
        tree = ("SHA-256", "SM3")[one.statement]
        out.append(f"{say('见证方', 'witness')} {one.name}  {tree}  {one.role}  {one.organisation}")
        out.append(f"  {one.key_id.hex()}  {('Ed25519', 'ML-DSA-44')[one.kind != 4]}  {one.public_key.hex()}")
    for group in policy.groups:
        of = say(f"{len(group.members)} 中取 {group.threshold}", f"{group.threshold} of {len(group.members)}")
        out.append(f"{say('见证组', 'witness group')} {group.name}  {of}  {', '.join(group.members)}")
    need = say("必须", "required") if payload.witnesses_required else say("可有可无", "not required")
    out.append(f"{say('见证条件', 'witness quorum')}  {policy.quorum or '-'}  {need}")
    for authority in payload.authorities:
        until = say("至今", "open") if authority.not_after is None else _day(authority.not_after)
        window = f"{_day(authority.not_before)} – {until}"
        out.append(f"{say('时间戳机构', 'time authority')} {authority.name}  {window}")
        oids = ", ".join(authority.policies) or say("不限", "any")
        out.append(f"  {say('策略', 'policies')}  {oids}")
        for root in authority.roots:
            out.append(f"  {say('根证书 SHA-256', 'root SHA-256')}  {sha256(root).hex()}")
    for algorithm, end in payload.algorithm_ends:
        out.append(f"{say('算法终止', 'algorithm ends')} {('SHA-256', 'SM3')[algorithm]}  {_day(end)}")
    count = payload.time_tokens_required
    out.append(say(f"须有时间戳的机构数  {count}", f"authorities whose tokens are required  {count}"))
    return out


def _day(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError):
        return str(seconds)


def _fingerprint(args: argparse.Namespace, lang: Language) -> int:
    trust = load(args.file)
    print(json.dumps({"fingerprint": trust.fingerprint.hex()}) if args.json else trust.fingerprint.hex())
    return 0


def _accept(args: argparse.Namespace, lang: Language) -> int:
    trust = load(args.file)
    path = held_trust(args.home)
    wanted = None if args.fingerprint is None else _wanted(args.fingerprint)
    known = False
    if path.exists():
        held = load(path)
        known = held.fingerprint == trust.fingerprint
        if wanted is not None:
            accept_first(trust, wanted)
        if not known:
            accept_chain(held, [*map(load, args.through), trust])
            _write(
                path.with_name(f"{held.payload.serial:06d}-{held.fingerprint.hex()[:16]}{SUFFIX}"),
                held.encode(),
            )
    elif wanted is None:
        raise FingerprintNeeded(
            f"its fingerprint is {trust.fingerprint.hex()}",
            field="--fingerprint",
            hint="compare it with the one on paper or on the court's own site, then give that one",
        )
    else:
        accept_first(trust, wanted)
    if not known:
        _write(path, trust.encode())
    if args.json:
        print(
            json.dumps(
                {"accepted": trust.fingerprint.hex(), "serial": trust.payload.serial, "path": str(path)}
            )
        )
    else:
        text = Text("已接受：序号 {serial}，指纹 {print}", "accepted: serial {serial}, fingerprint {print}")
        print(text.format(lang, serial=trust.payload.serial, print=trust.fingerprint.hex()))
    return 0


def _wanted(text: str) -> bytes:
    try:
        return parse_hex32(text, "--fingerprint")
    except CaseledgerError as error:
        raise BadArgument(error.detail, field="--fingerprint") from None


def _sign(args: argparse.Namespace, lang: Language) -> int:
    from agent.keys import key_path, load_ed25519

    trust = load(args.file)
    path = Path(args.key)
    if not path.exists():
        path = key_path(held_trust(args.home).parent.parent / "keys", args.key)
    key = load_ed25519(path)
    trust = trust.with_signature(key.public_key, key.sign(trust.message))
    _write(args.out or args.file, trust.encode())
    return _report(trust, args.json, lang)


def _new(args: argparse.Namespace, lang: Language) -> int:
    from cli.trust_json import MAX_JSON, from_json

    trust = TrustFile.draft(from_json(read_bounded(args.draft, MAX_JSON)))
    _write(args.file, trust.encode())
    return _report(trust, args.json, lang)


def _report(trust: TrustFile, as_json: bool, lang: Language) -> int:
    signed, fault = _signers(trust)
    if as_json:
        document = {"fingerprint": trust.fingerprint.hex(), "signed": sorted(signed), "quorum": fault is None}
        print(json.dumps(document))
        return 0
    text = Text("指纹 {print}，已有签名 {n} 个，{state}", "fingerprint {print}, {n} signatures, {state}")
    state = Text("已成立", "a quorum") if fault is None else Text("尚不成立", "no quorum yet")
    print(text.format(lang, print=trust.fingerprint.hex(), n=len(signed), state=state.choose(lang)))
    return 0


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, durably."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with open(temporary, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}", field=str(path)) from None
