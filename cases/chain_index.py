"""Reading what the projection wrote: rules, calendar and state of a case as the chain has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from cases.calendar import WorkCalendar, Year
from cases.errors import CaseIndexDamaged
from cases.lifecycle import Lifecycle
from cases.machine import CaseState, Machine
from cases.policies import Policies
from cases.replay import ChangeKind, Recorded, replayed
from chain.case_contracts import CaseContracts
from storage.db import AnyConnection


@dataclass(frozen=True)
class CaseIndex:
    """One case room's rows."""

    contracts: CaseContracts

    async def lifecycle(self, conn: AnyConnection, version: int) -> Lifecycle:
        """The rules of a policy version. Raises PolicyNotOfThisRelease."""
        contracts = self.contracts
        return (await Policies.load(conn, contracts.chain_id, contracts.ledger)).life(version)

    async def calendar(self, conn: AnyConnection) -> WorkCalendar:
        """The working days that governance has set so far."""
        rows = await conn.fetch(
            """SELECT DISTINCT ON (year) year, days, notice FROM cases.calendar_year
               WHERE chain_id = $1 AND contract = $2 ORDER BY year, sequence DESC""",
            self.contracts.chain_id,
            self.contracts.calendar,
        )
        return _calendar(tuple((row["year"], row["days"], row["notice"]) for row in rows))

    async def machine(
        self, conn: AnyConnection, version: int, roles: Callable[[int], int] = lambda index: 0
    ) -> Machine:
        """The rules under a policy version. `roles`: only asked about acts. Raises PolicyNotOfThisRelease."""
        return Machine(await self.lifecycle(conn, version), await self.calendar(conn), roles)

    async def state(
        self, conn: AnyConnection, case_id: bytes, roles: Callable[[int], int] = lambda index: 0
    ) -> tuple[Machine, CaseState] | None:
        """A listed case with its rules. One that has not moved: as it would come to life now. None: no such.

        Raises:
            PolicyNotOfThisRelease, CaseIndexDamaged
        """
        row = await conn.fetchrow(
            "SELECT owner, product, policy, version, since FROM cases.case WHERE case_id = $1 AND listed",
            case_id,
        )
        if row is None:
            return None
        machine = await self.machine(conn, row["policy"], roles)
        if row["version"] == 0:
            state = machine.opened(owner=row["owner"], product=row["product"], imported=row["since"])
            return machine, state
        found = replayed(
            machine, await self.changes(conn, case_id), owner=row["owner"], product=row["product"]
        )
        if found is None:
            raise CaseIndexDamaged("a case with a version and no changes", hint="caseledger fsck --rebuild")
        return machine, found

    async def changes(self, conn: AnyConnection, case_id: bytes) -> list[Recorded]:
        """All that the chain said of a case, oldest first."""
        rows = await conn.fetch(
            """SELECT kind, transition, hold, organisation, time, version, stage, since, deadline,
                      provisional, marked
               FROM cases.change WHERE case_id = $1 AND chain_id = $2 AND contract = $3 ORDER BY sequence""",
            case_id,
            self.contracts.chain_id,
            self.contracts.ledger,
        )
        return [recorded(row) for row in rows]


class Row(Protocol):
    """Columns by name."""

    def __getitem__(self, name: str, /) -> Any: ...


@lru_cache(maxsize=4)
def _calendar(rows: tuple[tuple[int, bytes, str], ...]) -> WorkCalendar:
    return WorkCalendar(
        {year: Year(year, int.from_bytes(days, "big"), notice) for year, days, notice in rows}
    )


def recorded(row: Row) -> Recorded:
    """A row of cases.change as `cases.replay` takes it."""
    return Recorded(
        kind=(kind := ChangeKind(row["kind"])),
        time=row["since"] if kind is ChangeKind.OPENED else row["time"],
        version=row["version"],
        stage=row["stage"],
        deadline=row["deadline"],
        transition=row["transition"] or 0,
        hold=row["hold"] or 0,
        organisation=row["organisation"] or 0,
        provisional=row["provisional"],
        marked=row["marked"],
    )
