"""`/v1/case-statistics`: figures that anybody with a node computes again (docs/spec/statistics.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from cases.statistics import View
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import problems
from protocol.hashing import sha256

router = APIRouter(prefix="/v1", tags=["cases"])
JSON = "application/json"


@router.get(
    "/case-statistics",
    summary="Statistics of cases, as of a block that is named",
    responses={
        200: {"content": {JSON: {"schema": {"type": "object", "description": "docs/spec/statistics.md §7"}}}},
        304: {"description": "unchanged"},
        **problems(401, 403, 404, 422, 429, 503),
    },
)
async def case_statistics(
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    view: Annotated[View | None, Query(description="public, full, or own")] = None,
    owner: Annotated[int | None, Query(ge=1, le=2**32 - 1, description="for the view own")] = None,
    block: Annotated[int | None, Query(ge=0, le=2**53 - 1, description="up to this block")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Canonical JSON: `caseledger stats recompute --from-chain` gives the same bytes from a node alone.

    Regulator and centre see all; an institution its own and the city's totals, as of yesterday's last block.
    """
    data = await deps.require_cases(gateway).statistics.report(viewer, view, owner, block)
    tag = f'"{sha256(data).hex()}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(data, media_type=JSON, headers={"etag": tag})
