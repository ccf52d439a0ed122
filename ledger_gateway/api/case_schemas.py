"""What the routes of readers answer, for OpenAPI. Times in seconds UTC, and as read in Shanghai."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Words(BaseModel):
    """Both languages."""

    zh: str
    en: str


class Named(BaseModel):
    """A part of the lifecycle: its code, its name, its label."""

    code: int
    name: str
    label: Words


class Source(Words):
    """An article: as the lifecycle spells it, and cited."""

    source: str


class StageLine(Named):
    court: bool
    final: bool


class StageShown(StageLine):
    plain: Words


class Identity(BaseModel):
    """`short`: how people tell cases apart. `version`: what the next act has to name."""

    caseId: str
    short: str
    owner: int
    court: int | None
    batch: str
    position: int
    policy: int
    testClock: bool
    version: int
    alive: bool


class CaseLine(Identity):
    product: Named | None
    stage: StageLine
    since: int
    sinceShanghai: str
    deadline: int | None
    deadlineShanghai: str | None
    provisional: bool
    overdue: bool
    paused: bool
    markedOverdue: bool


class CasePage(BaseModel):
    items: list[CaseLine]
    next: str | None
    now: int
    nowShanghai: str


class PauseShown(Named):
    article: Source | None
    organisation: int | None
    until: int | None
    untilShanghai: str | None
    fromShanghai: str

    model_config = {"extra": "allow"}  # `from` is a word of Python


class Standing(BaseModel):
    """`why`: article, event and pauses that the deadline rests on; empty where no clock runs."""

    stage: StageShown
    since: int
    sinceShanghai: str
    deadline: int | None
    deadlineShanghai: str | None
    provisional: bool
    why: Words
    markedOverdue: bool
    pauses: list[PauseShown]


class Possible(Named):
    article: Source
    lapse: bool


class CaseShown(Standing, Identity):
    product: Named | None
    overdue: bool
    possible: list[Possible]


class ReceiptPlace(BaseModel):
    """Where on the chain an event stands; `href`: its receipt (docs/spec/case-receipt.md)."""

    chainId: int
    contract: str
    sequence: int
    block: int
    transaction: str
    logIndex: int
    kept: bool
    href: str


class EventShown(Standing):
    kind: str
    label: Words
    plain: Words
    time: int
    timeShanghai: str
    organisation: int | None
    coOrganisation: int | None
    transition: Named | None
    article: Source | None
    reason: Named | None
    pause: Named | None
    fromStage: Named | None
    version: int
    evidence: str | None
    statement: str | None
    note: str | None
    receipt: ReceiptPlace


class Timeline(Identity):
    events: list[EventShown]
    now: Standing


class CaseCode(BaseModel):
    """`code` is shown here alone."""

    code: str
    expiresAt: int


class LifecycleShown(BaseModel):
    """docs/lifecycle.md as data."""

    policy: int
    lifecycle: int
    testClock: bool
    tableHash: str
    sourceDigest: str
    stages: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    pauses: list[dict[str, Any]]
    products: list[dict[str, Any]]


class Who(Words):
    organisation: int


class MyEvent(BaseModel):
    time: int
    timeShanghai: str
    label: Words
    plain: Words
    by: list[Who]
    deadlineShanghai: str | None


class MyLook(BaseModel):
    day: str
    by: Who
    what: Words
    times: int
    lastShanghai: str


class MyStage(BaseModel):
    name: str
    label: Words


class MyCase(BaseModel):
    """A debtor's own case."""

    case: str
    testClock: bool
    stage: MyStage
    says: Words
    since: int
    sinceShanghai: str
    deadline: int | None
    deadlineShanghai: str | None
    provisional: bool
    why: Words
    institution: Who
    canDo: list[Words]
    timeline: list[MyEvent]
    looked: list[MyLook]
