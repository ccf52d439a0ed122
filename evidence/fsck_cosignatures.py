"""Witnessed checkpoints: the log's own line and every cosignature, over roots recomputed from the entries."""

from __future__ import annotations

from collections import defaultdict

import asyncpg

from evidence.batches import Batch
from evidence.fsck_report import Finder, Fix, FsckOptions
from evidence.fsck_trees import PAGE, Roots
from evidence.logs import LogContext
from evidence.witnessing import CLOCK_SKEW, signed_checkpoint
from protocol.checkpoint import (
    TREE_HASHES,
    TYPE_ED25519,
    Checkpoint,
    CosignatureInvalid,
    key_id,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError
from storage.db import AnyConnection
from verifier.witness_policy import satisfied

_CHECKPOINTS = """
    SELECT p.*, b.number AS at_size, b.old_size, b.root_sha256, b.root_sm3, b.sealed_at
    FROM evidence.checkpoint p LEFT JOIN evidence.batch b ON b.log_no = p.log_no AND b.new_size = p.size
    WHERE p.log_no = $1 ORDER BY p.algorithm, p.size"""
_COSIGNATURES = """
    SELECT s.*, c.name, p.size IS NULL AS alone, b.number AS at_size, b.old_size, b.new_size, b.root_sha256,
           b.root_sm3, b.sealed_at
    FROM evidence.cosignature s
    LEFT JOIN evidence.checkpoint p ON p.log_no = s.log_no AND p.size = s.size AND p.algorithm = s.algorithm
    LEFT JOIN evidence.batch b ON b.log_no = s.log_no AND b.new_size = s.size
    LEFT JOIN evidence.cosigner c ON c.log_no = s.log_no AND c.algorithm = s.algorithm AND c.key_id = s.key_id
    WHERE s.log_no = $1 ORDER BY s.algorithm, s.size, s.key_id"""
_CHECKPOINT_SET = """
    INSERT INTO evidence.checkpoint (log_no, size, algorithm, number, log_key_id, log_signature)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (log_no, size, algorithm) DO UPDATE
    SET number = excluded.number, log_key_id = excluded.log_key_id, log_signature = excluded.log_signature"""
_COSIGNER_SET = """
    INSERT INTO evidence.cosigner (log_no, algorithm, key_id, name) VALUES ($1, $2, $3, $4)
    ON CONFLICT (log_no, algorithm, key_id) DO UPDATE SET name = excluded.name"""


class CosignatureCheck:
    """All checkpoints of one log."""

    def __init__(
        self, conn: AnyConnection, log: LogContext, roots: Roots, find: Finder, options: FsckOptions
    ) -> None:
        self._conn = conn
        self._log = log
        self._roots = roots
        self._find = find
        self._options = options
        self._log_key = options.log_keys.get(log.log_id)
        self._signed: defaultdict[int, set[str]] = defaultdict(set)
        self._at = (0, 0)
        self._met: dict[int, int] = {}
        self._last: dict[int, int] = {}

    async def run(self) -> None:
        async for row in self._conn.cursor(_CHECKPOINTS, self._log.log_no, prefetch=PAGE):
            self._find.report.checkpoints += 1
            self._checkpoint(row)
        async for row in self._conn.cursor(_COSIGNATURES, self._log.log_no, prefetch=PAGE):
            self._find.report.cosignatures += 1
            self._cosignature(row)
        self._policy()

    def _statement(self, row: asyncpg.Record) -> Checkpoint:
        root = self._roots.at(row["size"], row["algorithm"], row)
        return Checkpoint(statement_origin(self._log.origin, row["algorithm"]), row["size"], root)

    def _again(self, row: asyncpg.Record) -> tuple[Fix, ...]:
        """The log's own line can be made again with its key: Ed25519 gives the same bytes each time."""
        signer = self._options.log_signer
        if signer is None or signer.public_key != self._log_key or row["at_size"] is None:
            return ()
        sha256, sm3 = (self._roots.at(row["size"], algorithm, row) for algorithm in (0, 1))
        head = Batch(row["at_size"], row["old_size"], row["size"], sha256, sm3, row["sealed_at"])
        (line,) = signed_checkpoint(self._log.origin, signer, head, row["algorithm"]).signatures
        values = (
            self._log.log_no, row["size"], row["algorithm"], head.number, line.key_id, line.signature,
        )  # fmt: skip
        return (Fix("checkpoint", _CHECKPOINT_SET, values),)

    def _checkpoint(self, row: asyncpg.Record) -> None:
        alg = TREE_HASHES[row["algorithm"]].name
        place = f"{alg} checkpoint at {row['size']}"
        self._last[row["algorithm"]] = row["size"]
        if row["at_size"] is None:
            self._find("CheckpointWithoutBatch", place)
            return
        if row["at_size"] != row["number"]:
            self._find("CheckpointBatchMismatch", place, f"batch {row['number']}", *self._again(row))
        if self._log_key is None:
            self._find.note("LogKeyUnknown", "checkpoints", "the log's own lines were not checked")
            return
        statement = self._statement(row)
        try:
            if key_id(statement.origin, TYPE_ED25519, self._log_key) != row["log_key_id"]:
                raise CosignatureInvalid("another key")
            verify_checkpoint(self._log_key, statement, row["log_signature"])
        except CaseledgerError as error:
            self._find("CheckpointSignatureInvalid", place, error.detail, *self._again(row))

    def _cosignature(self, row: asyncpg.Record) -> None:
        algorithm, identity = row["algorithm"], row["key_id"]
        alg = TREE_HASHES[algorithm].name
        known = self._options.cosigners.get((algorithm, identity))
        who = row["name"] or (known.name if known else identity.hex())
        place = f"{alg} cosignature of {who} at {row['size']}"
        if row["alone"]:
            self._find("CosignatureWithoutCheckpoint", place, "", *self._again(row))
        if known is not None and row["name"] != known.name:
            code = "CosignerMissing" if row["name"] is None else "CosignerMismatch"
            fix = Fix("cosigner", _COSIGNER_SET, (self._log.log_no, algorithm, identity, known.name))
            self._find(code, place, f"key {identity.hex()} is {known.name}", fix)
        elif row["name"] is None:
            self._find("CosignerMissing", place, f"key {identity.hex()}")
        if row["at_size"] is None:
            return
        if known is None:
            self._find.note("WitnessKeyUnknown", f"{alg} cosigner {who}", "its cosignatures were not checked")
            return
        try:
            verify_cosignature(
                known.kind, known.name, known.public_key, row["time"], self._statement(row), row["signature"]
            )
        except CaseledgerError as error:
            self._find("CosignatureInvalid", place, error.detail)
            return
        if row["time"] > self._options.at + CLOCK_SKEW:
            self._find("CosignatureInFuture", place, f"time {row['time']}")
            return
        self._count(algorithm, row["size"], identity)

    def _count(self, algorithm: int, size: int, identity: bytes) -> None:
        """Cosignatures come in order of size: the names of one checkpoint are enough."""
        if (algorithm, size) != self._at:
            self._at = (algorithm, size)
            self._signed.clear()
        named = self._options.policy.named(algorithm).get(identity)
        if named is not None:
            self._signed[algorithm].add(named.name)
            if satisfied(self._options.policy, self._signed[algorithm]):
                self._met[algorithm] = size

    def _policy(self) -> None:
        """A witness that is away is no damage: how far the trust file's policy is met is told, not judged."""
        if self._options.policy.quorum is None:
            return
        for algorithm, size in self._last.items():
            if not self._options.policy.named(algorithm):
                continue
            met = self._met.get(algorithm, 0)
            if met < size:
                place = f"{TREE_HASHES[algorithm].name} checkpoints"
                self._find.note("WitnessPolicyNotMet", place, f"met up to {met} of {size}")
