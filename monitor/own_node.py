"""The anchored head of a log as the witness's own node proves it.

The node is the witness's, and still not believed: the event gives the numbers, their hash must be the batch
link, and the link is opened in a block that the trust file's validators signed and that is recent. What the
node says otherwise decides only how a refusal is named.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from chain.capture import CapturedBatch, CodeMismatch, LinkAbsent, OtherBatchAnchored, assemble, capture
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evidence_log import Anchored, ContractReader
from chain.evm import Evm
from chain.rpc import Lie, RpcPool
from monitor.errors import (
    CheckpointNotAnchored,
    OwnNodeLied,
    OwnNodeStale,
    OwnNodeUnavailable,
    WitnessRefusal,
)
from monitor.held_trust import HeldTrust
from protocol import cbor
from protocol.identifiers import log_id as log_id_of
from protocol.keyslot import batch_link
from verifier.chainproof import NoProof
from verifier.trust_payload import TrustedChain, TrustedLog

STALE_SECONDS = 60.0
"""How old the newest block may be, unless the engine's profile allows more."""
KEPT_HEADS = 256
_NO_KEY = cbor.encode([bytes(32), b""])
"""Key part of a proof that opens no signer's key."""
_LIES = tuple(lie for lie in Lie if not lie.forgivable)


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A batch of a log that is proved to be on the chain. Roots of 32 bytes, `block` of the anchor."""

    number: int
    size: int
    root_sha256: bytes
    root_sm3: bytes
    block: int

    def root(self, algorithm: int) -> bytes:
        """0 SHA-256, 1 SM3."""
        return self.root_sm3 if algorithm else self.root_sha256


class OwnNode:
    """Reads and proves anchored heads. Belongs to one event loop."""

    def __init__(
        self,
        pool: RpcPool,
        deployment: Deployment,
        trust: HeldTrust,
        *,
        clock: Callable[[], float] = time.time,
        stale_seconds: float | None = None,
        wait: float = 10.0,
    ) -> None:
        """`wait`: seconds for the block whose header signs the state."""
        self._pool = pool
        self._deployment = deployment
        self._trust = trust
        self._clock = clock
        self._stale = stale_seconds or max(STALE_SECONDS, pool.profile.stale_seconds)
        self._wait = wait
        self._evm = Evm(pool)
        self._reader = ContractReader(
            self._evm,
            deployment.evidence_log.address,
            first_block=deployment.block,
            depth=pool.profile.depth,
            max_range=pool.profile.max_log_range,
        )
        self._proved: OrderedDict[tuple[bytes, int], AnchoredHead] = OrderedDict()
        self._locks: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def anchored(self, log: TrustedLog, size: int, *, since: int = 0) -> AnchoredHead:
        """The batch of `log` that ends at `size`, proved. `since`: no anchor of older blocks is wanted.

        Raises:
            CheckpointNotAnchored, OwnNodeLied, OwnNodeStale, OwnNodeUnavailable, TrustFileUnusable
        """
        identity = log_id_of(log.origin)
        async with self._locks[identity]:
            known = self._proved.get((identity, size))
            if known is not None:
                return known
            lies = self._lies()
            try:
                head = await self._prove(log, identity, size, since)
            except ChainError as error:
                raise self._named(error, lies) from None
            self._proved[identity, size] = head
            while len(self._proved) > KEPT_HEADS:
                self._proved.popitem(last=False)
            return head

    async def _prove(self, log: TrustedLog, identity: bytes, size: int, since: int) -> AnchoredHead:
        trusted = self._trust.chain()
        event = await self._event(identity, size, since)
        if log.closed_size is not None and size > log.closed_size:
            raise CheckpointNotAnchored(f"the log was closed at {log.closed_size}", field="size")
        previous = bytes(32)
        if event.number > 1:
            previous = await self._reader.link(identity, event.number - 1)
        link = batch_link(
            chain_id=self._deployment.chain_id,
            contract=self._deployment.evidence_log.address,
            log_id=identity,
            number=event.number,
            previous=previous,
            size=event.new_size,
            root_sha256=event.root_sha256,
            root_sm3=event.root_sm3,
            time=event.time,
        )
        captured = await capture(
            self._pool, self._deployment, identity, event.number, (), None,
            trusted=trusted, expected_link=link, wait=self._wait,
        )  # fmt: skip
        await self._recent(captured, trusted)
        return AnchoredHead(event.number, size, event.root_sha256, event.root_sm3, event.block_number)

    async def _event(self, identity: bytes, size: int, since: int) -> Anchored:
        """The event of the batch that ends at `size`, as the node tells it."""
        last = await self._reader.final_block()
        events = await self._reader.anchored_down_to(identity, size, last, since)
        for event in events:
            if event.new_size == size:
                return event
        head = await self._reader.head(identity, last)
        told = events[-1].number if events else 0
        if head.batches > told and head.size >= size:
            raise OwnNodeLied(f"{Lie.WITHHELD_LOGS}: {head.batches} batches, events of {told}", field="node")
        await self._fresh(int((await self._evm.head()).time))
        raise CheckpointNotAnchored(
            f"no batch ends at {size}; the newest anchored one ends at {head.size}", field="size"
        )

    async def _recent(self, captured: CapturedBatch, trusted: TrustedChain) -> None:
        """The block that proves it is of now: an old one may be all that an eclipsed node sees."""
        proof = assemble(captured.shared, _NO_KEY)
        if isinstance(proof, NoProof):
            await self._fresh(int((await self._evm.head()).time))
            return
        epoch = trusted.epoch_at(proof.height)
        if epoch is None:
            raise OwnNodeUnavailable("the trust file has no validators for the newest block", field="epochs")
        validators = [(v.public_key, v.power) for v in epoch.validators]
        await self._fresh(proof.final(validators, trusted.network_id).time)

    async def _fresh(self, block_time: int) -> None:
        age = self._clock() - block_time
        if age > self._stale:
            raise OwnNodeStale(f"its newest block is {int(age)} s old", field="node")

    def _lies(self) -> int:
        left = self._pool.metrics.left
        return sum(times for (_, reason), times in left.items() if reason in _LIES)

    def _named(self, error: ChainError, before: int) -> WitnessRefusal:
        """A failure in the witness's words: whether the node lied, stands still, or just does not answer."""
        if isinstance(error, LinkAbsent | OtherBatchAnchored):
            return OwnNodeLied(f"the event it told is not what the state holds: {error.code}", field="node")
        if isinstance(error, CodeMismatch):
            return OwnNodeLied(f"{error.code}: {error.detail}", field="node")
        reasons = sorted({h.reason for h in self._pool.health() if h.reason is not None and not h.usable})
        caught = [reason for reason in reasons if reason in _LIES]
        if caught or self._lies() > before:
            return OwnNodeLied(", ".join(caught) or error.code, field="node")
        if Lie.STALE_HEAD in reasons:
            return OwnNodeStale("its head stands still", field="node")
        return OwnNodeUnavailable(f"{error.code}: {error.detail}", field="node")
