"""A reader of case events that dies as by a power cut: `python -m tests.support.dying_reader SETTINGS.json`.

`after`: how many events of the page are in the open transaction by then; 0: it lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from cases.events import case_events
from chain import case_record
from chain.cursor import EventCursor
from chain.engines import profile
from chain.projection import DecodedEvent
from chain.rpc import RpcPool
from storage.db import AnyConnection, connect_pool


async def read(home: Path, rpc: list[str], dsn: str, after: int) -> None:
    record = case_record.load(home)
    source = case_events(record)
    left = after

    async def project(conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        nonlocal left
        await source.project(conn, chain_id, event)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    database = await connect_pool(dsn)
    async with RpcPool(rpc, profile("cometbft"), chain_id=record.chain_id) as pool:
        cursor = EventCursor(database, pool, replace(source, project=project))
        while await cursor.run_once():
            pass
    await database.close()


if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[1]).read_text())
    asyncio.run(read(Path(settings["home"]), settings["rpc"], settings["dsn"], settings["after"]))
