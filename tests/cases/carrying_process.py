"""The sender of acts with the loops that it needs, as a process that ends itself by SIGKILL at a named point.

Run by test_carrying_killed: `python -m tests.cases.carrying_process PLAN.json`. Ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from cases.carrying import ActSender
from cases.events import case_events
from cases.worker import SenderWorker
from chain import case_record
from chain.cursor import EventCursor
from chain.engines import profile
from chain.evm import Evm
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker as OutboxWorker
from chain.rpc import RpcPool
from chain.signer import load_relayer
from storage.db import connect_pool
from tests.evidence.crashing import Killing


async def main(path: Path, plan: dict[str, Any]) -> None:
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
        sender = ActSender(pool, evm, outbox, [key.name], record.contracts, faults=faults)
        await asyncio.gather(
            SenderWorker(pool, sender, pace=0.05).run(stop),
            EventCursor(pool, rpc, case_events(record)).run(stop, poll_seconds=0.05),
            OutboxWorker(pool, evm, outbox).run(stop, poll_seconds=0.05),
        )
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(Path(sys.argv[1]).read_text())))
