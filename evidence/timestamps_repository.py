"""SQL of time tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.hashing import sha256
from storage.db import AnyConnection


@dataclass(frozen=True)
class StoredToken:
    """A verified token over the checkpoint of one tree at `size`. Times in seconds UTC; the rest is DER."""

    algorithm: int
    authority: str
    size: int
    gen_time: int
    policy: str
    signer_until: int
    received_at: int
    token: bytes
    certificates: tuple[bytes, ...]
    revocation: tuple[bytes, ...]


@dataclass(frozen=True)
class SourceState:
    """How far one authority has stamped one tree of a log. `renew_before`: when the certificate of its oldest
    or newest token ends, whichever is earlier (seconds UTC).
    """

    algorithm: int
    authority: str
    size: int
    gen_time: int
    renew_before: int


async def store(conn: AnyConnection, log_no: int, token: StoredToken) -> bool:
    """In one transaction; False when the same authority has stamped this checkpoint already."""
    materials = (*token.certificates, *token.revocation)
    async with conn.transaction():
        await conn.execute(
            """INSERT INTO evidence.time_source (log_no, algorithm, authority) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING""",
            log_no,
            token.algorithm,
            token.authority,
        )
        await conn.execute(
            """INSERT INTO evidence.time_material (digest, der)
               SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING""",
            [sha256(one) for one in dict.fromkeys(materials)],
            list(dict.fromkeys(materials)),
        )
        stored = await conn.fetchval(
            """INSERT INTO evidence.time_token (log_no, algorithm, authority, size, gen_time, policy,
                   signer_until, received_at, token, certificates, revocation)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING 1""",
            log_no,
            token.algorithm,
            token.authority,
            token.size,
            token.gen_time,
            token.policy,
            token.signer_until,
            token.received_at,
            token.token,
            [sha256(one) for one in token.certificates],
            [sha256(one) for one in token.revocation],
        )
    return stored is not None


async def newest(conn: AnyConnection, log_no: int, algorithm: int, authority: str) -> tuple[int, int]:
    """Size of the largest tree that an authority has stamped, and when its token came; at first zeros."""
    row = await conn.fetchrow(
        """SELECT size, received_at FROM evidence.time_token
           WHERE log_no = $1 AND algorithm = $2 AND authority = $3 ORDER BY size DESC LIMIT 1""",
        log_no,
        algorithm,
        authority,
    )
    return (0, 0) if row is None else (row["size"], row["received_at"])


async def first_from(conn: AnyConnection, log_no: int, size: int, now: int) -> tuple[list[StoredToken], bool]:
    """For each authority and tree the first token at or after `size` whose time is not after `now`, trees and
    authorities in order; and whether every authority that ever stamped has one.
    """
    rows = await conn.fetch(
        """SELECT s.algorithm, s.authority, t.size, t.gen_time, t.policy, t.signer_until, t.received_at,
                  t.token, t.certificates, t.revocation
           FROM evidence.time_source s
           LEFT JOIN LATERAL (SELECT * FROM evidence.time_token t
               WHERE t.log_no = s.log_no AND t.algorithm = s.algorithm AND t.authority = s.authority
                 AND t.size >= $2 AND t.gen_time <= $3
               ORDER BY t.size LIMIT 1) t ON true
           WHERE s.log_no = $1 ORDER BY s.algorithm, s.authority""",
        log_no,
        size,
        now,
    )
    found = [row for row in rows if row["size"] is not None]
    materials = await _materials(
        conn, [one for row in found for one in (*row["certificates"], *row["revocation"])]
    )
    tokens = [
        StoredToken(
            row["algorithm"],
            row["authority"],
            row["size"],
            row["gen_time"],
            row["policy"],
            row["signer_until"],
            row["received_at"],
            row["token"],
            tuple(materials[one] for one in row["certificates"]),
            tuple(materials[one] for one in row["revocation"]),
        )
        for row in found
    ]
    return tokens, bool(rows) and len(found) == len(rows)


async def _materials(conn: AnyConnection, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
    if not digests:
        return {}
    rows = await conn.fetch(
        "SELECT digest, der FROM evidence.time_material WHERE digest = ANY($1::bytea[])", list(set(digests))
    )
    return {row["digest"]: row["der"] for row in rows}


async def sources(conn: AnyConnection, log_no: int) -> list[SourceState]:
    """How far each authority has stamped each tree, for status and metrics."""
    rows = await conn.fetch(
        """SELECT s.algorithm, s.authority, t.size, t.gen_time, least(t.signer_until, o.signer_until)
           FROM evidence.time_source s
           JOIN LATERAL (SELECT * FROM evidence.time_token t
               WHERE t.log_no = s.log_no AND t.algorithm = s.algorithm AND t.authority = s.authority
               ORDER BY t.size DESC LIMIT 1) t ON true
           JOIN LATERAL (SELECT * FROM evidence.time_token o
               WHERE o.log_no = s.log_no AND o.algorithm = s.algorithm AND o.authority = s.authority
               ORDER BY o.size LIMIT 1) o ON true
           WHERE s.log_no = $1 ORDER BY s.authority, s.algorithm""",
        log_no,
    )
    return [SourceState(*row) for row in rows]
