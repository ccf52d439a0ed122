"""Nonces, crashes and poison on the real chain and a real database."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain import direct
from chain.errors import ContractReverted
from chain.evm import Evm, Sent, classify_refusal
from chain.networks.cometbft import CometNetwork
from chain.outbox import (
    LaneMismatch,
    LaneUnknown,
    LeaseLost,
    Outbox,
    Outcome,
    State,
    TransactionTooLarge,
)
from chain.outbox_worker import Worker
from chain.rpc import RpcPool
from chain.signer import RelayerKey
from chain.transactions import Call
from protocol.errors import CaseledgerError
from storage.db import Pool
from tests.support.ledger import HandMadeLog, Ledger, database, run

pytestmark = [pytest.mark.chain, pytest.mark.database]

TRANSFER_GAS = 24_000


@dataclass
class Bench:
    """One outbox and one worker over the shared network, with fresh lanes."""

    ledger: Ledger
    db: Pool
    pool: RpcPool
    evm: Evm
    outbox: Outbox
    worker: Worker

    @property
    def lane(self) -> str:
        return next(iter(self.outbox.keys))

    @property
    def sender(self) -> RelayerKey:
        return self.outbox.key(self.lane)

    async def transfer(self, name: str, lane: str | None = None) -> int:
        """Enqueue a transfer of nothing; the business is its name."""
        async with self.db.acquire() as conn, conn.transaction():
            return await self.outbox.enqueue(conn, lane or self.lane, b"\x77" * 20, b"", TRANSFER_GAS, name)

    async def send_outside(self, count: int = 1) -> None:
        """Somebody else uses the lane's key."""
        for _ in range(count):
            await direct.send(
                self.evm,
                self.sender,
                Call(b"\x78" * 20, b""),
                chain_id=self.ledger.deployment.chain_id,
                gas_price=1,
            )

    async def settle(self, worker: Worker | None = None, seconds: float = 40) -> None:
        """Rounds until nothing is in flight."""
        deadline = time.monotonic() + seconds
        while await (worker or self.worker).run_once():
            assert time.monotonic() < deadline, self.outbox.metrics
            await asyncio.sleep(0.05)

    async def outcome(self, name: str) -> Outcome:
        async with self.db.acquire() as conn:
            found = await self.outbox.outcome(conn, name)
        assert found is not None
        return found

    async def states(self, names: Sequence[str]) -> Counter[State]:
        return Counter([(await self.outcome(name)).state for name in names])

    async def next_nonce(self) -> int:
        return int(await self.db.fetchval("select next_nonce from chain.lane where lane = $1", self.lane))


@asynccontextmanager
async def bench(
    ledger: Ledger, dsn: str, *relayers: int, evm_class: type[Evm] = Evm, **changes: Any
) -> AsyncIterator[Bench]:
    async with database(dsn) as db, ledger.pool() as pool:
        await db.execute("truncate chain.outbox, chain.lease, chain.lane cascade")
        outbox = ledger.outbox(*(relayers or (1,)), **{"lease_seconds": 2.0, **changes})
        evm = evm_class(pool)
        async with db.acquire() as conn:
            await outbox.register(conn, evm)
        yield Bench(ledger, db, pool, evm, outbox, Worker(db, evm, outbox))


# Taking nonces


def test_a_rolled_back_business_takes_no_nonce_and_leaves_no_row(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            before = await b.next_nonce()

            async def failing_business() -> None:
                async with b.db.acquire() as conn, conn.transaction():
                    await b.outbox.enqueue(conn, b.lane, b"\x77" * 20, b"", TRANSFER_GAS, "rolled back")
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await failing_business()
            assert await b.next_nonce() == before
            assert await b.db.fetchval("select count(*) from chain.outbox") == 0
            async with b.db.acquire() as conn:
                with pytest.raises(RuntimeError):
                    await b.outbox.enqueue(conn, b.lane, b"\x77" * 20, b"", TRANSFER_GAS, "no transaction")

    run(scenario())


def test_the_same_business_again_is_the_same_row_and_no_nonce(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, 1, 2) as b:
            first = await b.transfer("once")
            after = await b.next_nonce()
            assert await b.transfer("once") == first
            assert await b.transfer("once", lane="relayer-2") == first
            assert await b.next_nonce() == after
            twins = await asyncio.gather(*(b.transfer("twin", lane=f"relayer-{1 + i % 2}") for i in range(6)))
            assert len(set(twins)) == 1
            await b.settle()
            assert await b.transfer("once") == first
            assert (await b.outcome("once")).state is State.MINED

    run(scenario())


def test_concurrent_businesses_get_every_nonce_once_and_all_are_executed(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            start = await b.evm.nonce(b.sender.address)
            names = [f"many:{i}" for i in range(40)]
            await asyncio.gather(*(b.transfer(name) for name in names))
            rows = await b.db.fetch("select nonce from chain.outbox order by nonce")
            assert [row["nonce"] for row in rows] == list(range(start, start + 40))
            await b.settle()
            assert await b.states(names) == {State.MINED: 40}
            assert await b.evm.nonce(b.sender.address) == start + 40
            assert b.outbox.metrics.mined == b.outbox.metrics.enqueued == 40
            assert b.outbox.metrics.live == {b.lane: 40} or b.outbox.metrics.live == {b.lane: 0}

    run(scenario())


def test_what_the_contract_refuses_now_takes_no_nonce(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            before = await b.next_nonce()
            call = ledger.anchor_call(HandMadeLog("nowhere.test/log"), 3)
            assert call.recipient is not None
            with pytest.raises(ContractReverted) as caught:
                await b.outbox.prepare(b.evm, b.lane, call.recipient, call.data)
            assert caught.value.code == "LogUnknown"
            assert await b.next_nonce() == before
            with pytest.raises(TransactionTooLarge):
                await b.outbox.prepare(b.evm, b.lane, call.recipient, b"\x00" * 130_000)

    run(scenario())


def test_lanes_are_bound_to_their_key_and_chain(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            other = Outbox(ledger.settings(), {b.lane: ledger.relayer(2)})
            async with b.db.acquire() as conn:
                with pytest.raises(LaneMismatch):
                    await other.register(conn, b.evm)
                async with conn.transaction():
                    with pytest.raises(LaneMismatch):
                        await other.enqueue(conn, b.lane, b"\x01" * 20, b"", TRANSFER_GAS, "x")
                    with pytest.raises(LaneUnknown):
                        await b.outbox.enqueue(conn, "nobody", b"\x01" * 20, b"", TRANSFER_GAS, "x")

    run(scenario())


# Poison


def test_an_expired_anchor_is_handed_back_and_its_successors_go_on(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            await ledger.open_log(b.evm, "expiry.test/log")
            start = await b.evm.nonce(b.sender.address)
            call = ledger.anchor_call(HandMadeLog("expiry.test/log"), 5, valid_for=2)
            assert call.recipient is not None
            gas = await b.outbox.prepare(b.evm, b.lane, call.recipient, call.data)
            async with b.db.acquire() as conn, conn.transaction():
                await b.outbox.enqueue(conn, b.lane, call.recipient, call.data, gas, "anchor")
            await b.transfer("after")
            await asyncio.sleep(3.5)  # no worker: the chain could not be reached
            await b.settle()
            anchor = await b.outcome("anchor")
            assert (anchor.state, anchor.reason_code) == (State.FAILED, "ActExpired")
            assert anchor.reason_detail is not None
            assert "validUntil=" in anchor.reason_detail
            assert (await b.outcome("after")).state is State.MINED
            assert await b.evm.nonce(b.sender.address) == start + 2
            # The owner signs anew under a new business key.
            again = ledger.anchor_call(HandMadeLog("expiry.test/log"), 5)
            assert again.recipient is not None
            gas = await b.outbox.prepare(b.evm, b.lane, again.recipient, again.data)
            async with b.db.acquire() as conn, conn.transaction():
                await b.outbox.enqueue(conn, b.lane, again.recipient, again.data, gas, "anchor:2")
            await b.settle()
            assert (await b.outcome("anchor:2")).state is State.MINED

    run(scenario())


def test_two_lanes_with_the_same_anchor_execute_it_once(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, 1, 2) as b:
            await ledger.open_log(b.evm, "race.test/log")
            call = ledger.anchor_call(HandMadeLog("race.test/log"), 2)
            assert call.recipient is not None
            gas = await b.outbox.prepare(b.evm, b.lane, call.recipient, call.data)
            for lane in b.outbox.keys:
                async with b.db.acquire() as conn, conn.transaction():
                    await b.outbox.enqueue(conn, lane, call.recipient, call.data, gas, f"race:{lane}")
            await b.settle()
            fates = [await b.outcome(f"race:{lane}") for lane in b.outbox.keys]
            assert sorted(f.state for f in fates if f.state is State.MINED) == [State.MINED]
            loser = next(f for f in fates if f.state is not State.MINED)
            assert loser.state in (State.REVERTED, State.FAILED)
            assert loser.reason_code == "LogOldSizeMismatch"

    run(scenario())


class RefusingEvm(Evm):
    """A node that never takes one particular transaction."""

    refused: bytes = b""
    outcome = Sent.INVALID

    async def send_raw(self, raw: bytes) -> Sent:
        return self.outcome if raw == self.refused else await super().send_raw(raw)


@pytest.mark.parametrize("outcome", [Sent.INVALID, Sent.UNKNOWN])
def test_what_no_node_takes_does_not_block_the_lane(ledger: Ledger, dsn: str, outcome: Sent) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, evm_class=RefusingEvm, refusals=3, resend_after=0.1) as b:
            assert isinstance(b.evm, RefusingEvm)
            b.evm.outcome = outcome
            row = await b.transfer("bad")
            b.evm.refused = await b.db.fetchval("select raw from chain.outbox where id = $1", row)
            await b.transfer("good")
            await b.settle()
            assert (await b.outcome("bad")).state is State.FAILED
            assert (await b.outcome("bad")).reason_code == "RefusedByNode"
            assert (await b.outcome("good")).state is State.MINED

    run(scenario())


def test_a_business_can_be_cancelled_until_it_leaves(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            row = await b.transfer("cancel me")
            await b.transfer("keep me")
            async with b.db.acquire() as conn, conn.transaction():
                assert await b.outbox.cancel(conn, row)
            await b.settle()
            assert (await b.outcome("cancel me")).reason_code == "Cancelled"
            assert (await b.outcome("keep me")).state is State.MINED
            async with b.db.acquire() as conn, conn.transaction():
                assert not await b.outbox.cancel(conn, row)

    run(scenario())


def test_a_paused_lane_accepts_and_sends_nothing_until_it_is_resumed(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            async with b.db.acquire() as conn:
                await b.outbox.pause(conn, b.lane)
            await b.transfer("waiting")
            assert not await b.worker.run_once()
            assert b.outbox.metrics.paused == {b.lane: "ByHand"}
            assert (await b.outcome("waiting")).state is State.READY
            async with b.db.acquire() as conn:
                await b.outbox.resume(conn, b.lane)
            await b.settle()
            assert (await b.outcome("waiting")).state is State.MINED

    run(scenario())


def test_a_sender_without_gas_waits_and_goes_on_when_it_is_funded(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            poor = RelayerKey.from_secret("poor", b"\x51" * 31 + bytes([int(time.time()) % 250 + 1]))
            outbox = Outbox(ledger.settings(lease_seconds=2.0, resend_after=0.2), {"poor": poor})
            async with b.db.acquire() as conn:
                await outbox.register(conn, b.evm)
            async with b.db.acquire() as conn, conn.transaction():
                await outbox.enqueue(conn, "poor", b"\x77" * 20, b"", TRANSFER_GAS, "poor:1")
            worker = Worker(b.db, b.evm, outbox)
            deadline = time.monotonic() + 10
            while outbox.metrics.paused.get("poor") != "NoFunds":
                assert time.monotonic() < deadline
                await worker.run_once()
                await asyncio.sleep(0.05)
            assert await b.db.fetchval("select paused_code from chain.lane where lane = 'poor'") == "NoFunds"
            await direct.send(
                b.evm,
                ledger.relayer(4),
                Call(poor.address, b"", 10**6),
                chain_id=ledger.deployment.chain_id,
                gas_price=1,
            )
            await b.settle(worker)
            assert (await b.outcome("poor:1")).state is State.MINED
            assert outbox.metrics.paused == {}

    run(scenario())


# Counters


def test_a_nonce_used_by_another_renews_what_never_left(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            names = [f"drift:{i}" for i in range(3)]
            for name in names:
                await b.transfer(name)
            await b.send_outside(2)
            await b.settle()
            assert await b.states(names) == {State.MINED: 3}
            assert b.outbox.metrics.renewed == 2

    run(scenario())


class SwallowingEvm(Evm):
    """A node that says yes and forgets."""

    swallow = True

    async def send_raw(self, raw: bytes) -> Sent:
        return Sent.ACCEPTED if self.swallow else await super().send_raw(raw)


def test_a_vanished_transaction_is_raised_and_never_sent_again(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, evm_class=SwallowingEvm, vanish_blocks=2) as b:
            assert isinstance(b.evm, SwallowingEvm)
            await b.transfer("lost")
            await b.worker.run_once()
            assert (await b.outcome("lost")).state is State.SENT
            b.evm.swallow = False
            await b.send_outside()
            before = await b.evm.nonce(b.sender.address)
            await b.settle()
            lost = await b.outcome("lost")
            assert (lost.state, lost.reason_code) == (State.VANISHED, "TransactionVanished")
            assert await b.evm.nonce(b.sender.address) == before
            await b.transfer("next")
            await b.settle()
            assert (await b.outcome("next")).state is State.MINED
            assert await b.evm.nonce(b.sender.address) == before + 1

    run(scenario())


def test_a_counter_ahead_of_the_chain_is_brought_back(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            await b.db.execute("update chain.lane set next_nonce = next_nonce + 7")
            await b.worker.run_once()
            assert b.outbox.metrics.healed_down == 1
            assert await b.next_nonce() == await b.evm.nonce(b.sender.address)
            await b.transfer("after healing")
            await b.settle()
            assert (await b.outcome("after healing")).state is State.MINED

    run(scenario())


def test_nonces_that_no_row_holds_are_filled_so_that_later_ones_can_go(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            start = await b.evm.nonce(b.sender.address)
            await b.db.execute("update chain.lane set next_nonce = next_nonce + 3")
            await b.transfer("beyond the gap")
            await b.settle()
            assert (await b.outcome("beyond the gap")).state is State.MINED
            assert b.outbox.metrics.gaps_filled == 3
            assert await b.evm.nonce(b.sender.address) == start + 4

    run(scenario())


class AmnesicEvm(Evm):
    """A node that knows nothing of this sender."""

    async def nonce(self, address: bytes, block: int | str = "latest") -> int:
        return 0


def test_a_chain_that_knows_less_than_we_saw_stops_the_lane(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn) as b:
            await b.transfer("seen")
            await b.settle()
            outbox = ledger.outbox(1)
            worker = Worker(b.db, AmnesicEvm(b.pool), outbox)
            await b.transfer("later")
            await b.worker.release()
            nonce = await b.next_nonce()
            assert await worker.run_once()
            assert outbox.metrics.paused == {b.lane: "ChainBehind"}
            assert (await b.outcome("later")).state is State.READY
            assert await b.next_nonce() == nonce
            await worker.release()
            await b.settle()
            assert (await b.outcome("later")).state is State.MINED

    run(scenario())


# Leases


def test_one_worker_at_a_time_and_the_old_one_cannot_write(ledger: Ledger, dsn: str) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, lease_seconds=1.0) as b:
            await b.transfer("mine")
            assert await b.worker.run_once()
            second = Worker(b.db, b.evm, b.outbox)
            assert not await second.run_once()
            stale = await b.worker._take_lease(b.lane)
            assert stale is not None
            await asyncio.sleep(1.2)
            await b.settle(second)
            assert (await b.outcome("mine")).state is State.MINED
            with pytest.raises(LeaseLost):
                async with b.worker._fenced(stale):
                    pass
            assert not await b.worker.run_once()

    run(scenario())


# Crashes


@pytest.mark.parametrize("point", ["before-send", "after-send", "after-receipt"])
def test_kill_9_between_commit_and_receipt_loses_and_doubles_nothing(
    ledger: Ledger, dsn: str, tmp_path: Path, point: str
) -> None:
    async def scenario() -> None:
        async with bench(ledger, dsn, lease_seconds=0.3) as b:
            log = HandMadeLog(f"crash.test/{point}")
            await ledger.open_log(b.evm, f"crash.test/{point}")
            start = await b.evm.nonce(b.sender.address)
            settings = tmp_path / "worker.json"
            settings.write_text(
                json.dumps(
                    {
                        "dsn": dsn,
                        "rpc": ledger.network.rpc_urls,
                        "chain_id": ledger.deployment.chain_id,
                        "keys": [str(ledger.network.home / "keys" / "relayer-1.key")],
                        "point": point,
                        "lease": 0.3,
                    }
                )
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.chain.outbox_worker",
                str(settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            names: list[str] = []
            for number in range(5):
                call = ledger.anchor_call(log, 3)
                assert call.recipient is not None
                gas = await b.outbox.prepare(b.evm, b.lane, call.recipient, call.data)
                for name, to, data, limit in (
                    (f"{point}:anchor:{number}", call.recipient, call.data, gas),
                    (f"{point}:transfer:{number}", b"\x77" * 20, b"", TRANSFER_GAS),
                ):
                    async with b.db.acquire() as conn, conn.transaction():
                        await b.outbox.enqueue(conn, b.lane, to, data, limit, name)
                    names.append(name)
                process.stdin.write(b"go\n")
                assert int(await process.stdout.readline()) == signal.SIGKILL
                await asyncio.sleep(0.35)
                await b.settle(Worker(b.db, b.evm, b.outbox))
            process.stdin.close()
            assert await process.wait() == 0
            assert await b.states(names) == {State.MINED: 10}
            assert await b.evm.nonce(b.sender.address) == start + 10
            assert b.outbox.metrics.vanished == b.outbox.metrics.failed == 0

    run(scenario())


# The chain stops


def test_a_stopped_chain_keeps_businesses_and_goes_on_where_it_stopped(
    home: Path, dsn: str, ledger: Ledger
) -> None:
    network = CometNetwork.create(home, validators=1)
    network.up(wait=120)
    own = Ledger(network, ledger.home, ledger.consortium, ledger.deployment)

    async def scenario() -> None:
        async with database(dsn) as db, own.pool() as pool:
            await db.execute("truncate chain.outbox, chain.lease, chain.lane cascade")
            key = own.relayer(1)
            settings = own.settings(lease_seconds=1.0)
            outbox = Outbox(
                type(settings)(**{**vars(settings), "chain_id": network.evm_chain_id}), {key.name: key}
            )
            evm = Evm(pool)
            async with db.acquire() as conn:
                await outbox.register(conn, evm)
            b = Bench(own, db, pool, evm, outbox, Worker(db, evm, outbox))
            stop = asyncio.Event()
            loop = asyncio.create_task(b.worker.run(stop, poll_seconds=0.05))
            await b.transfer("before")
            await asyncio.sleep(1.5)
            await asyncio.to_thread(network.kill, 1)
            for number in range(20):
                await b.transfer(f"while stopped:{number}")
            await asyncio.sleep(2.5)
            assert (await b.outcome("before")).state is State.MINED
            waiting = await b.states([f"while stopped:{n}" for n in range(20)])
            assert waiting[State.MINED] == 0
            assert outbox.metrics.rounds_failed > 0
            await asyncio.to_thread(network.up, wait=60)
            deadline = time.monotonic() + 40
            while (await b.states([f"while stopped:{n}" for n in range(20)]))[State.MINED] < 20:
                assert time.monotonic() < deadline, outbox.metrics
                await asyncio.sleep(0.2)
            stop.set()
            await loop
            assert await evm.nonce(key.address) == 21
            assert outbox.metrics.vanished == outbox.metrics.failed == 0

    run(scenario())


# Reading refusals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("already known", Sent.ACCEPTED),
        ("tx already in mempool", Sent.ACCEPTED),
        ("invalid nonce; got 15, expected 14: invalid sequence", Sent.NONCE_GAP),
        ("invalid nonce; got 13, expected 14: invalid sequence", Sent.NONCE_USED),
        ("nonce too low", Sent.NONCE_USED),
        ("Nonce too low (7 < 9)", Sent.NONCE_USED),
        ("nonce too high", Sent.NONCE_GAP),
        ("replacement transaction underpriced", Sent.OCCUPIED),
        ("insufficient funds for gas * price + value", Sent.NO_FUNDS),
        ("Upfront cost exceeds account balance", Sent.NO_FUNDS),
        ("mempool is full: number of txs 20000", Sent.BUSY),
        ("intrinsic gas too low", Sent.INVALID),
        ("exceeds block gas limit", Sent.INVALID),
        ("a wording of next year", Sent.UNKNOWN),
    ],
)
def test_refusals_of_nodes_are_read(text: str, expected: Sent) -> None:
    assert classify_refusal(text) is expected


def test_errors_of_the_room_have_codes() -> None:
    assert isinstance(LeaseLost("x"), CaseledgerError)
    assert LeaseLost("x").code == "LeaseLost"
