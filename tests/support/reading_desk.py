"""The gateway's HTTP for reading cases over a real database; cases and their lives are written as rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx

from agent.login import LoginTokens
from cases.looks import Looks
from evidence.ports import OrganisationState
from ledger_gateway.app import build
from ledger_gateway.auth import Authenticator
from ledger_gateway.case_reading import CaseReaders, case_readers
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from ledger_gateway.settings import Settings as GatewaySettings
from protocol.acts import Domain, Purpose, Role
from storage.db import Pool, connect_pool, migrate
from tests.conftest import PgDatabase
from tests.support.case_histories import BANK, CENTRE, COURT, MEDIATION, REGULATOR
from tests.support.case_rows import CHAIN, CONTRACTS, NOW, add_policy
from tests.support.evidence import Members, slot
from tests.support.testkeys import address_of, private_key, signature

AUDIENCE = "http://reading"
OTHER_BANK, OTHER_COURT, REGISTRY = 11, 9, 12
ROLES = {
    BANK: Role.BANK.mask, CENTRE: Role.CENTRE.mask, COURT: Role.COURT.mask, MEDIATION: Role.MEDIATION.mask,
    REGULATOR: Role.REGULATOR.mask, OTHER_BANK: Role.BANK.mask, OTHER_COURT: Role.COURT.mask,
    REGISTRY: Role.REGISTRY.mask,
}  # fmt: skip
DOMAIN = Domain(CHAIN, bytes(20))


@dataclass
class Clock:
    """Seconds UTC, set by the test."""

    now: int = NOW


@dataclass
class Desk:
    """A client of the routes, and what stands behind them."""

    http: httpx.AsyncClient
    pool: Pool
    owner: Any
    readers: CaseReaders
    clock: Clock
    app: Edge

    def headers(self, organisation: int) -> dict[str, str]:
        """A login."""
        tokens = LoginTokens(Signs(organisation), organisation, DOMAIN, lambda: self.clock.now)
        return {"authorization": f"Bearer {tokens.token(AUDIENCE)}"}

    async def get(self, organisation: int, path: str, **parameters: Any) -> httpx.Response:
        return await self.http.get(path, params=parameters, headers=self.headers(organisation))


@dataclass(frozen=True)
class Signs:
    """An organisation's login key."""

    organisation: int

    @property
    def address(self) -> bytes:
        return address_of(private_key(Purpose.AUTH, self.organisation))

    def sign_digest(self, digest: bytes) -> bytes:
        return signature(private_key(Purpose.AUTH, self.organisation), digest)


@asynccontextmanager
async def desk(pg: PgDatabase, home: Path, audience: str = AUDIENCE) -> AsyncIterator[Desk]:
    """The routes over an empty case room with one policy."""
    await migrate(pg.dsn("migrator"))
    owner = await asyncpg.connect(pg.superuser_dsn)
    await owner.execute(
        """TRUNCATE cases.change, cases.policy, cases.case, cases.look, cases.case_code, cases.event_receipt,
           chain.block CASCADE"""
    )
    await add_policy(owner)
    pool = await connect_pool(pg.dsn("gateway"), max_size=4)
    clock = Clock()
    members = Members()
    for organisation, roles in ROLES.items():
        members.organisations[organisation] = OrganisationState(organisation, roles, True)
        members.slots[Signs(organisation).address] = slot(organisation, purpose=Purpose.AUTH)
    try:
        readers = case_readers(
            pool,
            SimpleNamespace(rpc=None, deployment=SimpleNamespace(network_id="")),  # type: ignore[arg-type]
            CONTRACTS,
            Looks(pool),
            lambda: clock.now,
        )
        app = build()
        app.state.gateway = SimpleNamespace(
            settings=GatewaySettings(home=home),
            unproven=RateLimiter(1e9, 1e9, lambda: 0.0),
            limiter=RateLimiter(1e9, 1e9, lambda: 0.0),
            auth=Authenticator(
                audience=audience, domain=DOMAIN, keys=members.key, clock=lambda: float(clock.now)
            ),
            base=SimpleNamespace(chain=SimpleNamespace(registry=members)),
            cases=SimpleNamespace(readers=readers),
        )
        edge = Edge(app, Metrics())
        transport = httpx.ASGITransport(app=edge)
        async with httpx.AsyncClient(transport=transport, base_url=AUDIENCE) as http:
            yield Desk(http, pool, owner, readers, clock, edge)
    finally:
        await pool.close()
        await owner.close()
