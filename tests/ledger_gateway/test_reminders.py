"""Reminders through HTTP: after a login, of one's own cases, from place to place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from agent.login import LoginTokens
from cases.keeping_repository import looked, troubled
from cases.keeping_rules import reminder_id
from evidence.ports import OrganisationState
from ledger_gateway.api.health import keeper_of
from ledger_gateway.app import build
from ledger_gateway.auth import Authenticator
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from ledger_gateway.settings import Settings
from protocol.acts import Domain, Purpose, Role
from storage.db import connect_pool, migrate
from storage.errors import DatabaseUnavailable
from tests.conftest import PgDatabase
from tests.support.case_court import Signs
from tests.support.evidence import Members, slot
from tests.support.keeping import Keeping, T, keeping

pytestmark = pytest.mark.database
AUDIENCE, DOMAIN = "http://desk", Domain(7, b"\x0b" * 20)
BANK, OTHER = 1, 2


@pytest.fixture(scope="module")
def database(pg: PgDatabase) -> PgDatabase:
    asyncio.run(migrate(pg.dsn("migrator")))
    return pg


@asynccontextmanager
async def client(database: PgDatabase, home: Path, *, cases: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """The routes with the rights of the gateway's role, and two banks that can log in."""
    members = Members()
    for organisation in (BANK, OTHER):
        members.organisations[organisation] = OrganisationState(organisation, Role.BANK.mask, True)
        address = Signs(organisation, Purpose.AUTH).address
        members.slots[address] = slot(organisation, purpose=Purpose.AUTH)
    pool = await connect_pool(database.dsn("gateway"), max_size=2)
    app = build()
    app.state.gateway = SimpleNamespace(
        settings=Settings(home=home),
        limiter=RateLimiter(1e9, 1e9, lambda: 0.0),
        auth=Authenticator(audience=AUDIENCE, domain=DOMAIN, keys=members.key, clock=lambda: float(T)),
        base=SimpleNamespace(chain=SimpleNamespace(registry=members), pool=pool),
        cases=object() if cases else None,
    )
    transport = httpx.ASGITransport(app=Edge(app, Metrics()))
    try:
        async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as http:
            yield http
    finally:
        await pool.close()


def login(organisation: int) -> dict[str, str]:
    token = LoginTokens(Signs(organisation, Purpose.AUTH), organisation, DOMAIN, lambda: T).token(AUDIENCE)
    return {"authorization": f"Bearer {token}"}


async def get(http: httpx.AsyncClient, organisation: int, **query: Any) -> dict[str, Any]:
    answer = await http.get("/v1/reminders", params=query, headers=login(organisation))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def some(k: Keeping) -> list[bytes]:
    ids = [await k.case(number, T + 100, owner=BANK if number < 3 else OTHER) for number in (1, 2, 3)]
    await k.round(T + 80)
    return ids


def test_a_bank_gets_its_own_from_place_to_place(database: PgDatabase, tmp_path: Path) -> None:
    async def check() -> None:
        async with keeping(database) as k, client(database, tmp_path) as http:
            ids = await some(k)
            first = await get(http, BANK, limit=3)
            assert [(one["caseId"], one["percent"]) for one in first["items"]] == [
                (ids[0].hex(), 50), (ids[1].hex(), 50), (ids[0].hex(), 80),
            ]  # fmt: skip
            assert first["more"] is True
            rest = await get(http, BANK, after=first["next"])
            assert [one["caseId"] for one in rest["items"]] == [ids[1].hex()]
            assert rest["more"] is False
            assert (await get(http, BANK, after=rest["next"]))["items"] == []
            assert {one["caseId"] for one in (await get(http, OTHER))["items"]} == {ids[2].hex()}

    asyncio.run(check())


def test_a_reminder_says_when_and_for_which_deadline_it_is(database: PgDatabase, tmp_path: Path) -> None:
    async def check() -> None:
        async with keeping(database) as k, client(database, tmp_path) as http:
            ids = await some(k)
            one = (await get(http, BANK, limit=1))["items"][0]
            assert one == {
                "id": reminder_id(ids[0], 2, T + 100, 50).hex(),
                "caseId": ids[0].hex(), "version": 2, "stage": 2, "deadline": T + 100,
                "deadlineShanghai": "2027-01-15 16:01:40", "provisional": False, "percent": 50,
                "dueAt": T + 50, "dueAtShanghai": "2027-01-15 16:00:50", "madeAt": T + 80, "testClock": False,
            }  # fmt: skip

    asyncio.run(check())


@pytest.mark.parametrize(
    ("query", "headers", "cases", "status"),
    [
        ({}, {}, True, 401),
        ({"after": "-1"}, login(BANK), True, 422),
        ({"after": "x"}, login(BANK), True, 422),
        ({"limit": "0"}, login(BANK), True, 422),
        ({"limit": "501"}, login(BANK), True, 422),
        ({"after": str(2**63)}, login(BANK), True, 422),
        ({}, login(BANK), False, 404),
    ],
)
def test_what_is_no_request_is_refused(
    database: PgDatabase,
    tmp_path: Path,
    query: dict[str, str],
    headers: dict[str, str],
    cases: bool,
    status: int,
) -> None:
    async def check() -> None:
        async with client(database, tmp_path, cases=cases) as http:
            answer = await http.get("/v1/reminders", params=query, headers=headers)
            assert answer.status_code == status
            assert answer.json()["code"]

    asyncio.run(check())


def test_the_status_says_how_late_the_keeper_is_by_the_time_of_the_chain(database: PgDatabase) -> None:
    async def check() -> None:
        async with keeping(database) as k:
            head = SimpleNamespace(head_time=float(T + 500))
            chain = SimpleNamespace(rpc=SimpleNamespace(health=lambda: [head]))
            gateway: Any = SimpleNamespace(cases=object(), base=SimpleNamespace(pool=k.pool, chain=chain))
            await k.case(1, T + 1000)
            moment = await k.keeper.run_once()
            await looked(k.pool, moment, T + 3)
            found = await keeper_of(gateway)
            assert found is not None
            assert (found["time"], found["behindSeconds"], found["lateSeconds"]) == (T, 500, 0)
            # Half time is in second 500: a head two hours on, and nobody has said so.
            head.head_time = float(T + 7700)
            await troubled(k.pool, DatabaseUnavailable("away"), T + 4)
            found = await keeper_of(gateway)
            assert found is not None
            assert (found["lateSeconds"], found["trouble"]) == (7200, "DatabaseUnavailable")
            gateway.cases = None
            assert await keeper_of(gateway) is None

    asyncio.run(check())
