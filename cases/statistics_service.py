"""The same report from the tables: who may have which, as of which block (docs/spec/statistics.md §8)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from cases.access import INSTITUTIONS, SEES_ALL
from cases.calendar import day_of, first_second
from cases.statistics import Policy, Query, Snapshot, View, canonical, report
from cases.statistics_chain import Source, life_of
from cases.statistics_events import BatchEvent, CaseEvent
from chain.case_contracts import CaseContracts
from chain.case_events import BlockNotThere, BlockRoot, block_root
from chain.evm import Transport
from evidence.repository import Viewer
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool

_KEPT = 32


class StatisticsNotForCaller(CaseledgerError):
    """Another institution's figures, or the whole city's, for who may not see every case."""

    http_status = 403
    title = "not for this caller"


class StatisticsNotYet(CaseledgerError):
    """No day of this ledger is over."""

    http_status = 404
    title = "no statistics yet"


@dataclass
class CaseStatistics:
    """Reports over one case room's tables. One is computed at a time, and kept: a block's do not change."""

    pool: Pool
    node: Transport
    contracts: CaseContracts
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _made: OrderedDict[tuple[bytes, Query], bytes] = field(default_factory=OrderedDict)

    async def report(
        self, viewer: Viewer, view: View | None = None, owner: int | None = None, block: int | None = None
    ) -> bytes:
        """The report for the caller.

        Who may see every case names a block, or gets the newest one. An institution gets its own as of the
        last block of yesterday: between two reports lies a day, not one case.

        Raises:
            StatisticsNotForCaller, StatisticsNotYet, StatisticsQueryInvalid, BlockNotThere, HistoryBroken
        """
        query = self._query(viewer, view, owner, block)
        async with self.pool.acquire() as conn:
            newest = await self._position(conn)
            if block is None and not viewer.roles & SEES_ALL:
                block = await self._yesterday(conn, newest)
        at = await self._at(newest, block)
        async with self._one:
            key = (at.head.hash, query)
            if key not in self._made:
                source = await self._source(at)
                made = await asyncio.to_thread(_compute, source, query)
                self._made[key] = made
                while len(self._made) > _KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]

    def _query(self, viewer: Viewer, view: View | None, owner: int | None, block: int | None) -> Query:
        if viewer.roles & SEES_ALL:
            return Query(view or (View.PUBLIC if owner is None else View.OWN), owner)
        mine = viewer.roles & INSTITUTIONS and view in (None, View.OWN)
        if not mine or owner not in (None, viewer.organisation) or block is not None:
            raise StatisticsNotForCaller(hint="an institution gets `own`, as of the last day")
        return Query(View.OWN, viewer.organisation)

    async def _position(self, conn: AnyConnection) -> int:
        """The newest block that is in the tables."""
        found = await conn.fetchval(
            "SELECT block_number FROM chain.cursor WHERE name = $1",
            f"cases:{self.contracts.chain_id}:{self.contracts.ledger.hex()}",
        )
        if found is None:
            raise StatisticsNotYet("no event has been read", hint="is the worker running?")
        return int(found)

    async def _yesterday(self, conn: AnyConnection, newest: int) -> int:
        """The last block with an event before the last midnight in Shanghai."""
        now = (await block_root(self.node, newest)).head.time
        found = await conn.fetchval(
            "SELECT max(number) FROM chain.block WHERE chain_id = $1 AND number <= $2 AND time < $3",
            self.contracts.chain_id,
            newest,
            first_second(day_of(now)),
        )
        if found is None:
            raise StatisticsNotYet("the first day is not over", hint="ask after midnight")
        return int(found)

    async def _at(self, newest: int, block: int | None) -> BlockRoot:
        if block is not None and block > newest:
            raise BlockNotThere(f"{block}: read so far to {newest}", field="block")
        return await block_root(self.node, newest if block is None else block)

    async def _source(self, at: BlockRoot) -> Source:
        where = (self.contracts.chain_id, self.contracts.batches, self.contracts.ledger, at.head.number)
        async with self.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            stored = await conn.fetchval(
                "SELECT hash FROM chain.block WHERE chain_id = $1 AND number = $2",
                self.contracts.chain_id,
                at.head.number,
            )
            if stored not in (None, at.head.hash):
                raise BlockNotThere(f"{at.head.number}: the chain has another one now", field="block")
            batches = await conn.fetch(
                """SELECT sequence, root, recalled, organisation, count, totals, time FROM cases.batch_event
                   WHERE chain_id = $1 AND contract = $2 AND block_number <= $3 ORDER BY sequence""",
                where[0], where[1], where[3],
            )  # fmt: skip
            changes = await conn.fetch(
                """SELECT c.sequence, c.kind, c.case_id, c.version, c.time, c.stage, c.deadline, c.transition,
                          c.policy, k.root, k.owner, k.product
                   FROM cases.change c LEFT JOIN cases.case k ON c.kind = 'opened' AND k.case_id = c.case_id
                   WHERE c.chain_id = $1 AND c.contract = $2 AND c.block_number <= $3 ORDER BY c.sequence""",
                where[0], where[2], where[3],
            )  # fmt: skip
            policies = await conn.fetch(
                """SELECT version, table_hash, test_clock FROM cases.policy
                   WHERE chain_id = $1 AND contract = $2 AND block_number <= $3 ORDER BY version""",
                where[0], where[2], where[3],
            )  # fmt: skip
        return await asyncio.to_thread(_source, self.contracts, at, batches, changes, policies)


def _source(
    contracts: CaseContracts, at: BlockRoot, batches: list[Any], changes: list[Any], policies: list[Any]
) -> Source:
    versions = tuple(Policy(row["version"], row["table_hash"], row["test_clock"]) for row in policies)
    # Every event of CaseLedger is a change or a policy, and numbers have no gaps.
    snapshot = Snapshot(
        contracts.chain_id, at.head.number, at.head.hash, at.head.time, at.state_root,
        contracts.batches, len(batches), contracts.ledger, len(changes) + len(policies), versions,
    )  # fmt: skip
    return Source(
        tuple(map(BatchEvent.from_row, batches)),
        tuple(map(CaseEvent.from_row, changes)),
        {one.version: life_of(one) for one in versions},
        snapshot,
    )


def _compute(source: Source, query: Query) -> bytes:
    return canonical(report(source.histories(), source.snapshot, query))
