"""The nodes of one kind: which may be asked, in which order, and who was left for what."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from chain.engines import EngineProfile
from chain.rpc.nodes import Lie, Node, NodeHealth, RpcMetrics, RpcRefused, RpcSettings, TransportFault

log = logging.getLogger(__name__)

Look = Callable[[Node], Awaitable[tuple[bool, int, float]]]
"""Asks a node: whether it is of the right chain, its head, the head's time."""


class Fleet:
    """Nodes of one kind in order of preference."""

    def __init__(
        self,
        kind: str,
        urls: Sequence[str],
        look: Look,
        *,
        profile: EngineProfile,
        settings: RpcSettings,
        metrics: RpcMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.nodes = [Node(kind, url) for url in dict.fromkeys(urls)]
        self._look = look
        self._profile = profile
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._refreshing: asyncio.Task[None] | None = None
        self._looked = False

    async def aclose(self) -> None:
        """Stop probing."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing

    def health(self) -> list[NodeHealth]:
        """All nodes, usable or not."""
        now = self._clock()
        return [
            NodeHealth(
                n.kind,
                n.label,
                n.reason is None or now >= n.until,
                n.reason,
                n.head,
                n.head_time,
                dict(n.left),
            )
            for n in self.nodes
        ]

    def best_head(self) -> int:
        """The highest block that a usable node has told; 0 before the first probe."""
        return max((n.head or 0 for n in self.nodes if n.reason in (None, Lie.UNAVAILABLE)), default=0)

    def by_url(self, url: str) -> Node | None:
        return next((node for node in self.nodes if node.url == url), None)

    def leave(self, node: Node, reason: Lie, detail: str = "") -> None:
        base = self._settings.cool_down if reason.forgivable else self._settings.cool_down_lie
        again = node.reason is not None and self._clock() < node.until
        if not again:
            node.strikes = min(node.strikes + 1, 20)
        wait = min(base * 2 ** (node.strikes - 1), self._settings.cool_down_limit)
        if reason is Lie.UNAVAILABLE:
            wait = min(wait, 15.0)  # it is probably only restarting
        node.reason = reason
        node.until = self._clock() + wait
        node.left[reason.value] += 1
        self._metrics.left[(node.label, reason.value)] += 1
        log.warning("left node %s (%s): %s %s", node.label, node.kind, reason.value, detail)

    def order(self, start: int = 0) -> list[Node]:
        """Usable nodes in their order; when there is none, those that were left for a fault."""
        now = self._clock()
        turned = [*self.nodes[start % len(self.nodes) :], *self.nodes[: start % len(self.nodes)]]
        usable = [n for n in turned if n.reason is None or now >= n.until]
        return usable or [n for n in turned if n.reason is not None and n.reason.forgivable]

    async def keep_fresh(self) -> None:
        """Wait for the first look at the nodes; later looks run beside the calls."""
        newest = max(n.probed for n in self.nodes)
        if self._looked and self._clock() - newest < self._settings.probe_every:
            return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self.refresh())
        if not self._looked:
            await asyncio.shield(self._refreshing)

    async def refresh(self) -> None:
        """Look at every node that may be looked at."""
        if not self.nodes:
            return
        now = self._clock()
        due = [n for n in self.nodes if n.reason is None or now >= n.until or n.reason.forgivable]
        await asyncio.gather(*(self.probe(node) for node in due))
        for node in self.nodes:
            if node.reason is None and self._stale(node):
                self.leave(node, Lie.STALE_HEAD, f"head {node.head}")
        self._looked = True

    def _stale(self, node: Node) -> bool:
        """Whether others know newer blocks. A head that everybody has is a stopped chain, not a stale node.

        One node alone must not make the others look old: with three, the second highest claim counts; with
        two, the height counts only together with the time.
        """
        known = [n for n in self.nodes if n is node or n.reason is None]
        heads = sorted((n.head for n in known if n.head is not None), reverse=True)
        times = sorted((n.head_time for n in known if n.head_time is not None), reverse=True)
        if len(heads) < 2 or node.head is None or node.head_time is None:
            return False
        of_many = len(heads) >= 3
        behind = heads[1 if of_many else 0] - node.head > self._profile.stale_blocks
        age = times[1 if of_many else 0] - node.head_time
        late = age > self._profile.stale_blocks * self._profile.block_seconds / 2
        return age > self._profile.stale_seconds or (behind and (of_many or late))

    async def probe(self, node: Node) -> bool:
        """Chain id and head. True if the node may be used (again)."""
        node.probed = self._clock()
        try:
            right, head, head_time = await self._look(node)
        except (TransportFault, RpcRefused) as error:
            reason = error.reason if isinstance(error, TransportFault) else Lie.MALFORMED
            if node.reason is None or node.reason is not reason or self._clock() >= node.until:
                self.leave(node, reason, "probe")
            return False
        if not right:
            self.leave(node, Lie.WRONG_CHAIN_ID)
            return False
        if head_time > self._clock() + max(30.0, self._profile.stale_seconds):
            self.leave(node, Lie.MALFORMED, "head in the future")
            return False
        went_back = node.head is not None and head + self._profile.stale_blocks < node.head
        node.head, node.head_time = head, head_time
        if went_back or self._stale(node):
            self.leave(node, Lie.STALE_HEAD, f"head {head}")
            return False
        if node.reason is not None and (node.reason.forgivable or self._clock() >= node.until):
            log.info("node %s (%s) is used again after %s", node.label, node.kind, node.reason.value)
            if node.reason.forgivable:
                node.strikes = 0
            node.reason = None
        return node.reason is None
