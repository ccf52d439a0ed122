"""`/v1/deadlines`: what runs out when, as JSON and for calendars."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from cases.calendar import day_of, first_second
from cases.icalendar import MEDIA_TYPE
from cases.listing import MOST_ROWS, Filters
from cases.paging import Sort
from ledger_gateway.api import deps
from ledger_gateway.api.case_schemas import CasePage
from ledger_gateway.api.cases import READ, Cursor, FiltersDep

router = APIRouter(prefix="/v1", tags=["cases"])
Within = Annotated[
    int | None,
    Query(ge=0, le=3660, description="due today or in so many days, in Shanghai; overdue ones too"),
]


def due_within(wanted: Filters, days: int | None, now: int) -> Filters:
    """The filters, with the end of the last day."""
    if days is None:
        return wanted
    end = first_second(day_of(now) + days + 1)
    return replace(wanted, due_before=min(end, wanted.due_before or end))


@router.get("/deadlines", summary="Deadlines that run", response_model=CasePage, responses=READ)
async def deadlines(
    readers: deps.ReadersDep,
    viewer: deps.ViewerDep,
    wanted: FiltersDep,
    within: Within = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> dict[str, Any]:
    """The earliest first; of the whole centre for the centre, else of what the caller sees."""
    now = readers.now()
    return await readers.reading.page(
        viewer, due_within(wanted, within, now), Sort.DEADLINE, now=now, cursor=cursor, limit=limit
    )


@router.get(
    "/deadlines.ics",
    summary="The same for a calendar (RFC 5545)",
    responses={200: {"content": {MEDIA_TYPE: {}}}, **READ},
)
async def deadlines_ics(
    readers: deps.ReadersDep, viewer: deps.ViewerDep, wanted: FiltersDep, within: Within = None
) -> Response:
    """At most the next 1,000. No person: a case's short id and its stage."""
    now = readers.now()
    data = await readers.reading.icalendar(viewer, due_within(wanted, within, now), now=now)
    return Response(data, media_type=f"{MEDIA_TYPE}; charset=utf-8")
