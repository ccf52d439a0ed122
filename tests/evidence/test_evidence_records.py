"""Hash trees of the log's leaves stamped by real authorities, exported as records, renewed in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import asyncpg
import pytest

from evidence import fsck
from evidence.errors import RecordDamaged
from evidence.evidence_records import (
    LOOK_FOR_DUE,
    RENEW_BEFORE,
    EvidenceRecordPending,
    RecordMaker,
    RecordService,
    RecordStamper,
    earliest_end,
)
from evidence.fsck import FsckOptions
from evidence.local_authority import POLICY, Identity, LocalAuthority, make_identity
from evidence.timestamping import Authority, TimeAnswerRefused, TimeAuthorityUnavailable
from protocol.errors import CaseledgerError
from tests.conftest import PgDatabase
from tests.support.evidence import run
from tests.support.line import Line, line
from tests.support.time_tokens import authority as trusted
from verifier.trust_payload import TimeAuthority
from verifier.views.errors import EvidenceRecordExpired
from verifier.views.ers import EvidenceRecord

pytestmark = pytest.mark.database
DAY = 86_400


@dataclass
class Office:
    """A local authority without the network between, and the loop that asks it."""

    line: Line
    name: str
    days: int = 1825
    tick: float = 0.0
    max_leaves: int = 1 << 20
    down: bool = False
    spoil: bool = False
    asked: int = 0
    identity: Identity = field(init=False)
    stamper: RecordStamper = field(init=False)

    def __post_init__(self) -> None:
        desk = self.line.desk
        self.identity = make_identity(self.name, desk.clock(), signer_days=self.days)
        self.local = LocalAuthority(self.identity, clock=desk.clock)
        authority = Authority(self.name, "http://127.0.0.1:9", (self.identity.root,), (), (POLICY,))
        self.stamper = RecordStamper(
            self.line.pool, desk.log, authority, self, clock=desk.clock, monotonic=lambda: self.tick,
            max_leaves=self.max_leaves,
        )  # fmt: skip

    async def ask(self, url: str, request: bytes) -> bytes:
        self.asked += 1
        if self.down:
            raise TimeAuthorityUnavailable("down")
        answer = self.local.answer(request)
        return answer[:-1] + bytes([answer[-1] ^ 1]) if self.spoil else answer

    async def fetch(self, url: str) -> bytes:
        raise AssertionError

    async def round(self, after: float = 60.0) -> bool:
        self.tick += after
        return await self.stamper.run_once()

    @property
    def trusted(self) -> TimeAuthority:
        return trusted(self.identity, self.name)


async def grow(w: Line, *counts: int) -> None:
    for count in counts:
        await w.acceptor.accept(w.desk.submission(count))
        await w.settle()
    assert w.desk.now is not None
    w.desk.now = max(w.desk.now, w.model.time + 1)


async def ranges(w: Line) -> list[tuple[int, int]]:
    rows = await w.pool.fetch(
        "SELECT from_size, to_size FROM evidence.ers_stamp WHERE log_no = $1 ORDER BY authority, from_size",
        w.desk.log.log_no,
    )
    return [tuple(row) for row in rows]


async def record(w: Line, index: int, name: str | None = None) -> EvidenceRecord:
    async with w.pool.acquire() as conn:
        return EvidenceRecord.parse(await RecordMaker().make(conn, w.desk.log.log_no, index, name))


async def identity_of(w: Line, index: int) -> bytes:
    from protocol.entry import evidence_id

    leaf = await w.pool.fetchval(
        "SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index = $2", w.desk.log.log_no, index
    )
    return evidence_id(leaf)


def test_every_leaf_gets_a_record_of_its_run(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "records-a")
            assert not await office.round()
            await grow(w, 3)
            first = w.desk.clock()
            assert await office.round()
            assert not await office.round()
            await grow(w, 1, 300)
            assert await office.round()
            await grow(w, 1)
            assert not await office.round(after=1.0)
            assert await office.round()
            assert await ranges(w) == [(0, 3), (3, 304), (304, 305)]
            for index, lists in ((0, 2), (2, 1), (3, 9), (303, 4), (304, 0)):
                found = await record(w, index)
                proved = found.verify(await identity_of(w, index), [office.trusted], at=w.desk.clock())
                assert len(found.chain[0].lists) == lists, index
                assert proved[0].gen_time >= first
            with pytest.raises(EvidenceRecordPending):
                await record(w, 305)
            with pytest.raises(EvidenceRecordPending):
                await record(w, 0, "another")

    run(scenario())


def test_a_long_log_is_caught_up_in_bounded_trees_that_end_with_batches(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 3, 3, 9, 2, 2)
            office = Office(w, "records-b", max_leaves=7)
            while await office.round():
                pass
            assert await ranges(w) == [(0, 6), (6, 15), (15, 19)]

    run(scenario())


def test_silent_and_lying_authorities_store_nothing_and_stay_visible(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 2)
            office = Office(w, "records-c", down=True)
            for _ in range(2):
                with pytest.raises(TimeAuthorityUnavailable):
                    await office.round(after=1.0)
            assert office.asked == 1
            office.down, office.spoil = False, True
            with pytest.raises(TimeAnswerRefused):
                await office.round()
            office.spoil = False
            assert await office.round()
            assert await ranges(w) == [(0, 2)]

    run(scenario())


def test_stamps_are_renewed_before_their_certificate_ends(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            short, lasting = Office(w, "records-d", days=400), Office(w, "records-e", days=3000)
            log_no = w.desk.log.log_no
            for _ in range(3):
                await grow(w, 2)
                assert await short.round()
            assert await lasting.round()
            assert not await lasting.round(after=LOOK_FOR_DUE)
            begin = w.desk.clock()
            w.desk.now = begin + 400 * DAY - RENEW_BEFORE + DAY
            # Its own certificate lasts no longer: it does not renew itself.
            assert not await short.round(after=LOOK_FOR_DUE)
            assert await lasting.round(after=LOOK_FOR_DUE)
            assert lasting.asked == 2
            later = begin + 900 * DAY
            both = [short.trusted, lasting.trusted]
            for index in range(6):
                found = await record(w, index, "records-d")
                proved = found.verify(await identity_of(w, index), both, at=later)
                assert [one.authority for one in proved] == ["records-d", "records-e"]
                assert proved[0].gen_time <= begin
                alone, identity = EvidenceRecord("sha256", found.chain[:1]), await identity_of(w, index)
                with pytest.raises(EvidenceRecordExpired):
                    alone.verify(identity, both, at=later)
            async with w.pool.acquire() as conn:
                end = await earliest_end(conn, log_no)
            assert (await RecordService(w.pool).ends())[w.desk.log.origin] == end
            assert end is not None
            assert end > later

    run(scenario())


def test_an_ended_stamp_is_not_renewed(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            short, lasting = Office(w, "records-f", days=400), Office(w, "records-g", days=3000)
            await grow(w, 2)
            assert await short.round()
            assert await lasting.round()
            assert w.desk.now is not None
            w.desk.now += 401 * DAY
            assert not await lasting.round(after=LOOK_FOR_DUE)

    run(scenario())


def test_stamps_are_facts_and_damaged_leaves_are_named(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            await grow(w, 4)
            assert await Office(w, "records-h").round()
            with pytest.raises(asyncpg.PostgresError):
                await w.pool.execute("UPDATE evidence.ers_token SET gen_time = 1")
            await w.pool.execute(
                "UPDATE evidence.tile SET hashes = hashes || hashes WHERE log_no = $1 AND level = 0",
                w.desk.log.log_no,
            )
            assert isinstance(await record(w, 1), EvidenceRecord)
            await w.pool.execute(
                "UPDATE evidence.tile SET hashes = substr(hashes, 33) WHERE log_no = $1 AND level = 0",
                w.desk.log.log_no,
            )
            with pytest.raises(RecordDamaged) as caught:
                await record(w, 1)
            assert isinstance(caught.value, CaseledgerError)

    run(scenario())


def test_fsck_finds_what_a_database_owner_changed(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with line(database) as w:
            office = Office(w, "records-i")
            for count in (3, 2):
                await grow(w, count)
                assert await office.round()
            number = w.desk.log.log_no

            async def codes() -> list[str]:
                options = FsckOptions(logs=frozenset({w.desk.log.log_id}))
                return [one.code for one in (await fsck.run(w.pool, None, options)).findings]

            assert await codes() == []
            conn = await asyncpg.connect(database.superuser_dsn)
            try:
                await conn.execute("SET session_replication_role = replica")
                for change, code in CHANGES:
                    await conn.execute(change, number)
                    assert code in await codes()
            finally:
                await conn.close()

    run(scenario())


CHANGES = (
    (
        "UPDATE evidence.ers_stamp SET root = sha256('') WHERE log_no = $1 AND from_size = 3",
        "RecordRootMismatch",
    ),
    (
        "UPDATE evidence.ers_token SET lists = decode('81814100', 'hex') WHERE log_no = $1 AND from_size = 3",
        "RecordTokenMismatch",
    ),
    ("DELETE FROM evidence.ers_token WHERE log_no = $1 AND from_size = 3", "RecordTokenMissing"),
    ("DELETE FROM evidence.ers_stamp WHERE log_no = $1 AND from_size = 0", "RecordRangeGap"),
)
