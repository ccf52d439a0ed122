"""`/v1/my/case`: a debtor's own case, opened by its code."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from cases.consumer import my_case
from cases.errors import CaseCodeExpired, CaseCodeRefused
from ledger_gateway.api import deps
from ledger_gateway.api.case_schemas import MyCase
from ledger_gateway.api.schemas import problems
from ledger_gateway.problems import NotAuthenticated

router = APIRouter(prefix="/v1", tags=["cases"])
SCHEME = "casecode "
_EVERYBODY = 0


@router.get("/my/case", summary="My own case", response_model=MyCase, responses=problems(401, 429, 503))
async def show_my_case(
    request: Request, gateway: deps.GatewayDep, readers: deps.ReadersDep
) -> dict[str, Any]:
    """`Authorization: CaseCode XXXX-…`, never in an address. What happened, what can be done, who looked."""
    code = request.headers.get("authorization", "")
    if code[: len(SCHEME)].lower() != SCHEME:
        raise NotAuthenticated(
            "a case code is needed", field="authorization", hint="Authorization: CaseCode …"
        )
    readers.wrong_codes.check(_EVERYBODY)
    try:
        case_id = await readers.codes.open(code[len(SCHEME) :], readers.now())
    except (CaseCodeRefused, CaseCodeExpired):
        readers.wrong_codes.charge(_EVERYBODY)
        raise
    found = await readers.reading.of_debtor(case_id)
    looks = await readers.looks.of(case_id)
    members = gateway.base.chain.registry.organisation
    return my_case(found, looks, lambda index: one.roles if (one := members(index)) else 0)
