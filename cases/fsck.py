"""The index of cases, computed again from the chain alone and compared row by row (docs/operator/fsck.md).

The index is derived: whoever can write the tables can change what people are shown, and this finds it. What
came with batch files and cannot be read from the chain is not judged here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from cases.calendar import WorkCalendar, Year
from cases.chain_index import Row
from cases.errors import CaseIndexDamaged, PolicyNotOfThisRelease
from cases.events import case_events
from cases.index_rows import (
    Columns,
    batch_row,
    change_of,
    change_row,
    policy_row,
    standing,
    year_of,
    year_row,
)
from cases.lifecycle import Lifecycle
from cases.machine import CaseState, Machine
from cases.policies import RELEASED
from cases.replay import after, opened
from chain.case_contracts import CaseContracts
from chain.case_events import CaseEvents, SeenEvent, read_all
from chain.case_record import CaseRecord
from chain.projection import DecodedEvent
from chain.rpc import RpcPool
from evidence.fsck_report import Finder, FsckReport
from storage.db import AnyConnection, Pool

ORIGIN = "cases"
"""In whose name findings are given, where other findings name a log."""


async def check(pool: Pool, rpc: RpcPool, record: CaseRecord, report: FsckReport) -> None:
    """Compare the tables with the chain, up to the block that they were read to.

    Raises:
        EventsWithheld, BlockNotThere, StateNotKept, PolicyNotOfThisRelease, and what the pool raises
    """
    find = Finder(report, ORIGIN)
    async with (
        pool.acquire() as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        at = await conn.fetchrow(
            "SELECT block_number, block_hash FROM chain.cursor WHERE name = $1", case_events(record).name
        )
        if at is None or at["block_number"] < record.block:
            find.note("CaseIndexNotRead", "cases", "the worker has not read the case contracts yet")
            return
        seen = await read_all(rpc, record, to_block=at["block_number"], calendar=True)
        if seen.head.hash != at["block_hash"]:
            find("CaseRowMismatch", f"block {seen.head.number}", "another hash on the chain")
        await _Comparison(conn, find, record.contracts, seen, report).run()


async def forget(conn: AnyConnection) -> None:
    """Every case as it came with its file; those that came from the chain alone go. For a rebuild, before the
    blocks are dropped: what somebody wrote by hand into cases.case hangs on no block.
    """
    await conn.execute(
        "DELETE FROM cases.case c WHERE NOT EXISTS (SELECT FROM cases.batch b WHERE b.root = c.root)"
    )
    await conn.execute(
        """UPDATE cases.case
           SET listed = DEFAULT, policy = DEFAULT, version = DEFAULT, stage = DEFAULT, since = DEFAULT,
               clock_start = DEFAULT, deadline = DEFAULT, provisional = DEFAULT, court = DEFAULT,
               open_holds = DEFAULT, marked = DEFAULT"""
    )


@dataclass
class _Life:
    """A case that has come to life, so far."""

    identity: Columns
    policy: int
    state: CaseState


class _Comparison:
    def __init__(
        self,
        conn: AnyConnection,
        find: Finder,
        contracts: CaseContracts,
        seen: CaseEvents,
        report: FsckReport,
    ) -> None:
        self._conn, self._find, self._contracts, self._report = conn, find, contracts, report
        self._events = sorted(
            (*seen.batches, *seen.ledger, *seen.calendar), key=lambda one: (one.block, one.log_index)
        )
        self._lives: dict[int, Lifecycle] = {}
        self._years: dict[int, Year] = {}
        self._policies: dict[int, Columns] = {}
        self._year_rows: dict[int, Columns] = {}
        self._batches: dict[int, Columns] = {}
        self._imports: dict[bytes, Columns] = {}
        self._recalled: set[bytes] = set()
        self._cases: dict[bytes, _Life] = {}

    async def run(self) -> None:
        stored = self._stored("change", "sequence")
        row = await anext(stored, None)
        for event in self._events:
            expected = self._fold(event)
            if expected is None:
                continue
            while row is not None and row["sequence"] < event.sequence:
                self._find("CaseRowUnknown", f"event {row['sequence']}")
                row = await anext(stored, None)
            if row is None or row["sequence"] != event.sequence:
                self._find("CaseRowMissing", f"event {event.sequence}")
                continue
            self._compare(f"event {event.sequence}", expected, row)
            row = await anext(stored, None)
        while row is not None:
            self._find("CaseRowUnknown", f"event {row['sequence']}")
            row = await anext(stored, None)
        await self._table("policy", "version", self._policies, "policy")
        await self._table("calendar_year", "sequence", self._year_rows, "calendar event")
        await self._table("batch_event", "sequence", self._batches, "batch event")
        await self._case_rows()

    # From the chain

    def _fold(self, seen: SeenEvent) -> Columns | None:
        """Take an event; the row of cases.change that it stands for, if it is one of a case."""
        event = DecodedEvent(
            seen.contract, seen.address, seen.name, seen.sequence, seen.block, seen.transaction, seen.values,
            seen.log_index, seen.time,
        )  # fmt: skip
        match event.name:
            case "PolicyActivated":
                row = policy_row(event)
                self._policies[row["version"]] = row
                life = RELEASED.get(row["table_hash"])
                if life is not None:
                    self._lives[row["version"]] = life
            case "CalendarYearSet":
                self._year_rows[event.sequence] = year_row(event)
                year = year_of(event)
                self._years = self._years | {year.year: year}
            case "BatchImported":
                machine = self._machine(event.values["policy"])
                first = machine.opened(owner=event.values["organisation"], product=0, imported=event.time)
                self._batches[event.sequence] = self._imports[event.values["root"]] = batch_row(event, first)
            case "BatchRecalled":
                self._batches[event.sequence] = batch_row(event, None)
                self._recalled.add(event.values["root"])
            case "CaseOpened":
                return self._opened(event)
            case _:
                return self._changed(event)
        return None

    def _opened(self, event: DecodedEvent) -> Columns:
        v = event.values
        change = change_of(event, stage=0, imported=self._imports[v["root"]]["time"])
        state = opened(self._machine(v["policy"]), change, owner=v["owner"], product=v["product"])
        identity = {
            "root": v["root"],
            "position": v["index"],
            "owner": v["owner"],
            "product": v["product"],
            "commitment": v["commitment"],
        }
        self._cases[v["caseId"]] = _Life(identity, v["policy"], state)
        return change_row(event, change, state, policy=v["policy"], stage=0)

    def _changed(self, event: DecodedEvent) -> Columns:
        life = self._cases.get(event.values["caseId"])
        if life is None:
            raise CaseIndexDamaged("the chain changes a case before it comes to life")
        before = life.state.stage
        change = change_of(event, stage=before)
        life.state = after(self._machine(life.policy), life.state, change)
        return change_row(event, change, life.state, policy=life.policy, stage=before)

    def _machine(self, policy: int) -> Machine:
        life = self._lives.get(policy)
        if life is None:
            raise PolicyNotOfThisRelease(f"policy version {policy}", field="policy")
        return Machine(life, WorkCalendar(self._years), lambda index: 0)

    # From the tables

    async def _stored(self, table: str, order: str) -> AsyncIterator[Row]:
        rows = self._conn.cursor(
            f"SELECT * FROM cases.{table} WHERE chain_id = $1 AND contract = ANY($2) ORDER BY {order}",  # noqa: S608
            self._contracts.chain_id,
            list(self._contracts.speaking),
            prefetch=1000,
        )
        async for row in rows:
            yield row

    async def _table(self, table: str, key: str, expected: Mapping[int, Columns], what: str) -> None:
        left = dict(expected)
        async for row in self._stored(table, key):
            columns = left.pop(row[key], None)
            if columns is None:
                self._find("CaseRowUnknown", f"{what} {row[key]}")
            else:
                self._compare(f"{what} {row[key]}", columns, row)
        self._missing(left, what)

    async def _case_rows(self) -> None:
        left = set(self._cases)
        query = """SELECT c.*, EXISTS (SELECT FROM cases.batch b WHERE b.root = c.root) AS filed
                   FROM cases.case c ORDER BY c.case_id"""
        async for row in self._conn.cursor(query, prefetch=1000):
            self._report.cases += 1
            case_id = row["case_id"]
            life = self._cases.get(case_id)
            left.discard(case_id)
            if life is not None:
                expected = {"listed": True, **life.identity, **standing(life.state, life.policy)}
            elif row["filed"]:
                expected = self._unmoved(row["root"])
            else:
                self._find("CaseRowUnknown", f"case {case_id.hex()}")
                continue
            self._compare(f"case {case_id.hex()}", expected, row)
        self._missing((case_id.hex() for case_id in sorted(left)), "case")

    def _unmoved(self, root: bytes) -> Columns:
        batch = self._imports.get(root)
        time = 0 if batch is None else batch["time"]
        return {
            "listed": batch is not None and root not in self._recalled,
            "policy": 0 if batch is None else batch["policy"],
            "version": 0,
            "stage": 1,
            "since": time,
            "clock_start": time,
            "deadline": None if batch is None else batch["deadline"],
            "provisional": batch is not None and batch["provisional"],
            "court": 0,
            "open_holds": 0,
            "marked": False,
        }

    def _compare(self, place: str, expected: Columns, row: Row) -> None:
        wrong = [name for name, value in expected.items() if row[name] != value]
        if wrong:
            self._find("CaseRowMismatch", place, ", ".join(wrong))

    def _missing(self, left: Iterable[object], what: str) -> None:
        for one in left:
            self._find("CaseRowMissing", f"{what} {one}")
