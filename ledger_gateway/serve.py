"""Runs the gateway under uvicorn until SIGTERM; answers what it has taken before it goes."""

from __future__ import annotations

import gc

import uvicorn

from evidence.ports import FaultPoints
from ledger_gateway import logs
from ledger_gateway.app import create
from ledger_gateway.context import load_deployment
from ledger_gateway.settings import Settings

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75


def run(settings: Settings, faults: FaultPoints | None = None) -> None:
    """Blocks until the process is told to stop. `faults`: handed in by crash tests.

    Raises:
        DeploymentMissing, MalformedInput: nothing to serve here
        SystemExit: with 3 when it could not start; the log names the code
    """
    logs.configure(settings.log_level)
    load_deployment(settings)
    config = uvicorn.Config(
        create(settings, settings.audience_at(settings.port), faults),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_seconds),
    )
    # Long-lived objects out of the collector's sight; with the default threshold it runs 40 times a second.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    uvicorn.Server(config).run()
