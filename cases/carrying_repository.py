"""All SQL over acts on cases that wait to be carried, or are under way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cases.carrying_rules import QueuedAct, single_key
from chain.outbox import State
from storage.db import AnyConnection, Pool

CHANNEL = "caseledger_carried"
"""Notified by each act that comes."""
_LIVE = "('ready', 'sent', 'included', 'poisoned')"


@dataclass(frozen=True)
class Fate:
    """What became of an act: as of a transaction of its own. `transaction_hash` None while it has none."""

    state: State
    transaction_hash: bytes | None = None
    block_number: int | None = None
    block_hash: bytes | None = None
    reason_code: str | None = None


@dataclass(frozen=True)
class Carried:
    """A transaction with acts whose fate is not written down yet, though its own is known."""

    business_key: str
    state: State
    transaction_hash: bytes
    block_hash: bytes | None
    reason_code: str | None


@dataclass(frozen=True)
class CarriedAct:
    """An act in such a transaction. `changed`: the index has its change by this transaction."""

    id: bytes
    position: int
    data: bytes
    changed: bool


# Coming


async def queue(conn: AnyConnection, act_id: bytes, data: bytes, gas: int, now: int) -> None:
    """An act of cases.act is to be carried. One that was carried before stays as it is."""
    await conn.execute(
        """INSERT INTO cases.carried (id, case_id, makes_version, data, gas, queued_at)
           SELECT id, case_id, (document->'request'->>'version')::bigint
                      + CASE name WHEN 'MarkOverdue' THEN 0 ELSE 1 END, $2, $3, $4
           FROM cases.act WHERE id = $1
               AND NOT EXISTS (SELECT FROM chain.outbox WHERE business_key = $5)
           ON CONFLICT DO NOTHING""",
        act_id,
        data,
        gas,
        now,
        single_key(act_id),
    )
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


async def fate(conn: AnyConnection, act_id: bytes) -> Fate | None:
    """What became of an act; None for one that was never to be carried."""
    own = single_key(act_id)
    row = await conn.fetchrow(
        """SELECT c.id IS NOT NULL AS queued, c.business_key, c.state AS settled, c.code, o.state, o.hash,
                  o.block_number, o.block_hash, o.reason_code
           FROM (SELECT 1) one LEFT JOIN cases.carried c ON c.id = $1
               LEFT JOIN chain.outbox o ON o.business_key = coalesce(c.business_key, $2)""",
        act_id,
        own,
    )
    if row is None or row["state"] is None:
        return Fate(State.READY) if row is not None and row["queued"] else None
    state, code = State(row["state"]), row["reason_code"]
    if row["queued"] and row["business_key"] not in (None, own):
        if row["settled"] is not None:
            state, code = State(row["settled"]), row["code"]
        elif state is State.MINED:
            state = State.INCLUDED  # with which of its acts, is not written down yet
        elif state in (State.POISONED, State.REVERTED, State.FAILED, State.VANISHED):
            return Fate(State.READY)  # it goes again, alone
    return Fate(state, row["hash"], row["block_number"], row["block_hash"], code)


# Going


async def waiting(conn: AnyConnection, limit: int) -> list[QueuedAct]:
    """Of each case that has no act under way the oldest act that waits, oldest first."""
    rows = await conn.fetch(
        f"""SELECT c.id, c.case_id, c.data, c.gas, c.alone FROM cases.carried c
            WHERE c.place IN (
                SELECT min(w.place) FROM cases.carried w
                WHERE w.business_key IS NULL AND NOT EXISTS (
                    SELECT FROM cases.carried u JOIN chain.outbox o USING (business_key)
                    WHERE u.case_id = w.case_id AND u.state IS NULL AND o.state IN {_LIVE})
                GROUP BY w.case_id ORDER BY 1 LIMIT $1)
            ORDER BY c.place""",  # noqa: S608
        limit,
    )
    return [QueuedAct(row["id"], row["case_id"], row["data"], row["gas"], row["alone"]) for row in rows]


async def under_way(conn: AnyConnection | Pool) -> dict[str, int]:
    """Transactions with acts whose own fate is not known, by lane."""
    rows = await conn.fetch(
        f"""SELECT o.lane, count(DISTINCT o.id) AS live
            FROM cases.carried c JOIN chain.outbox o USING (business_key)
            WHERE c.state IS NULL AND o.state IN {_LIVE} GROUP BY o.lane"""  # noqa: S608
    )
    return {row["lane"]: row["live"] for row in rows}


async def take(conn: AnyConnection, acts: Sequence[QueuedAct], business_key: str) -> bool:
    """Bind these acts to a transaction, in order; False when one of them does not wait any more."""
    done = await conn.fetch(
        """UPDATE cases.carried c SET business_key = $2, position = n.position - 1
           FROM unnest($1::bytea[]) WITH ORDINALITY AS n (id, position)
           WHERE c.id = n.id AND c.business_key IS NULL RETURNING c.id""",
        [act.id for act in acts],
        business_key,
    )
    return len(done) == len(acts)


@dataclass(frozen=True)
class QueueReport:
    """How the queue fares. `oldest`: when the oldest that waits came. Counts end at a hundred thousand."""

    waiting: int
    oldest: int | None
    under_way: int


_MOST = 100_000


async def report(conn: AnyConnection | Pool) -> QueueReport:
    """For health and metrics."""
    row = await conn.fetchrow(
        """SELECT
               (SELECT count(*) FROM (
                   SELECT FROM cases.carried WHERE business_key IS NULL LIMIT $1) x) AS waiting,
               (SELECT queued_at FROM cases.carried
                   WHERE business_key IS NULL ORDER BY place LIMIT 1) AS oldest,
               (SELECT count(*) FROM (
                   SELECT FROM cases.carried
                   WHERE business_key IS NOT NULL AND state IS NULL LIMIT $1) x) AS under_way""",
        _MOST,
    )
    return QueueReport(0, None, 0) if row is None else QueueReport(*row.values())


async def unsettled(conn: AnyConnection | Pool) -> bool:
    """Whether an act is under way, or its fate not written down."""
    return bool(
        await conn.fetchval(
            "SELECT EXISTS (SELECT FROM cases.carried WHERE business_key IS NOT NULL AND state IS NULL)"
        )
    )


# Fates


async def to_settle(conn: AnyConnection | Pool, limit: int) -> list[Carried]:
    """Transactions that came to their end, while not all of their acts have."""
    rows = await conn.fetch(
        f"""SELECT o.business_key, o.state, o.hash, o.block_hash, o.reason_code
            FROM (SELECT DISTINCT business_key FROM cases.carried
                  WHERE business_key IS NOT NULL AND state IS NULL) open
                JOIN chain.outbox o USING (business_key)
            WHERE o.state NOT IN {_LIVE} ORDER BY o.id LIMIT $1""",  # noqa: S608
        limit,
    )
    return [
        Carried(row["business_key"], State(row["state"]), row["hash"], row["block_hash"], row["reason_code"])
        for row in rows
    ]


async def acts_of(conn: AnyConnection | Pool, group: Carried, ledger: bytes) -> list[CarriedAct]:
    """The acts of a transaction whose fate is not written down; `ledger`: whose changes count."""
    rows = await conn.fetch(
        """SELECT c.id, c.position, c.data, EXISTS (
                   SELECT FROM cases.change h WHERE h.transaction_hash = $2 AND h.case_id = c.case_id
                       AND h.version = c.makes_version AND h.kind <> 'opened' AND h.contract = $3) AS changed
           FROM cases.carried c WHERE c.business_key = $1 AND c.state IS NULL ORDER BY c.position""",
        group.business_key,
        group.transaction_hash,
        ledger,
    )
    return [CarriedAct(row["id"], row["position"], row["data"], row["changed"]) for row in rows]


async def settle(
    conn: AnyConnection, act_ids: Collection[bytes], state: State, code: str | None = None
) -> None:
    """Write a fate down; it is not changed any more."""
    await conn.execute(
        """UPDATE cases.carried SET state = $2, code = $3, data = NULL
           WHERE id = ANY($1::bytea[]) AND state IS NULL""",
        list(act_ids),
        str(state),
        code,
    )


async def put_back(conn: AnyConnection, act_ids: Collection[bytes], business_key: str) -> None:
    """Their transaction came to nothing as a whole: each goes alone, in its old place."""
    await conn.execute(
        """UPDATE cases.carried SET business_key = NULL, position = NULL, alone = true
           WHERE id = ANY($1::bytea[]) AND business_key = $2 AND state IS NULL""",
        list(act_ids),
        business_key,
    )
