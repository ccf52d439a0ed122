"""What the case contracts' events mean in tables (0008_cases.sql). Each row hangs on its block.

The chain decides; what it does not say (pauses, what is provisional, what a reversal brought back) follows by
`cases.replay`. cases.case follows these rows by triggers, also when a reorganisation takes some of them away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cases.chain_index import CaseIndex
from cases.errors import CaseIndexDamaged
from cases.machine import CaseState
from cases.replay import Change, ChangeKind, after, opened, replayed
from chain.bindings import CASE_BATCHES, CASE_LEDGER, WORK_CALENDAR
from chain.case_contracts import CaseContracts
from chain.projection import DecodedEvent
from storage.db import AnyConnection

_DAYS = 48


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
            (CASE_LEDGER, "CaseMoved"): self._moved,
            (CASE_LEDGER, "CasePaused"): self._paused,
            (CASE_LEDGER, "CaseResumed"): self._resumed,
            (CASE_LEDGER, "CaseReversed"): self._reversed,
            (CASE_LEDGER, "CaseOverdue"): self._overdue,
        }

    async def __call__(self, conn: AnyConnection, chain_id: int, event: DecodedEvent) -> None:
        await self._handlers[event.contract, event.name](conn, event)

    # Rules and days

    async def _activated(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        await conn.execute(
            """INSERT INTO cases.policy
                   (chain_id, contract, version, address, table_hash, test_clock, block_number)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            self._index.contracts.chain_id,
            event.address,
            v["version"],
            v["policy"],
            v["tableHash"],
            v["testClock"],
            event.block_number,
        )

    async def _year(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        await conn.execute(
            """INSERT INTO cases.calendar_year
                   (chain_id, contract, sequence, year, days, notice, block_number)
               VALUES ($1, $2, $3, $4, $5, $6, $7)""",
            self._index.contracts.chain_id,
            event.address,
            event.sequence,
            v["year"],
            (v["high"] << 256 | v["low"]).to_bytes(_DAYS, "big"),
            v["notice"].replace("\0", ""),  # PostgreSQL has no such character
            event.block_number,
        )

    # Batches

    async def _imported(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        machine = await self._index.machine(conn, v["policy"])
        first = machine.opened(owner=v["organisation"], product=0, imported=event.time)
        await self._batch_event(
            conn,
            event,
            recalled=False,
            values=(v["count"], v["policy"], v["rules"], v["totals"], first.deadline, first.provisional),
        )

    async def _recalled(self, conn: AnyConnection, event: DecodedEvent) -> None:
        await self._batch_event(conn, event, recalled=True, values=(None, None, None, None, None, False))

    async def _batch_event(
        self, conn: AnyConnection, event: DecodedEvent, *, recalled: bool, values: tuple[Any, ...]
    ) -> None:
        await conn.execute(
            """INSERT INTO cases.batch_event
                   (chain_id, contract, sequence, root, recalled, organisation, time, block_number,
                    transaction_hash, count, policy, rules, totals, deadline, provisional)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)""",
            self._index.contracts.chain_id,
            event.address,
            event.sequence,
            event.values["root"],
            recalled,
            event.values["organisation"],
            event.time,
            event.block_number,
            event.transaction_hash,
            *values,
        )

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
        change = Change(ChangeKind.OPENED, imported, 1, 1, v["deadline"] or None)
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
        state = opened(machine, change, owner=v["owner"], product=v["product"])
        await self._change(conn, event, change, state, policy=v["policy"], from_stage=0)

    async def _moved(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        # An act is by somebody; time alone is nobody.
        kind = ChangeKind.MOVED if v["organisation"] else ChangeKind.LAPSED
        change = Change(
            kind, event.time, v["version"], v["to"], v["deadline"] or None,
            transition=v["transition"], organisation=v["organisation"],
        )  # fmt: skip
        await self._changed(conn, event, change, from_stage=v["from"])

    async def _paused(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        await self._stays(
            conn, event, ChangeKind.PAUSED, None, hold=v["kind"], organisation=v["organisation"]
        )

    async def _resumed(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        await self._stays(
            conn, event, ChangeKind.RESUMED, v["deadline"] or None, hold=v["kind"],
            organisation=v["organisation"],
        )  # fmt: skip

    async def _reversed(self, conn: AnyConnection, event: DecodedEvent) -> None:
        v = event.values
        change = Change(
            ChangeKind.REVERSED, event.time, v["version"], v["to"], v["deadline"] or None,
            organisation=v["organisation"],
        )  # fmt: skip
        await self._changed(conn, event, change, from_stage=v["from"])

    async def _overdue(self, conn: AnyConnection, event: DecodedEvent) -> None:
        await self._stays(conn, event, ChangeKind.OVERDUE, event.values["deadline"])

    async def _stays(
        self,
        conn: AnyConnection,
        event: DecodedEvent,
        kind: ChangeKind,
        deadline: int | None,
        **more: int,
    ) -> None:
        """A change that leaves the case in its stage."""
        stage = await conn.fetchval("SELECT stage FROM cases.case WHERE case_id = $1", event.values["caseId"])
        change = Change(kind, event.time, event.values["version"], stage or 0, deadline, **more)
        await self._changed(conn, event, change, from_stage=stage or 0)

    async def _changed(
        self, conn: AnyConnection, event: DecodedEvent, change: Change, *, from_stage: int
    ) -> None:
        case_id = event.values["caseId"]
        row = await conn.fetchrow("SELECT owner, product, policy FROM cases.case WHERE case_id = $1", case_id)
        if row is None:
            raise CaseIndexDamaged(
                "an event of a case that did not come to life", hint="caseledger fsck --rebuild"
            )
        machine = await self._index.machine(conn, row["policy"])
        before = replayed(
            machine, await self._index.changes(conn, case_id), owner=row["owner"], product=row["product"]
        )
        if before is None or before.stage != from_stage:
            raise CaseIndexDamaged("an event from another stage", hint="caseledger fsck --rebuild")
        state = after(machine, before, change)
        await self._change(conn, event, change, state, policy=row["policy"], from_stage=from_stage)

    async def _change(
        self,
        conn: AnyConnection,
        event: DecodedEvent,
        change: Change,
        state: CaseState,
        *,
        policy: int,
        from_stage: int,
    ) -> None:
        v = event.values
        await conn.execute(
            """INSERT INTO cases.change
                   (chain_id, contract, sequence, case_id, kind, transition, reason, hold, organisation,
                    co_organisation, from_stage, evidence, statement, note, time, block_number, log_index,
                    transaction_hash, policy, version, stage, since, clock_start, deadline, provisional,
                    court, open_holds, marked)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                       $20, $21, $22, $23, $24, $25, $26, $27, $28)""",
            self._index.contracts.chain_id,
            event.address,
            event.sequence,
            v["caseId"],
            change.kind,
            change.transition or None,
            v.get("reason") or None,
            change.hold or None,
            change.organisation or None,
            v.get("coOrganisation") or None,
            from_stage,
            _word(v.get("evidence")),
            _word(v.get("statement")),
            _word(v.get("note", v.get("basis"))),
            event.time,
            event.block_number,
            event.log_index,
            event.transaction_hash,
            policy,
            state.version,
            state.stage,
            state.since,
            state.clock.start,
            state.deadline,
            state.provisional,
            state.court,
            state.open_holds,
            state.marked,
        )


def _word(value: bytes | None) -> bytes | None:
    """A 32-byte value of an act; zero stands for none."""
    return value if value is not None and any(value) else None
