"""JSON-RPC to several nodes that are not trusted: failover, and nodes that lie are left.

A node is a stranger's machine. Its answers are compared with what it said before, with the block they claim
to come from, and with a second node; the node that is caught is left for a while, with a named reason and a
counter. What a node writes as an error text is carried for the outbox to classify and never shown to people.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import hashlib
import json
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from chain.engines import EngineProfile
from chain.errors import ChainError
from chain.timestamps import parse_time
from protocol.expect import MAX_NESTING, nesting

log = logging.getLogger(__name__)

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
    """Why a node was left. The first six are lies, the last two are faults."""

    WRONG_CHAIN_ID = "wrong_chain_id"
    STALE_HEAD = "stale_head"
    FORKED_BLOCK = "forked_block"
    FALSE_RECEIPT = "false_receipt"
    BAD_PROOF = "bad_proof"
    WITHHELD_LOGS = "withheld_logs"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"

    @property
    def forgivable(self) -> bool:
        """A node left for this is still better than no node at all."""
        return self in (Lie.STALE_HEAD, Lie.UNAVAILABLE, Lie.MALFORMED)


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
class _Node:
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


_DENIED = "denied"


class _Transport(Exception):
    """A node did not give a JSON-RPC answer. The reason decides how it is treated."""

    def __init__(self, reason: Lie, too_large: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_large = too_large


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
        self._clock = clock
        self._evm = [_Node("evm", url) for url in dict.fromkeys(urls)]
        self._comet = [_Node("comet", url) for url in dict.fromkeys(comet_urls)]
        self._http: httpx.AsyncClient | None = None
        self._number = 0
        self._seen: OrderedDict[int, str] = OrderedDict()
        self._sends: OrderedDict[str, int] = OrderedDict()
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._looked: set[str] = set()

    async def __aenter__(self) -> RpcPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections and stop probing."""
        for task in self._refreshing.values():
            task.cancel()
        for task in list(self._refreshing.values()):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(self, method: str, params: Sequence[Any] = (), /) -> Any:
        """The result of one JSON-RPC call. Raises RpcRefused, or RpcUnavailable when no node is left."""
        return (await self.ask(method, params)).result

    async def ask(self, method: str, params: Sequence[Any] = (), /) -> Answer:
        """As `call`, with the node that answered."""
        answer = await self._first(
            self._evm, method, list(params), start=self._rotation(method, params), check=self._examine
        )
        if self.settings.cross_check and len(self._evm) > 1:
            if method == "eth_getTransactionReceipt":
                return await self._second_receipt(answer, params)
            if method == "eth_getLogs":
                return await self._second_logs(answer, params)
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
        if not self._comet:
            raise RpcUnavailable("no CometBFT RPC URL is configured", field="comet_urls")
        return await self._first(self._comet, method, params)

    async def abci_query(self, path: str, data: bytes, height: int, *, prove: bool = True) -> Answer:
        """`result` is the member `response`: value, proofOps, height. State after block `height`."""
        if not self._comet:
            raise RpcUnavailable("no CometBFT RPC URL is configured", field="comet_urls")
        question = {"path": path, "data": data.hex(), "height": str(height), "prove": prove}
        answer = await self._first(self._comet, "abci_query", question, check=_has_state)
        return Answer(_member(answer, "response"), answer.url)

    async def commit(self, height: int) -> Answer:
        """`result` is the signed header: header and commit."""
        answer = await self.comet("commit", height=str(height))
        return Answer(_member(answer, "signed_header"), answer.url)

    async def validators(self, height: int) -> Answer:
        """`result` is the whole list of validators at `height`, all pages, in the set's order."""
        found: list[Json] = []
        for page in range(1, 101):
            answer = await self.comet("validators", height=str(height), page=str(page), per_page="100")
            part = _member(answer, "validators")
            total = int(_member(answer, "total"))
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
        for node in (*self._evm, *self._comet):
            if node.url == url:
                self._leave(node, reason, detail)

    def health(self) -> tuple[NodeHealth, ...]:
        """All nodes, usable or not."""
        now = self._clock()
        return tuple(
            NodeHealth(
                n.kind,
                n.label,
                n.reason is None or now >= n.until,
                n.reason,
                n.head,
                n.head_time,
                dict(n.left),
            )
            for n in (*self._evm, *self._comet)
        )

    async def probe(self) -> tuple[NodeHealth, ...]:
        """Look at all nodes now."""
        await asyncio.gather(self._refresh("evm"), self._refresh("comet"))
        return self.health()

    def best_head(self) -> int:
        """The highest block that a usable node has told; 0 before the first probe."""
        return max((n.head or 0 for n in self._evm if n.reason in (None, Lie.UNAVAILABLE)), default=0)

    def _leave(self, node: _Node, reason: Lie, detail: str = "") -> None:
        base = self.settings.cool_down if reason.forgivable else self.settings.cool_down_lie
        again = node.reason is not None and self._clock() < node.until
        if not again:
            node.strikes = min(node.strikes + 1, 20)
        wait = min(base * 2 ** (node.strikes - 1), self.settings.cool_down_limit)
        if reason is Lie.UNAVAILABLE:
            wait = min(wait, 15.0)  # it is probably only restarting
        node.reason = reason
        node.until = self._clock() + wait
        node.left[reason.value] += 1
        self.metrics.left[(node.label, reason.value)] += 1
        log.warning("left node %s (%s): %s %s", node.label, node.kind, reason.value, detail)

    def _malformed(self, url: str) -> RpcUnavailable:
        self.report_lie(url, Lie.MALFORMED)
        return RpcUnavailable("a node's answer has an unexpected shape")

    def _order(self, nodes: Sequence[_Node], start: int = 0) -> list[_Node]:
        """Usable nodes in their order; when there is none, those that were left for a fault."""
        now = self._clock()
        turned = [*nodes[start % len(nodes) :], *nodes[: start % len(nodes)]]
        usable = [n for n in turned if n.reason is None or now >= n.until]
        return usable or [n for n in turned if n.reason is not None and n.reason.forgivable]

    async def _first(
        self,
        nodes: list[_Node],
        method: str,
        params: Any,
        *,
        start: int = 0,
        check: Callable[[_Node, str, Any, Any], Awaitable[None]] | None = None,
        skip: Sequence[str] = (),
    ) -> Answer:
        kind = nodes[0].kind
        await self._keep_fresh(kind, nodes)
        self.metrics.calls += 1
        refused: RpcRefused | None = None
        too_large = False
        for attempt, node in enumerate(n for n in self._order(nodes, start) if n.url not in skip):
            if attempt:
                self.metrics.failovers += 1
            if node.reason is not None and not await self._probe(node):
                continue
            try:
                result = await self._one(node, method, params)
                if check is not None:
                    await check(node, method, params, result)
                return Answer(result, node.url)
            except _Transport as error:
                too_large |= error.too_large
                self._leave(node, error.reason, method)
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
            f"{method}: no {kind} node of {len(nodes)} can be used", hint="caseledger net status"
        )

    async def _batch(self, part: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | RpcRefused]:
        await self._keep_fresh("evm", self._evm)
        self.metrics.calls += len(part)
        for attempt, node in enumerate(self._order(self._evm)):
            if attempt:
                self.metrics.failovers += 1
            if node.reason is not None and not await self._probe(node):
                continue
            try:
                first = self._number + 1
                self._number += len(part)
                answers = await self._post(
                    node,
                    [
                        {"jsonrpc": "2.0", "id": first + i, "method": method, "params": list(params)}
                        for i, (method, params) in enumerate(part)
                    ],
                    self.settings.timeout,
                )
                by_id = (
                    {a.get("id"): a for a in answers if isinstance(a, dict)}
                    if isinstance(answers, list)
                    else {}
                )
                out: list[Any | RpcRefused] = []
                for i, (method, params) in enumerate(part):
                    try:
                        result = _result(by_id.get(first + i))
                        await self._examine(node, method, list(params), result)
                        out.append(result)
                    except RpcRefused as error:
                        out.append(error)
                return out
            except _Transport as error:
                self._leave(node, error.reason, "batch")
        raise RpcUnavailable(f"no node of {len(self._evm)} can be used")

    async def _one(self, node: _Node, method: str, params: Any, seconds: float | None = None) -> Any:
        self._number += 1
        body = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        return _result(await self._post(node, body, seconds or self.settings.timeout))

    async def _post(self, node: _Node, body: Any, seconds: float) -> Any:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(self.settings.timeout, connect=self.settings.connect_timeout),
                limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
                follow_redirects=False,
                trust_env=False,
            )
        content = bytearray()
        try:
            async with asyncio.timeout(seconds):
                async with self._http.stream("POST", node.url, json=body) as response:
                    if response.status_code >= 500 and node.kind == "evm":
                        raise _Transport(Lie.UNAVAILABLE)
                    if response.status_code in (401, 403, 404, 407, 429):
                        raise _Transport(Lie.UNAVAILABLE)
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > self.settings.max_answer:
                            raise _Transport(Lie.MALFORMED, too_large=True)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
            raise _Transport(Lie.UNAVAILABLE) from None
        if nesting(bytes(content)) > MAX_NESTING:
            raise _Transport(Lie.MALFORMED)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise _Transport(Lie.MALFORMED) from None

    async def _keep_fresh(self, kind: str, nodes: Sequence[_Node]) -> None:
        """Wait for the first look at the nodes; later looks run beside the calls."""
        newest = max(n.probed for n in nodes)
        if kind in self._looked and self._clock() - newest < self.settings.probe_every:
            return
        task = self._refreshing.get(kind)
        if task is None or task.done():
            task = asyncio.create_task(self._refresh(kind))
            self._refreshing[kind] = task
        if kind not in self._looked:
            await asyncio.shield(task)

    async def _refresh(self, kind: str) -> None:
        nodes = self._evm if kind == "evm" else self._comet
        now = self._clock()
        due = [n for n in nodes if n.reason is None or now >= n.until or n.reason.forgivable]
        await asyncio.gather(*(self._probe(node) for node in due))
        for node in nodes:
            if node.reason is None and self._stale(node, nodes):
                self._leave(node, Lie.STALE_HEAD, f"head {node.head}")
        self._looked.add(kind)

    def _stale(self, node: _Node, nodes: Sequence[_Node]) -> bool:
        """Whether others know newer blocks. A head that everybody has is a stopped chain, not a stale node.

        One node alone must not make the others look old: with three, the second highest claim counts; with
        two, the height counts only together with the time.
        """
        known = [n for n in nodes if n is node or n.reason is None]
        heads = sorted((n.head for n in known if n.head is not None), reverse=True)
        times = sorted((n.head_time for n in known if n.head_time is not None), reverse=True)
        if len(heads) < 2 or node.head is None or node.head_time is None:
            return False
        of_many = len(heads) >= 3
        behind = heads[1 if of_many else 0] - node.head > self.profile.stale_blocks
        age = times[1 if of_many else 0] - node.head_time
        late = age > self.profile.stale_blocks * self.profile.block_seconds / 2
        return age > self.profile.stale_seconds or (behind and (of_many or late))

    async def _probe(self, node: _Node) -> bool:
        """Chain id and head. True if the node may be used (again)."""
        node.probed = self._clock()
        try:
            if node.kind == "evm":
                identity, head, head_time = await self._probe_evm(node)
                right = identity == self.chain_id
            else:
                status = await self._one(node, "status", {}, self.settings.probe_timeout)
                name, head, head_time = _comet_head(status)
                right = self.comet_chain_id is None or name == self.comet_chain_id
        except (_Transport, RpcRefused) as error:
            reason = error.reason if isinstance(error, _Transport) else Lie.MALFORMED
            if node.reason is None or node.reason is not reason or self._clock() >= node.until:
                self._leave(node, reason, "probe")
            return False
        if not right:
            self._leave(node, Lie.WRONG_CHAIN_ID)
            return False
        if head_time > self._clock() + max(30.0, self.profile.stale_seconds):
            self._leave(node, Lie.MALFORMED, "head in the future")
            return False
        went_back = node.head is not None and head + self.profile.stale_blocks < node.head
        node.head, node.head_time = head, head_time
        if went_back or self._stale(node, self._evm if node.kind == "evm" else self._comet):
            self._leave(node, Lie.STALE_HEAD, f"head {head}")
            return False
        if node.reason is not None and (node.reason.forgivable or self._clock() >= node.until):
            log.info("node %s (%s) is used again after %s", node.label, node.kind, node.reason.value)
            if node.reason.forgivable:
                node.strikes = 0
            node.reason = None
        return node.reason is None

    async def _probe_evm(self, node: _Node) -> tuple[int, int, float]:
        identity = await self._one(node, "eth_chainId", [], self.settings.probe_timeout)
        block = await self._one(node, "eth_getBlockByNumber", ["latest", False], self.settings.probe_timeout)
        if not isinstance(block, dict):
            raise _Transport(Lie.MALFORMED)
        number = _quantity(block.get("number"))
        if _quantity(identity) == self.chain_id:
            await self._remember(node, number, _hash(block.get("hash")))
        return _quantity(identity), number, float(_quantity(block.get("timestamp")))

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

    async def _examine(self, node: _Node, method: str, params: Any, result: Any) -> None:
        """What an answer says about itself. Raises _Transport with the lie's name."""
        if result is None:
            return
        if method in ("eth_getBlockByNumber", "eth_getBlockByHash"):
            await self._examine_block(node, method, params, result)
        elif method == "eth_getTransactionReceipt":
            await self._examine_receipt(node, params, result)
        elif method == "eth_getLogs":
            await self._examine_logs(node, params, result)
        elif method == "eth_chainId" and _quantity(result) != self.chain_id:
            raise _Transport(Lie.WRONG_CHAIN_ID)

    async def _examine_block(self, node: _Node, method: str, params: Any, block: Any) -> None:
        if not isinstance(block, dict):
            raise _Transport(Lie.MALFORMED)
        number, block_hash = _quantity(block.get("number")), _hash(block.get("hash"))
        asked = params[0] if params else None
        if method == "eth_getBlockByHash" and str(asked).lower() != block_hash:
            raise _Transport(Lie.FORKED_BLOCK)
        if method == "eth_getBlockByNumber" and str(asked).startswith("0x") and _quantity(asked) != number:
            raise _Transport(Lie.MALFORMED)
        await self._remember(node, number, block_hash)

    async def _remember(self, node: _Node, number: int, block_hash: str) -> None:
        """A block hash that differs from one already seen: ask the others who is on a fork."""
        known = self._seen.get(number)
        if known is not None and known != block_hash:
            if not self.profile.instant and number > self.best_head() - self.profile.depth:
                self._seen[number] = block_hash  # a reorganisation that this engine may have
                return
            votes: Counter[str] = Counter({block_hash: 1})
            for other in self._evm:
                if other is node or (other.reason is not None and not other.reason.forgivable):
                    continue
                with contextlib.suppress(_Transport, RpcRefused):
                    told = await self._one(other, "eth_getBlockByNumber", [hex(number), False])
                    if isinstance(told, dict):
                        votes[_hash(told.get("hash"))] += 1
            # Without a majority against it, what was seen first stands: it may have been acted upon.
            if votes[block_hash] <= votes[known] or votes[block_hash] * 2 <= len(self._evm):
                raise _Transport(Lie.FORKED_BLOCK)
        self._seen[number] = block_hash
        while len(self._seen) > self.settings.remembered_blocks:
            self._seen.popitem(last=False)

    async def _examine_receipt(self, node: _Node, params: Any, receipt: Any) -> None:
        """The receipt against the block that it names, as the same node tells it."""
        if not isinstance(receipt, dict):
            raise _Transport(Lie.MALFORMED)
        asked = str(params[0]).lower()
        block_hash, number = _hash(receipt.get("blockHash")), _quantity(receipt.get("blockNumber"))
        if _hash(receipt.get("transactionHash")) != asked:
            raise _Transport(Lie.FALSE_RECEIPT)
        await self._remember(node, number, block_hash)
        try:
            block = await self._one(node, "eth_getBlockByNumber", [hex(number), False])
        except RpcRefused:
            raise _Transport(Lie.FALSE_RECEIPT) from None
        if not isinstance(block, dict):
            raise _Transport(Lie.FALSE_RECEIPT)
        transactions = [str(t).lower() for t in block.get("transactions") or []]
        if _hash(block.get("hash")) != block_hash or asked not in transactions:
            raise _Transport(Lie.FALSE_RECEIPT)
        for entry in _list(receipt.get("logs")):
            same = (
                isinstance(entry, dict)
                and str(entry.get("transactionHash")).lower() == asked
                and str(entry.get("blockHash")).lower() == block_hash
            )
            if not same:
                raise _Transport(Lie.FALSE_RECEIPT)

    async def _examine_logs(self, node: _Node, params: Any, entries: Any) -> None:
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        addresses = wanted.get("address")
        allowed = (
            {addresses.lower()} if isinstance(addresses, str) else {str(a).lower() for a in addresses or []}
        )
        for number, block_hash in {
            (_quantity(e.get("blockNumber")), _hash(e.get("blockHash"))) for e in _dicts(entries)
        }:
            await self._remember(node, number, block_hash)
        if allowed and any(str(e.get("address")).lower() not in allowed for e in _dicts(entries)):
            raise _Transport(Lie.MALFORMED)

    def _second(self, first: str) -> list[_Node]:
        return [n for n in self._order(self._evm) if n.url != first and n.reason is None]

    def _by_url(self, url: str) -> _Node:
        return next(n for n in self._evm if n.url == url)

    async def _second_receipt(self, answer: Answer, params: Sequence[Any]) -> Answer:
        """Two nodes tell the same of a transaction, or all are asked and the minority is left."""
        self.metrics.cross_checks += 1
        told = [answer]
        for node in self._second(answer.url):
            opinion = await self._opinion(node, params, wanted=answer.result is not None)
            if opinion is not None:
                told.append(opinion)
                if len(told) == 2 and _receipt_key(told[0].result) == _receipt_key(told[1].result):
                    return answer
        shown = [t for t in told if t.result is not None]
        if not shown or len(told) == 1:
            return answer
        votes: Counter[str] = Counter(str(_receipt_key(t.result)) for t in shown)
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
            self.metrics.disagreements += 1
            raise RpcDisagreement(f"{count} nodes against {count}", hint="configure a third node")
        caught = dict.fromkeys(guilty, Lie.FALSE_RECEIPT)
        right = next((t.result for t in shown if _receipt_key(t.result) == best), None)
        for one in shown:
            if _receipt_key(one.result) != best:
                caught[one.url] = _how_false(one.result, right)
        for url, reason in caught.items():
            self._leave(self._by_url(url), reason, "outvoted")
        honest = [t for t in told if t.url not in caught and (t.result is None) is (best == _DENIED)]
        return honest[0]

    async def _opinion(self, node: _Node, params: Sequence[Any], *, wanted: bool) -> Answer | None:
        """What another node tells of a transaction; it may be a block behind. None: it does not answer."""
        try:
            for attempt in range(4):
                told = await self._one(node, "eth_getTransactionReceipt", list(params))
                await self._examine(node, "eth_getTransactionReceipt", list(params), told)
                if told is not None or not wanted:
                    return Answer(told, node.url)
                if attempt < 3:
                    await asyncio.sleep(self.profile.block_seconds / 2)
            return Answer(None, node.url)
        except _Transport as error:
            self._leave(node, error.reason, "receipt")
        except RpcRefused:
            pass
        return None

    async def _in_block(self, url: str, receipt: Json) -> bool | None:
        """Whether the node's own block holds the transaction; None when it does not have that block."""
        with contextlib.suppress(_Transport, RpcRefused):
            block = await self._one(
                self._by_url(url), "eth_getBlockByNumber", [str(receipt.get("blockNumber")), False]
            )
            if isinstance(block, dict) and _hash(block.get("hash")) == _hash(receipt.get("blockHash")):
                transactions = [str(t).lower() for t in block.get("transactions") or []]
                return str(receipt.get("transactionHash")).lower() in transactions
        return None

    async def _comet_receipts(self, shown: Sequence[Answer], votes: Counter[str]) -> list[str]:
        """When votes are even: the engine's own block results say which receipt is right."""
        top = votes.most_common(2)
        if not self._comet or len(top) < 2 or top[0][1] != top[1][1]:
            return []
        out: list[str] = []
        with contextlib.suppress(RpcRefused, RpcUnavailable, _Transport):
            receipt = shown[0].result
            results = await self.block_results(_quantity(receipt.get("blockNumber")))
            failed = _comet_failed(results.result, str(receipt.get("transactionHash")).lower())
            for answer in shown:
                if failed is not None and (answer.result.get("status") == "0x0") is failed:
                    out.append(str(_receipt_key(answer.result)))
        return out if len(set(out)) == 1 else []

    async def _second_logs(self, answer: Answer, params: Sequence[Any]) -> Answer:
        """Logs of a finished range must be the same on two nodes; the one that holds back is left."""
        wanted = params[0] if params and isinstance(params[0], dict) else {}
        last = wanted.get("toBlock")
        if not isinstance(last, str) or not last.startswith("0x"):
            return answer
        self.metrics.cross_checks += 1
        for node in self._second(answer.url):
            try:
                for _ in range(6):
                    if (node.head or 0) >= _quantity(last):
                        break
                    node.head = _quantity(await self._one(node, "eth_blockNumber", []))
                    if node.head < _quantity(last):
                        await asyncio.sleep(self.profile.block_seconds / 2)
                else:
                    continue
                told = await self._one(node, "eth_getLogs", list(params))
                await self._examine(node, "eth_getLogs", list(params), told)
            except _Transport as error:
                self._leave(node, error.reason, "logs")
                continue
            except RpcRefused:
                continue
            if _log_keys(told) == _log_keys(answer.result):
                return answer
            return await self._settle_logs(answer, Answer(told, node.url))
        return answer

    async def _settle_logs(self, one: Answer, two: Answer) -> Answer:
        """Two log lists differ: the transaction's receipt, from every node, says which is short or false."""
        disputed = _log_keys(one.result) ^ _log_keys(two.result)
        entries = {_log_key(e): e for e in (*_dicts(one.result), *_dicts(two.result))}
        guilty: set[str] = set()
        for key in sorted(disputed):
            entry = entries[key]
            real = await self._confirmed(entry)
            if real is None:
                self.metrics.disagreements += 1
                raise RpcDisagreement("nodes tell different events", hint="configure a third node")
            for side in (one, two):
                if (key in _log_keys(side.result)) is not real:
                    guilty.add(side.url)
        for url in guilty:
            self._leave(self._by_url(url), Lie.WITHHELD_LOGS, f"{len(disputed)} events")
        honest = [side for side in (one, two) if side.url not in guilty]
        if not honest:
            raise RpcDisagreement("no node tells all events")
        return honest[0]

    async def _confirmed(self, entry: Json) -> bool | None:
        """Whether the transaction's receipt holds this event: what a majority of nodes says, or None."""
        ayes = noes = 0
        for node in self._evm:
            if node.reason is not None:
                continue
            with contextlib.suppress(_Transport, RpcRefused):
                receipt = await self._one(node, "eth_getTransactionReceipt", [entry.get("transactionHash")])
                if isinstance(receipt, dict):
                    held = _log_key(entry) in _log_keys(receipt.get("logs"))
                    ayes, noes = ayes + held, noes + (not held)
        return None if ayes == noes else ayes > noes


def _result(answer: Any) -> Any:
    if not isinstance(answer, dict):
        raise _Transport(Lie.MALFORMED)
    error = answer.get("error")
    if error is not None:
        if not isinstance(error, dict):
            raise _Transport(Lie.MALFORMED)
        code = error.get("code")
        data = error.get("data")
        if isinstance(data, dict):
            data = data.get("data", data.get("result"))
        message = str(error.get("message", ""))
        if isinstance(data, str):
            start = data.find("0x")  # some nodes write "Reverted 0x…"
            message = f"{message} {data}" if start < 0 else message
            data = data[start:] if start >= 0 else None
        number = code if isinstance(code, int) else 0
        if data is None and (number == 3 or "execution reverted" in message.lower()):
            data = "0x"
        raise RpcRefused(number, message, data if isinstance(data, str) else None)
    if "result" not in answer:
        raise _Transport(Lie.MALFORMED)
    return answer["result"]


def _member(answer: Answer, name: str) -> Any:
    if not isinstance(answer.result, dict) or name not in answer.result:
        raise RpcUnavailable("a node's answer lacks a member", field=name)
    return answer.result[name]


def _quantity(value: Any) -> int:
    try:
        if isinstance(value, str) and value.startswith("0x"):
            return int(value, 16)
    except ValueError:
        pass
    raise _Transport(Lie.MALFORMED)


def _hash(value: Any) -> str:
    if isinstance(value, str) and value.startswith("0x") and len(value) == 66:
        return value.lower()
    raise _Transport(Lie.MALFORMED)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Transport(Lie.MALFORMED)
    return value


def _dicts(value: Any) -> list[Json]:
    entries = _list(value)
    if any(not isinstance(e, dict) for e in entries):
        raise _Transport(Lie.MALFORMED)
    return entries


def _log_key(entry: Json) -> str:
    """What makes an event the same on two nodes."""
    names = ("blockHash", "transactionHash", "logIndex", "address", "topics", "data")
    return json.dumps([entry.get(name) for name in names]).lower()


def _log_keys(entries: Any) -> set[str]:
    return {_log_key(entry) for entry in _dicts(entries)}


def _receipt_key(receipt: Any) -> str | None:
    """What makes a receipt the same on two nodes; None for "unknown"."""
    if not isinstance(receipt, dict):
        return None
    names = ("transactionHash", "blockHash", "blockNumber", "status", "gasUsed", "contractAddress")
    plain = json.dumps([receipt.get(name) for name in names]).lower()
    return plain + "".join(_log_key(entry) for entry in _dicts(receipt.get("logs")))


def _how_false(receipt: Json, right: Json | None) -> Lie:
    """A receipt that was outvoted: of a block that the others do not have, or false in a block of theirs."""
    same_block = right is None or str(receipt.get("blockHash")).lower() == str(right.get("blockHash")).lower()
    return Lie.FALSE_RECEIPT if same_block else Lie.FORKED_BLOCK


def _comet_failed(results: Any, transaction: str) -> bool | None:
    """Whether the engine's block results say that an EVM transaction failed; None when it is not in them."""
    if not isinstance(results, dict):
        return None
    for result in results.get("txs_results") or []:
        attributes: dict[str, str] = {}
        for event in result.get("events") or []:
            if event.get("type") == "ethereum_tx":
                attributes.update(
                    {str(a.get("key")): str(a.get("value")) for a in event.get("attributes") or []}
                )
        if attributes.get("ethereumTxHash", "").lower() == transaction:
            return bool(result.get("code")) or "ethereumTxFailed" in attributes
    return None


async def _has_state(_node: _Node, _method: str, _params: Any, result: Any) -> None:
    """A pruned state comes back as an answer with a code: to us a refusal, and the next node may have it."""
    response = result.get("response") if isinstance(result, dict) else None
    if isinstance(response, dict) and response.get("code"):
        raise RpcRefused(0, str(response.get("log")), None)


def _comet_head(status: Any) -> tuple[str, int, float]:
    try:
        sync = status["sync_info"]
        return (
            str(status["node_info"]["network"]),
            int(sync["latest_block_height"]),
            parse_time(str(sync["latest_block_time"])),
        )
    except (KeyError, TypeError, ValueError):
        raise _Transport(Lie.MALFORMED) from None
