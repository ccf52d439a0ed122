"""The sender of acts as a process that ends itself by SIGKILL at a named point.

Run by test_carrying_killed: `python -m tests.cases.carrying_process PLAN.json`. Ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from cases.carrying import ActSender
from cases.worker import SenderWorker
from tests.support.loops_process import loops


async def main(path: Path, plan: dict[str, Any]) -> None:
    async with loops(path, plan) as made:
        sender = ActSender(
            made.pool, made.evm, made.outbox, [made.lane], made.record.contracts, faults=made.faults
        )
        await made.beside(SenderWorker(made.pool, sender, pace=0.05).run(made.stop))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(Path(sys.argv[1]).read_text())))
