"""SQL of sealing and anchoring: batches, acts, anchors, proofs, troubles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from evidence.contract import Anchored
from evidence.errors import RecordDamaged
from evidence.logs import LogContext, LogStatus
from protocol.acts import Anchor
from protocol.errors import CaseledgerError
from protocol.keyslot import batch_link
from storage.db import AnyConnection, Pool

ZERO32 = bytes(32)


@dataclass(frozen=True)
class Batch:
    """A sealed checkpoint: leaves [old_size, new_size), roots at new_size."""

    number: int
    old_size: int
    new_size: int
    root_sha256: bytes
    root_sm3: bytes
    sealed_at: int

    def act(self, log: LogContext, valid_until: int) -> Anchor:
        """The act that anchors this batch: apart from `valid_until` nothing but the row."""
        return Anchor(log.log_id, self.old_size, self.new_size, self.root_sha256, self.root_sm3, valid_until)

    def link(self, log: LogContext, previous: bytes, time: int) -> bytes:
        """What the contract's link slot must hold."""
        return batch_link(
            chain_id=log.chain_id,
            contract=log.contract,
            log_id=log.log_id,
            number=self.number,
            previous=previous,
            size=self.new_size,
            root_sha256=self.root_sha256,
            root_sm3=self.root_sm3,
            time=time,
        )


@dataclass(frozen=True)
class Act:
    """A signed anchor act. `attempt` counts sendings from 1; the signature may be that of the one before."""

    attempt: int
    valid_until: int
    signature: bytes

    def business_key(self, log: LogContext, number: int) -> str:
        """Of the outbox."""
        return f"anchor:{log.log_id.hex()}:{number}:{self.attempt}"


def _batch(row: asyncpg.Record) -> Batch:
    return Batch(
        row["number"], row["old_size"], row["new_size"], row["root_sha256"], row["root_sm3"], row["sealed_at"]
    )


async def last_batch(conn: AnyConnection | Pool, log_no: int) -> Batch | None:
    """The newest sealed batch."""
    row = await conn.fetchrow(
        "SELECT * FROM evidence.batch WHERE log_no = $1 ORDER BY number DESC LIMIT 1", log_no
    )
    return None if row is None else _batch(row)


async def unanchored(conn: AnyConnection | Pool, log_no: int) -> Batch | None:
    """The batch that is sealed and not known to be anchored; at most the last one can be."""
    row = await conn.fetchrow(
        """SELECT b.* FROM evidence.batch b
           WHERE b.log_no = $1 AND NOT EXISTS (
               SELECT FROM evidence.anchor a WHERE a.log_no = b.log_no AND a.number = b.number)
           ORDER BY b.number LIMIT 1""",
        log_no,
    )
    return None if row is None else _batch(row)


async def last_anchored(conn: AnyConnection | Pool, log_no: int) -> Batch | None:
    """The newest batch whose anchor is recorded."""
    row = await conn.fetchrow(
        """SELECT b.* FROM evidence.batch b JOIN evidence.anchor a USING (log_no, number)
           WHERE log_no = $1 ORDER BY number DESC LIMIT 1""",
        log_no,
    )
    return None if row is None else _batch(row)


async def anchored_until(conn: AnyConnection | Pool, log_no: int, time: int) -> Batch | None:
    """The newest batch that was anchored at or before `time` (seconds UTC)."""
    row = await conn.fetchrow(
        """SELECT b.* FROM evidence.batch b JOIN evidence.anchor a USING (log_no, number)
           WHERE log_no = $1 AND a.anchored_at <= $2 ORDER BY number DESC LIMIT 1""",
        log_no,
        time,
    )
    return None if row is None else _batch(row)


async def anchored_at_size(conn: AnyConnection | Pool, log_no: int, size: int) -> Batch | None:
    """The anchored batch that ends at `size`."""
    row = await conn.fetchrow(
        """SELECT b.* FROM evidence.batch b JOIN evidence.anchor a USING (log_no, number)
           WHERE log_no = $1 AND b.new_size = $2""",
        log_no,
        size,
    )
    return None if row is None else _batch(row)


async def insert_batch(conn: AnyConnection, log_no: int, batch: Batch) -> None:
    """Freeze it."""
    await conn.execute(
        """INSERT INTO evidence.batch (log_no, number, old_size, new_size, root_sha256, root_sm3, sealed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        log_no,
        batch.number,
        batch.old_size,
        batch.new_size,
        batch.root_sha256,
        batch.root_sm3,
        batch.sealed_at,
    )


async def last_act(conn: AnyConnection | Pool, log_no: int, number: int) -> Act | None:
    """The newest act of a batch."""
    row = await conn.fetchrow(
        """SELECT attempt, valid_until, signature FROM evidence.anchor_act
           WHERE log_no = $1 AND number = $2 ORDER BY attempt DESC LIMIT 1""",
        log_no,
        number,
    )
    return None if row is None else Act(row["attempt"], row["valid_until"], row["signature"])


async def insert_act(
    conn: AnyConnection, log_no: int, number: int, act: Act, outbox_id: int, now: int
) -> None:
    """Record that an act was given to the outbox."""
    await conn.execute(
        """INSERT INTO evidence.anchor_act
               (log_no, number, attempt, valid_until, signature, outbox_id, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        log_no,
        number,
        act.attempt,
        act.valid_until,
        act.signature,
        outbox_id,
        now,
    )


async def previous_link(conn: AnyConnection | Pool, log_no: int, number: int) -> bytes:
    """The link of batch `number` - 1; zero for the first. Raises RecordDamaged when it is not recorded."""
    if number == 1:
        return ZERO32
    link = await conn.fetchval(
        "SELECT link FROM evidence.anchor WHERE log_no = $1 AND number = $2", log_no, number - 1
    )
    if link is None:
        raise RecordDamaged(f"the anchor of batch {number - 1} is not recorded")
    return bytes(link)


async def insert_anchor(conn: AnyConnection, log_no: int, previous: bytes, event: Anchored) -> None:
    """Record the anchor as the final chain shows it."""
    await conn.execute(
        """INSERT INTO evidence.anchor (log_no, number, previous_link, link, anchored_at, block_number,
               block_hash, transaction_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (log_no, number) DO NOTHING""",
        log_no,
        event.number,
        previous,
        event.link,
        event.time,
        event.block_number,
        event.block_hash,
        event.transaction_hash,
    )


async def set_status(
    conn: AnyConnection | Pool,
    log_no: int,
    status: LogStatus,
    now: int,
    *,
    code: str | None = None,
    detail: str | None = None,
    closed_size: int | None = None,
) -> None:
    """Change the log's state; a closed log stays closed."""
    await conn.execute(
        """UPDATE evidence.log_status SET status = $2, code = $3, detail = $4, since = $5, closed_size = $6
           WHERE log_no = $1 AND status <> 'closed'
             AND (status, code, detail) IS DISTINCT FROM ($2::text, $3::text, $4::text)""",
        log_no,
        status.value,
        code,
        detail,
        now,
        closed_size,
    )


async def note_trouble(
    conn: AnyConnection | Pool, log_no: int, step: str, error: CaseledgerError, now: int
) -> None:
    """A step failed; it will be tried again and is shown until then."""
    await conn.execute(
        """INSERT INTO evidence.trouble AS t (log_no, step, code, detail, first_at, last_at, times)
           VALUES ($1, $2, $3, $4, $5, $5, 1)
           ON CONFLICT (log_no, step) DO UPDATE SET code = $3, detail = $4, last_at = $5, times = t.times + 1,
               first_at = CASE WHEN t.code = $3 THEN t.first_at ELSE $5 END""",
        log_no,
        step,
        error.code,
        error.detail[:500],
        now,
    )


async def clear_trouble(conn: AnyConnection | Pool, log_no: int, step: str) -> None:
    """The step succeeded."""
    await conn.execute("DELETE FROM evidence.trouble WHERE log_no = $1 AND step = $2", log_no, step)


@dataclass(frozen=True)
class ProofTask:
    """An anchored batch whose chain proof is not stored yet."""

    number: int
    link: bytes
    block_number: int
    signers: tuple[bytes, ...]


async def open_proofs(conn: AnyConnection, log_no: int, limit: int) -> list[ProofTask]:
    """The oldest ones."""
    rows = await conn.fetch(
        """SELECT a.number, a.link, a.block_number, b.old_size, b.new_size
           FROM evidence.anchor a JOIN evidence.batch b USING (log_no, number)
           WHERE log_no = $1 AND NOT EXISTS (
               SELECT FROM evidence.batch_proof p WHERE p.log_no = a.log_no AND p.number = a.number)
           ORDER BY a.number LIMIT $2""",
        log_no,
        limit,
    )
    tasks = []
    for row in rows:
        signers = await conn.fetch(
            """SELECT DISTINCT signer FROM evidence.submission
               WHERE log_no = $1 AND first_index >= $2 AND first_index < $3 ORDER BY signer""",
            log_no,
            row["old_size"],
            row["new_size"],
        )
        tasks.append(
            ProofTask(
                row["number"], row["link"], row["block_number"], tuple(one["signer"] for one in signers)
            )
        )
    return tasks


async def store_proofs(
    conn: AnyConnection,
    log_no: int,
    number: int,
    height: int,
    shared: bytes,
    keys: Mapping[bytes, bytes],
    now: int,
) -> None:
    """Batch proof and key proofs, in the caller's transaction; a second capturer changes nothing."""
    stored = await conn.fetchval(
        """INSERT INTO evidence.batch_proof (log_no, number, height, proof, captured_at)
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT (log_no, number) DO NOTHING RETURNING 1""",
        log_no,
        number,
        height,
        shared,
        now,
    )
    if stored is None:
        return
    await conn.execute(
        """INSERT INTO evidence.key_proof (log_no, number, signer, proof)
           SELECT $1, $2, k.signer, k.proof FROM unnest($3::bytea[], $4::bytea[]) AS k (signer, proof)""",
        log_no,
        number,
        list(keys),
        list(keys.values()),
    )
