"""Rows of the case room for tests that need many cases, or cases that no chain was asked for."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from cases.machine import CaseState
from chain.bindings import LIFECYCLE
from chain.case_contracts import CaseContracts, PolicyVersion
from storage.db import AnyConnection
from tests.support.case_histories import BANK, Life

CHAIN, LEDGER = 1, bytes(range(20))
CONTRACTS = CaseContracts(
    CHAIN,
    PolicyVersion(LIFECYCLE, LIFECYCLE_V1.source_digest),
    bytes(20),
    b"\1" * 20,
    b"\2" * 20,
    b"\3" * 20,
    LEDGER,
    b"\4" * 20,
)
NOW = 1_800_000_000
DAY = 86_400
CASE_COLUMNS = (
    "case_id", "root", "position", "owner", "product", "commitment", "listed", "policy", "version", "stage",
    "since", "clock_start", "deadline", "provisional", "court", "open_holds", "marked",
)  # fmt: skip
OPEN = tuple(int(code) for code in StageCode if not LIFECYCLE_V1.stages[code].final)
CLOSED = tuple(int(code) for code in StageCode if LIFECYCLE_V1.stages[code].final)


def case_row(case_id: bytes, **members: Any) -> tuple[Any, ...]:
    """A listed case of owner 1 in its first stage, with other members."""
    values: dict[str, Any] = {
        "case_id": case_id, "root": bytes(32), "position": int.from_bytes(case_id[:7], "big"), "owner": 1,
        "product": 1, "commitment": bytes(32), "listed": True, "policy": 1, "version": 0, "stage": 1,
        "since": NOW, "clock_start": NOW, "deadline": None, "provisional": False, "court": 0, "open_holds": 0,
        "marked": False,
    } | members  # fmt: skip
    return tuple(values[name] for name in CASE_COLUMNS)


def many_cases(
    count: int,
    seed: int,
    *,
    owners: Sequence[int],
    courts: Sequence[int],
    batch: int = 500,
    idle: float = 0.4,
) -> Iterator[tuple[Any, ...]]:
    """Cases in all stages; `idle`: the part that has ended. Stages after filing have a court."""
    dice = random.Random(seed)  # noqa: S311 - test data
    for number in range(count):
        ended = dice.random() < idle
        stage = dice.choice(CLOSED if ended else OPEN)
        court_stage = LIFECYCLE_V1.stages[stage].court
        paused = not ended and dice.random() < 0.03
        # A batch is of one owner.
        root = (number // batch).to_bytes(32, "big")
        yield case_row(
            dice.randbytes(32),
            root=root,
            position=number % batch,
            owner=owners[(number // batch) % len(owners)],
            product=dice.randint(1, 4),
            listed=dice.random() < 0.98,
            version=dice.randint(0, 9),
            stage=stage,
            since=NOW - dice.randint(0, 200 * DAY),
            clock_start=NOW - dice.randint(0, 200 * DAY),
            deadline=None if ended or paused else NOW + dice.randint(-40 * DAY, 400 * DAY),
            provisional=not ended and not paused and dice.random() < 0.05,
            court=dice.choice(courts) if court_stage else 0,
            open_holds=int(paused),
        )


async def copy_cases(conn: AnyConnection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Into cases.case, by COPY."""
    await conn.copy_records_to_table("case", schema_name="cases", columns=CASE_COLUMNS, records=rows)


async def add_policy(conn: AnyConnection, *, version: int = 1, test_clock: bool = False) -> None:
    """A block and a policy of this release."""
    life = LIFECYCLE_V1.with_test_clock() if test_clock else LIFECYCLE_V1
    await conn.execute(
        "INSERT INTO chain.block VALUES ($1, 1, $2, $3) ON CONFLICT DO NOTHING",
        CHAIN, b"\1" * 32, NOW,
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO cases.policy VALUES ($1, $2, $3, $4, $5, $6, 1)",
        CHAIN, LEDGER, version, bytes(20), life.table_hash, test_clock,
    )  # fmt: skip


# Whole lives as the chain's events would be projected

CHANGE_COLUMNS = (
    "chain_id", "contract", "sequence", "case_id", "kind", "transition", "reason", "hold", "organisation",
    "co_organisation", "from_stage", "evidence", "statement", "note", "time", "block_number", "log_index",
    "transaction_hash", "policy", "version", "stage", "since", "clock_start", "deadline", "provisional",
    "court", "open_holds", "marked",
)  # fmt: skip


def change_rows(life: Life, first_sequence: int = 1) -> list[dict[str, Any]]:
    """Rows of cases.change of one life, with what each event says of its act."""
    rows: list[dict[str, Any]] = []
    before = life.rules.opened(owner=BANK, product=1, imported=life_start(life))
    for change, after in zip(life.changes, life.states, strict=True):
        row: dict[str, Any] = dict.fromkeys(CHANGE_COLUMNS)
        row |= {
            "chain_id": CHAIN, "contract": LEDGER, "sequence": first_sequence + len(rows),
            "case_id": change.case_id, "kind": change.kind, "transition": change.transition,
            "from_stage": before.stage, "time": change.time, "block_number": 1, "log_index": len(rows),
            "transaction_hash": bytes(32), "policy": 1, "version": after.version, "stage": after.stage,
            "since": after.since, "clock_start": after.clock.start, "deadline": after.deadline,
            "provisional": after.provisional, "court": after.court, "open_holds": after.open_holds,
            "marked": after.marked,
        }  # fmt: skip
        row |= _act_of(change.kind, before, after)
        rows.append(row)
        before = after
    return rows


def _act_of(kind: str, before: CaseState, after: CaseState) -> dict[str, Any]:
    if kind == "moved":
        assert after.previous is not None
        return {"organisation": after.previous.organisation, "note": b"\7" * 32}
    if kind == "paused":
        return {"hold": after.clock.holds[-1].kind, "organisation": after.clock.holds[-1].organisation}
    if kind == "resumed":
        ended = next(
            new for old, new in zip(before.clock.holds, after.clock.holds, strict=True) if old != new
        )
        return {"hold": ended.kind, "organisation": ended.organisation}
    if kind == "reversed":
        assert before.previous is not None
        return {"organisation": before.previous.organisation, "co_organisation": 8}
    return {}


def life_start(life: Life) -> int:
    """When the batch of a life was imported."""
    return life.changes[0].time if not life.states else life.states[0].clock.start


def case_of(life: Life, **members: Any) -> tuple[Any, ...]:
    """The row of cases.case at the end of a life."""
    last = life.state
    alive = bool(life.changes)
    return case_row(
        life.case_id,
        **{
            "position": int.from_bytes(life.case_id[-4:], "big"), "owner": last.owner,
            "product": last.product, "version": last.version if alive else 0,
            "stage": last.stage, "since": last.since, "clock_start": last.clock.start,
            "deadline": last.deadline, "provisional": last.provisional, "court": last.court,
            "open_holds": last.open_holds, "marked": last.marked,
        } | members,
    )  # fmt: skip


async def copy_life(conn: AnyConnection, life: Life, first_sequence: int = 1, **members: Any) -> int:
    """The case and its changes; the sequence after the last."""
    rows = change_rows(life, first_sequence)
    await copy_cases(conn, [case_of(life, **members)])
    await conn.copy_records_to_table(
        "change", schema_name="cases", columns=CHANGE_COLUMNS,
        records=[tuple(row[name] for name in CHANGE_COLUMNS) for row in rows],
    )  # fmt: skip
    return first_sequence + len(rows)
