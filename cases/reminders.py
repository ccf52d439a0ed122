"""Handing out reminders: to whoever sees the case, in the order in which they were made.

A consumer keeps the `next` of the last page that it has dealt with, and asks from there: so each reminder
reaches it at least once, under the same id. What has become moot before it was asked for is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases import access
from evidence.repository import Viewer
from storage.db import AnyConnection

MOST = 500
WINDOW = 20_000
"""How many reminders of everybody a page looks at."""


@dataclass(frozen=True)
class Reminder:
    """Times in seconds UTC. `percent` of the clock has run at `due_at`; `made_at` is the time of the block by
    which the loop made it. A provisional deadline may still move to a later day.
    """

    id: bytes
    position: int
    case_id: bytes
    version: int
    stage: int
    policy: int
    deadline: int
    provisional: bool
    percent: int
    due_at: int
    made_at: int
    test_clock: bool


@dataclass(frozen=True)
class Page:
    """`next`: from where to ask the next time, also when nothing came; `more`: at once."""

    reminders: tuple[Reminder, ...]
    next: int
    more: bool


async def page(conn: AnyConnection, viewer: Viewer, after: int, limit: int = MOST) -> Page:
    """Reminders after a position that the viewer may see."""
    head = int(await conn.fetchval("SELECT position FROM cases.reminder_head"))
    until = min(after + WINDOW, head)
    seen = access.clause(viewer, first=4)
    rows = await conn.fetch(
        f"""SELECT r.*, c.policy, coalesce(p.test_clock, false) AS test_clock
            FROM cases.reminder r JOIN cases.case c USING (case_id)
            LEFT JOIN LATERAL (SELECT bool_or(test_clock) AS test_clock FROM cases.policy
                               WHERE version = c.policy) p ON true
            WHERE r.position > $1 AND r.position <= $2 AND r.moot_at IS NULL AND {seen.sql}
            ORDER BY r.position LIMIT $3""",  # noqa: S608 - made of code and numbered parameters
        after,
        until,
        limit,
        *seen.values,
    )
    found = tuple(
        Reminder(
            bytes(row["reminder_id"]), row["position"], bytes(row["case_id"]), row["version"], row["stage"],
            row["policy"], row["deadline"], row["provisional"], row["percent"], row["due_at"], row["made_at"],
            row["test_clock"],
        )
        for row in rows
    )  # fmt: skip
    reached = found[-1].position if len(found) == limit else max(after, until)
    return Page(found, reached, reached < head)
