"""`/v1/case-statistics` over tables that the worker filled from a real chain: whose, when, the same bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from agent.login import LoginTokens
from benchmarks.month.cast import Cast
from benchmarks.month.run import MonthRun, follow, open_month
from cases.events import case_events
from cases.statistics_service import CaseStatistics
from chain.configuration import pool_of
from chain.cursor import EventCursor
from chain.evm import quantity
from chain.networks.dev import anvil_binary
from chain.networks.errors import NetworkToolMissing
from cli.main import main
from evidence.ports import OrganisationState
from ledger_gateway.app import build
from ledger_gateway.auth import Authenticator
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from protocol.acts import Purpose
from storage.db import connect_pool, migrate
from tests.conftest import PgDatabase, _remove, make_home
from tests.support.evidence import Members, slot

try:
    anvil_binary()
except NetworkToolMissing:
    pytest.skip("anvil is not installed (npm ci)", allow_module_level=True)

pytestmark = pytest.mark.database
AUDIENCE = "http://stats"
CASES = 90


@dataclass
class Client:
    """HTTP as the members of the cast."""

    http: httpx.AsyncClient
    cast: Cast
    month: MonthRun

    async def get(self, who: str, **query: Any) -> httpx.Response:
        organisation = self.cast.index(who)
        signer = self.cast.key(organisation, Purpose.AUTH)
        domain = self.month.deployment.log_domain
        token = LoginTokens(signer, organisation, domain, lambda: int(time.time())).token(AUDIENCE)
        headers = {"authorization": f"Bearer {token}"}
        return await self.http.get("/v1/case-statistics", params=query, headers=headers)


@pytest.fixture(scope="module")
def month() -> Iterator[MonthRun]:
    home = make_home()
    try:
        made = open_month(home, 11, CASES)
        follow(made, lambda progress: None)
        yield made
        made.close()
    finally:
        _remove(home)


@pytest.fixture(scope="module")
def filled(pg: PgDatabase, month: MonthRun) -> PgDatabase:
    """The tables as the worker writes them."""

    async def fill() -> None:
        await migrate(pg.dsn("migrator"))
        pool = await connect_pool(pg.dsn("sealer"), max_size=4)
        try:
            async with pool_of(month.deployment) as rpc:
                cursor = EventCursor(pool, rpc, case_events(month.record))
                while await cursor.run_once():
                    pass
        finally:
            await pool.close()

    asyncio.run(fill())
    return pg


@asynccontextmanager
async def client(pg: PgDatabase, month: MonthRun) -> AsyncIterator[Client]:
    members = Members()
    for member in month.cast.members:
        members.organisations[member.index] = OrganisationState(member.index, member.role.mask, True)
        key = month.cast.key(member.index, Purpose.AUTH)
        members.slots[key.address] = slot(member.index, purpose=Purpose.AUTH)
    pool = await connect_pool(pg.dsn("gateway"), max_size=4)
    try:
        async with pool_of(month.deployment) as rpc:
            app = build()
            app.state.gateway = SimpleNamespace(
                limiter=RateLimiter(1e9, 1e9, lambda: 0.0),
                auth=Authenticator(
                    audience=AUDIENCE, domain=month.deployment.log_domain, keys=members.key, clock=time.time
                ),
                base=SimpleNamespace(chain=SimpleNamespace(registry=members)),
                cases=SimpleNamespace(statistics=CaseStatistics(pool, rpc, month.record.contracts)),
            )
            transport = httpx.ASGITransport(app=Edge(app, Metrics()))
            async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as http:
                yield Client(http, month.cast, month)
    finally:
        await pool.close()


Story = Callable[[Client], Awaitable[None]]


@pytest.fixture
def tell(filled: PgDatabase, month: MonthRun) -> Callable[[Story], None]:
    def told(story: Story) -> None:
        async def scenario() -> None:
            async with client(filled, month) as here:
                await story(here)

        asyncio.run(asyncio.wait_for(scenario(), 120))

    return told


Tell = Callable[[Story], None]


def test_a_node_alone_gives_the_bytes_of_the_gateway(
    tell: Tell, month: MonthRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answers: dict[str, bytes] = {}

    async def ask(here: Client) -> None:
        bank = here.cast.banks[0]
        for name, query in (
            ("public", {}), ("full", {"view": "full"}), ("own", {"view": "own", "owner": bank})
        ):  # fmt: skip
            answer = await here.get("regulator", **query)
            assert answer.status_code == 200, answer.text
            answers[name] = answer.content
        early = json.loads(answers["full"])["snapshot"]["block"] - 200
        answer = await here.get("centre", view="full", block=early)
        answers["early"] = answer.content
        assert json.loads(answer.content)["snapshot"]["block"] == early

    tell(ask)
    words = ["--lang", "en", "stats", "recompute", "--from-chain", "--home", str(month.network.home)]
    for name, data in answers.items():
        report = json.loads(data)
        query, block = report["query"], report["snapshot"]["block"]
        path = tmp_path / f"{name}.json"
        path.write_bytes(data)
        more = ["--view", query["view"], "--to-block", str(block)]
        more += ["--owner", str(query["owner"])] if query["owner"] else []
        assert main([*words, *more, "--compare", str(path)]) == 0, capfd.readouterr().out
        # Without more words it is the report of the block and the view that the file names.
        assert main([*words, "--compare", str(path)]) == 0, capfd.readouterr().out
        false = {**report, "snapshot": {**report["snapshot"], "time": 1}}
        path.write_text(json.dumps(false))
        assert main([*words, "--compare", str(path)]) == 20
        assert "snapshot.time" in capfd.readouterr().out
    figures = json.loads(answers["full"])["figures"]
    assert figures[0]["by"]["all"][0]["numerator"] == CASES
    assert None in [row["numerator"] for row in json.loads(answers["public"])["figures"][0]["by"]["owner"]]


def test_an_institution_gets_its_own_and_nobody_elses(tell: Tell) -> None:
    async def ask(here: Client) -> None:
        bank, other = here.cast.banks[:2]
        name = next(member.name for member in here.cast.members if member.index == bank)
        own = await here.get(name)
        assert own.status_code == 200, own.text
        report = json.loads(own.content)
        assert report["query"] == {"name": "case-statistics", "owner": bank, "threshold": 5, "view": "own"}
        owners = {row["key"] for row in report["figures"][0]["by"]["owner"]}
        assert owners == {bank}
        assert [row["figure"] for row in report["city"]] == [one["figure"] for one in report["figures"]]
        assert (await here.get(name, view="own", owner=bank)).content == own.content
        for query in ({"owner": other}, {"view": "public"}, {"view": "full"}, {"block": 5}):
            answer = await here.get(name, **query)
            assert (answer.status_code, answer.json()["code"]) == (403, "StatisticsNotForCaller")

    tell(ask)


@pytest.mark.parametrize("who", ["court-1", "police", "mediation-1", "enforcement"])
def test_who_neither_owns_nor_watches_gets_none(tell: Tell, who: str) -> None:
    async def ask(here: Client) -> None:
        for query in ({}, {"view": "public"}, {"view": "own"}, {"owner": here.cast.index(who)}):
            answer = await here.get(who, **query)
            assert (answer.status_code, answer.json()["code"]) == (403, "StatisticsNotForCaller")

    tell(ask)


def test_an_institutions_report_is_of_a_day_that_is_over(tell: Tell, month: MonthRun) -> None:
    async def ask(here: Client) -> None:
        name = next(member.name for member in here.cast.members if member.index == here.cast.banks[0])
        own = json.loads((await here.get(name)).content)["snapshot"]
        newest = json.loads((await here.get("centre", view="full")).content)["snapshot"]
        assert (own["time"] + 8 * 3600) // 86_400 < (newest["time"] + 8 * 3600) // 86_400
        assert own["block"] < newest["block"]

    tell(ask)


def test_unknown_blocks_and_queries_are_named(tell: Tell, month: MonthRun) -> None:
    async def ask(here: Client) -> None:
        head = quantity(month.run.wire.call("eth_blockNumber"))
        answer = await here.get("centre", block=head + 1)
        assert (answer.status_code, answer.json()["code"]) == (404, "BlockNotThere")
        answer = await here.get("centre", view="full", owner=here.cast.banks[0])
        assert (answer.status_code, answer.json()["code"]) == (422, "StatisticsQueryInvalid")
        first = await here.get("centre")
        tag = first.headers["etag"]
        signer = here.cast.key(here.cast.index("centre"), Purpose.AUTH)
        token = LoginTokens(
            signer, here.cast.index("centre"), month.deployment.log_domain, lambda: int(time.time())
        ).token(AUDIENCE)
        again = await here.http.get(
            "/v1/case-statistics", headers={"authorization": f"Bearer {token}", "if-none-match": tag}
        )
        assert again.status_code == 304
        assert (await here.http.get("/v1/case-statistics")).status_code == 401

    tell(ask)
