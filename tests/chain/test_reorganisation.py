"""Chains without instant finality: what was included may go away, and comes back or is rewound."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chain import deploy, governance
from chain.bindings import WORK_CALENDAR, encode_values
from chain.bytecode import creation_code, load_artifact
from chain.configuration import network_of
from chain.consortium import development
from chain.cursor import EventCursor, EventSource, ledger_events
from chain.deployment import Deployment
from chain.direct import send
from chain.engines import profile
from chain.evm import Evm
from chain.networks.dev import DevNetwork
from chain.networks.errors import NetworkToolMissing
from chain.outbox import Outbox, Settings, State
from chain.outbox_worker import Worker
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from protocol.identifiers import log_id
from tests.conftest import make_home
from tests.support.ledger import FolderKeys, database, run

pytestmark = [pytest.mark.chain, pytest.mark.database]

DEEP = dataclasses.replace(profile("dev"), finality=3)


@pytest.fixture
def dev() -> Iterator[DevNetwork]:
    """A development chain of its own, one block a second."""
    import shutil

    home = make_home()
    network = DevNetwork.create(home)
    try:
        network.up()
    except NetworkToolMissing:
        pytest.skip("anvil is not installed (npm ci)")
    yield network
    network.down()
    shutil.rmtree(home, ignore_errors=True)


def key(network: DevNetwork, name: str) -> RelayerKey:
    return load_relayer(network.home / "keys" / f"{name}.key")


@asynccontextmanager
async def opened(network: DevNetwork) -> AsyncIterator[RpcPool]:
    async with RpcPool(network.rpc_urls, DEEP, chain_id=network.evm_chain_id) as pool:
        yield pool


async def drop(pool: RpcPool, block: int) -> None:
    """Replace this block and all above it by empty ones. The chain may grow meanwhile: look, and repeat."""
    evm = Evm(pool)
    before = (await pool.call("eth_getBlockByNumber", [hex(block), False]))["hash"]
    while (await pool.call("eth_getBlockByNumber", [hex(block), False]))["hash"] == before:
        await pool.call("anvil_reorg", [(await evm.head()).number - block + 1, []])


def test_a_transaction_whose_block_goes_away_is_sent_again(dev: DevNetwork, dsn: str) -> None:
    async def scenario() -> None:
        async with database(dsn) as db, opened(dev) as pool:
            await db.execute("truncate chain.outbox, chain.lease, chain.lane cascade")
            evm, relayer = Evm(pool), key(dev, "relayer-1")
            outbox = Outbox(
                Settings(chain_id=dev.evm_chain_id, gas_price=10**10, depth=DEEP.depth),
                {relayer.name: relayer},
            )
            async with db.acquire() as conn:
                await outbox.register(conn, evm)
            worker = Worker(db, evm, outbox)
            await asyncio.sleep(2.1)  # a block below, that stays
            for number in range(3):
                async with db.acquire() as conn, conn.transaction():
                    await outbox.enqueue(conn, relayer.name, b"\x77" * 20, b"", 24_000, f"reorg:{number}")

            async def states() -> set[State]:
                rows = await db.fetch("select state from chain.outbox")
                return {State(row["state"]) for row in rows}

            deadline = time.monotonic() + 60
            while await states() != {State.INCLUDED}:
                assert time.monotonic() < deadline
                await worker.run_once()
                await asyncio.sleep(0.1)
            block = await db.fetchval("select min(block_number) from chain.outbox")
            await drop(pool, block)
            assert await evm.nonce(relayer.address) == 0
            while await worker.run_once():
                assert time.monotonic() < deadline, outbox.metrics
                await asyncio.sleep(0.1)
            assert await states() == {State.MINED}
            assert await evm.nonce(relayer.address) == 3
            assert outbox.metrics.reorged == 3
            assert outbox.metrics.vanished == 0

    run(scenario())


async def founded(network: DevNetwork, pool: RpcPool, folder: Path) -> Deployment:
    where = network_of(network.home)
    assert where.engine == "dev"
    founders = development(FolderKeys(folder))
    return await deploy.deploy(
        Evm(pool), key(network, "deployer"), dataclasses.replace(where, gas_price=10**10), founders.rules()
    )


async def another_source(pool: RpcPool, network: DevNetwork, deployment: Deployment) -> EventSource:
    """A contract that has said nothing yet."""
    evm, deployer = Evm(pool), key(network, "deployer")
    code = creation_code(
        load_artifact(WORK_CALENDAR), encode_values(("address",), (deployment.registry.address,))
    )
    receipt = await send(evm, deployer, Call(None, code), chain_id=network.evm_chain_id, gas_price=10**10)
    assert receipt.contract is not None

    async def project(*_: object) -> None:
        raise AssertionError("it says nothing")

    contracts = {receipt.contract: WORK_CALENDAR}
    return EventSource("second", network.evm_chain_id, contracts, deployment.block, project)


def test_rows_of_blocks_that_went_away_are_rewound_and_read_again(
    dev: DevNetwork, dsn: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            database(dsn) as db,
            RpcPool(dev.rpc_urls, dataclasses.replace(DEEP, finality=1), chain_id=dev.evm_chain_id) as pool,
        ):
            await db.execute("delete from chain.cursor")
            await db.execute("delete from chain.block")
            deployment = await founded(dev, pool, tmp_path)
            evm, relayer = Evm(pool), key(dev, "relayer-2")
            from agent.keys import load_secp256k1

            proposal = governance.open_log(deployment, "reorg.test/log", 1)
            until = int(time.time()) + 10_000
            approvals = [
                proposal.approve(deployment, index, load_secp256k1(tmp_path / f"{slug}-act.json"), until)
                for index, slug in ((1, "centre"), (3, "court"), (4, "regulator"))
            ]

            async def carry(call: object) -> None:
                await send(evm, relayer, call, chain_id=dev.evm_chain_id, gas_price=10**10)  # type: ignore[arg-type]

            other = await another_source(pool, dev, deployment)
            await carry(proposal.schedule(deployment, approvals))
            await asyncio.sleep(2.5)
            await carry(proposal.execute(deployment))
            await asyncio.sleep(3.2)
            cursor = EventCursor(db, pool, ledger_events(deployment))
            second = EventCursor(db, pool, other)
            for one in (second, cursor):
                while await one.run_once():
                    pass
            opened_at = await db.fetchval(
                "select opened_at from chain.log where log_id = $1", log_id("reorg.test/log")
            )
            assert opened_at is not None
            kept = await db.fetchval("select count(*) from chain.event where block_number < $1", opened_at)
            await drop(pool, opened_at)
            deadline = time.monotonic() + 30
            while cursor.metrics.rewinds == 0:
                assert time.monotonic() < deadline
                await cursor.run_once()
                await asyncio.sleep(0.2)
            # Blocks are shared: the other reader went back as well, though it has seen nothing itself.
            assert await db.fetchval("select count(*) from chain.cursor") == 2
            assert await db.fetchval("select max(block_number) from chain.cursor") < opened_at
            assert second.metrics.rewinds == 0
            assert await db.fetchval("select count(*) from chain.log") == 0
            assert await db.fetchval("select count(*) from chain.event") == kept
            await carry(proposal.execute(deployment))
            while not await db.fetchval("select count(*) from chain.log"):
                assert time.monotonic() < deadline
                await cursor.run_once()
                await asyncio.sleep(0.2)
            assert cursor.metrics.rewinds == 1

    run(scenario())
