"""What revm's contracts say, brought into the tables as the worker does; a transaction is a block.

Import only where pyrevm is installed (`pytest.importorskip("pyrevm")`).
"""

from __future__ import annotations

from typing import Any

import asyncpg

from cases.projection import CaseProjection
from chain.bindings import CASE_LEDGER, interface
from chain.projection import DecodedEvent
from protocol.hashing import keccak256
from storage.db import AnyConnection
from tests.support.case_world import MEMBERS, World
from tests.support.revm import Said

FIRST_BLOCK = 100


class IndexedWorld:
    """A world and its index: `follow` reads what is new, `rewind` takes blocks away as a reorganisation."""

    def __init__(self, conn: AnyConnection, world: World) -> None:
        self.conn, self.world = conn, world
        self.project = CaseProjection(world.contracts)
        self.read = 0
        """Transactions that are in the tables."""
        self.branch = 0

    @property
    def block(self) -> int:
        """The newest block that is in the tables."""
        return FIRST_BLOCK + self.read - 1

    async def follow(self) -> None:
        """Everything that was said since, each block in its own transaction."""
        for said in self.world.chain.said[self.read :]:
            async with self.conn.transaction():
                await self._block(said)
            self.read += 1

    async def rewind(self, blocks: int) -> None:
        """The last blocks go away. `follow` brings them again, under other hashes."""
        self.read = max(0, self.read - blocks)
        self.branch += 1
        await self.conn.execute("DELETE FROM chain.block WHERE number > $1", self.block)

    async def _block(self, said: Said) -> None:
        number = FIRST_BLOCK + self.read
        chain_id = self.world.contracts.chain_id
        name = b"block %d.%d" % (number, self.branch)
        await self.conn.execute(
            "INSERT INTO chain.block (chain_id, number, hash, time) VALUES ($1, $2, $3, $4)",
            chain_id,
            number,
            keccak256(name),
            said.time,
        )
        speaking = self.world.contracts.speaking
        for index, (address, topics, data) in enumerate(said.events):
            if address not in speaking:
                continue
            contract = speaking[address]
            event = interface(contract).events[topics[0]]
            values = event.decode(topics, data)
            await self.project(
                self.conn,
                chain_id,
                DecodedEvent(
                    contract, address, event.name, values["sequence"], number,
                    keccak256(b"transaction " + name), values, index, said.time,
                ),
            )  # fmt: skip

    # Comparing

    def on_chain(self, case_id: bytes) -> dict[str, Any]:
        """The case as the contract has it, in the columns of cases.case that it fills."""
        (found,) = self.world.chain.call(CASE_LEDGER, "caseOf", case_id)
        case = dict(zip(MEMBERS, found, strict=True))
        paused = case["openHolds"] > 0
        return {
            "version": case["version"],
            "stage": case["stage"],
            "product": case["product"],
            "owner": case["owner"],
            "policy": case["policy"],
            "since": case["since"],
            "deadline": case["deadline"] or None,
            "court": case["court"],
            "open_holds": case["openHolds"],
            "clock_start": case["clockStart"],
            "marked": bool(case["flags"] & 1),
            # While a case is paused the contract keeps what the flag was.
            "provisional": bool(case["flags"] & 8) and not paused,
            "commitment": case["commitment"],
            "listed": True,
        }

    async def in_table(self, case_id: bytes) -> dict[str, Any]:
        """The same columns from the table."""
        row = await self.conn.fetchrow("SELECT * FROM cases.case WHERE case_id = $1", case_id)
        assert row is not None
        return {name: row[name] for name in self.on_chain(case_id)}


async def rows(conn: AnyConnection) -> dict[str, list[asyncpg.Record]]:
    """All that is read from the chain, and what follows from it."""
    tables = ("policy", "calendar_year", "batch_event", "change", "case")
    return {
        table: await conn.fetch(f"SELECT * FROM cases.{table} ORDER BY 1, 2, 3, 4")  # noqa: S608
        for table in tables
    }
