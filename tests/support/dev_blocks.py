"""Blocks of the development chain at times that a test sets: one block, one transaction, one second."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cases.calendar import SHANGHAI, WorkCalendar, Year, weekdays
from cases.lifecycle import CourtRule, Lifecycle, Transition, When
from chain import case_acts
from chain.bindings import WORK_CALENDAR, interface
from chain.engines import profile
from chain.errors import ContractReverted
from chain.governance import Proposal
from chain.networks.dev import DevNetwork
from chain.rpc import RpcPool
from chain.transactions import Call, sign
from protocol.acts import Purpose
from protocol.case_acts import CaseAct, Pause, Resume, Reverse
from tests.support.case_court import FOREVER, INDEX, ZERO, Court, Signs, case_id, court, move_of, who

GAS = 3_000_000


def when(text: str) -> int:
    """Seconds UTC of a wall clock in Shanghai."""
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp())


def way_to(life: Lifecycle, stage: int) -> list[Transition]:
    """The shortest way from the first stage on which nobody has to wait."""
    ways: dict[int, list[Transition]] = {1: []}
    waiting = deque([1])
    while waiting:
        at = waiting.popleft()
        for step in life.leaving(at):
            if step.when is not When.AFTER and not step.lapse and step.target not in ways:
                ways[step.target] = [*ways[at], step]
                waiting.append(step.target)
    return ways[stage]


@dataclass
class Blocks:
    """A chain on which nothing happens by itself."""

    made: Court
    actors: dict[int, int] = field(default_factory=dict)
    """Who made the last step of a case."""

    async def at(self, second: int, address: bytes, data: bytes) -> str | None:
        """Make a block of this second with one transaction; the contract's error when it is refused there."""
        relayer = await self.made.relayers.get()
        try:
            nonce = await self.made.evm.nonce(relayer.address)
            call = Call(address, data)
            raw = sign(
                relayer, call, chain_id=self.made.deployment.chain_id, nonce=nonce, gas=GAS, gas_price=0
            )
            await self.made.evm.send_raw(raw.raw)
            await self.mine(second)
            receipt = await self.made.evm.receipt(raw.hash)
            if receipt is None:
                raise AssertionError("the block was made without the transaction")
            if receipt.succeeded:
                return None
            try:
                await self.made.evm.call(relayer.address, call, receipt.block_number)
            except ContractReverted as error:
                return error.code
            raise AssertionError("refused, and asked again not")
        finally:
            self.made.relayers.put_nowait(relayer)

    async def mine(self, second: int) -> None:
        """A block of this second with whatever waits."""
        await self.rpc("evm_setNextBlockTimestamp", hex(second))
        await self.rpc("evm_mine")
        head = await self.made.evm.head()
        if head.time != second:
            raise AssertionError(f"a block of {head.time} instead of {second}")

    async def rpc(self, method: str, *params: Any) -> Any:
        return await self.made.pool.call(method, list(params))

    async def move(self, second: int, which: int, name: str) -> str | None:
        """A step as it should be; its refusal."""
        case = await self.made.case(case_id(which))
        _, data, self.actors[which] = move_of(self.made, which, name, case)
        return await self.at(second, self.made.contracts.ledger, data)

    async def reach(self, which: int, stage: int, second: int) -> None:
        """Lead a case to a stage, which it enters in this second."""
        way = way_to(self.made.life, stage)
        for place, step in enumerate(way, 1):
            refused = await self.move(second - len(way) + place, which, step.name)
            if refused:
                raise AssertionError(f"{step.name}: {refused}")

    async def stop(self, second: int, which: int, kind: int, *, again: bool = False) -> str | None:
        """Open a pause, or with `again` end it, by whoever may."""
        case = await self.made.case(case_id(which))
        actor = case["court"] or who(self.made.life.holds[kind].by, case, CourtRule.ANY)
        kind_of = Resume if again else Pause
        return await self._sign(
            second, kind_of(case_id(which), case["version"], actor, kind, ZERO, FOREVER), [actor]
        )

    async def back(self, second: int, which: int) -> str | None:
        """Take the last step back: who made it, and the regulator."""
        case = await self.made.case(case_id(which))
        first, other = self.actors[which], INDEX["regulator"]
        act = Reverse(case_id(which), case["version"], first, other, ZERO, FOREVER)
        return await self._sign(second, act, [first, other])

    async def _sign(self, second: int, act: CaseAct, organisations: Sequence[int]) -> str | None:
        contracts = self.made.contracts
        keys = [Signs(organisation, Purpose.ACT) for organisation in organisations]
        first, *more = [case_acts.sign(act, contracts, key) for key in keys]
        call = case_acts.call_for(act, first, contracts, co_signature=b"".join(more))
        return await self.at(second, contracts.ledger, call.data)

    @asynccontextmanager
    async def automatic(self) -> AsyncIterator[None]:
        """Meanwhile each transaction makes a block."""
        await self.rpc("evm_setAutomine", True)
        try:
            yield
        finally:
            await self.rpc("evm_setAutomine", False)


@asynccontextmanager
async def dev_blocks(
    home: Path, begin: str, cases: int, life: Lifecycle, calendar: WorkCalendar | None = None
) -> AsyncIterator[Blocks]:
    """A development chain that begins at `begin` (Shanghai), with its case room open and cases imported."""
    network = DevNetwork.create(home, relayers=5, block_seconds=0, genesis_time=when(begin))
    network.up()
    try:
        await _automine(network)
        async with court(network, cases, life=life, calendar=calendar) as made:
            blocks = Blocks(made)
            await blocks.rpc("evm_setAutomine", False)
            yield blocks
    finally:
        network.down()


async def _automine(network: DevNetwork) -> None:
    async with RpcPool(network.rpc_urls, profile("dev"), chain_id=network.evm_chain_id) as pool:
        await pool.call("evm_setAutomine", [True])


def lapses(life: Lifecycle) -> Sequence[tuple[int, Transition]]:
    """Every lapse of a lifecycle, from every stage that it leaves."""
    return [(stage, step) for step in life.transitions.values() if step.lapse for stage in step.sources]


async def set_year_2027(b: Blocks) -> None:
    """Weekdays, but 6 to 8 January are free."""
    bits = weekdays(2027) & ~(0b111 << 5)
    year = Year(2027, bits, "for this test")
    data = interface(WORK_CALENDAR).function("setYear").encode(2027, year.low, year.high, year.notice)
    async with b.automatic():
        await b.made.decide(Proposal((b.made.contracts.calendar,), (data,)))
