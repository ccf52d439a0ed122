"""Reading one case and lists of cases, for organisations: where it stands, what happened, what runs when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cases import listing, words
from cases.access import clause
from cases.calendar import WorkCalendar, shipped
from cases.chain_index import CaseIndex, Row
from cases.errors import CaseNotHere, PolicyUnknown
from cases.history import Event, Step, replay, unmoved
from cases.icalendar import Due
from cases.icalendar import calendar as calendar_of
from cases.lifecycle import Lifecycle
from cases.listing import Filters
from cases.machine import CaseState, Machine
from cases.paging import Sort
from cases.policies import Policies
from chain.case_contracts import CaseContracts
from evidence.repository import Viewer
from storage.db import AnyConnection, Pool

_CASE = ", ".join(f"c.{name}" for name in listing.COLUMNS)


@dataclass(frozen=True)
class Found:
    """One case with its history. `state` is the last one."""

    case_id: bytes
    row: Row
    life: Lifecycle
    steps: tuple[Step, ...]
    state: CaseState
    calendar: WorkCalendar

    @property
    def alive(self) -> bool:
        """Whether the chain knows the case by itself, not only by its batch."""
        return bool(self.steps)


@dataclass(frozen=True)
class Reading:
    """The verbs of readers. `pool`: rights of the gateway."""

    pool: Pool
    contracts: CaseContracts

    async def find(self, viewer: Viewer, case_id: bytes) -> Found:
        """A case that the viewer may see.

        Raises:
            CaseNotHere: there is none, or none for this viewer: nothing tells which.
        """
        condition = clause(viewer, first=2)
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow(
                f"SELECT {_CASE} FROM cases.case c WHERE c.case_id = $1 AND {condition.sql}",  # noqa: S608
                case_id,
                *condition.values,
            )
            if row is None:
                raise CaseNotHere(field="caseId")
            return await self.history(conn, row)

    async def of_debtor(self, case_id: bytes) -> Found:
        """The case that a code opened. Raises CaseNotHere where its batch does not stand any more."""
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow(
                f"SELECT {_CASE} FROM cases.case c WHERE c.case_id = $1 AND c.listed",  # noqa: S608
                case_id,
            )
            if row is None:
                raise CaseNotHere(field="caseId")
            return await self.history(conn, row)

    async def history(self, conn: AnyConnection, row: Row) -> Found:
        """A row of cases.case with all that happened to the case."""
        index = CaseIndex(self.contracts)
        life = await index.lifecycle(conn, row["policy"])
        # Of a chain that has no calendar yet, no deadline is exact; then ours is as good as any.
        calendar = await index.calendar(conn)
        calendar = calendar if calendar.years else shipped()
        machine = Machine(life, calendar, lambda index: 0)
        changes = await conn.fetch(
            """SELECT * FROM cases.change WHERE case_id = $1 AND chain_id = $2 AND contract = $3
               ORDER BY sequence""",
            row["case_id"],
            self.contracts.chain_id,
            self.contracts.ledger,
        )
        steps = tuple(replay(machine, row, changes))
        state = steps[-1].state if steps else unmoved(machine, row)
        return Found(bytes(row["case_id"]), row, life, steps, state, calendar)

    async def page(
        self, viewer: Viewer, filters: Filters, sort: Sort, *, now: int, cursor: str | None, limit: int
    ) -> dict[str, Any]:
        """Part of a list. Raises CursorInvalid."""
        async with self.pool.acquire() as conn:
            found = await listing.page(conn, viewer, filters, sort, now=now, cursor=cursor, limit=limit)
            policies = await Policies.load(conn, self.contracts.chain_id, self.contracts.ledger)
        items = [line(policies.life(row["policy"]), row, now) for row in found.rows]
        return {"items": items, "next": found.next, "now": now, "nowShanghai": words.moment(now)}

    async def icalendar(self, viewer: Viewer, filters: Filters, *, now: int) -> bytes:
        """The first deadlines of a list for a calendar."""
        async with self.pool.acquire() as conn:
            found = await listing.page(conn, viewer, filters, Sort.DEADLINE, now=now, limit=listing.MOST_ROWS)
            policies = await Policies.load(conn, self.contracts.chain_id, self.contracts.ledger)
            ids = [row["case_id"] for row in found.rows]
            times = await conn.fetch(
                "SELECT case_id, max(time) AS time FROM cases.change WHERE case_id = ANY($1) GROUP BY 1", ids
            )
        revised = {row["case_id"]: row["time"] for row in times}
        lives = {row["policy"]: policies.life(row["policy"]) for row in found.rows}
        return calendar_of(
            Due(
                bytes(row["case_id"]), max(1, row["version"]), lives[row["policy"]].stages[row["stage"]],
                row["deadline"], row["provisional"], revised.get(row["case_id"], row["since"]),
                lives[row["policy"]].test_clock,
            )
            for row in found.rows
        )  # fmt: skip

    async def lifecycle(self, version: int | None) -> dict[str, Any]:
        """A policy version, the newest without one. Raises PolicyUnknown."""
        async with self.pool.acquire() as conn:
            policies = await Policies.load(conn, self.contracts.chain_id, self.contracts.ledger)
        policy = policies.newest if version is None else policies.get(version)
        if policy is None:
            raise PolicyUnknown(field="policy")
        return words.lifecycle(policy.life, policy.version)


def line(life: Lifecycle, row: Row, now: int) -> dict[str, Any]:
    """A case in a list."""
    stage, deadline = life.stages[row["stage"]], row["deadline"]
    product = life.products.get(row["product"])
    return {
        **_identity(row, life),
        "product": None if product is None else
        {"code": product.code, "name": product.name, "label": words.text(product.label)},
        "stage": words.named(stage, court=stage.court, final=stage.final),
        "since": row["since"],
        "sinceShanghai": words.moment(row["since"]),
        "deadline": deadline,
        "deadlineShanghai": words.moment(deadline),
        "provisional": row["provisional"],
        "overdue": is_overdue(row, now),
        "paused": row["open_holds"] > 0,
        "markedOverdue": row["marked"],
    }  # fmt: skip


def is_overdue(row: Row, now: int) -> bool:
    """A deadline that may still move is never said to have passed."""
    return row["deadline"] is not None and row["deadline"] < now and not row["provisional"]


def _identity(row: Row, life: Lifecycle) -> dict[str, Any]:
    case_id = bytes(row["case_id"]).hex()
    return {
        "caseId": case_id,
        "short": case_id[: words.SHORT],
        "owner": row["owner"],
        "court": row["court"] or None,
        "batch": bytes(row["root"]).hex(),
        "position": row["position"],
        "policy": row["policy"],
        "testClock": life.test_clock,
        # What an act names: 1 for a case that nobody has acted on.
        "version": max(1, row["version"]),
        "alive": row["version"] > 0,
    }


def show(found: Found, viewer: Viewer, now: int) -> dict[str, Any]:
    """One case, with what the viewer could do next as far as roles, stage and time decide."""
    machine = Machine(
        found.life, found.calendar, lambda index: viewer.roles if index == viewer.organisation else 0
    )
    product = found.life.products.get(found.row["product"])
    return {
        **_identity(found.row, found.life),
        "product": None if product is None else
        {"code": product.code, "name": product.name, "label": words.text(product.label)},
        **words.standing(found.life, found.state, found.calendar),
        "overdue": is_overdue(found.row, now),
        "possible": words.possible(machine.possible(found.state, viewer.organisation, now)),
    }  # fmt: skip


def timeline(found: Found, kept: frozenset[int] = frozenset()) -> dict[str, Any]:
    """Every event of a case in order. `kept`: events whose receipt is here already, by sequence."""
    return {
        **_identity(found.row, found.life),
        "events": [
            {
                **words.event(found.life, step, found.calendar),
                "receipt": _place(found.case_id, step.event, kept),
            }
            for step in found.steps
        ],
        "now": words.standing(found.life, found.state, found.calendar),
    }


def _place(case_id: bytes, event: Event, kept: frozenset[int]) -> dict[str, Any]:
    place = event.place
    return {
        "chainId": place.chain_id,
        "contract": "0x" + place.contract.hex(),
        "sequence": place.sequence,
        "block": place.block,
        "transaction": "0x" + place.transaction.hex(),
        "logIndex": place.log_index,
        "kept": place.sequence in kept,
        "href": f"/v1/cases/{case_id.hex()}/timeline/{place.sequence}/receipt",
    }
