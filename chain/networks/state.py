"""What a local network is: its nodes, what is recorded of them, what they tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_VALIDATORS = 7
# A soft limit: the node collects harder instead of growing beyond it.
MEMORY_SETTINGS = {"GOMEMLIMIT": "900MiB"}
STATE_VERSION = 1
# Who would run each node of a consortium; no interest group reaches a third of four or of seven.
CONTROLLERS = (
    "bank-association",
    "centre",
    "court",
    "regulator",
    "insurance-association",
    "securities-association",
    "notary-chamber",
    "enforcement-bureau",
    "consumer-council",
    "university",
)
ARCHIVE, PRUNED = "archive", "pruned"
# A pruned node answers proofs of these last states (27 minutes at 0.55 s) and keeps about 8 hours of blocks.
STATES_KEPT = 3_000
BLOCKS_KEPT = 50_000
# The archive keeps every block and every result; states for three hours, since no promise needs an old one.
ARCHIVE_STATES_KEPT = 20_000


Json = dict[str, Any]


@dataclass(frozen=True)
class Ports:
    """TCP ports of one node, all on 127.0.0.1."""

    p2p: int
    comet: int
    evm: int
    evm_ws: int
    grpc: int


@dataclass(frozen=True)
class Node:
    """One validator: what it is called, who controls it, where it lives."""

    number: int
    name: str
    controller: str
    role: str
    bonded_at_genesis: bool
    folder: str
    node_id: str
    consensus_address: str
    account: str
    ports: Ports
    pid: int = 0


@dataclass(frozen=True)
class NodeStatus:
    """What a node says about itself and what is seen of it. Times seconds, disk bytes."""

    number: int
    name: str
    controller: str
    role: str
    running: bool
    answering: bool
    height: int | None
    block_age: float | None
    peers: int | None
    signs: bool | None
    voting_power: int | None
    validators_hash: str | None
    memory_bytes: int | None
    disk_bytes: int
    disk_bytes_per_day: int | None


@dataclass(frozen=True)
class NetworkStatus:
    """The state of a whole local network."""

    chain_id: str
    evm_chain_id: int
    running: int
    nodes: tuple[NodeStatus, ...]
    validators_hashes: tuple[str, ...]
    block_seconds: float | None

    @property
    def moving(self) -> bool:
        """Whether some node has a block younger than ten seconds."""
        return any(n.block_age is not None and n.block_age < 10 for n in self.nodes)


@dataclass(frozen=True)
class NetworkState:
    """What `network.json` holds."""

    version: int
    engine: str
    chain_id: str
    evm_chain_id: int
    timeout_commit: str | None
    unbonding_seconds: int
    nodes: tuple[Node, ...]
    deployers: tuple[str, ...]
    relayers: tuple[str, ...]
