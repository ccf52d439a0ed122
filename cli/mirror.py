"""`caseledger mirror`: keep a copy of the logs' trees, follow the chain, answer when the gateway is gone."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Language, Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from monitor.mirror_store import MirrorStore
    from verifier.trust_payload import TrustedLog

_TEXTS = {
    "home": Text("镜像方的数据目录", "the mirror's home folder"),
    "listen": Text("监听地址", "where to listen"),
    "gateway": Text("网关或另一镜像的地址", "address of the gateway, or of another mirror"),
    "check": Text(
        "仅凭镜像核对收据，不连节点与网关，核完即退出",
        "check a receipt against the mirror alone, without node or gateway, and end",
    ),
    "runs": Text("镜像 {logs} 个日志，监听 {listen}", "mirroring {logs} logs, listening at {listen}"),
    "holds": Text(
        "✓ {file}：第 {index} 叶在镜像中，批次 {batch}；至批次 {provedBatch} 的锚定"
        "已由区块 {provedInBlock} 证明",
        "✓ {file}: leaf {index} is in the mirror, batch {batch}; anchors up to batch {provedBatch} are proved"
        " in block {provedInBlock}",
    ),
}
FOLDER = "mirror"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    lang = language()
    parser = subparsers.add_parser("mirror", help=help_text, description=help_text)
    parser.add_argument("--gateway", metavar="URL", help=_TEXTS["gateway"].choose(lang))
    where = "127.0.0.1:8791"
    parser.add_argument("--listen", default=where, metavar="HOST:PORT", help=_TEXTS["listen"].choose(lang))
    parser.add_argument("--check", type=Path, nargs="+", metavar="FILE", help=_TEXTS["check"].choose(lang))
    parser.add_argument("--home", type=Path, required=True, metavar="DIR", help=_TEXTS["home"].choose(lang))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Follow and serve until SIGTERM, or check receipts."""
    import logging

    from cli.witness import listen_address
    from monitor.errors import WitnessSettingsInvalid

    if args.check:
        return check(args)
    if not args.gateway:
        raise WitnessSettingsInvalid("--gateway is needed", field="gateway")
    host, port = listen_address(args.listen)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(serve(args.home.absolute(), args.gateway, host, port, language(getattr(args, "lang", None))))
    return 0


async def serve(home: Path, gateway: str, host: str, port: int, lang: Language) -> None:
    """All logs of the trust file on this chain, until told to stop.

    Raises:
        TrustFileUnusable, WitnessStateUnreadable, DeploymentMissing: nothing is served
    """
    import uvicorn

    from chain import deployment as deployments
    from chain.configuration import network_of, open_pool
    from monitor.held_trust import ACCEPTED, HeldTrust
    from monitor.mirror import Mirror
    from monitor.mirror_http import CONCURRENT, MirrorApp
    from monitor.tile_client import HttpTiles

    deployment = deployments.load(home)
    network = network_of(home)
    trust = HeldTrust(home / ACCEPTED, deployment)
    tiles = HttpTiles(gateway)
    stop = asyncio.Event()
    async with open_pool(
        deployment.engine, deployment.chain_id, deployment.network_id, network.rpc, network.comet
    ) as pool:
        mirrors = [Mirror(log.origin, pool, deployment, trust, tiles, home / FOLDER) for log in trust.logs()]
        following = [asyncio.create_task(one.run(stop)) for one in mirrors]
        config = uvicorn.Config(
            MirrorApp(mirrors), host=host, port=port, http="h11", ws="none", lifespan="off", access_log=False,
            log_config=None, server_header=False, proxy_headers=False, limit_concurrency=CONCURRENT,
        )  # fmt: skip
        print(_TEXTS["runs"].format(lang, logs=len(mirrors), listen=f"{host}:{port}"), flush=True)
        try:
            await uvicorn.Server(config).serve()
        finally:
            stop.set()
            await asyncio.gather(*following)
            await tiles.aclose()


def check(args: argparse.Namespace) -> int:
    """Check receipts against what the mirror keeps.

    Raises:
        MirrorContradicts, OriginUnknown, TrustFileUnusable, and what reading a receipt raises
    """
    from chain import deployment as deployments
    from monitor.held_trust import ACCEPTED, HeldTrust
    from monitor.mirror import check as check_receipt
    from monitor.mirror_store import MirrorStore
    from protocol.identifiers import log_id
    from verifier.receipt import MAX_RECEIPT, Receipt

    lang = language(getattr(args, "lang", None))
    home = args.home.absolute()
    trust = HeldTrust(home / ACCEPTED, deployments.load(home))
    stores: dict[str, tuple[MirrorStore, TrustedLog]] = {}
    out = []
    for file in args.check:
        with file.open("rb") as source:
            receipt = Receipt.parse(source.read(MAX_RECEIPT + 1))
        origin = receipt.core.log.origin
        if origin not in stores:
            known = trust.log(origin)
            stores[origin] = MirrorStore.look(home / FOLDER / log_id(origin).hex()), known
        store, known = stores[origin]
        facts = check_receipt(receipt, store, trust.chain(), known)
        out.append({"file": file.name, **facts})
        if not args.json:
            print(_TEXTS["holds"].format(lang, **out[-1]))
    if args.json:
        print(json.dumps(out, ensure_ascii=False))
    return 0
