"""Proof capture: the chain's part of every receipt of a batch, taken while nodes hold the state.

Nothing is stored that the offline verifier does not accept. A failure is shown and repeated; it holds up
neither accepting nor sealing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from chain.capture import CapturedBatch, LinkAbsent, capture
from chain.deployment import Deployment
from chain.proofs import ProofNotCaptured
from chain.rpc import RpcPool
from evidence.batches import ProofTask, open_proofs, store_proofs
from evidence.errors import SignerKeyMissing
from evidence.logs import LogContext
from evidence.ports import Clock, system_clock
from storage.db import Pool
from verifier.trust_payload import TrustedChain

AT_ONCE = 4
"""Batches captured side by side when many wait."""


class ProofSource(Protocol):
    """Where chain proofs come from."""

    async def capture(
        self, log_id: bytes, number: int, signers: Sequence[bytes], height: int | None, link: bytes
    ) -> CapturedBatch:
        """Verified parts; raises what `chain.capture.capture` raises."""
        ...


class ChainProofs:
    """`ProofSource` over nodes. With a trusted chain, its validators decide what is final."""

    def __init__(self, pool: RpcPool, deployment: Deployment, trusted: TrustedChain | None = None) -> None:
        self._pool = pool
        self._deployment = deployment
        self._trusted = trusted

    async def capture(
        self, log_id: bytes, number: int, signers: Sequence[bytes], height: int | None, link: bytes
    ) -> CapturedBatch:
        return await capture(
            self._pool,
            self._deployment,
            log_id,
            number,
            signers,
            height,
            trusted=self._trusted,
            expected_link=link,
        )


class Capturer:
    """Captures the proofs of one log's anchors, oldest first."""

    def __init__(
        self, pool: Pool, log: LogContext, source: ProofSource, *, clock: Clock = system_clock
    ) -> None:
        self._pool = pool
        self._log = log
        self._source = source
        self._clock = clock

    async def run_once(self) -> bool:
        """Capture what waits; whether anything was stored. Raises the first failure after trying all."""
        async with self._pool.acquire() as conn:
            tasks = await open_proofs(conn, self._log.log_no, AT_ONCE)
        if not tasks:
            return False
        results = await asyncio.gather(*map(self._one, tasks), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return True

    async def _one(self, task: ProofTask) -> None:
        try:
            captured = await self._capture(task, task.block_number)
        except (ProofNotCaptured, LinkAbsent):
            # The anchor's own block may be pruned already; the link stays provable from any later one.
            captured = await self._capture(task, None)
        async with self._pool.acquire() as conn, conn.transaction():
            await store_proofs(
                conn,
                self._log.log_no,
                task.number,
                captured.height,
                captured.shared,
                captured.keys,
                self._clock(),
            )
        if captured.missing:
            raise SignerKeyMissing(f"batch {task.number}: {len(captured.missing)} signers without a key slot")

    async def _capture(self, task: ProofTask, height: int | None) -> CapturedBatch:
        return await self._source.capture(self._log.log_id, task.number, task.signers, height, task.link)
