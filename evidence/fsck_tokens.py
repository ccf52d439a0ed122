"""Stored time tokens and what they need: the imprint is recomputed from the tree, the verifier's own token
rules run again, certificates and revocation data are there unchanged.
"""

from __future__ import annotations

import asyncpg

from evidence.fsck_report import Finder, Fix, FsckOptions
from evidence.fsck_trees import PAGE, Roots
from evidence.logs import LogContext
from evidence.timestamping import CLOCK_SKEW
from protocol.checkpoint import TREE_HASHES, Checkpoint, statement_origin
from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from storage.db import AnyConnection
from verifier.timetoken import BEFORE_BLOCK, TimeToken, check_token
from verifier.timetoken_cms import parse
from verifier.timetoken_errors import TokenAlgorithmMismatch, TokenImprintMismatch

KEPT_MATERIAL = 512
UNCHECKED = "the signatures of its tokens were not checked"
_TOKENS = """
    SELECT t.*, b.number, b.root_sha256, b.root_sm3, a.anchored_at, s.authority IS NULL AS sourceless
    FROM evidence.time_token t
    LEFT JOIN evidence.batch b ON b.log_no = t.log_no AND b.new_size = t.size
    LEFT JOIN evidence.anchor a ON a.log_no = b.log_no AND a.number = b.number
    LEFT JOIN evidence.time_source s ON s.log_no = t.log_no AND s.algorithm = t.algorithm
        AND s.authority = t.authority
    WHERE t.log_no = $1 ORDER BY t.authority, t.algorithm, t.size"""


async def check_material(conn: AnyConnection, find: Finder) -> None:
    """Certificates and revocation data of all logs still have the digest under which they are named."""
    async for row in conn.cursor(
        "SELECT digest, der FROM evidence.time_material ORDER BY digest", prefetch=PAGE
    ):
        if sha256(row["der"]) != row["digest"]:
            find("TimeMaterialDamaged", f"material {row['digest'].hex()}")


class TokenCheck:
    """All time tokens of one log."""

    def __init__(
        self, conn: AnyConnection, log: LogContext, roots: Roots, find: Finder, options: FsckOptions
    ) -> None:
        self._conn = conn
        self._log = log
        self._roots = roots
        self._find = find
        self._options = options
        self._material: dict[bytes, bytes | None] = {}

    async def run(self) -> None:
        async for row in self._conn.cursor(_TOKENS, self._log.log_no, prefetch=PAGE):
            self._find.report.tokens += 1
            await self._token(row)

    async def _token(self, row: asyncpg.Record) -> None:
        alg = TREE_HASHES[row["algorithm"]]
        place = f"{alg.name} token of {row['authority']} at {row['size']}"
        if row["sourceless"]:
            fix = Fix(
                "time_source",
                "INSERT INTO evidence.time_source (log_no, algorithm, authority) VALUES ($1, $2, $3)"
                " ON CONFLICT DO NOTHING",
                (self._log.log_no, row["algorithm"], row["authority"]),
            )
            self._find("TimeSourceMissing", place, "", fix)
        if row["number"] is None:
            self._find("TokenWithoutBatch", place)
            return
        certificates = await self._list(row["certificates"], place)
        revocation = await self._list(row["revocation"], place)
        if certificates is None or revocation is None:
            return
        root = self._roots.at(row["size"], row["algorithm"], row)
        text = Checkpoint(statement_origin(self._log.origin, row["algorithm"]), row["size"], root).text()
        try:
            proved = self._judge(row, alg.name, alg.digest(text), certificates, revocation)
        except CaseledgerError as error:
            self._find(error.code, place, error.detail)
            return
        if proved is None:
            self._find.note("TimeAuthorityUnknown", row["authority"], UNCHECKED)
            return
        said = (row["gen_time"], row["policy"], row["signer_until"])
        if said != (proved.gen_time, proved.policy, proved.signer_not_after):
            fix = Fix(
                "time_token",
                """UPDATE evidence.time_token SET gen_time = $5, policy = $6, signer_until = $7
                   WHERE log_no = $1 AND algorithm = $2 AND authority = $3 AND size = $4""",
                (
                    self._log.log_no, row["algorithm"], row["authority"], row["size"],
                    proved.gen_time, proved.policy, proved.signer_not_after,
                ),
            )  # fmt: skip
            self._find("TokenFieldsMismatch", place, "time, policy or end are not the token's", fix)

    def _judge(
        self,
        row: asyncpg.Record,
        name: str,
        digest: bytes,
        certificates: list[bytes],
        revocation: list[bytes],
    ) -> TimeToken | None:
        """What the token proves; None when nobody says which roots its authority has.

        Raises:
            the errors of verifier/timetoken_errors.py
        """

        def imprint_of(wanted: str) -> bytes:
            if wanted != name:
                raise TokenAlgorithmMismatch(f"imprint with {wanted}")
            return digest

        trusted = [one for one in self._options.authorities if one.name == row["authority"]]
        if not trusted:
            info = parse(row["token"]).info
            if imprint_of(info.imprint_algorithm) != info.imprint:
                raise TokenImprintMismatch(f"imprint {info.imprint.hex()}")
            return None
        return check_token(
            row["token"],
            certificates,
            revocation,
            imprint_of=imprint_of,
            authorities=trusted,
            at=max(self._options.at, row["received_at"]) + CLOCK_SKEW,
            not_before=max(0, (row["anchored_at"] or 0) - BEFORE_BLOCK),
        )

    async def _list(self, digests: list[bytes], place: str) -> list[bytes] | None:
        """Certificates or revocation data in their order; None when a piece is missing or damaged."""
        missing = [one for one in digests if one not in self._material]
        if len(self._material) > KEPT_MATERIAL:
            self._material = {}
            missing = list(digests)
        for row in await self._conn.fetch(
            "SELECT digest, der FROM evidence.time_material WHERE digest = ANY ($1::bytea[])", missing
        ):
            self._material[row["digest"]] = row["der"] if sha256(row["der"]) == row["digest"] else None
        for one in digests:
            if one not in self._material:
                self._find("TimeMaterialMissing", place, one.hex())
        found = [self._material.get(one) for one in digests]
        return None if None in found else [one for one in found if one is not None]
