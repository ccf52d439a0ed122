"""Lists of cases: complete, in order, nobody else's, whatever the filters, and steady while cases change."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases import listing, paging
from cases.access import Standing, may_see
from cases.errors import CursorInvalid
from cases.listing import Filters, Page
from cases.paging import Key, Sort
from evidence.repository import Viewer
from protocol.acts import Role
from storage.db import migrate
from tests.conftest import PgDatabase
from tests.support.case_rows import CASE_COLUMNS, DAY, NOW, copy_cases, many_cases

OWNERS, COURTS = (1, 2, 3), (7, 8)
ROWS = [
    dict(zip(CASE_COLUMNS, row, strict=True))
    for row in many_cases(1500, 5, owners=OWNERS, courts=COURTS, batch=100)
]
CENTRE = Viewer(9, Role.CENTRE.mask)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def conn(pg: PgDatabase, loop: asyncio.Runner) -> Iterator[asyncpg.Connection[asyncpg.Record]]:
    async def opened() -> asyncpg.Connection[asyncpg.Record]:
        await migrate(pg.dsn("migrator"))
        owner = await asyncpg.connect(pg.superuser_dsn)
        await copy_cases(owner, [tuple(row.values()) for row in ROWS])
        await owner.execute("ANALYZE cases.case")
        await owner.close()
        return await asyncpg.connect(pg.dsn("gateway"))

    connection = loop.run(opened())
    yield connection
    loop.run(connection.close())


async def pages(conn: Any, viewer: Viewer, filters: Filters, sort: Sort, limit: int) -> list[Page]:
    found, cursor = [], None
    while True:
        one = await listing.page(conn, viewer, filters, sort, now=NOW, cursor=cursor, limit=limit)
        found.append(one)
        if one.next is None:
            return found
        cursor = one.next


def expected(viewer: Viewer, filters: Filters, sort: Sort) -> list[bytes]:
    rows = [row for row in ROWS if _seen(viewer, row) and _kept(filters, row)]
    if sort is Sort.DEADLINE:
        rows = [row for row in rows if row["deadline"] is not None]
        return [row["case_id"] for row in sorted(rows, key=lambda row: (row["deadline"], row["case_id"]))]
    return sorted(row["case_id"] for row in rows)


def _seen(viewer: Viewer, row: dict[str, Any]) -> bool:
    return may_see(viewer, Standing(row["owner"], row["stage"], row["court"], row["listed"]))


def _kept(filters: Filters, row: dict[str, Any]) -> bool:
    deadline = row["deadline"]
    late = deadline is not None and deadline < NOW and not row["provisional"]
    return all(
        (
            not filters.stages or row["stage"] in filters.stages,
            filters.product is None or row["product"] == filters.product,
            filters.owner is None or row["owner"] == filters.owner,
            filters.court is None or (row["court"] == filters.court and row["court"] > 0),
            filters.batch is None or row["root"] == filters.batch,
            late or not filters.overdue,
            filters.due_before is None or (deadline is not None and deadline < filters.due_before),
            filters.due_from is None or (deadline is not None and deadline >= filters.due_from),
            filters.paused is None or (row["open_holds"] > 0) == filters.paused,
            filters.prefix is None or row["case_id"].startswith(filters.prefix),
            filters.provisional is None or row["provisional"] == filters.provisional,
        )
    )


ROLES = (Role.BANK, Role.CENTRE, Role.COURT, Role.ENFORCEMENT, Role.MEDIATION, Role.REGULATOR, Role.POLICE)
viewers = st.builds(
    lambda organisation, roles: Viewer(organisation, sum(role.mask for role in roles)),
    st.sampled_from((*OWNERS, *COURTS, 20)),
    st.sets(st.sampled_from(ROLES), max_size=3),
)
filter_sets = st.builds(
    Filters,
    stages=st.lists(st.integers(1, 45), max_size=4, unique=True).map(tuple),
    product=st.none() | st.integers(1, 4),
    owner=st.none() | st.sampled_from((*OWNERS, 4)),
    court=st.none() | st.sampled_from((*COURTS, 0)),
    batch=st.none() | st.integers(0, 15).map(lambda number: number.to_bytes(32, "big")),
    overdue=st.booleans(),
    due_before=st.none() | st.just(NOW + 30 * DAY),
    due_from=st.none() | st.just(NOW - 10 * DAY),
    paused=st.none() | st.booleans(),
    provisional=st.none() | st.booleans(),
    prefix=st.none() | st.sampled_from([row["case_id"] for row in ROWS]).map(lambda one: bytes(one[:1])),
)


@pytest.mark.database
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(viewers, filter_sets, st.sampled_from(Sort), st.sampled_from((1, 7, 100, 1000)))
def test_pages_together_are_all_that_the_caller_sees_once_and_in_order(
    conn: Any, loop: asyncio.Runner, viewer: Viewer, filters: Filters, sort: Sort, limit: int
) -> None:
    wanted = expected(viewer, filters, sort)
    if len(wanted) > 200:
        limit = max(limit, 100)
    found = loop.run(pages(conn, viewer, filters, sort, limit))
    assert [bytes(row["case_id"]) for page in found for row in page.rows] == wanted
    assert all(len(page.rows) <= limit for page in found)


@pytest.mark.database
@pytest.mark.parametrize("windows", [1, 3])
def test_a_page_that_looks_at_few_rows_comes_out_short_and_nothing_is_lost(
    conn: Any, loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, windows: int
) -> None:
    monkeypatch.setattr(listing, "WINDOW", 40)
    monkeypatch.setattr(listing, "MOST_WINDOWS", windows)
    filters = Filters(product=2, overdue=True)
    found = loop.run(pages(conn, CENTRE, filters, Sort.CASE, 10))
    wanted = expected(CENTRE, filters, Sort.CASE)
    assert [bytes(row["case_id"]) for page in found for row in page.rows] == wanted
    assert any(len(page.rows) < 10 for page in found[:-1])


@pytest.mark.database
def test_cases_that_move_between_pages_are_neither_lost_nor_seen_twice(
    pg: PgDatabase, conn: Any, loop: asyncio.Runner
) -> None:
    async def run() -> list[bytes]:
        owner = await asyncpg.connect(pg.superuser_dsn)
        seen, cursor, turn = [], None, 0
        try:
            async with owner.transaction():
                while True:
                    # Inside the transaction that moves cases: other tests see the rows as they were.
                    one = await listing.page(
                        owner, CENTRE, Filters(), Sort.CASE, now=NOW, cursor=cursor, limit=90
                    )
                    seen += [bytes(row["case_id"]) for row in one.rows]
                    if one.next is None:
                        raise _Undo
                    cursor, turn = one.next, turn + 1
                    await owner.execute(
                        "UPDATE cases.case SET stage = 1 + (stage + $1) % 45, deadline = deadline - 9",
                        turn,
                    )
        except _Undo:
            return seen
        finally:
            await owner.close()

    assert loop.run(run()) == expected(CENTRE, Filters(), Sort.CASE)


class _Undo(Exception):
    pass


@pytest.mark.database
def test_a_cursor_is_good_for_its_own_list_alone(conn: Any, loop: asyncio.Runner) -> None:
    first = loop.run(listing.page(conn, CENTRE, Filters(), Sort.CASE, now=NOW, limit=10))
    assert first.next is not None
    others = (
        (CENTRE, Filters(product=1), Sort.CASE),
        (CENTRE, Filters(), Sort.DEADLINE),
        (Viewer(1, Role.BANK.mask), Filters(), Sort.CASE),
        (replace(CENTRE, organisation=10), Filters(), Sort.CASE),
    )
    for viewer, filters, sort in others:
        with pytest.raises(CursorInvalid):
            loop.run(listing.page(conn, viewer, filters, sort, now=NOW, cursor=first.next))


@given(st.binary(max_size=80) | st.text(max_size=200).map(str.encode))
def test_what_is_no_cursor_is_refused_and_nothing_else_happens(data: bytes) -> None:
    for text in (data.decode("latin-1"), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        with pytest.raises(CursorInvalid):
            paging.decode(text, Sort.CASE, b"")


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**40 - 1), st.data())
def test_a_damaged_cursor_is_refused(case_id: bytes, deadline: int, data: st.DataObject) -> None:
    key = Key(case_id, deadline)
    text = paging.encode(Sort.DEADLINE, b"one", key)
    assert paging.decode(text, Sort.DEADLINE, b"one") == key
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_ =").filter(lambda symbol: symbol != text[at]))
    with pytest.raises(CursorInvalid):
        paging.decode(text[:at] + other + text[at + 1 :], Sort.DEADLINE, b"one")
