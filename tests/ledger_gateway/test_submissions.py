"""The accept route by itself: whom a request is charged to, and what it answers in which form."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
import pytest

from evidence.errors import Busy, KeyUnknown
from evidence.intake import Acceptor
from ledger_gateway.api.submissions import SubmissionRoute
from ledger_gateway.edge import Edge
from ledger_gateway.metrics import Metrics
from ledger_gateway.rate import RateLimiter
from protocol.errors import CaseledgerError
from protocol.submission import Acceptance, Submission
from tests.support.world import SUBMITTER, World

DATA = World().submission.encode()
ANSWER = Acceptance(b"p" * 90, b"s" * 64, 1, 0, 5, 0, ())


class Intake:
    """Answers, or raises what it is told to."""

    def __init__(self, error: CaseledgerError | None = None) -> None:
        self.error = error
        self.seen: list[Submission] = []

    async def accept(self, submission: Submission) -> Acceptance:
        self.seen.append(submission)
        if self.error is not None:
            raise self.error
        return ANSWER


class Bench:
    """The route with its limits in sight."""

    def __init__(self, error: CaseledgerError | None = None, *, per_organisation: float = 2) -> None:
        self.intake = Intake(error)
        self.now = 0.0
        self.limiter = RateLimiter(1.0, per_organisation, lambda: self.now)
        self.unproven = RateLimiter(1.0, 3.0, lambda: self.now)
        self.metrics = Metrics()
        route = SubmissionRoute(
            cast("Acceptor", self.intake), self.limiter, self.unproven, self.metrics,
            max_bytes=100_000, body_timeout=1.0,
        )  # fmt: skip
        self.app = Edge(route, self.metrics)

    def post(self, data: bytes = DATA, **headers: str) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                sent: dict[str, Any] = {"content-type": "application/cbor", **headers}
                return await client.post("/x", content=data, headers=sent)

        return asyncio.run(once())


def test_organisation_over_its_rate_is_told_when_to_come_back() -> None:
    bench = Bench()
    assert [bench.post().status_code for _ in range(3)] == [200, 200, 429]
    assert int(bench.post().headers["retry-after"]) >= 1
    assert len(bench.intake.seen) == 2
    bench.now += 1.5
    assert bench.post().status_code == 200


def test_forged_submissions_use_up_nobody_elses_rate() -> None:
    bench = Bench(KeyUnknown("no"))
    assert [bench.post().status_code for _ in range(3)] == [403] * 3
    assert bench.post().status_code == 429
    bench.intake.error = None
    bench.now += 1
    assert bench.post().status_code == 200
    bench.limiter.check(SUBMITTER)


def test_full_queue_is_nobodys_fault_and_says_when_to_come_back() -> None:
    bench = Bench(Busy("full", retry_after=4.0))
    for _ in range(6):
        answer = bench.post()
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (
            503,
            "4",
            "Busy",
        )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/cbor"),
        ("*/*", "application/cbor"),
        ("application/json", "application/json"),
        ("application/cbor", "application/cbor"),
    ],
)
def test_answer_has_the_form_that_is_asked_for(accept: str | None, kind: str) -> None:
    answer = Bench().post(DATA, **({} if accept is None else {"accept": accept}))
    assert answer.headers["content-type"] == kind
    parse = Acceptance.parse if kind.endswith("cbor") else Acceptance.from_json
    assert parse(answer.content) == ANSWER


def test_accepted_leaves_are_counted_under_the_routes_template() -> None:
    bench = Bench()
    bench.post()
    told = bench.metrics.render().decode()
    assert "caseledger_leaves_accepted_total 5.0" in told
    assert 'route="/v1/logs/{logId}/submissions",status="200"' in told
