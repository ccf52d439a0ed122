"""Custody events in a log of their own: what is let in, and that an item's chain never forks."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from chain.evidence_log import HeadStatus
from evidence import fsck, recovery
from evidence.errors import CustodyChainMoved, CustodyItemUnknown, LogForked, LogUnknown
from evidence.fsck import FsckOptions
from evidence.intake import Acceptor
from evidence.ports import FaultPoints
from protocol import entry
from protocol.custody import (
    Chain,
    ClassMisplaced,
    CustodyEvent,
    CustodyHolderMismatch,
    CustodyInFuture,
    CustodyKind,
    event_hash,
)
from protocol.entry import EvidenceClass, Header
from protocol.errors import CaseledgerError
from protocol.identifiers import log_id
from protocol.submission import Acceptance, Submission
from storage.db import connect_pool
from tests.conftest import PgDatabase
from tests.support.contract_model import ContractModel
from tests.support.evidence import Desk, desk, run
from tests.support.evidence import entry as document

pytestmark = pytest.mark.database
A, C, X, T, V, E = CustodyKind
BANK, COURT = 2, 3


@dataclass
class Bench:
    """An evidence log with one item of the bank, and the custody log beside it."""

    evidence: Desk
    custody: Desk
    leaf: bytes

    @property
    def item(self) -> bytes:
        return entry.evidence_id(self.leaf)

    def event(
        self, kind: CustodyKind = A, organisation: int = COURT, chain: Chain | None = None, **said: Any
    ) -> tuple[bytes, bytes]:
        """The next event of the item behind `chain`."""
        chain = chain or Chain.start(self.item, BANK)
        made = CustodyEvent(
            item=self.item, number=chain.count + 1, previous=chain.head, event_time=int(time.time()),
            salt=secrets.token_bytes(32), purpose="核对原件",
        )  # fmt: skip
        header = Header(kind, organisation, self.leaf[16:48], flags=self.leaf[3])
        return header.pack(), replace(made, **said).encode(kind)

    def signed(self, *entries: tuple[bytes, bytes], organisation: int = COURT) -> Submission:
        return self.custody.submission(entries, organisation=organisation)

    def after(self, chain: Chain | None, submission: Submission) -> Chain:
        """The chain behind a submission of one event."""
        header, body = submission.entries[0]
        kind = Header.parse(header).evidence_class
        assert isinstance(kind, CustodyKind)
        event = CustodyEvent.parse(body, kind)
        leaf = submission.unsequenced_leaves()[0]
        before = chain or Chain.start(self.item, BANK)
        return before.after(kind, submission.organisation, event, event_hash(leaf))


@asynccontextmanager
async def writing(one: Desk, faults: FaultPoints | None = None) -> AsyncIterator[Acceptor]:
    """An acceptor that is the log's writer."""
    async with one.acceptor(faults=faults) as acceptor:
        assert await acceptor.writable()
        yield acceptor


@asynccontextmanager
async def bench(database: PgDatabase, **item: Any) -> AsyncIterator[Bench]:
    origin = f"centre.example/{secrets.token_hex(6)}"
    async with (
        desk(database, origin=origin) as evidence,
        desk(database, origin=f"{origin}-custody") as custody,
    ):
        async with writing(evidence) as acceptor:
            submission = evidence.submission([document(BANK, **item)], organisation=BANK)
            answer = await acceptor.accept(submission)
        leaf = entry.sequenced(submission.unsequenced_leaves()[0], answer.first_sequence)
        yield Bench(evidence, custody, leaf)


async def stored(desk: Desk, item: bytes) -> list[tuple[int, bytes, int]]:
    rows = await desk.pool.fetch(
        "SELECT number, event_hash, leaf_index FROM evidence.custody_event WHERE item = $1 ORDER BY number",
        item,
    )
    return [(row["number"], row["event_hash"], row["leaf_index"]) for row in rows]


def test_a_log_takes_only_entries_of_its_kind(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.evidence) as evidence, writing(b.custody) as custody:
            header, body = b.event()
            with pytest.raises(ClassMisplaced):
                await evidence.accept(b.evidence.submission([(header, body)], organisation=COURT))
            with pytest.raises(ClassMisplaced):
                await custody.accept(b.custody.submission([document(BANK)], organisation=BANK))
            with pytest.raises(ClassMisplaced):
                await custody.accept(b.signed((header, body), document(COURT)))
            assert await stored(b.custody, b.item) == []

    run(scenario())


def test_events_of_an_item_continue_each_other_and_what_does_not_is_refused(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            first = b.signed(b.event())
            answer = await acceptor.accept(first)
            one = b.after(None, first)
            refused: Sequence[tuple[tuple[bytes, bytes], type[CaseledgerError]]] = (
                (b.event(), CustodyChainMoved),  # number 1 again
                (b.event(chain=replace(one, count=2)), CustodyChainMoved),  # a gap
                (b.event(chain=replace(one, head=secrets.token_bytes(32))), CustodyChainMoved),
                (b.event(chain=one, item=secrets.token_bytes(32)), CustodyItemUnknown),
                (b.event(chain=one, event_time=int(time.time()) + 1000), CustodyInFuture),
            )
            for made, error in refused:
                with pytest.raises(error):
                    await acceptor.accept(b.signed(made))
            second = b.signed(b.event(chain=one, kind=C, object=(bytes(32), bytes(32))))
            await acceptor.accept(second)
            two = b.after(one, second)
            assert [(n, h) for n, h, _ in await stored(b.custody, b.item)] == [(1, one.head), (2, two.head)]
            # The answer of an earlier attempt is given although the chain has moved on.
            assert await acceptor.accept(first) == answer

    run(scenario())


def test_another_case_or_privilege_looks_like_an_unknown_item(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with (
            bench(database, kind=EvidenceClass.MEDIATION_RECORD) as b,
            writing(b.custody) as acceptor,
        ):
            header, body = b.event()
            texts = set()
            for other in (
                header[:16] + secrets.token_bytes(32),
                header[:3] + b"\x00" + header[4:],
            ):
                with pytest.raises(CustodyItemUnknown) as caught:
                    await acceptor.accept(b.signed((other, body)))
                texts.add(str(caught.value))
            with pytest.raises(CustodyItemUnknown) as caught:
                await acceptor.accept(b.signed(b.event(item=secrets.token_bytes(32))))
            assert texts == {str(caught.value)}
            # An event is no item.
            await acceptor.accept(b.signed((header, body)))
            leaf = entry.sequenced(b.signed((header, body)).unsequenced_leaves()[0], 1)
            with pytest.raises(CustodyItemUnknown):
                await acceptor.accept(b.signed(b.event(item=entry.evidence_id(leaf))))

    run(scenario())


def test_custody_moves_only_with_both_signatures(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            hand: dict[str, Any] = {"giver": BANK, "receiver": COURT}
            with pytest.raises(CustodyHolderMismatch):
                await acceptor.accept(b.signed(b.event(T, COURT, **hand)))
            offer = b.signed(b.event(T, BANK, **hand), organisation=BANK)
            await acceptor.accept(offer)
            chain = b.after(None, offer)
            assert (chain.holder, chain.pending) == (BANK, COURT)
            with pytest.raises(CustodyHolderMismatch):
                await acceptor.accept(b.signed(b.event(T, COURT, chain, giver=COURT, receiver=BANK)))
            taken = b.signed(b.event(T, COURT, chain, **hand))
            await acceptor.accept(taken)
            chain = b.after(chain, taken)
            assert (chain.holder, chain.pending) == (COURT, None)
            again = b.signed(b.event(T, BANK, chain, giver=BANK, receiver=1), organisation=BANK)
            with pytest.raises(CustodyHolderMismatch):
                await acceptor.accept(again)

    run(scenario())


def test_several_events_of_one_item_come_in_one_submission_in_order(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            chain, made = Chain.start(b.item, BANK), []
            for _ in range(5):
                made.append(b.event(chain=chain))
                chain = b.after(chain, b.signed(made[-1]))
            with pytest.raises(CustodyChainMoved):
                await acceptor.accept(b.signed(made[1], made[0]))
            await acceptor.accept(b.signed(*made))
            assert [number for number, _, _ in await stored(b.custody, b.item)] == [1, 2, 3, 4, 5]

    run(scenario())


def test_of_many_writers_at_once_one_gets_each_place(database: PgDatabase) -> None:
    """Both organisations write as fast as they can, each behind what it last saw."""

    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:

            async def writer(organisation: int, wanted: int) -> int:
                lost = 0
                while wanted:
                    rows = await stored(b.custody, b.item)
                    chain = Chain(b.item, len(rows), rows[-1][1] if rows else None, BANK)
                    try:
                        made = b.event(organisation=organisation, chain=chain)
                        await acceptor.accept(b.signed(made, organisation=organisation))
                        wanted -= 1
                    except CustodyChainMoved:
                        lost += 1
                return lost

            lost = await asyncio.gather(*(writer(o, 8) for o in (BANK, COURT, BANK, COURT)))
            assert sum(lost) > 0, "there was no race"
            rows = await stored(b.custody, b.item)
            assert [number for number, _, _ in rows] == list(range(1, 33))
            size = await b.custody.pool.fetchval(
                "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", b.custody.log.log_no
            )
            assert size == 32
            assert acceptor.metrics.trouble is None

    run(scenario())


class Together(Acceptor):
    """Lets two submissions pass the first look together, so that only the commit can tell them apart."""

    gate: asyncio.Barrier

    async def _places(self, *arguments: Any) -> Any:
        found = await super()._places(*arguments)
        await self.gate.wait()
        return found


def test_the_commit_itself_refuses_the_second_of_two_events_with_one_number(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b:
            d = b.custody
            acceptor = Together(d.pool, d.log, d.members, d.promise_key, d.vault, clock=d.clock)
            acceptor.gate = asyncio.Barrier(2)
            async with acceptor:
                await acceptor.writable()
                done = await asyncio.gather(
                    acceptor.accept(b.signed(b.event())),
                    acceptor.accept(b.signed(b.event(organisation=BANK), organisation=BANK)),
                    return_exceptions=True,
                )
            assert sorted(type(one).__name__ for one in done) == ["Acceptance", "CustodyChainMoved"]
            assert len(await stored(d, b.item)) == 1

    run(scenario())


class _Stop(Exception):
    """In place of a killed process."""


class _Dies(FaultPoints):
    def __init__(self) -> None:
        self.armed = True

    def hit(self, name: str) -> None:
        if self.armed and name == "accept.committed":
            self.armed = False
            raise _Stop


def test_an_answer_lost_between_accept_and_reply_is_given_again_and_nothing_is_doubled(
    database: PgDatabase,
) -> None:
    async def scenario() -> None:
        async with bench(database) as b:
            submission = b.signed(b.event())
            async with writing(b.custody, _Dies()) as acceptor:
                with pytest.raises(CaseledgerError):
                    await acceptor.accept(submission)
            async with writing(b.custody) as acceptor:
                answer = await acceptor.accept(submission)
            assert isinstance(answer, Acceptance)
            assert len(await stored(b.custody, b.item)) == 1

    run(scenario())


def test_the_table_refuses_what_a_faulty_gateway_would_write(database: PgDatabase) -> None:
    """The function is the last guard: a fork, a gap and a repeated place are refused by it alone."""

    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            first = b.signed(b.event())
            await acceptor.accept(first)
            chain = b.after(None, first)
            other = secrets.token_bytes(32)
            for number, previous in ((1, None), (2, other), (3, chain.head)):
                with pytest.raises(asyncpg.PostgresError) as caught:
                    await _bare(b, number, previous)
                assert caught.value.sqlstate == "CL004"

    run(scenario())


async def _bare(b: Bench, number: int, previous: bytes | None) -> None:
    """The accepting function called with one event and an otherwise empty group."""
    owner = await b.custody.owner()
    try:
        row = await owner.fetchrow(
            "SELECT epoch, accepted_size FROM evidence.log_writer WHERE log_no = $1", b.custody.log.log_no
        )
        assert row is not None
        size = row["accepted_size"]
        empty: list[object] = []
        await owner.execute(
            f"SELECT evidence.accept_custody_group({','.join(f'${n}' for n in range(1, 37))})",
            b.custody.log.log_no, row["epoch"], size, size + 1, 1, 2, b"p", bytes(64), bytes(32),
            *[empty] * 10, *[None] * 4, *[empty] * 6,
            [size], [b.item], [number], [previous], [secrets.token_bytes(32)], [BANK], [None],
        )  # fmt: skip
    finally:
        await owner.close()


async def _findings(b: Bench, *, rebuild: bool = False) -> list[tuple[str, str]]:
    options = FsckOptions(rebuild=rebuild, logs=frozenset([b.custody.log.log_id]), vault=b.custody.vault)
    pool = await connect_pool(b.custody.pg.dsn("sealer" if rebuild else "reader"))
    try:
        report = await fsck.run(pool, None, options)
    finally:
        await pool.close()
    return [(one.code, one.place) for one in report.findings]


def test_the_check_of_the_books_finds_each_fault_of_the_custody_table_and_heals_it(
    database: PgDatabase,
) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            chain = None
            hand: dict[str, Any] = {"giver": BANK, "receiver": COURT}
            for made, organisation in (
                ({}, COURT), ({"kind": T, **hand}, BANK), ({"kind": T, **hand}, COURT), ({}, BANK),
            ):  # fmt: skip
                event = b.event(organisation=organisation, chain=chain, **made)
                submission = b.signed(event, organisation=organisation)
                await acceptor.accept(submission)
                chain = b.after(chain, submission)
            assert await _findings(b) == []
            owner = await b.custody.owner()
            broken = {
                "holder = 9 WHERE number = 4": {"CustodyRowMismatch"},
                "event_hash = sha256('x') WHERE number = 2": {"CustodyRowMismatch", "CustodyChainBroken"},
                "number = 9 WHERE number = 4": {"CustodyRowMismatch"},
                "leaf_index = 77 WHERE number = 4": {"CustodyRowMissing", "CustodyRowWithoutEvent"},
            }
            try:
                for change, codes in broken.items():
                    await owner.execute(
                        f"UPDATE evidence.custody_event SET {change} AND item = $1",  # noqa: S608
                        b.item,
                    )
                    assert {code for code, _ in await _findings(b)} == codes, change
                    after = [] if "77" not in change else [("CustodyRowWithoutEvent", "leaf 77")]
                    assert [one for one in await _findings(b, rebuild=True) if one not in after] == []
                    await owner.execute("DELETE FROM evidence.custody_event WHERE leaf_index = 77")
            finally:
                await owner.close()
            assert [number for number, _, _ in await stored(b.custody, b.item)] == [1, 2, 3, 4]

    run(scenario())


def test_the_check_of_the_books_finds_an_entry_in_the_wrong_kind_of_log(database: PgDatabase) -> None:
    async def scenario() -> None:
        async with bench(database) as b, writing(b.custody) as acceptor:
            await acceptor.accept(b.signed(b.event()))
            owner = await b.custody.owner()
            try:
                await owner.execute("ALTER TABLE evidence.log DISABLE TRIGGER immutable")
                origin = b.custody.log.origin
                await owner.execute(
                    "UPDATE evidence.log SET origin = $1 WHERE log_no = $2",
                    origin.removesuffix("-custody") + "-other", b.custody.log.log_no,
                )  # fmt: skip
                assert ("ClassMisplaced", "leaf 0") in await _findings(b)
                await owner.execute(
                    "UPDATE evidence.log SET origin = $1 WHERE log_no = $2", origin, b.custody.log.log_no
                )
                await owner.execute("ALTER TABLE evidence.log ENABLE TRIGGER immutable")
            finally:
                await owner.close()

    run(scenario())


def test_a_custody_log_is_made_known_only_when_governance_opened_it_for_this_operator(
    database: PgDatabase,
) -> None:
    async def scenario() -> None:
        async with desk(database) as d:
            model = ContractModel(d.log, bytes(20))
            origin = f"{d.log.origin}-custody"
            owner = await d.owner()
            try:
                with pytest.raises(LogUnknown):
                    await recovery.add_custody(owner, d.log, origin, _Opened(model, origin, None))
                with pytest.raises(LogForked):
                    await recovery.add_custody(owner, d.log, origin, _Opened(model, origin, 9))
                opened = _Opened(model, origin, d.log.operator)
                made = await recovery.add_custody(owner, d.log, origin, opened)
                assert await recovery.add_custody(owner, d.log, origin, opened) == made
                assert (made.origin, made.operator) == (origin, d.log.operator)
                with pytest.raises(ClassMisplaced):
                    await recovery.succeed(owner, made, f"{d.log.origin}-2", opened)
            finally:
                await owner.close()

    run(scenario())


class _Opened:
    """A contract that also knows a custody log, of `operator`; None: it does not know it."""

    def __init__(self, model: ContractModel, origin: str, operator: int | None) -> None:
        self._model, self._log, self._operator = model, log_id(origin), operator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def head(self, identity: bytes, block: int | None = None) -> Any:
        found = await self._model.head(self._model.log.log_id, block)
        if identity != self._log:
            return found
        if self._operator is None:
            return replace(found, status=HeadStatus.UNKNOWN)
        return replace(found, operator=self._operator)
