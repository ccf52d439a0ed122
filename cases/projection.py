"""What the case contracts' events mean in tables (0008_cases.sql). Each row hangs on its block.

The chain decides; what it does not say (pauses, what is provisional, what a reversal brought back) follows by
`cases.replay`. cases.case follows these rows by triggers, also when a reorganisation takes some of them away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cases.batch_repository import LISTING_SECONDS
from cases.chain_index import CaseIndex
from cases.errors import CaseIndexDamaged
from cases.index_rows import Columns, batch_row, change_of, change_row, policy_row, year_row
from cases.replay import after, opened, replayed
from chain.bindings import CASE_BATCHES, CASE_LEDGER, WORK_CALENDAR
from chain.case_contracts import CaseContracts
from chain.projection import DecodedEvent
from storage.db import AnyConnection


class CaseProjection:
    """Writes what an event changes, in the caller's transaction. Events come in order of sequence.

    Raises:
        PolicyNotOfThisRelease: the chain follows a lifecycle of a later release
        CaseIndexDamaged: the event does not follow on what is stored
    """

    def __init__(self, contracts: CaseContracts) -> None:
        self._index = CaseIndex(contracts)
        self._handlers: dict[tuple[str, str], Callable[[AnyConnection, DecodedEvent], Awaitable[None]]] = {
            (WORK_CALENDAR, "CalendarYearSet"): self._year,
            (CASE_BATCHES, "BatchImported"): self._imported,
            (CASE_BATCHES, "BatchRecalled"): self._recalled,
            (CASE_LEDGER, "PolicyActivated"): self._activated,
            (CASE_LEDGER, "CaseOpened"): self._opened,
            (CASE_LEDGER, "CaseMoved"): self._changed,
            (CASE_LEDGER, "CasePaused"): self._changed,
            (CASE_LEDGER, "CaseResumed"): self._changed,
            (CASE_LEDGER, "CaseReversed"): self._changed,
            (CASE_LEDGER, "CaseOverdue"): self._changed,
        }

    async def __call__(self, conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        await self._handlers[event.contract, event.name](conn, event)

    # Rules and days

    async def _activated(self, conn: AnyConnection, event: DecodedEvent) -> None:
        await self._insert(conn, "policy", event, policy_row(event))

    async def _year(self, conn: AnyConnection, event: DecodedEvent) -> None:
        await self._insert(conn, "calendar_year", event, year_row(event))

    # Batches

    async def _imported(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        machine = await self._index.machine(conn, v["policy"])
        first = machine.opened(owner=v["organisation"], product=0, imported=event.time)
        await self._list(conn, event, batch_row(event, first))

    async def _recalled(self, conn: AnyConnection, event: DecodedEvent) -> None:
        await self._list(conn, event, batch_row(event, None))

    async def _list(self, conn: AnyConnection, event: DecodedEvent, row: Columns) -> None:
        """The batch's cases are listed by it: a million of them longer than a statement may take."""
        await conn.execute("SET LOCAL statement_timeout = 0")
        await self._insert(conn, "batch_event", event, row, LISTING_SECONDS)

    # Cases

    async def _opened(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        machine = await self._index.machine(conn, v["policy"])
        imported = await conn.fetchval(
            """SELECT time FROM cases.batch_event
               WHERE chain_id = $1 AND contract = $2 AND root = $3 AND NOT recalled""",
            self._index.contracts.chain_id,
            self._index.contracts.batches,
            v["root"],
        )
        if imported is None:
            raise CaseIndexDamaged(
                "a case of a batch that was not imported", hint="caseledger fsck --rebuild"
            )
        # The contract has proved the leaf: whatever else is written at this place is wrong.
        await conn.execute(
            "DELETE FROM cases.case WHERE root = $1 AND position = $2 AND case_id <> $3",
            v["root"],
            v["index"],
            v["caseId"],
        )
        await conn.execute(
            """INSERT INTO cases.case (case_id, root, position, owner, product, commitment)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (case_id) DO UPDATE SET root = excluded.root, position = excluded.position,
                   owner = excluded.owner, product = excluded.product, commitment = excluded.commitment""",
            v["caseId"],
            v["root"],
            v["index"],
            v["owner"],
            v["product"],
            v["commitment"],
        )
        change = change_of(event, stage=0, imported=imported)
        state = opened(machine, change, owner=v["owner"], product=v["product"])
        row = change_row(event, change, state, policy=v["policy"], stage=0)
        await self._insert(conn, "change", event, row)

    async def _changed(self, conn: AnyConnection, event: DecodedEvent) -> None:
        case_id = event.values["caseId"]
        case = await conn.fetchrow(
            "SELECT owner, product, policy FROM cases.case WHERE case_id = $1", case_id
        )
        if case is None:
            raise CaseIndexDamaged(
                "an event of a case that did not come to life", hint="caseledger fsck --rebuild"
            )
        machine = await self._index.machine(conn, case["policy"])
        before = replayed(
            machine, await self._index.changes(conn, case_id), owner=case["owner"], product=case["product"]
        )
        if before is None or before.stage != event.values.get("from", before.stage):
            raise CaseIndexDamaged("an event from another stage", hint="caseledger fsck --rebuild")
        change = change_of(event, stage=before.stage)
        state = after(machine, before, change)
        row = change_row(event, change, state, policy=case["policy"], stage=before.stage)
        await self._insert(conn, "change", event, row)

    async def _insert(
        self,
        conn: AnyConnection,
        table: str,
        event: DecodedEvent,
        row: Columns,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's own
    ) -> None:
        values = {"chain_id": self._index.contracts.chain_id, "contract": event.address} | row
        places = ", ".join(f"${at}" for at in range(1, len(values) + 1))
        await conn.execute(
            f"INSERT INTO cases.{table} ({', '.join(values)}) VALUES ({places})",  # noqa: S608 - our names
            *values.values(),
            timeout=timeout,
        )
