"""`caseledger case list|show|timeline|deadlines|code` against the routes over a real server and database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import icalendar
import pytest
import uvicorn

from agent.client import GatewayClient
from agent.errors import GatewayRefused
from agent.login import LoginTokens
from chain.networks.processes import free_ports
from cli import case_read
from cli.case_read_texts import width
from cli.main import main
from tests.conftest import PgDatabase
from tests.support.case_histories import CENTRE, lives
from tests.support.case_rows import DAY, NOW, case_row, copy_cases, copy_life
from tests.support.reading_desk import DOMAIN, OTHER_BANK, Signs, desk

pytestmark = pytest.mark.database
LIFE = next(life for life in lives(seed=3, count=200, acts=30) if len(life.changes) > 5)


def run(
    pg: PgDatabase, home: Path, monkeypatch: pytest.MonkeyPatch, steps: Any, organisation: int = CENTRE
) -> None:
    """Calls `steps` in a thread while a server runs."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    @contextmanager
    def connected(args: Any) -> Iterator[GatewayClient]:
        tokens = LoginTokens(Signs(organisation), organisation, DOMAIN, lambda: NOW)
        with GatewayClient(url, tokens=tokens) as client:
            yield client

    monkeypatch.setattr(case_read, "connected", connected)

    async def serve() -> None:
        async with desk(pg, home, audience=url) as opened:
            await copy_life(opened.owner, LIFE)
            rows = [
                case_row(bytes([200 + at]) * 32, deadline=NOW + (at - 3) * DAY, provisional=at == 9, stage=8)
                for at in range(12)
            ]
            await copy_cases(opened.owner, rows)
            server = uvicorn.Server(uvicorn.Config(opened.app, port=port, log_level="error", lifespan="off"))
            task = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.02)
            try:
                await asyncio.to_thread(steps)
            finally:
                server.should_exit = True
                await task

    asyncio.run(serve())


def test_people_and_programs_read_lists_cases_timelines_and_calendars(
    pg: PgDatabase,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def said(*arguments: str) -> str:
        assert main(["--lang", "zh", "case", *arguments]) == 0
        return capsys.readouterr().out

    def steps() -> None:
        text = said("list", "--stage", "MEDIATING")
        assert text.splitlines()[0].startswith("案件")
        assert len(text.splitlines()) == 14  # head, 12 cases, note on the provisional one
        assert "调解中 MEDIATING" in text
        assert "逾期" in text
        short = said("list", "--limit", "5")
        cursor = short.split("--cursor ")[1].split()[0]
        rest = json.loads(said("list", "--json", "--cursor", cursor, "--all"))
        assert (len(rest["items"]), rest["next"]) == (8, None)
        everything = json.loads(said("list", "--json", "--all"))
        assert len(everything["items"]) == 13
        shown = said("show", ("c9" * 32)[:9])
        assert "银行把这起纠纷提交到中心" in shown
        assert "c9" * 32 in shown
        timeline = said("timeline", LIFE.case_id.hex())
        assert timeline.count("区块 1，") == len(LIFE.changes)
        assert main(["--lang", "en", "case", "timeline", LIFE.case_id.hex()]) == 0
        assert "block 1," in capsys.readouterr().out
        late = said("deadlines", "--overdue")
        assert len(late.splitlines()) >= 4
        path = tmp_path / "due.ics"
        said("deadlines", "--ics", str(path))
        assert len(list(icalendar.Calendar.from_ical(path.read_bytes()).walk("VEVENT"))) >= 12
        code = said("code", LIFE.case_id.hex(), "--days", "3")
        assert len([word for word in code.split() if word.count("-") == 6]) == 1
        assert "收回" in said("code", LIFE.case_id.hex(), "--revoke")

    run(pg, home, monkeypatch, steps)


def test_a_case_that_is_not_clear_or_not_yours_is_refused(
    pg: PgDatabase, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps() -> None:
        with case_read.connected(None) as client:  # type: ignore[arg-type]
            for given in ("c9", "xyz", "c9c9c9c9ff", "c9" * 33):
                with pytest.raises(case_read.CaseNameAmbiguous):
                    case_read.case_id_of(client, given)
            with pytest.raises(GatewayRefused) as refused:
                client.read_cases(f"cases/{LIFE.case_id.hex()}")
            assert refused.value.code == "CaseNotHere"
            with pytest.raises(case_read.CaseNameAmbiguous):
                case_read.case_id_of(client, LIFE.case_id.hex()[:62])

    run(pg, home, monkeypatch, steps, organisation=OTHER_BANK)


def test_columns_count_chinese_characters_as_two() -> None:
    assert width("案件 ab") == 7
