"""Rows of the case room for tests that need many cases, or cases that no chain was asked for."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from storage.db import AnyConnection

CHAIN, LEDGER = 1, bytes(range(20))
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
