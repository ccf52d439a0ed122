"""`caseledger receipt …`: a receipt in other people's formats, and its slots proved again."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from protocol.errors import CaseledgerError
from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from verifier.attestation import ChainAttestation
    from verifier.receipt import Receipt
    from verifier.trust_payload import TrustPayload

FORMATS = ("json", "tlog-proof", "cose", "ers", "erc1497")
_TEXTS = {
    "view": Text("换成其他格式（JSON、C2SP、COSE、RFC 4998、ERC-1497）", "in another format"),
    "refresh": Text(
        "在尚未结束的验证人期内重新取链上证明，附于收据之后",
        "prove the slots again under an open validator epoch; appended to the receipt",
    ),
    "as": Text("目标格式", "format"),
    "receipt": Text("收据文件（.clr）", "receipt (.clr)"),
    "out": Text(
        "写到此文件（默认在收据旁；- 为标准输出）", "write here (beside the receipt; - is standard output)"
    ),
    "trust": Text("信任文件（默认为已接受的那一份）", "trust file (the accepted one by default)"),
    "gateway": Text("向此网关索取", "ask this gateway"),
    "node": Text(
        "经自有节点（[chain] 或 --rpc），不经网关", "through an own node ([chain], or --rpc), no gateway"
    ),
    "rpc": Text("节点地址，可重复", "node address, may be repeated"),
    "comet": Text("CometBFT 节点地址，可重复", "CometBFT address of a node, may be repeated"),
    "written": Text("已写入 {path}（{size} 字节）", "written: {path} ({size} bytes)"),
    "refreshed": Text(
        "已附上新的链上证明：{before} → {after}；{path}",
        "new chain proof appended: {before} → {after}; {path}",
    ),
}


class CannotWrite(CaseledgerError):
    """The file cannot be written; what was there is as it was."""

    title: ClassVar[str] = "cannot be written"
    exit_code: ClassVar[int] = 2


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `receipt` and its verbs."""
    lang = language()
    parser = subparsers.add_parser("receipt", help=help_text, description=help_text)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=_TEXTS[name].choose(lang), description=_TEXTS[name].choose(lang))
        one.add_argument("receipt", type=Path, metavar="RECEIPT", help=_TEXTS["receipt"].choose(lang))
        one.add_argument("--out", type=Path, metavar="FILE", help=_TEXTS["out"].choose(lang))
        one.add_argument("--trust", type=Path, metavar="FILE", help=_TEXTS["trust"].choose(lang))
        one.add_argument("--gateway", action="append", metavar="URL", help=_TEXTS["gateway"].choose(lang))
        one.add_argument("--key", metavar="NAME")
        one.add_argument("--home", type=Path, metavar="DIR")
        one.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true")
        return one

    view = verb("view")
    view.add_argument("--as", dest="format", choices=FORMATS, required=True, help=_TEXTS["as"].choose(lang))
    refresh = verb("refresh")
    refresh.add_argument("--node", action="store_true", help=_TEXTS["node"].choose(lang))
    refresh.add_argument("--rpc", action="append", default=[], metavar="URL", help=_TEXTS["rpc"].choose(lang))
    refresh.add_argument(
        "--comet", action="append", default=[], metavar="URL", help=_TEXTS["comet"].choose(lang)
    )


def run(args: argparse.Namespace) -> int:
    """Run one verb; the exit code."""
    lang = language(getattr(args, "lang", None))
    return _view(args, lang) if args.verb == "view" else _refresh(args, lang)


def read_receipt(path: Path) -> Receipt:
    """A receipt file, or the JSON view of one.

    Raises:
        CannotRead, MalformedReceipt, JsonViewMismatch
    """
    from cli.verify import read_bounded
    from verifier.receipt import Receipt
    from verifier.views.json_view import MAX_JSON, receipt_of

    data = read_bounded(path, MAX_JSON)
    return receipt_of(data) if data[:1] == b"{" else Receipt.parse(data)


def read_trust(args: argparse.Namespace) -> bytes:
    """The trust file of the arguments, or the accepted one of the home."""
    from cli.verify import held_trust, read_bounded
    from verifier.trust import MAX_TRUST

    return read_bounded(args.trust or held_trust(args.home), MAX_TRUST)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        CannotWrite
    """
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=".caseledger-")
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o644)
        os.rename(name, path)
    except OSError as error:
        if name:
            with suppress(OSError):
                os.unlink(name)
        raise CannotWrite(f"{path}: {error.strerror}", field=str(path)) from None


def _view(args: argparse.Namespace, lang: Language) -> int:
    receipt = read_receipt(args.receipt)
    data, suffix = _render(args, receipt)
    if args.out is not None and str(args.out) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return 0
    path = args.out or args.receipt.with_name(args.receipt.name.removesuffix(".clr") + suffix)
    write_whole(path, data)
    if args.json:
        print(json.dumps({"view": args.format, "path": str(path), "bytes": len(data)}, ensure_ascii=False))
    else:
        print(_TEXTS["written"].format(lang, path=path, size=len(data)))
    return 0


def _render(args: argparse.Namespace, receipt: Receipt) -> tuple[bytes, str]:
    """Bytes and file suffix of the view. What a gateway makes is checked here before it is kept."""
    from protocol.hashing import SHA256

    if args.format == "json":
        from verifier.views import json_view

        return json_view.render(receipt), ".clr" + json_view.SUFFIX
    if args.format == "erc1497":
        from verifier.views import erc1497

        return erc1497.render(receipt), erc1497.SUFFIX
    from agent.renewing import payload_of

    trust = payload_of(read_trust(args))
    if args.format == "tlog-proof":
        from verifier.views import tlog_proof

        return tlog_proof.tlog_proof(receipt, trust), tlog_proof.SUFFIX
    identity = SHA256.leaf(receipt.core.leaf)
    data = _ask(args, identity, args.format)
    if args.format == "cose":
        from verifier.views import cose_receipt
        from verifier.views.tlog_proof import trusted_log

        log = trusted_log(trust, receipt.core.log.origin)
        cose_receipt.verify_cose_receipt(data, receipt.core, log.log_key)
        return data, cose_receipt.SUFFIX
    from verifier.views.ers import SUFFIX, EvidenceRecord

    EvidenceRecord.parse(data).verify(
        identity, trust.authorities, at=int(time.time()), not_before=_not_before(receipt)
    )
    return data, SUFFIX


def _not_before(receipt: Receipt) -> int:
    from verifier.attested import BEFORE_BLOCK

    return max(0, receipt.core.link.time - BEFORE_BLOCK)


def _ask(args: argparse.Namespace, identity: bytes, view: str) -> bytes:
    """From the first gateway that gives it.

    Raises:
        GatewayUnreachable, GatewayRefused: of the last one.
    """
    from agent.client import GatewayClient
    from agent.errors import GatewayRefused, GatewayUnreachable
    from agent.login import LoginTokens
    from agent.profile import home_of, load_profile

    home = home_of(None if args.home is None else str(args.home))
    profile = load_profile(home, key=args.key, trust=args.trust, gateways=args.gateway)
    tokens = None
    if profile.auth_key is not None:
        tokens = LoginTokens(profile.auth_key, profile.organisation, profile.login_domain(), time.time)
    failure: CaseledgerError = GatewayUnreachable(
        "no gateway is configured", field="gateway",
        hint="--gateway URL, or `gateways` in table [agent] of caseledger.toml",
    )  # fmt: skip
    for url in profile.gateways:
        try:
            with GatewayClient(url, tokens=tokens) as gateway:
                return gateway.receipt_view(identity.hex(), view)
        except (GatewayRefused, GatewayUnreachable) as error:
            failure = error
    raise failure


def _refresh(args: argparse.Namespace, lang: Language) -> int:
    from agent.renewing import payload_of, refreshed
    from protocol.hashing import SHA256
    from verifier.attestation import ChainAttestation
    from verifier.attestation import parse as parse_attestation
    from verifier.receipt import Attestation
    from verifier.verify import verify_receipt

    receipt, trust = read_receipt(args.receipt), read_trust(args)
    added: ChainAttestation
    if args.node or args.rpc:
        added = _from_node(args, receipt, payload_of(trust))
    else:
        payload = _ask(args, SHA256.leaf(receipt.core.leaf), "chain")
        parsed = parse_attestation(Attestation(ChainAttestation.kind, payload), 0)
        if not isinstance(parsed, ChainAttestation):
            from agent.errors import GatewayAnswerInvalid

            raise GatewayAnswerInvalid("no chain proof of a kind that is known here")
        added = parsed
    at = int(time.time())
    before = verify_receipt(receipt.encode(), trust, at=at)
    # The newest block's clock may be a little ahead of ours.
    out = refreshed(receipt, added, trust, at + 60)
    after = verify_receipt(out.encode(), trust, at=at + 60)
    path = args.out or args.receipt
    write_whole(path, out.encode())
    if args.json:
        shown = {"before": before.result.value, "after": after.result.value, "path": str(path)}
        print(json.dumps(shown, ensure_ascii=False))
    else:
        words = {"before": before.result.value, "after": after.result.value, "path": path}
        print(_TEXTS["refreshed"].format(lang, **words))
    return 0


def _from_node(args: argparse.Namespace, receipt: Receipt, trust: TrustPayload) -> ChainAttestation:
    """Through own nodes; contracts, code hashes and validators are the trust file's.

    Raises:
        ChainNotTrusted, RefreshNotPossible, ProofNotCaptured, ChainConfigurationInvalid
    """
    import asyncio

    from agent.profile import home_of
    from chain.configuration import network_of, pool_of
    from chain.refresh import deployment_of, prove_again
    from verifier.errors import ChainNotTrusted

    chain = trust.chain(receipt.core.log.chain_id)
    if chain is None:
        raise ChainNotTrusted(f"chain id {receipt.core.log.chain_id}", field="chain id")
    rpc, comet = tuple(args.rpc), tuple(args.comet)
    if not rpc:
        network = network_of(home_of(None if args.home is None else str(args.home)))
        rpc, comet = network.rpc, network.comet
    deployment = deployment_of(chain, rpc, comet)

    async def proving() -> ChainAttestation:
        async with pool_of(deployment) as pool:
            return await prove_again(pool, deployment, receipt.core, chain)

    return asyncio.run(proving())
