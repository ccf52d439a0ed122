"""Worker processes that die at a named point: `python -m tests.chain.outbox_worker SETTINGS.json`.

For each line on standard input a child is forked that works until it kills itself with SIGKILL, so that
nothing is cleaned up, at the first call that the point names; then the signal's number is printed. Forking
saves the start of an interpreter for each round.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from chain.engines import profile
from chain.evm import Evm, Receipt, Sent
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker
from chain.rpc import RpcPool
from chain.signer import load_relayers
from storage.db import connect_pool


def die() -> None:
    """As a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingEvm(Evm):
    """Calls as usual, up to the point."""

    point = ""

    async def send_raw(self, raw: bytes) -> Sent:
        if self.point == "before-send":
            die()
        outcome = await super().send_raw(raw)
        if self.point == "after-send":
            die()
        return outcome

    async def receipt(self, transaction_hash: bytes) -> Receipt | None:
        receipt = await super().receipt(transaction_hash)
        if self.point == "after-receipt" and receipt is not None:
            die()
        return receipt


async def work(given: dict[str, Any]) -> None:
    """Rounds until death."""
    keys = load_relayers(Path(p) for p in given["keys"])
    database = await connect_pool(given["dsn"])
    async with RpcPool(given["rpc"], profile("cometbft"), chain_id=given["chain_id"]) as pool:
        evm = DyingEvm(pool)
        evm.point = given["point"]
        settings = Settings(chain_id=given["chain_id"], gas_price=1, lease_seconds=given["lease"])
        worker = Worker(database, evm, Outbox(settings, keys))
        for _ in range(400):
            await worker.run_once()
            await asyncio.sleep(0.02)


def main(path: Path) -> None:
    """One child for each line."""
    given = json.loads(path.read_text())
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(work(given))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
