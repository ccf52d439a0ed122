"""`/v1/evidence`, `/v1/receipts`: what the caller may know of entries, and receipts."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from ledger_gateway.api import deps
from ledger_gateway.api.schemas import (
    FindRequest,
    Found,
    Page,
    ReceiptResults,
    ReceiptsRequest,
    problems,
)
from ledger_gateway.custody import custody_of, record_handed_out
from ledger_gateway.problems import http_status
from ledger_gateway.views import View, view_of
from protocol.errors import CaseledgerError
from protocol.hashing import sha256

router = APIRouter(prefix="/v1", tags=["evidence"])
CBOR = "application/cbor"
READ_ERRORS = problems(401, 403, 422, 429, 503)
EVIDENCE_ERRORS = problems(401, 403, 404, 422, 429, 503)


@router.get("/evidence", summary="Entries of the caller", response_model=Page, responses=READ_ERRORS)
async def list_evidence(
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    case_id: deps.CaseDep,
    case: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="case commitment")] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Newest first. A case is named by its commitment; `next` continues, null at the end."""
    commitment = None if case is None else bytes.fromhex(case)
    page = await gateway.service.list(viewer, case=commitment, case_id=case_id, cursor=cursor, limit=limit)
    return {"items": [item.as_json() for item in page.items], "next": page.next}


@router.post("/evidence/find", summary="Entries over a document", response_model=Found, responses=READ_ERRORS)
async def find(
    request: FindRequest, gateway: deps.GatewayDep, viewer: deps.ViewerDep, case_id: deps.CaseDep
) -> dict[str, Any]:
    """Within what the caller may know; a hit elsewhere looks like a miss."""
    items = await gateway.service.find_by_digest(
        bytes.fromhex(request.contentSha256), viewer, case_id=case_id
    )
    return {"items": [item.as_json() for item in items]}


@router.get("/evidence/{evidence_id}", summary="One entry", responses=EVIDENCE_ERRORS)
async def show(
    evidence_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep, case_id: deps.CaseDep
) -> dict[str, Any]:
    """State, place in the log, batch, anchor, links."""
    item = await gateway.service.show(deps.evidence_id_of(evidence_id), viewer, case_id=case_id)
    return item.as_json()


@router.get(
    "/evidence/{evidence_id}/receipt",
    summary="The receipt, once anchored",
    responses={
        200: {"content": {CBOR: {}, **{one.media_type: {} for one in View}}},
        304: {"description": "unchanged: a receipt's core never changes"},
        **problems(401, 403, 404, 409, 422, 429, 503),
    },
)
async def receipt(
    evidence_id: str,
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    case_id: deps.CaseDep,
    if_none_match: Annotated[str | None, Header()] = None,
    view: Annotated[View | None, Query(description="in another format, docs/spec/views.md")] = None,
) -> Response:
    """Deterministic CBOR, docs/spec/receipt.md; its core never changes. 409 while it is not ready."""
    data = await gateway.service.receipt(deps.evidence_id_of(evidence_id), viewer, case_id=case_id)
    whole = data
    if view is not None:
        data = await view_of(gateway, data, view)
    tag = f'"{sha256(data).hex()}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"etag": tag})
    await record_handed_out(gateway.custody, viewer.organisation, [whole])
    media_type = CBOR if view is None else view.media_type
    return Response(data, media_type=media_type, headers={"etag": tag})


@router.post("/receipts", summary="Many receipts", response_model=ReceiptResults, responses=READ_ERRORS)
async def receipts(
    request: ReceiptsRequest, gateway: deps.GatewayDep, viewer: deps.ViewerDep, case_id: deps.CaseDep
) -> dict[str, Any]:
    """One result for each id, in order: `receipt` (base64), or `state` while pending, or `error`."""
    ids = [bytes.fromhex(identifier) for identifier in request.ids]
    results = await gateway.service.receipts(ids, viewer, case_id=case_id)
    made = [one for one in results if isinstance(one, bytes)]
    await record_handed_out(gateway.custody, viewer.organisation, made)
    return {"results": [_result(name, result) for name, result in zip(request.ids, results, strict=True)]}


@router.get(
    "/evidence/{evidence_id}/custody",
    summary="The custody sheet",
    responses={200: {"content": {CBOR: {}}}, **problems(401, 403, 404, 409, 422, 429, 503)},
)
async def custody_sheet(
    evidence_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep, case_id: deps.CaseDep
) -> Response:
    """Deterministic CBOR, docs/spec/custody.md: anchored events, and the log's word about their number."""
    service = custody_of(gateway.custody).service
    data = await service.sheet(deps.evidence_id_of(evidence_id), viewer, case_id=case_id)
    return Response(data, media_type=CBOR)


@router.get("/evidence/{evidence_id}/custody/chain", summary="Custody as accepted", responses=EVIDENCE_ERRORS)
async def custody_chain(
    evidence_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep, case_id: deps.CaseDep
) -> dict[str, Any]:
    """What the next event continues, and the last events, anchored or not."""
    service = custody_of(gateway.custody).service
    chain = await service.chain(deps.evidence_id_of(evidence_id), viewer, case_id=case_id)
    return chain.as_json()


def _result(identifier: str, result: bytes | CaseledgerError) -> dict[str, Any]:
    if isinstance(result, bytes):
        return {"id": identifier, "receipt": base64.b64encode(result).decode()}
    pending = result.code == "ReceiptNotReady"
    return {
        "id": identifier,
        "state": "PENDING" if pending else None,
        "error": {"status": http_status(result), **result.as_dict()},
    }
