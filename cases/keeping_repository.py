"""SQL of the loop that reminds, marks and lapses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from cases.keeping_rules import PERCENTS, Clocked, Ticked, Watch, next_percent, remind_at, reminder_id
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool


@dataclass(frozen=True)
class Moment:
    """A final block: by its time the loop acts."""

    block: int
    time: int


async def followed(conn: AnyConnection | Pool, cursor: str) -> tuple[int, bytes] | None:
    """How far the events of cases are read: block number and hash; None before the first."""
    row = await conn.fetchrow("SELECT block_number, block_hash FROM chain.cursor WHERE name = $1", cursor)
    return None if row is None else (int(row["block_number"]), bytes(row["block_hash"]))


async def policies(conn: AnyConnection | Pool, contract: bytes) -> dict[int, bytes]:
    """Hash of the tables of each policy version that the ledger at `contract` has."""
    rows = await conn.fetch("SELECT version, table_hash FROM cases.policy WHERE contract = $1", contract)
    return {row["version"]: bytes(row["table_hash"]) for row in rows}


# Watching


async def changed(conn: AnyConnection, limit: int) -> tuple[list[Clocked], list[bytes]]:
    """Cases to look at again, locked until the transaction ends: those that are listed, and ids of others."""
    rows = await conn.fetch(
        """SELECT case_id, listed, policy, version, stage, clock_start, deadline, provisional, marked
           FROM cases.case WHERE listed <> watched LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED""",
        limit,
    )
    listed = [
        Clocked(
            bytes(row["case_id"]), row["policy"], row["version"], row["stage"], row["clock_start"],
            row["deadline"], row["provisional"], row["marked"],
        )
        for row in rows if row["listed"]
    ]  # fmt: skip
    return listed, [bytes(row["case_id"]) for row in rows if not row["listed"]]


async def ticked(conn: AnyConnection, cases: Sequence[Clocked]) -> dict[bytes, Ticked]:
    """How long each present clock has run, from the changes: the time in which a deadline was in force."""
    rows = await conn.fetch(
        """WITH spans AS (
               SELECT case_id, clock_start, time, deadline,
                      CASE kind WHEN 'opened' THEN clock_start ELSE time END AS since,
                      lead(time) OVER (PARTITION BY case_id ORDER BY sequence) AS until
               FROM cases.change WHERE case_id = ANY($1::bytea[]))
           SELECT c.id AS case_id, max(s.time) AS last,
                  sum(greatest(0, least(s.until, s.deadline) - s.since))
                      FILTER (WHERE s.clock_start = c.clock_start AND s.deadline IS NOT NULL
                                    AND s.until IS NOT NULL) AS seconds
           FROM unnest($1::bytea[], $2::bigint[]) AS c (id, clock_start)
           JOIN spans s ON s.case_id = c.id GROUP BY c.id""",
        [case.case_id for case in cases],
        [case.clock_start for case in cases],
    )
    found = {bytes(row["case_id"]): Ticked(int(row["seconds"] or 0), row["last"]) for row in rows}
    return {case.case_id: found.get(case.case_id, Ticked(0, case.clock_start)) for case in cases}


async def done_already(
    conn: AnyConnection, cases: Sequence[Clocked]
) -> tuple[dict[bytes, set[int]], dict[tuple[bytes, str], tuple[int, bool]]]:
    """Of the present deadlines: percents reminded of by case; last attempt, and whether it is on its way, by
    case and act."""
    keys = (
        [case.case_id for case in cases],
        [case.run for case in cases],
        [case.deadline for case in cases],
    )
    present = "unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS c (case_id, version, deadline)"
    made: dict[bytes, set[int]] = {}
    for row in await conn.fetch(
        f"""SELECT case_id, percent FROM {present} JOIN cases.reminder r USING (case_id, version, deadline)
            WHERE r.moot_at IS NULL""",  # noqa: S608 - no input of anybody
        *keys,
    ):
        made.setdefault(bytes(row["case_id"]), set()).add(row["percent"])
    rows = await conn.fetch(
        f"""SELECT case_id, act, max(attempt) AS attempt, bool_or(state IS NULL) AS open
            FROM {present} JOIN cases.timed_act USING (case_id, version, deadline)
            GROUP BY case_id, act""",  # noqa: S608
        *keys,
    )
    return made, {(bytes(row["case_id"]), row["act"]): (row["attempt"], row["open"]) for row in rows}


async def watch(conn: AnyConnection, watches: Sequence[Watch], looked_at: Sequence[bytes], now: int) -> None:
    """Put these in place of what is watched of the cases looked at; what is moot of their reminders is said
    to be."""
    ids = list(looked_at)
    await conn.execute("DELETE FROM cases.watch WHERE case_id = ANY($1::bytea[])", ids)
    await conn.execute(
        """UPDATE cases.reminder r SET moot_at = $2
           WHERE r.case_id = ANY($1::bytea[]) AND r.moot_at IS NULL AND NOT EXISTS (
               SELECT FROM unnest($3::bytea[], $4::bigint[], $5::bigint[]) AS w (case_id, version, deadline)
               WHERE (w.case_id, w.version, w.deadline) = (r.case_id, r.version, r.deadline))""",
        ids,
        now,
        [one.case_id for one in watches],
        [one.version for one in watches],
        [one.deadline for one in watches],
    )
    await conn.executemany(
        """INSERT INTO cases.watch
               (case_id, version, stage, deadline, provisional, known, total, percent, remind_at, act,
                transition, act_at, attempt)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
        [
            (w.case_id, w.version, w.stage, w.deadline, w.provisional, w.known, w.total, w.percent,
             w.remind_at, w.act, w.transition, w.act_at, w.attempt)
            for w in watches
        ],
    )  # fmt: skip
    await conn.execute("UPDATE cases.case SET watched = listed WHERE case_id = ANY($1::bytea[])", ids)


_STANDS = "c.listed AND c.watched"
"""What a watch says holds of its case as this transaction sees it."""


# Reminding


async def to_remind(conn: AnyConnection, now: int, limit: int) -> list[Watch]:
    """Watches of which a reminder is due, locked."""
    rows = await conn.fetch(
        f"""SELECT w.* FROM cases.watch w JOIN cases.case c USING (case_id)
            WHERE w.remind_at <= $1 AND {_STANDS} ORDER BY w.remind_at, w.case_id LIMIT $2
            FOR NO KEY UPDATE OF w""",  # noqa: S608
        now,
        limit,
    )
    return [_watch(row) for row in rows]


async def remind(conn: AnyConnection, watches: Iterable[Watch], now: int) -> int:
    """Make every reminder of these that is due by now, and note when the next is; how many were made."""
    due: list[tuple[Watch, int, int]] = []
    after: list[tuple[bytes, int | None, int | None]] = []
    for one in watches:
        percent, at = one.percent, one.remind_at
        while percent is not None and at is not None and at <= now:
            due.append((one, percent, at))
            percent = next_percent([p for p in PERCENTS if p <= percent], passed=one.known)
            at = None if percent is None else remind_at(one.deadline, one.total, percent)
        after.append((one.case_id, percent, at))
    due.sort(key=lambda entry: (entry[2], entry[0].case_id))
    head = await conn.fetchval(
        "UPDATE cases.reminder_head SET position = position + $1 RETURNING position", len(due)
    )
    first = int(head) - len(due) + 1
    await conn.executemany(
        """INSERT INTO cases.reminder AS r
               (reminder_id, position, case_id, version, stage, deadline, provisional, percent, due_at,
                made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           ON CONFLICT (case_id, version, deadline, percent) DO UPDATE
               SET position = excluded.position, moot_at = NULL WHERE r.moot_at IS NOT NULL""",
        [
            (reminder_id(w.case_id, w.version, w.deadline, percent), first + place, w.case_id, w.version,
             w.stage, w.deadline, w.provisional, percent, at, now)
            for place, (w, percent, at) in enumerate(due)
        ],
    )  # fmt: skip
    await conn.executemany("UPDATE cases.watch SET percent = $2, remind_at = $3 WHERE case_id = $1", after)
    return len(due)


# Sending


@dataclass(frozen=True)
class Settled:
    """What became of a transaction of the loop."""

    watch: Watch
    state: str
    code: str | None


async def to_send(conn: AnyConnection | Pool, now: int, limit: int) -> list[tuple[Watch, int, int]]:
    """Watches whose act is due, each with its case's version and the refusals so far."""
    rows = await conn.fetch(
        f"""SELECT w.*, c.version AS case_version FROM cases.watch w JOIN cases.case c USING (case_id)
            WHERE w.act_at <= $1 AND {_STANDS} ORDER BY w.act_at, w.case_id LIMIT $2""",  # noqa: S608
        now,
        limit,
    )
    return [(_watch(row), row["case_version"], row["refusals"]) for row in rows]


async def still_due(conn: AnyConnection, watch: Watch) -> bool:
    """Whether nothing has happened to the watch and its case since it was read; locks both."""
    found = await conn.fetchval(
        f"""SELECT 1 FROM cases.watch w JOIN cases.case c USING (case_id)
            WHERE w.case_id = $1 AND w.version = $2 AND w.deadline = $3 AND w.act = $4 AND w.attempt = $5
                AND w.act_at IS NOT NULL AND {_STANDS} FOR NO KEY UPDATE OF w""",  # noqa: S608
        watch.case_id,
        watch.version,
        watch.deadline,
        watch.act,
        watch.attempt,
    )
    return found is not None


async def sent(conn: AnyConnection, watch: Watch, key: str, outbox_id: int, now: int) -> None:
    """The act is with the outbox."""
    await conn.execute(
        """INSERT INTO cases.timed_act
               (business_key, case_id, version, deadline, act, transition, attempt, outbox_id, sent_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        key,
        watch.case_id,
        watch.version,
        watch.deadline,
        watch.act,
        watch.transition,
        watch.attempt + 1,
        outbox_id,
        now,
    )
    await conn.execute(
        "UPDATE cases.watch SET attempt = $2, act_at = NULL, code = NULL WHERE case_id = $1",
        watch.case_id,
        watch.attempt + 1,
    )


async def refused(
    conn: AnyConnection | Pool, watch: Watch, code: str, act_at: int | None, *, counts: bool
) -> None:
    """The contract would refuse it now; `act_at`: when it is asked again."""
    await conn.execute(
        """UPDATE cases.watch SET code = $4, act_at = $5, refusals = refusals + $6
           WHERE case_id = $1 AND version = $2 AND deadline = $3 AND act_at IS NOT NULL""",
        watch.case_id,
        watch.version,
        watch.deadline,
        code,
        act_at,
        int(counts),
    )


async def on_its_way(conn: AnyConnection | Pool) -> int:
    """Acts whose fate is not known."""
    return int(await conn.fetchval("SELECT count(*) FROM cases.timed_act WHERE state IS NULL"))


async def to_settle(conn: AnyConnection | Pool, limit: int) -> list[asyncpg.Record]:
    """Acts whose transaction has come to its end: columns of timed_act, `fate` and `reason` of the outbox."""
    return await conn.fetch(
        """SELECT t.*, o.state AS fate, o.reason_code AS reason
           FROM cases.timed_act t JOIN chain.outbox o ON o.id = t.outbox_id
           WHERE t.state IS NULL AND o.state IN ('mined', 'reverted', 'failed', 'vanished')
           ORDER BY t.outbox_id LIMIT $1""",
        limit,
    )


async def settle(conn: AnyConnection, row: asyncpg.Record, act_at: int | None, now: int) -> None:
    """Record the fate; `act_at`: when another attempt is made, None for never."""
    await conn.execute(
        "UPDATE cases.timed_act SET state = $2, code = $3, settled_at = $4 WHERE business_key = $1",
        row["business_key"],
        row["fate"],
        row["reason"],
        now,
    )
    await conn.execute(
        """UPDATE cases.watch SET act_at = $5, code = $6
           WHERE case_id = $1 AND version = $2 AND deadline = $3 AND attempt = $4""",
        row["case_id"],
        row["version"],
        row["deadline"],
        row["attempt"],
        act_at,
        row["reason"],
    )


# How the loop fares


@dataclass(frozen=True)
class KeeperReport:
    """`looked_at` by this machine's clock, `time` of the block by which the loop acted last; `due`: the
    earliest second at which something is to be done. None: nothing known, nothing to do.
    """

    looked_at: int | None
    block: int | None
    time: int | None
    code: str | None
    due: int | None
    to_look_at: int
    sending: int
    given_up: int

    def late(self, now: int) -> int:
        """Seconds by which the oldest thing that is due was not done; `now` by the chain."""
        return 0 if self.due is None else max(0, now - self.due)


async def looked(conn: AnyConnection | Pool, moment: Moment | None, now: int) -> None:
    """A round came to its end."""
    await conn.execute(
        """UPDATE cases.keeper SET looked_at = $1, block = coalesce($2, block), time = coalesce($3, time),
               code = NULL, detail = NULL, since = NULL""",
        now,
        None if moment is None else moment.block,
        None if moment is None else moment.time,
    )


async def troubled(conn: AnyConnection | Pool, error: CaseledgerError, now: int) -> None:
    """A round failed."""
    await conn.execute(
        """UPDATE cases.keeper SET since = CASE WHEN code = $1 THEN since ELSE $3 END, code = $1,
               detail = $2""",
        error.code,
        error.detail[:500],
        now,
    )


_MOST = 100_000


async def report(conn: AnyConnection | Pool) -> KeeperReport:
    """For health and metrics; counts stop at a hundred thousand."""
    row = await conn.fetchrow(
        """SELECT k.*,
               (SELECT min(remind_at) FROM cases.watch WHERE remind_at IS NOT NULL) AS remind_at,
               (SELECT min(act_at) FROM cases.watch WHERE act_at IS NOT NULL AND code IS NULL) AS act_at,
               (SELECT count(*) FROM (SELECT FROM cases.case WHERE listed <> watched LIMIT $1) x) AS changed,
               (SELECT count(*) FROM cases.timed_act WHERE state IS NULL) AS sending,
               (SELECT count(*) FROM (SELECT FROM cases.watch WHERE act IS NOT NULL AND act_at IS NULL
                                      AND code IS NOT NULL LIMIT $1) x) AS given_up
           FROM cases.keeper k""",
        _MOST,
    )
    if row is None:
        return KeeperReport(None, None, None, None, None, 0, 0, 0)
    due = min((at for at in (row["remind_at"], row["act_at"]) if at is not None), default=None)
    return KeeperReport(
        row["looked_at"], row["block"], row["time"], row["code"], due, row["changed"], row["sending"],
        row["given_up"],
    )  # fmt: skip


def _watch(row: asyncpg.Record) -> Watch:
    return Watch(
        bytes(row["case_id"]), row["version"], row["stage"], row["deadline"], row["provisional"],
        row["known"], row["total"], row["percent"], row["remind_at"], row["act"], row["transition"],
        row["act_at"], row["attempt"],
    )  # fmt: skip
