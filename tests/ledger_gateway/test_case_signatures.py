"""Acts that two organisations sign, repeated and foretold acts, and what time alone makes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.bindings import CASE_LEDGER
from chain.case_acts import NOWHERE, evidence_digest
from protocol.case_acts import Pause, Reverse
from tests.conftest import PgDatabase

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from cases.acting import MOST_WAIT
from tests.contracts.test_case_matrix import place
from tests.ledger_gateway.test_case_acts import LIFE, begun, move, shown, tell
from tests.support.case_desk import Desk
from tests.support.case_world import MEDIATION, OTHER_BANK, POLICE, ZERO, case_id, values
from tests.support.revm import BANK, CENTRE, COURT, FOREVER, REGULATOR

pytestmark = pytest.mark.database
CASE = case_id(0).hex()


async def central(here: Desk) -> tuple[Any, tuple[bytes, ...]]:
    """The case in central handling, and the settlement that bank and centre are to sign."""
    await begun(here, "admit", "route-central")
    return shown(here, move("settle", BANK, CENTRE, version=3))


async def seen_by(here: Desk, organisation: int, act_id: str) -> int:
    url = f"/v1/cases/{CASE}/acts/{act_id}"
    return (await here.http.get(url, headers=here.headers(organisation))).status_code


async def waiting_for(here: Desk, organisation: int) -> list[dict[str, Any]]:
    answer = await here.http.get("/v1/case-acts/waiting", headers=here.headers(organisation))
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_the_second_organisation_fetches_and_signs(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        act, ids = await central(here)
        answer = await here.post(0, here.document(act, [BANK], ids))
        assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
        assert await here.rows() == (1, 0)
        act_id = answer.json()["id"]
        assert act_id == act.digest(here.world.contracts.ledger_domain).hex()
        # Only the two see it; to anybody else it is not there, a regulator and the case's court included.
        for organisation in (POLICE, COURT, REGULATOR, MEDIATION):
            assert await seen_by(here, organisation, act_id) == 404
            assert await waiting_for(here, organisation) == []
        assert (await here.http.get(f"/v1/cases/{CASE}/acts/{act_id}")).status_code == 401
        assert (await here.http.get("/v1/case-acts/waiting")).status_code == 401
        assert await seen_by(here, BANK, act_id) == await seen_by(here, CENTRE, act_id) == 200
        (found,) = await waiting_for(here, CENTRE)
        assert (await waiting_for(here, BANK)) == [found]
        body = found["document"]
        assert body == here.document(act, [BANK], ids)
        # A wrong second signature is refused as the contract does, and the act waits on.
        wrong = {**body, "coSignature": here.world.sign(act, MEDIATION).hex()}
        assert (await here.post(0, wrong)).json()["code"] == "RegistryKeyOrganisation"
        assert await here.rows() == (1, 0)
        right = {**body, "coSignature": here.world.sign(act, CENTRE).hex()}
        answer = await here.post(0, right)
        assert (answer.status_code, answer.json()["state"], answer.json()["id"]) == (202, "ready", act_id)
        assert await here.rows() == (1, 1)
        assert await waiting_for(here, CENTRE) == await waiting_for(here, BANK) == []
        # From here on it is on its way to the chain, where all see it; half of it again changes nothing.
        assert await seen_by(here, POLICE, act_id) == 200
        for again in (body, right):
            assert (await here.post(0, again)).json()["state"] == "ready"
        assert await here.rows() == (1, 1)

    tell(pg, tmp_path, story)


def test_half_an_act_is_refused_for_what_the_contract_would_refuse(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        act, ids = await central(here)

        async def code(signer: int, evidence: tuple[bytes, ...] = ids, **changes: Any) -> str:
            changes.setdefault("evidence", evidence_digest(evidence))
            body = here.document(dataclasses.replace(act, **changes), [signer], evidence)
            return str((await here.post(0, body)).json()["code"])

        other = here.world.evidence_ids(1, LIFE.transition("settle"))
        assert await code(CENTRE) == "RegistryKeyOrganisation"
        assert await code(BANK, version=2) == "CaseVersionStale"
        assert await code(BANK, reason=3) == "CaseReasonInvalid"
        assert await code(BANK, evidence=()) == "EvidenceCountWrong"
        assert await code(CENTRE, co_organisation=BANK, organisation=CENTRE) == "CaseRoleMissing"
        assert await code(BANK, co_organisation=POLICE) == "CaseRoleMissing"
        assert await code(BANK, co_organisation=BANK) == "CaseCoSignerInvalid"
        assert await code(BANK, co_organisation=0) == "CaseCoSignerInvalid"
        assert await code(BANK, valid_until=here.world.chain.now - 1) == "ActExpired"
        assert await code(BANK, evidence=other) in ("EvidenceOfOtherCase", "EvidenceNotFound")
        assert await here.rows() == (0, 0)
        # A reversal into a court stage needs a court, which the contract asks after the signatures.
        version = place(here.world, LIFE.stage("EFFECTIVE").code).version
        paid = move("performed", BANK, version=version)
        here.world.chain.call(
            CASE_LEDGER, "move", values(paid), NOWHERE.abi(), b"", here.world.sign(paid, BANK), b""
        )
        back = Reverse(case_id(0), version + 1, BANK, CENTRE, ZERO, FOREVER)
        assert (await here.post(0, here.document(back, [BANK]))).json()["code"] == "CaseCourtOnly"
        with_court = dataclasses.replace(back, co_organisation=COURT)
        body = here.document(with_court, [BANK])
        assert (await here.post(0, body)).json()["state"] == "waiting"
        # Whoever guesses an act that waits, and cannot sign it, is told nothing of it.
        guessed = {**body, "signature": here.world.sign(with_court, POLICE).hex()}
        assert (await here.post(0, guessed)).json()["code"] == "RegistryKeyOrganisation"

    tell(pg, tmp_path, story)


def test_a_half_signed_act_ends(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        act, ids = await central(here)
        soon = dataclasses.replace(act, valid_until=here.world.chain.now + 100)
        for one in (act, soon):
            assert (await here.post(0, here.document(one, [BANK], ids))).json()["state"] == "waiting"
        assert len(await waiting_for(here, CENTRE)) == 2
        here.world.chain.warp(101)
        (left,) = await waiting_for(here, CENTRE)
        assert left["expiresAt"] < here.world.chain.now + MOST_WAIT
        here.world.chain.warp(MOST_WAIT)
        assert await waiting_for(here, CENTRE) == []
        # The next one that comes sweeps the two away.
        place(here.world, LIFE.stage("CENTRAL").code)
        fresh = dataclasses.replace(act, version=1, note=b"\x01" * 32)
        await here.post(0, here.document(fresh, [BANK], ids))
        assert len(await waiting_for(here, CENTRE)) <= 1
        assert (await here.rows())[0] <= 1

    tell(pg, tmp_path, story)


def test_one_organisation_does_not_fill_the_table(
    pg: PgDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cases.acting.MAX_WAITING", 3)

    async def story(here: Desk) -> None:
        act, ids = await central(here)
        codes = [
            (await here.post(0, here.document(dataclasses.replace(act, note=bytes([n]) * 32), [BANK], ids)))
            .json()["code"]
            for n in range(1, 6)
        ]  # fmt: skip
        assert codes == [None, None, None, "TooManyActsWait", "TooManyActsWait"]
        assert await here.rows() == (3, 0)

    tell(pg, tmp_path, story)


def test_the_same_act_again_changes_nothing(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        act, ids = shown(here, move("admit", CENTRE))
        body = here.document(act, [CENTRE], ids)
        first, again = await here.post(0, body), await here.post(0, body)
        assert first.json()["transaction"] == again.json()["transaction"]
        # Also when the case has moved on meanwhile and the same act would now be refused.
        await begun(here, "admit")
        assert (await here.post(0, body)).json()["id"] == first.json()["id"]
        assert await here.rows() == (1, 1)
        # Another note is another act, and the case is at another version by now.
        other = here.document(dataclasses.replace(act, note=b"\x02" * 32), [CENTRE], ids)
        assert (await here.post(0, other)).json()["code"] == "CaseVersionStale"

    tell(pg, tmp_path, story)


def test_an_idempotency_key_makes_one_further_attempt(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        act, ids = shown(here, move("admit", CENTRE))
        body = here.document(act, [CENTRE], ids)
        first = await here.post(0, body)
        second = await here.post(0, body, **{"idempotency-key": "again-1"})
        third = await here.post(0, body, **{"idempotency-key": "again-1"})
        assert first.json()["id"] != second.json()["id"] == third.json()["id"]
        assert await here.rows() == (2, 2)
        other = here.document(dataclasses.replace(act, note=b"\x02" * 32), [CENTRE], ids)
        answer = await here.post(0, other, **{"idempotency-key": "again-1"})
        assert (answer.status_code, answer.json()["code"]) == (409, "IdempotencyConflict")
        assert await here.rows() == (2, 2)

    tell(pg, tmp_path, story)


def test_asking_gives_nobody_an_act_that_counts(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        async def ask(body: dict[str, Any], organisation: int = CENTRE) -> Any:
            url = f"/v1/cases/{CASE}/acts/check"
            return await here.http.post(url, json=body, headers=here.headers(organisation))

        act, ids = shown(here, move("admit", CENTRE))
        body = here.document(act, [], ids)
        assert body["signature"] == ""
        answer = await ask(body)
        assert answer.json()["taken"] is True
        told = answer.json()["case"]
        assert (told["stage"], told["version"]) == ("ADMITTED", 2)
        # What was foretold is what the contract then does.
        await begun(here, "admit")
        (now,) = here.world.chain.call(CASE_LEDGER, "caseOf", case_id(0))
        assert (now[6], now[5]) == (told["deadline"], told["since"])
        assert "两日" in told["explanation"]["zh"] or "2个工作日" in told["explanation"]["zh"]
        assert (await ask(body)).json()["code"] == "CaseVersionStale"
        away = here.document(move("route-central", BANK, version=2), [])
        assert (await ask(away)).json()["code"] == "CaseRoleMissing"
        reason = here.document(move("reject", CENTRE, version=2, reason=9), [])
        assert (await ask(reason)).json()["code"] == "CaseReasonInvalid"
        bare = here.document(move("transfer", CENTRE, version=2), [])
        assert (await ask(bare)).json()["code"] == "EvidenceCountWrong"
        # Entries are shown to whoever asks as they see them, not as the act's organisation would.
        act, ids = shown(here, move("transfer", CENTRE, version=2))
        foreign = here.world.evidence_ids(1, LIFE.transition("transfer"))
        nowhere = (b"\x01" * 32, b"\x02" * 32)
        codes = set()
        for entries in (foreign, nowhere):
            asked = dataclasses.replace(act, evidence=evidence_digest(entries))
            codes.add((await ask(here.document(asked, [], entries))).json()["code"])
        assert codes == {"EvidenceNotFound"}
        assert (await ask(here.document(act, [], ids))).json()["case"]["stage"] == "TRANSFERRED"
        hold = Pause(case_id(0), 2, CENTRE, 7, ZERO, FOREVER)
        paused = (await ask(here.document(hold, []))).json()["case"]
        assert paused["deadline"] is None
        assert paused["openPauses"] == ["dispute"]
        url = f"/v1/cases/{CASE}/acts/check"
        assert (await here.http.post(url, json=body)).status_code == 401
        assert await here.rows() == (0, 0)
        # The unsigned act is worth nothing where acts are handed in.
        answer = await here.post(0, here.document(act, [], ids))
        assert answer.json()["code"] == "ActSignatureInvalid"

    tell(pg, tmp_path, story)


def test_a_case_is_shown_to_who_sees_it_or_may_move_it(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        url = f"/v1/cases/{CASE}/acts"

        async def shown_to(organisation: int, path: str = url) -> Any:
            return await here.http.get(path, headers=here.headers(organisation))

        answer = (await shown_to(CENTRE)).json()
        assert (answer["case"]["stage"], answer["case"]["version"]) == ("IMPORTED", 1)
        assert {step["name"] for step in answer["steps"]} == {"admit", "ask-completion", "reject"}
        assert [step["name"] for step in (await shown_to(BANK)).json()["steps"]] == ["withdraw"]
        (admit,) = [step for step in answer["steps"] if step["name"] == "admit"]
        assert admit["evidence"] == [["contract"], ["statement"]]
        for stranger in (OTHER_BANK, COURT, POLICE, MEDIATION):
            there, nowhere = await shown_to(stranger), await shown_to(stranger, f"/v1/cases/{'5a' * 32}/acts")
            assert there.status_code == nowhere.status_code == 404
            assert there.json()["code"] == nowhere.json()["code"] == "CaseNotHere"
            assert there.json()["detail"] == nowhere.json()["detail"]
        assert (await here.http.get(url)).status_code == 401
        await begun(here, "admit", "offer-mediation")
        steps = [step["name"] for step in (await shown_to(MEDIATION)).json()["steps"]]
        assert steps == ["mediation-starts", "mediation-not-taken"]
        assert (await shown_to(COURT)).status_code == 404
        assert "explanation" in (await shown_to(REGULATOR)).json()["case"]

    tell(pg, tmp_path, story)


def test_what_time_alone_makes(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        await begun(here, "withdraw")
        state = place(here.world, LIFE.stage("MEDIATING").code)
        step = LIFE.transition("mediation-expires")

        def lapse(version: int, transition: int = step.id) -> dict[str, Any]:
            request = {"caseId": CASE, "version": version, "transition": transition}
            return {"act": "Lapse", "request": request}

        def mark(version: int) -> dict[str, Any]:
            return {"act": "MarkOverdue", "request": {"caseId": CASE, "version": version}}

        assert (await here.post(0, lapse(state.version))).json()["code"] == "CaseTooEarly"
        assert (await here.post(0, mark(state.version))).json()["code"] == "CaseNotOverdue"
        assert state.deadline is not None
        here.world.chain.warp(state.deadline + 1 - here.world.chain.now)
        assert (await here.post(0, lapse(state.version + 1))).json()["code"] == "CaseVersionStale"
        assert (await here.post(0, mark(state.version + 1))).json()["code"] == "CaseVersionStale"
        wrong = lapse(state.version, LIFE.transition("mediation-ends").id)
        assert (await here.post(0, wrong)).json()["code"] == "CaseNotALapse"
        assert await here.rows() == (0, 0)
        for body in (lapse(state.version), mark(state.version)):
            first, again = await here.post(0, body), await here.post(0, body)
            assert first.json()["transaction"] == again.json()["transaction"]
            assert first.json()["organisation"] == 0
        assert await here.rows() == (2, 2)
        here.world.chain.call(CASE_LEDGER, "markOverdue", case_id(0), (ZERO, 0, 0, ZERO, []))
        fresh = mark(state.version)
        fresh["request"]["version"] = state.version
        await here.pool.execute("delete from cases.act where name = 'MarkOverdue'")
        assert (await here.post(0, fresh)).json()["code"] == "CaseIsMarked"

    tell(pg, tmp_path, story)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=20)
    | st.binary(max_size=8).map(bytes.hex),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["act", "request", "signature", "coSignature", "evidence", "proof"])
NAMES = st.sampled_from(
    ["Move", "Pause", "Resume", "Reverse", "Lapse", "MarkOverdue", "Import", "Anchor", ""]
)


def test_no_document_makes_the_gateway_fail(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        sound = here.document(move("withdraw", BANK), [BANK])

        async def answer(body: Any) -> None:
            for path in (f"/v1/cases/{CASE}/acts", f"/v1/cases/{CASE}/acts/check"):
                got = await here.http.post(path, content=json.dumps(body), headers=here.headers(BANK))
                assert 400 <= got.status_code < 500, (body, got.json())

        def check() -> None:
            @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
            @given(
                body=JSON
                | st.dictionaries(MEMBERS, JSON)
                | st.tuples(NAMES, JSON).map(lambda pair: {**sound, "act": pair[0], "request": pair[1]})
                | st.tuples(st.sampled_from(sorted(sound["request"])), JSON).map(
                    lambda pair: {
                        **sound,
                        "request": {**sound["request"], pair[0]: pair[1]},
                        "signature": "00" * 65,
                    }
                )
            )
            def every(body: Any) -> None:
                asyncio.run_coroutine_threadsafe(answer(body), loop).result(60)

            every()

        await asyncio.to_thread(check)
        assert await here.rows() == (0, 0)

    tell(pg, tmp_path, story)


def test_the_case_of_the_address_is_the_case_of_the_act(pg: PgDatabase, tmp_path: Path) -> None:
    async def story(here: Desk) -> None:
        body = here.document(move("withdraw", BANK), [BANK])
        answer = await here.post(1, body)
        assert (answer.status_code, answer.json()["field"]) == (422, "caseId")
        for bad in ("00", CASE.upper(), "0x" + CASE, "zz" * 32):
            assert (await here.http.post(f"/v1/cases/{bad}/acts", json=body)).status_code == 422
        first = (await here.post(0, body)).json()["id"]
        url = f"/v1/cases/{case_id(1).hex()}/acts/{first}"
        assert (await here.http.get(url, headers=here.headers(BANK))).status_code == 404

    tell(pg, tmp_path, story)
