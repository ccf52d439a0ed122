"""Sealing and anchoring against the contract's rules, and a chain that fails in every way we know."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import asyncpg
import pytest

from chain.outbox import State
from chain.proofs import ProofNotCaptured
from evidence import anchoring, sealer
from evidence.contract import HeadStatus, anchor_call
from evidence.errors import HeadAhead, HeadBehind, HeadMismatch, LogClosed, LogForked, LogHalted
from evidence.logs import LogStatus, log_status
from evidence.recovery import release
from protocol.acts import Anchor
from protocol.hashing import SHA256, SM3
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.support.contract_model import events_of
from tests.support.evidence import act_key, run
from tests.support.line import Line, line, worker_of
from verifier.merkle import consistency_proof, tree_root

pytestmark = pytest.mark.database


async def leaves_of(w: Line) -> list[bytes]:
    rows = await w.pool.fetch(
        "SELECT leaf FROM evidence.entry WHERE log_no = $1 ORDER BY leaf_index", w.desk.log.log_no
    )
    return [row["leaf"] for row in rows]


def test_batches_follow_each_other_and_carry_both_roots(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            for count in (1, 2, 300, 7):
                await w.acceptor.accept(w.desk.submission(count))
                await w.settle()
            assert events_of(w.model) == [(1, 0, 1), (2, 1, 3), (3, 3, 303), (4, 303, 310)]
            leaves = await leaves_of(w)
            for event in w.model.events:
                part = leaves[: event.new_size]
                assert event.root_sha256 == tree_root(SHA256, [SHA256.leaf(leaf) for leaf in part])
                assert event.root_sm3 == tree_root(SM3, [SM3.leaf(leaf) for leaf in part])
            stored = await w.pool.fetch(
                "SELECT link FROM evidence.anchor WHERE log_no = $1 ORDER BY number", w.desk.log.log_no
            )
            assert [row["link"] for row in stored] == [w.model.links[n] for n in (1, 2, 3, 4)]
            assert w.worker.metrics.trouble == {}

    run(check())


def test_nothing_is_sealed_while_an_anchor_is_on_its_way_and_load_makes_the_next_batch_larger(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with line(database) as w:
            w.model.hold = True
            await w.acceptor.accept(w.desk.submission(2))
            await w.worker.anchor_once()
            for _ in range(3):
                await w.acceptor.accept(w.desk.submission(50))
                await w.worker.anchor_once()
            assert w.worker.metrics.trouble == {}, "nothing was tried that the contract refuses"
            assert await w.scalar("SELECT count(*) FROM evidence.batch WHERE log_no = $1") == 1
            w.model.hold = False
            await w.settle()
            assert events_of(w.model) == [(1, 0, 2), (2, 2, 152)]

    run(check())


def test_growth_is_bounded_and_no_submission_is_cut(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(sealer, "MAX_GROWTH", 100)
        async with line(database) as w:
            for count in (60, 60, 30, 100):
                await w.acceptor.accept(w.desk.submission(count))
            await w.settle()
            assert events_of(w.model) == [(1, 0, 60), (2, 60, 150), (3, 150, 250)]

    run(check())


@pytest.mark.parametrize("state", [State.FAILED, State.VANISHED, State.REVERTED])
def test_a_transaction_that_came_to_nothing_is_sent_again_with_the_same_act(
    database: PgDatabase, state: State
) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(3))
            await w.worker.anchor_once()
            w.model.lose = state
            assert w.desk.now is not None
            w.desk.now += 60
            await w.worker.anchor_once()
            assert w.worker.metrics.trouble["anchor"] == "AnchorRefused"
            w.model.lose = None
            await w.settle()
            assert events_of(w.model) == [(1, 0, 3)]
            assert len(w.model.prepared) == 2
            assert w.model.prepared[0] == w.model.prepared[1]
            assert w.worker.metrics.trouble == {}
            assert await w.scalar("SELECT count(*) FROM evidence.trouble WHERE log_no = $1") == 0

    run(check())


def test_an_expired_act_is_signed_anew_for_the_same_batch(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            w.model.hold = True
            await w.acceptor.accept(w.desk.submission(3))
            await w.worker.anchor_once()
            w.model.time += 1000
            w.desk.now = w.model.time
            w.model.hold = False
            await w.worker.anchor_once()
            assert w.worker.metrics.trouble["anchor"] == "AnchorRefused"
            await w.settle()
            assert events_of(w.model) == [(1, 0, 3)]
            acts = await w.pool.fetch(
                """SELECT attempt, valid_until, signature FROM evidence.anchor_act WHERE log_no = $1
                   ORDER BY attempt""",
                w.desk.log.log_no,
            )
            assert [row["attempt"] for row in acts] == [1, 2]
            assert acts[1]["valid_until"] > acts[0]["valid_until"]
            assert acts[1]["signature"] != acts[0]["signature"]

    run(check())


def test_accepting_goes_on_while_the_chain_is_down_and_everything_is_anchored_afterwards(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            w.model.down = True
            for count in (10, 20):
                await w.acceptor.accept(w.desk.submission(count))
                await w.worker.anchor_once()
            assert w.worker.metrics.trouble == {"seal": "RpcUnavailable"}
            report = (await w.service.status()).logs[-1]
            assert (report.accepted, report.anchored) == (35, 5)
            assert [one["code"] for one in report.troubles] == ["RpcUnavailable"]
            assert report.oldest_unanchored_age is not None
            w.model.down = False
            await w.settle()
            assert events_of(w.model)[-1] == (2, 5, 35)
            assert (await w.service.status()).logs[-1].troubles == ()

    run(check())


def test_a_proof_that_cannot_be_had_is_shown_and_holds_up_nothing_else(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            w.proofs.fail = ProofNotCaptured("no node")
            for count in (1, 1):
                await w.acceptor.accept(w.desk.submission(count))
                for _ in range(3):
                    await w.worker.anchor_once()
                    await w.worker.capture_once()
            assert len(w.model.events) == 2
            assert w.worker.metrics.trouble == {"capture": "ProofNotCaptured"}
            assert w.proofs.heights[0] == w.model.events[0].block_number
            assert None in w.proofs.heights, "a later block is tried too"
            w.proofs.fail = None
            await w.settle()

    run(check())


def test_two_sealers_by_mistake_make_one_line_of_batches(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            _, _, _, _, other = worker_of(w.desk, w.pool, w.model, w.key)

            async def work(step: object) -> None:
                for _ in range(25):
                    await step()  # type: ignore[operator]
                    await asyncio.sleep(0)

            async def feed() -> None:
                for _ in range(12):
                    await w.acceptor.accept(w.desk.submission(3))

            await asyncio.gather(work(w.worker.anchor_once), work(other.anchor_once), feed())
            await w.settle()
            sizes = [(old, new) for _, old, new in events_of(w.model)]
            assert [old for old, _ in sizes] == [0, *(new for _, new in sizes[:-1])]
            assert sizes[-1][1] == 36
            assert await w.scalar("SELECT count(*) FROM evidence.batch WHERE log_no = $1") == len(sizes)

    run(check())


def test_only_one_worker_holds_the_lease_and_the_next_takes_it_over(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            _, _, _, _, other = worker_of(w.desk, w.pool, w.model, w.key)
            stops = asyncio.Event(), asyncio.Event()
            first = asyncio.create_task(w.worker.run(stops[0]))
            await asyncio.sleep(0.5)
            second = asyncio.create_task(other.run(stops[1]))
            await asyncio.sleep(0.5)
            assert (w.worker.metrics.holds_lease, other.metrics.holds_lease) == (True, False)
            stops[0].set()
            await first
            for _ in range(40):
                await asyncio.sleep(0.1)
                if other.metrics.holds_lease:
                    break
            assert other.metrics.holds_lease
            await w.acceptor.accept(w.desk.submission(3))
            for _ in range(60):
                await asyncio.sleep(0.1)
                if other.metrics.captured:
                    break
            assert other.metrics.captured
            # Its database session dies: it gives the lease up and comes back.
            admin = await asyncpg.connect(database.superuser_dsn)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sealer'"
            )
            await w.acceptor.accept(w.desk.submission(3))
            for _ in range(100):
                await asyncio.sleep(0.1)
                if len(w.model.events) == 2 and other.metrics.captured == 2:
                    break
            assert len(w.model.events) == 2
            stops[1].set()
            await second
            await admin.close()

    run(check())


def steal(w: Line, real: Sequence[bytes], leaves: int) -> None:
    """Somebody anchors leaves of his own with the operator's stolen anchor key."""
    old = w.model.size
    # The thief continues the real tree, else the contract refuses him.
    hashes = [SHA256.leaf(leaf) for leaf in real[:old]] + [
        SHA256.leaf(n.to_bytes(8, "big") * 14) for n in range(leaves)
    ]

    def get(level: int, index: int) -> bytes:
        return tree_root(SHA256, hashes[index << level : (index + 1) << level])

    proof = consistency_proof(SHA256, old, old + leaves, get) if old else []
    act = Anchor(w.desk.log.log_id, old, old + leaves, tree_root(SHA256, hashes), b"\x00" * 32, 2**39)
    w.model.anchor(anchor_call(act, proof, w.key.sign_digest(act.digest(w.desk.log.domain))))


def test_an_anchor_by_somebody_else_halts_the_log_and_nothing_is_sealed_on_top(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(anchoring, "HEAD_SECONDS", 0.0)
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            steal(w, await leaves_of(w), 4)
            await w.acceptor.accept(w.desk.submission(5))
            with pytest.raises(HeadAhead):
                await w.follower.run_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.OPEN, "one look is not enough"
            for _ in range(3):
                await w.worker.anchor_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.HALTED
            report = (await w.service.status()).logs[-1]
            assert (report.status, report.code) == ("halted", "HeadAhead")
            with pytest.raises(LogHalted):
                await w.acceptor.accept(w.desk.submission(5))
            for _ in range(5):
                await w.worker.anchor_once()
            assert len(w.model.events) == 2
            assert await w.scalar("SELECT count(*) FROM evidence.batch WHERE log_no = $1") == 1
            with pytest.raises(LogForked):
                await release(w.pool, w.desk.log, w.model)

    run(check())


def test_a_stolen_anchor_while_ours_is_on_its_way_halts_too(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "LOOK_SECONDS", 0.0)
        async with line(database) as w:
            w.model.hold = True
            await w.acceptor.accept(w.desk.submission(5))
            await w.worker.anchor_once()
            steal(w, [], 5)
            w.model.hold = False
            for _ in range(6):
                await w.worker.anchor_once()
            assert w.worker.metrics.trouble["anchor"] == "HeadMismatch"
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.HALTED

    run(check())


def test_a_head_that_falls_back_seals_nothing_and_halts_nothing(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(anchoring, "HEAD_SECONDS", 0.0)
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            model = w.model
            kept = model.size, model.root, model.events
            model.size, model.root, model.events = 0, b"\x00" * 32, []
            await w.acceptor.accept(w.desk.submission(5))
            with pytest.raises(HeadBehind):
                await w.follower.run_once()
            for _ in range(5):
                await w.worker.anchor_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.OPEN
            assert await w.scalar("SELECT count(*) FROM evidence.batch WHERE log_no = $1") == 1
            model.size, model.root, model.events = kept
            await w.settle()
            assert events_of(model)[-1] == (2, 5, 10)

    run(check())


def test_a_log_of_another_operator_or_an_unopened_one_is_not_sealed(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            w.model.status = HeadStatus.UNKNOWN
            await w.worker.anchor_once()
            assert w.worker.metrics.trouble["anchor"] == "LogNotOpened"
            w.model.status = HeadStatus.OPEN
            real = w.model.log
            w.model.log = dataclasses.replace(real, operator=9)
            with pytest.raises(HeadMismatch):
                await w.follower.run_once()
            assert w.model.events == []
            w.model.log = real
            await w.settle()

    run(check())


def test_a_foreign_anchor_key_is_refused_by_the_contract_and_shown(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            _, _, _, _, other = worker_of(w.desk, w.pool, w.model, act_key(1, "anchor"))
            await w.acceptor.accept(w.desk.submission(5))
            await other.anchor_once()
            assert other.metrics.trouble["seal"] == "KeyWrongPurpose"
            assert await w.scalar("SELECT count(*) FROM evidence.batch WHERE log_no = $1") == 0
            await w.settle()

    run(check())


def test_a_closed_log_stops_and_says_where_it_ends(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "HEAD_SECONDS", 0.0)
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            w.model.close(3)
            await w.worker.anchor_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.CLOSED
            with pytest.raises((LogClosed, LogHalted)):
                await w.acceptor.accept(w.desk.submission(5))
            await asyncio.sleep(1)
            with pytest.raises(LogClosed):
                await w.acceptor.accept(w.desk.submission(5))
            report = (await w.service.status()).logs[-1]
            assert (report.status, report.closed_size) == ("closed", 3)

    run(check())


async def _refused(conn: asyncpg.Connection[asyncpg.Record], statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute(statement)


def test_no_service_role_can_change_or_remove_what_was_accepted_or_sealed(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            facts = (
                "entry", "submission", "promise_group", "batch", "anchor", "anchor_act", "batch_proof",
                "key_proof", "log", "entry_link",
            )  # fmt: skip
            for role in ("gateway", "sealer", "reader", "migrator"):
                conn = await asyncpg.connect(database.dsn(role))
                for table in facts:
                    column = "origin" if table == "log" else "log_no"
                    await _refused(conn, f"UPDATE evidence.{table} SET {column} = {column}")  # noqa: S608
                    await _refused(conn, f"DELETE FROM evidence.{table}")  # noqa: S608
                    await _refused(conn, f"TRUNCATE evidence.{table} CASCADE")
                if role == "migrator":
                    await conn.close()
                    continue
                for table in ("log", "log_status") if role != "gateway" else ("log", "log_status", "batch"):
                    await _refused(conn, f"INSERT INTO evidence.{table} DEFAULT VALUES")
                if role != "gateway":
                    await _refused(conn, "INSERT INTO evidence.entry DEFAULT VALUES")
                    await _refused(conn, "UPDATE evidence.log_writer SET accepted_size = 0")
                await _refused(conn, "DROP TABLE evidence.entry")
                await _refused(conn, "ALTER TABLE evidence.entry DISABLE TRIGGER ALL")
                await conn.close()
            pool = await connect_pool(database.superuser_dsn)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute("UPDATE evidence.entry SET leaf = leaf")
            await pool.close()

    run(check())
