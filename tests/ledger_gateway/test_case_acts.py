"""Acts on cases through HTTP: refused with the contract's own code, and then nothing is kept."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cases.evidence_proofs import from_log
from cases.lifecycle import Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import CASE_LEDGER, REGISTRY
from chain.case_acts import (
    NOWHERE,
    Origin,
    SignedCaseAct,
    call_for,
    document,
    evidence_digest,
    evidence_proof,
    lapse,
    mark_overdue,
)
from evidence.repository import Viewer
from protocol.acts import AcceptKey, Act, AnnounceKey, Domain, Purpose
from protocol.case_acts import Move, Pause, Resume, Reverse
from protocol.errors import CaseledgerError
from tests.conftest import PgDatabase

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.contracts.test_case_matrix import attempt, place
from tests.support.case_desk import FROM_CENTRE, PRIVILEGED, Desk, DeskWorld, desk
from tests.support.case_world import (
    ALL_ROLES,
    MEDIATION,
    OTHER_BANK,
    POLICE,
    ZERO,
    case_id,
    values,
)
from tests.support.revm import BANK, CENTRE, CHAIN, COURT, FOREVER
from tests.support.testkeys import address_of, private_key, signature

pytestmark = pytest.mark.database
LIFE = LIFECYCLE_V1
FORCE_MAJEURE, DISPUTE = 4, 7
Story = Callable[[Desk], Awaitable[None]]


def tell(pg: PgDatabase, home: Path, story: Story, seconds: float = 280) -> None:
    """One desk, one story."""

    async def scenario() -> None:
        async with desk(pg, home) as here:
            await story(here)

    asyncio.run(asyncio.wait_for(scenario(), seconds))


def move(name: str, by: int, other: int = 0, **changes: Any) -> Move:
    step = LIFE.transition(name)
    reason = step.reasons[0].code if step.reasons else 0
    act = Move(case_id(0), 1, step.id, by, other, reason, ZERO, ZERO, ZERO, FOREVER)
    return dataclasses.replace(act, **changes)


def shown(here: Desk, act: Move) -> tuple[Move, tuple[bytes, ...]]:
    """The act with the evidence that its step needs."""
    ids = here.world.evidence_ids(0, LIFE.transitions[act.transition])
    return dataclasses.replace(act, evidence=evidence_digest(ids)), ids


async def refused(
    here: Desk, act: Any, signers: Sequence[int], evidence: Sequence[bytes] = (), origin: Origin = NOWHERE
) -> str:
    """The code by which both the gateway and the contract refuse; nothing is kept and nothing moves."""
    before = await here.rows(), here.world.chain.call(CASE_LEDGER, "caseOf", case_id(0))
    answer = await here.post(0, here.document(act, signers, evidence))
    signed = [here.world.sign(act, signer) for signer in signers]
    proof = b""
    if evidence:
        async with here.pool.acquire() as conn:
            proof = evidence_proof(await from_log(conn, evidence, Viewer(BANK, 1), case_id(0)))
    other = signed[1] if len(signed) > 1 else b""
    call = call_for(act, signed[0], here.world.contracts, origin=origin, proof=proof, co_signature=other)
    code = direct(here, call)
    assert answer.headers["content-type"] == "application/problem+json", answer.json()
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["rule"]["text"]["zh"] != problem["rule"]["text"]["en"]
    assert "{" not in problem["rule"]["text"]["zh"] + problem["rule"]["text"]["en"]
    assert before == (await here.rows(), here.world.chain.call(CASE_LEDGER, "caseOf", case_id(0)))
    return code


def direct(here: Desk, call: Any) -> str:
    """What the contract says to a transaction of anybody, without any gateway; empty for done."""
    snapshot = here.world.chain.evm.snapshot()
    try:
        here.world.chain.send(call)
    except CaseledgerError as error:
        return error.code
    finally:
        here.world.chain.evm.revert(snapshot)
    return ""


# The matrix


async def the_matrix(here: Desk, places: Sequence[tuple[int, Transition, Sequence[int]]]) -> Counter[str]:
    """Contract, rules and gateway answer alike; what was allowed is on its way, and no more."""
    world, outcomes, note = here.world, Counter[str](), 0
    act = Move(case_id(0), 1, LIFE.transition("withdraw").id, BANK, 0, 1, ZERO, ZERO, ZERO, FOREVER)
    world.chain.call(CASE_LEDGER, "move", values(act), world.origin(0), b"", world.sign(act, BANK), b"")
    for stage, step, actors in places:
        state = place(world, stage)
        for actor in actors:
            other = beside(step, actor)
            foretold, found = attempt(world, state, step, actor, other)
            assert foretold == found
            note += 1
            ids = world.evidence_ids(0, step)
            reason = step.reasons[0].code if step.reasons else 0
            act = Move(
                case_id(0), state.version, step.id, actor, other, reason, evidence_digest(ids), ZERO,
                note.to_bytes(32, "big"), FOREVER,
            )  # fmt: skip
            answer = await here.post(0, here.document(act, [actor, *([other] if other else [])], ids))
            code = answer.json()["code"] or ""
            assert code == found, (LIFE.stages[stage].name, step.name, actor, answer.json())
            assert (answer.status_code == 202) == (found == "")
            outcomes[found or "taken"] += 1
    assert await here.rows() == (outcomes["taken"], outcomes["taken"])
    return outcomes


def beside(step: Transition, actor: int) -> int:
    """A second organisation that fits, where the step wants one."""
    for org in (CENTRE, BANK, COURT, MEDIATION, *sorted(ALL_ROLES)):
        if (
            org != actor
            and step.beside
            and (ALL_ROLES[org] & step.beside or (org == BANK and step.beside >> 15))
        ):
            return org
    return 0


def test_every_role_tries_every_transition_from_its_stages(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        everybody = sorted(ALL_ROLES)
        places = [(s, step, everybody) for step in LIFE.transitions.values() for s in step.sources]
        # From where it does not leave, a transition is refused to everybody alike.
        places += [(elsewhere(step), step, [COURT]) for step in LIFE.transitions.values()]
        outcomes = await the_matrix(here, places)
        assert outcomes["CaseRoleMissing"] > 1000
        assert outcomes["CaseTransitionIllegal"] > 60
        assert outcomes["CaseTooEarly"] > 50
        assert outcomes["CaseOtherCourt"] > 30
        assert outcomes["taken"] > 150

    tell(pg, tmp_path, story)


def elsewhere(step: Transition) -> int:
    return next(stage for stage in reversed(list(LIFE.stages)) if stage not in step.sources)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_transition_is_tried_from_every_stage(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        places = [
            (stage, step, sorted(ALL_ROLES) if stage in step.sources else (CENTRE, COURT))
            for stage in LIFE.stages
            for step in LIFE.transitions.values()
        ]
        outcomes = await the_matrix(here, places)
        assert outcomes["CaseTransitionIllegal"] > 5000

    tell(pg, tmp_path, story, 1700)


# Bad input


async def begun(here: Desk, *names: str) -> None:
    """Case 0 goes these steps on the chain."""
    for name in names:
        step = LIFE.transition(name)
        (found,) = here.world.chain.call(CASE_LEDGER, "caseOf", case_id(0))
        actor = next(org for org in (CENTRE, COURT, BANK, MEDIATION) if step.by & ALL_ROLES[org] or
                     (org == BANK and step.by >> 15))  # fmt: skip
        other = beside(step, actor)
        act, _ = shown(here, move(name, actor, other, version=max(1, found[0])))
        proof, _, _ = here.world.evidence(0, step)
        origin = here.world.origin(0) if found[0] == 0 else NOWHERE.abi()
        signed = here.world.sign(act, actor), here.world.sign(act, other) if other else b""
        here.world.chain.call(CASE_LEDGER, "move", values(act), origin, proof, *signed)


def origin_of(world: DeskWorld) -> Origin:
    return Origin(*world.origin(0))


def test_bad_input_is_refused_by_gateway_and_contract_alike(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world, born = here.world, origin_of(here.world)
        codes = [
            await refused(here, move("settle", BANK, CENTRE), [BANK, CENTRE], origin=born),
            await refused(here, move("withdraw", CENTRE), [CENTRE], origin=born),
            await refused(here, move("withdraw", BANK, version=2), [BANK], origin=born),
            await refused(here, move("admit", CENTRE), [CENTRE], origin=born),
            await refused(here, move("withdraw", OTHER_BANK), [OTHER_BANK], origin=born),
            await refused(here, move("withdraw", BANK, valid_until=world.chain.now - 1), [BANK], origin=born),
            await refused(here, move("withdraw", BANK), [OTHER_BANK], origin=born),
            await refused(here, move("withdraw", BANK, reason=9), [BANK], origin=born),
            await refused(here, move("withdraw", BANK, CENTRE), [BANK, CENTRE], origin=born),
            await refused(here, move("mediation-expires", BANK), [BANK], origin=born),
        ]
        assert codes == [
            "CaseTransitionIllegal", "CaseRoleMissing", "CaseVersionStale", "EvidenceCountWrong",
            "CaseRoleMissing", "ActExpired", "RegistryKeyOrganisation", "CaseReasonInvalid",
            "CaseCoSignerInvalid", "CaseTransitionIllegal",
        ]  # fmt: skip
        unknown = dataclasses.replace(move("withdraw", BANK), case_id=case_id(99))
        answer = await here.http.post(
            f"/v1/cases/{case_id(99).hex()}/acts", json=here.document(unknown, [BANK])
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "CaseUnknown")
        assert direct(here, call_for(unknown, world.sign(unknown, BANK), world.contracts)) == "CaseUnknown"

    tell(pg, tmp_path, story)


def test_nobody_dates_back(pg: PgDatabase, tmp_path: Path) -> None:
    """No act has a time that counts; one that is signed with such a member is another act."""

    @dataclasses.dataclass(frozen=True)
    class Backdated(Move):
        TYPE = Move.TYPE.removesuffix(")") + ",uint40 since)"
        since: int = 0

    async def story(here: Desk) -> None:
        world, born = here.world, origin_of(here.world)
        honest = move("withdraw", BANK)
        other = Backdated(**{**dataclasses.asdict(honest), "since": world.chain.now - 86_400})
        signed = signature(private_key(Purpose.ACT, BANK), other.digest(world.contracts.ledger_domain))
        body = document(SignedCaseAct(honest, signed))
        answer = await here.post(0, body)
        assert answer.json()["code"] == "RegistryKeyOrganisation"
        assert (
            direct(here, call_for(honest, signed, world.contracts, origin=born)) == "RegistryKeyOrganisation"
        )
        body["request"]["since"] = other.since
        answer = await here.post(0, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "MalformedInput")
        assert await here.rows() == (0, 0)

    tell(pg, tmp_path, story)


def test_an_expired_key_signs_nothing(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world = here.world
        chain, new = world.chain, private_key(Purpose.ACT, 77)
        end = chain.now + 1000

        def sign(act: Act, key: Any) -> bytes:
            return signature(key, act.digest(Domain(CHAIN, chain.at[REGISTRY])))

        announce = AnnounceKey(BANK, address_of(new), Purpose.ACT, 0, end, 0, FOREVER)
        chain.call(REGISTRY, "announceKey", values(announce), sign(announce, private_key(Purpose.ACT, BANK)))
        chain.warp(100)
        accept = AcceptKey(BANK, address_of(new), FOREVER)
        chain.call(REGISTRY, "acceptKey", values(accept), sign(accept, new))
        act = move("withdraw", BANK)
        signed = signature(new, act.digest(world.contracts.ledger_domain))
        call = call_for(act, signed, world.contracts, origin=origin_of(world))
        assert direct(here, call) == ""
        chain.warp(1000)
        answer = await here.post(0, document(SignedCaseAct(act, signed)))
        assert answer.json()["code"] == direct(here, call) == "RegistryKeyExpired"
        assert "失效" in answer.json()["rule"]["text"]["zh"]
        assert await here.rows() == (0, 0)

    tell(pg, tmp_path, story)


def test_beyond_the_holiday_table_nothing_is_said_to_have_passed(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world = here.world
        await begun(here, "withdraw")
        world.chain.warp(1_861_900_000 - world.chain.now)  # 31 December 2028: 2029 is not in the table
        state = place(world, LIFE.stage("MEDIATING").code)
        assert state.provisional
        assert state.deadline is not None
        world.chain.warp(state.deadline + 10 - world.chain.now)
        late = move("mediation-prolonged", MEDIATION, BANK, version=state.version)
        assert await refused(here, late, [MEDIATION, BANK]) == "CalendarYearUnknown"
        body = {"act": "MarkOverdue", "request": {"caseId": case_id(0).hex(), "version": state.version}}
        answer = await here.post(0, body)
        assert answer.json()["code"] == "CalendarYearUnknown"
        assert direct(here, mark_overdue(case_id(0), world.contracts)) == "CalendarYearUnknown"
        lapsing = lapse(case_id(0), state.version, LIFE.transition("mediation-expires").id, world.contracts)
        body = {"act": "Lapse", "request": {
            "caseId": case_id(0).hex(), "version": state.version,
            "transition": LIFE.transition("mediation-expires").id}}  # fmt: skip
        answer = await here.post(0, body)
        assert answer.json()["code"] == direct(here, lapsing) == "CalendarYearUnknown"
        assert "2029" in answer.json()["rule"]["text"]["en"]
        assert await here.rows() == (0, 0)

    tell(pg, tmp_path, story)


def test_pauses_and_reversals_are_refused_alike(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world = here.world
        await begun(here, "withdraw")
        state = place(world, LIFE.stage("CLOSED").code)
        hold = Pause(case_id(0), state.version, CENTRE, DISPUTE, ZERO, FOREVER)
        assert await refused(here, hold, [CENTRE]) == "CaseHoldNotAllowed"
        resume = Resume(case_id(0), state.version, CENTRE, DISPUTE, ZERO, FOREVER)
        assert await refused(here, resume, [CENTRE]) == "CaseHoldNotOpen"
        place(world, LIFE.stage("CENTRAL").code)
        assert await refused(here, dataclasses.replace(hold, organisation=BANK), [BANK]) == "CaseRoleMissing"
        back = Reverse(case_id(0), state.version, CENTRE, COURT, ZERO, FOREVER)
        assert await refused(here, back, [CENTRE, COURT]) == "CaseNotReversible"
        world.chain.call(CASE_LEDGER, "pause", values(hold), NOWHERE.abi(), world.sign(hold, CENTRE))
        stopped = move("offer-mediation", CENTRE, version=state.version + 1)
        assert await refused(here, stopped, [CENTRE]) == "CaseOnHold"
        again = dataclasses.replace(hold, version=state.version + 1)
        assert await refused(here, again, [CENTRE]) == "CaseHoldOpen"

    tell(pg, tmp_path, story)


# Evidence


def test_the_evidence_guard_through_the_gateway(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world = here.world
        await begun(here, "admit")
        step = LIFE.transition("transfer")
        right = world.evidence_ids(0, step)
        foreign = world.evidence_ids(1, step)

        async def shows(*ids: bytes) -> str:
            act = move("transfer", BANK, version=2, evidence=evidence_digest(ids))
            return await refused(here, act, [BANK], ids)

        assert await shows(foreign[0], right[1]) == "EvidenceOfOtherCase"
        assert await shows(right[1], right[0]) == "EvidenceClassWrong"
        assert await shows(world.further_id(PRIVILEGED), right[1]) == "EvidencePrivileged"
        assert await shows(right[0]) == "EvidenceCountWrong"
        assert await shows(*right, right[0]) == "EvidenceCountWrong"
        assert await shows(world.further_id(FROM_CENTRE), right[1]) == "EvidenceSubmitterWrong"
        # The digest that is signed names other entries than those that come with it.
        body = here.document(move("transfer", BANK, version=2, evidence=evidence_digest(right)), [BANK])
        body["evidence"] = [one.hex() for one in foreign]
        answer = await here.post(0, body)
        assert (answer.status_code, answer.json()["field"]) == (422, "evidence")
        act = move("transfer", BANK, version=2, evidence=evidence_digest(right))
        assert (await here.post(0, here.document(act, [BANK], right))).status_code == 202

    tell(pg, tmp_path, story)


def test_an_act_tells_nobody_about_entries_of_others(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        world = here.world
        await begun(here, "admit")
        there, nowhere = world.evidence_ids(1, LIFE.transition("transfer")), (b"\x01" * 32, b"\x02" * 32)

        async def code(ids: Sequence[bytes], by: int, signer: int) -> tuple[int, str]:
            act = move("transfer", by, version=2, evidence=evidence_digest(ids))
            answer = await here.post(0, here.document(act, [signer], ids))
            return answer.status_code, answer.json()["code"]

        # The centre may act on case 0, and is told nothing of the bank's entries in case 1.
        assert await code(there, CENTRE, CENTRE) == await code(nowhere, CENTRE, CENTRE)
        assert (await code(there, CENTRE, CENTRE))[1] == "EvidenceNotFound"
        # Who may not act is refused before anybody looks for entries.
        for by, signer in ((CENTRE, POLICE), (POLICE, POLICE), (BANK, OTHER_BANK)):
            assert await code(there, by, signer) == await code(nowhere, by, signer)
            assert (await code(there, by, signer))[1] != "EvidenceNotFound"
        # A court does not hear that privileged material exists.
        version = place(world, LIFE.stage("TRANSFERRED").code).version
        hidden = (world.further_id(PRIVILEGED),)
        act = move("fix-required", COURT, version=version, evidence=evidence_digest(hidden))
        answer = await here.post(0, here.document(act, [COURT], hidden))
        assert answer.json()["code"] == "EvidenceNotFound"

    tell(pg, tmp_path, story)


def test_an_entry_that_is_not_anchored_yet_is_waited_for(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        from evidence.repository import key_of
        from tests.support.case_world import leaf_hash

        await begun(here, "admit")
        (old,) = [leaf for leaf in here.world.leaves if leaf_hash(leaf) == here.world.further_id(PRIVILEGED)]
        leaf = old[:3] + b"\0" + old[4:8] + (10**6).to_bytes(8, "big") + old[16:]
        here_at = len(here.world.leaves)
        import asyncpg

        conn = await asyncpg.connect(pg.dsn("migrator"))
        try:
            await conn.execute(
                "INSERT INTO evidence.entry VALUES (1, $1, $2, $3, $4, $5, $1, NULL) ON CONFLICT DO NOTHING",
                here_at, leaf, key_of(leaf_hash(leaf)), leaf_hash(leaf)[:16], key_of(leaf[16:48]),
            )  # fmt: skip
        finally:
            await conn.close()
        ids = (leaf_hash(leaf), here.world.evidence_ids(0, LIFE.transition("transfer"))[1])
        act = move("transfer", BANK, version=2, evidence=evidence_digest(ids))
        answer = await here.post(0, here.document(act, [BANK], ids))
        assert (answer.status_code, answer.json()["code"]) == (409, "EvidenceNotAnchored")

    tell(pg, tmp_path, story)
