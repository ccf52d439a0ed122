"""A byte changed in what hangs on a log: cosignatures, time tokens, evidence records, proofs, stored content.

Each damage is named with its code; what follows from the rest is repaired, and a second check is clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from evidence import fsck
from evidence.errors import RepairRefused
from evidence.evidence_records import LOOK_FOR_DUE, RENEW_BEFORE
from evidence.fsck import FsckOptions, FsckReport
from evidence.witnessing import CosignerKey
from protocol.blob import CHUNK_PLAIN, Manifest, cid, encrypt_chunk, wrap_key
from protocol.checkpoint import TYPE_COSIGNATURE
from protocol.entry import Body, EvidenceClass, Header, Link, Relation
from protocol.hashing import sha256
from protocol.provenance import Provenance, provenance_digest
from storage.blobs import FolderStore
from storage.db import connect_pool, migrate
from tests.conftest import PgDatabase
from tests.evidence.test_evidence_records import DAY
from tests.evidence.test_evidence_records import Office as Records
from tests.evidence.test_timestamping import Office as Clock
from tests.evidence.test_witnessing import Court
from tests.support.contract_model import ContractModel
from tests.support.evidence import run
from tests.support.line import Line, NothingProved, line
from tests.support.time_tokens import authority
from verifier.witness_policy import Witness, WitnessGroup, WitnessPolicy

pytestmark = pytest.mark.database
TABLES = (
    "batch", "anchor", "batch_proof", "key_proof", "checkpoint", "cosigner", "cosignature", "time_source",
    "time_material", "time_token", "ers_stamp", "ers_token", "entry", "entry_link", "promise_group",
    "submitter", "log_writer", "anchor_act",
)  # fmt: skip

KEEP = "CREATE TEMP TABLE kept_{0} AS SELECT * FROM evidence.{0}"
PUT_BACK = "DELETE FROM evidence.{0}; INSERT INTO evidence.{0} SELECT * FROM kept_{0}"
FLIP = "UPDATE evidence.{0} SET {1} = set_byte({1}, {2}, get_byte({1}, {2}) # 1) WHERE log_no = $1 {3}"
FORGET = "DELETE FROM evidence.{0} WHERE log_no = $1 AND number = 3"


@dataclass
class World:
    """A log with everything that can hang on it, at rest."""

    pg: PgDatabase
    number: int
    model: ContractModel
    options: FsckOptions
    folder: Path
    chunks: list[str] = field(default_factory=list)

    async def look(self, *, rebuild: bool = False, chain: bool = True, **changes: object) -> FsckReport:
        options = replace(self.options, rebuild=rebuild, **changes)  # type: ignore[arg-type]
        pool = await connect_pool(self.pg.dsn("sealer" if rebuild else "reader"))
        owner = await asyncpg.connect(self.pg.dsn("migrator"))
        try:
            return await fsck.run(pool, self.model if chain else None, options, owner)
        finally:
            await owner.close()
            await pool.close()

    @contextlib.asynccontextmanager
    async def damaged(self, *statements: str) -> AsyncIterator[None]:
        """By an owner of the database whom no trigger holds; undone at the end."""
        conn = await asyncpg.connect(self.pg.superuser_dsn)
        try:
            await conn.execute("SET session_replication_role = replica")
            for table in TABLES:
                await conn.execute(KEEP.format(table))
            try:
                for statement in statements:
                    done = await conn.execute(statement, *([self.number] if "$1" in statement else []))
                    assert not done.endswith(" 0"), statement
                yield
            finally:
                for table in TABLES:
                    await conn.execute(PUT_BACK.format(table))
        finally:
            await conn.close()


def stored(blobs: FolderStore, size: int) -> Manifest:
    """A document of random bytes as an agent stores it."""
    key, salt, content = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(size)
    pieces = [content[at : at + CHUNK_PLAIN] for at in range(0, max(size, 1), CHUNK_PLAIN)]
    digests = []
    for index, piece in enumerate(pieces):
        data = encrypt_chunk(key, salt, index, index == len(pieces) - 1, piece)
        blobs.put_new(data)
        digests.append(sha256(data))
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    manifest = Manifest(size, tuple(digests), (wrap_key(key, 2, public, bytes(32)),), salt)
    blobs.put_new(manifest.encode())
    return manifest


def document(manifest: Manifest, statement: bytes) -> tuple[bytes, bytes]:
    links = (Link(Relation.REPLACES, bytes(32)), Link(Relation.DISPUTES, b"\1" * 32))
    body = Body(
        secrets.token_bytes(32), secrets.token_bytes(32), manifest.size, "application/pdf",
        secrets.token_bytes(32), secrets.token_bytes(32), provenance=provenance_digest(statement),
        manifest=manifest.digest(), links=links,
    ).encode()  # fmt: skip
    return Header(EvidenceClass.CONTRACT, 2, secrets.token_bytes(32)).pack(), body


@pytest.fixture(scope="module")
def world(pg: PgDatabase, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("content")
    asyncio.run(migrate(pg.dsn("migrator")))

    async def build() -> World:
        async with line(pg) as w:
            return await _filled(w, pg, folder)

    return run(build())


async def _grow(w: Line, *submissions: object) -> None:
    for one in submissions:
        await w.acceptor.accept(w.desk.submission(one))  # type: ignore[arg-type]
        await w.settle()
    assert w.desk.now is not None
    w.desk.now = max(w.desk.now + 61, w.model.time + 1)


async def _filled(w: Line, pg: PgDatabase, folder: Path) -> World:
    blobs = FolderStore(folder / "blobs")
    (folder / "statements").mkdir()
    statement = Provenance(secrets.token_bytes(32), source_system="core banking").encode()
    (folder / "statements" / "a.clp").write_bytes(statement)
    manifests = [stored(blobs, CHUNK_PLAIN + 5), stored(blobs, 10)]
    courts = [Court(f"{name}.example/w", w, folder / name) for name in ("court", "regulator")]
    clock = Clock(w, "clock-a")
    short, lasting = Records(w, "records-a", days=400), Records(w, "records-b", days=3000)
    async with contextlib.AsyncExitStack() as stack:
        for one in courts:
            await stack.enter_async_context(one.serving())
        await stack.enter_async_context(clock.serving())
        for what in ([document(one, statement) for one in manifests], 300, 5):
            await _grow(w, what)
            for one in courts:
                assert await one.ask()
            clock.tick += 60
            assert await clock.ask()
            assert await short.round()
        assert await lasting.round()
        assert not await lasting.round(after=LOOK_FOR_DUE)
        assert w.desk.now is not None
        begin = w.desk.now
        w.desk.now = begin + 400 * DAY - RENEW_BEFORE + DAY
        assert await lasting.round(after=LOOK_FOR_DUE)
    keys = {
        (algorithm, known.key_id): known
        for one in courts
        for algorithm, key in one.keys.items()
        for known in [CosignerKey(TYPE_COSIGNATURE, one.name, key.public_key)]
    }
    witnesses = tuple(
        Witness(key.name, key.kind, key.public_key, algorithm, key.name, "court")
        for (algorithm, _), key in keys.items()
        if algorithm == 0
    )
    policy = WitnessPolicy(witnesses, (WitnessGroup("both", 2, tuple(one.name for one in courts)),), "both")
    log_id = w.desk.log.log_id
    options = FsckOptions(
        logs=None,
        vault=w.desk.vault,
        log_keys={log_id: w.desk.promise_key.public_key},
        at=w.desk.clock(),
        cosigners=keys,
        policy=policy,
        authorities=(authority(clock.identity, "clock-a"), short.trusted, lasting.trusted),
        blobs=blobs,
        statements=folder / "statements",
        log_signer=w.desk.promise_key,
        proofs=NothingProved(w.model),
    )
    chunks = [cid(digest) for one in manifests for digest in (*one.chunks, one.digest())]
    return World(pg, w.desk.log.log_no, w.model, options, folder, chunks)


def found(report: FsckReport) -> set[str]:
    return {one.code for one in report.findings}


def test_what_is_whole_is_clean_and_everything_was_looked_at(world: World) -> None:
    async def scenario() -> None:
        report = await world.look()
        assert report.findings == []
        assert report.notes == []
        assert (report.checkpoints, report.cosignatures) == (6, 12)
        assert (report.tokens, report.records) == (6, 7)
        assert (report.chunks, report.statements) == (5, 1)
        assert [(one.from_size, one.position, one.stamped_by) for one in report.renewals] == [
            (0, 1, "records-b"), (2, 1, "records-b"), (302, 1, "records-b"),
        ]  # fmt: skip

    run(scenario())


def flip(table: str, column: str, where: str = "", at: str = "octet_length({0}) - 9") -> str:
    """Change one bit of one byte of one row."""
    return FLIP.format(table, column, at.format(column), where)


NAMED: list[tuple[str, str, set[str]]] = [
    (
        "a cosignature",
        flip("cosignature", "signature", "AND size = 302 AND algorithm = 0"),
        {"CosignatureInvalid"},
    ),
    ("an SM3 cosignature", flip("cosignature", "signature", "AND algorithm = 1"), {"CosignatureInvalid"}),
    (
        "the time of a cosignature",
        "UPDATE evidence.cosignature SET time = time + 1 WHERE log_no = $1 AND size = 302",
        {"CosignatureInvalid"},
    ),
    (
        "the tree of a cosignature",
        "UPDATE evidence.cosignature SET size = 303 WHERE log_no = $1 AND size = 302",
        {"CosignatureWithoutCheckpoint"},
    ),
    (
        "the tree of a checkpoint",
        "UPDATE evidence.checkpoint SET size = 301 WHERE log_no = $1 AND size = 302",
        {"CheckpointWithoutBatch", "CosignatureWithoutCheckpoint"},
    ),
    ("a token's signature", flip("time_token", "token", "AND size = 302"), {"TokenSignatureInvalid"}),
    (
        "a token of another tree",
        """UPDATE evidence.time_token t SET token = o.token FROM evidence.time_token o
           WHERE t.log_no = $1 AND t.size = 302 AND o.size = 2 AND o.algorithm = t.algorithm
             AND o.log_no = t.log_no AND o.authority = t.authority""",
        {"TokenImprintMismatch"},
    ),
    (
        "the size of a token",
        "UPDATE evidence.time_token SET size = 303 WHERE log_no = $1 AND size = 302",
        {"TokenWithoutBatch"},
    ),
    (
        "a certificate or list",
        "UPDATE evidence.time_material SET der = set_byte(der, 40, get_byte(der, 40) # 1)",
        {"TimeMaterialDamaged"},
    ),
    ("a certificate or list gone", "DELETE FROM evidence.time_material", {"TimeMaterialMissing"}),
    (
        "a token shortened",
        "UPDATE evidence.time_token SET token = substr(token, 1, 99) WHERE log_no = $1 AND size = 302",
        {"TokenMalformed"},
    ),
    (
        "a record's token",
        flip("ers_token", "token", "AND position = 1 AND from_size = 302"),
        {"TokenSignatureInvalid"},
    ),
    ("a record's first token", flip("ers_token", "token", "AND position = 0"), {"RecordTokenMismatch"}),
    (
        "a record's stamp gone",
        "DELETE FROM evidence.ers_stamp WHERE log_no = $1 AND from_size = 302 AND authority = 'records-a'",
        {"RecordStampMissing"},
    ),
    (
        "a renewal of another token",
        """UPDATE evidence.ers_token t SET lists = o.lists FROM evidence.ers_token o WHERE t.log_no = $1
           AND t.position = 1 AND o.position = 1 AND t.from_size = 2 AND o.from_size = 302
           AND o.authority = t.authority AND o.log_no = t.log_no""",
        {"RecordTokenMismatch"},
    ),
]


@pytest.mark.parametrize(("statement", "codes"), [one[1:] for one in NAMED], ids=[one[0] for one in NAMED])
def test_damage_that_follows_from_nothing_is_named_and_left(
    world: World, statement: str, codes: set[str]
) -> None:
    async def scenario() -> None:
        async with world.damaged(statement):
            assert codes <= found(await world.look())
            repaired = await world.look(rebuild=True)
            assert found(repaired) & codes
        assert (await world.look()).clean

    run(scenario())


DERIVED: list[tuple[str, str, str]] = [
    (
        "evidence id",
        "UPDATE evidence.entry SET id_key = id_key # 1 WHERE log_no = $1 AND leaf_index = 9",
        "EvidenceIdMismatch",
    ),
    ("dedupe", flip("entry", "dedupe", "AND leaf_index = 9"), "DedupeMismatch"),
    (
        "case key",
        "UPDATE evidence.entry SET case_key = case_key # 1 WHERE log_no = $1 AND leaf_index = 9",
        "CaseKeyMismatch",
    ),
    (
        "digest tag",
        "UPDATE evidence.entry SET tag_key = tag_key # 1 WHERE log_no = $1 AND leaf_index = 9",
        "DigestTagMismatch",
    ),
    ("a link invented", "INSERT INTO evidence.entry_link VALUES ($1, 9, 0, 2, sha256('x'))", "LinksMismatch"),
    ("a link changed", flip("entry_link", "target", "AND position = 1", "3"), "LinksMismatch"),
    ("links gone", "DELETE FROM evidence.entry_link WHERE log_no = $1", "LinksMismatch"),
    (
        "a link of no entry",
        "INSERT INTO evidence.entry_link VALUES ($1, 9999, 0, 2, sha256('x'))",
        "LinkWithoutEntry",
    ),
    ("promise roots", flip("promise_group", "roots", "AND first_index = 2"), "PromiseRootsMismatch"),
    (
        "a sequence",
        "UPDATE evidence.submitter SET last_sequence = 7 WHERE log_no = $1",
        "LastSequenceMismatch",
    ),
    ("a sequence gone", "DELETE FROM evidence.submitter WHERE log_no = $1", "LastSequenceMismatch"),
    ("a sequence of nobody", "INSERT INTO evidence.submitter VALUES ($1, 77, 1)", "LastSequenceMismatch"),
    (
        "the size",
        "UPDATE evidence.log_writer SET accepted_size = 303 WHERE log_no = $1",
        "AcceptedSizeMismatch",
    ),
    ("a sealed root", flip("batch", "root_sha256", "AND number = 2", "3"), "AnchorMismatch"),
    ("a sealed SM3 root", flip("batch", "root_sm3", "AND number = 2", "3"), "AnchorMismatch"),
    ("an anchor's link", flip("anchor", "link", "AND number = 2", "3"), "AnchorMismatch"),
    ("an anchor's previous link", flip("anchor", "previous_link", "AND number = 2", "3"), "AnchorMismatch"),
    (
        "an anchor's time",
        "UPDATE evidence.anchor SET anchored_at = anchored_at - 9 WHERE log_no = $1 AND number = 2",
        "AnchorMismatch",
    ),
    ("an anchor's block", flip("anchor", "block_hash", "AND number = 2", "3"), "AnchorMismatch"),
    ("an anchor's transaction", flip("anchor", "transaction_hash", "AND number = 2", "3"), "AnchorMismatch"),
    ("a proof", flip("batch_proof", "proof", "AND number = 2", "0"), "ProofMalformed"),
    (
        "a key's proof",
        "UPDATE evidence.key_proof SET signer = substr(sha256('x'), 1, 20) WHERE log_no = $1 AND number = 2",
        "ProofWithoutSubmission",
    ),
    (
        "a key's proof gone",
        "DELETE FROM evidence.key_proof WHERE log_no = $1 AND number = 2",
        "KeyProofMissing",
    ),
    (
        "a batch's proof gone",
        "DELETE FROM evidence.batch_proof WHERE log_no = $1 AND number = 2",
        "BatchProofMissing",
    ),
    (
        "a proof's height",
        "UPDATE evidence.batch_proof SET height = 1 WHERE log_no = $1 AND number = 2",
        "ProofBeforeAnchor",
    ),
    ("the log's line", flip("checkpoint", "log_signature", "AND size = 302"), "CheckpointSignatureInvalid"),
    (
        "the log's key id",
        flip("checkpoint", "log_key_id", "AND size = 302", "1"),
        "CheckpointSignatureInvalid",
    ),
    (
        "a checkpoint's batch",
        "UPDATE evidence.checkpoint SET number = 1 WHERE log_no = $1 AND size = 302",
        "CheckpointBatchMismatch",
    ),
    (
        "a checkpoint gone",
        "DELETE FROM evidence.checkpoint WHERE log_no = $1 AND size = 302",
        "CosignatureWithoutCheckpoint",
    ),
    (
        "a cosigner's name",
        "UPDATE evidence.cosigner SET name = 'nobody' WHERE log_no = $1",
        "CosignerMismatch",
    ),
    ("a cosigner gone", "DELETE FROM evidence.cosigner WHERE log_no = $1", "CosignerMissing"),
    (
        "a token's time",
        "UPDATE evidence.time_token SET gen_time = gen_time - 1 WHERE log_no = $1 AND size = 302",
        "TokenFieldsMismatch",
    ),
    (
        "a token's policy",
        "UPDATE evidence.time_token SET policy = '1.2.3' WHERE log_no = $1 AND size = 302",
        "TokenFieldsMismatch",
    ),
    (
        "a token's end",
        "UPDATE evidence.time_token SET signer_until = signer_until + 1 WHERE log_no = $1",
        "TokenFieldsMismatch",
    ),
    (
        "an authority gone",
        "DELETE FROM evidence.time_source WHERE log_no = $1 AND algorithm = 1",
        "TimeSourceMissing",
    ),
    ("a record's root", flip("ers_stamp", "root", "AND from_size = 2"), "RecordRootMismatch"),
    (
        "a record's time",
        "UPDATE evidence.ers_token SET gen_time = gen_time - 1 WHERE log_no = $1 AND from_size = 2",
        "RecordFieldsMismatch",
    ),
    (
        "a record's end",
        "UPDATE evidence.ers_token SET signer_until = signer_until + 1 WHERE log_no = $1",
        "RecordFieldsMismatch",
    ),
]


@pytest.mark.parametrize(("statement", "code"), [one[1:] for one in DERIVED], ids=[one[0] for one in DERIVED])
def test_damage_of_what_is_derived_is_named_and_repaired(world: World, statement: str, code: str) -> None:
    async def scenario() -> None:
        async with world.damaged(statement):
            assert code in found(await world.look())
            repaired = await world.look(rebuild=True)
            assert repaired.findings == []
            assert code in {one.code for one in repaired.repaired}
            again = await world.look()
            assert again.findings == []
            assert again.repaired == []

    run(scenario())


def test_the_last_batch_is_made_again_from_leaves_and_chain(world: World) -> None:
    async def scenario() -> None:
        tables = ("key_proof", "batch_proof", "anchor", "anchor_act", "batch")
        forget = [FORGET.format(table) for table in tables]
        async with world.damaged(*forget):
            report = await world.look()
            assert {"AnchorUnknown", "HeadAhead"} <= found(report)
            assert (await world.look(rebuild=True)).findings == []
            assert (await world.look()).clean

    run(scenario())


def test_nothing_is_derived_from_damaged_facts(world: World) -> None:
    """A changed leaf, and a key that was left: repairing that from the leaf would hide what it was."""

    async def scenario() -> None:
        change = flip("entry", "leaf", "AND leaf_index = 9", "60")
        async with world.damaged(change):
            before = found(await world.look())
            assert {"EvidenceIdMismatch", "BatchRootMismatch", "BodyDamaged"} <= before
            report = await world.look(rebuild=True)
            assert {"EvidenceIdMismatch", "BatchRootMismatch", "BodyDamaged"} <= found(report)
            assert "EvidenceIdMismatch" not in {one.code for one in report.repaired}
        # The tiles fit the changed leaf now; they are derived.
        assert (await world.look(rebuild=True)).clean

    run(scenario())


def test_only_the_owner_repairs_and_a_check_alone_changes_nothing(world: World) -> None:
    async def scenario() -> None:
        change = "UPDATE evidence.entry SET id_key = id_key # 1 WHERE log_no = $1 AND leaf_index = 9"
        async with world.damaged(change):
            pool = await connect_pool(world.pg.dsn("sealer"))
            stranger = await asyncpg.connect(world.pg.dsn("sealer"))
            try:
                with pytest.raises(RepairRefused):
                    await fsck.run(pool, world.model, replace(world.options, rebuild=True), stranger)
            finally:
                await stranger.close()
                await pool.close()
            assert found(await world.look()) == {"EvidenceIdMismatch"}
            # The triggers are there again, whatever happened.
            owner = await asyncpg.connect(world.pg.dsn("migrator"))
            try:
                assert (await world.look(rebuild=True)).clean
                with pytest.raises(asyncpg.PostgresError, match="immutable"):
                    await owner.execute("UPDATE evidence.entry SET id_key = 1")
            finally:
                await owner.close()

    run(scenario())


def test_more_damage_than_one_report_names_is_repaired_in_rounds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evidence.fsck_report.MOST_FINDINGS", 50)

    async def scenario() -> None:
        async with world.damaged("UPDATE evidence.entry SET case_key = case_key # 1 WHERE log_no = $1"):
            report = await world.look()
            assert (len(report.findings), report.more) == (50, True)
            monkeypatch.setattr("evidence.fsck.MOST_ROUNDS", 10)
            assert (await world.look(rebuild=True)).clean

    run(scenario())


@pytest.mark.parametrize("kind", ["chunk", "manifest"])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_stored_content_that_is_missing_or_changed_is_named(world: World, kind: str, how: str) -> None:
    address = world.chunks[0] if kind == "chunk" else world.chunks[2]
    path = world.folder / "blobs" / address[-2:] / address
    data = path.read_bytes()
    path.unlink() if how == "missing" else path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        report = run(world.look())
    finally:
        path.write_bytes(data)
    (finding,) = report.findings
    assert finding.code == kind.capitalize() + how.capitalize()
    assert finding.place == "leaf 0"
    assert finding.detail == address
    # Without its manifest nobody knows whose the chunks are.
    orphans = {one.place for one in report.notes if one.code == "ChunkOrphan"}
    assert orphans == (set() if kind == "chunk" else {f"chunk {one}" for one in world.chunks[:2]})
    assert run(world.look(blobs=None)).clean


def test_a_chunk_that_no_entry_names_is_told_and_is_no_damage(world: World) -> None:
    blobs = FolderStore(world.folder / "blobs")
    address = blobs.put_new(b"nobody's")
    report = run(world.look())
    blobs.delete(address)
    assert report.clean
    assert [(one.code, one.place) for one in report.notes] == [("ChunkOrphan", f"chunk {address}")]


def test_a_changed_provenance_statement_is_named(world: World) -> None:
    path = world.folder / "statements" / "a.clp"
    data = path.read_bytes()
    try:
        path.write_bytes(data.replace(b"core", b"gore"))
        (note,) = run(world.look()).notes
        assert (note.code, note.place) == ("ProvenanceUnreferenced", "statement a.clp")
        path.write_bytes(data[:-1])
        assert found(run(world.look())) == {"ProvenanceDamaged"}
    finally:
        path.write_bytes(data)


def test_what_cannot_be_judged_is_said(world: World) -> None:
    async def scenario() -> None:
        report = await world.look(cosigners={}, authorities=(), log_keys={})
        assert report.clean
        assert {one.code for one in report.notes} == {
            "WitnessKeyUnknown", "TimeAuthorityUnknown", "LogKeyUnknown", "WitnessPolicyNotMet",
        }  # fmt: skip
        # Without its authority's roots the imprint of a token is still compared.
        other = """UPDATE evidence.time_token t SET token = o.token FROM evidence.time_token o
            WHERE t.log_no = $1 AND t.size = 302 AND o.size = 2 AND o.algorithm = t.algorithm"""
        async with world.damaged(other):
            assert found(await world.look(authorities=())) == {"TokenImprintMismatch"}
        async with world.damaged("DELETE FROM evidence.cosignature WHERE log_no = $1 AND size = 307"
                                 " AND ctid = (SELECT min(ctid) FROM evidence.cosignature WHERE size = 307"
                                 " AND algorithm = 0)"):  # fmt: skip
            report = await world.look()
            assert report.clean
            assert [(one.code, one.detail) for one in report.notes] == [
                ("WitnessPolicyNotMet", "met up to 302 of 307")
            ]

    run(scenario())


def test_a_token_of_another_authority_or_outside_its_window_is_refused(world: World) -> None:
    clock, *others = world.options.authorities
    stranger = replace(others[0], name=clock.name)  # type: ignore[type-var]
    late = replace(clock, not_before=2**40)  # type: ignore[type-var]
    assert found(run(world.look(authorities=(stranger, *others)))) == {"AuthorityNotTrusted"}
    assert found(run(world.look(authorities=(late, *others)))) == {"TokenOutsideAuthorityWindow"}
