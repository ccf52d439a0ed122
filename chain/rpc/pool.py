"""JSON-RPC to several nodes that are not trusted: failover, and nodes that lie are left.

A node is a stranger's machine. Its answers are compared with what it said before, with the block they claim
to come from, and with a second node; the node that is caught is left for a while, with a named reason and a
counter. What a node writes as an error text is carried for the outbox to classify and never shown to people.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chain.engines import EngineProfile
from chain.rpc.answers import comet_head, hash32, member, quantity
from chain.rpc.examine import Examiner
from chain.rpc.fleet import Fleet
from chain.rpc.nodes import (
    Answer,
    Json,
    Lie,
    Node,
    NodeHealth,
    RpcAnswerTooLarge,
    RpcMetrics,
    RpcRefused,
    RpcSettings,
    RpcUnavailable,
    TransportFault,
)
from chain.rpc.second import SecondOpinion
from chain.rpc.transport import Transport

# Refusals that say "I do not have it", not "it is wrong": another node may have it.
_NOT_HERE = (
    "header not found",
    "block not found",
    "could not find results",
    "is not available",
    "must be less than or equal to",
    "version does not exist",
    "has not been pruned",
    "failed to load state",
    "missing trie node",
    "lowest height is",
    "unknown block",
    "node is catching up",
    "too many requests",
    "rate limit",
)


class RpcPool:
    """Several nodes of one chain behind one `call`. Belongs to one event loop; close with `aclose`."""

    def __init__(
        self,
        urls: Sequence[str],
        profile: EngineProfile,
        *,
        chain_id: int,
        comet_urls: Sequence[str] = (),
        comet_chain_id: str | None = None,
        settings: RpcSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`chain_id` and `comet_chain_id` are what the configuration or trust file says, never the node."""
        if not urls:
            raise RpcUnavailable("no RPC URL is configured", field="rpc_urls")
        self.profile = profile
        self.chain_id = chain_id
        self.comet_chain_id = comet_chain_id
        self.settings = settings or RpcSettings()
        self.metrics = RpcMetrics()
        self._transport = Transport(self.settings)
        more: dict[str, Any] = {
            "profile": profile, "settings": self.settings, "metrics": self.metrics, "clock": clock
        }  # fmt: skip
        self._evm = Fleet("evm", urls, self._look_evm, **more)
        self._comet = Fleet("comet", comet_urls, self._look_comet, **more)
        self._examiner = Examiner(
            self._evm,
            self._transport,
            profile,
            chain_id=chain_id,
            remembered=self.settings.remembered_blocks,
        )
        self._second = SecondOpinion(
            self._evm,
            self._transport,
            self._examiner,
            profile,
            self.metrics,
            self.block_results if comet_urls else None,
        )
        self._sends: OrderedDict[str, int] = OrderedDict()

    async def __aenter__(self) -> RpcPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections and stop probing."""
        await self._evm.aclose()
        await self._comet.aclose()
        await self._transport.aclose()

    async def call(self, method: str, params: Sequence[Any] = (), /) -> Any:
        """The result of one JSON-RPC call. Raises RpcRefused, or RpcUnavailable when no node is left."""
        return (await self.ask(method, params)).result

    async def ask(self, method: str, params: Sequence[Any] = (), /) -> Answer:
        """As `call`, with the node that answered."""
        answer = await self._first(
            self._evm,
            method,
            list(params),
            start=self._rotation(method, params),
            check=self._examiner.examine,
        )
        if self.settings.cross_check and len(self._evm.nodes) > 1:
            if method == "eth_getTransactionReceipt":
                return await self._second.receipt(answer, params)
            if method == "eth_getLogs":
                return await self._second.logs(answer, params)
        return answer

    async def batch(self, requests: Sequence[tuple[str, Sequence[Any]]], /) -> list[Any | RpcRefused]:
        """Several calls in as few HTTP requests as the engine takes; a refusal stands in its place.

        Answers of a batch are examined one by one but not asked again from a second node: not for receipts
        and logs that something is decided on.
        """
        out: list[Any | RpcRefused] = []
        for begin in range(0, len(requests), self.profile.max_batch):
            part = requests[begin : begin + self.profile.max_batch]
            out.extend(await self._batch(part))
        return out

    async def comet(self, method: str, **params: Any) -> Answer:
        """A CometBFT RPC call. Raises RpcUnavailable when none is configured."""
        if not self._comet.nodes:
            raise RpcUnavailable("no CometBFT RPC URL is configured", field="comet_urls")
        return await self._first(self._comet, method, params)

    async def abci_query(self, path: str, data: bytes, height: int, *, prove: bool = True) -> Answer:
        """`result` is the member `response`: value, proofOps, height. State after block `height`."""
        if not self._comet.nodes:
            raise RpcUnavailable("no CometBFT RPC URL is configured", field="comet_urls")
        question = {"path": path, "data": data.hex(), "height": str(height), "prove": prove}
        answer = await self._first(self._comet, "abci_query", question, check=_has_state)
        return Answer(member(answer, "response"), answer.url)

    async def commit(self, height: int) -> Answer:
        """`result` is the signed header: header and commit."""
        answer = await self.comet("commit", height=str(height))
        return Answer(member(answer, "signed_header"), answer.url)

    async def validators(self, height: int) -> Answer:
        """`result` is the whole list of validators at `height`, all pages, in the set's order."""
        found: list[Json] = []
        for page in range(1, 101):
            answer = await self.comet("validators", height=str(height), page=str(page), per_page="100")
            part = member(answer, "validators")
            total = int(member(answer, "total"))
            if not isinstance(part, list) or not part:
                raise self._malformed(answer.url)
            found.extend(part)
            if len(found) >= total:
                return Answer(found, answer.url)
        raise RpcAnswerTooLarge("more than 10,000 validators")

    async def comet_status(self) -> Answer:
        """The node's own status: node_info, sync_info, validator_info."""
        return await self.comet("status")

    async def block_results(self, height: int) -> Answer:
        """Results of the transactions of a block."""
        return await self.comet("block_results", height=str(height))

    def report_lie(self, url: str, reason: Lie, detail: str = "") -> None:
        """Leave a node that was caught (a proof that does not verify, an event that is missing).

        `url` is the node's URL from an `Answer`; an unknown one is ignored. Both interfaces of a machine
        are separate nodes here: report each that lied.
        """
        for fleet in (self._evm, self._comet):
            node = fleet.by_url(url)
            if node is not None:
                fleet.leave(node, reason, detail)

    def health(self) -> tuple[NodeHealth, ...]:
        """All nodes, usable or not."""
        return (*self._evm.health(), *self._comet.health())

    async def probe(self) -> tuple[NodeHealth, ...]:
        """Look at all nodes now."""
        await asyncio.gather(self._evm.refresh(), self._comet.refresh())
        return self.health()

    def best_head(self) -> int:
        """The highest block that a usable node has told; 0 before the first probe."""
        return self._evm.best_head()

    def _malformed(self, url: str) -> RpcUnavailable:
        self.report_lie(url, Lie.MALFORMED)
        return RpcUnavailable("a node's answer has an unexpected shape")

    async def _first(
        self,
        fleet: Fleet,
        method: str,
        params: Any,
        *,
        start: int = 0,
        check: Callable[[Node, str, Any, Any], Awaitable[None]] | None = None,
    ) -> Answer:
        await fleet.keep_fresh()
        self.metrics.calls += 1
        refused: RpcRefused | None = None
        too_large = False
        for attempt, node in enumerate(fleet.order(start)):
            if not await self._usable(fleet, node, attempt):
                continue
            try:
                result = await self._transport.one(node, method, params)
                if check is not None:
                    await check(node, method, params, result)
                return Answer(result, node.url)
            except TransportFault as error:
                too_large |= error.reason is Lie.TOO_LARGE
                fleet.leave(node, error.reason, method)
            except RpcRefused as error:
                self.metrics.refused += 1
                if not any(part in error.message.lower() for part in _NOT_HERE):
                    raise
                refused = error
        if refused is not None:
            raise refused
        if too_large:
            raise RpcAnswerTooLarge(f"{method}: over {self.settings.max_answer} bytes")
        raise RpcUnavailable(
            f"{method}: no {fleet.kind} node of {len(fleet.nodes)} can be used", hint="caseledger net status"
        )

    async def _batch(self, part: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcRefused]:
        await self._evm.keep_fresh()
        self.metrics.calls += len(part)
        for attempt, node in enumerate(self._evm.order()):
            if not await self._usable(self._evm, node, attempt):
                continue
            try:
                results = await self._transport.many(node, part)
                for (method, params), result in zip(part, results, strict=True):
                    if not isinstance(result, RpcRefused):
                        await self._examiner.examine(node, method, list(params), result)
                return results
            except TransportFault as error:
                self._evm.leave(node, error.reason, "batch")
        raise RpcUnavailable(f"no node of {len(self._evm.nodes)} can be used")

    async def _usable(self, fleet: Fleet, node: Node, attempt: int) -> bool:
        """Whether to ask this node; one that was left is looked at before."""
        if attempt:
            self.metrics.failovers += 1
        return node.reason is None or await fleet.probe(node)

    async def _look_evm(self, node: Node) -> tuple[bool, int, float]:
        one, seconds = self._transport.one, self.settings.probe_timeout
        right = quantity(await one(node, "eth_chainId", [], seconds)) == self.chain_id
        block = await one(node, "eth_getBlockByNumber", ["latest", False], seconds)
        if not isinstance(block, dict):
            raise TransportFault(Lie.MALFORMED)
        number = quantity(block.get("number"))
        if right:
            await self._examiner.remember(node, number, hash32(block.get("hash")))
        return right, number, float(quantity(block.get("timestamp")))

    async def _look_comet(self, node: Node) -> tuple[bool, int, float]:
        status = await self._transport.one(node, "status", {}, self.settings.probe_timeout)
        name, head, head_time = comet_head(status)
        return self.comet_chain_id is None or name == self.comet_chain_id, head, head_time

    def _rotation(self, method: str, params: Sequence[Any]) -> int:
        """The same raw transaction again goes to the next node: the first one may have dropped it."""
        if method != "eth_sendRawTransaction" or not params:
            return 0
        key = hashlib.sha256(str(params[0]).encode()).hexdigest()
        count = self._sends.pop(key, 0)
        self._sends[key] = count + 1
        while len(self._sends) > 4096:
            self._sends.popitem(last=False)
        return count


async def _has_state(_node: Node, _method: str, _params: Any, result: Any) -> None:
    """A pruned state comes back as an answer with a code: to us a refusal, and the next node may have it."""
    response = result.get("response") if isinstance(result, dict) else None
    if isinstance(response, dict) and response.get("code"):
        raise RpcRefused(0, str(response.get("log")), None)
