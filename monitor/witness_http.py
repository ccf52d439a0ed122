"""The witness over HTTP: C2SP tlog-witness `POST /add-checkpoint`, and `GET /status` for whoever runs it.

Errors are text with the code first; `x-caseledger-code` repeats it, because the body of 409 is the size.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from monitor.errors import OldSizeMismatch, SplitView, WitnessRequestMalformed
from monitor.witness import MAX_REQUEST, Witness
from protocol.errors import CaseledgerError

SIZE_TYPE = "text/x.tlog.size"
CODE_HEADER = "x-caseledger-code"
BODY_SECONDS = 10.0
CONCURRENT = 64
BACKLOG = 128

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WitnessApp:
    """ASGI application around one witness."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        where = (scope["method"], scope["path"])
        if where == ("POST", "/add-checkpoint"):
            await self._add(receive, send)
        elif where == ("GET", "/status"):
            body = json.dumps(self._witness.describe(), ensure_ascii=False).encode() + b"\n"
            await _answer(send, 200, body, "application/json")
        else:
            await _answer(send, 404, b"NotFound\n", code="NotFound")

    async def _add(self, receive: Receive, send: Send) -> None:
        try:
            line = await self._witness.add_checkpoint(await _body(receive))
        except (OldSizeMismatch, SplitView) as error:
            if error.size is None:
                await _answer(send, error.http_status, _text(error), code=error.code)
            else:
                await _answer(send, 409, b"%d\n" % error.size, SIZE_TYPE, error.code)
        except CaseledgerError as error:
            await _answer(send, error.http_status, _text(error), code=error.code)
        else:
            await _answer(send, 200, line)


def _text(error: CaseledgerError) -> bytes:
    return f"{error.code}: {error.detail}\n".encode()


async def _body(receive: Receive) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise WitnessRequestMalformed("the request ended early", field="body")
                data += message.get("body", b"")
                if len(data) > MAX_REQUEST:
                    raise WitnessRequestMalformed(f"over {MAX_REQUEST} bytes", field="body")
                if not message.get("more_body"):
                    return bytes(data)
    except TimeoutError:
        raise WitnessRequestMalformed("the request's body did not come", field="body") from None


async def _answer(
    send: Send, status: int, body: bytes, kind: str = "text/plain; charset=utf-8", code: str | None = None
) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    if code is not None:
        headers.append((CODE_HEADER.encode(), code.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(witness: Witness, host: str, port: int) -> None:
    """Answer until SIGTERM or SIGINT; requests that are in work come to their end."""
    import uvicorn

    config = uvicorn.Config(
        WitnessApp(witness),
        host=host,
        port=port,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=CONCURRENT,
        timeout_graceful_shutdown=10,
    )
    await uvicorn.Server(config).serve()
