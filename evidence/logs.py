"""The logs that this service runs: who they are and in which state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from evidence.errors import LogUnknown
from protocol.acts import Domain
from protocol.errors import MalformedInput
from protocol.identifiers import log_id as log_id_of
from storage.db import AnyConnection, Pool


class LogStatus(StrEnum):
    """See evidence.log_status."""

    OPEN = "open"
    HALTED = "halted"
    CLOSED = "closed"


@dataclass(frozen=True)
class Predecessor:
    """The closed head that a successor's first entry commits to."""

    log_no: int
    log_id: bytes
    size: int
    root_sha256: bytes
    root_sm3: bytes


@dataclass(frozen=True)
class LogContext:
    """A log's identity; never changes. `log_no` is this database's short name for it."""

    log_no: int
    log_id: bytes
    origin: str
    chain_id: int
    contract: bytes
    registry: bytes
    operator: int
    predecessor: Predecessor | None = None

    @property
    def domain(self) -> Domain:
        """EIP-712 domain of submissions and anchors: the EvidenceLog."""
        return Domain(self.chain_id, self.contract)


async def create_log(
    conn: AnyConnection,
    *,
    origin: str,
    chain_id: int,
    contract: bytes,
    registry: bytes,
    operator: int,
    now: int,
    predecessor: Predecessor | None = None,
) -> LogContext:
    """Register a log in this database; again with the same members it is returned as it is.

    Needs the schema owner's rights: services open no logs. Raises MalformedInput when the origin is taken by
    a log of another chain, contract or operator.
    """
    identity = log_id_of(origin)
    async with conn.transaction():
        row = await conn.fetchrow(
            """INSERT INTO evidence.log (log_id, origin, chain_id, contract, registry, operator, predecessor,
                   predecessor_size, predecessor_sha256, predecessor_sm3, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (log_id) DO NOTHING
               RETURNING log_no""",
            identity,
            origin,
            chain_id,
            contract,
            registry,
            operator,
            predecessor.log_no if predecessor else None,
            predecessor.size if predecessor else None,
            predecessor.root_sha256 if predecessor else None,
            predecessor.root_sm3 if predecessor else None,
            now,
        )
        if row is not None:
            number = row["log_no"]
            await conn.execute("INSERT INTO evidence.log_status (log_no, since) VALUES ($1, $2)", number, now)
            await conn.execute("INSERT INTO evidence.log_writer (log_no) VALUES ($1)", number)
            await conn.execute("INSERT INTO evidence.tile_state (log_no, tiled_size) VALUES ($1, 0)", number)
    found = await load_log(conn, identity)
    wanted = (chain_id, contract, registry, operator, predecessor)
    if (found.chain_id, found.contract, found.registry, found.operator, found.predecessor) != wanted:
        raise MalformedInput(
            "this origin is registered for another chain, contract or operator", field="origin"
        )
    return found


_SELECT = """SELECT l.*, p.log_id AS predecessor_id FROM evidence.log l
    LEFT JOIN evidence.log p ON p.log_no = l.predecessor"""


async def load_log(conn: AnyConnection | Pool, log_id: bytes) -> LogContext:
    """By id. Raises LogUnknown."""
    row = await conn.fetchrow(_SELECT + " WHERE l.log_id = $1", log_id)
    if row is None:
        raise LogUnknown("no log with this id", field="logId")
    return _context(row)


async def load_logs(conn: AnyConnection | Pool) -> list[LogContext]:
    """All logs, in the order in which they were opened."""
    return [_context(row) for row in await conn.fetch(_SELECT + " ORDER BY l.log_no")]


def _context(row: asyncpg.Record) -> LogContext:
    predecessor = None
    if row["predecessor"] is not None:
        predecessor = Predecessor(
            row["predecessor"],
            row["predecessor_id"],
            row["predecessor_size"],
            row["predecessor_sha256"],
            row["predecessor_sm3"],
        )
    return LogContext(
        row["log_no"],
        row["log_id"],
        row["origin"],
        row["chain_id"],
        row["contract"],
        row["registry"],
        row["operator"],
        predecessor,
    )


async def log_status(conn: AnyConnection | Pool, log_no: int) -> LogStatus:
    """The present state."""
    return LogStatus(await conn.fetchval("SELECT status FROM evidence.log_status WHERE log_no = $1", log_no))
