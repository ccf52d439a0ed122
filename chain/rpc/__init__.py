"""JSON-RPC to several nodes that are not trusted."""

from chain.rpc.nodes import (
    Answer,
    Lie,
    NodeHealth,
    RpcAnswerTooLarge,
    RpcDisagreement,
    RpcRefused,
    RpcSettings,
    RpcUnavailable,
)
from chain.rpc.pool import RpcPool

__all__ = [
    "Answer",
    "Lie",
    "NodeHealth",
    "RpcAnswerTooLarge",
    "RpcDisagreement",
    "RpcPool",
    "RpcRefused",
    "RpcSettings",
    "RpcUnavailable",
]
