"""`/v1/cases`: where cases stand and what happened to them (docs/spec/http.md §5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from cases import reading
from cases.codes import DEFAULT_DAYS, MOST_DAYS
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.listing import MOST_ROWS, Filters
from cases.paging import Sort
from ledger_gateway.api import deps
from ledger_gateway.api.case_schemas import CaseCode, CasePage, CaseShown, LifecycleShown, Timeline
from ledger_gateway.api.schemas import Strict, problems
from ledger_gateway.problems import Forbidden, InvalidRequest
from protocol.acts import Role

CBOR = "application/cbor"
router = APIRouter(prefix="/v1", tags=["cases"])
READ = problems(401, 404, 422, 429, 503)
_PRODUCTS = {product.name: product.code for product in LIFECYCLE_V1.products.values()}
_TIME = {"ge": 0, "lt": 2**40}
Hex32Query = Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")]
Index = Annotated[int | None, Query(ge=1, lt=2**32)]
Cursor = Annotated[str | None, Query(max_length=200)]


def stage_codes(names: list[str]) -> tuple[int, ...]:
    """Codes of stages by name. Raises InvalidRequest."""
    wanted = {name for given in names for name in given.split(",") if name}
    try:
        return tuple(sorted(LIFECYCLE_V1.stage(name).code for name in wanted))
    except KeyError:
        raise InvalidRequest("not a stage", field="stage", hint="GET /v1/lifecycle lists them") from None


def filters(
    stage: Annotated[
        list[str], Query(max_length=64, description="names; again or with commas for more")
    ] = [],  # noqa: B006
    product: Annotated[str | None, Query(max_length=64)] = None,
    owner: Index = None,
    court: Index = None,
    batch: Hex32Query = None,
    overdue: Annotated[bool, Query(description="the deadline has passed, and is not provisional")] = False,
    due_before: Annotated[int | None, Query(alias="dueBefore", **_TIME)] = None,
    due_from: Annotated[int | None, Query(alias="dueFrom", **_TIME)] = None,
    paused: Annotated[bool | None, Query(description="a pause is open")] = None,
    provisional: bool | None = None,
    prefix: Annotated[
        str | None, Query(pattern=r"^([0-9a-f]{2}){4,32}$", description="how the case id begins")
    ] = None,
) -> Filters:
    """What a list is narrowed to."""
    if product is not None and product not in _PRODUCTS:
        raise InvalidRequest("not a product", field="product", hint="GET /v1/lifecycle lists them")
    return Filters(
        stages=stage_codes(stage),
        product=None if product is None else _PRODUCTS[product],
        owner=owner,
        court=court,
        batch=None if batch is None else bytes.fromhex(batch),
        overdue=overdue,
        due_before=due_before,
        due_from=due_from,
        paused=paused,
        provisional=provisional,
        prefix=None if prefix is None else bytes.fromhex(prefix),
    )


FiltersDep = Annotated[Filters, Depends(filters)]


@router.get("/cases", summary="Cases that the caller may see", response_model=CasePage, responses=READ)
async def list_cases(
    readers: deps.ReadersDep,
    viewer: deps.ViewerDep,
    wanted: FiltersDep,
    sort: Annotated[Sort | None, Query(description="default: deadline where one is asked for")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> dict[str, Any]:
    """A page may be shorter than `limit`; `next` goes on, null at the end."""
    order = sort or (Sort.DEADLINE if wanted.about_time else Sort.CASE)
    return await readers.reading.page(viewer, wanted, order, now=readers.now(), cursor=cursor, limit=limit)


@router.get("/cases/{case_id}", summary="One case", response_model=CaseShown, responses=READ)
async def show_case(case_id: str, readers: deps.ReadersDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """Where it stands, until when and why, and what the caller could do next."""
    found = await readers.reading.find(viewer, deps.case_of(case_id))
    await readers.looks.note(found.case_id, viewer.organisation, readers.now())
    return reading.show(found, viewer, readers.now())


@router.get("/cases/{case_id}/timeline", summary="What happened", response_model=Timeline, responses=READ)
async def case_timeline(case_id: str, readers: deps.ReadersDep, viewer: deps.ViewerDep) -> dict[str, Any]:
    """Every event with its words, its deadline and where on the chain it stands."""
    found = await readers.reading.find(viewer, deps.case_of(case_id))
    await readers.looks.note(found.case_id, viewer.organisation, readers.now())
    return reading.timeline(found, await readers.receipts.kept(found.case_id))


@router.get(
    "/cases/{case_id}/timeline/{sequence}/receipt",
    summary="An event's receipt: a proof of the case's state under the chain's own signatures",
    responses={200: {"content": {CBOR: {}}}, **problems(401, 404, 409, 422, 429, 503)},
)
async def event_receipt(
    case_id: str,
    sequence: Annotated[int, Path(ge=1, lt=2**63)],
    readers: deps.ReadersDep,
    viewer: deps.ViewerDep,
) -> Response:
    """Deterministic CBOR, docs/spec/case-receipt.md. Captured when first asked for, and kept."""
    found = await readers.reading.find(viewer, deps.case_of(case_id))
    await readers.looks.note(found.case_id, viewer.organisation, readers.now())
    data = await readers.receipts.of(found, sequence, readers.now())
    return Response(data, media_type=CBOR)


class CodeRequest(Strict):
    """How long the code opens the case."""

    days: int = DEFAULT_DAYS


@router.post(
    "/cases/{case_id}/code",
    status_code=201,
    summary="A new code with which the debtor reads the case",
    response_model=CaseCode,
    responses=problems(401, 403, 404, 422, 429, 503),
)
async def issue_code(
    case_id: str, readers: deps.ReadersDep, viewer: deps.ViewerDep, request: CodeRequest
) -> dict[str, Any]:
    """By the centre. The code is in this answer and nowhere else; an earlier one of the case ends."""
    found = await readers.reading.find(viewer, deps.case_of(case_id))
    _require_centre(viewer.roles)
    if not 1 <= request.days <= MOST_DAYS:
        raise InvalidRequest(f"1 to {MOST_DAYS} days", field="days")
    issued = await readers.codes.issue(found.case_id, viewer.organisation, readers.now(), request.days)
    return {"code": issued.code, "expiresAt": issued.expires_at}


@router.delete(
    "/cases/{case_id}/code",
    status_code=204,
    summary="Take the code of a case back",
    responses=problems(401, 403, 404, 429, 503),
)
async def revoke_code(case_id: str, readers: deps.ReadersDep, viewer: deps.ViewerDep) -> Response:
    """By the centre. No code: nothing to do."""
    found = await readers.reading.find(viewer, deps.case_of(case_id))
    _require_centre(viewer.roles)
    await readers.codes.revoke(found.case_id, readers.now())
    return Response(status_code=204)


def _require_centre(roles: int) -> None:
    if not roles & Role.CENTRE.mask:
        raise Forbidden("case codes are the centre's", hint="ask the centre")


@router.get(
    "/lifecycle",
    summary="Stages, transitions, pauses and reasons of a policy version",
    response_model=LifecycleShown,
    responses=problems(401, 404, 422, 429, 503),
)
async def lifecycle(
    readers: deps.ReadersDep,
    viewer: deps.ViewerDep,
    policy: Annotated[int | None, Query(ge=1, lt=2**16)] = None,
) -> dict[str, Any]:
    """Without `policy`: the newest."""
    return await readers.reading.lifecycle(policy)
