"""How acts on cases reach the chain: accepted into a queue, sent from it, and followed to their end.

An act that is alone goes at once, in a transaction of its own. While transactions with acts are under way,
what comes waits, and goes together. Every step is one SQL transaction and may be ended anywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cases import carrying_repository as rows
from cases.carrying_repository import Carried, CarriedAct, Fate
from cases.carrying_rules import QueuedAct, business_key, choose, free_lane, gas_of, single_key
from cases.errors import ActNotCarried, ActTakenTwice
from chain.act_carrier import carry, refusals
from chain.bindings import revert_error
from chain.case_contracts import CaseContracts
from chain.evm import Evm
from chain.outbox import Outbox, State
from chain.transactions import Call
from evidence.ports import Clock, FaultPoints
from storage.db import AnyConnection, Pool

Record = Callable[[AnyConnection], Awaitable[None]]
"""Writes what belongs to an act inside the transaction that queues it."""
Fates = dict[bytes, tuple[State, str | None]]
"""State and the contract's reason by act id."""
LOOK_AT = 64
"""Acts from which the next transaction is chosen."""
CHUNK = 100
"""Transactions whose acts are settled in one round."""


class ActQueue:
    """The side that accepts (`cases.acting.Carrier`)."""

    def __init__(self, pool: Pool, evm: Evm, outbox: Outbox, lane: str, clock: Clock) -> None:
        """`lane`: by whose sender acts are simulated; any will do."""
        self._pool = pool
        self._evm = evm
        self._outbox = outbox
        self._lane = lane
        self._clock = clock

    async def simulate(self, call: Call) -> None:
        """Asks whether the contract would take the call now. Raises ContractReverted, and chain faults."""
        await self._outbox.prepare(self._evm, self._lane, call.recipient or b"", call.data)

    async def carry(self, act_id: bytes, call: Call, record: Record) -> None:
        """Simulates, and queues durably; `record` writes the act in the same SQL transaction.

        A name that was carried before is not carried again, and its `record` still runs.

        Raises:
            ContractReverted (the contract's own error), and chain faults
        """
        gas = await self._outbox.prepare(self._evm, self._lane, call.recipient or b"", call.data)
        async with self._pool.acquire() as conn, conn.transaction():
            await record(conn)
            await rows.queue(conn, act_id, call.data, gas, self._clock())

    async def outcome(self, act_id: bytes) -> Fate:
        """What became of an act.

        Raises:
            ActNotCarried
        """
        async with self._pool.acquire() as conn:
            found = await rows.fate(conn, act_id)
        if found is None:
            raise ActNotCarried("this gateway carried no such act", field="id")
        return found


@dataclass
class ActSenderMetrics:
    """Since the process started."""

    transactions: int = 0
    acts: int = 0
    taken: int = 0
    refused: int = 0
    put_back: int = 0


class ActSender:
    """The side that sends; one process at a time (`cases.worker`)."""

    def __init__(
        self,
        pool: Pool,
        evm: Evm,
        outbox: Outbox,
        lanes: Sequence[str],
        contracts: CaseContracts,
        *,
        faults: FaultPoints | None = None,
    ) -> None:
        """`lanes`: that it may fill. `faults`: handed in by crash tests."""
        self.metrics = ActSenderMetrics()
        self._pool = pool
        self._evm = evm
        self._outbox = outbox
        self._lanes = tuple(lanes)
        self._contracts = contracts
        self._faults = faults or FaultPoints()

    async def run_once(self) -> bool:
        """Everything that can be done now; whether something is under way.

        Raises:
            Faults of the chain and of the database; what was done stays done
        """
        await self.settle_once()
        while await self.take_once():
            pass
        return await rows.unsettled(self._pool)

    async def take_once(self) -> bool:
        """Give the outbox one transaction, if one may go; whether there was one."""
        async with self._pool.acquire() as conn, conn.transaction():
            live = await rows.under_way(conn)
            lane = free_lane({lane: live.get(lane, 0) for lane in self._lanes})
            taken = () if lane is None else choose(await rows.waiting(conn, LOOK_AT))
            if lane is None or not taken:
                return False
            key, call = business_key(taken), self._call(taken)
            if not await rows.take(conn, taken, key):
                raise ActTakenTwice("another sender is at work")
            self._faults.hit("carry.taking")
            await self._outbox.enqueue(conn, lane, call.recipient or b"", call.data, gas_of(taken), key)
        self._faults.hit("carry.taken")
        self.metrics.transactions += 1
        self.metrics.acts += len(taken)
        return True

    def _call(self, taken: Sequence[QueuedAct]) -> Call:
        if len(taken) == 1:
            return Call(self._contracts.ledger, taken[0].data)
        return carry([act.data for act in taken], self._contracts)

    async def settle_once(self) -> None:
        """Write down what became of each act of transactions that came to their end."""
        for one in await rows.to_settle(self._pool, CHUNK):
            acts = await rows.acts_of(self._pool, one, self._contracts.ledger)
            if not acts:
                continue
            if one.business_key == single_key(acts[0].id):
                await self._settled(one, {acts[0].id: (one.state, one.reason_code)})
            elif one.state is State.MINED:
                await self._settled(one, await self._fates(one, acts))
            else:
                # Of one that vanished nobody knows; that an act counts once makes it safe to send it again.
                await self._settled(one, _taken(acts), [act.id for act in acts if not act.changed])

    async def _settled(
        self,
        group: Carried,
        fates: Fates,
        back: Sequence[bytes] = (),
    ) -> None:
        if not fates and not back:
            return
        async with self._pool.acquire() as conn, conn.transaction():
            for act_id, (state, code) in fates.items():
                await rows.settle(conn, [act_id], state, code)
            if back:
                await rows.put_back(conn, back, group.business_key)
            self._faults.hit("carry.settling")
        self._faults.hit("carry.settled")
        self.metrics.taken += sum(state is State.MINED for state, _ in fates.values())
        self.metrics.refused += sum(state is State.REVERTED for state, _ in fates.values())
        self.metrics.put_back += len(back)

    async def _fates(self, group: Carried, acts: Sequence[CarriedAct]) -> Fates:
        """Of the acts of a group in a final block, as far as it is known.

        An act was taken when the index, which no node can thin out, has its change. That a receipt is silent
        about it is not enough.
        """
        fates = _taken(acts)
        rest = [act for act in acts if not act.changed]
        receipt = await self._evm.receipt(group.transaction_hash) if rest else None
        if receipt is None or receipt.block_hash != group.block_hash:
            return fates
        refused = refusals(receipt.logs, self._contracts)
        for act in rest:
            for one in refused:
                if one.concerns(act.position, act.data):
                    fates[act.id] = (State.REVERTED, revert_error(one.reason).code)
        return fates


def _taken(acts: Sequence[CarriedAct]) -> Fates:
    return {act.id: (State.MINED, None) for act in acts if act.changed}
