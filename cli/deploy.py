"""`caseledger deploy`: put the contracts on a chain, or check those that are there."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from chain.deployment import Deployment

_TEXTS = {
    "home": Text("数据目录", "home folder"),
    "consortium": Text(
        "联盟配置（默认 <home>/consortium.toml）", "consortium file (<home>/consortium.toml by default)"
    ),
    "development": Text(
        "没有联盟配置时，新建一个仅供开发的联盟（含密钥）",
        "without a consortium file, make one for development, keys included",
    ),
    "key": Text(
        "部署者的密钥文件（仅付费，不留权限）", "the deployer's key file: it pays and keeps no right"
    ),
    "again": Text("已部署过也重新部署一套", "deploy a new set although one is recorded"),
    "check": Text("只核对已部署的合约", "only check what is deployed"),
    "json": Text("以 JSON 输出", "print JSON"),
    "lang": Text("语言：zh 或 en", "language: zh or en"),
    "step": Text("  部署 {name} …", "  deploying {name} …"),
    "done": Text("已部署并核对代码", "deployed, code checked"),
    "checked": Text("链上代码与本版本一致", "the code on chain is this release's"),
    "chain": Text("链", "chain"),
    "next": Text(
        "下一步：由治理开通日志，并制作信任文件（caseledger trust build）",
        "next: open a log by governance, and make a trust file (caseledger trust build)",
    ),
    "network": Text("网络", "network"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register `deploy`."""
    lang = language()

    def words(name: str) -> str:
        return _TEXTS[name].choose(lang)

    parser = subparsers.add_parser("deploy", help=help_text, description=help_text)
    parser.add_argument("--home", type=Path, help=words("home"))
    parser.add_argument("--consortium", type=Path, metavar="FILE", help=words("consortium"))
    parser.add_argument("--development", action="store_true", help=words("development"))
    parser.add_argument("--key", type=Path, metavar="FILE", help=words("key"))
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--again", action="store_true", help=words("again"))
    either.add_argument("--check", action="store_true", help=words("check"))
    parser.add_argument("--json", action="store_true", help=words("json"))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=words("lang"))


def run(args: argparse.Namespace) -> int:
    """Deploy or check; 0, or an error."""
    from chain.deployment import load

    lang = language(getattr(args, "lang", None))
    home = args.home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")
    recorded = (home / "deployment.json").exists()
    if (recorded and not args.again) or args.check:
        deployment = load(home)
        asyncio.run(_check(deployment))
        fresh = False
    else:
        deployment = asyncio.run(_deploy(args, home, quiet=args.json))
        fresh = True
    if args.json:
        print(json.dumps(deployment.as_json(), ensure_ascii=False))
        return 0
    print(_TEXTS["done" if fresh else "checked"].choose(lang))
    print(f"  {_TEXTS['chain'].choose(lang)} {deployment.chain_id}  {deployment.network_id}")
    for name, contract in deployment.contracts.items():
        print(f"  {name:<21} 0x{contract.address.hex()}  {contract.code_hash.hex()}")
    if fresh:
        print(_TEXTS["next"].choose(lang))
    return 0


async def _check(deployment: Deployment) -> None:
    from chain import deploy
    from chain.configuration import pool_of
    from chain.evm import Evm

    async with pool_of(deployment) as pool:
        await deploy.check(Evm(pool), deployment)


async def _deploy(args: argparse.Namespace, home: Path, *, quiet: bool) -> Deployment:
    from chain import consortium, deploy
    from chain.configuration import network_of, open_pool
    from chain.evm import Evm
    from chain.signer import load_relayer

    lang = language(getattr(args, "lang", None))
    path = args.consortium or home / consortium.FILE_NAME
    if not path.exists() and args.development:
        path = _development(home)
    founders = consortium.load(path)
    network = network_of(home)
    deployer = load_relayer(args.key or home / "keys" / "deployer.key")

    def say(name: str) -> None:
        if not quiet:
            print(_TEXTS["step"].format(lang, name=name), flush=True)

    async with open_pool(
        network.engine, network.chain_id, network.network_id, network.rpc, network.comet
    ) as pool:
        deployment = await deploy.deploy(Evm(pool), deployer, network, founders.rules(), progress=say)
    deployment.save(home)
    return deployment


class KeyFolder:
    """The generator's key store over the agent's key files; existing keys are used again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ensure(self, name: str, kind: str, purpose: str, organisation: int | None) -> bytes:
        """Address (20 bytes) or public key (32 bytes) of the key of this name."""
        from agent.keys import KeyLabel, Secp256k1Key, key_path, load_key, new_key, save_key

        path = key_path(self._folder, name)
        if not path.exists():
            save_key(new_key(kind, KeyLabel(name, purpose, organisation)), self._folder)
        key = load_key(path)
        return key.address if isinstance(key, Secp256k1Key) else key.public_key


def _development(home: Path) -> Path:
    """A development consortium and its keys under the home; the path of its file."""
    from chain import consortium

    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / consortium.FILE_NAME
    text = consortium.render(consortium.development(KeyFolder(home / "keys")))
    partial = path.with_suffix(".tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path
