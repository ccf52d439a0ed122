"""All SQL over decisions of triage."""

from __future__ import annotations

import asyncpg

from protocol.case_decision import SealedDecision
from storage.db import AnyConnection

Row = asyncpg.Record

_COLUMNS = "case_id, number, commitment, previous, organisation, received_at, recipients, ciphertext, wrapped"
_SELECT = f"SELECT {_COLUMNS} FROM cases.decision"  # noqa: S608 - constants


async def case(conn: AnyConnection, case_id: bytes) -> Row | None:
    """What decides who sees a case, and to whom its batch was sealed (null where its file is elsewhere)."""
    return await conn.fetchrow(
        """SELECT c.owner, c.stage, c.court, c.listed, b.recipients
           FROM cases.case c LEFT JOIN cases.batch b ON b.root = c.root AND b.owner = c.owner
           WHERE c.case_id = $1""",
        case_id,
    )


async def by_commitment(conn: AnyConnection, commitment: bytes) -> Row | None:
    """One decision."""
    return await conn.fetchrow(f"{_SELECT} WHERE commitment = $1", commitment)


async def newest(conn: AnyConnection, case_id: bytes) -> Row | None:
    """The last decision of a case."""
    return await conn.fetchrow(f"{_SELECT} WHERE case_id = $1 ORDER BY number DESC LIMIT 1", case_id)


async def of(conn: AnyConnection, case_id: bytes) -> list[Row]:
    """All decisions of a case, first to last."""
    return await conn.fetch(f"{_SELECT} WHERE case_id = $1 ORDER BY number", case_id)


async def insert(
    conn: AnyConnection,
    sealed: SealedDecision,
    number: int,
    organisation: int,
    recipients: tuple[int, ...],
    now: int,
) -> Row | None:
    """Adds a decision; None where its number, commitment or predecessor is taken."""
    return await conn.fetchrow(
        f"""INSERT INTO cases.decision ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT DO NOTHING RETURNING {_COLUMNS}""",  # noqa: S608 - constants
        sealed.case_id,
        number,
        sealed.commitment,
        sealed.previous,
        organisation,
        now,
        list(recipients),
        sealed.ciphertext,
        list(sealed.wrapped),
    )
