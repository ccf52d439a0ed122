"""What an answer says about itself, and whether it fits what was seen before."""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from typing import Any

from chain.engines import EngineProfile
from chain.rpc.answers import a_list, dicts, hash32, quantity
from chain.rpc.fleet import Fleet
from chain.rpc.nodes import Lie, Node, RpcRefused, TransportFault
from chain.rpc.transport import Transport


class Examiner:
    """Examines answers of EVM nodes. Raises TransportFault with the lie's name."""

    def __init__(
        self, evm: Fleet, transport: Transport, profile: EngineProfile, *, chain_id: int, remembered: int
    ) -> None:
        self._evm = evm
        self._one = transport.one
        self._profile = profile
        self._chain_id = chain_id
        self._remembered = remembered
        self._seen: OrderedDict[int, str] = OrderedDict()

    async def examine(self, node: Node, method: str, params: Any, result: Any) -> None:
        """What an answer says about itself. Raises TransportFault with the lie's name."""
        if result is None:
            return
        if method in ("eth_getBlockByNumber", "eth_getBlockByHash"):
            await self._examine_block(node, method, params, result)
        elif method == "eth_getTransactionReceipt":
            await self._examine_receipt(node, params, result)
        elif method == "eth_getLogs":
            await self._examine_logs(node, params, result)
        elif method == "eth_chainId" and quantity(result) != self._chain_id:
            raise TransportFault(Lie.WRONG_CHAIN_ID)

    async def _examine_block(self, node: Node, method: str, params: Any, block: Any) -> None:
        if not isinstance(block, dict):
            raise TransportFault(Lie.MALFORMED)
        number, block_hash = quantity(block.get("number")), hash32(block.get("hash"))
        asked = params[0] if params else None
        if method == "eth_getBlockByHash" and str(asked).lower() != block_hash:
            raise TransportFault(Lie.FORKED_BLOCK)
        if method == "eth_getBlockByNumber" and str(asked).startswith("0x") and quantity(asked) != number:
            raise TransportFault(Lie.MALFORMED)
        await self.remember(node, number, block_hash)

    async def remember(self, node: Node, number: int, block_hash: str) -> None:
        """A block hash that differs from one already seen: ask the others who is on a fork."""
        known = self._seen.get(number)
        if known is not None and known != block_hash:
            if not self._profile.instant and number > self._evm.best_head() - self._profile.depth:
                self._seen[number] = block_hash  # a reorganisation that this engine may have
                return
            votes: Counter[str] = Counter({block_hash: 1})
            for other in self._evm.nodes:
                if other is node or (other.reason is not None and not other.reason.forgivable):
                    continue
                with contextlib.suppress(TransportFault, RpcRefused):
                    told = await self._one(other, "eth_getBlockByNumber", [hex(number), False])
                    if isinstance(told, dict):
                        votes[hash32(told.get("hash"))] += 1
            # Without a majority against it, what was seen first stands: it may have been acted upon.
            if votes[block_hash] <= votes[known] or votes[block_hash] * 2 <= len(self._evm.nodes):
                raise TransportFault(Lie.FORKED_BLOCK)
        self._seen[number] = block_hash
        while len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

    async def _examine_receipt(self, node: Node, params: Any, receipt: Any) -> None:
        """The receipt against the block that it names, as the same node tells it."""
        if not isinstance(receipt, dict):
            raise TransportFault(Lie.MALFORMED)
        asked = str(params[0]).lower()
        block_hash, number = hash32(receipt.get("blockHash")), quantity(receipt.get("blockNumber"))
        if hash32(receipt.get("transactionHash")) != asked:
            raise TransportFault(Lie.FALSE_RECEIPT)
        await self.remember(node, number, block_hash)
        try:
            block = await self._one(node, "eth_getBlockByNumber", [hex(number), False])
        except RpcRefused:
            raise TransportFault(Lie.FALSE_RECEIPT) from None
        if not isinstance(block, dict):
            raise TransportFault(Lie.FALSE_RECEIPT)
        transactions = [str(t).lower() for t in block.get("transactions") or []]
        if hash32(block.get("hash")) != block_hash or asked not in transactions:
            raise TransportFault(Lie.FALSE_RECEIPT)
        for entry in a_list(receipt.get("logs")):
            same = (
                isinstance(entry, dict)
                and str(entry.get("transactionHash")).lower() == asked
                and str(entry.get("blockHash")).lower() == block_hash
            )
            if not same:
                raise TransportFault(Lie.FALSE_RECEIPT)

    async def _examine_logs(self, node: Node, params: Any, entries: Any) -> None:
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        addresses = wanted.get("address")
        allowed = (
            {addresses.lower()} if isinstance(addresses, str) else {str(a).lower() for a in addresses or []}
        )
        for number, block_hash in {
            (quantity(e.get("blockNumber")), hash32(e.get("blockHash"))) for e in dicts(entries)
        }:
            await self.remember(node, number, block_hash)
        if allowed and any(str(e.get("address")).lower() not in allowed for e in dicts(entries)):
            raise TransportFault(Lie.MALFORMED)
