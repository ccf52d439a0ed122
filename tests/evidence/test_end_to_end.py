"""Accept, seal, anchor, prove, receive, verify: on the real chain and the real database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from agent.keys import load_key
from chain.evm import Evm
from chain.outbox_worker import Worker as OutboxWorker
from chain.registry_view import RegistryView
from chain.rpc import RpcPool
from evidence.anchoring import Follower
from evidence.capturing import Capturer, ChainProofs
from evidence.contract import ContractReader
from evidence.intake import Acceptor
from evidence.receipts import ReceiptMaker
from evidence.sealer import Sealer
from evidence.sending import OutboxSender
from evidence.worker import LogWorker
from protocol.submission import check_acceptance
from tests.conftest import PgDatabase
from tests.support.evidence import Desk, desk, run
from tests.support.ledger import Ledger
from verifier.receipt import Receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]


@dataclass
class Works:
    """Everything of one log, running."""

    desk: Desk
    acceptor: Acceptor
    worker: LogWorker
    contract: ContractReader
    rpc: RpcPool
    evm: Evm


@asynccontextmanager
async def works(pg: PgDatabase, ledger: Ledger, origin: str) -> AsyncIterator[Works]:
    deployment = ledger.deployment
    async with (
        ledger.pool() as rpc,
        desk(
            pg, role="superuser", chain_id=deployment.chain_id, contract=deployment.evidence_log.address,
            registry=deployment.registry.address, origin=origin, pool_size=12,
        ) as d,
    ):  # fmt: skip
        evm = Evm(rpc)
        await ledger.open_log(evm, origin)
        registry = RegistryView(rpc, deployment, d.pool)
        await registry.start()
        outbox = ledger.outbox(1)
        async with d.pool.acquire() as conn:
            await outbox.register(conn, evm)
        lane = next(iter(outbox.keys))
        contract = ContractReader(
            evm, deployment.evidence_log.address, first_block=deployment.block, depth=rpc.profile.depth
        )
        sender = OutboxSender(outbox, evm, lane, deployment.evidence_log.address)
        sealer = Sealer(d.pool, d.log, sender, ledger.key("centre-anchor"))
        follower = Follower(d.pool, d.log, contract, sender, sealer)
        capturer = Capturer(d.pool, d.log, ChainProofs(rpc, deployment))
        worker = LogWorker(d.pool, d.log, sealer, follower, capturer, OutboxWorker(d.pool, evm, outbox))
        d.keys = {
            index: ledger.key(f"{member.slug}-act")
            for index, member in enumerate(ledger.consortium.members, start=1)
        }
        key = load_key(ledger.home / "keys" / "log-centre.json")
        d = replace(d, promise_key=key)  # type: ignore[arg-type]
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(stop))
        acceptor = Acceptor(d.pool, d.log, registry, d.promise_key, d.vault)
        async with acceptor:
            await acceptor.writable()
            try:
                yield Works(d, acceptor, worker, contract, rpc, evm)
            finally:
                stop.set()
                await task


async def until_proved(w: Works, size: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        proved = await w.desk.pool.fetchval(
            """SELECT coalesce(max(b.new_size), 0) FROM evidence.batch b
               JOIN evidence.batch_proof p USING (log_no, number) WHERE log_no = $1""",
            w.desk.log.log_no,
        )
        if proved >= size:
            return
        assert time.monotonic() < deadline, w.worker.metrics
        await asyncio.sleep(0.05)


def test_receipts_of_several_batches_hold_what_was_submitted(database: PgDatabase, ledger: Ledger) -> None:
    async def check() -> None:
        async with works(database, ledger, "centre.example/e2e") as w:
            d = w.desk
            size = 0
            indexes = []
            for count in (1, 3, 300):
                submission = d.submission(count, organisation=5)
                answer = await w.acceptor.accept(submission)
                leaves = check_acceptance(submission, answer, d.promise_key.public_key)
                assert answer.first_index == size
                size += count
                indexes.append((answer.first_index, leaves[0]))
                await until_proved(w, size)
            head = await w.contract.head(d.log.log_id)
            assert head.size == size
            assert head.batches >= 3
            maker = ReceiptMaker(d.log, d.vault)
            async with d.pool.acquire() as conn:
                files = await maker.make(conn, [index for index, _ in indexes])
                again = await ReceiptMaker(d.log, d.vault).make(conn, [index for index, _ in indexes])
            assert [f.data for f in files] == [f.data for f in again]
            for file, (index, leaf) in zip(files, indexes, strict=True):
                receipt = Receipt.parse(file.data)
                assert receipt.core.leaf == leaf
                assert receipt.core.inclusion.index == index
                assert receipt.core.link.value(receipt.core.log) == await w.contract.link(
                    d.log.log_id, receipt.core.link.number
                )
                assert len(file.data) < 8192, len(file.data)
                print(len(file.data))

    run(check())
