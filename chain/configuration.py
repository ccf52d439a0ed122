"""Which chain this home uses: `[chain]` in `caseledger.toml`, or the local network under `net/`.

[chain]
engine = "qbft"                       # cometbft, qbft, clique or dev
chain_id = 4242
network_id = "consortium-1"           # CometBFT chain id; any name for the others
rpc_urls = ["https://node1.example:8545", "https://node2.example:8545"]
comet_urls = []                       # CometBFT RPC, for engine cometbft
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.deploy import Network
from chain.deployment import ENGINES, Deployment
from chain.engines import profile
from chain.errors import ChainError
from chain.rpc import RpcPool, RpcSettings
from protocol.expect import UINT53_MAX

if TYPE_CHECKING:
    from chain.networks.clique import CliqueNetwork
    from chain.networks.cometbft import CometNetwork
    from chain.networks.dev import DevNetwork

FILE_NAME = "caseledger.toml"
TABLE = "chain"
_MEMBERS = {"engine", "chain_id", "network_id", "rpc_urls", "comet_urls"}


class ChainConfigurationInvalid(ChainError):
    """The table `[chain]` is malformed."""

    http_status = 422
    title = "chain configuration refused"


def network_of(home: Path) -> Network:
    """The chain to deploy to. Raises ChainConfigurationInvalid, NetworkMissing."""
    table = _table(home)
    if table is not None:
        return _network(table)
    engine, local = _local_network(home)
    return _with_profile(
        engine, local.evm_chain_id, local.chain_id, tuple(local.rpc_urls), tuple(local.comet_urls)
    )


def _local_network(home: Path) -> tuple[str, CometNetwork | CliqueNetwork | DevNetwork]:
    from chain.networks.clique import CliqueNetwork
    from chain.networks.cometbft import CometNetwork
    from chain.networks.dev import DevNetwork
    from chain.networks.errors import NetworkMissing

    with suppress(NetworkMissing):
        return "clique", CliqueNetwork.load(home)
    with suppress(NetworkMissing):
        return "dev", DevNetwork.load(home)
    return "cometbft", CometNetwork.load(home)


def open_pool(
    engine: str,
    chain_id: int,
    network_id: str,
    rpc: tuple[str, ...],
    comet: tuple[str, ...] = (),
    *,
    settings: RpcSettings | None = None,
) -> RpcPool:
    """A pool over the nodes; make and use it in one event loop."""
    return RpcPool(
        rpc,
        profile(engine),
        chain_id=chain_id,
        comet_urls=comet,
        comet_chain_id=network_id if comet else None,
        settings=settings,
    )


def pool_of(
    deployment: Deployment, rpc: tuple[str, ...] = (), *, settings: RpcSettings | None = None
) -> RpcPool:
    """A pool for a deployment; `rpc` overrides its node addresses."""
    return open_pool(
        deployment.engine,
        deployment.chain_id,
        deployment.network_id,
        rpc or deployment.rpc,
        deployment.comet,
        settings=settings,
    )


def _table(home: Path) -> dict[str, Any] | None:
    path = home / FILE_NAME
    if not path.is_file():
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get(TABLE)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        raise ChainConfigurationInvalid(f"{FILE_NAME} is not TOML", field=FILE_NAME) from None
    if table is not None and not isinstance(table, dict):
        raise ChainConfigurationInvalid(f"[{TABLE}] is not a table", field=TABLE)
    return table


def _network(table: dict[str, Any]) -> Network:
    unknown = sorted(table.keys() - _MEMBERS)
    if unknown:
        raise ChainConfigurationInvalid(f"unknown member {unknown[0]}", field=f"{TABLE}.{unknown[0]}")
    engine, chain_id, network_id = table.get("engine"), table.get("chain_id"), table.get("network_id")
    if engine not in ENGINES:
        raise ChainConfigurationInvalid(f"one of {', '.join(ENGINES)}", field=f"{TABLE}.engine")
    if not isinstance(chain_id, int) or isinstance(chain_id, bool) or not 1 <= chain_id <= UINT53_MAX:
        raise ChainConfigurationInvalid("a number from 1 to 2^53", field=f"{TABLE}.chain_id")
    if not isinstance(network_id, str) or not 1 <= len(network_id) <= 64:
        raise ChainConfigurationInvalid("1 to 64 characters", field=f"{TABLE}.network_id")
    rpc, comet = _urls(table, "rpc_urls"), _urls(table, "comet_urls")
    if not rpc:
        raise ChainConfigurationInvalid("at least one node", field=f"{TABLE}.rpc_urls")
    if profile(engine).comet_rpc and not comet:
        raise ChainConfigurationInvalid("this engine proves by its CometBFT RPC", field=f"{TABLE}.comet_urls")
    return _with_profile(engine, chain_id, network_id, rpc, comet)


def _urls(table: dict[str, Any], name: str) -> tuple[str, ...]:
    override = os.environ.get(f"CASELEDGER_CHAIN_{name.upper()}")
    value = override.split(",") if override else table.get(name, [])
    if not isinstance(value, list) or not all(
        isinstance(url, str) and url.startswith(("http://", "https://")) for url in value
    ):
        raise ChainConfigurationInvalid("a list of http or https addresses", field=f"{TABLE}.{name}")
    return tuple(value)


def _with_profile(
    engine: str, chain_id: int, network_id: str, rpc: tuple[str, ...], comet: tuple[str, ...]
) -> Network:
    facts = profile(engine)
    return Network(engine, chain_id, network_id, rpc, comet, facts.min_gas_price, facts.revert_gas == "limit")
