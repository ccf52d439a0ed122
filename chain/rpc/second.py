"""Receipts and logs are asked of a second node; where two differ, the others and the engine decide."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chain.engines import EngineProfile
from chain.rpc.answers import (
    comet_failed,
    dicts,
    hash32,
    how_false,
    log_key,
    log_keys,
    quantity,
    receipt_key,
)
from chain.rpc.examine import Examiner
from chain.rpc.fleet import Fleet
from chain.rpc.nodes import (
    Answer,
    Json,
    Lie,
    Node,
    RpcDisagreement,
    RpcMetrics,
    RpcRefused,
    RpcUnavailable,
    TransportFault,
)
from chain.rpc.transport import Transport

_DENIED = "denied"


class SecondOpinion:
    """Compares what nodes tell. `block_results`: the engine's own results of a height, None without one."""

    def __init__(
        self,
        evm: Fleet,
        transport: Transport,
        examiner: Examiner,
        profile: EngineProfile,
        metrics: RpcMetrics,
        block_results: Callable[[int], Awaitable[Answer]] | None,
    ) -> None:
        self._evm = evm
        self._one = transport.one
        self._examine = examiner.examine
        self._profile = profile
        self._metrics = metrics
        self._block_results = block_results

    def _second(self, first: str) -> list[Node]:
        return [n for n in self._evm.order() if n.url != first and n.reason is None]

    def _by_url(self, url: str) -> Node:
        return next(n for n in self._evm.nodes if n.url == url)

    async def receipt(self, answer: Answer, params: Sequence[Any]) -> Answer:
        """Two nodes tell the same of a transaction, or all are asked and the minority is left."""
        self._metrics.cross_checks += 1
        told = [answer]
        for node in self._second(answer.url):
            opinion = await self._opinion(node, params, wanted=answer.result is not None)
            if opinion is not None:
                told.append(opinion)
                if len(told) == 2 and receipt_key(told[0].result) == receipt_key(told[1].result):
                    return answer
        shown = [t for t in told if t.result is not None]
        if not shown or len(told) == 1:
            return answer
        votes: Counter[str] = Counter(str(receipt_key(t.result)) for t in shown)
        guilty: list[str] = []
        for silent in (t for t in told if t.result is None):
            has_it = await self._in_block(silent.url, shown[0].result)
            if has_it:
                # In its own block and still no receipt: withheld, unless its index is only behind its blocks.
                late = await self._opinion(self._by_url(silent.url), params, wanted=True)
                if late is not None and late.result is None:
                    guilty.append(silent.url)
            elif has_it is False:
                votes[_DENIED] += 1
        for tie_break in await self._comet_receipts(shown, votes):
            votes[tie_break] += 1
        (best, count), *rest = votes.most_common()
        if rest and rest[0][1] == count:
            self._metrics.disagreements += 1
            raise RpcDisagreement(f"{count} nodes against {count}", hint="configure a third node")
        caught = dict.fromkeys(guilty, Lie.FALSE_RECEIPT)
        right = next((t.result for t in shown if receipt_key(t.result) == best), None)
        for one in shown:
            if receipt_key(one.result) != best:
                caught[one.url] = how_false(one.result, right)
        for url, reason in caught.items():
            self._evm.leave(self._by_url(url), reason, "outvoted")
        honest = [t for t in told if t.url not in caught and (t.result is None) is (best == _DENIED)]
        return honest[0]

    async def _opinion(self, node: Node, params: Sequence[Any], *, wanted: bool) -> Answer | None:
        """What another node tells of a transaction; it may be a block behind. None: it does not answer."""
        try:
            for attempt in range(4):
                told = await self._one(node, "eth_getTransactionReceipt", list(params))
                await self._examine(node, "eth_getTransactionReceipt", list(params), told)
                if told is not None or not wanted:
                    return Answer(told, node.url)
                if attempt < 3:
                    await asyncio.sleep(self._profile.block_seconds / 2)
            return Answer(None, node.url)
        except TransportFault as error:
            self._evm.leave(node, error.reason, "receipt")
        except RpcRefused:
            pass
        return None

    async def _in_block(self, url: str, receipt: Json) -> bool | None:
        """Whether the node's own block holds the transaction; None when it does not have that block."""
        with contextlib.suppress(TransportFault, RpcRefused):
            block = await self._one(
                self._by_url(url), "eth_getBlockByNumber", [str(receipt.get("blockNumber")), False]
            )
            if isinstance(block, dict) and hash32(block.get("hash")) == hash32(receipt.get("blockHash")):
                transactions = [str(t).lower() for t in block.get("transactions") or []]
                return str(receipt.get("transactionHash")).lower() in transactions
        return None

    async def _comet_receipts(self, shown: Sequence[Answer], votes: Counter[str]) -> list[str]:
        """When votes are even: the engine's own block results say which receipt is right."""
        top = votes.most_common(2)
        if self._block_results is None or len(top) < 2 or top[0][1] != top[1][1]:
            return []
        out: list[str] = []
        with contextlib.suppress(RpcRefused, RpcUnavailable, TransportFault):
            receipt = shown[0].result
            results = await self._block_results(quantity(receipt.get("blockNumber")))
            failed = comet_failed(results.result, str(receipt.get("transactionHash")).lower())
            for answer in shown:
                if failed is not None and (answer.result.get("status") == "0x0") is failed:
                    out.append(str(receipt_key(answer.result)))
        return out if len(set(out)) == 1 else []

    async def logs(self, answer: Answer, params: Sequence[Any]) -> Answer:
        """Logs of a finished range must be the same on two nodes; the one that holds back is left."""
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        last = wanted.get("toBlock")
        if not isinstance(last, str) or not last.startswith("0x"):
            return answer
        self._metrics.cross_checks += 1
        for node in self._second(answer.url):
            try:
                for _ in range(6):
                    if (node.head or 0) >= quantity(last):
                        break
                    node.head = quantity(await self._one(node, "eth_blockNumber", []))
                    if node.head < quantity(last):
                        await asyncio.sleep(self._profile.block_seconds / 2)
                else:
                    continue
                told = await self._one(node, "eth_getLogs", list(params))
                await self._examine(node, "eth_getLogs", list(params), told)
            except TransportFault as error:
                self._evm.leave(node, error.reason, "logs")
                continue
            except RpcRefused:
                continue
            if log_keys(told) == log_keys(answer.result):
                return answer
            return await self._settle_logs(answer, Answer(told, node.url))
        return answer

    async def _settle_logs(self, one: Answer, two: Answer) -> Answer:
        """Two log lists differ: the transaction's receipt, from every node, says which is short or false."""
        disputed = log_keys(one.result) ^ log_keys(two.result)
        entries = {log_key(e): e for e in (*dicts(one.result), *dicts(two.result))}
        guilty: set[str] = set()
        for key in sorted(disputed):
            entry = entries[key]
            real = await self._confirmed(entry)
            if real is None:
                self._metrics.disagreements += 1
                raise RpcDisagreement("nodes tell different events", hint="configure a third node")
            for side in (one, two):
                if (key in log_keys(side.result)) is not real:
                    guilty.add(side.url)
        for url in guilty:
            self._evm.leave(self._by_url(url), Lie.WITHHELD_LOGS, f"{len(disputed)} events")
        honest = [side for side in (one, two) if side.url not in guilty]
        if not honest:
            raise RpcDisagreement("no node tells all events")
        return honest[0]

    async def _confirmed(self, entry: Json) -> bool | None:
        """Whether the transaction's receipt holds this event: what a majority of nodes says, or None."""
        ayes = noes = 0
        for node in self._evm.nodes:
            if node.reason is not None:
                continue
            with contextlib.suppress(TransportFault, RpcRefused):
                receipt = await self._one(node, "eth_getTransactionReceipt", [entry.get("transactionHash")])
                if isinstance(receipt, dict):
                    held = log_key(entry) in log_keys(receipt.get("logs"))
                    ayes, noes = ayes + held, noes + (not held)
        return None if ayes == noes else ayes > noes
