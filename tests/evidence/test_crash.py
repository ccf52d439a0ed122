"""SIGKILL at every named point, with a real chain and database: nothing promised is lost or doubled."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.keys import Ed25519Key, load_key
from chain.evm import Evm
from evidence import fsck
from evidence.contract import ContractReader
from evidence.fsck import FsckOptions
from evidence.vault import Vault
from protocol.submission import Acceptance, Submission, check_acceptance
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.support.evidence import desk, run
from tests.support.ledger import Ledger

pytestmark = [pytest.mark.chain, pytest.mark.database]
POINTS = ("accept.prepared", "accept.committed", "seal.committed", "anchor.sent", "anchor.confirmed")
ROOT = Path(__file__).resolve().parent.parent.parent


def rounds(
    database: PgDatabase, ledger: Ledger, folder: Path, plan: list[tuple[str, int]], origin: str
) -> None:
    """One process after the other, each killed at its point; at the end one that finishes."""
    rng = random.Random(7)  # noqa: S311 - repeatable

    async def prepare() -> None:
        async with ledger.pool() as rpc:
            await ledger.open_log(Evm(rpc), origin)
        deployment = ledger.deployment
        async with desk(
            database, chain_id=deployment.chain_id, contract=deployment.evidence_log.address,
            registry=deployment.registry.address, origin=origin,
        ) as d:  # fmt: skip
            bank = ledger.consortium.index("bank-a")
            d.keys[bank] = ledger.key("bank-a-act")
            for number in range(8 * (len(plan) + 1)):
                submission = d.submission(rng.choice([1, 1, 7, 60]), organisation=bank)
                (folder / f"{number:05d}.cbor").write_bytes(submission.encode())

    run(prepare())
    files = sorted(folder.glob("*.cbor"))
    later = folder / "later"
    later.mkdir()
    for path in files[8:]:
        path.rename(later / path.name)

    def process(point: str | None, count: int) -> int:
        (folder / "plan.json").write_text(
            json.dumps(
                {
                    "home": str(ledger.home),
                    "dsn": database.superuser_dsn,
                    "relayer": str(ledger.network.home / "keys" / "relayer-2.key"),
                    "origin": origin,
                    "point": point,
                    "count": count,
                }
            )
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.evidence.crashing", str(folder / "plan.json")],
            cwd=ROOT, check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
        return done.returncode

    for point, count in plan:
        process(point, count)
        for path in sorted(later.glob("*.cbor"))[:8]:
            path.rename(folder / path.name)
    assert process(None, 0) == 0
    marks = Counter((folder / "marks").read_text().split())
    print(dict(marks))
    for point in POINTS:
        assert marks[point] == sum(name == point for name, _ in plan), marks

    answered = sorted(folder.glob("*.cbor"))

    async def inspect() -> None:
        key = load_key(ledger.home / "keys" / "log-centre.json")
        assert isinstance(key, Ed25519Key)
        pool = await connect_pool(database.superuser_dsn)
        promised: dict[int, bytes] = {}
        sent = 0
        for path in answered:
            submission = Submission.parse(path.read_bytes())
            sent += len(submission.entries)
            answer = Acceptance.parse(path.with_suffix(".answer").read_bytes())
            for at, leaf in enumerate(check_acceptance(submission, answer, key.public_key)):
                assert answer.first_index + at not in promised, "an index was given twice"
                promised[answer.first_index + at] = leaf
        rows = await pool.fetch(
            """SELECT leaf_index, leaf FROM evidence.entry JOIN evidence.log USING (log_no)
               WHERE origin = $1 ORDER BY leaf_index""",
            origin,
        )
        assert {row["leaf_index"]: row["leaf"] for row in rows} == promised
        assert sorted(promised) == list(range(sent))
        async with ledger.pool() as rpc:
            contract = ContractReader(
                Evm(rpc), ledger.deployment.evidence_log.address, first_block=ledger.deployment.block
            )
            log = await pool.fetchval("SELECT log_id FROM evidence.log WHERE origin = $1", origin)
            report = await fsck.run(
                pool,
                contract,
                FsckOptions(
                    logs=frozenset({log}),
                    vault=Vault.open(folder / "vault.json"),
                    log_keys={log: key.public_key},
                ),
            )
            events = await contract.anchored_all(log, 1)
        assert report.clean, report.findings
        assert report.leaves == sent
        assert [event.number for event in events] == list(range(1, report.batches + 1))
        await pool.close()

    run(inspect())


def test_each_point_once(database: PgDatabase, ledger: Ledger, tmp_path: Path) -> None:
    rounds(database, ledger, tmp_path, [(point, 1) for point in POINTS], "centre.example/crash")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_point_six_times(database: PgDatabase, ledger: Ledger, tmp_path: Path) -> None:
    plan = [(point, 1 + turn % 2) for turn in range(6) for point in POINTS]
    rounds(database, ledger, tmp_path, plan, "centre.example/crash-long")
