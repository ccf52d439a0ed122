"""`POST /v1/logs/{logId}/submissions`: the accept path, a plain ASGI application.

Everything that costs is done once: the body is read with its limit, parsed, checked and stored by
`evidence.intake`; there is no routing, validation model or middleware in between.
"""

from __future__ import annotations

from typing import Final

from starlette.types import Receive, Scope, Send

from evidence.errors import LogUnknown
from evidence.intake import Acceptor
from ledger_gateway.edge import header, read_body
from ledger_gateway.metrics import Metrics
from ledger_gateway.problems import UnsupportedMediaType
from ledger_gateway.rate import RateLimiter
from protocol.errors import CaseledgerError
from protocol.expect import from_hex
from protocol.submission import MAX_JSON_BYTES, Acceptance, Submission

CBOR: Final = b"application/cbor"
JSON: Final = b"application/json"
TEMPLATE: Final = "/v1/logs/{logId}/submissions"
UNPROVEN: Final = 0
"""Bucket of everybody who has not proved to be anybody: organisations start at 1."""
UNPROVEN_CODES: Final = (401, 403)


def path_of(log_id: bytes) -> str:
    """The route's path for one log."""
    return f"/v1/logs/{log_id.hex()}/submissions"


class SubmissionRoute:
    """Accepts for one log."""

    def __init__(
        self,
        acceptor: Acceptor,
        limiter: RateLimiter,
        unproven: RateLimiter,
        metrics: Metrics,
        *,
        max_bytes: int,
        body_timeout: float,
    ) -> None:
        self._acceptor = acceptor
        self._limiter = limiter
        self._unproven = unproven
        self._accepted = metrics.accepted
        self._max_bytes = max_bytes
        self._max_json = min(2 * max_bytes + 65_536, MAX_JSON_BYTES)
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_template"] = TEMPLATE
        kind = media_type(header(scope, b"content-type"))
        answer_kind = _wanted(header(scope, b"accept"), kind)
        limit = self._max_bytes if kind == CBOR else self._max_json
        body = await read_body(scope, receive, limit, self._body_timeout)
        acceptance = await self._accept(body, kind)
        content = acceptance.encode() if answer_kind == CBOR else acceptance.to_json().encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", answer_kind), (b"content-length", b"%d" % len(content))],
            }
        )
        await send({"type": "http.response.body", "body": content})

    async def _accept(self, body: bytes, kind: bytes) -> Acceptance:
        # Charged to the organisation only once its signature holds: nobody can spend another one's rate.
        self._unproven.check(UNPROVEN)
        try:
            submission = Submission.parse(body) if kind == CBOR else Submission.from_json(body)
            self._limiter.check(submission.organisation)
            acceptance = await self._acceptor.accept(submission)
        except CaseledgerError as error:
            if error.http_status < 500 and error.http_status != 429:
                self._unproven.charge(UNPROVEN)
            raise
        self._limiter.charge(submission.organisation)
        self._accepted.inc(acceptance.count)
        return acceptance


class OtherLogs:
    """The same route for a log that this gateway does not operate."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_template"] = TEMPLATE
        from_hex(scope["path_params"]["log_id"], "logId", 32)
        raise LogUnknown(
            "this gateway does not accept for this log", field="logId", hint="GET /v1/logs names its own"
        )


def media_type(value: bytes | None) -> bytes:
    """CBOR or JSON; nothing said is CBOR.

    Raises:
        UnsupportedMediaType
    """
    if value is None or value == CBOR:
        return CBOR
    name = value.split(b";", 1)[0].strip().lower()
    if name in (CBOR, JSON):
        return name
    raise UnsupportedMediaType("a submission is application/cbor or application/json", field="content-type")


def _wanted(accept: bytes | None, sent: bytes) -> bytes:
    """The answer's type: what is asked for, else what was sent."""
    if accept is None or accept == b"*/*":
        return sent
    if JSON in accept:
        return JSON
    return CBOR if CBOR in accept else sent
