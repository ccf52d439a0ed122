"""Transactions that survive a crash anywhere (design §9).

One SQL transaction of the caller holds its business row, the nonce and the signed bytes, so a crash leaves
either nothing or something that can be sent again byte for byte. A worker, one at a time for each lane, sends
in order of nonce, learns the fate by nonce and by receipt, and never lets one bad transaction stop the lane:
its nonce is used up by a transfer to oneself and the business is handed back with the reason.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import asyncpg

from chain.errors import ChainError
from chain.evm import Evm
from chain.signer import RelayerKey
from chain.transactions import MAX_DATA, Call, gas_limit, sign, sign_filler

if TYPE_CHECKING:
    from storage.db import AnyConnection as Connection

CHANNEL = "caseledger_outbox"
CHANNEL_DONE = "caseledger_outbox_done"


class LaneUnknown(ChainError):
    """No sender with this lane name in this process or in the database."""

    http_status = 500
    title = "unknown lane"


class LaneMismatch(ChainError):
    """The lane belongs to another chain or another sender than the key at hand."""

    http_status = 500
    title = "lane belongs to another key or chain"


class LeaseLost(ChainError):
    """Another worker took the lane over; this one must not write any more."""

    retryable = True
    title = "lane taken over"


class TransactionTooLarge(ChainError):
    """Call data over the limit that nodes accept."""

    http_status = 413
    title = "transaction too large"


class State(enum.StrEnum):
    """See the table's comment in the migration."""

    READY = "ready"
    SENT = "sent"
    INCLUDED = "included"
    POISONED = "poisoned"
    MINED = "mined"
    REVERTED = "reverted"
    FAILED = "failed"
    VANISHED = "vanished"

    @property
    def final(self) -> bool:
        """Nothing will happen to the row any more."""
        return self in (State.MINED, State.REVERTED, State.FAILED, State.VANISHED)


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction. `reason_code` is an error code of ours, or a contract error's name."""

    id: int
    business_key: str
    lane: str
    nonce: int
    state: State
    transaction_hash: bytes
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    reason_code: str | None
    reason_detail: str | None


@dataclass
class Metrics:
    """Plain counters since the process started, and gauges of the last round."""

    enqueued: int = 0
    sent: int = 0
    resent: int = 0
    mined: int = 0
    reverted: int = 0
    failed: int = 0
    vanished: int = 0
    poisoned: int = 0
    reorged: int = 0
    healed_up: int = 0
    healed_down: int = 0
    gaps_filled: int = 0
    renewed: int = 0
    leases_taken: int = 0
    leases_lost: int = 0
    rounds_failed: int = 0
    live: dict[str, int] = field(default_factory=dict)
    oldest_seconds: dict[str, float] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Engine facts that the outbox needs, and its own patience. Times in seconds.

    `depth`: blocks after which a receipt counts (0 on engines with instant finality). `window`: transactions
    in flight for each lane.
    """

    chain_id: int
    gas_price: int
    depth: int = 0
    revert_costs_limit: bool = True
    window: int = 16
    lease_seconds: float = 6.0
    resend_after: float = 4.0
    vanish_blocks: int = 4
    refusals: int = 25


class Outbox:
    """The side that writes: takes nonces and signs, inside the caller's SQL transaction."""

    def __init__(self, settings: Settings, keys: Mapping[str, RelayerKey]) -> None:
        self.settings = settings
        self.keys = dict(keys)
        self.metrics = Metrics()

    def key(self, lane: str) -> RelayerKey:
        """The sender of a lane. Raises LaneUnknown."""
        try:
            return self.keys[lane]
        except KeyError:
            raise LaneUnknown(f"no key for lane {lane}") from None

    async def register(self, conn: Connection, evm: Evm) -> None:
        """Make the rows of this process's lanes. Only a new lane asks the chain (for its first nonce).

        Raises LaneMismatch when a lane exists for another sender or chain.
        """
        for lane, key in self.keys.items():
            row = await conn.fetchrow("select chain_id, sender from chain.lane where lane = $1", lane)
            if row is None:
                nonce = await evm.nonce(key.address)
                await conn.execute(
                    """insert into chain.lane (lane, chain_id, sender, next_nonce) values ($1, $2, $3, $4)
                       on conflict do nothing""",
                    lane,
                    self.settings.chain_id,
                    key.address,
                    nonce,
                )
                row = await conn.fetchrow("select chain_id, sender from chain.lane where lane = $1", lane)
            if row is None or row["chain_id"] != self.settings.chain_id or row["sender"] != key.address:
                raise LaneMismatch(
                    f"lane {lane} has another sender or chain", hint="give the new key a new lane name"
                )
            await conn.execute("insert into chain.lease (lane) values ($1) on conflict do nothing", lane)

    async def prepare(self, evm: Evm, lane: str, to: bytes, data: bytes) -> int:
        """Simulate now and return the gas limit to enqueue with. Raises ContractReverted (decoded).

        Takes no nonce and writes nothing.
        """
        if len(data) > MAX_DATA:
            raise TransactionTooLarge(f"{len(data)} bytes of call data, the limit is {MAX_DATA}")
        estimate = await evm.estimate(self.key(lane).address, Call(to, data))
        return gas_limit(estimate, revert_costs_limit=self.settings.revert_costs_limit)

    async def enqueue(
        self, conn: Connection, lane: str, to: bytes, data: bytes, gas: int, business_key: str
    ) -> int:
        """Take the lane's next nonce, sign, insert; returns the row's id.

        Must run inside the caller's SQL transaction, as late in it as possible: the lane stays locked until
        it commits. The same `business_key` again returns the first row's id and takes no nonce, whatever
        became of it; to try once more, the owner uses a new key after looking at the contract's state.
        """
        if not conn.is_in_transaction():
            raise RuntimeError("enqueue needs the caller's transaction")
        if len(data) > MAX_DATA:
            raise TransactionTooLarge(f"{len(data)} bytes of call data, the limit is {MAX_DATA}")
        key = self.key(lane)
        held = await conn.fetchrow(
            "select next_nonce, chain_id, sender from chain.lane where lane = $1 for update", lane
        )
        if held is None:
            raise LaneUnknown(f"lane {lane} is not registered")
        if held["chain_id"] != self.settings.chain_id or held["sender"] != key.address:
            raise LaneMismatch(f"lane {lane} has another sender or chain")
        known = await conn.fetchval("select id from chain.outbox where business_key = $1", business_key)
        if known is not None:
            return int(known)
        nonce = int(held["next_nonce"])
        row = await self.insert(conn, lane, nonce, Call(to, data), gas, business_key)
        if row is None:
            # A concurrent transaction on another lane brought the same business and has committed by now.
            known = await conn.fetchval("select id from chain.outbox where business_key = $1", business_key)
            return int(known)
        await conn.execute("update chain.lane set next_nonce = $2 where lane = $1", lane, nonce + 1)
        await conn.execute("select pg_notify($1, $2)", CHANNEL, lane)
        self.metrics.enqueued += 1
        return row

    async def insert(
        self, conn: Connection, lane: str, nonce: int, call: Call, gas: int, business_key: str
    ) -> int | None:
        """A row with this nonce, already signed; None when the business key has one. For this room alone."""
        signed = sign(
            self.key(lane),
            call,
            chain_id=self.settings.chain_id,
            nonce=nonce,
            gas=gas,
            gas_price=self.settings.gas_price,
        )
        value = await conn.fetchval(
            """insert into chain.outbox
                   (lane, business_key, nonce, recipient, data, gas, gas_price, raw, hash)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               on conflict (business_key) do nothing returning id""",
            lane,
            business_key,
            nonce,
            call.recipient,
            call.data,
            gas,
            Decimal(self.settings.gas_price),
            signed.raw,
            signed.hash,
        )
        return None if value is None else int(value)

    async def outcome(self, conn: Connection, business_key: str) -> Outcome | None:
        """The present state of a business's transaction; None when there is none."""
        row = await conn.fetchrow("select * from chain.outbox where business_key = $1", business_key)
        return None if row is None else _outcome(row)

    async def outcome_of(self, conn: Connection, row_id: int) -> Outcome | None:
        """As `outcome`, by the id that `enqueue` returned."""
        row = await conn.fetchrow("select * from chain.outbox where id = $1", row_id)
        return None if row is None else _outcome(row)

    async def cancel(self, conn: Connection, row_id: int) -> bool:
        """Give up a transaction that was not given to a node yet; False when it is too late for that."""
        key = await conn.fetchrow(
            "select lane, nonce from chain.outbox where id = $1 and state = 'ready' for update", row_id
        )
        if key is None:
            return False
        await self.poison(conn, row_id, key["lane"], key["nonce"], "Cancelled", "given up by its owner", b"")
        return True

    async def poison(
        self, conn: Connection, row_id: int, lane: str, nonce: int, code: str, detail: str, data: bytes
    ) -> None:
        """Decide that a row is not sent any more; its nonce gets a transfer to oneself."""
        filler = sign_filler(
            self.key(lane),
            chain_id=self.settings.chain_id,
            nonce=nonce,
            gas_price=self.settings.gas_price,
        )
        await conn.execute(
            """update chain.outbox set state = 'poisoned', filler_raw = $2, filler_hash = $3, sent_at = null,
                   reason_code = $4, reason_detail = $5, reason_data = $6, attempts = 0
               where id = $1 and state in ('ready', 'sent')""",
            row_id,
            filler.raw,
            filler.hash,
            code,
            detail[:500],
            data[:1024],
        )
        await conn.execute("select pg_notify($1, $2)", CHANNEL, lane)
        self.metrics.poisoned += 1

    async def pause(self, conn: Connection, lane: str) -> None:
        """Stop sending for a lane until `resume`; accepting into it goes on."""
        await conn.execute("update chain.lane set paused_by_hand = true where lane = $1", lane)

    async def resume(self, conn: Connection, lane: str) -> None:
        """Undo `pause`."""
        await conn.execute(
            """update chain.lane set paused_by_hand = false, paused_code = null, paused_detail = null
               where lane = $1""",
            lane,
        )
        await conn.execute("select pg_notify($1, $2)", CHANNEL, lane)


def _outcome(row: asyncpg.Record) -> Outcome:
    return Outcome(
        int(row["id"]),
        str(row["business_key"]),
        str(row["lane"]),
        int(row["nonce"]),
        State(row["state"]),
        bytes(row["hash"]),
        row["block_number"],
        row["block_hash"],
        row["gas_used"],
        row["reason_code"],
        row["reason_detail"],
    )
