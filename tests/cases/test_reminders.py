"""Reminders reach who sees the case, each at least once, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from cases import reminders
from cases.lifecycle_v1 import StageCode
from cases.reminders import Page
from evidence.repository import Viewer
from protocol.acts import Role
from tests.conftest import PgDatabase
from tests.support.keeping import Keeping, T, keeping

pytestmark = pytest.mark.database
BANK, OTHER_BANK, CENTRE, COURT, MEDIATION, REGISTRY = range(1, 7)
VIEWERS = {
    BANK: Viewer(BANK, Role.BANK.mask),
    OTHER_BANK: Viewer(OTHER_BANK, Role.BANK.mask),
    CENTRE: Viewer(CENTRE, Role.CENTRE.mask),
    COURT: Viewer(COURT, Role.COURT.mask),
    MEDIATION: Viewer(MEDIATION, Role.MEDIATION.mask),
    REGISTRY: Viewer(REGISTRY, Role.REGISTRY.mask),
}


async def asked(k: Keeping, who: int, after: int = 0, limit: int = 500) -> Page:
    async with k.pool.acquire() as conn:
        return await reminders.page(conn, VIEWERS[who], after, limit)


def numbers(page: Page) -> list[tuple[int, int]]:
    return [(int.from_bytes(one.case_id, "big"), one.percent) for one in page.reminders]


def test_each_sees_reminders_of_the_cases_that_it_sees(database: PgDatabase) -> None:
    async def check() -> None:
        async with keeping(database) as k:
            await k.case(1, T + 100, owner=BANK)
            await k.case(2, T + 100, owner=OTHER_BANK, stage=int(StageCode.MEDIATING))
            await k.case(3, T + 100, owner=BANK, stage=int(StageCode.FILED), court=COURT)
            await k.round(T + 60)
            assert numbers(await asked(k, BANK)) == [(1, 50), (3, 50)]
            assert numbers(await asked(k, OTHER_BANK)) == [(2, 50)]
            assert numbers(await asked(k, CENTRE)) == [(1, 50), (2, 50), (3, 50)]
            assert numbers(await asked(k, COURT)) == [(3, 50)]
            assert numbers(await asked(k, MEDIATION)) == [(2, 50)]
            assert numbers(await asked(k, REGISTRY)) == []

    asyncio.run(check())


def test_who_asks_from_the_last_place_gets_every_reminder_once_and_again_from_an_earlier_one(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with keeping(database) as k:
            for number in range(1, 8):
                await k.case(number, T + 100 * number, owner=BANK if number % 2 else OTHER_BANK)
            got: list[bytes] = []
            after = 0
            for time in (60, 420, 440, 760):
                await k.round(T + time)
                while True:
                    page = await asked(k, BANK, after, limit=2)
                    got += [one.id for one in page.reminders]
                    assert page.next >= after
                    after = page.next
                    if not page.more:
                        break
            assert len(got) == len(set(got)) == 12
            assert [one.id for one in (await asked(k, BANK)).reminders] == got
            last = await asked(k, BANK, after)
            assert (last.reminders, last.next, last.more) == ((), after, False)

    asyncio.run(check())


def test_a_page_looks_at_a_bounded_number_of_others_reminders(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(reminders, "WINDOW", 4)
        async with keeping(database) as k:
            for number in range(1, 11):
                await k.case(number, T + 100 + number, owner=BANK if number == 10 else OTHER_BANK)
            await k.round(T + 60)
            places = []
            after, more = 0, True
            while more:
                page = await asked(k, BANK, after)
                places.append((page.next, numbers(page)))
                after, more = page.next, page.more
            assert places == [(4, []), (8, []), (10, [(10, 50)])]

    asyncio.run(check())


def test_what_is_moot_by_the_time_of_asking_is_left_out(database: PgDatabase) -> None:
    async def check() -> None:
        async with keeping(database) as k:
            case = await k.case(1, T + 100)
            await k.round(T + 60)
            await k.set(case, version=3, deadline=None, open_holds=1)
            await k.round(T + 61)
            assert numbers(await asked(k, BANK)) == []

    asyncio.run(check())
