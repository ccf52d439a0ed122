"""An owner of the database who rewrites, drops or reorders is found; the contract refuses what he makes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from chain.errors import ContractReverted
from evidence import fsck
from evidence.contract import anchor_call
from evidence.fsck import FsckOptions, FsckReport
from evidence.tiles import TileReader, extend
from protocol.acts import Anchor
from protocol.entry import Link, Relation, evidence_id
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.support.evidence import entries, entry, run
from tests.support.line import Line, line

pytestmark = pytest.mark.database


@asynccontextmanager
async def superuser(pg: PgDatabase) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Full rights: no trigger holds him."""
    conn = await asyncpg.connect(pg.superuser_dsn)
    try:
        await conn.execute("SET session_replication_role = replica")
        yield conn
    finally:
        await conn.close()


async def checked(w: Line, *, chain: bool = True, rebuild: bool = False) -> list[str]:
    """Codes found for this log."""
    report = await look(w, chain=chain, rebuild=rebuild)
    return sorted({one.code for one in report.findings})


async def look(w: Line, *, chain: bool = True, rebuild: bool = False) -> FsckReport:
    log_id = w.desk.log.log_id
    options = FsckOptions(
        rebuild=rebuild,
        logs=frozenset({log_id}),
        vault=w.desk.vault,
        log_keys={log_id: w.desk.promise_key.public_key},
    )
    pool = await connect_pool(w.desk.pg.dsn("sealer" if rebuild else "reader"))
    try:
        return await fsck.run(pool, w.model if chain else None, options)
    finally:
        await pool.close()


async def filled(w: Line, counts: tuple[int, ...] = (3, 300, 20)) -> None:
    for count in counts:
        await w.acceptor.accept(w.desk.submission(count))
        await w.settle()


def test_a_log_of_every_kind_of_entry_is_clean(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await filled(w)
            first = await w.scalar("SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index = 0")
            assert isinstance(first, bytes)
            links = [
                Link(Relation.REPLACES, evidence_id(first)),
                Link(Relation.DISPUTES, secrets.token_bytes(32)),
            ]
            await w.acceptor.accept(w.desk.submission([entry(2, links=links), *entries(2, 40)]))
            await w.acceptor.accept(w.desk.submission([entry(3, links=links)], organisation=3))
            assert await checked(w) == []
            await w.settle()
            report = await look(w)
            assert report.clean
            assert (report.leaves, report.bodies, report.batches, report.proofs) == (365, 365, 4, 5)
            assert report.chain_compared
            assert report.promises_verified
            assert await checked(w, rebuild=True) == []

    run(check())


TAMPERINGS: list[tuple[str, str, set[str]]] = [
    (
        "rewrite a sealed leaf",
        """UPDATE evidence.entry SET leaf = set_byte(leaf, 60, get_byte(leaf, 60) # 1)
           WHERE log_no = $1 AND leaf_index = 150""",
        {"BatchRootMismatch", "EvidenceIdMismatch", "TileMismatch", "SubmissionRootMismatch", "BodyDamaged"},
    ),
    (
        "rewrite a leaf and everything that can be computed without keys",
        """UPDATE evidence.entry SET leaf = n.leaf, id_key = n.id_key, case_key = n.case_key, body = NULL
           FROM (SELECT leaf, id_key, case_key FROM evidence.entry
                 WHERE log_no = $1 AND leaf_index = 10) n
           WHERE log_no = $1 AND leaf_index = 150""",
        {"BatchRootMismatch", "TileMismatch", "SubmissionRootMismatch", "SequenceMismatch"},
    ),
    (
        "drop a sealed leaf",
        "DELETE FROM evidence.entry WHERE log_no = $1 AND leaf_index = 150",
        {"LeafMissing", "BatchRootMismatch", "SubmissionRootMismatch"},
    ),
    (
        "drop the last leaf",
        "DELETE FROM evidence.entry WHERE log_no = $1 AND leaf_index = 322",
        {"LeafMissing", "BatchRootMismatch"},
    ),
    (
        "drop a whole submission",
        "DELETE FROM evidence.submission WHERE log_no = $1 AND first_index = 3",
        {"SubmissionGap", "SequenceGap", "PromiseRootsMismatch"},
    ),
    (
        "reorder two sealed leaves",
        """UPDATE evidence.entry SET leaf_index = CASE leaf_index WHEN 5 THEN 1000006 ELSE 1000005 END
           WHERE log_no = $1 AND leaf_index IN (5, 6)""",
        {"SequenceMismatch", "BatchRootMismatch", "TileMismatch", "SubmissionRootMismatch"},
    ),
    (
        "change a sealed root",
        "UPDATE evidence.batch SET root_sha256 = sha256('x') WHERE log_no = $1 AND number = 2",
        {"BatchRootMismatch", "LinkMismatch", "AnchorMismatch"},
    ),
    (
        "change the SM3 root alone",
        "UPDATE evidence.batch SET root_sm3 = sha256('x') WHERE log_no = $1 AND number = 2",
        {"BatchRootMismatch", "LinkMismatch", "AnchorMismatch"},
    ),
    (
        "change a tile",
        """UPDATE evidence.tile SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1)
           WHERE log_no = $1 AND level = 0 AND tile_index = 0 AND algorithm = 1""",
        {"TileMismatch"},
    ),
    (
        "drop a tile",
        "DELETE FROM evidence.tile WHERE log_no = $1 AND level = 1",
        {"TileMismatch"},
    ),
    (
        "back-date a promise",
        "UPDATE evidence.promise_group SET accepted_at = accepted_at - 9 WHERE log_no = $1",
        {"PromiseMismatch"},
    ),
    (
        "drop a promise",
        "DELETE FROM evidence.promise_group WHERE log_no = $1 AND first_index = 3",
        {"PromiseGap", "PromiseMissing"},
    ),
    (
        "forge a promise's signature",
        "UPDATE evidence.promise_group SET signature = sha512('x') WHERE log_no = $1 AND first_index = 3",
        {"PromiseSignatureInvalid"},
    ),
    (
        "another submitter's signature",
        """UPDATE evidence.submission SET signature = set_byte(signature, 40, get_byte(signature, 40) # 1)
           WHERE log_no = $1 AND first_index = 3""",
        {"SubmissionSignatureInvalid"},
    ),
    (
        "another submitter",
        "UPDATE evidence.submission SET organisation = 3 WHERE log_no = $1 AND first_index = 3",
        {"SubmitterMismatch", "SequenceGap", "SubmissionSignatureInvalid"},
    ),
    (
        "another body",
        """UPDATE evidence.entry SET body = n.body FROM (SELECT body FROM evidence.entry
           WHERE log_no = $1 AND leaf_index = 9) n WHERE log_no = $1 AND leaf_index = 10""",
        {"BodyDamaged"},
    ),
    (
        "hide an entry from search by digest",
        "UPDATE evidence.entry SET tag_key = tag_key # 1 WHERE log_no = $1 AND leaf_index = 9",
        {"DigestTagMismatch"},
    ),
    (
        "hide an entry from its case",
        "UPDATE evidence.entry SET case_key = case_key # 1 WHERE log_no = $1 AND leaf_index = 9",
        {"CaseKeyMismatch"},
    ),
    (
        "allow a repetition",
        "UPDATE evidence.entry SET dedupe = substr(sha256('x'), 1, 16) WHERE log_no = $1 AND leaf_index = 9",
        {"DedupeMismatch"},
    ),
    (
        "invent a link",
        "INSERT INTO evidence.entry_link VALUES ($1, 9, 0, 2, sha256('x'))",
        {"LinksMismatch"},
    ),
    (
        "set a sequence back",
        "UPDATE evidence.submitter SET last_sequence = 7 WHERE log_no = $1",
        {"LastSequenceMismatch"},
    ),
    (
        "set the size back",
        "UPDATE evidence.log_writer SET accepted_size = 303 WHERE log_no = $1",
        {"AcceptedSizeMismatch"},
    ),
    (
        "another anchor time",
        "UPDATE evidence.anchor SET anchored_at = anchored_at - 60 WHERE log_no = $1 AND number = 2",
        {"LinkMismatch", "AnchorMismatch"},
    ),
    (
        "forget the last batch",
        """WITH a AS (DELETE FROM evidence.key_proof WHERE log_no = $1 AND number = 3),
           b AS (DELETE FROM evidence.batch_proof WHERE log_no = $1 AND number = 3),
           c AS (DELETE FROM evidence.anchor WHERE log_no = $1 AND number = 3),
           d AS (DELETE FROM evidence.anchor_act WHERE log_no = $1 AND number = 3)
           DELETE FROM evidence.batch WHERE log_no = $1 AND number = 3""",
        {"HeadAhead", "AnchorUnknown"},
    ),
    (
        "damage a stored proof",
        "UPDATE evidence.batch_proof SET proof = '\\x00' WHERE log_no = $1 AND number = 2",
        {"ProofMalformed"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "expected"), [t[1:] for t in TAMPERINGS], ids=[t[0] for t in TAMPERINGS]
)
def test_every_change_of_a_stored_fact_is_found(
    database: PgDatabase, statement: str, expected: set[str]
) -> None:
    async def check() -> None:
        async with line(database) as w:
            await filled(w)
            await w.acceptor.close()
            async with superuser(database) as conn:
                await conn.execute(statement, w.desk.log.log_no)
                if "1000006" in statement:
                    await conn.execute(
                        "UPDATE evidence.entry SET leaf_index = leaf_index - 1000000"
                        " WHERE log_no = $1 AND leaf_index > 1000000",
                        w.desk.log.log_no,
                    )
            found = set(await checked(w))
            assert expected <= found, found
            offline = {"HeadAhead", "AnchorUnknown", "AnchorMismatch"}
            without_chain = set(await checked(w, chain=False))
            assert (expected - offline) <= without_chain, without_chain

    run(check())


def test_a_rewritten_log_is_refused_at_the_next_anchor(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await filled(w)
            number = w.desk.log.log_no
            async with superuser(database) as conn:
                await conn.execute(
                    """UPDATE evidence.entry SET leaf = set_byte(leaf, 60, get_byte(leaf, 60) # 1)
                       WHERE log_no = $1 AND leaf_index = 150""",
                    number,
                )
                # He makes the tiles fit his leaf, as fsck --rebuild would.
                await fsck.rebuild_tiles(conn, number)
                await w.acceptor.accept(w.desk.submission(5))
                await extend(conn, number, 328)
                reader = TileReader(number)
                roots = await reader.roots(conn, 328)
                proof, _ = await reader.consistency(conn, 323, 328)
            # Our own sealer notices before anything is sent.
            await w.worker.anchor_once()
            assert w.worker.metrics.trouble["seal"] == "RecordDamaged"
            assert len(w.model.events) == 3
            # An operator who has changed the sealer as well fails at the contract.
            act = Anchor(w.desk.log.log_id, 323, 328, *roots, 2**39)
            with pytest.raises(ContractReverted) as caught:
                w.model.anchor(anchor_call(act, proof, w.key.sign_digest(act.digest(w.desk.log.domain))))
            assert caught.value.code == "ConsistencyProofInvalid"
            assert "BatchRootMismatch" in await checked(w)

    run(check())


def test_lost_tiles_are_rebuilt_and_the_log_goes_on(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            await filled(w)
            async with superuser(database) as conn:
                await conn.execute("DELETE FROM evidence.tile WHERE log_no = $1", w.desk.log.log_no)
            assert await checked(w) == ["TileMismatch"]
            assert await checked(w, rebuild=True) == []
            await filled(w, (4,))
            assert w.model.size == 327

    run(check())
