"""The client believes nothing: sizes and shapes are checked, tokens go to their own gateway only."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from agent.client import MAX_RECEIPT, GatewayClient, UrlInvalid, origin_of
from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable

URL = "http://127.0.0.1:4000"


class Tokens:
    def __init__(self) -> None:
        self.audiences: list[str] = []

    def token(self, audience: str) -> str:
        self.audiences.append(audience)
        return "t"


def client(reply: Callable[[httpx.Request], httpx.Response], tokens: Tokens | None = None) -> GatewayClient:
    return GatewayClient(URL, tokens=tokens, transport=httpx.MockTransport(reply))


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://x", "http://", "127.0.0.1:80", "https://user:pw@x", "https://x/path", "https://x?q=1",
        "http://example.org", "http://127.0.0.1:99999", "http://[::1",
    ],
)  # fmt: skip
def test_url_that_is_no_gateway_address(url: str) -> None:
    with pytest.raises(UrlInvalid):
        origin_of(url)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000"),
        ("https://ledger.example", "https://ledger.example"),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_origin_is_the_audience(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_token_is_made_for_this_gateway_and_only_sent_where_needed() -> None:
    tokens, seen = Tokens(), []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"logs": [], "items": [], "next": None})

    with client(reply, tokens) as gateway:
        gateway.logs()
        gateway.list_evidence()
        gateway.submit(bytes(32), b"")
    assert tokens.audiences == [URL]
    assert seen == [None, "Bearer t", None]


def test_digest_goes_in_the_body_never_in_the_address() -> None:
    digest = b"\xab" * 32

    def reply(request: httpx.Request) -> httpx.Response:
        assert digest.hex() not in str(request.url)
        assert json.loads(request.content) == {"contentSha256": digest.hex()}
        return httpx.Response(200, json={"items": []})

    assert client(reply).find(digest) == []


def test_redirect_is_not_followed() -> None:
    with pytest.raises(GatewayAnswerInvalid):
        client(lambda r: httpx.Response(307, headers={"location": "http://127.0.0.1:1/"})).status()


def test_answer_over_the_limit_is_cut_off() -> None:
    with pytest.raises(GatewayAnswerInvalid):
        client(lambda r: httpx.Response(200, content=bytes(MAX_RECEIPT + 1))).receipt("ab" * 32)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"logs": 1}', b'{"logs": [{}]}', b"[" * 100_000])
def test_answer_of_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(GatewayAnswerInvalid):
        client(lambda r: httpx.Response(200, content=content)).logs()


def test_receipts_for_other_ids_than_asked_are_refused() -> None:
    answer = {"results": [{"id": "cd" * 32, "state": "PENDING"}]}
    with pytest.raises(GatewayAnswerInvalid):
        client(lambda r: httpx.Response(200, json=answer)).receipts(["ab" * 32])


def test_refusal_keeps_code_field_hint_and_pause() -> None:
    document = {"code": "Busy", "detail": "later\u202e\x1b[31m", "field": None, "hint": "wait"}
    with pytest.raises(GatewayRefused) as caught:
        client(lambda r: httpx.Response(503, json=document, headers={"retry-after": "7"})).status()
    error = caught.value
    assert (error.code, error.hint, error.retry_after, error.temporary) == ("Busy", "wait", 7.0, True)
    assert error.detail == "later[31m"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'"x"'])
def test_refusal_without_a_document_still_has_a_code(content: bytes) -> None:
    with pytest.raises(GatewayRefused) as caught:
        client(lambda r: httpx.Response(404, content=content)).status()
    assert (caught.value.code, caught.value.temporary) == ("Http404", False)


def test_no_answer_is_said_without_the_librarys_words() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("secret host detail")

    with pytest.raises(GatewayUnreachable) as caught:
        client(reply).status()
    assert "secret" not in caught.value.detail
