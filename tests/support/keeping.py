"""Cases with running clocks in SQL, and a keeper whose time and sender the test holds in hand."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cases.keeping import Keeper
from cases.keeping_repository import Moment
from cases.lifecycle import Lifecycle
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from chain.bindings import LIFECYCLE
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.errors import ContractReverted
from chain.outbox import Outcome
from evidence.ports import FaultPoints
from storage.db import AnyConnection, Pool, connect_pool
from tests.conftest import PgDatabase

T = 1_800_000_000
CHAIN, LEDGER = 7, b"\x0a" * 20
CONTRACTS = CaseContracts(
    CHAIN, PolicyVersion(LIFECYCLE, LIFECYCLE_V1.source_digest),
    b"\1" * 20, b"\2" * 20, b"\3" * 20, b"\4" * 20, LEDGER, b"\5" * 20,
)  # fmt: skip


@dataclass
class Clockwork:
    """`TimePort`: the time that the test sets."""

    time: int = T
    block: int = 1

    async def final(self) -> Moment | None:
        return Moment(self.block, self.time)


@dataclass
class Tray:
    """`SenderPort` that keeps what it is given; `refuse` answers instead of the contract."""

    refuse: ContractReverted | None = None
    given: list[tuple[str, bytes]] = field(default_factory=list)
    ids: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    async def prepare(self, data: bytes) -> int:
        if self.refuse is not None:
            raise self.refuse
        return 100_000

    async def enqueue(self, conn: AnyConnection, data: bytes, gas: int, business_key: str) -> int:
        """As the outbox: a row in the caller's transaction, one for each business."""
        row = await conn.fetchval(
            """INSERT INTO chain.outbox
                   (lane, business_key, nonce, recipient, data, gas, gas_price, raw, hash)
               VALUES ('test', $1, (SELECT count(*) FROM chain.outbox), $2, $3, $4, 0, '\\x00',
                       sha256(convert_to($1, 'UTF8')))
               ON CONFLICT (business_key) DO UPDATE SET gas = excluded.gas RETURNING id""",
            business_key,
            LEDGER,
            data,
            gas,
        )
        self.given.append((business_key, data))
        return int(row)

    async def outcome(self, conn: AnyConnection, business_key: str) -> Outcome | None:
        raise NotImplementedError


@dataclass
class Keeping:
    """A keeper over a database."""

    pool: Pool
    clock: Clockwork
    tray: Tray
    keeper: Keeper
    admin: Pool
    sequence: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    async def round(self, time: int | None = None) -> None:
        if time is not None:
            self.clock.time = time
        await self.keeper.run_once()

    async def case(self, number: int, deadline: int | None, **members: Any) -> bytes:
        """A listed case; further members as columns of cases.case."""
        case_id = number.to_bytes(32, "big")
        values: dict[str, Any] = {
            "root": bytes(32), "position": number, "owner": 1, "product": 1, "commitment": bytes(32),
            "listed": True, "policy": 1, "version": 2, "stage": int(StageCode.ADMITTED), "since": T,
            "clock_start": T, "provisional": False, "court": 0, "open_holds": 0, "marked": False,
        } | members | {"case_id": case_id, "deadline": deadline}  # fmt: skip
        names = list(values)
        await self.admin.execute(
            f"INSERT INTO cases.case ({', '.join(names)}) VALUES"  # noqa: S608 - names of this function
            f" ({', '.join(f'${at}' for at in range(1, len(names) + 1))})",
            *values.values(),
        )
        return case_id

    async def set(self, case_id: bytes, **members: Any) -> None:
        """What a change does to the row."""
        names = ", ".join(f"{name} = ${at}" for at, name in enumerate(members, 2))
        await self.admin.execute(
            f"UPDATE cases.case SET {names} WHERE case_id = $1",  # noqa: S608
            case_id,
            *members.values(),
        )

    async def reminders(self, *, moot: bool = False) -> list[tuple[int, int, int]]:
        """Case number, version and percent of each, in the order in which they are handed out."""
        rows = await self.pool.fetch(
            "SELECT * FROM cases.reminder WHERE $1 = (moot_at IS NOT NULL) ORDER BY position", moot
        )
        return [(int.from_bytes(row["case_id"], "big"), row["version"], row["percent"]) for row in rows]

    async def fate(self, state: str, code: str | None = None) -> None:
        """What becomes of everything that was sent."""
        await self.admin.execute(
            """UPDATE chain.outbox SET state = $1, reason_code = $2, block_number = 1
               WHERE state IN ('ready', 'sent')""",
            state,
            code,
        )


@asynccontextmanager
async def keeping(
    pg: PgDatabase, *, life: Lifecycle = LIFECYCLE_V1, faults: FaultPoints | None = None
) -> AsyncIterator[Keeping]:
    """Empty tables, policy 1 = `life`."""
    admin = await connect_pool(pg.superuser_dsn, max_size=2)
    pool = await connect_pool(pg.dsn("sealer"), max_size=4)
    try:
        await admin.execute(
            """TRUNCATE cases.case, cases.watch, cases.timed_act, cases.reminder, chain.outbox, chain.block
               CASCADE"""
        )
        await admin.execute("UPDATE cases.reminder_head SET position = 0")
        await admin.execute(
            """INSERT INTO chain.lane (lane, chain_id, sender) VALUES ('test', $1, $2)
               ON CONFLICT DO NOTHING""",
            CHAIN,
            b"\5" * 20,
        )
        await admin.execute("INSERT INTO chain.block VALUES ($1, 1, $2, $3)", CHAIN, b"\1" * 32, T)
        await admin.execute(
            "INSERT INTO cases.policy VALUES ($1, $2, 1, $3, $4, false, 1)",
            CHAIN,
            LEDGER,
            b"\6" * 20,
            life.table_hash,
        )
        clock, tray = Clockwork(), Tray()
        keeper = Keeper(pool, clock, tray, CONTRACTS, {life.table_hash: life}, faults=faults)
        yield Keeping(pool, clock, tray, keeper, admin)
    finally:
        await pool.close()
        await admin.close()


async def add_change(k: Keeping, case_id: bytes, kind: str, time: int, **members: Any) -> None:
    """A row of cases.change; the case follows it."""
    values: dict[str, Any] = {
        "chain_id": CHAIN, "contract": LEDGER, "sequence": next(iter(k.sequence)), "case_id": case_id,
        "kind": kind, "from_stage": int(StageCode.ADMITTED), "time": time, "block_number": 1, "log_index": 0,
        "transaction_hash": b"\7" * 32, "version": 2, "stage": int(StageCode.ADMITTED), "since": T,
        "clock_start": T, "deadline": None, "provisional": False, "court": 0, "open_holds": 0,
        "marked": False, "policy": 1,
    } | members  # fmt: skip
    names = list(values)
    await k.admin.execute(
        f"INSERT INTO cases.change ({', '.join(names)}) VALUES"  # noqa: S608
        f" ({', '.join(f'${at}' for at in range(1, len(names) + 1))})",
        *values.values(),
    )
