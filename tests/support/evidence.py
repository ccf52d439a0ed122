"""A log on a real database, with submitters; the chain is either the real one or `ContractModel`."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from agent.keys import Ed25519Key, KeyLabel, Secp256k1Key, new_key
from evidence.headguard import HeadGuard
from evidence.intake import DEFAULT_LIMITS, Acceptor, Limits
from evidence.logs import LogContext, Predecessor, create_log
from evidence.ports import FaultPoints, OrganisationState
from evidence.recoverer import Recoverer
from evidence.vault import Vault
from protocol.acts import Purpose
from protocol.entry import Body, EvidenceClass, Header, Link
from protocol.keyslot import KeySlot, KeyState
from protocol.submission import Submission
from storage.db import Pool, connect_pool
from tests.conftest import PgDatabase

CHAIN_ID = 7777
CONTRACT = b"\x11" * 20
REGISTRY = b"\x22" * 20
OPERATOR = 1
FAR = 2**39
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], seconds: float = 120) -> T:
    """One event loop for one test, with a limit."""
    return asyncio.run(asyncio.wait_for(coroutine, seconds))


def act_key(organisation: int, purpose: str = "act") -> Secp256k1Key:
    """A fresh key."""
    key = new_key("secp256k1", KeyLabel(f"o{organisation}", purpose, organisation))
    if not isinstance(key, Secp256k1Key):
        raise TypeError("secp256k1 expected")
    return key


def log_key() -> Ed25519Key:
    """A fresh promise key."""
    key = new_key("ed25519", KeyLabel("log", "log"))
    if not isinstance(key, Ed25519Key):
        raise TypeError("ed25519 expected")
    return key


def slot(organisation: int, **changes: Any) -> KeySlot:
    """A valid act key's slot."""
    members: dict[str, Any] = {
        "organisation": organisation,
        "purpose": Purpose.ACT,
        "not_before": 0,
        "not_after": 2**40 - 1,
        "revoked_at": 0,
        "state": KeyState.ACTIVE,
    }
    return KeySlot(**(members | changes))


@dataclass
class Members:
    """A registry in memory."""

    slots: dict[bytes, KeySlot] = field(default_factory=dict)
    organisations: dict[int, OrganisationState] = field(default_factory=dict)

    def key(self, address: bytes) -> KeySlot | None:
        return self.slots.get(address)

    def organisation(self, index: int) -> OrganisationState | None:
        return self.organisations.get(index)

    def join(self, organisation: int, key: Secp256k1Key, roles: int = 1, **changes: Any) -> None:
        """Register an organisation and its act key."""
        self.organisations[organisation] = OrganisationState(organisation, roles, True)
        self.slots[key.address] = slot(organisation, **changes)


def entry(
    organisation: int,
    *,
    case: bytes | None = None,
    content: bytes | None = None,
    links: Sequence[Link] = (),
    kind: EvidenceClass = EvidenceClass.CONTRACT,
) -> tuple[bytes, bytes]:
    """A document's header and body with random references."""
    body = Body(
        content or secrets.token_bytes(32),
        secrets.token_bytes(32),
        12_345,
        "application/pdf",
        secrets.token_bytes(32),
        secrets.token_bytes(32),
        event_time=1_700_000_000,
        links=tuple(links),
    ).encode()
    flags = 1 if kind is EvidenceClass.MEDIATION_RECORD else 0
    return Header(kind, organisation, case or secrets.token_bytes(32), flags=flags).pack(), body


def entries(organisation: int, count: int) -> list[tuple[bytes, bytes]]:
    """Documents of nobody in particular; cheap to make by the thousand."""
    first = Body(bytes(32), bytes(32), 12_345, "application/pdf", bytes(32), bytes(32)).encode()
    size_at, salt_at = first.index(b"\x03\x19\x30\x39"), first.rindex(b"\x05\x58\x20")
    out = []
    for _ in range(count):
        noise = os.urandom(160)
        body = (
            first[:6]
            + noise[:32]
            + b"\x02\x58\x20"
            + noise[32:64]
            + first[size_at:salt_at]
            + b"\x05\x58\x20"
            + noise[64:96]
            + b"\x06\x58\x20"
            + noise[96:128]
            + first[salt_at + 70 :]
        )
        out.append((Header(EvidenceClass.CONTRACT, organisation, noise[128:]).pack(), body))
    return out


@dataclass
class Desk:
    """One log in one database with an operator (1) and two submitters (2, 3)."""

    pg: PgDatabase
    log: LogContext
    pool: Pool
    members: Members
    keys: dict[int, Secp256k1Key]
    promise_key: Ed25519Key
    vault: Vault
    now: int | None = None

    def clock(self) -> int:
        """The machine's clock unless a test set `now`."""
        return int(time.time()) if self.now is None else self.now

    def acceptor(
        self,
        *,
        limits: Limits = DEFAULT_LIMITS,
        faults: FaultPoints | None = None,
        recoverer: Recoverer | None = None,
        guard: HeadGuard | None = None,
    ) -> Acceptor:
        return Acceptor(
            self.pool, self.log, self.members, self.promise_key, self.vault, clock=self.clock, limits=limits,
            faults=faults, recoverer=recoverer, guard=guard,
        )  # fmt: skip

    def submission(
        self,
        what: int | Sequence[tuple[bytes, bytes]] = 1,
        *,
        organisation: int = 2,
        valid_until: int = FAR,
        key: Secp256k1Key | None = None,
        log: LogContext | None = None,
    ) -> Submission:
        """Signed by the organisation's key."""
        target = log or self.log
        return Submission.sign(
            log_id=target.log_id,
            organisation=organisation,
            valid_until=valid_until,
            entries=entries(organisation, what) if isinstance(what, int) else what,
            domain=target.domain,
            key=key or self.keys[organisation],
        )

    async def owner(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of the schema's owner."""
        return await asyncpg.connect(self.pg.dsn("migrator"))


@asynccontextmanager
async def desk(
    pg: PgDatabase,
    *,
    role: str = "gateway",
    chain_id: int = CHAIN_ID,
    contract: bytes = CONTRACT,
    registry: bytes = REGISTRY,
    origin: str | None = None,
    predecessor: Predecessor | None = None,
    pool_size: int = 6,
) -> AsyncIterator[Desk]:
    """A new log. The database is migrated already; the pool has the rights of `role`."""
    owner = await asyncpg.connect(pg.dsn("migrator"))
    try:
        log = await create_log(
            owner,
            origin=origin or f"centre.example/{secrets.token_hex(6)}",
            chain_id=chain_id,
            contract=contract,
            registry=registry,
            operator=OPERATOR,
            now=int(time.time()),
            predecessor=predecessor,
        )
    finally:
        await owner.close()
    members, keys = Members(), {}
    for organisation in (1, 2, 3):
        keys[organisation] = act_key(organisation)
        members.join(organisation, keys[organisation])
    dsn = pg.superuser_dsn if role == "superuser" else pg.dsn(role)
    pool = await connect_pool(dsn, max_size=pool_size)
    try:
        yield Desk(pg, log, pool, members, keys, log_key(), Vault.generate())
    finally:
        await pool.close()
