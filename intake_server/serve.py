"""The process: uvicorn before, the desk behind, the registry's keys beside. No database, and nobody's key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import uvicorn

from chain import deployment as deployments
from chain.configuration import network_of, open_pool
from chain.registry_view import RegistryView
from intake_server.app import Intake, Login, Pace
from intake_server.desk import Desk
from intake_server.errors import UploadLocked
from intake_server.settings import IntakeSettings
from intake_server.shelf import Shelf, Upload
from ledger_gateway import logs
from ledger_gateway.auth import Authenticator
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics

CONCURRENT = 64
EXPIRE_EVERY = 60.0
RETRY_AFTER = 5.0


class Worker:
    """Works off what waits for the desk, one upload at a time: so the limit on memory is one file's."""

    def __init__(self, desk: Desk, shelf: Shelf) -> None:
        self._desk, self._shelf = desk, shelf
        self._wake = asyncio.Event()
        self._log = logs.get("intake")

    def wake(self, _upload: Upload) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. A fault is logged by place and tried again; it stops nobody else's file."""
        await self._tried(self._desk.finish)
        while True:
            self._wake.clear()
            await asyncio.to_thread(self._shelf.expire)
            late = False
            for upload in await asyncio.to_thread(self._desk.pending):
                late |= not await self._tried(lambda one=upload: self._desk.work(one))  # type: ignore[misc]
            try:
                async with asyncio.timeout(RETRY_AFTER if late else EXPIRE_EVERY):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _tried(self, step: Callable[[], None]) -> bool:
        try:
            await asyncio.to_thread(step)
        except UploadLocked:
            return False
        except Exception as error:
            self._log.error("fault", error_type=type(error).__name__, where=logs.where_of(error))
            return False
        return True


async def serve(settings: IntakeSettings, ready: Callable[[], None] = lambda: None) -> None:
    """Serves until told to stop. Login acts are checked against the registry as a node of this home shows it.

    Raises:
        DeploymentMissing, IntakeInUse, RegistryUnknown
    """
    deployment = deployments.load(settings.home)
    network = network_of(settings.home)
    stop = asyncio.Event()
    pool = open_pool(
        deployment.engine, deployment.chain_id, deployment.network_id, network.rpc, network.comet
    )
    async with pool:
        registry = RegistryView(pool, deployment)
        await registry.start()
        following = asyncio.create_task(registry.run(stop))
        login = Authenticator(
            audience=settings.audience, domain=deployment.log_domain, keys=registry.key, clock=time.time
        )
        try:
            await serve_with(settings, login, ready)
        finally:
            stop.set()
            await following


async def serve_with(
    settings: IntakeSettings, login: Login, ready: Callable[[], None] = lambda: None, pace: Pace | None = None
) -> None:
    """The service over a given check of logins. Raises IntakeInUse."""
    shelf = Shelf(settings.folder, settings.limits, time.time)
    with shelf.alone():
        desk = Desk(settings.home, shelf)
        worker = Worker(desk, shelf)
        app = Intake(settings.home, shelf, desk, login, settings.organisations, worker.wake, pace)
        config = uvicorn.Config(
            Edge(app, Metrics()), host=settings.host, port=settings.port, http="h11", ws="none",
            lifespan="off", access_log=False, log_config=None, server_header=False, proxy_headers=False,
            limit_concurrency=CONCURRENT, timeout_graceful_shutdown=10,
        )  # fmt: skip
        working = asyncio.create_task(worker.run())
        ready()
        try:
            await uvicorn.Server(config).serve()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
