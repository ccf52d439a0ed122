"""A log from accept to receipt with the contract's model in place of the chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.keys import Secp256k1Key
from chain.capture import CapturedBatch, split
from evidence.anchoring import Follower
from evidence.capturing import Capturer
from evidence.intake import Acceptor
from evidence.ports import FaultPoints
from evidence.sealer import Sealer, SealRules
from evidence.service import EvidenceService
from evidence.worker import LogWorker
from protocol.errors import CaseledgerError
from storage.db import Pool, connect_pool
from tests.conftest import PgDatabase
from tests.support.contract_model import ContractModel
from tests.support.evidence import Desk, act_key, desk
from verifier.chainproof import NoProof

AT_ONCE = SealRules(linger=0.0)


class NothingProved:
    """`ProofSource` of a development chain. `fail`: raise this instead."""

    def __init__(self, model: ContractModel) -> None:
        self.model = model
        self.fail: CaseledgerError | None = None
        self.heights: list[int | None] = []

    async def capture(
        self, log_id: bytes, number: int, signers: Sequence[bytes], height: int | None, link: bytes
    ) -> CapturedBatch:
        self.heights.append(height)
        if self.fail is not None:
            raise self.fail
        if self.model.links[number] != link:
            raise AssertionError("another link")
        shared, key = split(NoProof(height or self.model.block))
        return CapturedBatch(
            "none", height or self.model.block, link, shared, dict.fromkeys(signers, key), (), False
        )


@dataclass
class Line:
    """Everything of one log."""

    desk: Desk
    acceptor: Acceptor
    model: ContractModel
    key: Secp256k1Key
    sealer: Sealer
    follower: Follower
    capturer: Capturer
    proofs: NothingProved
    worker: LogWorker
    service: EvidenceService
    pool: Pool
    """With the rights of the worker's role."""

    async def settle(self, rounds: int = 40) -> None:
        """Run the worker's steps until everything accepted is proved."""
        for _ in range(rounds):
            await self.worker.anchor_once()
            await self.worker.capture_once()
            done = await self.pool.fetchval(
                """SELECT w.accepted_size = coalesce((SELECT max(b.new_size) FROM evidence.batch_proof p
                       JOIN evidence.batch b USING (log_no, number) WHERE p.log_no = w.log_no), 0)
                   FROM evidence.log_writer w WHERE w.log_no = $1""",
                self.desk.log.log_no,
            )
            if done:
                return
        raise AssertionError(self.worker.metrics)

    async def scalar(self, query: str, *values: object) -> object:
        """One value; `$1` is the log."""
        return await self.pool.fetchval(query, self.desk.log.log_no, *values)


def worker_of(
    d: Desk, pool: Pool, model: ContractModel, key: Secp256k1Key, faults: FaultPoints | None = None
) -> tuple[Sealer, Follower, Capturer, NothingProved, LogWorker]:
    """The worker's parts over a model."""
    sealer = Sealer(pool, d.log, model, key, rules=AT_ONCE, clock=d.clock, faults=faults)
    follower = Follower(pool, d.log, model, model, sealer, clock=d.clock, faults=faults)
    proofs = NothingProved(model)
    capturer = Capturer(pool, d.log, proofs, clock=d.clock)
    return (
        sealer,
        follower,
        capturer,
        proofs,
        LogWorker(pool, d.log, sealer, follower, capturer, clock=d.clock),
    )


@asynccontextmanager
async def line(pg: PgDatabase, **options: object) -> AsyncIterator[Line]:
    """Gateway and worker with their own roles."""
    async with desk(pg, **options) as d:  # type: ignore[arg-type]
        pool = await connect_pool(pg.dsn("sealer"), max_size=6)
        try:
            key = act_key(1, "anchor")
            model = ContractModel(d.log, key.address)
            d.now = model.time
            parts = worker_of(d, pool, model, key)
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                service = EvidenceService(d.pool, d.vault, clock=d.clock)
                sealer, follower, capturer, proofs, worker = parts
                yield Line(d, acceptor, model, key, sealer, follower, capturer, proofs, worker, service, pool)
        finally:
            await pool.close()
