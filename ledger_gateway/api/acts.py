"""`/v1/acts`: relay of signed acts of any member to the chain."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request

from chain.outbox import Outcome
from ledger_gateway.acts import RelayedAct
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import ActDocument, ActState, problems
from ledger_gateway.api.submissions import UNPROVEN
from ledger_gateway.edge import json_body

router = APIRouter(prefix="/v1/acts", tags=["acts"])


@router.post(
    "",
    status_code=202,
    summary="Relay a signed act; any member's gateway takes any member's act",
    response_model=ActState,
    responses=problems(409, 413, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ActDocument.model_json_schema()}},
        }
    },
)
async def relay_act(
    request: Request,
    gateway: deps.GatewayDep,
    idempotency_key: Annotated[str | None, Header(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = None,
) -> dict[str, Any]:
    """The act carries its own signature; the contract checks it. Repeating it changes nothing."""
    gateway.unproven.take(UNPROVEN)
    document = await json_body(request, gateway.settings.max_json_bytes, gateway.settings.body_timeout)
    act = await gateway.relay.submit(document, idempotency_key)
    return state_of(act.id, await gateway.relay.outcome(act.id), act)


@router.get(
    "/{act_id}",
    summary="What became of a relayed act",
    response_model=ActState,
    responses=problems(404, 422, 429),
)
async def act_state(act_id: str, gateway: deps.GatewayDep) -> dict[str, Any]:
    """Public like the chain itself."""
    gateway.unproven.take(UNPROVEN)
    return state_of(act_id, await gateway.relay.outcome(deps.evidence_id_of(act_id).hex()))


def state_of(act_id: str, outcome: Outcome, act: RelayedAct | None = None) -> dict[str, Any]:
    """The JSON form; `code` is the contract's error name when it refused."""
    return {
        "id": act_id,
        "act": act.name if act else None,
        "state": str(outcome.state),
        "transaction": outcome.transaction_hash.hex(),
        "blockNumber": outcome.block_number,
        "blockHash": outcome.block_hash.hex() if outcome.block_hash else None,
        "code": outcome.reason_code,
    }
