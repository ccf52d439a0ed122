"""Accept: refusals first, then durability, order, repetition, bounds."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable
from typing import Any

import asyncpg
import pytest

from evidence import fsck
from evidence.errors import (
    ActExpired,
    Busy,
    ContinuationRefused,
    DuplicateEntry,
    KeyNotValid,
    KeyUnknown,
    KeyWrongOrganisation,
    KeyWrongPurpose,
    LogHalted,
    LogNotStarted,
    LogUnknown,
    NotTheWriter,
    OrganisationSuspended,
    OrganisationUnknown,
)
from evidence.fsck import FsckOptions
from evidence.intake import Acceptor, Limits
from evidence.logs import Predecessor
from evidence.ports import FaultPoints
from evidence.recovery import continuation
from protocol.acts import BadSignature, Domain, Purpose
from protocol.entry import evidence_id
from protocol.errors import MalformedInput
from protocol.keyslot import KeyState
from protocol.submission import Acceptance, Submission, SubmitterMismatch, check_acceptance
from storage.errors import DatabaseUnavailable
from tests.conftest import PgDatabase
from tests.support.evidence import Desk, act_key, desk, entries, entry, run, slot

pytestmark = pytest.mark.database
NOW = 1_800_000_000


async def refused(answer: Awaitable[Acceptance], error: type[BaseException]) -> BaseException:
    with pytest.raises(error) as caught:
        await answer
    return caught.value


async def held(d: Desk) -> int:
    return int(await d.pool.fetchval("SELECT count(*) FROM evidence.entry WHERE log_no = $1", d.log.log_no))


def test_what_may_not_enter_is_refused_with_its_code_and_nothing_is_stored(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            d.now = NOW
            good = d.submission(2)
            other_log = dataclasses.replace(d.log, log_id=b"\x09" * 32)
            other_chain = dataclasses.replace(d.log, chain_id=d.log.chain_id + 1)
            stranger = act_key(2)
            wrong_body = (good.entries[0][0], good.entries[0][1][:-1])
            cases: list[tuple[Submission, type[BaseException], str | None]] = [
                (d.submission(1, log=other_log), LogUnknown, "logId"),
                (d.submission(1, log=other_chain), KeyUnknown, "signature"),
                (d.submission(1, key=stranger), KeyUnknown, "signature"),
                (dataclasses.replace(good, signature=bytes(65)), BadSignature, "signature"),
                (dataclasses.replace(good, valid_until=good.valid_until - 1), KeyUnknown, "signature"),
                (d.submission(1, key=d.keys[3]), KeyWrongOrganisation, "organisation"),
                (dataclasses.replace(good, organisation=3), SubmitterMismatch, "entries[0].header"),
                (d.submission(1, valid_until=NOW - 1), ActExpired, "validUntil"),
                (
                    dataclasses.replace(good, entries=(good.entries[1], wrong_body)),
                    MalformedInput,
                    "entries[1]",
                ),
                (dataclasses.replace(good, entries=(good.entries[0],) * 2), MalformedInput, "entries"),
            ]
            for submission, error, field in cases:
                raised = await refused(acceptor.accept(submission), error)
                assert getattr(raised, "field", None) == field, (error, raised)
            assert await held(d) == 0
            await acceptor.accept(good)
            assert await held(d) == 2
            assert acceptor.metrics.refused["KeyUnknown"] == 3

    run(check())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"purpose": Purpose.ANCHOR}, KeyWrongPurpose),
        ({"organisation": 3}, KeyWrongOrganisation),
        ({"not_before": NOW + 1}, KeyNotValid),
        ({"not_after": NOW - 1}, KeyNotValid),
        ({"not_after": NOW + 30}, KeyNotValid),
        ({"revoked_at": NOW - 1}, KeyNotValid),
        ({"state": KeyState.ANNOUNCED}, KeyNotValid),
        ({"state": KeyState.CANCELLED}, KeyNotValid),
    ],
)
def test_a_key_that_may_not_act_now_is_refused(
    database: PgDatabase, changes: dict[str, Any], error: type[BaseException]
) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            d.now = NOW
            d.members.slots[d.keys[2].address] = slot(**({"organisation": 2} | changes))
            await refused(acceptor.accept(d.submission()), error)
            assert await held(d) == 0

    run(check())


def test_a_suspended_unknown_or_removed_organisation_is_refused_and_its_old_answer_stays(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            d.now = NOW
            before = d.submission(3)
            answer = await acceptor.accept(before)
            organisation = d.members.organisations[2]
            d.members.organisations[2] = dataclasses.replace(organisation, suspended_until=NOW + 10)
            await refused(acceptor.accept(d.submission()), OrganisationSuspended)
            assert await acceptor.accept(before) == answer
            d.now = NOW + 10
            await acceptor.accept(d.submission())
            d.members.organisations[2] = dataclasses.replace(organisation, active=False)
            await refused(acceptor.accept(d.submission()), OrganisationUnknown)
            del d.members.organisations[2]
            await refused(acceptor.accept(d.submission()), OrganisationUnknown)
            d.now = 2**39 + 1
            assert await acceptor.accept(before) == answer, "a late repetition gets its answer"

    run(check())


def test_an_answer_is_a_promise_over_contiguous_places_and_repeats_to_the_byte(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d:
            submissions = [d.submission(count, organisation=o) for count, o in ((1, 2), (70, 3), (5, 2))]
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                answers = await asyncio.gather(*map(acceptor.accept, submissions))
                assert [await acceptor.accept(one) for one in submissions] == answers
            ids = set()
            places = []
            for submission, answer in zip(submissions, answers, strict=True):
                leaves = check_acceptance(submission, answer, d.promise_key.public_key)
                places += list(range(answer.first_index, answer.first_index + answer.count))
                ids |= {evidence_id(leaf) for leaf in leaves}
            assert sorted(places) == list(range(76))
            assert len(ids) == 76
            # Another process gives the same answers.
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                again = [Acceptance.parse((await acceptor.accept(one)).encode()) for one in submissions]
            assert again == answers
            assert await held(d) == 76

    run(check())


def test_the_same_submission_at_once_is_stored_once(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            submission = d.submission(20)
            answers = await asyncio.gather(*(acceptor.accept(submission) for _ in range(30)))
            assert len({answer.encode() for answer in answers}) == 1
            assert await held(d) == 20

    run(check())


def test_an_entry_of_an_earlier_submission_is_named_and_nothing_of_the_request_enters(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            old = entries(2, 40)
            first = await acceptor.accept(d.submission(old))
            leaves = check_acceptance(d.submission(old), first, d.promise_key.public_key)
            for count in (3, 60):
                fresh = entries(2, count)
                mixed = [*fresh[:2], old[7], *fresh[2:]]
                raised = await refused(acceptor.accept(d.submission(mixed)), DuplicateEntry)
                assert isinstance(raised, DuplicateEntry)
                assert raised.field == "entries[2]"
                assert evidence_id(leaves[7]).hex() in raised.detail
                # In one group with good ones the good ones enter.
                good, bad = d.submission(entries(3, 30), organisation=3), d.submission(mixed)
                mixture = (acceptor.accept(one) for one in (bad, good, bad))
                results = await asyncio.gather(*mixture, return_exceptions=True)
                assert [type(one) for one in results] == [DuplicateEntry, Acceptance, DuplicateEntry]
            # Two submissions that clash with each other and with nothing older.
            shared = entry(2)
            results = await asyncio.gather(
                *(acceptor.accept(d.submission([shared, *entries(2, 20)])) for _ in range(4)),
                return_exceptions=True,
            )
            assert sorted(type(one).__name__ for one in results) == ["Acceptance"] + ["DuplicateEntry"] * 3
            assert await held(d) == 40 + 60 + 21
            # The signer may not be another organisation: the same bytes of organisation 3 are another entry.
            await acceptor.accept(d.submission([entry(3)], organisation=3))

    run(check())


def test_indexes_and_sequences_have_no_gap_under_random_concurrent_load(database: PgDatabase) -> None:
    async def check(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - repeatable
        async with desk(database) as d:
            submissions = [
                d.submission(rng.choice([1, 1, 2, 13, 40, 200]), organisation=rng.choice([1, 2, 3]))
                for _ in range(60)
            ]
            resend = [rng.choice(submissions) for _ in range(30)]
            sent: list[Submission] = [*submissions, *resend]
            rng.shuffle(sent)
            limits = Limits(group_leaves=rng.choice([50, 4096]))
            for part in (sent[:45], sent[45:]):
                async with d.acceptor(limits=limits) as acceptor:
                    await acceptor.writable()

                    async def later(submission: Submission, to: Acceptor = acceptor) -> Acceptance:
                        await asyncio.sleep(rng.random() * 0.05)
                        return await to.accept(submission)

                    answers = await asyncio.gather(*map(later, part))
                    for submission, answer in zip(part, answers, strict=True):
                        check_acceptance(submission, answer, d.promise_key.public_key)
            total = sum(len(one.entries) for one in submissions)
            assert await held(d) == total
            report = await fsck.run(
                d.pool,
                options=FsckOptions(vault=d.vault, log_keys={d.log.log_id: d.promise_key.public_key}),
            )
            mine = [finding for finding in report.findings if finding.origin == d.log.origin]
            assert mine == []

    for seed in range(3):
        run(check(seed))


def test_a_full_queue_says_so_and_when_to_come_back(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d:
            limits = Limits(queue_leaves=100)
            async with d.acceptor(limits=limits) as acceptor:
                await acceptor.writable()
                results = await asyncio.gather(
                    *(acceptor.accept(d.submission(60)) for _ in range(6)), return_exceptions=True
                )
                busy = [one for one in results if isinstance(one, Busy)]
                assert busy
                assert busy[0].retry_after > 0
                assert busy[0].retryable
                accepted = sum(isinstance(one, Acceptance) for one in results)
                assert accepted
                assert await held(d) == 60 * accepted
                # One larger than the queue still enters when nothing waits.
                await acceptor.accept(d.submission(150))
            await refused(acceptor.accept(d.submission()), Busy)

    run(check())


def test_a_second_writer_waits_and_takes_over(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as first, d.acceptor() as second:
            assert await first.writable()
            assert not await second.writable(0.5)
            await refused(second.accept(d.submission()), NotTheWriter)
            await first.accept(d.submission(3))
            await first.close()
            assert await second.writable(5)
            assert (await second.accept(d.submission())).first_index == 3

    run(check())


def test_a_writer_that_lost_its_lock_unknowingly_commits_nothing(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            await acceptor.accept(d.submission(3))
            # As if another process had got the lock while this one still believes to hold it.
            await d.pool.execute("SELECT * FROM evidence.take_writer($1)", d.log.log_no)
            for count in (1, 50):
                await refused(acceptor.accept(d.submission(count)), NotTheWriter)
                assert await held(d) == 3
                assert await acceptor.writable(5)
                await d.pool.execute("SELECT * FROM evidence.take_writer($1)", d.log.log_no)
            await refused(acceptor.accept(d.submission()), NotTheWriter)
            assert await acceptor.writable(5)
            assert (await acceptor.accept(d.submission())).first_index == 3

    run(check())


async def two_under_way(
    database: PgDatabase,
    acceptor: Acceptor,
    first: Submission,
    second: Submission,
    *,
    both: bool = True,
) -> list[Acceptance | BaseException]:
    """Two groups that wait for the row that counts the log, then go on; or the second only handed in."""
    keeper = await asyncpg.connect(database.superuser_dsn)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND wait_event_type = 'Lock'"
    try:
        async with keeper.transaction():
            await keeper.execute("SELECT FROM evidence.log_writer FOR UPDATE")
            tasks = []
            for submission, number in ((first, 1), (second, 2 if both else 1)):
                tasks.append(asyncio.create_task(acceptor.accept(submission)))
                await asyncio.sleep(0.1)
                while await keeper.fetchval(waiting) < number:  # noqa: ASYNC110 - only the database knows
                    await asyncio.sleep(0.01)
        return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await keeper.close()


def test_two_groups_under_way_stand_in_their_order(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            answers = await two_under_way(database, acceptor, d.submission(3), d.submission(4))
            places = [(a.first_index, a.first_sequence) for a in answers if isinstance(a, Acceptance)]
            assert places == [(0, 1), (3, 4)]
            assert (await acceptor.accept(d.submission(1))).first_index == 7

    run(check())


def test_a_group_that_overtakes_the_one_before_waits_for_it(
    database: PgDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            real, overtaken = acceptor._write, asyncio.Event()

            async def late(conn: Any, epoch: int, group: Any, ahead: Any) -> float:
                if ahead:
                    overtaken.set()
                else:
                    await overtaken.wait()
                    await asyncio.sleep(0.2)
                return await real(conn, epoch, group, ahead)

            monkeypatch.setattr(acceptor, "_write", late)
            first = asyncio.create_task(acceptor.accept(d.submission(3)))
            await asyncio.sleep(0.05)
            second = await acceptor.accept(d.submission(4))
            assert ((await first).first_index, second.first_index) == (0, 3)

    run(check())


def test_a_group_behind_one_that_fails_is_neither_lost_nor_stored_twice(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            known = d.submission(2)
            await acceptor.accept(known)
            again = d.submission((*known.entries[:1], *d.submission(1).entries))
            answers = await two_under_way(database, acceptor, again, d.submission(4))
            assert isinstance(answers[0], DuplicateEntry)
            assert isinstance(answers[1], Acceptance)
            assert (answers[1].first_index, answers[1].first_sequence) == (2, 3)
            assert await held(d) == 6

    run(check())


def test_two_groups_of_a_writer_that_lost_the_log_commit_nothing(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            await d.pool.execute("SELECT * FROM evidence.take_writer($1)", d.log.log_no)
            answers = await two_under_way(database, acceptor, d.submission(3), d.submission(4))
            assert {type(answer) for answer in answers} == {NotTheWriter}
            assert await held(d) == 0
            assert await acceptor.writable(5)
            assert (await acceptor.accept(d.submission(1))).first_index == 0

    run(check())


class _Once(FaultPoints):
    """Something that nobody thought of, once."""

    def __init__(self, name: str) -> None:
        self._name: str | None = name

    def hit(self, name: str) -> None:
        if name == self._name:
            self._name = None
            raise asyncpg.InternalClientError("another operation is in progress")


@pytest.mark.parametrize("point", ["accept.prepared", "accept.committed"])
def test_a_writer_never_ends_in_silence_whatever_happens_to_it(database: PgDatabase, point: str) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor(faults=_Once(point)) as acceptor:
            await acceptor.writable()
            submission = d.submission(2)
            await refused(acceptor.accept(submission), DatabaseUnavailable)
            assert await acceptor.writable(5)
            assert (await acceptor.accept(submission)).first_index == 0
            assert (await acceptor.accept(d.submission(1))).first_index == 2

    run(check())


def test_a_lost_connection_answers_nobody_as_accepted_and_heals_by_itself(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            admin = await asyncpg.connect(database.superuser_dsn)
            submissions = [d.submission(30) for _ in range(40)]
            tasks = [asyncio.create_task(acceptor.accept(one)) for one in submissions]
            for _ in range(4):
                await asyncio.sleep(0.02)
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'"
                )
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in results} <= {Acceptance, DatabaseUnavailable, Busy}
            assert await acceptor.writable(10)
            answers = [await acceptor.accept(one) for one in submissions]
            for first, second in zip(results, answers, strict=True):
                if isinstance(first, Acceptance):
                    assert first == second
            assert await held(d) == 1200
            assert acceptor.metrics.trouble is None
            await admin.close()

    run(check())


def test_a_halted_log_accepts_nothing_until_it_is_open_again(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            await acceptor.accept(d.submission())
            owner = await d.owner()
            change = "UPDATE evidence.log_status SET status = $2 WHERE log_no = $1"
            await owner.execute(change, d.log.log_no, "halted")
            for count in (1, 50):
                await refused(acceptor.accept(d.submission(count)), LogHalted)
            assert await held(d) == 1
            await owner.execute(change, d.log.log_no, "open")
            assert await acceptor.writable(5)
            await acceptor.accept(d.submission())
            await owner.close()

    run(check())


def test_a_successor_log_takes_its_continuation_first_and_only_the_right_one(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d:
            closed = Predecessor(d.log.log_no, d.log.log_id, 7, b"\x01" * 32, b"\x02" * 32)
            async with desk(database, predecessor=closed) as s, s.acceptor() as acceptor:
                await acceptor.writable()
                await refused(acceptor.accept(s.submission()), LogNotStarted)
                other = dataclasses.replace(s.log, predecessor=dataclasses.replace(closed, size=6))
                await refused(acceptor.accept(continuation(other, s.keys[1], now=NOW)), ContinuationRefused)
                first = continuation(s.log, s.keys[1], now=2**38)
                results = await asyncio.gather(
                    acceptor.accept(first), acceptor.accept(s.submission()), return_exceptions=True
                )
                assert [type(one) for one in results] == [Acceptance, Acceptance]
                assert isinstance(results[0], Acceptance)
                assert results[0].first_index == 0
                await refused(acceptor.accept(continuation(s.log, s.keys[1], now=2**38)), ContinuationRefused)
                assert await acceptor.accept(first) == results[0]
                busy = await two_under_way(database, acceptor, s.submission(1), first, both=False)
                assert busy[1] == results[0]
            async with d.acceptor() as acceptor:
                await acceptor.writable()
                foreign = dataclasses.replace(d.log, predecessor=closed)
                await refused(
                    acceptor.accept(continuation(foreign, d.keys[1], now=2**38)), ContinuationRefused
                )

    run(check())


def test_a_caller_that_goes_away_takes_nobody_elses_answer_along(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            submission = d.submission(10)
            first = asyncio.create_task(acceptor.accept(submission))
            second = asyncio.create_task(acceptor.accept(submission))
            await asyncio.sleep(0)
            first.cancel()
            assert (await second).count == 10
            assert (await acceptor.accept(submission)).first_index == 0

    run(check())


def test_a_signature_of_another_chain_is_not_taken(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d, d.acceptor() as acceptor:
            await acceptor.writable()
            good = d.submission()
            act = good.act(good.root())
            twin = d.keys[2].sign_digest(act.digest(Domain(d.log.chain_id + 1, d.log.contract)))
            await refused(acceptor.accept(dataclasses.replace(good, signature=twin)), KeyUnknown)

    run(check())
