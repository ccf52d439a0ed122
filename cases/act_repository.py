"""All SQL over acts on cases that this service was handed, and who may see those that wait."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import asyncpg

from storage.db import AnyConnection

MAX_WAITING = 1000
"""Half-signed acts of one organisation at a time."""


@dataclass(frozen=True)
class HeldAct:
    """A row. Times in seconds UTC; `carried_at` None while it waits for the second signature."""

    id: bytes
    digest: bytes
    case_id: bytes
    name: str
    organisation: int
    co_organisation: int
    document: dict[str, Any]
    valid_until: int
    received_at: int
    carried_at: int | None
    expires_at: int

    @property
    def waiting(self) -> bool:
        """For the second organisation's signature."""
        return self.carried_at is None

    def visible_to(self, organisation: int) -> bool:
        """A half-signed act is between the two; what was carried is on the chain for all."""
        return not self.waiting or organisation in (self.organisation, self.co_organisation)


async def held(conn: AnyConnection, act_id: bytes, now: int) -> HeldAct | None:
    """The act of this name, if it is here and has not expired while waiting."""
    row = await conn.fetchrow(
        "SELECT * FROM cases.act WHERE id = $1 AND (carried_at IS NOT NULL OR expires_at >= $2)", act_id, now
    )
    return None if row is None else _act(row)


async def waiting(
    conn: AnyConnection, organisation: int, now: int, case_id: bytes | None = None
) -> list[HeldAct]:
    """Half-signed acts that name this organisation, oldest first."""
    rows = await conn.fetch(
        """SELECT * FROM cases.act
           WHERE carried_at IS NULL AND (co_organisation = $1 OR organisation = $1) AND expires_at >= $2
             AND ($3::bytea IS NULL OR case_id = $3)
           ORDER BY received_at, id LIMIT $4""",
        organisation,
        now,
        case_id,
        2 * MAX_WAITING,
    )
    return [_act(row) for row in rows]


async def count_waiting(conn: AnyConnection, organisation: int) -> int:
    """How many acts of this organisation wait."""
    return int(
        await conn.fetchval(
            "SELECT count(*) FROM cases.act WHERE carried_at IS NULL AND organisation = $1", organisation
        )
    )


async def drop_expired(conn: AnyConnection, now: int) -> None:
    """Forgets half-signed acts that can no longer be used."""
    await conn.execute("DELETE FROM cases.act WHERE carried_at IS NULL AND expires_at < $1", now)


async def keep(conn: AnyConnection, act: HeldAct) -> None:
    """Writes an act. One that waits under this name becomes carried; one that was carried stays as it is."""
    await conn.execute(
        """INSERT INTO cases.act AS a (id, digest, case_id, name, organisation, co_organisation, document,
                                       valid_until, received_at, carried_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11)
           ON CONFLICT (id) DO UPDATE SET document = excluded.document, carried_at = excluded.carried_at
           WHERE a.carried_at IS NULL AND excluded.carried_at IS NOT NULL AND a.digest = excluded.digest""",
        act.id,
        act.digest,
        act.case_id,
        act.name,
        act.organisation,
        act.co_organisation,
        json.dumps(act.document),
        act.valid_until,
        act.received_at,
        act.carried_at,
        act.expires_at,
    )


def _act(row: asyncpg.Record) -> HeldAct:
    members = dict(row)
    return HeldAct(**{**members, "document": json.loads(members["document"])})
