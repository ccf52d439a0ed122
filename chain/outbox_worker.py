"""The side of the outbox that sends: leases, resending, healing, and handing back what cannot be done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from chain.errors import ContractReverted
from chain.evm import Evm, Receipt, Sent
from chain.outbox import CHANNEL, CHANNEL_DONE, LaneUnknown, LeaseLost, Metrics, Outbox, State
from chain.transactions import TRANSFER_GAS, Call, sign
from protocol.errors import CaseledgerError

if TYPE_CHECKING:
    from storage.db import AnyConnection as Connection
    from storage.db import Pool as Database

log = logging.getLogger(__name__)

_BATCH = 256
_MAX_HEAL = 10_000


@dataclass(frozen=True)
class _Lease:
    lane: str
    epoch: int


class Worker:
    """The side that sends. One of many may run; the lease decides who works on a lane."""

    def __init__(self, database: Database, evm: Evm, outbox: Outbox, *, owner: str | None = None) -> None:
        self._db = database
        self._evm = evm
        self._outbox = outbox
        self._settings = outbox.settings
        # A new name for each process: its predecessor's lease must run out or be lost, never be inherited.
        self.owner = owner or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._healed: dict[str, int] = {}
        self._vanishing: dict[int, int] = {}

    @property
    def metrics(self) -> Metrics:
        """Shared with the outbox."""
        return self._outbox.metrics

    async def run(self, stop: asyncio.Event, *, poll_seconds: float = 0.1) -> None:
        """Work until `stop` is set, then give the leases back. A failed round is logged and tried again.

        A commit that enqueues something wakes the worker; without that it looks once a second.
        """
        async with self._woken(stop) as wake:
            wait = 0.0
            while not stop.is_set():
                wake.clear()
                try:
                    busy = await self.run_once()
                    wait = poll_seconds if busy else 1.0
                except (CaseledgerError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                    self.metrics.rounds_failed += 1
                    log.warning("outbox round failed: %s", getattr(error, "code", type(error).__name__))
                    wait = min(max(wait, poll_seconds) * 2, 2.0)
                if not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await wake.wait()
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self.release()

    @contextlib.asynccontextmanager
    async def _woken(self, stop: asyncio.Event) -> AsyncIterator[asyncio.Event]:
        """An event that a commit of somebody's enqueue sets, and `stop` too. A lost connection only slows."""
        wake = asyncio.Event()

        def notified(*_: object) -> None:
            wake.set()

        async def stopping() -> None:
            await stop.wait()
            wake.set()

        watcher = asyncio.create_task(stopping())
        conn = None
        try:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                conn = await self._db.acquire()
                await conn.add_listener(CHANNEL, notified)
            yield wake
        finally:
            watcher.cancel()
            if conn is not None:
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await conn.remove_listener(CHANNEL, notified)
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await self._db.release(conn)

    async def run_once(self) -> bool:
        """One round over all lanes; True while something is in flight. A lane's failure spares the others."""
        busy = False
        failure: Exception | None = None
        for lane in self._outbox.keys:
            try:
                busy |= await self._lane(lane)
            except LeaseLost:
                self.metrics.leases_lost += 1
                self._healed.pop(lane, None)
            except (CaseledgerError, OSError) as error:
                failure = error
                busy = True
        if failure is not None:
            raise failure
        return busy

    async def _lane(self, lane: str) -> bool:
        lease = await self._take_lease(lane)
        if lease is None:
            return False
        state = await self._db.fetchrow(
            """select l.next_nonce, l.paused_by_hand, count(o.id) as live,
                      coalesce(extract(epoch from now() - min(o.created_at)), 0)::float8 as oldest
               from chain.lane l left join chain.outbox o
                   on o.lane = l.lane and o.state in ('ready', 'sent', 'included', 'poisoned')
               where l.lane = $1 group by l.lane""",
            lane,
        )
        if state is None:
            raise LaneUnknown(f"lane {lane} is not registered")
        self.metrics.live[lane] = state["live"]
        self.metrics.oldest_seconds[lane] = state["oldest"]
        fresh = self._healed.get(lane) == lease.epoch
        if fresh and not state["live"]:
            return False
        if state["paused_by_hand"]:
            self.metrics.paused[lane] = "ByHand"
            return False
        confirmed = await self._evm.nonce(self._outbox.key(lane).address)
        if not fresh or confirmed > state["next_nonce"]:
            if not await self._heal(lease, confirmed):
                return True
            self._healed[lane] = lease.epoch
        rows = await self._db.fetch(
            """select * from chain.outbox where lane = $1
                   and state in ('ready', 'sent', 'included', 'poisoned')
               order by nonce limit $2""",
            lane,
            _BATCH,
        )
        if not rows:
            return False
        await self._resolve(lease, confirmed, [r for r in rows if r["nonce"] < confirmed])
        await self._send(lease, confirmed, [r for r in rows if r["nonce"] >= confirmed])
        return True

    # Leases

    async def _take_lease(self, lane: str) -> _Lease | None:
        """Take or renew; None while another worker holds it."""
        seconds = self._settings.lease_seconds
        row = await self._db.fetchrow(
            """select epoch, owner, extract(epoch from lease_until - clock_timestamp())::float8 as remaining
               from chain.lease where lane = $1""",
            lane,
        )
        if row is None:
            raise LaneUnknown(f"lane {lane} is not registered")
        if row["owner"] == self.owner and row["remaining"] > seconds / 2:
            return _Lease(lane, int(row["epoch"]))
        if row["owner"] != self.owner and row["remaining"] > 0:
            return None
        epoch = await self._db.fetchval(
            """update chain.lease set owner = $2, lease_until = clock_timestamp() + $3 * interval '1 second',
                   epoch = epoch + case when owner = $2 then 0 else 1 end
               where lane = $1 and (owner = $2 or lease_until <= clock_timestamp()) returning epoch""",
            lane,
            self.owner,
            seconds,
        )
        if epoch is None:
            return None
        if row["owner"] != self.owner:
            self.metrics.leases_taken += 1
        return _Lease(lane, int(epoch))

    @contextlib.asynccontextmanager
    async def _fenced(self, lease: _Lease) -> AsyncIterator[Connection]:
        """A transaction that only the lane's present owner can commit."""
        async with self._db.acquire() as conn, conn.transaction():
            held = await conn.fetchval(
                "select 1 from chain.lease where lane = $1 and owner = $2 and epoch = $3 for share",
                lease.lane,
                self.owner,
                lease.epoch,
            )
            if held is None:
                raise LeaseLost(f"lane {lease.lane} has another worker")
            yield conn

    async def release(self) -> None:
        """Give the leases back at a clean stop, so that a successor need not wait."""
        await self._db.execute(
            "update chain.lease set lease_until = '-infinity' where owner = $1", self.owner
        )

    # Counters

    async def _heal(self, lease: _Lease, confirmed: int) -> bool:
        """Bring the counter and the chain together; False when the lane must wait."""
        async with self._fenced(lease) as conn:
            counter = int(
                await conn.fetchval(
                    "select next_nonce from chain.lane where lane = $1 for update", lease.lane
                )
            )
            used = await conn.fetchval(
                """select coalesce(max(nonce), -1) from chain.outbox
                   where lane = $1 and state in ('mined', 'reverted', 'failed', 'included')""",
                lease.lane,
            )
            if confirmed <= used:
                # Of what was seen executed the node knows nothing: it is behind, or it is another network.
                await self._pause(conn, lease.lane, "ChainBehind", f"nonce {confirmed}, {used} was used")
                return False
            live = {
                int(row["nonce"])
                for row in await conn.fetch(
                    """select nonce from chain.outbox where lane = $1 and nonce >= $2
                       and state in ('ready', 'sent', 'included', 'poisoned')""",
                    lease.lane,
                    confirmed,
                )
            }
            wanted = max(live) + 1 if live else confirmed
            if wanted > counter:
                self.metrics.healed_up += 1
            elif wanted < counter:
                self.metrics.healed_down += 1
            if wanted != counter:
                log.warning("lane %s: counter %d set to %d", lease.lane, counter, wanted)
                await conn.execute(
                    "update chain.lane set next_nonce = $2 where lane = $1", lease.lane, wanted
                )
            missing = [n for n in range(confirmed, min(wanted, confirmed + _MAX_HEAL)) if n not in live]
            for nonce in missing:
                await self._fill(conn, lease, nonce)
            await self._unpause(conn, lease.lane)
        return True

    async def _fill(self, conn: Connection, lease: _Lease, nonce: int) -> None:
        """A row of its own for a nonce that no row holds, between others that wait for it."""
        key = self._outbox.key(lease.lane)
        row = await self._outbox.insert(
            conn,
            lease.lane,
            nonce,
            Call(key.address, b""),
            TRANSFER_GAS,
            f"fill:{lease.lane}:{nonce}:{lease.epoch}",
        )
        if row is not None:
            await self._outbox.poison(conn, row, lease.lane, nonce, "NonceGap", "no row held this nonce", b"")
            self.metrics.gaps_filled += 1

    async def _pause(self, conn: Connection, lane: str, code: str, detail: str) -> None:
        if self.metrics.paused.get(lane) != code:
            log.error("lane %s waits: %s", lane, code)
        self.metrics.paused[lane] = code
        await conn.execute(
            "update chain.lane set paused_code = $2, paused_detail = $3 where lane = $1", lane, code, detail
        )

    async def _unpause(self, conn: Connection, lane: str) -> None:
        if self.metrics.paused.pop(lane, None) is not None:
            await conn.execute(
                "update chain.lane set paused_code = null, paused_detail = null where lane = $1", lane
            )

    # Fate

    async def _resolve(self, lease: _Lease, confirmed: int, rows: list[asyncpg.Record]) -> None:
        """Rows whose nonce is used: which of our transactions was it, and what became of it?"""
        if not rows:
            return
        head = await self._evm.head()
        for row in rows:
            receipt = await self._evm.receipt(row["hash"])
            filled = None
            if receipt is None and row["filler_hash"] is not None:
                filled = await self._evm.receipt(row["filler_hash"])
            if receipt is not None:
                await self._executed(lease, row, receipt, head.number)
            elif filled is not None:
                if head.number - filled.block_number >= self._settings.depth:
                    await self._finish(lease, row, State.FAILED, filled)
            elif row["state"] == State.READY and row["attempts"] == 0:
                await self._renew(lease, row)
            else:
                await self._missing(lease, row, head.number)

    async def _renew(self, lease: _Lease, row: asyncpg.Record) -> None:
        """Somebody else used the nonce of a row that never left: it is signed again with the next one."""
        async with self._fenced(lease) as conn:
            nonce = await conn.fetchval(
                "update chain.lane set next_nonce = next_nonce + 1 where lane = $1 returning next_nonce - 1",
                lease.lane,
            )
            signed = sign(
                self._outbox.key(lease.lane),
                Call(row["recipient"], row["data"]),
                chain_id=self._settings.chain_id,
                nonce=nonce,
                gas=row["gas"],
                gas_price=int(row["gas_price"]),
            )
            await conn.execute(
                """update chain.outbox set nonce = $2, raw = $3, hash = $4
                   where id = $1 and state = 'ready' and attempts = 0""",
                row["id"],
                nonce,
                signed.raw,
                signed.hash,
            )
        self.metrics.renewed += 1
        log.warning("lane %s: nonce %d was used by another, now %d", lease.lane, row["nonce"], nonce)

    async def _executed(self, lease: _Lease, row: asyncpg.Record, receipt: Receipt, head: int) -> None:
        if head - receipt.block_number < self._settings.depth:
            if row["state"] != State.INCLUDED or row["block_hash"] != receipt.block_hash:
                async with self._fenced(lease) as conn:
                    await conn.execute(
                        """update chain.outbox set state = 'included', block_number = $2, block_hash = $3,
                               missing_since = null where id = $1""",
                        row["id"],
                        receipt.block_number,
                        receipt.block_hash,
                    )
            return
        if receipt.succeeded:
            await self._finish(lease, row, State.MINED, receipt)
        else:
            reason = await self._why(row, receipt.block_number)
            await self._finish(lease, row, State.REVERTED, receipt, reason)

    async def _why(self, row: asyncpg.Record, block: int) -> ContractReverted | None:
        """The contract's reason for a transaction that reverted, asked again at its block."""
        call = Call(row["recipient"], row["data"])
        sender = self._outbox.key(row["lane"]).address
        for at in (block - 1, block):
            try:
                await self._evm.call(sender, call, at)
            except ContractReverted as error:
                return error
            except (CaseledgerError, OSError):
                return None
        return None

    async def _missing(self, lease: _Lease, row: asyncpg.Record, head: int) -> None:
        """The nonce is used and no receipt is known: wait some blocks, then say so; never send again."""
        since = row["missing_since"]
        if since is None:
            async with self._fenced(lease) as conn:
                await conn.execute(
                    "update chain.outbox set missing_since = $2 where id = $1", row["id"], head
                )
            return
        if head - since >= self._settings.vanish_blocks + self._settings.depth:
            await self._finish(lease, row, State.VANISHED, None)

    async def _finish(
        self,
        lease: _Lease,
        row: asyncpg.Record,
        state: State,
        receipt: Receipt | None,
        reason: ContractReverted | None = None,
    ) -> None:
        code, detail = row["reason_code"], row["reason_detail"]
        if state is State.MINED:
            code = detail = None
        elif state is State.REVERTED:
            code = reason.code if reason else "RevertedUnexplained"
            detail = reason.detail if reason else "the contract refused it; asked again, it does not say why"
        elif state is State.VANISHED:
            code, detail = "TransactionVanished", f"nonce {row['nonce']} is used and no receipt is known"
            log.error("lane %s: transaction of nonce %d vanished", row["lane"], row["nonce"])
        async with self._fenced(lease) as conn:
            done = await conn.fetchval(
                """update chain.outbox set state = $2, reason_code = $3, reason_detail = $4,
                       block_number = $5, block_hash = $6, gas_used = $7, finished_at = now()
                   where id = $1 and state in ('ready', 'sent', 'included', 'poisoned') returning id""",
                row["id"],
                state.value,
                code,
                detail,
                receipt.block_number if receipt else None,
                receipt.block_hash if receipt else None,
                receipt.gas_used if receipt else None,
            )
            if done is None:
                return
            await conn.execute("select pg_notify($1, $2)", CHANNEL_DONE, row["business_key"])
        setattr(self.metrics, state.value, getattr(self.metrics, state.value) + 1)

    # Sending

    async def _send(self, lease: _Lease, confirmed: int, rows: list[asyncpg.Record]) -> None:
        """Give rows to the network, in order and without gaps, from the chain's next nonce on."""
        expected = confirmed
        for row in rows:
            if row["nonce"] != expected:
                self._healed.pop(lease.lane, None)  # a gap: fill it next round
                return
            if row["nonce"] - confirmed >= self._settings.window:
                return
            expected += 1
            if row["state"] == State.INCLUDED:
                # Its block is gone: the nonce is free again and the same bytes go out once more.
                async with self._fenced(lease) as conn:
                    await conn.execute(
                        """update chain.outbox set state = 'sent', sent_at = null, block_number = null,
                               block_hash = null where id = $1""",
                        row["id"],
                    )
                self.metrics.reorged += 1
            elif row["sent_at"] is not None and not await self._due(row):
                continue
            if not await self._send_one(lease, row, first=row["nonce"] == confirmed):
                return

    async def _due(self, row: asyncpg.Record) -> bool:
        due: bool = await self._db.fetchval(
            "select clock_timestamp() - $1::timestamptz > $2 * interval '1 second'",
            row["sent_at"],
            self._settings.resend_after,
        )
        return due

    async def _send_one(self, lease: _Lease, row: asyncpg.Record, *, first: bool) -> bool:
        """Send one row; False when its successors must wait."""
        poisoned = row["state"] == State.POISONED
        if first and not poisoned:
            # Nothing is in between: what the contract says now is what it will say.
            try:
                await self._evm.call(
                    self._outbox.key(lease.lane).address, Call(row["recipient"], row["data"])
                )
            except ContractReverted as error:
                await self._poison(lease, row, error.code, error.detail, getattr(error, "raw", b""))
                return False
        async with self._fenced(lease) as conn:
            state = await conn.fetchval(
                """update chain.outbox set sent_at = clock_timestamp(), attempts = attempts + 1,
                       state = case when state = 'ready' then 'sent' else state end
                   where id = $1 and state in ('ready', 'sent', 'poisoned') returning state""",
                row["id"],
            )
        if state is None or (state == State.POISONED) != poisoned:
            return False  # cancelled meanwhile; next round sees what is
        outcome = await self._evm.send_raw(row["filler_raw"] if poisoned else row["raw"])
        if row["sent_at"] is None:
            self.metrics.sent += 1
        else:
            self.metrics.resent += 1
        return await self._taken(lease, row, outcome, poisoned=poisoned)

    async def _taken(self, lease: _Lease, row: asyncpg.Record, outcome: Sent, *, poisoned: bool) -> bool:
        if outcome is Sent.ACCEPTED:
            if lease.lane in self.metrics.paused:
                async with self._fenced(lease) as conn:
                    await self._unpause(conn, lease.lane)
            return True
        if outcome is Sent.NO_FUNDS:
            async with self._fenced(lease) as conn:
                await self._pause(conn, lease.lane, "NoFunds", "the sender cannot pay for gas")
            return False
        if outcome is Sent.NONCE_GAP:
            # The node lost what came before (restart): let everything before this one go out again.
            async with self._fenced(lease) as conn:
                await conn.execute(
                    """update chain.outbox set sent_at = null
                       where lane = $1 and nonce <= $2 and state in ('sent', 'poisoned')""",
                    lease.lane,
                    row["nonce"],
                )
            return False
        hopeless = outcome is Sent.INVALID or (
            outcome is Sent.UNKNOWN and row["attempts"] + 1 >= self._settings.refusals
        )
        if hopeless and not poisoned:
            await self._poison(lease, row, "RefusedByNode", f"refused as {outcome.value}", b"")
        return False

    async def _poison(self, lease: _Lease, row: asyncpg.Record, code: str, detail: str, data: bytes) -> None:
        async with self._fenced(lease) as conn:
            await self._outbox.poison(conn, row["id"], lease.lane, row["nonce"], code, detail, data)
        log.warning("lane %s: nonce %d is filled instead: %s", lease.lane, row["nonce"], code)
