"""Cosignatures on their way from real witnesses into receipts, and everything that may go wrong there."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from agent.keys import Ed25519Key, MlDsa44Key
from evidence.attestations import KEEP_COMPLETE, AttestationMaker, attestations_of
from evidence.contract import Anchored
from evidence.receipts import ReceiptMaker
from evidence.witnessing import (
    Answer,
    HttpWitnesses,
    Witness,
    WitnessAhead,
    WitnessAnswerInvalid,
    Witnesser,
    WitnessRefused,
    WitnessRolledBack,
    WitnessUnavailable,
)
from monitor import witness as monitored
from monitor.errors import CheckpointNotAnchored, OwnNodeStale, SplitView
from monitor.own_node import AnchoredHead
from monitor.witness_http import WitnessApp
from monitor.witness_state import WitnessState
from protocol.checkpoint import (
    TREE_HASHES,
    TYPE_COSIGNATURE,
    TYPE_MLDSA44,
    Checkpoint,
    NoteSignature,
    cosignature_message,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError, MalformedInput
from tests.conftest import PgDatabase
from tests.support.evidence import run
from tests.support.line import Line, line
from tests.support.witnessing import ed25519, mldsa44
from verifier.attestation import Where, WitnessAttestation
from verifier.attestation import parse as parse_attestation
from verifier.merkle import root_from_inclusion
from verifier.receipt import Attestation, Receipt
from verifier.trust_payload import TrustedLog

pytestmark = pytest.mark.database


@dataclass
class ChainView:
    """What a witness's node shows of the contract's model; `fail` is raised instead."""

    events: list[Anchored]
    fail: CaseledgerError | None = None

    async def anchored(self, log: TrustedLog, size: int, *, since: int = 0) -> AnchoredHead:
        if self.fail is not None:
            raise self.fail
        for e in self.events:
            if e.new_size == size:
                return AnchoredHead(e.number, size, e.root_sha256, e.root_sm3, e.block_number)
        raise CheckpointNotAnchored(f"{size}")


@dataclass
class Trust:
    origin: str
    key: bytes

    def log(self, origin: str) -> TrustedLog:
        assert origin == self.origin
        return TrustedLog(origin, 7777, 1, self.key)


@dataclass
class Court:
    """A witness of our own program, over HTTP, and the operator's loop for it."""

    name: str
    line: Line
    folder: Path
    keys: dict[int, Ed25519Key] = field(default_factory=lambda: {0: ed25519(), 1: ed25519()})
    url: str = "http://127.0.0.1:9"
    view: ChainView = field(init=False)
    ml_dsa: dict[int, MlDsa44Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.view = ChainView(self.line.model.events)

    @contextlib.asynccontextmanager
    async def serving(self, folder: Path | None = None) -> AsyncIterator[None]:
        desk = self.line.desk
        with WitnessState(folder or self.folder) as state:
            trust = Trust(desk.log.origin, desk.promise_key.public_key)
            more = monitored.MlDsaKeys(f"{self.name}/pq", self.ml_dsa) if self.ml_dsa else None
            made = monitored.Witness(
                self.name, self.keys, state, trust, self.view, ml_dsa=more, clock=desk.clock
            )
            config = uvicorn.Config(WitnessApp(made), port=0, log_config=None, lifespan="off", ws="none")
            server = uvicorn.Server(config)
            task = asyncio.create_task(server._serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            try:
                yield
            finally:
                server.should_exit = True
                await task

    async def ask(
        self,
        port: HttpWitnesses | Scripted | None = None,
        keys: dict[int, bytes] | None = None,
        ml_dsa: dict[int, bytes] | None = None,
    ) -> bool:
        """One round of the operator's loop."""
        desk = self.line.desk
        publics = keys or {a: key.public_key for a, key in self.keys.items()}
        more = {a: key.public_key for a, key in self.ml_dsa.items()} if ml_dsa is None else ml_dsa
        known = Witness(self.name, self.url, publics, f"{self.name}/pq", more)
        real = HttpWitnesses()
        try:
            return await Witnesser(
                self.line.pool, desk.log, desk.promise_key, known, port or real, clock=desk.clock, pace=1
            ).run_once()
        finally:
            await real.aclose()


@dataclass
class Scripted:
    """A witness that answers what a test says."""

    answers: list[Answer]
    asked: list[bytes] = field(default_factory=list)

    async def add_checkpoint(self, url: str, body: bytes) -> Answer:
        self.asked.append(body)
        return self.answers.pop(0)


async def grow(w: Line, *counts: int) -> None:
    for count in counts:
        await w.acceptor.accept(w.desk.submission(count))
        await w.settle()
    assert w.desk.now is not None
    w.desk.now = max(w.desk.now, w.model.time + 1)


async def stored(w: Line) -> int:
    return int(str(await w.scalar("SELECT count(*) FROM evidence.cosignature WHERE log_no = $1")))


async def receipt(w: Line, index: int) -> Receipt:
    async with w.pool.acquire() as conn:
        made = await ReceiptMaker(w.desk.log, w.desk.vault).make(conn, [index])
    return Receipt.parse(made[0].data)


def check(w: Line, made: Receipt, attestation: Attestation, courts: list[Court]) -> WitnessAttestation:
    """As an offline verifier: root from leaf and path, then the log's signature, then each cosignature."""
    known = parse_attestation(attestation, 0)
    assert isinstance(known, WitnessAttestation)
    alg, core = TREE_HASHES[known.algorithm], made.core
    own = core.inclusion.path_sm3 if known.algorithm else core.inclusion.path_sha256
    where = known.where or Where(core.link.size, own)
    root = root_from_inclusion(alg, alg.leaf(core.leaf), core.inclusion.index, where.size, where.path)
    point = Checkpoint(statement_origin(w.desk.log.origin, known.algorithm), where.size, root)
    verify_checkpoint(w.desk.promise_key.public_key, point, known.log_signature)
    publics = {
        Witness(c.name, c.url, {a: k.public_key for a, k in c.keys.items()}).key_id(known.algorithm): c
        for c in courts
    }
    for one in known.cosignatures:
        c = publics[one.key_id]
        key = c.keys[known.algorithm].public_key
        verify_cosignature(TYPE_COSIGNATURE, c.name, key, one.time, point, one.signature)
    return known


# Failures


def test_a_witness_that_is_down_is_a_trouble_and_receipts_go_on(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            with pytest.raises(WitnessUnavailable, match="court"):
                await court.ask()
            assert (await receipt(w, 0)).attestations == ()
            await grow(w, 4, 5)
            async with court.serving():
                assert await court.ask()
                assert not await court.ask()
            (sha, sm3) = (await receipt(w, 0)).attestations
            assert [check(w, await receipt(w, 0), one, [court]).algorithm for one in (sha, sm3)] == [0, 1]

    run(scenario())


@pytest.mark.parametrize("refusal", [OwnNodeStale("old"), SplitView("other"), CheckpointNotAnchored("x")])
def test_a_refusal_is_named_with_the_code_of_the_witness(
    database: PgDatabase, tmp_path: Path, refusal: CaseledgerError
) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            court.view.fail = refusal
            async with court.serving():
                with pytest.raises(WitnessRefused, match=f"court: {refusal.code}"):
                    await court.ask()
                assert await stored(w) == 0
                court.view.fail = None
                assert await court.ask()
                assert await stored(w) == 2

    run(scenario())


def test_what_is_not_the_witness_cosignature_is_not_stored(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            strangers = {a: ed25519().public_key for a in (0, 1)}
            swapped = {a: court.keys[1 - a].public_key for a in (0, 1)}
            async with court.serving():
                for keys in (strangers, swapped):
                    with pytest.raises(WitnessAnswerInvalid):
                        await court.ask(keys=keys)
            event = w.model.events[0]
            text = Checkpoint(w.desk.log.origin, 3, event.root_sha256).text()
            key_id = Witness("court", court.url, {0: court.keys[0].public_key}).key_id(0)

            def line_of(time: int, message: bytes) -> bytes:
                signature = court.keys[0].sign(message)
                return NoteSignature.cosignature("court", key_id, time, signature).line() + b"\n"

            now = w.desk.clock()
            publics = {0: court.keys[0].public_key}
            for body in (
                b"",
                b"\xff" * 100,
                b"\n" * 1000,
                line_of(now, cosignature_message(now + 1, text)),
                line_of(now, cosignature_message(now, text + b"x")),
                line_of(0, cosignature_message(0, text)),
                line_of(now + 301, cosignature_message(now + 301, text)),
            ):
                with pytest.raises(WitnessAnswerInvalid):
                    await court.ask(Scripted([Answer(200, "", body)]), publics)
            assert await stored(w) == 0
            good = line_of(now, cosignature_message(now, text))
            assert await court.ask(Scripted([Answer(200, "", b"junk\n" + good)]), publics)
            assert await stored(w) == 1

    run(scenario())


def test_a_witness_that_is_ahead_or_says_no_size_is_named(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            keys = {0: court.keys[0].public_key}
            with pytest.raises(WitnessAhead, match="at 4"):
                await court.ask(Scripted([Answer(409, "OldSizeMismatch", b"4\n")]), keys)
            for body in (b"", b"-1\n", b"x", b"9" * 30):
                with pytest.raises(WitnessAnswerInvalid):
                    await court.ask(Scripted([Answer(409, "", body)]), keys)
            with pytest.raises(WitnessRefused):
                await court.ask(Scripted([Answer(409, "", b"0\n"), Answer(409, "", b"0\n")]), keys)
            with pytest.raises(WitnessUnavailable):
                await court.ask(Scripted([Answer(502, "", b"<html>")]), keys)

    run(scenario())


def test_a_rolled_back_witness_is_named_here_and_stops_itself(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            court = Court("court", w, tmp_path / "now")
            await grow(w, 3)
            async with court.serving():
                assert await court.ask()
            # The machine is put back later to this backup: all of it, journal too.
            shutil.copytree(tmp_path / "now", tmp_path / "restored")
            await grow(w, 4)
            async with court.serving():
                assert await court.ask()
            async with court.serving(tmp_path / "restored"):
                await grow(w, 5)
                with pytest.raises(WitnessRolledBack, match="cosigned 7, now says 3"):
                    await court.ask()
                with pytest.raises(WitnessRefused, match="WitnessStateRolledBack"):
                    await court.ask()
            with pytest.raises(CaseledgerError) as caught:
                WitnessState(tmp_path / "restored")
            assert caught.value.code == "WitnessStateRolledBack"

    run(scenario())


def test_settings_of_a_witness_are_checked() -> None:
    for name, url, keys in (
        ("a b", "http://x", {}),
        ("court", "ftp://x", {}),
        ("court", "http://x", {0: b"short"}),
    ):
        with pytest.raises(MalformedInput):
            Witness(name, url, keys)


def test_an_ml_dsa_line_that_is_missing_or_wrong_is_named_and_the_other_is_kept(
    database: PgDatabase, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            keys = {a: mldsa44() for a in (0, 1)}
            publics = {a: key.public_key for a, key in keys.items()}
            async with court.serving():
                # The settings name keys that the witness does not have yet.
                for _ in range(2):
                    with pytest.raises(WitnessAnswerInvalid, match="court/pq"):
                        await court.ask(ml_dsa=publics)
                assert await stored(w) == 2
            court.ml_dsa = keys
            async with court.serving():
                swapped = {a: keys[1 - a].public_key for a in (0, 1)}
                with pytest.raises(WitnessAnswerInvalid):
                    await court.ask(ml_dsa=swapped)
                assert await stored(w) == 2
                assert await court.ask()
                assert await stored(w) == 4
                assert not await court.ask()

    run(scenario())


def test_a_witness_rolled_back_is_shown_a_cosignature_of_either_key(
    database: PgDatabase, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            court = Court("court", w, tmp_path / "now", ml_dsa={a: mldsa44() for a in (0, 1)})
            await grow(w, 3)
            async with court.serving():
                assert await court.ask()
            shutil.copytree(tmp_path / "now", tmp_path / "restored")
            await grow(w, 4)
            async with court.serving():
                assert await court.ask()
            async with court.serving(tmp_path / "restored"):
                await grow(w, 5)
                with pytest.raises(WitnessRolledBack, match="cosigned 7, now says 3"):
                    await court.ask()
                with pytest.raises(WitnessRefused, match="WitnessStateRolledBack"):
                    await court.ask()

    run(scenario())


# What comes of it


def test_ml_dsa_cosignatures_of_both_trees_reach_the_receipt(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3, 4)
            court = Court("court", w, tmp_path, ml_dsa={a: mldsa44() for a in (0, 1)})
            async with court.serving():
                assert await court.ask()
            made = await receipt(w, 1)
            for algorithm, attestation in enumerate(made.attestations):
                known = parse_attestation(attestation, algorithm)
                assert isinstance(known, WitnessAttestation)
                assert known.algorithm == algorithm
                (post,) = (one for one in known.cosignatures if len(one.signature) == 2420)
                alg, core = TREE_HASHES[algorithm], made.core
                assert known.where is not None
                root = root_from_inclusion(
                    alg, alg.leaf(core.leaf), core.inclusion.index, known.where.size, known.where.path
                )
                head = Checkpoint(statement_origin(w.desk.log.origin, algorithm), known.where.size, root)
                public = court.ml_dsa[algorithm].public_key
                verify_cosignature(TYPE_MLDSA44, "court/pq", public, post.time, head, post.signature)

    run(scenario())


def test_a_witness_catches_up_by_the_size_that_it_tells(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            court = Court("court", w, tmp_path)
            async with court.serving():
                await grow(w, 3)
                assert await court.ask()
                await grow(w, 300, 7, 90)
                assert await court.ask()
                # An answer that was lost on the way: the witness is where we want it to be.
                await grow(w, 2)
                lost = Scripted([])
                with pytest.raises(IndexError):
                    await court.ask(lost)
                real = HttpWitnesses()
                await real.add_checkpoint(court.url, lost.asked[0])
                await real.aclose()
                assert await court.ask()
            assert await stored(w) == 6

    run(scenario())


def test_the_core_never_changes_and_each_leaf_is_under_the_cosigned_root(
    database: PgDatabase, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            one, two = Court("court", w, tmp_path / "1"), Court("regulator", w, tmp_path / "2")
            await grow(w, 3, 5, 260)
            indexes = [0, 2, 3, 7, 8, 267]
            cores = [(await receipt(w, index)).core_bytes for index in indexes]
            async with one.serving(), two.serving():
                assert await one.ask()
                first = [(await receipt(w, index)).attestations for index in indexes]
                assert await two.ask()
                await grow(w, 1)
                assert await one.ask()
            for index, core, early in zip(indexes, cores, first, strict=True):
                made = await receipt(w, index)
                assert made.core_bytes == core
                assert [len(check(w, made, a, [one, two]).cosignatures) for a in early] == [1, 1]
                found = [check(w, made, a, [one, two]) for a in made.attestations]
                assert [(a.algorithm, len(a.cosignatures)) for a in found] == [(0, 2), (1, 2)]
                assert all((a.where is None) == (index >= 8) for a in found)
            # The last leaf's batch was signed by one of them so far.
            last = await receipt(w, 268)
            assert [len(check(w, last, a, [one]).cosignatures) for a in last.attestations] == [1, 1]

    run(scenario())


def test_a_key_that_signed_other_checkpoints_comes_with_its_own(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            one, two = Court("court", w, tmp_path / "1"), Court("regulator", w, tmp_path / "2")
            async with one.serving(), two.serving():
                await grow(w, 3)
                await one.ask()
                await grow(w, 4)
                await two.ask()
                made = await receipt(w, 1)
                found = [check(w, made, a, [one, two]) for a in made.attestations]
                assert [(a.algorithm, a.where and a.where.size) for a in found] == [
                    (0, None), (0, 7), (1, None), (1, 7),
                ]  # fmt: skip
                # Both under one checkpoint: that one alone is enough.
                await one.ask()
                for index in (1, 5):
                    made = await receipt(w, index)
                    found = [check(w, made, a, [one, two]) for a in made.attestations]
                    assert [len(a.cosignatures) for a in found] == [2, 2]

    run(scenario())


def test_what_a_batch_shares_is_kept_for_a_while(database: PgDatabase, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            now = 0.0
            one, two = Court("court", w, tmp_path / "1"), Court("regulator", w, tmp_path / "2")
            maker = AttestationMaker(w.desk.log, clock=lambda: now)
            async with one.serving(), two.serving(), w.pool.acquire() as conn:
                await grow(w, 3)
                assert await maker.of(conn, [(0, 3)]) == [()]
                await one.ask()
                assert await maker.of(conn, [(0, 3)]) == [()]
                now = 2.0
                (found,) = await maker.of(conn, [(0, 3)])
                assert list(found) == await attestations_of(conn, w.desk.log, 0, 3)
                assert len(found) == 2
                await two.ask()
                assert await maker.of(conn, [(0, 3)]) == [found]
                now += KEEP_COMPLETE + 1
                assert await maker.of(conn, [(0, 3)]) != [found]

    run(scenario())


def test_stored_cosignatures_are_facts(database: PgDatabase, tmp_path: Path) -> None:
    import asyncpg

    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            court = Court("court", w, tmp_path)
            async with court.serving():
                await court.ask()
            for table in ("checkpoint", "cosignature", "cosigner"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await w.pool.execute(f"DELETE FROM evidence.{table}")  # noqa: S608 - constants
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await w.desk.pool.execute("INSERT INTO evidence.cosigner VALUES (1, 0, '\\x00000000', 'x')")

    run(scenario())
