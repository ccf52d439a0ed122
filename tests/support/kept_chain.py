"""The worker's loops over cases, run by hand on a development chain: events, keeper, sending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cases.accounting import Account, Change, account
from cases.batch_repository import levels_of
from cases.events import case_events
from cases.keeping import FollowedTime, Keeper
from cases.policies import RELEASED
from chain.cursor import EventCursor
from chain.outbox import Outbox, Settings
from chain.outbox_worker import Worker as OutboxWorker
from chain.signer import load_relayer
from evidence.sending import OutboxSender
from protocol.hashing import SHA256
from storage.db import Pool, connect_pool
from tests.conftest import PgDatabase
from tests.support.case_court import INDEX, Court, case_id
from tests.support.dev_blocks import Blocks

LANE = "relayer-5"
"""Nobody else sends with it."""


@dataclass
class Kept:
    """Loops beside a chain."""

    blocks: Blocks
    pool: Pool
    cursor: EventCursor
    keeper: Keeper
    outbox: OutboxWorker

    async def follow(self) -> None:
        while await self.cursor.run_once():
            pass

    async def round(self, second: int) -> int:
        """A block of this second, then every loop once; how many acts are on their way.

        The block before is the last final one: by its time the keeper acts.
        """
        await self.blocks.mine(second)
        await self.follow()
        await self.keeper.run_once()
        await self.outbox.run_once()
        found = await self.pool.fetchval("SELECT count(*) FROM cases.timed_act WHERE state IS NULL")
        return int(found)

    async def rounds(self, second: int, count: int = 5) -> None:
        """Blocks of the following seconds, enough for what is due to be sent, final, and taken note of."""
        for more in range(count):
            await self.round(second + more)

    async def acts(self) -> list[tuple[str, str | None]]:
        """Act and fate of everything that was sent, in order."""
        rows = await self.pool.fetch("SELECT act, state FROM cases.timed_act ORDER BY outbox_id")
        return [(row["act"], row["state"]) for row in rows]

    async def passed(self) -> list[tuple[bytes, int, int]]:
        """Case, version and deadline of every deadline that was waited for until it passed."""
        rows = await self.pool.fetch(
            """SELECT DISTINCT case_id, version, deadline FROM cases.timed_act WHERE state = 'mined'"""
        )
        return [(bytes(row["case_id"]), row["version"], row["deadline"]) for row in rows]

    async def account(self) -> Account:
        """Of every case, as the index has it, by the time of the last block."""
        rows = await self.pool.fetch("SELECT * FROM cases.change ORDER BY sequence")
        head = await self.blocks.made.evm.head()
        return account((Change.from_row(row) for row in rows), self.blocks.made.life, head.time)


@asynccontextmanager
async def kept(pg: PgDatabase, blocks: Blocks) -> AsyncIterator[Kept]:
    """With the rights of the worker's role, over empty tables."""
    made = blocks.made
    await _empty(pg, made)
    pool = await connect_pool(pg.dsn("sealer"), max_size=6)
    try:
        key = load_relayer(made.network.home / "keys" / f"{LANE}.key")
        facts = Settings(made.contracts.chain_id, 0, depth=made.pool.profile.depth, revert_costs_limit=False)
        outbox = Outbox(facts, {LANE: key})
        async with pool.acquire() as conn:
            await outbox.register(conn, made.evm)
        source = case_events(made.record)
        keeper = Keeper(
            pool,
            FollowedTime(pool, made.evm, source.name),
            OutboxSender(outbox, made.evm, LANE, made.contracts.ledger),
            made.contracts,
            RELEASED,
        )
        yield Kept(
            blocks, pool, EventCursor(pool, made.pool, source), keeper, OutboxWorker(pool, made.evm, outbox)
        )
    finally:
        await pool.close()


async def _empty(pg: PgDatabase, made: Court) -> None:
    """Nothing but the batch file, as it was handed in."""
    admin = await connect_pool(pg.superuser_dsn, max_size=1)
    try:
        await admin.execute(
            """TRUNCATE cases.case, cases.watch, cases.timed_act, cases.reminder, cases.batch, chain.outbox,
                   chain.block, chain.cursor, chain.lane CASCADE"""
        )
        root, commitments, _ = made.batch
        head = bytes([1, 1, 0, 0]) + INDEX["bank"].to_bytes(4, "big")
        leaves = [SHA256.leaf(head + case_id(at) + one) for at, one in enumerate(commitments)]
        async with admin.acquire() as conn, conn.transaction():
            await conn.execute(
                """INSERT INTO cases.batch (root, batch_id, owner, count, made_at, received_at, file_digest,
                                            recipients, recipient_keys)
                   VALUES ($1, $1, $2, $3, 0, 0, $1, $4, $5)""",
                root, INDEX["bank"], len(leaves), [INDEX["centre"]], [bytes(32)],
            )  # fmt: skip
            for level, hashes in enumerate(levels_of(b"".join(leaves))):
                await conn.execute("INSERT INTO cases.batch_level VALUES ($1, $2, $3)", root, level, hashes)
            await conn.executemany(
                """INSERT INTO cases.case (case_id, root, position, owner, product, commitment)
                   VALUES ($1, $2, $3, $4, 1, $5)""",
                [(case_id(at), root, at, INDEX["bank"], one) for at, one in enumerate(commitments)],
            )
    finally:
        await admin.close()
