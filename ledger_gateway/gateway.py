"""The gateway process: what it holds while it runs, and how healthy that is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent.keys import load_ed25519
from evidence.evidence_records import RecordService
from evidence.headguard import HeadGuard
from evidence.intake import Acceptor, Limits
from evidence.ports import FaultPoints, PromiseSigner
from evidence.recoverer import HelperProcess
from evidence.service import EvidenceService
from ledger_gateway.acts import Relay
from ledger_gateway.auth import Authenticator
from ledger_gateway.cases import Cases, open_cases
from ledger_gateway.context import Base, contract_reader, key_file, open_base, register_lanes, system_clock
from ledger_gateway.custody import Custody, open_custody
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from ledger_gateway.settings import Settings
from ledger_gateway.tile_shelf import TileShelf
from ledger_gateway.views import Reprover
from storage.blobs import FolderStore


@dataclass(frozen=True)
class Gateway:
    """Handed to endpoints; nothing in it is global."""

    base: Base
    metrics: Metrics
    auth: Authenticator
    limiter: RateLimiter
    unproven: RateLimiter
    acceptor: Acceptor
    service: EvidenceService
    records: RecordService
    reprover: Reprover
    log_key: PromiseSigner
    relay: Relay
    blobs: FolderStore
    tiles: TileShelf
    custody: Custody | None = None
    cases: Cases | None = None

    @property
    def settings(self) -> Settings:
        return self.base.settings

    @property
    def acceptors(self) -> tuple[Acceptor, ...]:
        """Writers of the logs of this gateway."""
        return (self.acceptor,) if self.custody is None else (self.acceptor, self.custody.acceptor)


@dataclass(frozen=True)
class Readiness:
    """Whether requests should come here: the chain's head moves and the database writes."""

    ready: bool
    code: str | None
    checks: dict[str, bool]

    def as_json(self) -> dict[str, Any]:
        return {"ready": self.ready, "code": self.code, "checks": self.checks}


async def readiness(gateway: Gateway) -> Readiness:
    """Looks at once; never waits for a node."""
    heads = [node.head_time for node in gateway.base.chain.rpc.health() if node.head_time is not None]
    age = time.time() - max(heads, default=0.0)
    database = await _database_writes(gateway)
    checks = {
        "database": database,
        "writer": await gateway.acceptor.writable(0.0),
        "registry": gateway.base.chain.registry.age < gateway.settings.stale_head_seconds,
        "chain": age < gateway.settings.stale_head_seconds,
    }
    if gateway.custody is not None:
        # Shown, and no reason to send evidence elsewhere: the two logs do not wait for each other.
        checks["custody"] = await gateway.custody.acceptor.writable(0.0)
    codes = {"database": "DatabaseUnavailable", "writer": "NotTheWriter", "registry": "RegistryStale",
             "chain": "ChainStopped"}  # fmt: skip
    failed = next((codes[name] for name, good in checks.items() if not good and name in codes), None)
    if failed == "NotTheWriter":
        failed = gateway.acceptor.metrics.trouble or failed
    return Readiness(failed is None, failed, checks)


async def _database_writes(gateway: Gateway) -> bool:
    """A transaction that may write: a standby or a read-only server has no new transaction id."""
    try:
        async with asyncio.timeout(2.0):
            return await gateway.base.pool.fetchval("SELECT pg_current_xact_id() IS NOT NULL") is True
    except Exception:
        return False


@asynccontextmanager
async def open_gateway(
    settings: Settings, metrics: Metrics, audience: str, faults: FaultPoints | None = None
) -> AsyncIterator[Gateway]:
    """Everything that the gateway runs on; draining on the way out. `faults`: handed in by crash tests.

    Raises:
        The errors of `open_base` and of key files
    """
    stop = asyncio.Event()
    async with open_base(settings, role="gateway", application="caseledger-gateway") as base:
        registry = base.chain.registry
        signer = load_ed25519(key_file(settings, settings.log_key))
        limits = Limits(deadline=settings.promise_seconds)
        tasks = [
            asyncio.create_task(base.chain.registry.run(stop, every=1.0), name="registry"),
            asyncio.create_task(register_lanes(base, stop), name="lanes"),
            asyncio.create_task(_probe(base, stop), name="probe"),
        ]
        try:
            async with (
                HelperProcess() as recoverer,
                Acceptor(
                    base.pool,
                    base.log,
                    registry,
                    signer,
                    base.vault,
                    clock=system_clock,
                    limits=limits,
                    recoverer=recoverer,
                    faults=faults,
                    guard=HeadGuard(contract_reader(base.chain)),
                ) as acceptor,
                AsyncExitStack() as stack,
            ):
                await acceptor.writable(5.0)
                service = EvidenceService(base.pool, base.vault)
                custody = await stack.enter_async_context(open_custody(base, signer, service, limits, faults))
                relay = Relay(
                    base.pool,
                    base.chain.evm,
                    base.chain.outbox,
                    settings.relay_lanes,
                    base.chain.deployment,
                )
                yield Gateway(
                    base=base,
                    metrics=metrics,
                    auth=Authenticator(
                        audience=audience,
                        domain=base.log.domain,
                        keys=registry.key,
                        clock=time.time,
                    ),
                    limiter=RateLimiter(settings.requests_per_second, settings.request_burst, time.monotonic),
                    unproven=RateLimiter(
                        settings.anonymous_per_second, 2 * settings.anonymous_per_second, time.monotonic
                    ),
                    acceptor=acceptor,
                    service=service,
                    records=RecordService(base.pool),
                    reprover=Reprover(base.chain.rpc, base.chain.deployment),
                    log_key=signer,
                    relay=relay,
                    blobs=FolderStore(settings.blobs),
                    tiles=TileShelf(base.pool),
                    custody=custody,
                    cases=await stack.enter_async_context(open_cases(base, relay)),
                )
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _probe(base: Base, stop: asyncio.Event) -> None:
    """Keeps the nodes' heads known while nobody asks for anything."""
    while not stop.is_set():
        await base.chain.rpc.probe()
        try:
            async with asyncio.timeout(3.0):
                await stop.wait()
        except TimeoutError:
            continue
