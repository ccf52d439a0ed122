"""Every answer is a document with a code; bodies are limited while they arrive; nothing leaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger_gateway import logs
from ledger_gateway.app import build
from ledger_gateway.edge import Edge, read_body
from ledger_gateway.metrics import Metrics
from ledger_gateway.problems import TooManyRequests, http_status
from ledger_gateway.rate import RateLimiter
from protocol.errors import LimitExceeded, MalformedInput

MEMBERS = {"type", "status", "instance", "code", "title", "detail", "field", "hint"}


def call(app: ASGIApp, method: str = "GET", path: str = "/x", **arguments: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=Edge(app, Metrics()))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(once())


def raising(error: Exception) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(scope, receive, 100, 0.3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(body)})


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert set(document) == MEMBERS
    assert document["status"] == answer.status_code
    return document


def test_fault_of_ours_says_nothing_of_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    answer = call(raising(RuntimeError("password=hunter2")))
    document = problem(answer)
    assert (answer.status_code, document["code"]) == (500, "InternalError")
    assert "hunter2" not in answer.text
    logged = capsys.readouterr().err
    assert "hunter2" not in logged
    assert document["instance"].rsplit(":", 1)[1] in logged


def test_database_that_is_away_is_no_fault_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info")

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncpg.connect(host=str(tmp_path), user="u", password="p", database="d", timeout=2)

    answer = call(reads)
    assert (answer.status_code, problem(answer)["code"]) == (503, "DatabaseUnavailable")
    assert answer.headers["retry-after"] == "1"
    assert str(tmp_path) not in capsys.readouterr().err


def test_other_system_error_is_not_taken_for_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    assert problem(call(raising(ConnectionResetError("other"))))["code"] == "InternalError"


def test_known_error_keeps_code_field_and_hint() -> None:
    document = problem(call(raising(MalformedInput("no", field="body", hint="do"))))
    assert (document["code"], document["field"], document["hint"]) == ("MalformedInput", "body", "do")


@pytest.mark.parametrize(("status", "error"), [(422, MalformedInput()), (413, LimitExceeded())])
def test_status_follows_the_class(status: int, error: MalformedInput) -> None:
    assert call(raising(error)).status_code == status == http_status(error)


def test_rate_answer_says_when_to_come_back() -> None:
    answer = call(raising(TooManyRequests("x", retry_after=2.4)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("DELETE", "/healthz", 405, "MethodNotAllowed"),
        ("GET", "/v1/evidence?limit=x", 401, "NotAuthenticated"),
    ],
)
def test_framework_errors_are_documents_too(method: str, path: str, status: int, code: str) -> None:
    app = build()
    app.state.gateway = _Nobody()
    document = problem(call(app, method, path))
    assert (document["status"], document["code"]) == (status, code)


class _Nobody:
    """A gateway that nobody may use."""

    class auth:
        @staticmethod
        def organisation(_header: bytes | None) -> int:
            from ledger_gateway.problems import NotAuthenticated

            raise NotAuthenticated


def test_declared_length_over_the_limit_is_refused_unread() -> None:
    assert problem(call(echo, "POST", content=b"x" * 101))["code"] == "BodyTooLarge"
    assert call(echo, "POST", content=b"x" * 100).text == "100"


def test_body_without_length_is_cut_off_while_it_streams() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000:
            sent += 1
            yield b"x" * 10

    assert problem(call(echo, "POST", content=endless()))["code"] == "BodyTooLarge"


def test_body_that_trickles_is_given_up() -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x"
            await asyncio.sleep(0.1)

    # The test transport reads the generator itself, so the trickle is shown to `read_body` directly.
    async def trickle() -> None:
        source = slow()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": await anext(source), "more_body": True}

        await read_body({"headers": []}, receive, 100, 0.3)

    with pytest.raises(Exception, match="too long"):
        asyncio.run(trickle())


def test_request_id_is_kept_when_well_formed_and_replaced_otherwise() -> None:
    assert call(echo, headers={"x-request-id": "abcdefgh-1"}).headers["x-request-id"] == "abcdefgh-1"
    for bad in ("short", "x" * 65, "with space!"):
        assert call(echo, headers={"x-request-id": bad}).headers["x-request-id"] != bad


def test_log_lines_drop_fields_that_are_not_on_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.get("t").info("happened", status=200, path="/客户/张三", digest="ab" * 32)
    line = json.loads(capsys.readouterr().err)
    assert line["status"] == 200
    assert not {"path", "digest"} & set(line)


def test_rate_limiter_refuses_refills_and_keeps_organisations_apart() -> None:
    now = 0.0
    limiter = RateLimiter(2.0, 3.0, lambda: now)
    for _ in range(3):
        limiter.take(1)
    with pytest.raises(TooManyRequests) as caught:
        limiter.take(1)
    assert caught.value.retry_after == pytest.approx(0.5)
    limiter.take(2)
    now = 0.5
    limiter.take(1)
    with pytest.raises(TooManyRequests):
        limiter.take(1)


def test_metrics_have_routes_not_paths() -> None:
    metrics = Metrics()

    async def twice() -> None:
        transport = httpx.ASGITransport(app=Edge(build(), metrics))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            await client.get("/healthz")
            await client.get("/secret/13800000000")

    asyncio.run(twice())
    text = metrics.render().decode()
    assert 'route="/healthz"' in text
    assert "13800000000" not in text


def test_openapi_names_every_route_with_its_errors() -> None:
    schema = build().openapi()
    submit = schema["paths"]["/v1/logs/{logId}/submissions"]["post"]
    assert set(submit["requestBody"]["content"]) == {"application/cbor", "application/json"}
    assert {"401", "403", "409", "413", "422", "429", "503"} <= set(submit["responses"])
    assert "SubmissionDocument" in schema["components"]["schemas"]
    wanted = {
        "/v1/evidence", "/v1/evidence/find", "/v1/evidence/{evidence_id}",
        "/v1/evidence/{evidence_id}/receipt", "/v1/receipts", "/v1/blobs/{cid}", "/v1/acts",
        "/v1/organisations",
        "/v1/logs", "/v1/status", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    assert wanted <= set(schema["paths"])
    body = schema["paths"]["/v1/blobs/{cid}"]["put"]["requestBody"]["content"]
    assert "application/octet-stream" in body
