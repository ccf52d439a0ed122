"""`/v1/cases/{id}/acts`: how a case moves (docs/spec/case.md §8)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request

from cases.acting import ActState, CaseActs
from cases.lifecycle import Transition
from ledger_gateway.acts import ActUnknown
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import (
    CaseActDocument,
    CaseActState,
    CaseActStates,
    CaseForecast,
    CasePosition,
    problems,
)
from ledger_gateway.api.submissions import UNPROVEN
from ledger_gateway.edge import json_body
from ledger_gateway.problems import IdempotencyConflict
from protocol.hashing import sha256

router = APIRouter(prefix="/v1", tags=["cases"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": CaseActDocument.model_json_schema()}},
    }
}
KeyHeader = Annotated[str | None, Header(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


@router.post(
    "/cases/{case_id}/acts",
    status_code=202,
    summary="Move, pause, resume or take back a case by a signed act",
    response_model=CaseActState,
    responses=problems(403, 404, 409, 413, 422, 429, 503),
    openapi_extra=_BODY,
)
async def act_on_case(
    case_id: str, request: Request, gateway: deps.GatewayDep, idempotency_key: KeyHeader = None
) -> dict[str, Any]:
    """The act carries its own signatures; the contract decides. An act that a second organisation has to sign
    waits here for it. Repeating an act changes nothing."""
    gateway.unproven.take(UNPROVEN)
    document = await json_body(request, gateway.settings.max_json_bytes, gateway.settings.body_timeout)
    acts = deps.case_acts_of(gateway)
    name = None if idempotency_key is None else sha256(b"idempotency-key" + idempotency_key.encode())
    state = await acts.submit(deps.case_of(case_id), document, name)
    if name is not None and not acts.same(state, document):
        raise IdempotencyConflict("the key was used for another act", field="idempotency-key")
    return state_of(state)


@router.post(
    "/cases/{case_id}/acts/check",
    summary="Would this act be taken now? Without signatures, nothing is sent",
    response_model=CaseForecast,
    responses=problems(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra=_BODY,
)
async def check_act(
    case_id: str, request: Request, gateway: deps.GatewayDep, viewer: deps.ViewerDep
) -> dict[str, Any]:
    """Refusals are those of the contract, but for signatures and keys, which are not looked at."""
    document = await json_body(request, gateway.settings.max_json_bytes, gateway.settings.body_timeout)
    after = await deps.case_acts_of(gateway).check(deps.case_of(case_id), document, viewer)
    return {"taken": True, "case": None if after is None else after.as_json()}


@router.get(
    "/cases/{case_id}/acts",
    summary="Where a case stands, what the caller could do now, and what waits for a signature",
    response_model=CasePosition,
    responses=problems(401, 404, 422, 429),
)
async def case_position(case_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """Read from the chain's newest block. A case that the caller neither sees nor may move is not there."""
    found = await deps.case_acts_of(gateway).position(deps.case_of(case_id), viewer)
    return {
        "case": found.case.as_json(),
        "steps": [step_of(step) for step in found.steps],
        "waiting": [state_of(one) for one in found.waiting],
    }


@router.get(
    "/cases/{case_id}/acts/{act_id}",
    summary="What became of an act on a case",
    response_model=CaseActState,
    responses=problems(401, 404, 422, 429),
)
async def case_act_state(
    case_id: str, act_id: str, gateway: deps.GatewayDep, viewer: deps.ViewerDep
) -> dict[str, Any]:
    """An act that waits for a second signature is shown to the two organisations alone."""
    acts: CaseActs = deps.case_acts_of(gateway)
    found = await acts.state(deps.case_of(case_id), deps.evidence_id_of(act_id), viewer.organisation)
    if found is None:
        raise ActUnknown("no such act on this case", field="id")
    return state_of(found)


@router.get(
    "/case-acts/waiting",
    summary="Acts that wait for a second signature and name the caller's organisation",
    response_model=CaseActStates,
    responses=problems(401, 429),
)
async def waiting_acts(gateway: deps.GatewayDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """Oldest first; those that the caller has signed and those that it is asked to sign."""
    found = await deps.case_acts_of(gateway).waiting(viewer.organisation)
    return {"items": [state_of(one) for one in found]}


def step_of(step: Transition) -> dict[str, Any]:
    """A step in JSON: what it is called, what it needs, and whether time alone makes it."""
    return {
        "name": step.name,
        "label": {"zh": step.label.zh, "en": step.label.en},
        "article": step.article,
        "reasons": [reason.name for reason in step.reasons],
        "evidence": [[number.name.lower().replace("_", "-") for number in n.classes] for n in step.evidence],
        "coSigned": bool(step.beside),
        "lapse": step.lapse,
    }


def state_of(state: ActState) -> dict[str, Any]:
    """The JSON form; `document` while the act waits, so that the other organisation can sign it."""
    act, outcome = state.act, state.outcome
    return {
        "id": act.id.hex(),
        "caseId": act.case_id.hex(),
        "act": act.name,
        "state": "waiting" if outcome is None else str(outcome.state),
        "organisation": act.organisation,
        "coOrganisation": act.co_organisation,
        "validUntil": act.valid_until,
        "expiresAt": act.expires_at if act.waiting else None,
        "document": act.document if act.waiting else None,
        "transaction": outcome.transaction_hash.hex() if outcome and outcome.transaction_hash else None,
        "blockNumber": outcome.block_number if outcome else None,
        "blockHash": outcome.block_hash.hex() if outcome and outcome.block_hash else None,
        "code": outcome.reason_code if outcome else None,
        "rule": state.rule.as_json() if state.rule else None,
        "case": state.case.as_json() if state.case else None,
    }
