"""A slice of the month on a real BFT network, under the TEST CLOCK: the same lives, in blocks of validators.

Block times are the network's, so an act is applied to the model when its receipt says in which block it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.month.cast import Cast
from benchmarks.month.checks import Audit, Month, check
from benchmarks.month.clerk import Clerk
from benchmarks.month.dev_run import KINDS, change_of
from benchmarks.month.founding import Founded, found
from benchmarks.month.ledger import EvidenceDesk
from benchmarks.month.lives import Deed, Life, Society
from benchmarks.month.plan import BatchPlan, Hours, plan
from benchmarks.month.wire import Wire
from cases.accounting import Change
from cases.calendar import shipped
from cases.lifecycle import When
from cases.machine import Machine
from chain.case_acts import BatchLink
from chain.engines import profile
from chain.evm import Evm, Receipt, Sent
from chain.networks.cometbft import CometNetwork
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call, sign

GAS, ANCHOR_GAS = 1_500_000, 5_000_000
_AT_ONCE = 40
"""Transactions of one sender that are under way: the engine wants nonces in order and blocks bounded."""
_LIVING = 120
"""Cases under way at one time: more would wait longer than their clocks."""
_MARGIN = 6
_MOST_SECONDS = 3000


class SliceStuck(AssertionError):
    """The network does not take what the model allows."""


@dataclass
class BftRun:
    """One slice; `follow` lives all lives to the end of their paths."""

    network: CometNetwork
    cast: Cast
    founded: Founded
    society: Society
    clerk: Clerk
    batches: tuple[BatchPlan, ...]
    evm: Evm
    nodes: list[Evm]
    relayers: list[RelayerKey]
    lives: dict[bytes, Life] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    transactions: int = 0
    rounds: int = 0
    too_late: int = 0
    """Lives that ended because a step came after its time."""
    _nonces: dict[bytes, int] = field(default_factory=dict)
    _times: dict[int, int] = field(default_factory=dict)

    async def follow(self, tell: Callable[[BftRun], None]) -> None:
        """Import, anchor what the paths need, then round after round one act of every case that is due."""
        for relayer in self.relayers:
            self._nonces[relayer.address] = await self.evm.nonce(relayer.address)
        await self._import()
        begun = (await self.evm.head()).time
        while True:
            now = (await self.evm.head()).time
            if now - begun > _MOST_SECONDS:
                raise SliceStuck(f"{sum(life.next is not None for life in self.lives.values())} lives left")
            waiting = [life for life in self.lives.values() if life.next is not None][:_LIVING]
            if not waiting:
                return
            deeds = [self.society.next_deed(life) for life in waiting if self._due(life, now)]
            if not deeds:
                await asyncio.sleep(1)
                continue
            await self._round(deeds)
            self.rounds += 1
            tell(self)

    def _due(self, life: Life, now: int) -> bool:
        """Whether the next step may be made: its time is not before the deadline that it waits for."""
        name, state = life.next or "", self.society.stands(life)
        if ":" in name or name == "reverse":
            return True
        step = self.society.life.transition(name)
        if step.when is When.AFTER:
            assert state.deadline is not None
            return now > state.deadline
        if step.when is When.BEFORE and state.deadline is not None and now + _MARGIN > state.deadline:
            self._give_up(life)
            return False
        return True

    def _give_up(self, life: Life) -> None:
        """On a busy machine a clock of fifteen seconds may be over before its step: the case stays there."""
        life.done = len(life.plan.path)
        self.too_late += 1

    async def _import(self) -> None:
        calls = [self.clerk.imported(batch)[0] for batch in self.batches]
        receipts = await self._send([(call, GAS) for call in calls])
        for batch, receipt in sorted(zip(self.batches, receipts, strict=True), key=_place):
            time = await self._time(receipt)
            for case, origin in zip(batch.cases, batch.origins, strict=True):
                self.lives[case.case_id] = Life(case, batch, origin, time)

    async def _round(self, deeds: Sequence[Deed]) -> None:
        entries = [self.clerk.gather(deed) for deed in deeds]
        link: BatchLink | None = None
        if self.clerk.desk.waiting:
            (receipt,) = await self._send([(self.clerk.desk.anchor(), ANCHOR_GAS)])
            link = self.clerk.desk.done(await self._time(receipt))
        calls = [
            (self.clerk.call(deed, shown, link), GAS) for deed, shown in zip(deeds, entries, strict=True)
        ]
        receipts = await self._send(calls)
        order = sorted(zip(deeds, receipts, strict=True), key=lambda pair: _order(pair[1]))
        for deed, receipt in order:
            if not receipt.succeeded:
                self._refused(deed)
                continue
            at = await self._time(receipt)
            before, opens = self.society.stands(deed.life), deed.opens
            after = self.society.apply(deed, at)
            if opens:
                self.changes.append(change_of(deed, "opened", before, at))
            self.changes.append(change_of(deed, KINDS[deed.kind], after, at))

    def _refused(self, deed: Deed) -> None:
        if deed.step is None or deed.step.when is not When.BEFORE:
            raise SliceStuck(f"{deed.kind} of case {deed.life.plan.number} was refused")
        self._give_up(deed.life)

    async def _send(self, calls: Sequence[tuple[Call, int]]) -> list[Receipt]:
        """All calls, spread over the relayers; the receipts in the order of the calls."""
        lanes: list[list[int]] = [[] for _ in self.relayers]
        for at in range(len(calls)):
            lanes[at % len(lanes)].append(at)
        receipts: dict[int, Receipt] = {}

        async def lane(node: Evm, relayer: RelayerKey, mine: list[int]) -> None:
            for begin in range(0, len(mine), _AT_ONCE):
                part = mine[begin : begin + _AT_ONCE]
                for at, receipt in zip(part, await self._lane(node, relayer, calls, part), strict=True):
                    receipts[at] = receipt

        async with asyncio.TaskGroup() as group:
            for at, (relayer, mine) in enumerate(zip(self.relayers, lanes, strict=True)):
                # A sender stays with one node: its nonces come there in order.
                group.create_task(lane(self.nodes[at % len(self.nodes)], relayer, mine))
        self.transactions += len(calls)
        return [receipts[at] for at in range(len(calls))]

    async def _lane(
        self, node: Evm, relayer: RelayerKey, calls: Sequence[tuple[Call, int]], part: Sequence[int]
    ) -> list[Receipt]:
        hashes = []
        for at in part:
            call, gas = calls[at]
            nonce = self._nonces[relayer.address]
            signed = sign(
                relayer, call, chain_id=self.network.evm_chain_id, nonce=nonce, gas=gas, gas_price=1
            )  # fmt: skip
            await self._give(node, signed.raw)
            self._nonces[relayer.address] = nonce + 1
            hashes.append(signed.hash)
        found = []
        for transaction in hashes:
            found.append(await self._receipt(node, transaction))
        return found

    async def _give(self, node: Evm, raw: bytes) -> None:
        for _ in range(100):
            outcome = await node.send_raw(raw)
            if outcome in (Sent.ACCEPTED, Sent.NONCE_USED):
                return
            if outcome not in (Sent.NONCE_GAP, Sent.BUSY):
                raise SliceStuck(f"transaction refused as {outcome.value}")
            # The block with the one before is on its way to this node.
            await asyncio.sleep(0.2)
        raise SliceStuck("transaction not taken")

    async def _receipt(self, node: Evm, transaction: bytes) -> Receipt:
        for _ in range(600):
            receipt = await node.receipt(transaction)
            if receipt is not None:
                return receipt
            await asyncio.sleep(0.2)
        raise SliceStuck(f"transaction {transaction.hex()} is in no block")

    async def _time(self, receipt: Receipt) -> int:
        number = receipt.block_number
        if number not in self._times:
            self._times[number] = (await self.evm.head(number)).time
        return self._times[number]


def _order(receipt: Receipt) -> tuple[int, int]:
    return receipt.block_number, min((entry.log_index for entry in receipt.logs), default=0)


def _place(pair: tuple[BatchPlan, Receipt]) -> tuple[int, int]:
    return _order(pair[1])


def live_slice(
    network: CometNetwork, home: Path, seed: int, cases: int, tell: Callable[[BftRun], None]
) -> tuple[BftRun, Audit]:
    """Found, live and audit a slice on a running network; the records go into `home`."""
    run = asyncio.run(_live(network, home, seed, cases, tell))
    month = Month(
        run.founded.deployment, run.founded.record, run.cast, run.founded.life, run.batches, run.lives,
        run.changes,
    )  # fmt: skip
    wire = Wire(network.rpc_urls[0])
    try:
        return run, check(month, wire)
    finally:
        wire.close()


async def _live(
    network: CometNetwork, home: Path, seed: int, cases: int, tell: Callable[[BftRun], None]
) -> BftRun:
    cast, calendar = Cast(seed), shipped()
    engine, chain_id = profile("cometbft"), network.evm_chain_id
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(RpcPool(network.rpc_urls, engine, chain_id=chain_id))
        nodes = [
            Evm(await stack.enter_async_context(RpcPool([url], engine, chain_id=chain_id)))
            for url in network.rpc_urls
        ]
        evm = Evm(pool)
        founded = await found(evm, network, cast, gas_price=1)
        founded.deployment.save(home)
        founded.record.save(home)
        society = Society(cast, Machine(founded.life, calendar, cast.roles), Hours(calendar), seed)
        clerk = Clerk(cast, society, founded.record.contracts, EvidenceDesk(cast, founded.deployment))
        relayers = [load_relayer(network.home / "keys" / f"relayer-{at}.key") for at in range(1, 5)]
        batches = plan(seed, cases, cast, calendar)
        run = BftRun(network, cast, founded, society, clerk, batches, evm, nodes, relayers)
        await run.follow(tell)
        return run
