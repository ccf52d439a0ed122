"""The queue of acts and its sender, run by hand on a development chain beside the loops of `kept_chain`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cases import act_repository
from cases.act_repository import HeldAct
from cases.carrying import ActQueue, ActSender
from cases.carrying_repository import Fate
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import CASE_LEDGER, interface
from chain.outbox import Outbox, Settings
from chain.signer import load_relayer
from chain.transactions import Call
from storage.db import AnyConnection, Pool, connect_pool
from tests.conftest import PgDatabase
from tests.support.case_court import case_id, move_of
from tests.support.dev_blocks import Blocks, dev_blocks
from tests.support.kept_chain import LANE, Kept, kept

BEGIN = "2026-03-02T09:00:00"


@dataclass
class Carried:
    """What accepts, with the rights of a gateway, and what sends, with those of the worker."""

    blocks: Blocks
    kept: Kept
    gateway: Pool
    queue: ActQueue
    sender: ActSender
    outbox: Outbox

    async def hand_in(self, which: int, name: str, *, reason: int | None = None) -> bytes:
        """A step that the contract would take now; its act id."""
        case = await self.blocks.made.case(case_id(which))
        act, data, actor = move_of(self.blocks.made, which, name, case, reason)
        act_id = act.digest(self.blocks.made.contracts.ledger_domain)
        row = HeldAct(
            act_id, act_id, act.case_id, "Move", actor, 0,
            {"act": "Move", "request": {"version": act.version}}, act.valid_until, 0, 0, 0,
        )  # fmt: skip

        async def record(conn: AnyConnection) -> None:
            await act_repository.keep(conn, row)

        await self.queue.carry(act_id, Call(self.blocks.made.contracts.ledger, data), record)
        return act_id

    async def block(self) -> None:
        """What is in the outbox goes into a block, and the outbox learns of it."""
        await self.kept.outbox.run_once()
        head = await self.blocks.made.evm.head()
        await self.blocks.mine(head.time + 1)
        await self.kept.outbox.run_once()

    async def through(self, blocks: int = 4) -> None:
        """Rounds of all loops."""
        for _ in range(blocks):
            await self.sender.run_once()
            await self.block()
            await self.kept.follow()
        await self.sender.run_once()

    async def fates(self, ids: Sequence[bytes]) -> list[tuple[str, str | None]]:
        """State and code of these acts."""
        found = [await self.queue.outcome(one) for one in ids]
        return [(str(one.state), one.reason_code) for one in found]

    async def fate(self, act_id: bytes) -> Fate:
        return await self.queue.outcome(act_id)

    async def sent(self) -> list[str]:
        """Kind and number of acts of each transaction in the outbox, in order."""
        rows = await self.kept.pool.fetch(
            """SELECT split_part(o.business_key, ':', 1) AS kind, o.recipient, o.data FROM chain.outbox o
               WHERE o.business_key NOT LIKE 'fill:%' ORDER BY o.id"""
        )
        carry = interface("ActCarrier").function("carry")
        ledger, carrier = self.blocks.made.contracts.ledger, self.blocks.made.contracts.carrier
        found = []
        for row in rows:
            if row["kind"] == "act":
                assert row["recipient"] == ledger
                found.append("act")
            else:
                assert row["recipient"] == carrier
                found.append(f"acts {len(carry.decode_input(row['data'])['acts'])}")
        return found

    async def moves(self, which: int) -> int:
        """Changes that the chain has of a case."""
        method = interface(CASE_LEDGER).function("caseOf")
        call = Call(self.blocks.made.contracts.ledger, method.encode(case_id(which)))
        (found,) = method.decode(await self.blocks.made.evm.call(bytes(20), call))
        return max(0, int(found[0]) - 1)


@asynccontextmanager
async def carried(pg: PgDatabase, home: Path, cases: int) -> AsyncIterator[Carried]:
    """Empty tables, cases that never moved."""
    async with dev_blocks(home, BEGIN, cases, LIFECYCLE_V1) as blocks, kept(pg, blocks) as k:
        made = blocks.made
        await k.follow()
        facts = Settings(made.contracts.chain_id, 0, depth=made.pool.profile.depth, revert_costs_limit=False)
        outbox = Outbox(facts, {LANE: load_relayer(made.network.home / "keys" / f"{LANE}.key")})
        gateway, admin = (
            await connect_pool(pg.dsn("gateway"), max_size=4),
            await connect_pool(pg.superuser_dsn),
        )
        try:
            await admin.execute("TRUNCATE cases.act, cases.carried")
            queue = ActQueue(gateway, made.evm, outbox, LANE, lambda: 0)
            sender = ActSender(k.pool, made.evm, outbox, [LANE], made.contracts)
            yield Carried(blocks, k, gateway, queue, sender, outbox)
        finally:
            await gateway.close()
            await admin.close()
