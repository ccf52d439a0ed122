"""The worker's loops over cases as a process that ends itself by SIGKILL at a named point.

Run by test_keeping_killed: `python -m tests.cases.keeping_process PLAN.json`. Ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from cases import keeping
from cases.events import case_events
from cases.keeping import FollowedTime, Keeper
from cases.policies import RELEASED
from cases.worker import KeeperWorker
from evidence.sending import OutboxSender
from tests.support.loops_process import loops

FEW = 7
"""In one transaction, so that a kill falls between them."""


async def main(path: Path, plan: dict[str, Any]) -> None:
    keeping.CHUNK = FEW
    async with loops(path, plan) as made:
        contracts = made.record.contracts
        sender = OutboxSender(made.outbox, made.evm, made.lane, contracts.ledger)
        time = FollowedTime(made.pool, made.evm, case_events(made.record).name)
        keeper = Keeper(made.pool, time, sender, contracts, RELEASED, faults=made.faults)
        await made.beside(KeeperWorker(made.pool, keeper, pace=0.05).run(made.stop))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(Path(sys.argv[1]).read_text())))
