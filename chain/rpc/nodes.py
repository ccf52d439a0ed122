"""What is known of a node, and why one is left."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from chain.errors import ChainError

Json = dict[str, Any]


class RpcUnavailable(ChainError):
    """No node that may be asked answers."""

    retryable = True
    title = "no node answers"


class RpcDisagreement(RpcUnavailable):
    """Nodes contradict each other and none of them is caught lying: nobody is believed."""

    title = "nodes disagree"


class RpcAnswerTooLarge(RpcUnavailable):
    """An answer over the limit; nothing of it was used."""

    title = "answer over the limit"


class RpcRefused(ChainError):
    """The node understood and refused. `data` is revert data as hex, "0x" for a bare revert, else None."""

    http_status = 502
    title = "refused by the node"

    def __init__(self, rpc_code: int, message: str, data: str | None) -> None:
        super().__init__(f"the node answered with error {rpc_code}")
        self.rpc_code = rpc_code
        self.message = message[:1000]
        self.data = data

    @property
    def revert_data(self) -> bytes | None:
        """Bytes for the ABI decoder; None when it was not a revert."""
        if self.data is None:
            return None
        try:
            return bytes.fromhex(self.data[2:])
        except ValueError:
            return b""


class Lie(enum.StrEnum):
    """Why a node was left. The first six are lies, the others are faults."""

    WRONG_CHAIN_ID = "wrong_chain_id"
    STALE_HEAD = "stale_head"
    FORKED_BLOCK = "forked_block"
    FALSE_RECEIPT = "false_receipt"
    BAD_PROOF = "bad_proof"
    WITHHELD_LOGS = "withheld_logs"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"

    @property
    def forgivable(self) -> bool:
        """A node left for this is still better than no node at all."""
        return self in (Lie.STALE_HEAD, Lie.UNAVAILABLE, Lie.MALFORMED, Lie.TOO_LARGE)


@dataclass(frozen=True)
class RpcSettings:
    """Times in seconds, sizes in bytes. `cross_check`: ask a second node about receipts and logs."""

    timeout: float = 8.0
    connect_timeout: float = 1.5
    max_answer: int = 32 * 1024 * 1024
    probe_every: float = 2.0
    probe_timeout: float = 2.0
    cool_down: float = 2.0
    cool_down_lie: float = 60.0
    cool_down_limit: float = 3600.0
    cross_check: bool = True
    remembered_blocks: int = 4096


@dataclass(frozen=True)
class NodeHealth:
    """One node as the pool sees it. `url` holds no credentials."""

    kind: str
    url: str
    usable: bool
    reason: Lie | None
    head: int | None
    head_time: float | None
    left: Mapping[str, int]


@dataclass(frozen=True)
class Answer:
    """A result and the node that gave it, for `report_lie`."""

    result: Any
    url: str


@dataclass
class Node:
    kind: str
    url: str
    head: int | None = None
    head_time: float | None = None
    probed: float = -1e9
    reason: Lie | None = None
    until: float = 0.0
    strikes: int = 0
    left: Counter[str] = field(default_factory=Counter)

    @property
    def label(self) -> str:
        """Host and port: a URL may carry a password."""
        parsed = httpx.URL(self.url)
        return f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host


@dataclass
class RpcMetrics:
    """Plain counters since the start; `left` is (node, reason) → times."""

    calls: int = 0
    failovers: int = 0
    refused: int = 0
    cross_checks: int = 0
    disagreements: int = 0
    left: Counter[tuple[str, str]] = field(default_factory=Counter)


class TransportFault(Exception):
    """A node did not give a JSON-RPC answer. The reason decides how it is treated."""

    def __init__(self, reason: Lie) -> None:
        super().__init__(reason)
        self.reason = reason
