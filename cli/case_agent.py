"""What commands about cases have in common on an organisation's side: its keys, a gateway, the contracts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Text, language

if TYPE_CHECKING:
    from agent.client import GatewayClient
    from agent.profile import Profile
    from protocol.acts import Domain

BATCHES_SETTING = "case_batches"
_TEXTS = {
    "key": Text("行为密钥名称（默认取设置）", "name of the act key (from the settings otherwise)"),
    "gateway": Text("网关地址（默认取设置）", "address of a gateway (from the settings otherwise)"),
    "trust": Text("已接受的信任文件", "the accepted trust file"),
    "patience": Text("每一步最多等待的秒数（默认 300）", "seconds to wait for each step (300)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments by which an organisation reaches a gateway."""

    def words(name: str) -> str:
        return _TEXTS[name].choose(language())

    parser.add_argument("--key", metavar="NAME", help=words("key"))
    parser.add_argument("--gateway", action="append", metavar="URL", help=words("gateway"))
    parser.add_argument("--trust", type=Path, metavar="FILE", help=words("trust"))
    parser.add_argument("--patience", type=float, default=300.0, metavar="SECONDS", help=words("patience"))


@dataclass(frozen=True)
class Connection:
    """An organisation's agent and its gateway."""

    profile: Profile
    client: GatewayClient
    patience: float


def has_gateway(args: argparse.Namespace, home: Path) -> bool:
    """Whether a gateway is named, here or in the settings."""
    from agent.profile import read_table

    return bool(args.gateway or read_table(home).get("gateways"))


@contextmanager
def connected(args: argparse.Namespace, home: Path, organisation: int) -> Iterator[Connection]:
    """Logs in with the organisation's own key.

    Raises:
        KeyNotFound, TrustMissing, ArgumentRefused (no gateway), and the errors of key and trust files
    """
    from agent.client import GatewayClient
    from agent.errors import ArgumentRefused, KeyNotFound
    from agent.intake.party import act_key_name
    from agent.login import LoginTokens
    from agent.profile import load_profile

    if not has_gateway(args, home):
        raise ArgumentRefused(
            "no gateway is known", field="gateway",
            hint="--gateway URL, or `gateways` in table [agent] of caseledger.toml",
        )  # fmt: skip
    key = args.key or act_key_name(home, organisation)
    profile = load_profile(home, key=key, trust=args.trust, gateways=args.gateway)
    if profile.organisation != organisation:
        raise KeyNotFound(f"{key} is not a key of organisation {organisation}", field="key")
    if profile.auth_key is None:
        raise KeyNotFound("no auth key of this organisation", field="key", hint="caseledger keys list")
    tokens = LoginTokens(profile.auth_key, organisation, profile.login_domain(), time.time)
    with GatewayClient(profile.gateways[0], tokens=tokens) as client:
        yield Connection(profile, client, args.patience)


def batches_domain(home: Path, profile: Profile) -> Domain:
    """Where acts on batches count: the setting `case_batches` of table [agent], else the record `cases.json`.
    A gateway is not asked: what is signed for a contract that it names might count elsewhere.

    Raises:
        CaseContractsUnknown, MalformedInput, DeploymentMismatch
    """
    from agent.errors import CaseContractsUnknown
    from agent.profile import read_table
    from chain.case_record import load_if_there
    from protocol.acts import Domain
    from protocol.identifiers import parse_address

    chain_id = profile.login_domain().chain_id
    stated = read_table(home).get(BATCHES_SETTING)
    if stated is not None:
        return Domain(chain_id, parse_address(str(stated), BATCHES_SETTING))
    record = load_if_there(home, chain_id)
    if record is None:
        raise CaseContractsUnknown(
            "no record of the case contracts here", field=BATCHES_SETTING,
            hint="copy the consortium's cases.json into the home, or set case_batches in table [agent]",
        )  # fmt: skip
    return record.contracts.batches_domain
