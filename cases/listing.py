"""Lists of cases in SQL: whose cases, which of them, in which order; a page costs the same in a long list.

Every reason for which the caller sees cases (`cases.access.Scope`) is read through an index of its own, as
many rows as the page needs, and the first of all of them make the page. Where filters go beyond the indexes,
a page looks at a bounded number of rows: it may come out short, and `next` goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import asyncpg

from cases import paging
from cases.access import Scope, scopes
from cases.paging import Key, Sort
from evidence.repository import Viewer
from storage.db import AnyConnection

MOST_ROWS = 1000
"""Of a page."""
WINDOW = 1_000
MOST_WINDOWS = 3
"""How many rows a page looks at where filters go beyond the indexes."""

COLUMNS = (
    "case_id", "root", "position", "owner", "product", "policy", "version", "stage", "since", "clock_start",
    "deadline", "provisional", "court", "open_holds", "marked",
)  # fmt: skip
_SELECT = ", ".join(f"c.{name}" for name in COLUMNS)


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; all that are given hold together. Times in seconds UTC."""

    stages: tuple[int, ...] = ()
    product: int | None = None
    owner: int | None = None
    court: int | None = None
    batch: bytes | None = None
    overdue: bool = False
    """The deadline has passed, and is not provisional."""
    due_before: int | None = None
    """The deadline is before this second."""
    due_from: int | None = None
    """The deadline is at or after this second."""
    paused: bool | None = None
    provisional: bool | None = None
    prefix: bytes | None = None
    """The case id begins with these bytes: how people name a case."""

    @property
    def about_time(self) -> bool:
        """Whether a deadline is asked for."""
        return self.overdue or self.due_before is not None or self.due_from is not None

    def digest_of(self, viewer: Viewer) -> bytes:
        """Tells this list from every other one."""
        members = {**asdict(self), "batch": self.batch.hex() if self.batch else None}
        members["prefix"] = self.prefix.hex() if self.prefix else None
        return json.dumps([viewer.organisation, viewer.roles, members], sort_keys=True).encode()


@dataclass(frozen=True)
class Page:
    """Rows of cases.case (`COLUMNS`); `next` continues, None at the end."""

    rows: tuple[asyncpg.Record, ...]
    next: str | None


async def page(
    conn: AnyConnection,
    viewer: Viewer,
    filters: Filters,
    sort: Sort,
    *,
    now: int,
    cursor: str | None = None,
    limit: int = 100,
) -> Page:
    """One page. `now` decides what is overdue. In the order of deadlines, a case without one has no place.

    Raises CursorInvalid.
    """
    digest = filters.digest_of(viewer)
    after = None if cursor is None else paging.decode(cursor, sort, digest)
    branches = [one for scope in scopes(viewer) if (one := _narrowed(scope, filters)) is not None]
    if not branches or (filters.paused and (filters.about_time or sort is Sort.DEADLINE)):
        return Page((), None)
    rows, last = await _rows(
        conn, [_Branch(one, filters, sort, now) for one in branches], after, max(1, min(limit, MOST_ROWS))
    )
    return Page(tuple(rows), None if last is None else paging.encode(sort, digest, last))


def _narrowed(scope: Scope, filters: Filters) -> Scope | None:
    """The scope with the filters that have its shape; None where they leave nothing."""
    for held, asked in ((scope.owner, filters.owner), (scope.court, filters.court)):
        if held is not None and asked is not None and held != asked:
            return None
    stages = scope.stages
    if filters.stages:
        asked_stages = frozenset(filters.stages)
        stages = asked_stages if stages is None else stages & asked_stages
        if not stages:
            return None
    owner = filters.owner if scope.owner is None else scope.owner
    court = filters.court if scope.court is None else scope.court
    return replace(scope, owner=owner, court=court, stages=stages)


async def _rows(
    conn: AnyConnection, branches: Sequence[_Branch], after: Key | None, limit: int
) -> tuple[list[asyncpg.Record], Key | None]:
    """Rows, and behind which to go on; None at the end."""
    beyond = any(branch.rest for branch in branches)
    sort = branches[0].sort
    lists = max(branch.lists for branch in branches)
    size = max(limit + 1, WINDOW // lists) if beyond else limit + 1
    found: list[asyncpg.Record] = []
    for _ in range(MOST_WINDOWS):
        sql, values = _window(branches, sort, after, size)
        rows = await conn.fetch(sql, *values)
        for row in rows:
            if row["wanted"]:
                found.append(row)
            if len(found) > limit:
                return found[:limit], _key(found[limit - 1], sort)
        if len(rows) < size:
            return found, None
        after = _key(rows[-1], sort)
    return found, after


def _key(row: asyncpg.Record, sort: Sort) -> Key:
    return Key(bytes(row["case_id"]), row["deadline"] if sort is Sort.DEADLINE else 0)


class _Values(list[Any]):
    """Parameters of a statement."""

    def place(self, value: Any, kind: str) -> str:
        """Where the value stands, by its number."""
        self.append(value)
        return f"${len(self)}::{kind}"


def _window(
    branches: Sequence[_Branch], sort: Sort, after: Key | None, size: int
) -> tuple[str, Sequence[Any]]:
    """The first rows of all branches behind `after`, and of each whether it is wanted."""
    values = _Values()
    parts = [branch.sql(values, after, size) for branch in branches]
    wanted = " OR ".join(f"({branch.wanted(values)})" for branch in branches)
    sql = f"""SELECT {_SELECT}, ({wanted}) AS wanted FROM ({" UNION ".join(parts)}) c
              ORDER BY {_order(sort)} LIMIT {size}"""  # noqa: S608 - no value but through `values`
    return sql, values


def _order(sort: Sort) -> str:
    return "c.case_id" if sort is Sort.CASE else "c.deadline, c.case_id"


class _Branch:
    """One scope: what an index finds of it in order (`sql`), and what is left to look at (`rest`)."""

    def __init__(self, scope: Scope, filters: Filters, sort: Sort, now: int) -> None:
        self.sort = sort
        self._scope = scope
        self._filters = filters
        self._now = now
        one_list = scope.owner is not None or scope.court is not None or filters.batch is not None
        # The indexes of owner and court go on with the stage in the order of cases alone.
        self._by_stage = (
            scope.stages is not None and filters.batch is None and (sort is Sort.CASE or not one_list)
        )
        self._by_pause = bool(filters.paused) and not one_list and not self._by_stage

    @property
    def lists(self) -> int:
        """How many ordered lists are merged."""
        return len(self._scope.stages or ()) if self._by_stage else 1

    @property
    def rest(self) -> bool:
        """Whether conditions are left that the index does not answer."""
        filters, scope = self._filters, self._scope
        among_many = (
            (filters.batch is not None and (scope.owner is not None or scope.court is not None))
            or (scope.owner is not None and scope.court is not None)
            or (scope.stages is not None and not self._by_stage)
            or (filters.about_time and (self.sort is Sort.CASE or filters.batch is not None))
        )
        others = filters.product is not None or filters.provisional is not None
        return among_many or others or (filters.paused is not None and not self._by_pause)

    def sql(self, values: _Values, after: Key | None, limit: int) -> str:
        """The first `limit` rows behind `after`."""
        order = _order(self.sort)
        conditions = " AND ".join([*self._found(values), *self._behind(values, after)])
        if not self._by_stage:
            return f"""(SELECT c.* FROM cases.case c WHERE {conditions}
                        ORDER BY {order} LIMIT {limit})"""  # noqa: S608
        stages = values.place(sorted(self._scope.stages or ()), "smallint[]")
        return f"""(SELECT c.* FROM unnest({stages}) one(stage), LATERAL (
                        SELECT c.* FROM cases.case c WHERE c.stage = one.stage AND {conditions}
                        ORDER BY {order} LIMIT {limit}) c
                    ORDER BY {order} LIMIT {limit})"""  # noqa: S608

    def _found(self, values: _Values) -> list[str]:
        """What the index answers: one of owner, court and batch; the time in the order of time."""
        scope, batch = self._scope, self._filters.batch
        parts = ["c.listed"]
        if batch is not None:
            parts.append(f"c.root = {values.place(batch, 'bytea')}")
        elif scope.court is not None:
            parts.append(_court(scope.court, values))
        elif scope.owner is not None:
            parts.append(f"c.owner = {values.place(scope.owner, 'bigint')}")
        if self._by_pause:
            parts.append("c.open_holds > 0")
        if self._filters.prefix is not None:
            parts += _prefix(self._filters.prefix, values)
        if self.sort is Sort.DEADLINE:
            # Said although it follows from what comes next: the indexes are over cases with a deadline.
            parts += ["c.deadline IS NOT NULL", *self._times(values)]
        return parts

    def _behind(self, values: _Values, after: Key | None) -> list[str]:
        if after is None:
            return []
        case_id = values.place(after.case_id, "bytea")
        if self.sort is Sort.CASE:
            return [f"c.case_id > {case_id}"]
        return [f"(c.deadline, c.case_id) > ({values.place(after.deadline, 'bigint')}, {case_id})"]

    def wanted(self, values: _Values) -> str:
        """All conditions of this branch, over a row that some branch found."""
        scope, filters, parts = self._scope, self._filters, ["c.listed"]
        for name, value in (("owner", scope.owner), ("product", filters.product)):
            if value is not None:
                parts.append(f"c.{name} = {values.place(value, 'bigint')}")
        if scope.court is not None:
            parts.append(_court(scope.court, values))
        if scope.stages is not None:
            parts.append(f"c.stage = ANY({values.place(sorted(scope.stages), 'smallint[]')})")
        if filters.batch is not None:
            parts.append(f"c.root = {values.place(filters.batch, 'bytea')}")
        if filters.paused is not None:
            parts.append("c.open_holds > 0" if filters.paused else "c.open_holds = 0")
        if filters.provisional is not None:
            parts.append("c.provisional" if filters.provisional else "NOT c.provisional")
        if filters.about_time:
            parts.append("c.deadline IS NOT NULL")
        return " AND ".join([*parts, *self._times(values)])

    def _times(self, values: _Values) -> list[str]:
        filters, parts = self._filters, []
        if filters.overdue:
            # A provisional deadline is never said to have passed.
            parts.append(f"c.deadline < {values.place(self._now, 'bigint')} AND NOT c.provisional")
        if filters.due_before is not None:
            parts.append(f"c.deadline < {values.place(filters.due_before, 'bigint')}")
        if filters.due_from is not None:
            parts.append(f"c.deadline >= {values.place(filters.due_from, 'bigint')}")
        return parts


def _prefix(prefix: bytes, values: _Values) -> list[str]:
    last = prefix + b"\xff" * (32 - len(prefix))
    return [f"c.case_id >= {values.place(prefix, 'bytea')}", f"c.case_id <= {values.place(last, 'bytea')}"]


def _court(court: int, values: _Values) -> str:
    # The index is over cases that have a court.
    return f"c.court = {values.place(court, 'bigint')} AND c.court > 0"
