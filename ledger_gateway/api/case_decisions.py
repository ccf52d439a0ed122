"""`/v1/cases/{id}/decisions`: decisions of triage, sealed (docs/spec/triage.md §5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from ledger_gateway.api import deps
from ledger_gateway.api.schemas import Hex32, Strict, problems
from ledger_gateway.edge import json_body
from protocol.case_decision import MAX_SEALED, parse_decision

router = APIRouter(prefix="/v1", tags=["cases"])
Base64 = Annotated[str, Field(max_length=2 * MAX_SEALED)]
Organisation = Annotated[int, Field(ge=1, le=2**32 - 1)]


class DecisionDocument(Strict):
    """A decision record, sealed to the recipients of the case's batch, in their order."""

    commitment: Hex32
    previous: Hex32 | None
    recipients: Annotated[list[Organisation], Field(min_length=1, max_length=16)]
    ciphertext: Base64
    wrapped: Annotated[list[Base64], Field(min_length=1, max_length=16)]


class DecisionView(BaseModel):
    number: int
    commitment: Hex32
    previous: Hex32 | None
    organisation: int
    receivedAt: int
    recipients: list[int]
    ciphertext: str | None
    wrapped: str | None


class DecisionViews(BaseModel):
    items: list[DecisionView]


@router.post(
    "/cases/{case_id}/decisions",
    status_code=201,
    summary="Keep a sealed decision of triage; an override names the one before",
    response_model=DecisionView,
    responses=problems(401, 404, 409, 413, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": DecisionDocument.model_json_schema()}},
        }
    },
)
async def keep_decision(
    case_id: str, request: Request, gateway: deps.GatewayDep, viewer: deps.ViewerDep
) -> dict[str, Any]:
    """By whoever gets the case's sealed row. The same record again changes nothing; none is ever removed."""
    document = await json_body(request, gateway.settings.max_json_bytes, gateway.settings.body_timeout)
    sealed, recipients = parse_decision(document, deps.case_of(case_id))
    return (await deps.require_cases(gateway).decisions.keep(sealed, recipients, viewer)).as_json()


@router.get(
    "/cases/{case_id}/decisions",
    summary="Decisions on a case, first to last; content for recipients alone",
    response_model=DecisionViews,
    responses=problems(401, 404, 422, 429, 503),
)
async def list_decisions(case_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """Whoever sees the case sees that it was decided, when and by which commitment."""
    found = await deps.require_cases(gateway).decisions.of(deps.case_of(case_id), viewer)
    return {"items": [one.as_json() for one in found]}
