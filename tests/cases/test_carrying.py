"""Acts from the queue to the chain: alone at once, together when they wait, each with a fate of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from cases import carrying_repository as rows
from cases.carrying_repository import QueueReport
from cases.carrying_rules import MOST_UNDER_WAY
from cases.errors import ActNotCarried
from cases.worker import SenderWorker
from chain.errors import ContractReverted
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from chain.transactions import Call
from storage.db import AnyConnection
from tests.conftest import PgDatabase
from tests.support.carried_chain import Carried, carried
from tests.support.case_court import case_id

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

pytestmark = pytest.mark.database
ASK = "ask-completion"


def tell(pg: PgDatabase, home: Path, cases: int, story: Callable[[Carried], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with carried(pg, home, cases) as c:
            await story(c)

    asyncio.run(asyncio.wait_for(scenario(), 180))


def test_an_act_that_is_alone_goes_at_once_and_what_waits_goes_together(
    database: PgDatabase, home: Path
) -> None:
    async def story(c: Carried) -> None:
        first = await c.hand_in(0, ASK)
        assert (await c.fate(first)).transaction_hash is None
        assert await c.fates([first]) == [("ready", None)]
        await c.sender.run_once()
        assert await c.sent() == ["act"]
        more = [await c.hand_in(which, ASK) for which in range(1, 4)]
        await c.sender.run_once()
        assert await c.sent() == ["act", "acts 3"]
        await c.block()
        await c.block()
        await c.sender.run_once()
        # In a final block, and the index has not read it: with which of its acts is not said.
        assert await c.fates([first, *more]) == [("mined", None)] + 3 * [("included", None)]
        assert len({(await c.fate(one)).transaction_hash for one in more}) == 1
        await c.through(1)
        assert await c.fates([first, *more]) == 4 * [("mined", None)]
        assert [await c.moves(which) for which in range(4)] == [1, 1, 1, 1]
        assert not await c.sender.run_once()

    tell(database, home, 4, story)


def test_an_act_that_is_refused_in_a_group_is_told_why_and_undoes_no_other(
    database: PgDatabase, home: Path
) -> None:
    async def story(c: Carried) -> None:
        ids = [await c.hand_in(which, ASK) for which in range(3)]
        # Somebody else carries the same act first.
        head = await c.blocks.made.evm.head()
        assert await c.blocks.move(head.time + 1, 1, ASK) is None
        await c.through(6)
        assert await c.sent() == ["acts 3"]
        assert await c.fates(ids) == [("mined", None), ("reverted", "CaseKnown"), ("mined", None)]
        assert [await c.moves(which) for which in range(3)] == [1, 1, 1]

    tell(database, home, 3, story)


def test_a_group_that_comes_to_nothing_goes_again_act_by_act(database: PgDatabase, home: Path) -> None:
    async def story(c: Carried) -> None:
        ids = [await c.hand_in(which, ASK) for which in range(3)]
        assert await c.sender.take_once()
        async with c.kept.pool.acquire() as conn, conn.transaction():
            row = await conn.fetchval("SELECT id FROM chain.outbox WHERE business_key LIKE 'acts:%'")
            assert await c.outbox.cancel(conn, row)
        assert await c.fates(ids) == 3 * [("ready", None)]
        await c.through(5)
        assert await c.sent() == ["acts 3", "act", "act", "act"]
        assert await c.fates(ids) == 3 * [("mined", None)]
        assert [await c.moves(which) for which in range(3)] == [1, 1, 1]

    tell(database, home, 3, story)


def test_a_group_short_of_gas_refuses_nothing(database: PgDatabase, home: Path) -> None:
    async def story(c: Carried) -> None:
        ids = [await c.hand_in(which, ASK) for which in range(3)]
        conn = await asyncpg.connect(database.superuser_dsn)
        try:
            await conn.execute("UPDATE cases.carried SET gas = gas / 3")
            assert await c.sender.take_once()
            await conn.execute("UPDATE cases.carried SET gas = gas * 3 + 9")
        finally:
            await conn.close()
        await c.through(5)
        state = await c.kept.pool.fetchval("SELECT state FROM chain.outbox WHERE business_key LIKE 'acts:%'")
        assert state == "reverted"
        assert await c.sent() == ["acts 3", "act", "act", "act"]
        assert await c.fates(ids) == 3 * [("mined", None)]

    tell(database, home, 3, story)


def test_a_backlog_grows_groups_while_enough_is_under_way(database: PgDatabase, home: Path) -> None:
    async def story(c: Carried) -> None:
        ids = []
        for which in range(MOST_UNDER_WAY):
            ids.append(await c.hand_in(which, ASK))
            await c.sender.run_once()
        ids += [await c.hand_in(which, ASK) for which in range(MOST_UNDER_WAY, MOST_UNDER_WAY + 5)]
        await c.sender.run_once()
        assert await c.sent() == MOST_UNDER_WAY * ["act"]
        assert await rows.report(c.gateway) == QueueReport(5, 0, MOST_UNDER_WAY)
        await c.through(6)
        assert await c.sent() == [*MOST_UNDER_WAY * ["act"], "acts 5"]
        assert await c.fates(ids) == len(ids) * [("mined", None)]
        assert await rows.report(c.gateway) == QueueReport(0, None, 0)

    tell(database, home, MOST_UNDER_WAY + 5, story)


def test_acts_of_one_case_go_in_the_order_in_which_they_came(database: PgDatabase, home: Path) -> None:
    async def story(c: Carried) -> None:
        first = await c.hand_in(0, ASK)
        rival = await c.hand_in(0, "reject", reason=1)
        other = await c.hand_in(1, ASK)
        assert await c.sender.take_once()
        assert await c.sent() == ["acts 2"]
        # The second of the case waits for the end of the first, whatever room there is.
        assert not await c.sender.take_once()
        await c.through(6)
        assert await c.sent() == ["acts 2", "act"]
        states = await c.fates([first, other, rival])
        assert states[:2] == 2 * [("mined", None)]
        assert states[2][0] in ("failed", "reverted")
        assert states[2][1] == "CaseKnown"
        assert await c.moves(0) == 1

    tell(database, home, 2, story)


def test_what_is_refused_or_not_recorded_is_not_queued_and_a_name_is_carried_once(
    database: PgDatabase, home: Path
) -> None:
    async def story(c: Carried) -> None:
        with pytest.raises(ContractReverted):
            await c.hand_in(0, "judged-small")

        async def fails(_: AnyConnection) -> None:
            raise RuntimeError("no room")

        act_id = await c.hand_in(0, ASK)
        data = await c.kept.pool.fetchval("SELECT data FROM cases.carried")
        call = Call(c.blocks.made.contracts.ledger, data)
        with pytest.raises(RuntimeError, match="no room"):
            await c.queue.carry(case_id(9), call, fails)
        with pytest.raises(ActNotCarried):
            await c.queue.outcome(case_id(9))
        assert await c.hand_in(0, ASK) == act_id
        assert await c.kept.pool.fetchval("SELECT count(*) FROM cases.carried") == 1
        await c.through(6)
        assert await c.sent() == ["act"]

    tell(database, home, 1, story)


def test_an_act_that_comes_wakes_the_sender(database: PgDatabase, home: Path) -> None:
    async def story(c: Carried) -> None:
        stop = asyncio.Event()
        worker = SenderWorker(c.kept.pool, c.sender, pace=60)
        running = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(10):
            while not worker.holds_lease:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            await c.hand_in(0, ASK)
            while not await c.sent():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            # What is under way is looked after without being told.
            for _ in range(3):
                await c.block()
            await c.kept.follow()
            while await rows.unsettled(c.gateway):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            stop.set()
            await running
        assert worker.trouble is None

    tell(database, home, 1, story)
