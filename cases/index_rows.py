"""The rows that an event stands for, column by column (0008_cases.sql). Pure.

The projection writes them, `cases.fsck` compares them.
"""

from __future__ import annotations

from typing import Any

from cases.calendar import Year
from cases.machine import CaseState
from cases.replay import Change, ChangeKind
from chain.projection import DecodedEvent

Columns = dict[str, Any]
_DAYS = 48


def policy_row(event: DecodedEvent) -> Columns:
    """Of PolicyActivated."""
    v = event.values
    return {
        "version": v["version"],
        "address": v["policy"],
        "table_hash": v["tableHash"],
        "test_clock": v["testClock"],
        "block_number": event.block_number,
    }


def year_row(event: DecodedEvent) -> Columns:
    """Of CalendarYearSet."""
    year = year_of(event)
    return {
        "sequence": event.sequence,
        "year": year.year,
        "days": year.bits.to_bytes(_DAYS, "big"),
        "notice": year.notice,
        "block_number": event.block_number,
    }


def year_of(event: DecodedEvent) -> Year:
    """The working days that CalendarYearSet gives."""
    v = event.values
    # PostgreSQL has no NUL in a text.
    return Year(v["year"], v["high"] << 256 | v["low"], v["notice"].replace("\0", ""))


def batch_row(event: DecodedEvent, first: CaseState | None) -> Columns:
    """Of BatchImported, with `first` a case of it as it would come to life then, and of BatchRecalled."""
    v = event.values
    return {
        "sequence": event.sequence,
        "root": v["root"],
        "recalled": first is None,
        "organisation": v["organisation"],
        "count": v.get("count"),
        "policy": v.get("policy"),
        "rules": v.get("rules"),
        "totals": v.get("totals"),
        "deadline": None if first is None else first.deadline,
        "provisional": first is not None and first.provisional,
        "time": event.time,
        "block_number": event.block_number,
        "transaction_hash": event.transaction_hash,
    }


def change_of(event: DecodedEvent, *, stage: int, imported: int = 0) -> Change:
    """What an event says of a case that stood in `stage`. `imported`: when its batch was, for CaseOpened."""
    v = event.values
    organisation, deadline = v.get("organisation", 0), v.get("deadline") or None
    match event.name:
        case "CaseOpened":
            return Change(ChangeKind.OPENED, imported, 1, 1, deadline)
        case "CaseMoved":
            # An act is by somebody; time alone is nobody.
            kind = ChangeKind.MOVED if organisation else ChangeKind.LAPSED
            return Change(
                kind, event.time, v["version"], v["to"], deadline,
                transition=v["transition"], organisation=organisation,
            )  # fmt: skip
        case "CaseReversed":
            return Change(
                ChangeKind.REVERSED, event.time, v["version"], v["to"], deadline, organisation=organisation
            )
        case "CasePaused":
            kind = ChangeKind.PAUSED
        case "CaseResumed":
            kind = ChangeKind.RESUMED
        case _:
            kind = ChangeKind.OVERDUE
    return Change(
        kind, event.time, v["version"], stage, deadline, hold=v.get("kind", 0), organisation=organisation
    )


def change_row(event: DecodedEvent, change: Change, state: CaseState, *, policy: int, stage: int) -> Columns:
    """Of an event of a case; `state` after it, `stage` before it."""
    v = event.values
    return {
        "sequence": event.sequence,
        "case_id": v["caseId"],
        "kind": str(change.kind),
        "transition": change.transition or None,
        "reason": v.get("reason") or None,
        "hold": change.hold or None,
        "organisation": change.organisation or None,
        "co_organisation": v.get("coOrganisation") or None,
        "from_stage": stage,
        "evidence": _word(v.get("evidence")),
        "statement": _word(v.get("statement")),
        "note": _word(v.get("note", v.get("basis"))),
        "time": event.time,
        "block_number": event.block_number,
        "log_index": event.log_index,
        "transaction_hash": event.transaction_hash,
        **standing(state, policy),
    }


def standing(state: CaseState, policy: int) -> Columns:
    """Where a case stands: the columns that cases.change and cases.case share."""
    return {
        "policy": policy,
        "version": state.version,
        "stage": state.stage,
        "since": state.since,
        "clock_start": state.clock.start,
        "deadline": state.deadline,
        "provisional": state.provisional,
        "court": state.court,
        "open_holds": state.open_holds,
        "marked": state.marked,
    }


def _word(value: bytes | None) -> bytes | None:
    """A 32-byte value of an act; zero stands for none."""
    return value if value is not None and any(value) else None
