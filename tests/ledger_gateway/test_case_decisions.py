"""Decisions of triage through HTTP: sealed, chained, and not there for whom they do not concern."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from protocol.case_batch import BatchRecipient
from protocol.case_decision import decision_document, seal_decision
from tests.conftest import PgDatabase
from tests.protocol.test_case_decision import KEYS, RECORD

pytest.importorskip("pyrevm", reason="pyrevm has no wheel for this version of Python")
from tests.support.case_desk import Desk, desk
from tests.support.case_world import OTHER_BANK, case_id
from tests.support.revm import BANK, CENTRE, COURT

pytestmark = pytest.mark.database
Story = Callable[[Desk], Awaitable[None]]
TO = [BatchRecipient(CENTRE, KEYS[0].public_key().public_bytes_raw())]


@pytest.fixture
def tell(pg: PgDatabase, tmp_path: Path) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def scenario() -> None:
            async with desk(pg, tmp_path) as here:
                admin = await asyncpg.connect(pg.superuser_dsn)
                try:
                    await admin.execute("UPDATE cases.case SET listed = true; TRUNCATE cases.decision")
                finally:
                    await admin.close()
                await story(here)

        asyncio.run(scenario())

    return run


def document(which: int = 0, previous: bytes | None = None) -> dict[str, Any]:
    record = replace(RECORD, case_id=case_id(which), previous=previous)
    return decision_document(seal_decision(record, TO), [CENTRE])


def path(which: int = 0) -> str:
    return f"/v1/cases/{case_id(which).hex()}/decisions"


def test_a_decision_is_kept_and_shown(tell: Callable[[Story], None]) -> None:
    async def story(here: Desk) -> None:
        mine = here.headers(CENTRE)
        first = document()
        answer = await here.http.post(path(), json=first, headers=mine)
        assert answer.status_code == 201, answer.text
        kept = answer.json()
        assert (kept["number"], kept["organisation"], kept["recipients"]) == (1, CENTRE, [CENTRE])
        assert kept["ciphertext"] == first["ciphertext"]
        again = await here.http.post(path(), json=first, headers=mine)
        assert (again.status_code, again.json()) == (201, kept)
        second = document(previous=bytes.fromhex(first["commitment"]))
        assert (await here.http.post(path(), json=second, headers=mine)).status_code == 201
        listed = (await here.http.get(path(), headers=mine)).json()["items"]
        assert [one["number"] for one in listed] == [1, 2]
        assert listed[1]["previous"] == listed[0]["commitment"]
        # the bank sees its case decided; its batch was not sealed to it, so it gets no content
        seen = (await here.http.get(path(), headers=here.headers(BANK))).json()["items"]
        assert [one["ciphertext"] for one in seen] == [None, None]
        assert [one["commitment"] for one in seen] == [one["commitment"] for one in listed]

    tell(story)


def test_for_others_there_is_no_case(tell: Callable[[Story], None]) -> None:
    async def story(here: Desk) -> None:
        for organisation in (OTHER_BANK, COURT):
            mine = here.headers(organisation)
            absent = (await here.http.get(f"/v1/cases/{'ab' * 32}/decisions", headers=mine)).json()
            for answer in (
                await here.http.get(path(), headers=mine),
                await here.http.post(path(), json=document(), headers=mine),
            ):
                assert answer.status_code == 404
                found = answer.json()
                assert {k: v for k, v in found.items() if k != "instance"} == {
                    k: v for k, v in absent.items() if k != "instance"
                }
        refused = await here.http.post(path(), json=document(), headers=here.headers(BANK))
        assert refused.json()["code"] == "CaseNotHere"

    tell(story)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"recipients": [BANK]}, 422, "DecisionRecipientsWrong"),
        ({"previous": "07" * 32}, 409, "DecisionNotLatest"),
        ({"reason": "in the open"}, 422, "MalformedInput"),
        ({"ciphertext": ""}, 422, "MalformedInput"),
        ({"wrapped": ["AA=="]}, 422, "MalformedInput"),
    ],
)
def test_what_is_not_a_decision_is_refused(
    tell: Callable[[Story], None], changes: dict[str, Any], status: int, code: str
) -> None:
    async def story(here: Desk) -> None:
        answer = await here.http.post(path(), json=document() | changes, headers=here.headers(CENTRE))
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await here.http.get(path(), headers=here.headers(CENTRE))).json() == {"items": []}

    tell(story)


def test_without_a_login_nothing_is_said(tell: Callable[[Story], None]) -> None:
    async def story(here: Desk) -> None:
        assert (await here.http.get(path())).status_code == 401
        assert (await here.http.post(path(), json=document())).status_code == 401
        assert (
            await here.http.get("/v1/cases/XYZ/decisions", headers=here.headers(CENTRE))
        ).status_code >= 400

    tell(story)
