"""`/v1/reminders`: deadlines that come near, for whoever keeps an eye on them (docs/spec/case.md §10)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from cases import reminders
from cases.calendar import local
from ledger_gateway.api import deps
from ledger_gateway.api.schemas import problems

router = APIRouter(prefix="/v1", tags=["cases"])


class ReminderView(BaseModel):
    """One reminder. Times in seconds UTC, and as a person in Shanghai reads them."""

    id: str
    caseId: str
    version: int
    stage: int
    deadline: int
    deadlineShanghai: str
    provisional: bool
    percent: int = Field(description="part of the clock that has run: 50, 80 or 100")
    dueAt: int
    dueAtShanghai: str
    madeAt: int
    testClock: bool


class ReminderPage(BaseModel):
    """`next`: what to ask with the next time; `more`: whether at once."""

    items: list[ReminderView]
    next: int
    more: bool


@router.get(
    "/reminders",
    summary="Reminders of running deadlines, in the order in which they were made",
    response_model=ReminderPage,
    responses=problems(401, 403, 404, 422, 429),
)
async def list_reminders(
    gateway: deps.GatewayDep,
    viewer: deps.ViewerDep,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=reminders.MOST)] = reminders.MOST,
) -> dict[str, Any]:
    """Of the cases that the caller may see. Asked from the last `next`, each comes at least once."""
    deps.require_cases(gateway)
    async with gateway.base.pool.acquire() as conn:
        page = await reminders.page(conn, viewer, after, limit)
    items = [
        {
            "id": one.id.hex(),
            "caseId": one.case_id.hex(),
            "version": one.version,
            "stage": one.stage,
            "deadline": one.deadline,
            "deadlineShanghai": _read(one.deadline),
            "provisional": one.provisional,
            "percent": one.percent,
            "dueAt": one.due_at,
            "dueAtShanghai": _read(one.due_at),
            "madeAt": one.made_at,
            "testClock": one.test_clock,
        }
        for one in page.reminders
    ]
    return {"items": items, "next": page.next, "more": page.more}


def _read(time: int) -> str:
    return f"{local(time):%Y-%m-%d %H:%M:%S}"
