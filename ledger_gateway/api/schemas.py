"""What crosses the HTTP boundary, for OpenAPI and for shape checks. Hex is lower case without prefix."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


class ProblemDocument(BaseModel):
    """RFC 9457, with the five members of every boundary."""

    type: str
    status: int
    code: str
    title: str
    detail: str | None
    field: str | None
    hint: str | None
    instance: str


_DESCRIPTIONS: Final = {
    401: "no valid login act, or a signature that does not hold",
    403: "this key or organisation may not",
    404: "not there, or not for you",
    409: "contradicts what is there",
    413: "too large",
    415: "unknown media type",
    422: "not readable, or against a rule",
    429: "rate used up; Retry-After",
    503: "busy or down; Retry-After; nothing was done",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries of error answers."""
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}},
        }
        for status in statuses
    }


class Strict(BaseModel):
    """Requests: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FindRequest(Strict):
    """The digest goes in the body, never in a URL: URLs end up in logs."""

    contentSha256: Hex32


class ReceiptsRequest(Strict):
    ids: Annotated[list[Hex32], Field(min_length=1, max_length=1000)]


class ActDocument(BaseModel):
    """A signed act; `request` has the members of its EIP-712 type string."""

    act: str
    request: dict[str, Any] | None = None
    signature: Hex | None = None
    proof: list[Hex32] | None = None
    proposal: dict[str, Any] | None = None


class ActState(BaseModel):
    id: Hex32
    act: str | None
    state: str
    transaction: Hex32
    blockNumber: int | None
    blockHash: Hex32 | None
    code: str | None


class CaseActDocument(Strict):
    """A signed act on a case (docs/spec/case.md section 8); `request` has the members of its type string."""

    act: str
    request: dict[str, Any]
    signature: Hex | None = None
    coSignature: Hex | None = None
    evidence: Annotated[list[Hex32], Field(max_length=16)] | None = None


class CaseActState(BaseModel):
    id: Hex32
    caseId: Hex32
    act: str
    state: str
    organisation: int
    coOrganisation: int
    validUntil: int
    expiresAt: int | None
    document: dict[str, Any] | None
    transaction: Hex32 | None
    blockNumber: int | None
    blockHash: Hex32 | None
    code: str | None
    rule: dict[str, Any] | None
    case: dict[str, Any] | None


class CaseActStates(BaseModel):
    items: list[CaseActState]


class CasePosition(BaseModel):
    case: dict[str, Any]
    steps: list[dict[str, Any]]
    waiting: list[CaseActState]


class CaseForecast(BaseModel):
    taken: bool
    case: dict[str, Any] | None


class LogView(BaseModel):
    logId: Hex32
    origin: str
    operator: int
    operated: bool
    status: str
    size: int


class Logs(BaseModel):
    logs: list[LogView]


class OrganisationView(BaseModel):
    index: int
    id: Hex32
    roles: list[str]
    interestGroup: int
    vote: bool
    active: bool
    suspendedUntil: int
    hpkeKey: Hex32 | None
    hpkeNotBefore: int
    hpkeNotAfter: int


class Organisations(BaseModel):
    block: int
    source: str
    organisations: list[OrganisationView]


class Page(BaseModel):
    items: list[dict[str, Any]]
    next: str | None


class Found(BaseModel):
    items: list[dict[str, Any]]


class ReceiptResult(BaseModel):
    id: Hex32
    receipt: str | None = None
    state: str | None = None
    error: dict[str, Any] | None = None


class ReceiptResults(BaseModel):
    results: list[ReceiptResult]


class EntryHex(Strict):
    header: Hex
    body: Hex


class SubmissionDocument(Strict):
    """docs/spec/entry.md section 4."""

    version: int
    logId: Hex32
    organisation: int
    validUntil: int
    signature: Hex
    entries: Annotated[list[EntryHex], Field(min_length=1, max_length=4096)]


class AcceptanceDocument(BaseModel):
    """docs/spec/entry.md section 5."""

    version: int
    promise: Hex
    signature: Hex
    firstSequence: int
    firstIndex: int
    count: int
    groupPosition: int
    groupPath: list[Hex32]
