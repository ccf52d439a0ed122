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

    from chain.case_record import CaseRecord
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
    "cases": Text(
        "部署案件合约（账本须已部署；记录在 cases.json）",
        "deploy the case contracts beside a deployed ledger; recorded in cases.json",
    ),
    "test-clock": Text(
        "TEST CLOCK：所有期限按秒计，仅供演示与测试",
        "TEST CLOCK: every time limit in seconds, for demonstrations and tests",
    ),
    "cases-next": Text(
        "下一步：由治理开通案件（caseledger act propose 提案.json --open-cases）",
        "next: governance opens the case room (caseledger act propose FILE --open-cases)",
    ),
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
    parser.add_argument("--cases", action="store_true", help=words("cases"))
    parser.add_argument("--test-clock", action="store_true", help=words("test-clock"))
    parser.add_argument("--json", action="store_true", help=words("json"))
    parser.add_argument("--lang", choices=["zh", "en"], default=argparse.SUPPRESS, help=words("lang"))


def run(args: argparse.Namespace) -> int:
    """Deploy or check; 0, or an error."""
    from chain import case_record
    from chain.deployment import load

    lang = language(getattr(args, "lang", None))
    home = args.home or Path(os.environ.get("CASELEDGER_HOME") or ".caseledger")
    fresh = fresh_cases = False
    if args.cases or args.check or ((home / "deployment.json").exists() and not args.again):
        deployment = load(home)
        asyncio.run(_check(deployment))
    else:
        deployment = asyncio.run(_deploy(args, home, quiet=args.json))
        fresh = True
    cases = None if fresh else case_record.load_if_there(home, deployment.chain_id)
    if args.cases and (cases is None or args.again) and not args.check:
        cases = asyncio.run(_deploy_cases(args, home, deployment))
        fresh_cases = True
    elif cases is not None:
        asyncio.run(_check_cases(deployment, cases))
    if args.json:
        print(json.dumps(deployment.as_json() | _cases_json(cases), ensure_ascii=False))
        return 0
    print(_TEXTS["done" if fresh or fresh_cases else "checked"].choose(lang))
    print(f"  {_TEXTS['chain'].choose(lang)} {deployment.chain_id}  {deployment.network_id}")
    for name, contract in (deployment.contracts | dict(cases.deployed if cases else {})).items():
        print(f"  {name:<21} 0x{contract.address.hex()}  {contract.code_hash.hex()}")
    if cases is not None and cases.version.test_clock:
        print("  TEST CLOCK")
    if fresh:
        print(_TEXTS["next"].choose(lang))
    if fresh_cases:
        print(_TEXTS["cases-next"].choose(lang))
    return 0


def _cases_json(cases: CaseRecord | None) -> dict[str, object]:
    return {} if cases is None else {"cases": cases.as_json(), "testClock": cases.version.test_clock}


async def _check(deployment: Deployment) -> None:
    from chain import deploy
    from chain.configuration import pool_of
    from chain.evm import Evm

    async with pool_of(deployment) as pool:
        await deploy.check(Evm(pool), deployment)


async def _check_cases(deployment: Deployment, cases: CaseRecord) -> None:
    from chain.case_deployment import check_cases
    from chain.configuration import pool_of
    from chain.evm import Evm

    async with pool_of(deployment) as pool:
        await check_cases(Evm(pool), deployment, cases)


async def _deploy_cases(args: argparse.Namespace, home: Path, deployment: Deployment) -> CaseRecord:
    from cases.opening import policy_version
    from chain.case_deployment import deploy_cases
    from chain.configuration import network_of, pool_of
    from chain.evm import Evm
    from chain.signer import load_relayer

    lang = language(getattr(args, "lang", None))
    deployer = load_relayer(args.key or home / "keys" / "deployer.key")

    def say(name: str) -> None:
        if not args.json:
            print(_TEXTS["step"].format(lang, name=name), flush=True)

    async with pool_of(deployment) as pool:
        version = policy_version(test_clock=args.test_clock)
        record = await deploy_cases(Evm(pool), deployer, network_of(home), deployment, version, progress=say)
    record.save(home)
    return record


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
