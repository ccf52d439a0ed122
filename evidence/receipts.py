"""Receipts, put together from what is stored: the same entry gives the same core each time.

Behind the core stand the attestations that are there by now.

What all receipts of a batch share is stored once. The chain proof goes in as it was stored, without being
parsed: reading it is the verifier's business, and it was verified before it was stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from evidence.attestations import AttestationMaker
from evidence.errors import EvidenceNotFound, ReceiptNotReady, RecordDamaged, SignerKeyMissing
from evidence.logs import LogContext
from evidence.ports import Clock, system_clock
from evidence.tiles import TileReader
from evidence.vault import Vault
from protocol import cbor
from protocol.cbor import Encodable
from protocol.entry import unsequenced
from protocol.hashing import SHA3_256, SHA256, sha256, sm3
from storage.db import AnyConnection
from verifier.merkle import Tree
from verifier.receipt import MAGIC, VERSION, Attestation

_PROOF_KEY = b"\x07"
_MAP7, _MAP8 = b"\xa7", b"\xa8"
_NULL = b"\xf6"
_NONE_PROOF = b"\x82\x64none"

_ROWS = """
    SELECT e.leaf_index, e.leaf, e.body, s.first_index, s.leaves, s.valid_until, s.signature, s.signer,
           b.number, b.new_size, b.root_sha256, b.root_sm3, a.previous_link, a.anchored_at, p.proof,
           k.proof AS key_proof
    FROM unnest($2::bigint[]) AS w (leaf_index)
    JOIN evidence.entry e ON e.log_no = $1 AND e.leaf_index = w.leaf_index
    JOIN LATERAL (SELECT * FROM evidence.submission s WHERE s.log_no = $1 AND s.first_index <= e.leaf_index
                  ORDER BY s.first_index DESC LIMIT 1) s ON true
    LEFT JOIN LATERAL (SELECT * FROM evidence.batch b WHERE b.log_no = $1 AND b.new_size > e.leaf_index
                  ORDER BY b.new_size LIMIT 1) b ON true
    LEFT JOIN evidence.anchor a ON a.log_no = $1 AND a.number = b.number
    LEFT JOIN evidence.batch_proof p ON p.log_no = $1 AND p.number = b.number
    LEFT JOIN evidence.key_proof k ON k.log_no = $1 AND k.number = b.number AND k.signer = s.signer
    ORDER BY e.leaf_index"""


@dataclass(frozen=True)
class ReceiptFile:
    """A receipt's bytes and the index of its leaf."""

    index: int
    data: bytes


class ReceiptMaker:
    """Makes receipts of one log. Keeps a cache of tiles; not for use by two tasks at once."""

    def __init__(self, log: LogContext, vault: Vault, *, clock: Clock = system_clock) -> None:
        self._log = log
        self._vault = vault
        self._tiles = TileReader(log.log_no)
        self._attestations = AttestationMaker(log, self._tiles, wall=clock)
        self._name: list[Encodable] = [log.origin, log.chain_id, log.contract, log.registry]

    async def make(self, conn: AnyConnection, indexes: Sequence[int]) -> list[ReceiptFile]:
        """Receipts in ascending order of index.

        Raises ReceiptNotReady when one of them is not anchored and proved yet, EvidenceNotFound when an index
        is not in the log, BodyUnreadable, RecordDamaged.
        """
        rows, submissions, places = await self._ready(conn, indexes)
        paths = await self._tiles.inclusions(conn, places)
        attested = await self._attestations.of(conn, places)
        return [
            ReceiptFile(
                row["leaf_index"],
                _file(
                    self._core(
                        row,
                        submissions[row["first_index"]],
                        *path,
                        body=self._body(row["leaf"], row["body"]),
                    ),
                    more,
                ),
            )
            for row, path, more in zip(rows, paths, attested, strict=True)
        ]

    async def _ready(
        self, conn: AnyConnection, indexes: Sequence[int]
    ) -> tuple[list[asyncpg.Record], dict[int, Tree], list[tuple[int, int]]]:
        """Rows, trees of their submissions, and (leaf index, size of the batch)."""
        rows = await conn.fetch(_ROWS, self._log.log_no, list(indexes))
        if len(rows) != len(set(indexes)):
            raise EvidenceNotFound("an index is not in the log", field="index")
        for row in rows:
            if row["proof"] is not None and row["key_proof"] is None:
                raise SignerKeyMissing(f"leaf {row['leaf_index']}")
            if row["proof"] is None:
                raise ReceiptNotReady(f"leaf {row['leaf_index']}", hint="wait for the anchor and its proof")
        submissions = await self._submissions(conn, rows)
        return rows, submissions, [(row["leaf_index"], row["new_size"]) for row in rows]

    async def bare(self, conn: AnyConnection, indexes: Sequence[int]) -> list[tuple[bytes, bytes | None]]:
        """What a hash renewal fixes, in ascending order of index: the core without its body, and the SHA3-256
        of the body where it is not erased. Raises as `make`.
        """
        rows, submissions, places = await self._ready(conn, indexes)
        paths = await self._tiles.inclusions(conn, places)
        out: list[tuple[bytes, bytes | None]] = []
        for row, path in zip(rows, paths, strict=True):
            body = self._body(row["leaf"], row["body"])
            core = self._core(row, submissions[row["first_index"]], *path, body=None)
            out.append((core, None if body is None else SHA3_256.digest(body)))
        return out

    async def _submissions(self, conn: AnyConnection, rows: Sequence[asyncpg.Record]) -> dict[int, Tree]:
        """The tree over the unsequenced leaves of every submission that the rows belong to."""
        ranges = {row["first_index"]: row["leaves"] for row in rows}
        leaves: defaultdict[int, list[bytes]] = defaultdict(list)
        for row in await conn.fetch(
            """SELECT w.first_index, e.leaf FROM unnest($2::bigint[], $3::int[]) AS w (first_index, leaves)
               JOIN evidence.entry e ON e.log_no = $1 AND e.leaf_index >= w.first_index
                   AND e.leaf_index < w.first_index + w.leaves
               ORDER BY e.leaf_index""",
            self._log.log_no,
            list(ranges),
            list(ranges.values()),
        ):
            leaves[row["first_index"]].append(SHA256.leaf(unsequenced(row["leaf"])))
        for first, count in ranges.items():
            if len(leaves[first]) != count:
                raise RecordDamaged(f"leaves of the submission at {first} are missing")
        return {first: Tree(SHA256, hashes) for first, hashes in leaves.items()}

    def _core(
        self,
        row: asyncpg.Record,
        submission: Tree,
        path_sha: Sequence[bytes],
        path_sm3: Sequence[bytes],
        *,
        body: bytes | None,
    ) -> bytes:
        leaf: bytes = row["leaf"]
        position = row["leaf_index"] - row["first_index"]
        members = cbor.encode(
            {
                0: 1,
                1: leaf,
                2: body,
                3: [
                    row["valid_until"],
                    row["signature"],
                    position,
                    row["leaves"],
                    submission.path(position),
                ],
                4: self._name,
                5: [row["leaf_index"], path_sha, path_sm3],
                6: [
                    row["number"],
                    row["previous_link"],
                    row["new_size"],
                    row["root_sha256"],
                    row["root_sm3"],
                    row["anchored_at"],
                ],
            }
        )
        return _MAP8 + members[len(_MAP7) :] + _PROOF_KEY + proof_bytes(row["proof"], row["key_proof"])

    def _body(self, leaf: bytes, sealed: bytes | None) -> bytes | None:
        return None if sealed is None else open_body(self._vault, leaf, sealed)


def open_body(vault: Vault, leaf: bytes, sealed: bytes) -> bytes:
    """The body of a leaf; compared with the leaf's digests. Raises BodyUnreadable, RecordDamaged."""
    body = vault.unseal(sealed, SHA256.leaf(unsequenced(leaf)))
    if sha256(body) + sm3(body) != leaf[48:]:
        raise RecordDamaged("a body is not the one its leaf commits to")
    return body


def proof_bytes(shared: bytes, key: bytes) -> bytes:
    """CBOR of the chain proof from the two parts that `chain.capture.split` makes."""
    if shared.startswith(_NONE_PROOF):
        return shared
    if not shared.endswith(_NULL):
        raise RecordDamaged("a stored chain proof has no place for the key")
    return shared[: -len(_NULL)] + key


def _file(core: bytes, attestations: Sequence[Attestation]) -> bytes:
    return cbor.encode([MAGIC, VERSION, core, [[one.kind, one.payload] for one in attestations]])
