"""Decisions: reproducible from the table, never without a person where one is needed, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import triage
from cases.decision_table import Outcome
from cases.decisions import Decisions, record_of, reproduce
from cases.errors import ConfirmationMissing, DecisionNotReproduced, DecisionTableUnknown
from cases.looks import Looks, What
from cases.triage import NEWEST
from evidence.repository import Viewer
from protocol.acts import Role
from protocol.case_decision import DecisionRecord, SealedDecision, open_decision, seal_decision
from protocol.case_row import CaseRow, Reachability, RowFlag
from tests.cases.test_batches import (
    COURT,
    OTHER_BANK,
    REGULATOR,
    THE_CENTRE,
    InWorld,
    World,
    database,
    in_world,
    not_here,
)
from tests.cases.test_triage import raw_inputs
from tests.support.case_batches import CENTRE, KEYS, OTHER, OWNER, ROW, recipients

__all__ = ["database", "in_world"]
ON = date(2026, 7, 1)
CASE = b"\x11" * 32
ALL_NO = RowFlag(63)
FILED: CaseRow = replace(
    ROW, reachability=Reachability.UNREACHABLE, flags_stated=ALL_NO, flags=RowFlag(0), principal=5_000_000,
    interest=0, total=5_000_000,
)  # fmt: skip
BANK = Viewer(OWNER, Role.BANK.mask)


def decided(row: CaseRow = ROW, case_id: bytes = CASE, **changes: object) -> DecisionRecord:
    proposal = triage.triage(row, on=ON)
    members: dict[str, object] = {"organisation": CENTRE, "time": 1_800_000_000, "case_version": 1}
    return record_of(proposal, case_id, **(members | changes))  # type: ignore[arg-type]


# made and checked


def test_a_record_reproduces() -> None:
    record = decided()
    proposal, outcome = reproduce(DecisionRecord.parse(record.encode()))
    assert (proposal.rule.name, outcome.name) == ("elderly", "special")


@given(raw_inputs, st.sampled_from(list(NEWEST.outcomes.values())))
def test_whatever_was_decided_the_proposal_stays_and_a_person_is_named(
    values: tuple[int, ...], outcome: Outcome
) -> None:
    proposal = NEWEST.decide(values)
    make = partial(record_of, proposal, CASE, organisation=3, time=1, case_version=1, decided=outcome)
    if outcome is proposal.outcome:
        record = make(officer="李工")
    else:
        with pytest.raises(ConfirmationMissing):
            make(reason="因为")
        record = make(officer="李工", reason="因为")
    again, so = reproduce(DecisionRecord.parse(record.encode()))
    assert again.outcome is proposal.outcome
    assert so is outcome


def test_filing_needs_a_named_person_even_as_proposed() -> None:
    with pytest.raises(ConfirmationMissing):
        decided(FILED)
    record = decided(FILED, officer="李工 0417")
    assert NEWEST.outcomes[record.decided].name == "filing"
    with pytest.raises(ConfirmationMissing):
        reproduce(replace(record, officer=None))


@pytest.mark.parametrize(
    "change",
    [
        {"rule": 1},
        {"proposed": 5, "decided": 5, "officer": "李工"},
        {"table_digest": bytes(32)},
        {"decided": 99, "officer": "李工", "reason": "因为"},
    ],
)
def test_a_record_that_claims_what_the_table_does_not_say_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DecisionNotReproduced):
        reproduce(replace(decided(), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"table_version": 9}, {"kind": 3}])
def test_an_unknown_table_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(DecisionTableUnknown):
        reproduce(replace(decided(), **change))  # type: ignore[arg-type]


# kept

ORDER = (CENTRE, OWNER)


def seal(record: DecisionRecord, to: Sequence[int] = ORDER) -> SealedDecision:
    return seal_decision(record, recipients(*to))


async def case_of(world: World) -> bytes:
    batch = await world.take(1)
    await world.on_chain(batch.root, OWNER, 1)
    return batch.leaves[0].case_id


def desk(world: World) -> Decisions:
    return Decisions(world.pool, Looks(world.pool), lambda: world.now)


@pytest.mark.database
def test_decisions_form_a_chain_and_nothing_is_lost(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        first = seal(decided(case_id=case_id))
        kept = await desk(world).keep(first, ORDER, THE_CENTRE)
        assert (kept.number, kept.previous, kept.organisation) == (1, None, CENTRE)
        assert await desk(world).keep(first, ORDER, THE_CENTRE) == kept
        override = decided(
            case_id=case_id, decided=NEWEST.by_name["mediation"], officer="李工", reason="本人要求",
            previous=first.commitment,
        )  # fmt: skip
        second = await desk(world).keep(seal(override), ORDER, THE_CENTRE)
        assert (second.number, second.previous) == (2, first.commitment)
        for viewer in (THE_CENTRE, BANK):
            listed = await desk(world).of(case_id, viewer)
            opened = [
                open_decision(
                    SealedDecision(case_id, one.commitment, one.previous, one.ciphertext or b"", ()),
                    one.wrapped or b"", viewer.organisation, KEYS[viewer.organisation].private_bytes_raw(),
                )
                for one in listed
            ]  # fmt: skip
            assert [record.reason for record in opened] == [None, "本人要求"]
            assert opened[1] == override

    in_world(check)


@pytest.mark.database
def test_a_decision_that_does_not_know_the_newest_is_refused(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        with not_here("DecisionNotLatest"):
            await desk(world).keep(seal(decided(case_id=case_id, previous=b"\x09" * 32)), ORDER, THE_CENTRE)
        first = seal(decided(case_id=case_id))
        await desk(world).keep(first, ORDER, THE_CENTRE)
        with not_here("DecisionNotLatest"):
            await desk(world).keep(seal(decided(case_id=case_id)), ORDER, BANK)
        with not_here("DecisionNotLatest"):
            await desk(world).keep(replace(first, ciphertext=bytes(1040)), ORDER, THE_CENTRE)
        assert len(await desk(world).of(case_id, BANK)) == 1

    in_world(check)


@pytest.mark.database
def test_of_many_at_once_one_is_next(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        tried = [seal(decided(case_id=case_id)) for _ in range(6)]
        tried += tried[:2]
        done = await asyncio.gather(
            *(desk(world).keep(one, ORDER, THE_CENTRE) for one in tried), return_exceptions=True
        )
        kept = {one.commitment for one in done if not isinstance(one, BaseException)}
        assert len(kept) == 1
        codes = {getattr(one, "code", one) for one in done if isinstance(one, BaseException)}
        assert codes == {"DecisionNotLatest"}
        assert [one.commitment for one in await desk(world).of(case_id, BANK)] == list(kept)

    in_world(check)


@pytest.mark.database
def test_who_may_not_have_the_row_writes_nothing_and_reads_no_content(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        sealed = seal(decided(case_id=case_id))
        for viewer in (OTHER_BANK, COURT, REGULATOR):
            with not_here("CaseNotHere"):
                await desk(world).keep(sealed, ORDER, viewer)
        with not_here("CaseNotHere"):
            await desk(world).keep(seal(decided()), ORDER, THE_CENTRE)
        await desk(world).keep(sealed, ORDER, THE_CENTRE)
        for viewer in (OTHER_BANK, COURT):
            with not_here("CaseNotHere"):
                await desk(world).of(case_id, viewer)
        (seen,) = await desk(world).of(case_id, REGULATOR)
        assert seen.ciphertext is None
        assert seen.wrapped is None
        assert seen.as_json()["commitment"] == sealed.commitment.hex()

    in_world(check)


@pytest.mark.database
def test_the_person_sees_who_read_a_decision(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        await desk(world).keep(seal(decided(case_id=case_id)), ORDER, THE_CENTRE)
        await desk(world).of(case_id, BANK)
        seen = await Looks(world.pool).of(case_id)
        assert [(one.organisation, one.what) for one in seen] == [(OWNER, What.ROW)]

    in_world(check)


@pytest.mark.database
def test_a_decision_goes_to_exactly_the_recipients_of_the_batch(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        record = decided(case_id=case_id)
        for to in ((CENTRE,), (CENTRE, OWNER, OTHER), (OWNER, CENTRE)):
            with not_here("DecisionRecipientsWrong"):
                await desk(world).keep(seal(record, to), to, THE_CENTRE)
        with not_here("DecisionRecipientsWrong"):
            await desk(world).keep(seal(record, (CENTRE,)), ORDER, THE_CENTRE)

    in_world(check)


@pytest.mark.database
def test_a_chain_ends_somewhere(in_world: InWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        previous = None
        monkeypatch.setattr("cases.decisions.MOST_DECISIONS", 2)
        for number in (1, 2, 3):
            sealed = seal(decided(case_id=case_id, previous=previous))
            if number == 3:
                with not_here("TooManyDecisions"):
                    await desk(world).keep(sealed, ORDER, THE_CENTRE)
            else:
                previous = (await desk(world).keep(sealed, ORDER, THE_CENTRE)).commitment

    in_world(check)


@pytest.mark.database
def test_the_service_can_neither_change_nor_remove_a_decision(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        await desk(world).keep(seal(decided(case_id=case_id)), ORDER, THE_CENTRE)
        for statement in (
            "DELETE FROM cases.decision",
            "UPDATE cases.decision SET organisation = 1",
            "TRUNCATE cases.decision",
        ):
            for conn in (world.pool, world.indexer):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement)

    in_world(check)


@pytest.mark.database
def test_nothing_of_a_person_is_in_the_table(in_world: InWorld) -> None:
    async def check(world: World) -> None:
        case_id = await case_of(world)
        record = decided(
            case_id=case_id, decided=NEWEST.by_name["central"], officer="李工 0417", reason="本人示例甲要求"
        )
        await desk(world).keep(seal(record), ORDER, THE_CENTRE)
        stored = str(await world.pool.fetch("SELECT * FROM cases.decision")).encode()
        raw = b"".join(await world.pool.fetchval("SELECT ARRAY[ciphertext] || wrapped FROM cases.decision"))
        for secret in ("李工", "示例甲", "0417"):
            assert secret.encode() not in stored + raw
        # the search finds what is there
        assert secret.encode() in record.encode()

    in_world(check)
