"""Batches that a restored backup lost: found until a successor commits to them on the chain, then known."""

from __future__ import annotations

import asyncpg
import pytest

from evidence import fsck
from evidence.fsck import FsckOptions, FsckReport
from evidence.recovery import begin
from evidence.vault import Vault
from protocol.identifiers import log_id
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.evidence.test_recovery import rewind, succession
from tests.support.contract_model import ContractModel
from tests.support.evidence import Desk, act_key, run
from tests.support.line import Line, line, worker_of

pytestmark = pytest.mark.database
LOST = {"AnchorUnknown", "HeadAhead"}


async def look(w: Line, desk: Desk, model: ContractModel, vault: Vault | None = None) -> FsckReport:
    options = FsckOptions(logs=frozenset({desk.log.log_id}), vault=vault or w.desk.vault)
    pool = await connect_pool(w.desk.pg.dsn("reader"))
    try:
        return await fsck.run(pool, model, options)
    finally:
        await pool.close()


async def codes(w: Line) -> set[str]:
    report = await look(w, w.desk, w.model)
    assert report.known == []
    return {one.code for one in report.findings}


def test_a_loss_is_known_once_the_successor_s_first_entry_is_anchored(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            for count in (5, 6, 3):
                await w.acceptor.accept(w.desk.submission(count))
                await w.settle()
            await w.acceptor.close()
            await rewind(database, w.desk.log.log_no)
            await w.pool.execute("UPDATE evidence.tile_state SET tiled_size = 0")
            rebuilt = FsckOptions(rebuild=True, logs=frozenset({w.desk.log.log_id}))
            await fsck.run(w.pool, w.model, rebuilt)
            assert await codes(w) == LOST
            origin = f"centre.example/after-{w.desk.log.log_no}"
            w.model.close(14, log_id(origin))
            d = await succession(w, origin)
            assert await codes(w) == LOST
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                await begin(d.pool, acceptor, d.keys[1], clock=d.clock)
            assert await codes(w) == LOST
            key = act_key(1, "anchor")
            model = ContractModel(d.log, key.address)
            *_, worker = worker_of(d, w.pool, model, key)
            for _ in range(5):
                await worker.anchor_once()
                await worker.capture_once()
            report = await look(w, w.desk, w.model)
            assert report.clean
            (known,) = report.known
            assert (known.code, known.place) == ("LossRecorded", "batches 2 to 3")
            assert "leaves 5 to 13" in known.detail
            assert "14 leaves" in known.detail
            assert (await look(w, d, model)).clean
            await _not_known(w, d, model, log_id(origin), database)

    run(scenario())


async def _not_known(w: Line, d: Desk, model: ContractModel, successor: bytes, database: PgDatabase) -> None:
    """What else has to be as it is."""
    # Whoever cannot read the first entry does not know what it says.
    assert {one.code for one in (await look(w, w.desk, w.model, Vault.generate())).findings} >= LOST
    for size, named in ((11, successor), (14, bytes(32))):
        w.model.close(size, named)
        assert await codes(w) & LOST
    w.model.close(14, successor)
    assert (await look(w, w.desk, w.model)).clean
    conn = await asyncpg.connect(database.superuser_dsn)
    try:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute(
            """UPDATE evidence.log SET predecessor_size = 11 WHERE log_no = $1""", d.log.log_no
        )
        assert {one.code for one in (await look(w, d, model)).findings} == {"ContinuationMismatch"}
        await conn.execute("UPDATE evidence.log SET predecessor_size = 14 WHERE log_no = $1", d.log.log_no)
        await conn.execute("DELETE FROM evidence.anchor WHERE log_no = $1", d.log.log_no)
        assert await codes(w) == LOST
    finally:
        await conn.close()
