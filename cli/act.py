"""`caseledger act`: an organisation's own acts, signed with its key and sent through its own node.

A gateway is not needed: whoever has a relayer key with a little gas can carry any signed act. `--sign-only`
writes the act as the JSON that gateways take too; `send` carries such a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from protocol.errors import CaseledgerError, MalformedInput
from protocol.expect import json_value
from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from agent.keys import Secp256k1Key
    from chain.deployment import Deployment
    from chain.evm import Evm, Receipt
    from chain.governance import Approval, Proposal
    from chain.transactions import Call
    from protocol.acts import Act

MAX_FILE = 1 << 20
FOREVER = 2**40 - 1

_TEXTS = {
    "announce-key": Text("宣布新密钥（轮换第一步）", "announce a new key (first step of a rotation)"),
    "accept-key": Text(
        "新密钥确认（第二步，由新密钥签名）", "accept it (second step, signed by the new key)"
    ),
    "cancel-key": Text("取消尚未确认的轮换", "cancel a rotation before it is accepted"),
    "revoke-key": Text("撤销密钥", "revoke a key"),
    "set-hpke": Text("公布收件公钥", "publish the key that content is sealed to"),
    "suspend": Text("监管机构暂停某机构的写入", "a regulator stops an organisation's writing"),
    "propose": Text(
        "起草治理提案：开通或关闭日志，开通案件，设定历年工作日",
        "draft a proposal: open or close a log, open the case room, set a year of working days",
    ),
    "approve": Text("在提案文件上签署同意", "sign approval into a proposal file"),
    "object": Text("反对已排期的提案", "object to a scheduled proposal"),
    "schedule": Text("提交提案，开始时间锁", "schedule a proposal: its time lock starts"),
    "execute": Text("执行到期的提案", "execute a proposal whose time lock is over"),
    "send": Text("发送已签名的行为（JSON 文件）", "send a signed act (JSON file)"),
    "organisation": Text("机构编号（默认取密钥文件所载）", "organisation index (the key file's by default)"),
    "key": Text("签名密钥：文件，或 keys/ 下的名称", "signing key: file, or name under keys/"),
    "relayer": Text("付费的中继密钥文件", "key file of the relayer that pays"),
    "rpc": Text("自有节点的 RPC 地址，可重复", "RPC address of one's own node; repeat"),
    "valid": Text("有效秒数（默认 600）", "seconds of validity (600 by default)"),
    "sign-only": Text("只签名，写到该文件，不发送", "only sign, write to this file, send nothing"),
    "target-key": Text("密钥地址，或其密钥文件", "address of the key, or its key file"),
    "purpose": Text("用途", "purpose"),
    "from": Text("生效时间（Unix 秒）", "valid from (Unix seconds)"),
    "until": Text("失效时间（Unix 秒）", "valid until (Unix seconds)"),
    "public": Text("X25519 公钥或其密钥文件", "X25519 public key, or its key file"),
    "target": Text("被暂停的机构编号", "index of the organisation to stop"),
    "reason": Text("理由文书的 SHA-256（64 位十六进制）", "SHA-256 of the reasons' document (64 hex digits)"),
    "file": Text("提案文件", "proposal file"),
    "document": Text("行为文件，- 为标准输入", "act file, - for standard input"),
    "open": Text("开通此名称的日志", "open the log of this origin"),
    "close": Text("关闭此名称的日志", "close the log of this origin"),
    "open-cases": Text(
        "开通案件：设定随附的各年工作日，启用案件规则",
        "open the case room: set the shipped years of working days, switch the policy on",
    ),
    "year": Text("设定或更正该年的工作日", "set this year's working days, or correct them"),
    "calendar": Text(
        "工作日数据文件（格式同随附数据；默认用随附数据）",
        "file of working days, in the form of the shipped one, which is the default",
    ),
    "operator": Text("日志运营机构编号", "index of the log's operator"),
    "size": Text("关闭时保留的条目数", "leaves that stay when it is closed"),
    "predecessor": Text("前任日志名称", "origin of the log that it succeeds"),
    "successor": Text("后继日志名称", "origin of the log that succeeds it"),
    "home": Text("数据目录", "home folder"),
    "json": Text("以 JSON 输出", "print JSON"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "sent": Text("已上链：区块 {block}，交易 0x{hash}", "on chain: block {block}, transaction 0x{hash}"),
    "signed": Text("已签名：{path}", "signed: {path}"),
    "proposal": Text("提案 0x{id}，同意 {n} 家", "proposal 0x{id}, {n} approvals"),
}


class ActFileUnreadable(CaseledgerError):
    """No such file, or it is too large."""

    title: ClassVar[str] = "file cannot be read"


class OrganisationNeeded(CaseledgerError):
    """The key file names no organisation and none was given."""

    title: ClassVar[str] = "organisation needed"


def _words(name: str) -> str:
    return _TEXTS[name].choose(language())


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `act` and its verbs."""
    parser = subparsers.add_parser("act", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, *, signs: bool = True, sends: bool = True) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=_words(name), description=_words(name))
        one.add_argument("--home", type=Path, help=_words("home"))
        one.add_argument("--json", action="store_true", help=_words("json"))
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=_words("lang"))
        if signs:
            one.add_argument("--key", required=True, metavar="KEY", help=_words("key"))
            one.add_argument("--organisation", type=int, metavar="N", help=_words("organisation"))
            one.add_argument("--valid", type=int, default=600, metavar="SECONDS", help=_words("valid"))
        if sends:
            one.add_argument("--relayer", metavar="KEY", help=_words("relayer"))
        if signs and sends:
            one.add_argument("--sign-only", type=Path, metavar="FILE", help=_words("sign-only"))
        one.add_argument("--rpc", action="append", default=[], metavar="URL", help=_words("rpc"))
        return one

    announce = verb("announce-key")
    announce.add_argument("target_key", metavar="NEW-KEY", help=_words("target-key"))
    announce.add_argument("--purpose", default="act", metavar="PURPOSE", help=_words("purpose"))
    announce.add_argument("--from", dest="begin", type=int, default=0, help=_words("from"))
    announce.add_argument("--until", type=int, default=FOREVER, help=_words("until"))
    verb("accept-key")
    for name in ("cancel-key", "revoke-key"):
        verb(name).add_argument("target_key", metavar="OTHER-KEY", help=_words("target-key"))
    hpke = verb("set-hpke")
    hpke.add_argument("public", metavar="PUBLIC-KEY", help=_words("public"))
    hpke.add_argument("--from", dest="begin", type=int, default=0, help=_words("from"))
    hpke.add_argument("--until", type=int, default=FOREVER, help=_words("until"))
    suspend = verb("suspend")
    suspend.add_argument("target", type=int, help=_words("target"))
    suspend.add_argument("reason", help=_words("reason"))
    propose = verb("propose", signs=False, sends=False)
    propose.add_argument("file", type=Path, help=_words("file"))
    which = propose.add_mutually_exclusive_group(required=True)
    which.add_argument("--open-log", metavar="ORIGIN", help=_words("open"))
    which.add_argument("--close-log", metavar="ORIGIN", help=_words("close"))
    which.add_argument("--open-cases", action="store_true", help=_words("open-cases"))
    which.add_argument("--calendar-year", type=int, metavar="YEAR", help=_words("year"))
    propose.add_argument("--calendar", type=Path, metavar="FILE", help=_words("calendar"))
    propose.add_argument("--operator", type=int, default=1, help=_words("operator"))
    propose.add_argument("--size", type=int, default=0, help=_words("size"))
    propose.add_argument("--predecessor", metavar="ORIGIN", help=_words("predecessor"))
    propose.add_argument("--successor", metavar="ORIGIN", help=_words("successor"))
    verb("approve", sends=False).add_argument("file", type=Path, help=_words("file"))
    verb("object").add_argument("file", type=Path, help=_words("file"))
    for name in ("schedule", "execute"):
        verb(name, signs=False).add_argument("file", type=Path, help=_words("file"))
    verb("send", signs=False).add_argument("file", type=Path, help=_words("document"))


def run(args: argparse.Namespace) -> int:
    """Run one verb; 0, or an error."""
    return asyncio.run(_Command(args).run())


class _Command:
    def __init__(self, args: argparse.Namespace) -> None:
        from chain.deployment import load

        self.args = args
        self.home: Path = args.home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")
        self.lang = language(getattr(args, "lang", None))
        self.deployment: Deployment = load(self.home)

    async def run(self) -> int:
        from chain.configuration import pool_of
        from chain.evm import Evm

        verb = self.args.verb
        if verb == "propose":
            return self._propose()
        if verb == "approve":
            return self._approve()
        async with pool_of(self.deployment, tuple(self.args.rpc)) as pool:
            evm = Evm(pool)
            if verb in ("schedule", "execute"):
                proposal, approvals = self._proposal()
                call = (
                    proposal.schedule(self.deployment, approvals)
                    if verb == "schedule"
                    else proposal.execute(self.deployment)
                )
                return await self._send(evm, call)
            if verb == "send":
                return await self._send(evm, self._from_document())
            return await self._act(evm, await self._request(evm))

    # Acts

    async def _request(self, evm: Evm) -> Act:
        from chain.acts import next_nonce
        from protocol import acts

        args, key = self.args, self._key(self.args.key)
        org, until = self._organisation(key), int(time.time()) + args.valid
        if args.verb == "accept-key":
            return acts.AcceptKey(org, key.address, until)
        if args.verb == "object":
            return acts.Object(self._proposal()[0].id(self.deployment), org, until)
        nonce = await next_nonce(evm, self.deployment, org)
        if args.verb == "announce-key":
            purpose = acts.Purpose[args.purpose.upper()]
            return acts.AnnounceKey(
                org, self._address(args.target_key), purpose, args.begin, args.until, nonce, until
            )
        if args.verb == "cancel-key":
            return acts.CancelKey(org, self._address(args.target_key), nonce, until)
        if args.verb == "revoke-key":
            return acts.RevokeKey(org, self._address(args.target_key), nonce, until)
        if args.verb == "set-hpke":
            return acts.SetHpkeKey(org, self._public(args.public), args.begin, args.until, nonce, until)
        from protocol.identifiers import parse_hex32

        return acts.Suspend(org, args.target, parse_hex32(args.reason, "reason"), nonce, until)

    async def _act(self, evm: Evm, act: Act) -> int:
        from chain import acts

        signature = acts.sign(act, self.deployment, self._key(self.args.key))
        if self.args.sign_only is not None:
            self.args.sign_only.write_text(
                json.dumps(acts.document(act, signature), indent=1) + "\n", encoding="utf-8"
            )
            self._say({"signed": str(self.args.sign_only)}, "signed", path=self.args.sign_only)
            return 0
        return await self._send(evm, acts.call_for(act, signature, self.deployment))

    def _from_document(self) -> Call:
        from ledger_gateway.acts import parse_act

        return parse_act(_json_object(self.args.file), self.deployment).call

    # Proposals

    def _propose(self) -> int:
        from chain import governance
        from protocol.identifiers import log_id

        def named(origin: str | None) -> bytes:
            return log_id(origin) if origin else bytes(32)

        args = self.args
        if args.open_cases or args.calendar_year is not None:
            return self._write_proposal(self._case_proposal(), ())
        if args.open_log:
            proposal = governance.open_log(
                self.deployment, args.open_log, args.operator, named(args.predecessor)
            )
        else:
            proposal = governance.close_log(
                self.deployment, log_id(args.close_log), args.size, named(args.successor)
            )
        return self._write_proposal(proposal, ())

    def _case_proposal(self) -> Proposal:
        from cases.calendar import shipped
        from cases.opening import calendar_year, read_calendar
        from chain.case_deployment import open_cases, set_years
        from chain.case_record import load

        args, contracts = self.args, load(self.home).contracts
        calendar = read_calendar(args.calendar) if args.calendar else shipped()
        if args.open_cases:
            return open_cases(contracts, [calendar_year(number, calendar) for number in calendar.years])
        return set_years(contracts, [calendar_year(args.calendar_year, calendar)])

    def _approve(self) -> int:
        proposal, approvals = self._proposal()
        key = self._key(self.args.key)
        org = self._organisation(key)
        mine = proposal.approve(self.deployment, org, key, int(time.time()) + self.args.valid)
        return self._write_proposal(proposal, (*(a for a in approvals if a.organisation != org), mine))

    def _proposal(self) -> tuple[Proposal, tuple[Approval, ...]]:
        from chain.governance import parse_proposal

        return parse_proposal(_read(self.args.file))

    def _write_proposal(self, proposal: Proposal, approvals: tuple[Approval, ...]) -> int:
        partial = self.args.file.with_name(f".{self.args.file.name}.{os.getpid()}")
        partial.write_text(proposal.as_json(approvals) + "\n", encoding="utf-8")
        os.replace(partial, self.args.file)
        identity = proposal.id(self.deployment).hex()
        lines = proposal.describe(self.deployment, self._case_names())
        self._say(
            {"proposal": identity, "calls": lines, "approvals": [a.organisation for a in approvals]},
            "proposal",
            id=identity,
            n=len(approvals),
        )
        if not self.args.json:
            for line in lines:
                print(f"  {line}")
        return 0

    def _case_names(self) -> dict[bytes, str]:
        from chain.case_record import load_if_there

        cases = load_if_there(self.home, self.deployment.chain_id)
        return {} if cases is None else {at: name for name, at in cases.contracts.at.items()}

    # Parts

    async def _send(self, evm: Evm, call: Call) -> int:
        from chain.direct import send
        from chain.engines import profile
        from chain.signer import load_relayer

        facts = profile(self.deployment.engine)
        relayer = load_relayer(self._relayer())
        receipt: Receipt = await send(
            evm,
            relayer,
            call,
            chain_id=self.deployment.chain_id,
            gas_price=facts.min_gas_price,
            revert_costs_limit=facts.revert_gas == "limit",
        )
        transaction = receipt.transaction_hash.hex()
        self._say(
            {"block": receipt.block_number, "transaction": transaction, "gas": receipt.gas_used},
            "sent",
            block=receipt.block_number,
            hash=transaction,
        )
        return 0

    def _relayer(self) -> Path:
        """`--relayer` as a file or a name under keys/; by default the last local one, which no lane uses."""
        given = self.args.relayer
        folder = self.home / "keys"
        if given is None:
            found = sorted(folder.glob("relayer-*.key"))
            return found[-1] if found else folder / "relayer.json"
        if Path(given).exists():
            return Path(given)
        named = folder / f"{given}.key"
        return named if named.exists() else folder / f"{given}.json"

    def _key(self, name: str) -> Secp256k1Key:
        from agent.keys import key_path, load_secp256k1

        path = Path(name)
        return load_secp256k1(path if path.exists() else key_path(self.home / "keys", name))

    def _organisation(self, key: Secp256k1Key) -> int:
        number = self.args.organisation or key.label.organisation
        if number is None:
            raise OrganisationNeeded("the key file names none", field="--organisation")
        return int(number)

    def _address(self, text: str) -> bytes:
        from protocol.identifiers import parse_address

        if text.removeprefix("0x").isalnum() and len(text.removeprefix("0x")) == 40:
            return parse_address(text, "key")
        return self._key(text).address

    def _public(self, text: str) -> bytes:
        from agent.keys import key_path, load_x25519
        from protocol.identifiers import parse_hex32

        path = Path(text)
        if not path.exists() and len(text.removeprefix("0x")) == 64:
            return parse_hex32(text, "public key")
        return load_x25519(path if path.exists() else key_path(self.home / "keys", text)).public_key

    def _say(self, document: dict[str, Any], text: str, **values: object) -> None:
        print(json.dumps(document) if self.args.json else _TEXTS[text].format(self.lang, **values))


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with path.open("rb") as source:
                data = source.read(MAX_FILE + 1)
    except OSError as error:
        raise ActFileUnreadable(f"{path}: {error.strerror}", field=str(path)) from None
    if len(data) > MAX_FILE:
        raise ActFileUnreadable(f"{path}: more than 1 MiB", field=str(path))
    return data


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json_value(_read(path), "file", max_bytes=MAX_FILE)
    except MalformedInput:
        raise ActFileUnreadable(f"{path}: not JSON", field=str(path)) from None
    if not isinstance(value, dict):
        raise ActFileUnreadable(f"{path}: a JSON object is expected", field=str(path))
    return value
