"""A whole run on the development chain: found, follow, and what is left behind to be audited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.month.cast import Cast
from benchmarks.month.checks import Month
from benchmarks.month.clerk import Clerk
from benchmarks.month.dev_run import DevRun, Progress
from benchmarks.month.founding import Founded, found
from benchmarks.month.ledger import EvidenceDesk
from benchmarks.month.lives import Society
from benchmarks.month.plan import MONTH, YEAR, BatchPlan, Hours, plan
from benchmarks.month.wire import Wire
from cases.calendar import first_second, shipped, to_day
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.machine import Machine
from chain import case_record, deployment
from chain.case_record import CaseRecord
from chain.deployment import Deployment
from chain.engines import profile
from chain.evm import Evm, quantity
from chain.networks.dev import DevNetwork
from chain.networks.errors import NetworkMissing
from chain.rpc import RpcPool
from chain.signer import load_relayer

RECORD = "month.json"
GENESIS = first_second(to_day(date(YEAR, MONTH, 1))) - 7 * 86_400
FOLLOWED = first_second(to_day(date(YEAR + 1, 10, 1)))
"""Lives are followed until this second."""


@dataclass
class MonthRun:
    """What a run has made."""

    network: DevNetwork
    cast: Cast
    deployment: Deployment
    record: CaseRecord
    batches: tuple[BatchPlan, ...]
    run: DevRun

    def close(self) -> None:
        """Leave the node; it goes on running."""
        self.run.wire.close()


class AnotherMonth(Exception):
    """The folder holds a run of another seed or size."""


def open_month(home: Path, seed: int, cases: int) -> MonthRun:
    """Found the consortium in `home`, or take up the run that is there and whose chain lives."""
    cast = Cast(seed)
    try:
        network = DevNetwork.load(home)
        resumed = network.running()
    except NetworkMissing:
        resumed = False
    if not resumed:
        network = DevNetwork.create(
            home, relayers=1, block_seconds=0, genesis_time=GENESIS, keep_states=False
        )
        network.up()
    else:
        about = json.loads((home / RECORD).read_text("utf-8"))
        if (about["seed"], about["cases"]) != (seed, cases):
            raise AnotherMonth(f"{home} holds seed {about['seed']}, {about['cases']} cases")
    wire = Wire(network.rpc_urls[0])
    if not resumed:
        founded = asyncio.run(_found(network, cast, wire))
        founded.deployment.save(home)
        founded.record.save(home)
        sender = load_relayer(home / "keys" / "relayer-1.key")
        first = quantity(wire.call("eth_blockNumber")) + 1
        nonce = quantity(wire.call("eth_getTransactionCount", "0x" + sender.address.hex(), "latest"))
        about = {"seed": seed, "cases": cases, "first": first, "nonce": nonce}
        (home / RECORD).write_text(json.dumps(about), "utf-8")
    # What was sent and is in no block is sent again.
    wire.call("anvil_dropAllTransactions")
    placed, record = deployment.load(home), case_record.load(home)
    calendar = shipped()
    machine = Machine(LIFECYCLE_V1, calendar, cast.roles)
    society = Society(cast, machine, Hours(calendar), seed)
    clerk = Clerk(cast, society, record.contracts, EvidenceDesk(cast, placed))
    batches = plan(seed, cases, cast, calendar)
    run = DevRun(
        cast, society, clerk, record.contracts, batches, wire,
        load_relayer(home / "keys" / "relayer-1.key"), placed.chain_id,
    )  # fmt: skip
    return MonthRun(network, cast, placed, record, batches, run)


def follow(month: MonthRun, tell: Callable[[Progress], None]) -> None:
    """Make every block, or look at it where it is there."""
    about = json.loads((month.network.home / RECORD).read_text("utf-8"))
    for progress in month.run.follow(about["first"], about["nonce"], FOLLOWED):
        tell(progress)


def month_of_run(month: MonthRun) -> Month:
    """What is to be checked when all blocks are made."""
    run = month.run
    return Month(
        month.deployment, month.record, month.cast, run.society.life, month.batches, run.lives, run.changes
    )


async def _found(network: DevNetwork, cast: Cast, wire: Wire) -> Founded:
    wire.call("evm_setAutomine", True)
    async with RpcPool(network.rpc_urls, profile("dev"), chain_id=network.evm_chain_id) as pool:
        founded = await found(Evm(pool), network, cast, gas_price=0)
    wire.call("evm_setAutomine", False)
    return founded
