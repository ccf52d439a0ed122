"""`/v1/case-batches`, `/v1/cases/{id}/row`: how cases come here, and sealed rows for their recipients."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from ledger_gateway.api import deps
from ledger_gateway.api.acts import state_of
from ledger_gateway.api.case_batch_schemas import (
    CaseBatchPage,
    CaseBatchTaken,
    CaseBatchView,
    SealedCaseRow,
)
from ledger_gateway.api.schemas import ActDocument, ActState, problems
from ledger_gateway.edge import body_pieces, json_body

router = APIRouter(prefix="/v1", tags=["cases"])
FILE = "application/octet-stream"
_BINARY = {"schema": {"type": "string", "format": "binary", "description": "docs/spec/case.md, section 4"}}


@router.put(
    "/case-batches/{batch_id}",
    status_code=201,
    summary="Hand in a batch file, whole or not at all",
    response_model=CaseBatchTaken,
    responses={
        200: {"model": CaseBatchTaken, "description": "was here already"},
        **problems(401, 403, 404, 409, 413, 422, 429, 503),
    },
    openapi_extra={"requestBody": {"required": True, "content": {FILE: _BINARY}}},
)
async def put_case_batch(
    batch_id: str, request: Request, response: Response, gateway: deps.GatewayDep, viewer: deps.ViewerDep
) -> dict[str, Any]:
    """By the institution whose cases they are. The same file again is answered the same; another one
    under the same id or root is refused."""
    service, limits = deps.case_batches_of(gateway), gateway.settings
    pieces = body_pieces(request.scope, request.receive, limits.max_batch_bytes, limits.body_timeout)
    taken = await service.intake.take(deps.batch_of(batch_id, "batchId"), viewer.organisation, pieces)
    response.status_code = 201 if taken.new else 200
    return {"batchId": batch_id, "root": taken.root.hex(), "count": taken.count}


@router.post(
    "/case-batches/{root}/acts",
    status_code=202,
    summary="Relay a signed Import or Recall of a batch whose file is here",
    response_model=ActState,
    responses=problems(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ActDocument.model_json_schema()}},
        }
    },
)
async def act_on_batch(
    root: str,
    request: Request,
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    idempotency_key: Annotated[str | None, Header(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = None,
) -> dict[str, Any]:
    """The act carries the institution's signature; the contract checks it. Repeating it changes nothing."""
    service = deps.case_batches_of(gateway)
    document = await json_body(request, gateway.settings.max_json_bytes, gateway.settings.body_timeout)
    act = await service.act(deps.batch_of(root), document, viewer, idempotency_key)
    return state_of(act.id, await gateway.relay.outcome(act.id), act)


@router.get(
    "/case-batches",
    summary="Batches: an institution's own; all for centre and regulator",
    response_model=CaseBatchPage,
    responses=problems(401, 404, 422, 429, 503),
)
async def list_case_batches(
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    cursor: Annotated[str | None, Query(max_length=80)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """Newest first; `next` continues, null at the end."""
    page = await deps.case_batches_of(gateway).batches.page(viewer, cursor, limit)
    return {"items": [one.as_json() for one in page.items], "next": page.next}


@router.get(
    "/case-batches/{root}",
    summary="One batch: received, imported or recalled, and how many of its cases moved",
    response_model=CaseBatchView,
    responses=problems(401, 404, 422, 429, 503),
)
async def show_case_batch(root: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """As of the last block that this gateway has read."""
    return (await deps.case_batches_of(gateway).batches.show(deps.batch_of(root), viewer)).as_json()


@router.get(
    "/cases/{case_id}/row",
    summary="The sealed row of a case, with its key wrapped for the caller",
    response_model=SealedCaseRow,
    responses=problems(401, 404, 422, 429, 503),
)
async def case_row(case_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """For recipients of the batch that see the case; only they can open it."""
    sealed = await deps.case_batches_of(gateway).batches.row(deps.case_of(case_id), viewer)
    return sealed.as_json()
