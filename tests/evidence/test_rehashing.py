"""Hash renewal of a whole log: each receipt stands by it, and nothing that dies on the way is lost."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evidence import rehashing
from evidence.local_authority import LocalAuthority, make_identity
from evidence.logs import Predecessor
from evidence.receipts import ReceiptMaker
from evidence.recovery import continuation
from evidence.rehashing import NothingAnchored, Rehasher, RehashUnfinished, progress, renewed_root
from evidence.timestamping import Authority, TimeAnswerRefused
from evidence.vault import Vault
from protocol import rehash
from protocol.entry import Continuation, parse_leaf
from protocol.hashing import SHA3_256
from tests.conftest import PgDatabase
from tests.support.evidence import act_key, run
from tests.support.line import Line, line
from tests.support.world import World
from verifier import attestation
from verifier.attestation import RehashAttestation
from verifier.merkle_tree import tree_root
from verifier.receipt import Receipt
from verifier.rehash import bare_core_digest, evaluate_renewals
from verifier.trust_payload import TrustedLog, TrustPayload

pytestmark = pytest.mark.database
ROOT = Path(__file__).resolve().parents[2]
A = make_identity("Log A", 1_700_000_000, signer_days=4000)


@dataclasses.dataclass
class Port:
    """The authority itself, without HTTP; `other` answers to another request."""

    clock: int
    wrong: bool = False
    asked: int = 0

    async def ask(self, url: str, request: bytes) -> bytes:
        self.asked += 1
        authority = LocalAuthority(A, clock=lambda: self.clock)
        if self.wrong:
            from verifier.timetoken_request import TimeRequest

            request = TimeRequest("sha3-256", bytes(32), 7).encode()
        return authority.answer(request)

    async def fetch(self, url: str) -> bytes:
        raise NotImplementedError


AUTHORITY = Authority("A", "http://a", (A.root,))


async def grow(w: Line, *counts: int) -> None:
    for count in counts:
        await w.acceptor.accept(w.desk.submission(count))
        await w.settle()
    assert w.desk.now is not None
    w.desk.now = max(w.desk.now, w.model.time + 3)


def rehasher(w: Line) -> Rehasher:
    desk = w.desk
    return Rehasher(w.pool, desk.log, ReceiptMaker(desk.log, desk.vault), desk.promise_key, clock=desk.clock)


def payload(w: Line) -> TrustPayload:
    """What a trust file would say of this log."""
    log = w.desk.log
    named = TrustedLog(log.origin, log.chain_id, log.operator, w.desk.promise_key.public_key)
    return dataclasses.replace(World(version=3).payload, logs=(named,), authorities=(AUTHORITY.trusted(),))


async def receipts(w: Line, *indexes: int) -> list[Receipt]:
    async with w.pool.acquire() as conn:
        made = await ReceiptMaker(w.desk.log, w.desk.vault, clock=w.desk.clock).make(conn, list(indexes))
    return [Receipt.parse(one.data) for one in made]


def renewal_of(receipt: Receipt) -> RehashAttestation:
    found = [attestation.parse(one, at) for at, one in enumerate(receipt.attestations)]
    (one,) = (known for known in found if isinstance(known, RehashAttestation))
    return one


async def expected_root(w: Line, size: int) -> bytes:
    """The root from the receipts as their holders have them."""
    hashes = []
    for receipt in await receipts(w, *range(size)):
        body = receipt.core.body
        digest = None if body is None else SHA3_256.digest(body)
        hashes.append(rehash.Item(bare_core_digest(receipt.core), digest).leaf_hash())
    return tree_root(SHA3_256, hashes)


def counts(w: Line, receipt: Receipt) -> bool:
    known = [attestation.parse(one, at) for at, one in enumerate(receipt.attestations)]
    return bool(evaluate_renewals(receipt, known, payload(w), w.desk.clock() + 10).counting)


def test_every_receipt_carries_the_renewal_once_it_is_stamped(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehashing, "STEP", 256)

    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3, 300, 7)
            run_ = rehasher(w)
            with pytest.raises(NothingAnchored):
                await run_.begin(5)
            size = await run_.begin()
            assert size == 310
            told: list[int] = []
            root = await run_.run(size, told.append)
            assert told == [256, 310]
            assert root == await expected_root(w, 310)
            before = await receipts(w, 0)
            assert not any(one.kind == "rehash" for one in before[0].attestations)
            port = Port(w.desk.clock())
            assert await run_.stamp(size, AUTHORITY, port)
            assert not await run_.stamp(size, AUTHORITY, port)
            assert port.asked == 1
            await grow(w, 2)
            made = await receipts(w, *range(312))
            assert [counts(w, one) for one in made] == [True] * 310 + [False] * 2
            assert made[0].core_bytes == before[0].core_bytes
            # A later run serves what the first does not hold, and leaves the others as they were.
            again = await run_.begin()
            await run_.run(again)
            await run_.stamp(again, AUTHORITY, port)
            later = await receipts(w, 0, 311)
            assert [renewal_of(one).size for one in later] == [310, 312]
            assert counts(w, later[1])

    run(scenario())


def test_an_erased_body_is_no_part_of_a_later_run_and_stays_part_of_an_earlier_one(
    database: PgDatabase,
) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            run_ = rehasher(w)
            await run_.run(await run_.begin())
            await run_.stamp(3, AUTHORITY, Port(w.desk.clock()))
            (whole,) = await receipts(w, 1)
            assert whole.core.body is not None
            await _erase(w, database, 1)
            (erased,) = await receipts(w, 1)
            assert erased.core.body is None
            assert renewal_of(erased).body == SHA3_256.digest(whole.core.body)
            assert counts(w, erased)
            # The copy with its body verifies by the same attestation.
            both = dataclasses.replace(whole, attestations=erased.attestations)
            assert counts(w, both)
            await grow(w, 2)
            size = await run_.begin()
            root = await run_.run(size)
            await run_.stamp(size, AUTHORITY, Port(w.desk.clock()))
            assert root == await expected_root(w, size)

    run(scenario())


async def _erase(w: Line, database: PgDatabase, index: int) -> None:
    import asyncpg

    owner = await asyncpg.connect(database.superuser_dsn)
    try:
        await owner.execute("ALTER TABLE evidence.entry DISABLE TRIGGER ALL")
        await owner.execute(
            "UPDATE evidence.entry SET body = NULL WHERE log_no = $1 AND leaf_index = $2",
            w.desk.log.log_no,
            index,
        )
        await owner.execute("ALTER TABLE evidence.entry ENABLE TRIGGER ALL")
    finally:
        await owner.close()


def test_only_a_finished_tree_is_stamped_and_a_wrong_answer_is_not_stored(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            run_ = rehasher(w)
            size = await run_.begin()
            with pytest.raises(RehashUnfinished):
                await run_.stamp(size, AUTHORITY, Port(w.desk.clock()))
            await run_.run(size)
            with pytest.raises(TimeAnswerRefused, match="TokenImprintMismatch"):
                await run_.stamp(size, AUTHORITY, Port(w.desk.clock(), wrong=True))
            (one,) = await progress(w.pool, w.desk.log.log_no)
            assert (one.done, one.authorities) == (3, ())

    run(scenario())


def test_the_successors_first_entry_commits_the_tree(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3)
            run_ = rehasher(w)
            size = await run_.begin()
            root = await run_.run(size)
            old = w.desk.log
            assert await renewed_root(w.pool, old.log_no, size) == root
            assert await renewed_root(w.pool, old.log_no, 2) is None
            closed = Predecessor(old.log_no, old.log_id, size, bytes(32), bytes(32))
            successor = dataclasses.replace(old, predecessor=closed)
            for renewed in (root, None):
                made = continuation(successor, act_key(1, "act"), now=1, renewed_root=renewed)
                body = Continuation.parse(made.entries[0][1])
                assert (body.size, body.renewed_root) == (size, renewed)
                assert parse_leaf(made.unsequenced_leaves()[0]).header.evidence_class == 128

    run(scenario())


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from agent.keys import Ed25519Key, KeyLabel
from evidence import rehashing
from evidence.logs import load_log
from evidence.ports import FaultPoints
from evidence.receipts import ReceiptMaker
from evidence.vault import Vault
from storage.db import connect_pool
dsn, log_id, vault, key, point, count = sys.argv[1:]
rehashing.STEP = 256
class Killing(FaultPoints):
    left = int(count)
    def hit(self, name):
        if name == point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
async def main():
    pool = await connect_pool(dsn, max_size=2)
    log = await load_log(pool, bytes.fromhex(log_id))
    maker = ReceiptMaker(log, Vault.open(Path(vault)))
    signer = Ed25519Key(KeyLabel("log", "log"), bytes.fromhex(key))
    run = rehashing.Rehasher(pool, log, maker, signer, faults=Killing())
    print((await run.run(await run.begin(), lambda done: print(done, flush=True))).hex(), flush=True)
    await pool.close()
asyncio.run(main())
"""


def test_killed_anywhere_it_goes_on_and_the_root_is_the_same(
    database: PgDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = tmp_path / "vault.json"
    monkeypatch.setattr(Vault, "generate", classmethod(lambda cls: Vault.open(vault, create=True)))

    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 1000, 300)
            key = w.desk.promise_key.private.hex()
            seen: list[str] = []
            for point, count in (("rehash-step", 1), ("rehash-committed", 1), ("rehash-step", 2), ("", 1)):
                log_id = w.desk.log.log_id.hex()
                arguments = [database.dsn("sealer"), log_id, str(vault), key, point, str(count)]
                done = subprocess.run(  # noqa: ASYNC221 - nothing else has to go on meanwhile
                    [sys.executable, "-c", _KILLED, *arguments],
                    cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=120,
                    capture_output=True, text=True,
                )  # fmt: skip
                assert done.returncode == (-signal.SIGKILL if point else 0), done.stderr
                (one,) = await progress(w.pool, w.desk.log.log_no)
                seen.append(str(one.done))
                last = done.stdout.split()
            # Killed inside a step it costs that step, behind it nothing.
            assert seen == ["0", "256", "512", "1300"]
            assert last[-1] == (await expected_root(w, 1300)).hex()
            (one,) = await progress(w.pool, w.desk.log.log_no)
            assert one.root == bytes.fromhex(last[-1])

    run(scenario())
