"""Batches and sealed rows as they cross the HTTP boundary. Times in seconds UTC, null for what is not."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ledger_gateway.api.schemas import Hex32


class CaseBatchTaken(BaseModel):
    batchId: Hex32
    root: Hex32
    count: int


class CaseBatchView(BaseModel):
    root: Hex32
    state: Literal["received", "imported", "recalled"]
    owner: int
    count: int
    moved: int
    batchId: Hex32 | None
    madeAt: int | None
    receivedAt: int | None
    fileDigest: Hex32 | None
    recipients: list[int]
    importedAt: int | None
    importedBlock: int | None
    importedBy: Hex32 | None
    policy: int | None
    rules: Hex32 | None
    totals: Hex32 | None
    recalledAt: int | None


class CaseBatchPage(BaseModel):
    items: list[CaseBatchView]
    next: str | None


class SealedCaseRow(BaseModel):
    """`wrapped` and `ciphertext` in base64; `path` leads from the leaf to the root."""

    caseId: Hex32
    leaf: str
    root: Hex32
    index: int
    size: int
    path: list[Hex32]
    organisation: int
    wrapped: str
    ciphertext: str
