"""What is stored for evidence records follows from the leaves, and each token is over what it renews."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evidence.errors import RecordDamaged
from evidence.evidence_records import leaf_hashes, unpack_lists
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from storage.db import AnyConnection
from verifier.timetoken_cms import parse
from verifier.views.ers import ErsTree, root_of

Find = Callable[[str, str, str], None]
"""Takes code, place and detail."""


async def check(conn: AnyConnection, log_no: int, find: Find) -> None:
    """Ranges without gaps, roots recomputed from the tiles, imprints recomputed along each chain of tokens.

    Whether an authority is trusted is for whoever verifies a record.
    """
    stamps = await conn.fetch(
        "SELECT * FROM evidence.ers_stamp WHERE log_no = $1 ORDER BY authority, from_size", log_no
    )
    position, authority = 0, None
    for stamp in stamps:
        place = f"records of {stamp['authority']} from {stamp['from_size']}"
        if stamp["authority"] != authority:
            position, authority = 0, stamp["authority"]
        if stamp["from_size"] != position:
            find("RecordRangeGap", place, f"expected from {position}")
        position = stamp["to_size"]
        try:
            hashes = await leaf_hashes(conn, log_no, stamp["from_size"], stamp["to_size"])
        except RecordDamaged as error:
            find("RecordLeavesMissing", place, error.detail)
            continue
        root = (await asyncio.to_thread(ErsTree, SHA256, hashes)).root
        if root != stamp["root"]:
            find("RecordRootMismatch", place, "")
        await _check_chain(conn, log_no, stamp["authority"], stamp["from_size"], root, place, find)


async def _check_chain(
    conn: AnyConnection, log_no: int, authority: str, begin: int, root: bytes, place: str, find: Find
) -> None:
    rows = await conn.fetch(
        """SELECT position, gen_time, lists, token FROM evidence.ers_token
           WHERE log_no = $1 AND authority = $2 AND from_size = $3 ORDER BY position""",
        log_no,
        authority,
        begin,
    )
    if not rows:
        find("RecordTokenMissing", place, "")
    expected = root
    for number, row in enumerate(rows):
        try:
            info = parse(row["token"]).info
            good = info.imprint == root_of(SHA256, expected, unpack_lists(row["lists"]))
        except CaseledgerError as error:
            find("RecordTokenMismatch", place, f"token {number}: {error.code}")
            return
        if row["position"] != number or not good:
            find("RecordTokenMismatch", place, f"token {number}")
            return
        expected = SHA256.digest(row["token"])
