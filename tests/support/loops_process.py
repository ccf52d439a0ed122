"""What a process with loops of the worker is made of, when a test ends it by SIGKILL at a named point."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cases.events import case_events
from chain import case_record
from chain.case_record import CaseRecord
from chain.cursor import EventCursor
from chain.engines import profile
from chain.evm import Evm
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker as OutboxWorker
from chain.rpc import RpcPool
from chain.signer import load_relayer
from storage.db import Pool, connect_pool
from tests.evidence.crashing import Killing


@dataclass
class Loops:
    """Database, node and outbox. `stop` is set by SIGTERM; `faults` is the plan's point."""

    pool: Pool
    evm: Evm
    outbox: Outbox
    lane: str
    record: CaseRecord
    faults: Killing
    stop: asyncio.Event
    cursor: EventCursor

    async def beside(self, *loops: Any) -> None:
        """Run these with events and outbox until `stop`."""
        await asyncio.gather(
            *loops,
            self.cursor.run(self.stop, poll_seconds=0.05),
            OutboxWorker(self.pool, self.evm, self.outbox).run(self.stop, poll_seconds=0.05),
        )


@asynccontextmanager
async def loops(path: Path, plan: dict[str, Any]) -> AsyncIterator[Loops]:
    """By the plan in the file at `path`, beside which the record lies."""
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
        cursor = EventCursor(pool, rpc, case_events(record))
        yield Loops(pool, evm, outbox, key.name, record, faults, stop, cursor)
    await pool.close()
