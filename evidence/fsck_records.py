"""What is stored for evidence records follows from the leaves, and each token is over what it renews."""

from __future__ import annotations

import asyncio

import asyncpg

from evidence.errors import RecordDamaged
from evidence.evidence_records import leaf_hashes, unpack_lists
from evidence.fsck_report import Finder, Fix, FsckOptions, Renewal
from evidence.fsck_tokens import UNCHECKED
from evidence.logs import LogContext
from evidence.timestamping import CLOCK_SKEW
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from storage.db import AnyConnection
from verifier.timetoken import check_token
from verifier.timetoken_cms import parse
from verifier.timetoken_errors import TokenAlgorithmMismatch
from verifier.views.ers import ErsTree, root_of


class RecordCheck:
    """Every stamp of one log: ranges without gaps, roots recomputed from the tiles, imprints and token rules
    along each chain of renewals.
    """

    def __init__(self, conn: AnyConnection, log: LogContext, find: Finder, options: FsckOptions) -> None:
        self._conn = conn
        self._log_no = log.log_no
        self._origin = log.origin
        self._find = find
        self._options = options

    async def run(self) -> None:
        stamps = await self._conn.fetch(
            "SELECT * FROM evidence.ers_stamp WHERE log_no = $1 ORDER BY authority, from_size", self._log_no
        )
        position, authority = 0, None
        for stamp in stamps:
            place = f"records of {stamp['authority']} from {stamp['from_size']}"
            if stamp["authority"] != authority:
                position, authority = 0, stamp["authority"]
            if stamp["from_size"] != position:
                self._find("RecordRangeGap", place, f"expected from {position}")
            position = stamp["to_size"]
            try:
                hashes = await leaf_hashes(self._conn, self._log_no, stamp["from_size"], stamp["to_size"])
            except RecordDamaged as error:
                self._find("RecordLeavesMissing", place, error.detail)
                continue
            root = (await asyncio.to_thread(ErsTree, SHA256, hashes)).root
            await self._chain(stamp, root, place)
        await self._alone()

    async def _chain(self, stamp: asyncpg.Record, root: bytes, place: str) -> None:
        rows = await self._conn.fetch(
            """SELECT * FROM evidence.ers_token
               WHERE log_no = $1 AND authority = $2 AND from_size = $3 ORDER BY position""",
            self._log_no,
            stamp["authority"],
            stamp["from_size"],
        )
        if not rows:
            self._find("RecordTokenMissing", place)
        expected = root
        for number, row in enumerate(rows):
            self._find.report.records += 1
            try:
                imprint = root_of(SHA256, expected, unpack_lists(row["lists"]))
                good = parse(row["token"]).info.imprint == imprint
            except CaseledgerError as error:
                self._find("RecordTokenMismatch", place, f"token {number}: {error.code}")
                break
            if row["position"] != number or not good:
                self._find("RecordTokenMismatch", place, f"token {number}")
                break
            if number == 0 and root != stamp["root"]:
                # The authority signed the recomputed root: the column is what is wrong.
                fix = Fix(
                    "ers_stamp",
                    "UPDATE evidence.ers_stamp SET root = $4"
                    " WHERE log_no = $1 AND authority = $2 AND from_size = $3",
                    (self._log_no, stamp["authority"], stamp["from_size"], root),
                )
                self._find("RecordRootMismatch", place, "", fix)
            self._token(row, imprint, f"{place}, token {number}")
            expected = SHA256.digest(row["token"])
        else:
            return
        if root != stamp["root"]:
            self._find("RecordRootMismatch", place)

    def _token(self, row: asyncpg.Record, imprint: bytes, place: str) -> None:
        if row["position"]:
            self._find.report.renewal(
                Renewal(
                    self._origin, row["authority"], row["from_size"], row["position"], row["stamped_by"],
                    row["gen_time"], row["signer_until"],
                )
            )  # fmt: skip
        trusted = [one for one in self._options.authorities if one.name == row["stamped_by"]]
        if not trusted:
            self._find.note("TimeAuthorityUnknown", row["stamped_by"], UNCHECKED)
            return

        def imprint_of(name: str) -> bytes:
            if name != SHA256.name:
                raise TokenAlgorithmMismatch(f"imprint with {name}")
            return imprint

        try:
            proved = check_token(
                row["token"], (), (), imprint_of=imprint_of, authorities=trusted,
                at=max(self._options.at, row["received_at"]) + CLOCK_SKEW, not_before=0,
            )  # fmt: skip
        except CaseledgerError as error:
            self._find(error.code, place, error.detail)
            return
        if (row["gen_time"], row["signer_until"]) != (proved.gen_time, proved.signer_not_after):
            fix = Fix(
                "ers_token",
                """UPDATE evidence.ers_token SET gen_time = $5, signer_until = $6
                   WHERE log_no = $1 AND authority = $2 AND from_size = $3 AND position = $4""",
                (
                    self._log_no, row["authority"], row["from_size"], row["position"],
                    proved.gen_time, proved.signer_not_after,
                ),
            )  # fmt: skip
            self._find("RecordFieldsMismatch", place, "time or end are not the token's", fix)

    async def _alone(self) -> None:
        rows = await self._conn.fetch(
            """SELECT t.authority, t.from_size FROM evidence.ers_token t WHERE t.log_no = $1 AND NOT EXISTS (
                   SELECT FROM evidence.ers_stamp s WHERE s.log_no = t.log_no
                       AND s.authority = t.authority AND s.from_size = t.from_size) ORDER BY 1, 2""",
            self._log_no,
        )
        for row in rows:
            self._find("RecordStampMissing", f"records of {row['authority']} from {row['from_size']}")
