"""The six lies by name, for a proxy in front of one machine's two interfaces (EVM and CometBFT RPC)."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chain.rpc import Lie
from tests.support.lying_proxy import Change, LyingProxy, lying_proxy


@dataclass
class Liar:
    """One machine that lies. `evm` and `comet` are its addresses."""

    evm: LyingProxy
    comet: LyingProxy

    def tell(self, lie: Lie) -> None:
        """From now on."""
        proxy = self.comet if lie is Lie.BAD_PROOF else self.evm
        proxy.change = LIES[lie]()

    @property
    def ports(self) -> set[str]:
        return {proxy.url.rsplit(":", 1)[1] for proxy in (self.evm, self.comet)}

    def left_for(self, left: Mapping[tuple[str, str], int]) -> set[str]:
        """Reasons for which a pool left this machine."""
        return {reason for (node, reason) in left if node.rsplit(":", 1)[-1] in self.ports}


@asynccontextmanager
async def liar(evm_target: str, comet_target: str) -> AsyncIterator[Liar]:
    """Honest until told otherwise."""
    async with lying_proxy(evm_target) as evm, lying_proxy(comet_target) as comet:
        yield Liar(evm, comet)


def _wrong_chain_id() -> Change:
    return lambda method, params, result: "0x1" if method == "eth_chainId" else result


def _stale_head() -> Change:
    """The chain stands still for this node."""
    held: dict[str, Any] = {}

    def change(method: str, params: Any, result: Any) -> Any:
        if method == "eth_blockNumber":
            return held.setdefault("number", result)
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return held.setdefault("block", result)
        if method == "eth_getTransactionCount":
            return held.setdefault(params[0], result)
        return None if method == "eth_getTransactionReceipt" else result

    return change


def _forked_block() -> Change:
    """A chain of its own: every block has another hash, in blocks, receipts and events alike."""

    def forked(value: Any) -> Any:
        if isinstance(value, list):
            return [forked(item) for item in value]
        if isinstance(value, dict):
            return {
                name: "0x" + item[2:][::-1]
                if name == "blockHash" or (name == "hash" and "stateRoot" in value)
                else forked(item)
                for name, item in value.items()
            }
        return value

    told = ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getLogs")
    return lambda method, params, result: forked(result) if method in told else result


def _false_receipt() -> Change:
    """What succeeded is told as refused."""

    def change(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getTransactionReceipt" and isinstance(result, dict):
            return {**result, "status": "0x0" if result["status"] == "0x1" else "0x1", "logs": []}
        return result

    return change


def _bad_proof() -> Change:
    """A stored value with one bit changed, under the honest proof."""

    def change(method: str, params: Any, result: Any) -> Any:
        if method == "abci_query" and result.get("response", {}).get("value"):
            out = copy.deepcopy(result)
            value = out["response"]["value"]
            out["response"]["value"] = ("B" if value[0] == "A" else "A") + value[1:]
            return out
        return result

    return change


def _withheld_logs() -> Change:
    """Anchors are kept back."""
    from chain.bindings import EVIDENCE_LOG, interface

    hidden = "0x" + interface(EVIDENCE_LOG).event("Anchored").topic.hex()

    def change(method: str, params: Any, result: Any) -> Any:
        if method == "eth_getLogs" and isinstance(result, list):
            return [entry for entry in result if entry["topics"][0] != hidden]
        return result

    return change


LIES = {
    Lie.WRONG_CHAIN_ID: _wrong_chain_id,
    Lie.STALE_HEAD: _stale_head,
    Lie.FORKED_BLOCK: _forked_block,
    Lie.FALSE_RECEIPT: _false_receipt,
    Lie.BAD_PROOF: _bad_proof,
    Lie.WITHHELD_LOGS: _withheld_logs,
}
