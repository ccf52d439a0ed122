"""What statistics are made of: the events of CaseBatches and CaseLedger, each with its block's time.

Pure. From decoded events of a node, or from rows of `cases.batch_event` and `cases.change`: the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KINDS = {
    "CaseOpened": "opened",
    "CaseMoved": "moved",
    "CasePaused": "paused",
    "CaseResumed": "resumed",
    "CaseReversed": "reversed",
    "CaseOverdue": "overdue",
}


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """An import or a recall. `totals`: commitment to the sums, zero where there is none."""

    sequence: int
    root: bytes
    recalled: bool
    owner: int
    count: int
    totals: bytes
    time: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> BatchEvent:
        """From a row of `cases.batch_event`."""
        return cls(
            row["sequence"], bytes(row["root"]), row["recalled"], row["organisation"], row["count"] or 0,
            bytes(row["totals"] or bytes(32)), row["time"],
        )  # fmt: skip

    @classmethod
    def from_chain(cls, name: str, values: Mapping[str, Any], time: int) -> BatchEvent:
        """From a decoded event of CaseBatches."""
        recalled = name == "BatchRecalled"
        return cls(
            values["sequence"], values["root"], recalled, values["organisation"],
            0 if recalled else values["count"], bytes(32) if recalled else values["totals"], time,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One event of a case. `stage` is where it stands afterwards, `deadline` 0 where none runs.

    `root`, `owner`, `product` and `policy` are said when it is opened, and only then. A lapse is *lapsed*.
    """

    sequence: int
    kind: str
    case_id: bytes
    version: int
    time: int
    stage: int | None = None
    deadline: int = 0
    transition: int = 0
    root: bytes = b""
    owner: int = 0
    product: int = 0
    policy: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> CaseEvent:
        """From a row of `cases.change` joined with its case's root, owner, product and policy."""
        kind = row["kind"]
        opened = kind == "opened"
        return cls(
            row["sequence"], kind, bytes(row["case_id"]), row["version"], row["time"], row["stage"],
            row["deadline"] or 0, row["transition"] or 0,
            bytes(row["root"]) if opened else b"",
            *((row["owner"], row["product"], row["policy"]) if opened else (0, 0, 0)),
        )  # fmt: skip

    @classmethod
    def from_chain(cls, name: str, values: Mapping[str, Any], time: int) -> CaseEvent:
        """From a decoded event of CaseLedger."""
        kind = _KINDS[name]
        if kind == "moved" and values["organisation"] == 0:
            kind = "lapsed"
        opened = kind == "opened"
        return cls(
            values["sequence"], kind, values["caseId"], 1 if opened else values["version"], time,
            values.get("to", values.get("stage", 1 if opened else None)),
            values.get("deadline", 0), values.get("transition", 0),
            values["root"] if opened else b"",
            *((values["owner"], values["product"], values["policy"]) if opened else (0, 0, 0)),
        )  # fmt: skip
