"""RFC 4998 evidence records: stamping hash trees of the log's leaves, renewing the stamps, making records.

The checkpoint's token proves no leaf to an ERS tool, because its tree hashes otherwise. So each authority is
also asked to stamp the ERS root of the leaves that were anchored since its last such stamp, and a record
that somebody fetches years later still shows that date (docs/spec/views.md §4).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from evidence.errors import RecordDamaged
from evidence.logs import LogContext
from evidence.ports import Clock, system_clock
from evidence.tiles import WIDTH, WIDTH_BITS, read_tiles
from evidence.timestamping import CLOCK_SKEW, Authority, TimeAnswerRefused, TimePort
from protocol import cbor, expect
from protocol.cbor import Encodable
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA256
from storage.db import AnyConnection, Pool
from verifier.timetoken import BEFORE_BLOCK, TimeToken, check_token
from verifier.timetoken_cms import parse as parse_token
from verifier.timetoken_errors import TokenAlgorithmMismatch
from verifier.timetoken_request import TimeRequest, token_of
from verifier.views.errors import ViewNotPossible
from verifier.views.ers import ArchiveTimeStamp, ErsTree, EvidenceRecord, HashList

MAX_LEAVES = 1 << 20
"""Of one hash tree; at least one batch, which is never larger."""
RENEW_BEFORE = 180 * 86_400
"""Seconds before a signer's certificate ends from which its stamps are renewed."""
RENEW_AT_ONCE = 4096
LOOK_FOR_DUE = 3600
"""Seconds from one look at what has to be renewed to the next, once nothing was."""
KEPT_TREES = 2
_NEXT = """
    SELECT b.new_size FROM evidence.batch b JOIN evidence.anchor a USING (log_no, number)
    WHERE b.log_no = $1 AND b.new_size > $2
    ORDER BY b.new_size <= $2 + $3 DESC, CASE WHEN b.new_size <= $2 + $3 THEN -b.new_size ELSE b.new_size END
    LIMIT 1"""
_DUE = """
    SELECT t.* FROM evidence.ers_token t
    WHERE t.log_no = $1 AND t.signer_until < $2 AND t.position < 31 AND NOT EXISTS (
        SELECT FROM evidence.ers_token n WHERE n.log_no = t.log_no AND n.authority = t.authority
            AND n.from_size = t.from_size AND n.position = t.position + 1)
    ORDER BY t.signer_until LIMIT $3"""


class EvidenceRecordPending(ViewNotPossible):
    """No time-stamp run has covered the leaf yet, or no time authority is set up."""

    retryable: ClassVar[bool] = True
    title = "no evidence record yet"


@dataclass(frozen=True)
class _Place:
    authority: str
    from_size: int
    position: int
    token: bytes


class RecordStamper:
    """Has one authority stamp and renew one log's hash trees. Not for two tasks at once."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        authority: Authority,
        port: TimePort,
        *,
        clock: Clock = system_clock,
        monotonic: Callable[[], float] = time.monotonic,
        max_leaves: int = MAX_LEAVES,
    ) -> None:
        self._pool = pool
        self._log = log
        self._authority = authority
        self._port = port
        self._clock = clock
        self._monotonic = monotonic
        self._max_leaves = max_leaves
        self._asked = self._looked = float("-inf")
        self._failed: CaseledgerError | None = None

    @property
    def step(self) -> str:
        """Name under which its troubles are shown."""
        return f"records:{self._authority.name}"

    async def run_once(self) -> bool:
        """Stamp the leaves since the last stamp, or else renew stamps that end soon; where a request is due.
        Whether anything was stored.

        Raises:
            TimeAuthorityUnavailable, TimeAnswerRefused; told again until the next request is due
        """
        tick = self._monotonic()
        if tick < self._asked + self._authority.every:
            if self._failed is not None:
                raise self._failed
            return False
        try:
            stored = await self._stamp()
            if not stored and tick >= self._looked + LOOK_FOR_DUE:
                stored = await self._renew()
                self._looked = self._looked if stored else tick
        except CaseledgerError as error:
            self._asked, self._failed = tick, error
            raise
        if stored:
            self._asked = tick
        self._failed = None
        return stored

    async def _stamp(self) -> bool:
        log_no, name = self._log.log_no, self._authority.name
        async with self._pool.acquire() as conn:
            begin = await conn.fetchval(
                """SELECT to_size FROM evidence.ers_stamp WHERE log_no = $1 AND authority = $2
                   ORDER BY from_size DESC LIMIT 1""",
                log_no,
                name,
            )
            begin = begin or 0
            end = await conn.fetchval(_NEXT, log_no, begin, self._max_leaves)
            if end is None:
                return False
            hashes = await leaf_hashes(conn, log_no, begin, end)
        root = (await asyncio.to_thread(ErsTree, SHA256, hashes)).root
        token, proved = await self._ask(root)
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(
                """INSERT INTO evidence.ers_stamp (log_no, authority, from_size, to_size, root)
                   VALUES ($1, $2, $3, $4, $5)""",
                log_no,
                name,
                begin,
                end,
                root,
            )
            await self._store(conn, [(_Place(name, begin, 0, token), ())], proved)
        return True

    async def _renew(self) -> bool:
        """One stamp over the tokens that end soonest; by an authority whose own certificate lasts longer."""
        now = self._clock()
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(_DUE, self._log.log_no, now + RENEW_BEFORE, RENEW_AT_ONCE)
            lasting = await conn.fetchval(
                """SELECT signer_until FROM evidence.ers_token WHERE log_no = $1 AND stamped_by = $2
                   ORDER BY gen_time DESC LIMIT 1""",
                self._log.log_no,
                self._authority.name,
            )
        # A token that has ended cannot be renewed any more: what it proved is over.
        due = [row for row in rows if now < row["signer_until"] < (lasting or 0)]
        if not due:
            return False
        tree = ErsTree(SHA256, [SHA256.digest(row["token"]) for row in due])
        token, proved = await self._ask(tree.root)
        places = [
            (_Place(row["authority"], row["from_size"], row["position"] + 1, token), tree.reduced(index))
            for index, row in enumerate(due)
            if row["signer_until"] >= proved.gen_time
        ]
        async with self._pool.acquire() as conn, conn.transaction():
            await self._store(conn, places, proved)
        return True

    async def _store(
        self,
        conn: AnyConnection,
        places: Sequence[tuple[_Place, tuple[HashList, ...]]],
        proved: TimeToken,
    ) -> None:
        await conn.executemany(
            """INSERT INTO evidence.ers_token (log_no, authority, from_size, position, stamped_by, gen_time,
                   signer_until, received_at, lists, token)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING""",
            [
                (
                    self._log.log_no, place.authority, place.from_size, place.position, self._authority.name,
                    proved.gen_time, proved.signer_not_after, self._clock(), _pack(lists), place.token,
                )
                for place, lists in places
            ],
        )  # fmt: skip

    async def _ask(self, root: bytes) -> tuple[bytes, TimeToken]:
        """A verified token over the root, with the certificates that a reader of it needs."""
        authority, now = self._authority, self._clock()
        policy = authority.policies[0] if authority.policies else None
        request = TimeRequest(SHA256.name, root, secrets.randbits(64), policy)
        answer = await self._port.ask(authority.url, request.encode())

        def imprint_of(name: str) -> bytes:
            if name != SHA256.name:
                raise TokenAlgorithmMismatch(f"imprint with {name}")
            return root

        received = self._clock()
        try:
            token = token_of(answer)
            parsed = parse_token(token)
            if set(authority.chain) - set(parsed.certificates) and not parsed.crls:
                token = parsed.with_certificates(dict.fromkeys((*parsed.certificates, *authority.chain)))
            proved = check_token(
                token,
                (),
                (),
                imprint_of=imprint_of,
                authorities=(authority.trusted(),),
                at=received + CLOCK_SKEW,
                not_before=now - BEFORE_BLOCK,
            )
            request.check(proved)
            proved.check_current(received)
        except CaseledgerError as error:
            raise TimeAnswerRefused(f"{error.code}: {error.detail}"[:300]) from None
        return token, proved


class RecordMaker:
    """Makes evidence records. Keeps the last trees; not for use by two tasks at once."""

    def __init__(self) -> None:
        self._trees: OrderedDict[tuple[int, int, int], ErsTree] = OrderedDict()

    async def make(self, conn: AnyConnection, log_no: int, index: int, authority: str | None = None) -> bytes:
        """DER of the record of one leaf, by the authority whose stamp is the earliest, or by `authority`.

        Raises:
            EvidenceRecordPending, RecordDamaged
        """
        stamp = await conn.fetchrow(
            """SELECT s.* FROM evidence.ers_stamp s JOIN evidence.ers_token t
                   ON t.log_no = s.log_no AND t.authority = s.authority AND t.from_size = s.from_size
                   AND t.position = 0
               WHERE s.log_no = $1 AND s.from_size <= $2 AND s.to_size > $2
                   AND ($3::text IS NULL OR s.authority = $3)
               ORDER BY t.gen_time, s.authority LIMIT 1""",
            log_no,
            index,
            authority,
        )
        if stamp is None:
            raise EvidenceRecordPending(f"leaf {index}", hint="a time authority stamps about once a minute")
        begin, end = stamp["from_size"], stamp["to_size"]
        tree = self._trees.get((log_no, begin, end))
        if tree is None:
            hashes = await leaf_hashes(conn, log_no, begin, end)
            tree = self._trees[log_no, begin, end] = await asyncio.to_thread(ErsTree, SHA256, hashes)
        self._trees.move_to_end((log_no, begin, end))
        while len(self._trees) > KEPT_TREES:
            self._trees.popitem(last=False)
        if tree.root != stamp["root"]:
            raise RecordDamaged(f"ERS root of leaves {begin} to {end}", hint="caseledger fsck")
        rows = await conn.fetch(
            """SELECT lists, token FROM evidence.ers_token
               WHERE log_no = $1 AND authority = $2 AND from_size = $3 ORDER BY position""",
            log_no,
            stamp["authority"],
            begin,
        )
        chain = [ArchiveTimeStamp(tree.reduced(index - begin), rows[0]["token"])]
        chain += [ArchiveTimeStamp(unpack_lists(row["lists"]), row["token"]) for row in rows[1:]]
        return EvidenceRecord(SHA256.name, tuple(chain)).encode()


class RecordService:
    """Records of any log of this database, for many callers at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._maker = RecordMaker()
        self._making = asyncio.Lock()

    async def of(self, log_id: bytes, index: int) -> bytes:
        """DER of the record of a leaf; who may see it is for the caller.

        Raises:
            EvidenceRecordPending, RecordDamaged
        """
        async with self._making, self._pool.acquire() as conn:
            log_no = await conn.fetchval("SELECT log_no FROM evidence.log WHERE log_id = $1", log_id)
            if log_no is None:
                raise EvidenceRecordPending("another database's log")
            return await self._maker.make(conn, log_no, index)

    async def ends(self) -> dict[str, int]:
        """By log origin when the first of its newest stamps ends, seconds UTC; logs without stamps are not
        in it.
        """
        async with self._pool.acquire() as conn:
            logs = await conn.fetch("SELECT log_no, origin FROM evidence.log")
            ends = {row["origin"]: await earliest_end(conn, row["log_no"]) for row in logs}
        return {origin: end for origin, end in ends.items() if end is not None}


async def leaf_hashes(conn: AnyConnection, log_no: int, begin: int, end: int) -> list[bytes]:
    """SHA-256 leaf hashes (evidence ids) of the leaves begin <= index < end.

    Raises:
        RecordDamaged: tiles are missing.
    """
    keys = [(0, 0, tile) for tile in range(begin >> WIDTH_BITS, (end + WIDTH - 1) >> WIDTH_BITS)]
    tiles = await read_tiles(conn, log_no, keys)
    out: list[bytes] = []
    for key in keys:
        data = tiles.get(key, b"")
        first = key[2] << WIDTH_BITS
        low, high = max(begin - first, 0), min(end - first, WIDTH)
        if len(data) < high * HASH_LEN:
            raise RecordDamaged(f"tile {key} is not there", hint="caseledger fsck --rebuild")
        out += [data[at : at + HASH_LEN] for at in range(low * HASH_LEN, high * HASH_LEN, HASH_LEN)]
    return out


async def earliest_end(conn: AnyConnection, log_no: int) -> int | None:
    """When the first of the newest stamps ends, seconds UTC: by then they have to be renewed."""
    rows = await conn.fetch(_DUE, log_no, 1 << 62, 1)
    return int(rows[0]["signer_until"]) if rows else None


def _pack(lists: Sequence[HashList]) -> bytes:
    packed: list[Encodable] = list(lists)
    return cbor.encode(packed)


def unpack_lists(data: bytes) -> tuple[HashList, ...]:
    """A stored reduced hash tree."""
    value = expect.array(cbor.decode(data, max_bytes=4096), "lists")
    return tuple(
        tuple(expect.octets(one, "hash", HASH_LEN) for one in expect.array(m, "list")) for m in value
    )
