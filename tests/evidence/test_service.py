"""Who sees what: a hit elsewhere looks like a miss. States, links, pages, receipts."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable

import asyncpg
import pytest

from evidence.errors import EvidenceNotFound, ReceiptNotReady
from evidence.receipts import ReceiptMaker
from evidence.repository import Viewer
from evidence.service import STALLED_SECONDS, EvidenceService, EvidenceState, EvidenceView, Flag, StatusReport
from protocol.acts import Role
from protocol.entry import EvidenceClass, Link, Relation, evidence_id
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import SHA256, SM3
from protocol.identifiers import case_commitment
from protocol.submission import Submission, check_acceptance
from storage.errors import DatabaseUnavailable
from tests.conftest import PgDatabase
from tests.support.evidence import desk, entries, entry, run
from tests.support.line import Line, line
from verifier.merkle import verify_inclusion
from verifier.receipt import Core, Receipt

pytestmark = pytest.mark.database
BANK, OTHER = Viewer(2, Role.BANK.mask), Viewer(3, Role.BANK.mask)
COURT, REGULATOR = Viewer(7, Role.COURT.mask), Viewer(8, Role.REGULATOR.mask)
CENTRE = Viewer(1, Role.CENTRE.mask)


async def put(w: Line, submission: Submission) -> list[bytes]:
    """Accept; the evidence ids."""
    answer = await w.acceptor.accept(submission)
    return [evidence_id(leaf) for leaf in check_acceptance(submission, answer, w.desk.promise_key.public_key)]


async def missing(view: Awaitable[EvidenceView]) -> None:
    with pytest.raises(EvidenceNotFound):
        await view


def test_an_entry_is_shown_to_its_submitter_court_and_regulator_and_to_who_holds_the_case(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with line(database) as w:
            case = secrets.token_bytes(32)
            (mine,) = await put(w, w.desk.submission([entry(2, case=case_commitment(case))]))
            for viewer in (BANK, COURT, REGULATOR):
                assert (await w.service.show(mine, viewer)).evidence_id == mine
            for viewer in (OTHER, CENTRE, Viewer(99)):
                await missing(w.service.show(mine, viewer))
                await missing(w.service.show(mine, viewer, case_id=secrets.token_bytes(32)))
                assert (await w.service.show(mine, viewer, case_id=case)).evidence_id == mine
                assert isinstance((await w.service.receipts([mine], viewer))[0], EvidenceNotFound)
            # The same words for what is hidden and for what does not exist.
            errors = []
            for identity in (mine, secrets.token_bytes(32)):
                with pytest.raises(EvidenceNotFound) as caught:
                    await w.service.show(identity, OTHER)
                errors.append(caught.value.as_dict())
            assert errors[0] == errors[1]

    run(check())


def test_privileged_mediation_material_never_shows_to_a_court(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            case = secrets.token_bytes(32)
            commitment = case_commitment(case)
            talk = entry(2, case=commitment, kind=EvidenceClass.MEDIATION_RECORD)
            secret, plain = await put(w, w.desk.submission([talk, entry(2, case=commitment)]))
            await missing(w.service.show(secret, COURT))
            await missing(w.service.show(secret, COURT, case_id=case))
            both = Viewer(7, Role.COURT.mask | Role.REGULATOR.mask)
            await missing(w.service.show(secret, both, case_id=case))
            seen = await w.service.find_by_case(commitment, COURT, case_id=case)
            assert [one.evidence_id for one in seen] == [plain]
            for viewer in (BANK, REGULATOR):
                assert (await w.service.show(secret, viewer)).privileged
            seen = await w.service.find_by_case(commitment, OTHER, case_id=case)
            assert {one.evidence_id for one in seen} == {plain, secret}

    run(check())


def test_a_document_is_found_by_digest_within_what_the_viewer_may_know(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            content, case = secrets.token_bytes(32), secrets.token_bytes(32)
            twice = [entry(2, content=content), entry(2, content=content, case=case_commitment(case))]
            mine = await put(w, w.desk.submission([*twice, *entries(2, 3)]))
            (others,) = await put(w, w.desk.submission([entry(3, content=content)], organisation=3))
            found = await w.service.find_by_digest(content, BANK)
            assert [one.evidence_id for one in found] == [mine[1], mine[0]]
            assert [one.evidence_id for one in await w.service.find_by_digest(content, OTHER)] == [others]
            # No role gives a right to search; a case does, for that case.
            for viewer in (COURT, REGULATOR, CENTRE):
                assert await w.service.find_by_digest(content, viewer) == []
                found = await w.service.find_by_digest(content, viewer, case_id=case)
                assert [one.evidence_id for one in found] == [mine[1]]
            assert await w.service.find_by_digest(secrets.token_bytes(32), BANK) == []
            # Another gateway with other keys finds nothing: the table holds no digest.
            async with desk(database) as stranger:
                blind = EvidenceService(stranger.pool, stranger.vault)
                assert await blind.find_by_digest(content, BANK) == []
            row = await w.pool.fetchrow(
                "SELECT * FROM evidence.entry WHERE log_no = $1 AND leaf_index = 0", w.desk.log.log_no
            )
            assert row is not None
            stored = b"".join(value for value in row.values() if isinstance(value, bytes))
            assert content not in stored

    run(check())


def test_states_go_from_accepted_to_anchored_and_a_late_one_is_overdue(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            (mine,) = await put(w, w.desk.submission())
            view = await w.service.show(mine, BANK)
            assert (view.state, view.flags, view.receipt_ready) == (EvidenceState.ACCEPTED, (), False)
            assert view.state.label.zh
            for waited, healthy in ((STALLED_SECONDS, True), (STALLED_SECONDS + 1, False)):
                w.desk.now = view.accepted_at + waited
                ours = [log for log in (await w.service.status()).logs if log.log_id == w.desk.log.log_id]
                assert not ours[0].overdue
                assert StatusReport(tuple(ours)).healthy is healthy
            w.desk.now = view.deadline + 1
            assert Flag.OVERDUE in (await w.service.show(mine, BANK)).flags
            report = await w.service.status()
            assert not report.healthy
            assert [log.overdue for log in report.logs if log.log_id == w.desk.log.log_id] == [True]
            w.model.hold = True
            await w.worker.anchor_once()
            assert (await w.service.show(mine, BANK)).state is EvidenceState.SEALED
            with pytest.raises(ReceiptNotReady):
                await w.service.receipt(mine, BANK)
            w.model.hold = False
            w.model.time = w.desk.now
            await w.worker.anchor_once()
            view = await w.service.show(mine, BANK)
            assert (view.state, view.receipt_ready) == (EvidenceState.ANCHORED, False)
            assert view.anchored_at == w.model.time
            with pytest.raises(ReceiptNotReady):
                await w.service.receipt(mine, BANK)
            await w.settle()
            view = await w.service.show(mine, BANK)
            assert (view.receipt_ready, view.flags, view.batch) == (True, (), 1)
            assert Receipt.parse(await w.service.receipt(mine, BANK))

    run(check())


def test_a_replacement_counts_from_the_same_submitter_only_and_a_dispute_from_anybody(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with line(database) as w:
            (old,) = await put(w, w.desk.submission())
            (foreign,) = await put(
                w, w.desk.submission([entry(3, links=[Link(Relation.REPLACES, old)])], organisation=3)
            )
            assert (await w.service.show(old, BANK)).flags == ()
            (dispute,) = await put(
                w, w.desk.submission([entry(3, links=[Link(Relation.DISPUTES, old)])], organisation=3)
            )
            (new,) = await put(w, w.desk.submission([entry(2, links=[Link(Relation.REPLACES, old)])]))
            view = await w.service.show(old, BANK)
            assert view.flags == (Flag.SUPERSEDED, Flag.DISPUTED)
            assert (view.superseded_by, view.disputed_by) == ((new,), (dispute,))
            assert foreign not in view.superseded_by
            assert (await w.service.show(new, BANK)).links == ((Relation.REPLACES, old),)
            shown = view.as_json()
            assert shown["supersededBy"] == [new.hex()]

    run(check())


def test_lists_are_the_viewers_own_newest_first_and_pages_neither_repeat_nor_skip(
    database: PgDatabase,
) -> None:
    async def check() -> None:
        async with line(database) as w:
            mine: list[bytes] = []
            for count in (1, 30, 2, 5):
                mine += await put(w, w.desk.submission(count))
                await put(w, w.desk.submission(3, organisation=3))
            number = w.desk.log.log_no
            for limit in (1, 7, 38, 100):
                seen: list[bytes] = []
                cursor = None
                while True:
                    page = await w.service.list(BANK, log_no=number, cursor=cursor, limit=limit)
                    seen += [one.evidence_id for one in page.items]
                    assert len(page.items) <= limit
                    cursor = page.next
                    if cursor is None:
                        break
                assert seen == mine[::-1]
            (contract,) = await put(w, w.desk.submission([entry(2, kind=EvidenceClass.AGREEMENT)]))
            page = await w.service.list(BANK, evidence_class=EvidenceClass.AGREEMENT, log_no=number)
            assert [one.evidence_id for one in page.items] == [contract]
            assert (await w.service.list(Viewer(99))).items == ()
            for bad in ("x", "1", "1.x", "9999999999.1", "1.2.3", ""):
                with pytest.raises(MalformedInput):
                    await w.service.list(BANK, cursor=bad)
            with pytest.raises(MalformedInput):
                await w.service.list(BANK, limit=0)

    run(check())


def test_receipts_come_in_the_order_asked_with_an_answer_for_each(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            first = await put(w, w.desk.submission(40))
            await w.settle()
            second = await put(w, w.desk.submission(300))
            await w.settle()
            pending = await put(w, w.desk.submission())
            foreign = await put(w, w.desk.submission(1, organisation=3))
            asked = [second[299], first[0], pending[0], foreign[0], secrets.token_bytes(32), first[39]]
            results = await w.service.receipts(asked, BANK)
            codes = [one.code if isinstance(one, CaseledgerError) else "ok" for one in results]
            assert codes == ["ok", "ok", "ReceiptNotReady", "EvidenceNotFound", "EvidenceNotFound", "ok"]
            for identity, data in zip(asked, results, strict=True):
                if isinstance(data, CaseledgerError):
                    continue
                core = Receipt.parse(data).core
                assert evidence_id(core.leaf) == identity
                where, link = core.inclusion, core.link
                verify_inclusion(
                    SHA256,
                    SHA256.leaf(core.leaf),
                    where.index,
                    link.size,
                    where.path_sha256,
                    link.root_sha256,
                )
                verify_inclusion(
                    SM3, SM3.leaf(core.leaf), where.index, link.size, where.path_sm3, link.root_sm3
                )
                # Spliced bytes are what the receipt's own encoder gives.
                assert Core.parse(core.encode()).encode() == core.encode()
                assert Receipt.of(core).encode() == data
            with pytest.raises(MalformedInput):
                await w.service.receipts([b"\x00" * 32] * 1001, BANK)

    run(check())


def test_a_body_changed_in_the_database_gives_no_receipt_and_spares_the_others(database: PgDatabase) -> None:
    async def check() -> None:
        async with line(database) as w:
            ids = await put(w, w.desk.submission(5))
            await w.settle()
            conn = await asyncpg.connect(database.superuser_dsn)
            await conn.execute("SET session_replication_role = replica")
            await conn.execute(
                """UPDATE evidence.entry SET body = set_byte(body, 40, get_byte(body, 40) # 1)
                   WHERE log_no = $1 AND leaf_index = 2""",
                w.desk.log.log_no,
            )
            await conn.execute(
                "UPDATE evidence.entry SET body = NULL WHERE log_no = $1 AND leaf_index = 3",
                w.desk.log.log_no,
            )
            await conn.close()
            results = await w.service.receipts(ids, BANK)
            codes = [one.code if isinstance(one, CaseledgerError) else "ok" for one in results]
            assert codes == ["ok", "ok", "BodyUnreadable", "ok", "ok"]
            erased = results[3]
            assert isinstance(erased, bytes)
            assert Receipt.parse(erased).core.body is None
            view = await w.service.show(ids[3], BANK)
            assert view.flags == (Flag.ERASED,)
            assert view.content_sha256 is None
            async with w.pool.acquire() as own:
                with pytest.raises(EvidenceNotFound):
                    await ReceiptMaker(w.desk.log, w.desk.vault).make(own, [0, 77])

    run(check())


def test_a_database_that_is_away_is_said_to_be_away(database: PgDatabase) -> None:
    async def check() -> None:
        async with desk(database) as d:
            service = EvidenceService(d.pool, d.vault)
            await service.status()
            await d.pool.close()
            with pytest.raises(DatabaseUnavailable):
                await service.status()
            with pytest.raises(DatabaseUnavailable):
                await service.show(bytes(32), BANK)

    run(check())
