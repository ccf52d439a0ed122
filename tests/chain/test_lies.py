"""A node that lies, under sending, reading and proving: noticed, named, left; the work gets done."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from chain.capture import capture
from chain.cursor import EventCursor, ledger_events
from chain.engines import profile
from chain.errors import ChainError
from chain.evm import Evm
from chain.networks.cometbft import CometNetwork
from chain.outbox import State
from chain.outbox_worker import Worker
from chain.registry_view import RegistryView
from chain.rpc import Lie, RpcPool, RpcSettings
from tests.support.ledger import HandMadeLog, Ledger, database, found, run
from tests.support.liar import LIES, liar

pytestmark = [pytest.mark.chain, pytest.mark.database]

QUICK = dataclasses.replace(profile("cometbft"), stale_blocks=4)


@pytest.fixture(scope="module")
def ledger4(network4: CometNetwork, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger on four validators."""
    home: Path = tmp_path_factory.mktemp("ledger4")
    return run(found(network4, home))


@pytest.mark.parametrize("lie", list(LIES), ids=lambda lie: str(lie.value))
def test_each_lie_is_noticed_named_and_left_for_the_honest_nodes(ledger4: Ledger, dsn: str, lie: Lie) -> None:
    network, deployment = ledger4.network, ledger4.deployment
    origin = f"lies.test/{lie.value}"

    async def scenario() -> None:
        async with ledger4.pool() as honest:
            await ledger4.open_log(Evm(honest), origin)
        call = ledger4.anchor_call(HandMadeLog(origin), 4)
        assert call.recipient is not None
        async with (
            database(dsn) as db,
            liar(network.rpc_urls[0], network.comet_urls[0]) as machine,
            RpcPool(
                [machine.evm.url, *network.rpc_urls[1:3]],  # the liar is asked first
                QUICK,
                chain_id=deployment.chain_id,
                comet_urls=[machine.comet.url, *network.comet_urls[1:3]],
                comet_chain_id=network.chain_id,
                settings=RpcSettings(probe_every=0.3),
            ) as pool,
        ):
            evm, outbox = Evm(pool), ledger4.outbox(1, lease_seconds=2.0)
            async with db.acquire() as conn:
                await outbox.register(conn, evm)
            view = RegistryView(pool, deployment)
            await view.start()
            machine.tell(lie)
            gas = await outbox.prepare(evm, "relayer-1", call.recipient, call.data)
            async with db.acquire() as conn, conn.transaction():
                await outbox.enqueue(conn, "relayer-1", call.recipient, call.data, gas, origin)
            worker = Worker(db, evm, outbox)
            deadline = time.monotonic() + 60
            while await worker.run_once():
                assert time.monotonic() < deadline, outbox.metrics
                await asyncio.sleep(0.05)
            await worker.release()
            async with db.acquire() as conn:
                sent = await outbox.outcome(conn, origin)
            assert sent is not None
            assert sent.state is State.MINED, sent
            assert sent.block_number is not None
            cursor = EventCursor(db, pool, ledger_events(deployment))
            while not await db.fetchval(
                "select count(*) from chain.anchor where log_id = $1", HandMadeLog(origin).log_id
            ):
                assert time.monotonic() < deadline
                try:
                    await cursor.run_once()
                except ChainError as error:
                    assert error.retryable, error  # noqa: PT017 - any other ends the test
            signer = ledger4.key("bank-a-act").address
            got = await capture(pool, deployment, HandMadeLog(origin).log_id, 1, [signer], sent.block_number)
            assert set(got.keys) == {signer}
            await view.refresh()
            assert view.key(signer) is not None
            while lie.value not in machine.left_for(pool.metrics.left):
                assert time.monotonic() < deadline, pool.metrics.left
                await pool.call("eth_blockNumber", [])
                await asyncio.sleep(0.2)
            # On a busy machine the liar may be slow as well; no other fault is ever named.
            assert machine.left_for(pool.metrics.left) - {"unavailable"} == {lie.value}
            honest_nodes = {url.rsplit(":", 1)[1] for url in (*network.rpc_urls, *network.comet_urls)}
            blamed = {node.rsplit(":", 1)[-1] for node, _ in pool.metrics.left}
            assert not blamed & honest_nodes

    run(scenario())
