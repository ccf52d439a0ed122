"""The HTTP application: routes, documentation, and the life of what they stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from evidence.intake import Acceptor
from evidence.ports import FaultPoints
from ledger_gateway import logs
from ledger_gateway.api import (
    acts,
    blobs,
    case_acts,
    case_batches,
    case_decisions,
    cases,
    deadlines,
    directory,
    evidence,
    health,
    my_case,
    reminders,
    statistics,
    tiles,
)
from ledger_gateway.api.schemas import AcceptanceDocument, SubmissionDocument, problems
from ledger_gateway.api.submissions import OtherLogs, SubmissionRoute, path_of
from ledger_gateway.edge import Edge
from ledger_gateway.gateway import Gateway, open_gateway
from ledger_gateway.metrics import Metrics
from ledger_gateway.settings import Settings
from protocol.errors import CaseledgerError

API_VERSION = "1"
ROUTERS = (
    evidence.router, blobs.router, acts.router, case_acts.router, case_batches.router, case_decisions.router,
    cases.router, deadlines.router, my_case.router, reminders.router, statistics.router, directory.router,
    tiles.router, health.router,
)  # fmt: skip
_SUBMIT = "/v1/logs/{logId}/submissions"


class _App(FastAPI):
    """FastAPI without its error middleware: `Edge` turns every exception into its document."""

    def build_middleware_stack(self) -> ASGIApp:
        return AsyncExitStackMiddleware(self.router)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            schema = super().openapi()
            schema["paths"][_SUBMIT] = {"post": _submission_operation(schema)}
            self.openapi_schema = schema
        return self.openapi_schema


def create(settings: Settings, audience: str, faults: FaultPoints | None = None) -> Edge:
    """The ASGI application of a gateway. Everything is opened at its start and drained at its end.

    `faults`: handed in by crash tests.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with open_gateway(settings, metrics, audience, faults) as gateway:
                app.state.gateway = gateway
                for acceptor in gateway.acceptors:
                    edge.fast[path_of(acceptor.log.log_id)] = submission_route(gateway, acceptor)
                try:
                    yield
                finally:
                    edge.fast.clear()
        except CaseledgerError as error:
            # The server below only says that the start failed; the operator needs to know why.
            logs.get("gateway").error("not started", code=error.code)
            raise

    edge = Edge(build(lifespan), metrics)
    return edge


def build(lifespan: Any = None) -> FastAPI:
    """Routes and documentation alone."""
    app = _App(
        title="caseledger gateway",
        version=API_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        description="Evidence of financial disputes. Errors are problem documents (RFC 9457).",
    )
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.insert(0, Route("/v1/logs/{log_id}/submissions", OtherLogs(), methods=["POST"]))
    return app


def submission_route(gateway: Gateway, acceptor: Acceptor) -> SubmissionRoute:
    """The accept path of one of the gateway's logs."""
    settings = gateway.settings
    return SubmissionRoute(
        acceptor,
        gateway.limiter,
        gateway.unproven,
        gateway.metrics,
        max_bytes=settings.max_submission_bytes,
        body_timeout=settings.body_timeout,
    )


def _submission_operation(schema: dict[str, Any]) -> dict[str, Any]:
    """The raw route's part of the documentation, which the framework cannot see."""
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for model in (SubmissionDocument, AcceptanceDocument):
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        components.update(described.pop("$defs", {}))
        components[model.__name__] = described
    binary = {"schema": {"type": "string", "format": "binary", "description": "docs/spec/entry.md, CBOR"}}

    def content(model: str) -> dict[str, Any]:
        return {
            "application/cbor": binary,
            "application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}},
        }

    return {
        "tags": ["evidence"],
        "summary": "Accept a signed submission durably",
        "description": "All entries or none. The same submission again gets the same answer.",
        "operationId": "submit",
        "parameters": [
            {
                "name": "logId",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            }
        ],
        "requestBody": {"required": True, "content": content("SubmissionDocument")},
        "responses": {
            "200": {
                "description": "accepted, with the signed promise",
                "content": content("AcceptanceDocument"),
            },
            **{str(k): v for k, v in problems(401, 403, 404, 409, 413, 415, 422, 429, 503).items()},
        },
    }
