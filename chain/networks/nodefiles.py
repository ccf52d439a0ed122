"""A node's home: keys, genesis, settings, made by the node's own program and then hardened."""

from __future__ import annotations

import hashlib
import json
import subprocess
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chain.networks import genesis as gen
from chain.networks.binary import NodeBinary
from chain.networks.errors import NetworkToolFailed
from chain.networks.keys import LocalKey, new_key, read_key
from chain.networks.state import ARCHIVE, ARCHIVE_STATES_KEPT, STATES_KEPT, Json, Node
from chain.networks.tomledit import Settings


def run(
    binary: NodeBinary, arguments: Sequence[str], home: Path, *, answers: str = "", timeout: float = 60.0
) -> str:
    """Run the node program with `answers` to what it asks; its output. Raises NetworkToolFailed."""
    try:
        done = subprocess.run(  # noqa: S603 - the wheel's program, arguments as a list
            [str(binary.path), *arguments],
            env=binary.environment(home),
            input=answers,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkToolFailed(f"{' '.join(arguments[:2])}: {type(error).__name__}") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        told = next(
            (line for line in lines if line.startswith(("Error", "panic"))), lines[-1] if lines else ""
        )
        raise NetworkToolFailed(f"{' '.join(arguments[:2])}: {told[:300]}")
    return done.stdout


def init_home(binary: NodeBinary, folder: Path, moniker: str, chain_id: str) -> bytes:
    """Make one node's home; the address of its validator account."""
    folder.mkdir(mode=0o700, parents=True)
    run(binary, ["init", moniker, "--chain-id", chain_id, "--home", str(folder)], folder)
    shown = run(
        binary,
        [
            *("keys", "add", "val", "--keyring-backend", "test"),
            *("--home", str(folder), "--output", "json", "--no-backup"),
        ],
        folder,
    )
    bech = str(json.loads(shown)["address"])
    # The keyring names the file that leads from address to key after the address.
    for path in (folder / "keyring-test").glob("*.address"):
        address = bytes.fromhex(path.name.removesuffix(".address"))
        if gen.account(address) == bech:
            return address
    raise NetworkToolFailed("the keyring does not hold the new key")


def gentx(binary: NodeBinary, home: Path, node: Node, chain_id: str) -> Json:
    folder = home / node.folder
    run(
        binary,
        [
            *("genesis", "gentx", "val", f"{gen.BOND}{gen.DENOM}", "--chain-id", chain_id),
            *("--moniker", node.controller, "--ip", "127.0.0.1", "--p2p-port", str(node.ports.p2p)),
            *("--keyring-backend", "test", "--home", str(folder)),
        ],
        folder,
    )
    (path,) = (folder / "config" / "gentx").glob("*.json")
    gentx: Json = json.loads(path.read_text())
    return gentx


def spread(home: Path, nodes: Sequence[Node], genesis: Mapping[str, Any]) -> None:
    text = json.dumps(genesis, indent=1)
    for node in nodes:
        (home / node.folder / "config" / "genesis.json").write_text(text)


def network_keys(home: Path, relayers: int) -> tuple[LocalKey, list[LocalKey]]:
    keys = home / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(name: str) -> LocalKey:
        path = keys / f"{name}.key"
        return read_key(path) if path.exists() else new_key(path)

    return make("deployer"), [make(f"relayer-{i}") for i in range(1, relayers + 1)]


def node_id(folder: Path) -> str:
    key = json.loads((folder / "config" / "node_key.json").read_text())["priv_key"]["value"]
    return hashlib.sha256(b64decode(key)[32:]).hexdigest()[:40]


def consensus_address(folder: Path) -> str:
    key = json.loads((folder / "config" / "priv_validator_key.json").read_text())
    return str(key["address"])


def public_key(folder: Path) -> str:
    key = json.loads((folder / "config" / "priv_validator_key.json").read_text())
    return str(key["pub_key"]["value"])


def trim_wal(folder: Path, keep: int = 3) -> None:
    """Delete old pieces of the consensus write-ahead log.

    A node needs the end of it to start again (the last block); it keeps up to a gigabyte by itself and reads
    the directory anew whenever it looks for old pieces, so this may be done while it runs.
    """
    pieces = sorted((folder / "data" / "cs.wal").glob("wal.[0-9]*"))
    for piece in pieces[:-keep]:
        piece.unlink(missing_ok=True)


def config_settings(node: Node, peers: str) -> Settings:
    local = "tcp://127.0.0.1"
    return {
        ("rpc", "laddr"): f"{local}:{node.ports.comet}",
        ("rpc", "pprof_laddr"): "",
        ("rpc", "unsafe"): False,
        ("rpc", "max_request_batch_size"): 100,
        ("grpc", "laddr"): "",
        ("grpc.privileged", "laddr"): "",
        ("p2p", "laddr"): f"{local}:{node.ports.p2p}",
        ("p2p", "external_address"): "",
        ("p2p", "seeds"): "",
        ("p2p", "persistent_peers"): peers,
        ("p2p", "addr_book_strict"): False,
        ("p2p", "allow_duplicate_ip"): True,
        ("p2p", "pex"): False,
        # A peer that was away comes back within seconds, not after a backed-off minute.
        ("p2p", "persistent_peers_max_dial_period"): "2s",
        ("mempool", "size"): 20_000,
        ("tx_index", "indexer"): "null",
        ("instrumentation", "prometheus"): False,
        ("instrumentation", "prometheus_listen_addr"): "127.0.0.1:0",
    }


def app_settings(node: Node) -> Settings:
    archive = node.role == ARCHIVE
    return {
        ("", "minimum-gas-prices"): f"1{gen.DENOM}",
        ("", "pruning"): "custom",
        ("", "pruning-keep-recent"): str(ARCHIVE_STATES_KEPT if archive else STATES_KEPT),
        ("", "pruning-interval"): "100",
        ("", "iavl-cache-size"): 100_000,
        ("api", "enable"): False,
        ("api", "swagger"): False,
        ("api", "address"): "tcp://127.0.0.1:0",
        ("api", "enabled-unsafe-cors"): False,
        # The node serves JSON-RPC only together with gRPC.
        ("grpc", "enable"): True,
        ("grpc", "address"): f"127.0.0.1:{node.ports.grpc}",
        ("grpc-web", "enable"): False,
        ("json-rpc", "address"): f"127.0.0.1:{node.ports.evm}",
        ("json-rpc", "ws-address"): f"127.0.0.1:{node.ports.evm_ws}",
        ("json-rpc", "metrics-address"): "127.0.0.1:0",
        ("json-rpc", "gas-cap"): 200_000_000,
        ("json-rpc-debug", "enable"): False,
        ("json-rpc-debug", "address"): "127.0.0.1:0",
        ("metrics", "metrics-enabled"): False,
    }
