"""`/v1/organisations`, `/v1/logs`: the registry and the logs as this gateway sees them. Public facts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from evidence.logs import load_logs, log_status
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import Logs, Organisations, problems
from ledger_gateway.api.submissions import UNPROVEN
from protocol.acts import Role

router = APIRouter(prefix="/v1", tags=["directory"])


@router.get(
    "/organisations",
    summary="Members of the consortium",
    response_model=Organisations,
    responses=problems(429, 503),
)
async def organisations(gateway: deps.GatewayDep) -> dict[str, Any]:
    """From the registry's final state; who relies on a key compares it with an own node."""
    gateway.unproven.take(UNPROVEN)
    snapshot = gateway.base.chain.registry.snapshot
    return {
        "block": snapshot.block,
        "source": snapshot.source,
        "organisations": [
            {
                "index": one.index,
                "id": one.id.hex(),
                "roles": [role.name.lower() for role in Role if one.roles & role.mask],
                "interestGroup": one.interest_group,
                "vote": one.vote,
                "active": one.active,
                "suspendedUntil": one.suspended_until,
                "hpkeKey": one.hpke_key.hex() if one.hpke_key else None,
                "hpkeNotBefore": one.hpke_not_before,
                "hpkeNotAfter": one.hpke_not_after,
            }
            for one in snapshot.organisations.values()
        ],
    }


@router.get("/logs", summary="Logs of this gateway", response_model=Logs, responses=problems(429, 503))
async def all_logs(gateway: deps.GatewayDep) -> dict[str, Any]:
    """`operated`: whether this gateway accepts for the log."""
    gateway.unproven.take(UNPROVEN)
    views = []
    for log in await load_logs(gateway.base.pool):
        size = await gateway.base.pool.fetchval(
            "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", log.log_no
        )
        views.append(
            {
                "logId": log.log_id.hex(),
                "origin": log.origin,
                "operator": log.operator,
                "operated": log in gateway.base.logs,
                "status": str(await log_status(gateway.base.pool, log.log_no)),
                "size": int(size or 0),
            }
        )
    return {"logs": views}
