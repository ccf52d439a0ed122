"""`/healthz`, `/readyz`, `/metrics`, `/v1/status`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from ledger_gateway.api import deps
from ledger_gateway.gateway import readiness
from ledger_gateway.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, bool]:
    """Nothing is looked at: a supervisor must not restart a gateway because the chain stands still."""
    return {"alive": True}


@router.get("/readyz", summary="The chain's head moves and the database writes", responses={503: {}})
async def readyz(gateway: deps.GatewayDep) -> JSONResponse:
    """503 with the code of what is missing. Accepting goes on while only the chain is missing."""
    state = await readiness(gateway)
    return JSONResponse(state.as_json(), status_code=200 if state.ready else 503)


@router.get("/v1/status", summary="What the log is doing")
async def status(gateway: deps.GatewayDep) -> dict[str, Any]:
    """Sizes, batches, troubles by code, nodes; no names, no digests."""
    report = await gateway.service.status()
    registry = gateway.base.chain.registry
    intake = gateway.acceptor.metrics
    return {
        "readiness": (await readiness(gateway)).as_json(),
        "evidence": report.as_json(),
        "intake": {
            "queuedLeaves": intake.queued_leaves,
            "acceptedLeaves": intake.accepted_leaves,
            "trouble": intake.trouble,
        },
        "registry": {"block": registry.snapshot.block, "source": registry.snapshot.source},
        "nodes": [
            {
                "kind": node.kind,
                "usable": node.usable,
                "reason": node.reason.value if node.reason else None,
                "head": node.head,
                "headAge": None if node.head_time is None else round(time.time() - node.head_time, 1),
            }
            for node in gateway.base.chain.rpc.health()
        ],
    }


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(gateway: deps.GatewayDep) -> Response:
    """Bounded labels; nothing about a person or a document."""
    gauges, intake = gateway.metrics, gateway.acceptor.metrics
    gauges.set("intake_queued_leaves", intake.queued_leaves, "Leaves that wait for their commit.")
    gauges.set("intake_queued_bytes", intake.queued_bytes, "Bytes that wait for their commit.")
    gauges.set("intake_trouble", float(intake.trouble is not None), "1 while nothing can be accepted.")
    gauges.set("registry_age_seconds", min(gateway.base.chain.registry.age, 1e9), "Since last confirmed.")
    heads = [n.head for n in gateway.base.chain.rpc.health() if n.head is not None]
    gauges.set("chain_head", max(heads, default=0), "Newest block seen.")
    gauges.set("ready", float((await readiness(gateway)).ready), "1 while ready.")
    return Response(gauges.render(), media_type=CONTENT_TYPE)
