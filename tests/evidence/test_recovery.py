"""A stolen anchor key and a restored database: a successor log brings every promised leaf back."""

from __future__ import annotations

import dataclasses

import asyncpg
import pytest

from evidence import anchoring
from evidence.contract import Anchored, Head, HeadStatus, anchor_call
from evidence.errors import EvidenceNotFound, HeadAhead, LogForked, LogUnknown, RecordDamaged
from evidence.headguard import HeadGuard
from evidence.logs import LogStatus, log_status
from evidence.recovery import begin, close_choice, halt, log_again, outstanding, release, succeed
from evidence.repository import Viewer
from evidence.service import EvidenceState, Flag
from protocol.acts import Anchor
from protocol.entry import Continuation, evidence_id, parse_body, parse_leaf
from protocol.hashing import SHA256
from protocol.identifiers import log_id
from protocol.submission import check_acceptance
from storage.errors import DatabaseUnavailable
from tests.conftest import PgDatabase
from tests.support.contract_model import ContractModel
from tests.support.evidence import Desk, run
from tests.support.line import Line, line, worker_of
from verifier.merkle import consistency_proof, tree_root
from verifier.receipt import Receipt

pytestmark = pytest.mark.database


class TwoLogs:
    """The contract with a closed log and its successor."""

    def __init__(self, old: ContractModel, successor: bytes) -> None:
        self.old, self.successor = old, successor

    async def final_block(self) -> int:
        return self.old.block

    async def head(self, log_id: bytes, block: int | None = None) -> Head:
        if log_id == self.old.log.log_id:
            return await self.old.head(log_id)
        head = await self.old.head(log_id)
        status = HeadStatus.OPEN if log_id == self.successor else HeadStatus.UNKNOWN
        empty = dataclasses.replace(head, size=0, batches=0, status=status, root_sha256=bytes(32))
        return dataclasses.replace(empty, predecessor=self.old.log.log_id, closed_size=0, successor=bytes(32))

    async def link(self, log_id: bytes, number: int, block: int | None = None) -> bytes:
        return await self.old.link(log_id, number)

    async def anchored(self, log_id: bytes, number: int, near: int | None = None) -> Anchored | None:
        return await self.old.anchored(log_id, number)

    async def anchored_all(self, log_id: bytes, first: int) -> list[Anchored]:
        return await self.old.anchored_all(log_id, first)


def steal(w: Line, leaves: list[bytes], more: int) -> None:
    """Anchor leaves of nobody with the operator's key."""
    old = w.model.size
    hashes = [SHA256.leaf(leaf) for leaf in leaves[:old]]
    hashes += [SHA256.leaf(n.to_bytes(8, "big") * 14) for n in range(more)]

    def get(level: int, index: int) -> bytes:
        return tree_root(SHA256, hashes[index << level : (index + 1) << level])

    proof = consistency_proof(SHA256, old, old + more, get)
    act = Anchor(w.desk.log.log_id, old, old + more, tree_root(SHA256, hashes), b"\x05" * 32, 2**39)
    w.model.anchor(anchor_call(act, proof, w.key.sign_digest(act.digest(w.desk.log.domain))))


async def leaves_of(w: Line) -> list[bytes]:
    rows = await w.pool.fetch(
        "SELECT leaf FROM evidence.entry WHERE log_no = $1 ORDER BY leaf_index", w.desk.log.log_no
    )
    return [row["leaf"] for row in rows]


async def rewind(database: PgDatabase, log_no: int) -> None:
    """As after the restore of a backup: five leaves and their batch are there, what came later is not."""
    conn = await asyncpg.connect(database.superuser_dsn)
    await conn.execute("SET session_replication_role = replica")
    for change in (
        "DELETE FROM evidence.entry WHERE log_no = $1 AND leaf_index >= 5",
        "DELETE FROM evidence.submission WHERE log_no = $1 AND first_index >= 5",
        "DELETE FROM evidence.promise_group WHERE log_no = $1 AND first_index >= 5",
        "DELETE FROM evidence.key_proof WHERE log_no = $1 AND number > 1",
        "DELETE FROM evidence.batch_proof WHERE log_no = $1 AND number > 1",
        "DELETE FROM evidence.anchor WHERE log_no = $1 AND number > 1",
        "DELETE FROM evidence.anchor_act WHERE log_no = $1 AND number > 1",
        "DELETE FROM evidence.batch WHERE log_no = $1 AND number > 1",
        "DELETE FROM evidence.tile WHERE log_no = $1",
        "UPDATE evidence.tile_state SET tiled_size = 0 WHERE log_no = $1",
        "UPDATE evidence.log_writer SET accepted_size = 5 WHERE log_no = $1",
        "UPDATE evidence.submitter SET last_sequence = 5 WHERE log_no = $1",
    ):
        await conn.execute(change, log_no)
    await conn.close()


async def succession(w: Line, origin: str) -> Desk:
    """The successor made known; its desk has the same people and keys."""
    owner = await w.desk.owner()
    try:
        successor = await succeed(
            owner, w.desk.log, origin, TwoLogs(w.model, log_id(origin)), clock=w.desk.clock
        )
    finally:
        await owner.close()
    return dataclasses.replace(w.desk, log=successor)


def test_after_a_theft_the_log_ends_at_the_last_good_batch_and_every_promised_leaf_comes_back(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(anchoring, "HEAD_SECONDS", 0.0)
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(3))
            await w.acceptor.accept(w.desk.submission(2, organisation=3))
            await w.settle()
            before = await w.service.receipt(evidence_id((await leaves_of(w))[0]), Viewer(2))
            steal(w, await leaves_of(w), 9)
            # Promised while nobody knew.
            late = [w.desk.submission(4), w.desk.submission(300, organisation=3)]
            promised = []
            for submission in late:
                answer = await w.acceptor.accept(submission)
                promised += check_acceptance(submission, answer, w.desk.promise_key.public_key)
            for _ in range(5):
                await w.worker.anchor_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.HALTED
            choice = await close_choice(w.pool, w.desk.log, w.model)
            assert choice.forked
            assert (choice.own_size, choice.head_size, choice.accepted) == (5, 14, 309)
            with pytest.raises(LogForked):
                await release(w.pool, w.desk.log, w.model, clock=w.desk.clock)
            origin = "centre.example/after-theft"
            with pytest.raises(LogForked):
                await succession(w, origin)
            w.model.close(choice.own_size, log_id("centre.example/another"))
            with pytest.raises(LogForked):
                await succession(w, origin)
            w.model.close(choice.own_size, log_id(origin))
            d = await succession(w, origin)
            assert d.log == (await succession(w, origin)).log
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.CLOSED

            lost = evidence_id(promised[7])
            view = await w.service.show(lost, Viewer(3))
            assert Flag.LOST in view.flags
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                first = await begin(d.pool, acceptor, d.keys[1], clock=d.clock)
                assert await begin(d.pool, acceptor, d.keys[1], clock=d.clock) == first
                async with d.pool.acquire() as conn:
                    for organisation, count in ((2, 4), (3, 300)):
                        waiting = await outstanding(conn, d.log, d.vault, organisation)
                        assert len(waiting) == count
                        await log_again(acceptor, waiting, d.keys[organisation], now=d.clock())
                    assert await outstanding(conn, d.log, d.vault) == []
            # Sequences start anew, in the old order; the old id leads to the new entry and its receipt.
            model = ContractModel(d.log, w.key.address)
            moved = Line(d, w.acceptor, model, w.key, *worker_of(d, w.pool, model, w.key), w.service, w.pool)
            await moved.settle()
            leaves = await leaves_of(moved)
            assert len(leaves) == 305
            assert [leaf[:8] + leaf[16:] for leaf in leaves[1:]] == [
                leaf[:8] + leaf[16:] for leaf in promised
            ]
            assert [parse_leaf(leaf).header.sequence for leaf in leaves[5:]] == list(range(1, 301))
            assert leaves[8] != promised[7]
            view = await w.service.show(lost, Viewer(3))
            assert Flag.CONTINUED in view.flags
            assert view.continued_as == evidence_id(leaves[8])
            receipt = Receipt.parse(await w.service.receipt(lost, Viewer(3)))
            assert receipt.core.log.origin == origin
            assert receipt.core.leaf == leaves[8]
            with pytest.raises(EvidenceNotFound):
                await w.service.receipt(lost, Viewer(2))
            # The first entry states the closed head.
            made = Receipt.parse(await w.service.receipt(evidence_id(leaves[0]), Viewer(1)))
            assert made.core.body is not None
            body = parse_body(made.core.body, parse_leaf(leaves[0]).header.evidence_class)
            assert isinstance(body, Continuation)
            event = w.model.events[0]
            assert (body.size, body.root_sha256, body.root_sm3) == (5, event.root_sha256, event.root_sm3)
            # Receipts from before are what they were.
            assert await w.service.receipt(evidence_id((await leaves_of(w))[0]), Viewer(2)) == before

    run(check())


def test_after_a_restore_the_log_ends_at_the_chains_head_and_lost_leaves_are_sent_again(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(anchoring, "LOOK_SECONDS", 0.0)
        monkeypatch.setattr(anchoring, "HEAD_SECONDS", 0.0)
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            # The hour that the backup does not have: one anchored submission and one that was only promised.
            anchored, promised = w.desk.submission(6), w.desk.submission(7)
            await w.acceptor.accept(anchored)
            await w.settle()
            await w.acceptor.accept(promised)
            await w.acceptor.close()
            await rewind(database, w.desk.log.log_no)
            # Not a leaf is promised at a place that was given away: the contract knows more.
            async with w.desk.acceptor(guard=HeadGuard(w.model)) as guarded:
                assert not await guarded.writable(1)
                with pytest.raises(HeadAhead):
                    await guarded.accept(w.desk.submission(1))
            assert await w.scalar("SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1") == 5

            _, follower, _, _, worker = worker_of(w.desk, w.pool, w.model, w.key)
            for _ in range(5):
                await worker.anchor_once()
            assert worker.metrics.trouble["anchor"] == "HeadAhead"
            assert not follower.trusted
            assert len(w.model.events) == 2
            choice = await close_choice(w.pool, w.desk.log, w.model)
            assert (choice.own_size, choice.head_size) == (5, 11)
            origin = "centre.example/after-restore"
            w.model.close(choice.head_size, log_id(origin))
            d = await succession(w, origin)
            assert d.log.predecessor is not None
            assert d.log.predecessor.root_sm3 == w.model.events[1].root_sm3
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                await begin(d.pool, acceptor, d.keys[1], clock=d.clock)
                # Agents send what they hold no receipt for, signed for the new log.
                for old in (anchored, promised):
                    await acceptor.accept(d.submission(old.entries))
            assert (
                await d.pool.fetchval("SELECT count(*) FROM evidence.entry WHERE log_no = $1", d.log.log_no)
                == 14
            )

    run(check())


def test_process_that_lives_through_a_restore_promises_nothing_more(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            later = w.desk.submission(6)
            await w.acceptor.accept(later)
            await rewind(database, w.desk.log.log_no)
            conn = await asyncpg.connect(database.superuser_dsn)
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'gateway' AND datname = current_database()"
            )
            await conn.close()
            with pytest.raises((HeadAhead, DatabaseUnavailable)):
                await w.acceptor.accept(w.desk.submission(1))
            assert not await w.acceptor.writable(2)
            with pytest.raises(HeadAhead):
                await w.acceptor.accept(w.desk.submission(1))

    run(check())


def test_chain_that_does_not_answer_stops_no_accepting(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            await w.acceptor.close()
            for down in (False, True):
                w.model.down = down
                async with w.desk.acceptor(guard=HeadGuard(w.model)) as guarded:
                    assert await guarded.writable(5)
                    await guarded.accept(w.desk.submission(1))

    run(check())


def test_a_log_halted_by_hand_opens_again_when_the_head_is_ours(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            await halt(w.pool, w.desk.log, "ByHand", "a look at the books", clock=w.desk.clock)
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.HALTED
            await w.worker.anchor_once()
            assert await log_status(w.pool, w.desk.log.log_no) is LogStatus.HALTED
            await release(w.pool, w.desk.log, w.model, clock=w.desk.clock)
            assert await w.acceptor.writable(5)
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            view = await w.service.show(evidence_id((await leaves_of(w))[9]), Viewer(2))
            assert view.state is EvidenceState.ANCHORED

    run(check())


def test_a_successor_needs_a_tree_that_somebody_knows(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            for count in (5, 5):
                await w.acceptor.accept(w.desk.submission(count))
                await w.settle()
            origin = "centre.example/middle"
            owner = await w.desk.owner()
            w.model.close(7, log_id(origin))
            unopened = TwoLogs(w.model, b"\x01" * 32)
            with pytest.raises(LogUnknown):
                await succeed(owner, w.desk.log, origin, unopened, clock=w.desk.clock)
            await owner.close()
            # Inside a batch: the tiles know the tree.
            d = await succession(w, origin)
            assert d.log.predecessor is not None
            leaves = await leaves_of(w)
            assert d.log.predecessor.root_sha256 == tree_root(SHA256, [SHA256.leaf(x) for x in leaves[:7]])

        async with line(database) as w:
            await w.acceptor.accept(w.desk.submission(5))
            await w.settle()
            steal(w, await leaves_of(w), 4)
            await w.acceptor.accept(w.desk.submission(4))
            origin = "centre.example/inside-the-theft"
            w.model.close(7, log_id(origin))
            with pytest.raises(RecordDamaged):
                await succession(w, origin)

    run(check())
