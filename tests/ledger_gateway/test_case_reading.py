"""Reading cases over HTTP: to each what is theirs, to everybody else as if there were nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import icalendar
import pytest

from cases.calendar import day_of
from cases.lifecycle_v1 import LIFECYCLE_V1, StageCode
from ledger_gateway import case_reading
from tests.conftest import PgDatabase
from tests.support.case_histories import BANK, CALENDAR, CENTRE, COURT, MEDIATION, REGULATOR, Life, lives
from tests.support.case_rows import DAY, NOW, case_row, copy_cases, copy_life
from tests.support.reading_desk import OTHER_BANK, OTHER_COURT, REGISTRY, ROLES, Desk, desk

pytestmark = pytest.mark.database
LIVES = [life for life in lives(seed=3, count=500, acts=30) if len(life.changes) > 4]


def at_desk(pg: PgDatabase, home: Path, work: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        async with desk(pg, home) as opened:
            await work(opened)

    asyncio.run(run())


async def add(desk: Desk, life: Life, first: int = 1, **members: Any) -> str:
    await copy_life(desk.owner, life, first, **members)
    return life.case_id.hex()


def moved() -> Life:
    """A life that ends in a stage that a mediation body does not see and no court has."""
    return next(
        life
        for life in LIVES
        if not life.state.court and life.state.stage in (StageCode.CENTRAL, StageCode.SPECIAL)
    )


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Without what is different in every answer."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    body = answer.json()
    assert body.pop("instance").startswith("urn:caseledger:request:")
    return answer.status_code, headers, body


PATHS = ("/v1/cases/{}", "/v1/cases/{}/timeline")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("organisation", [OTHER_BANK, OTHER_COURT, MEDIATION, REGISTRY])
def test_a_case_of_others_is_answered_exactly_like_one_that_does_not_exist(
    pg: PgDatabase, home: Path, path: str, organisation: int
) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        assert (await desk.get(BANK, path.format(case))).status_code == 200
        theirs = comparable(await desk.get(organisation, path.format(case)))
        nobodys = comparable(await desk.get(organisation, path.format("ab" * 32)))
        assert theirs == nobodys
        assert theirs[0] == 404
        assert theirs[2]["code"] == "CaseNotHere"
        assert case not in json.dumps(theirs[2])

    at_desk(pg, home, work)


def test_the_time_of_a_refusal_does_not_tell_whether_there_is_a_case(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        times: dict[str, list[float]] = {case: [], "cd" * 32: []}
        for turn in range(200):
            for one in times if turn % 2 else reversed(times):
                started = time.perf_counter()
                await desk.get(OTHER_BANK, f"/v1/cases/{one}")
                times[one].append(time.perf_counter() - started)
        theirs, nobodys = (statistics.median(found) for found in times.values())
        assert 0.7 < theirs / nobodys < 1.4, (theirs, nobodys)

    at_desk(pg, home, work)


def test_nobody_reads_without_login_and_nothing_is_there_without_cases(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        for path in (*PATHS, "/v1/cases", "/v1/deadlines", "/v1/deadlines.ics", "/v1/lifecycle"):
            answer = await desk.http.get(path.format(case))
            assert (answer.status_code, answer.json()["code"]) == (401, "NotAuthenticated"), path
        for path in (f"/v1/cases/{case}/code",):
            for method in ("POST", "DELETE"):
                answer = await desk.http.request(method, path, json={})
                assert answer.json()["code"] == "NotAuthenticated"

    at_desk(pg, home, work)


def test_a_case_tells_where_it_stands_until_when_and_what_the_caller_could_do(
    pg: PgDatabase, home: Path
) -> None:
    async def work(desk: Desk) -> None:
        life = next(one for one in LIVES if one.state.stage == StageCode.CENTRAL and not one.state.open_holds)
        case = await add(desk, life)
        desk.clock.now = life.changes[-1].time + 60
        shown = (await desk.get(CENTRE, f"/v1/cases/{case}")).json()
        assert shown["caseId"] == case
        assert shown["stage"]["name"] == "CENTRAL"
        assert shown["stage"]["label"]["zh"] == "集中处置"
        assert shown["version"] == life.state.version
        assert shown["deadline"] == life.state.deadline
        assert "offer-mediation" in {step["name"] for step in shown["possible"]}
        bank = (await desk.get(BANK, f"/v1/cases/{case}")).json()
        assert "withdraw" in {step["name"] for step in bank["possible"]}
        assert "offer-mediation" not in {step["name"] for step in bank["possible"]}
        assert (await desk.get(REGULATOR, f"/v1/cases/{case}")).json()["possible"] == []

    at_desk(pg, home, work)


def test_a_timeline_has_every_event_with_words_and_its_place_on_the_chain(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        life = moved()
        case = await add(desk, life, first=41)
        shown = (await desk.get(BANK, f"/v1/cases/{case}/timeline")).json()
        assert [event["kind"] for event in shown["events"]] == [change.kind for change in life.changes]
        assert [event["receipt"]["sequence"] for event in shown["events"]] == [
            41 + at for at in range(len(life.changes))
        ]
        for event in shown["events"]:
            assert event["label"]["zh"] != event["label"]["en"]
            assert event["timeShanghai"]
            place = event["receipt"]
            assert place["href"] == f"/v1/cases/{case}/timeline/{place['sequence']}/receipt"
        assert shown["now"]["stage"]["code"] == life.state.stage

    at_desk(pg, home, work)


def test_a_case_that_nobody_has_acted_on_is_shown_as_its_import_left_it(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        await copy_cases(desk.owner, [case_row(b"\5" * 32, deadline=NOW + DAY)])
        shown = (await desk.get(BANK, f"/v1/cases/{'05' * 32}")).json()
        assert (shown["alive"], shown["version"], shown["stage"]["name"]) == (False, 1, "IMPORTED")
        timeline = (await desk.get(BANK, f"/v1/cases/{'05' * 32}/timeline")).json()
        assert timeline["events"] == []
        await desk.owner.execute("UPDATE cases.case SET listed = false")
        assert (await desk.get(BANK, f"/v1/cases/{'05' * 32}")).status_code == 404
        assert (await desk.get(CENTRE, "/v1/cases")).json()["items"] == []

    at_desk(pg, home, work)


def test_lists_are_narrowed_ordered_and_paged(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        rows = [
            case_row(bytes([at]) * 32, owner=BANK if at % 2 else OTHER_BANK, stage=8 if at % 3 else 30,
                     court=0 if at % 3 else COURT, deadline=NOW + (at - 5) * DAY, product=1 + at % 4)
            for at in range(1, 21)
        ]  # fmt: skip
        await copy_cases(desk.owner, rows)
        mine = (await desk.get(BANK, "/v1/cases")).json()
        assert [one["owner"] for one in mine["items"]] == [BANK] * 10
        assert len((await desk.get(CENTRE, "/v1/cases")).json()["items"]) == 20
        court = (await desk.get(COURT, "/v1/cases")).json()["items"]
        assert {one["stage"]["name"] for one in court} == {"TRIAL_ORDINARY"}
        assert (await desk.get(REGISTRY, "/v1/cases")).json()["items"] == []
        late = (await desk.get(CENTRE, "/v1/cases", overdue="true")).json()["items"]
        assert [one["short"][:2] for one in late] == ["01", "02", "03", "04"]
        assert all(one["overdue"] for one in late)
        found = (
            await desk.get(CENTRE, "/v1/cases", stage="MEDIATING,TRIAL_ORDINARY", product="credit-card")
        ).json()
        assert {one["product"]["name"] for one in found["items"]} == {"credit-card"}
        seen, cursor = [], None
        while True:
            more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
            page = (await desk.get(CENTRE, "/v1/cases", limit=7, **more)).json()
            seen += [one["caseId"] for one in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == sorted(bytes([at] * 32).hex() for at in range(1, 21))

    at_desk(pg, home, work)


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        ({"stage": "NOWHERE"}, "InvalidRequest", "stage"),
        ({"product": "car"}, "InvalidRequest", "product"),
        ({"owner": 0}, "InvalidRequest", "owner"),
        ({"batch": "zz"}, "InvalidRequest", "batch"),
        ({"limit": 0}, "InvalidRequest", "limit"),
        ({"limit": 1001}, "InvalidRequest", "limit"),
        ({"sort": "owner"}, "InvalidRequest", "sort"),
        ({"dueBefore": 2**40}, "InvalidRequest", "dueBefore"),
        ({"cursor": "AAAA"}, "CursorInvalid", "cursor"),
    ],
)
def test_what_a_list_cannot_be_asked_is_named(
    pg: PgDatabase, home: Path, parameters: dict[str, Any], code: str, field: str
) -> None:
    async def work(desk: Desk) -> None:
        answer = await desk.get(CENTRE, "/v1/cases", **parameters)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)

    at_desk(pg, home, work)


def test_deadlines_within_days_overdue_provisional_and_for_a_calendar(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        end_of_day = (day_of(NOW) + 1) * DAY - 8 * 3600 - 1
        await copy_cases(
            desk.owner,
            [
                case_row(b"\1" * 32, deadline=NOW - DAY),
                case_row(b"\2" * 32, deadline=end_of_day, stage=8),
                case_row(b"\3" * 32, deadline=end_of_day + 1, owner=OTHER_BANK),
                case_row(b"\4" * 32, deadline=NOW - DAY, provisional=True),
                case_row(b"\5" * 32, deadline=None, open_holds=1),
            ],
        )

        async def names(organisation: int, **more: Any) -> list[str]:
            answer = await desk.get(organisation, "/v1/deadlines", **more)
            return [one["short"][:2] for one in answer.json()["items"]]

        assert await names(CENTRE) == ["01", "04", "02", "03"]
        assert await names(CENTRE, within=0) == ["01", "04", "02"]
        assert await names(BANK, within=30) == ["01", "04", "02"]
        assert await names(CENTRE, overdue="true") == ["01"]
        assert await names(CENTRE, provisional="true") == ["04"]
        answer = await desk.get(BANK, "/v1/deadlines.ics")
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        events = list(icalendar.Calendar.from_ical(answer.content).walk("VEVENT"))
        assert len(events) == 3
        text = answer.text.replace("\r\n ", "")
        assert "调解中截止" in text
        assert "02" * 32 not in text
        assert "DTSTART;VALUE=DATE:20270115" in text

    at_desk(pg, home, work)


def test_the_lifecycle_is_that_of_the_policy(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        shown = (await desk.get(BANK, "/v1/lifecycle")).json()
        assert shown["policy"] == 1
        assert shown["tableHash"] == LIFECYCLE_V1.table_hash.hex()
        unknown = await desk.get(BANK, "/v1/lifecycle", policy=7)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "PolicyUnknown")

    at_desk(pg, home, work)


# The debtor


async def code_for(desk: Desk, case: str) -> str:
    answer = await desk.http.post(f"/v1/cases/{case}/code", json={}, headers=desk.headers(CENTRE))
    assert answer.status_code == 201
    return str(answer.json()["code"])


async def my_case(desk: Desk, code: str) -> httpx.Response:
    return await desk.http.get("/v1/my/case", headers={"authorization": f"CaseCode {code}"})


def test_a_debtor_reads_the_own_case_in_plain_words_and_who_looked(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        life = moved()
        case = await add(desk, life)
        code = await code_for(desk, case)
        for organisation in (BANK, BANK, CENTRE):
            assert (await desk.get(organisation, f"/v1/cases/{case}")).status_code == 200
        await desk.get(OTHER_BANK, f"/v1/cases/{case}")
        await desk.readers.looks.record_row([life.case_id], CENTRE, NOW)
        answer = await my_case(desk, code.lower().replace("-", " "))
        assert answer.status_code == 200
        shown = answer.json()
        assert shown["says"]["zh"] == LIFECYCLE_V1.stages[life.state.stage].plain.zh
        assert len(shown["timeline"]) == len(life.changes)
        looked = {(one["by"]["organisation"], one["what"]["en"]): one["times"] for one in shown["looked"]}
        assert looked == {
            (BANK, "looked at where the case stands"): 2,
            (CENTRE, "looked at where the case stands"): 1,
            (CENTRE, "got the details that were imported"): 1,
        }
        assert shown["canDo"]
        assert case not in answer.text
        assert "possible" not in shown

    at_desk(pg, home, work)


def test_only_the_centre_gives_codes_and_takes_them_back(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        path = f"/v1/cases/{case}/code"
        for organisation in (BANK, REGULATOR):
            for method in ("POST", "DELETE"):
                answer = await desk.http.request(method, path, json={}, headers=desk.headers(organisation))
                assert (answer.status_code, answer.json()["code"]) == (403, "Forbidden")
        stranger = await desk.http.post(path, json={}, headers=desk.headers(OTHER_BANK))
        nobody = await desk.http.post(
            f"/v1/cases/{'ab' * 32}/code", json={}, headers=desk.headers(OTHER_BANK)
        )
        assert comparable(stranger) == comparable(nobody)
        assert stranger.status_code == 404
        for days in (0, 401):
            bad = await desk.http.post(path, json={"days": days}, headers=desk.headers(CENTRE))
            assert (bad.status_code, bad.json()["field"]) == (422, "days")
        code = await code_for(desk, case)
        taken = await desk.http.delete(path, headers=desk.headers(CENTRE))
        assert taken.status_code == 204
        assert (await my_case(desk, code)).json()["code"] == "CaseCodeRefused"

    at_desk(pg, home, work)


def test_a_code_is_in_no_log_and_no_answer_but_its_own(
    pg: PgDatabase, home: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        code = await code_for(desk, case)
        wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
        texts = [(await my_case(desk, given)).text for given in (code, wrong, code + "X")]
        texts += [(await desk.get(CENTRE, f"/v1/cases/{case}")).text, caplog.text, *capfd.readouterr()]
        for text in texts:
            assert code not in text
            assert code.replace("-", "") not in text

    with caplog.at_level(logging.DEBUG):
        at_desk(pg, home, work)


def test_what_is_no_code_is_refused_and_wrong_ones_are_slowed(
    pg: PgDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_reading, "WRONG_CODES_AT_ONCE", 3.0)
    monkeypatch.setattr(case_reading, "WRONG_CODES_PER_SECOND", 0.001)

    async def work(desk: Desk) -> None:
        from cases.codes import new_code

        for header in ({}, {"authorization": "Bearer x"}, {"authorization": "CaseCode"}):
            answer = await desk.http.get("/v1/my/case", headers=header)
            assert answer.status_code == 401
        assert (await my_case(desk, "hello")).json()["code"] == "CaseCodeMistyped"
        codes = [(await my_case(desk, new_code())).json()["code"] for _ in range(5)]
        assert codes == ["CaseCodeRefused"] * 3 + ["TooManyRequests"] * 2

    at_desk(pg, home, work)


def test_a_case_of_a_recalled_batch_is_gone_for_its_debtor_too(pg: PgDatabase, home: Path) -> None:
    async def work(desk: Desk) -> None:
        case = await add(desk, moved())
        code = await code_for(desk, case)
        await desk.owner.execute("UPDATE cases.case SET listed = false")
        assert (await my_case(desk, code)).json()["code"] == "CaseNotHere"

    at_desk(pg, home, work)


def test_every_role_is_tested_and_the_calendar_is_that_of_the_lives() -> None:
    assert {BANK, OTHER_BANK, CENTRE, COURT, OTHER_COURT, MEDIATION, REGULATOR, REGISTRY} == set(ROLES)
    assert CALENDAR.years
