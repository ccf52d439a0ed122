"""The worker's loops over cases as a process that ends itself by SIGKILL at a named point.

Run by test_keeping_killed: `python -m tests.cases.keeping_process PLAN.json`. Ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from cases import keeping
from cases.events import case_events
from cases.keeping import FollowedTime, Keeper
from cases.policies import RELEASED
from cases.worker import KeeperWorker
from chain import case_record
from chain.cursor import EventCursor
from chain.engines import profile
from chain.evm import Evm
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker as OutboxWorker
from chain.rpc import RpcPool
from chain.signer import load_relayer
from evidence.sending import OutboxSender
from storage.db import connect_pool
from tests.evidence.crashing import Killing

FEW = 7
"""In one transaction, so that a kill falls between them."""


async def main(path: Path, plan: dict[str, Any]) -> None:
    keeping.CHUNK = FEW
    faults = Killing(plan["point"], plan["count"], path.parent / "marks")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    record, engine = case_record.load(path.parent), profile("dev")
    key = load_relayer(Path(plan["relayer"]))
    outbox = Outbox(
        Settings(record.chain_id, 0, depth=engine.depth, revert_costs_limit=False, lease_seconds=1.0),
        {key.name: key},
    )
    pool = await connect_pool(plan["dsn"], max_size=8)
    async with RpcPool(plan["rpc"], engine, chain_id=record.chain_id) as rpc:
        evm = Evm(rpc)
        async with pool.acquire() as conn:
            await outbox.register(conn, evm)
        source = case_events(record)
        sender = OutboxSender(outbox, evm, key.name, record.contracts.ledger)
        time = FollowedTime(pool, evm, source.name)
        keeper = Keeper(pool, time, sender, record.contracts, RELEASED, faults=faults)
        await asyncio.gather(
            KeeperWorker(pool, keeper, pace=0.05).run(stop),
            EventCursor(pool, rpc, source).run(stop, poll_seconds=0.05),
            OutboxWorker(pool, evm, outbox).run(stop, poll_seconds=0.05),
        )
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(Path(sys.argv[1]).read_text())))
