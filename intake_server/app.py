"""The service's HTTP: tus 1.0.0 for the bank's file, then what is in it, and the sealed batch. Pure ASGI.

docs/spec/intake.md. Every answer is for the organisation of the login act alone; nothing of a row
is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

from agent.intake.store import BatchState, IntakeStore
from intake_server.desk import Desk, import_of
from intake_server.errors import (
    UploadChecksumWrong,
    UploadCutOff,
    UploadHeaderInvalid,
    UploadNotChecked,
    UploadTooLarge,
    UploadTooSlow,
)
from intake_server.shelf import Shelf, Upload, Writer
from intake_server.tus import ALGORITHMS, EXTENSIONS, MEDIA_TYPE, VERSION, Checksum, Headers
from ledger_gateway.edge import read_body
from ledger_gateway.problems import (
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Problem,
    UnsupportedMediaType,
)
from protocol import expect
from protocol.errors import CaseledgerError
from protocol.identifiers import parse_hex32

ROOT = "/v1/uploads"
_UPLOAD = re.compile(rf"{ROOT}/([0-9a-f]{{32}})(/state|/errors|/confirm)?")
_BATCH = re.compile(r"/v1/batches/([0-9a-f]{64})(/file)?")
MAX_JSON = 4096
_GO_ON = "go on from the offset"
PIECE = 1 << 20
_NO_BODY: list[tuple[bytes, bytes]] = [(b"content-length", b"0")]


class Login(Protocol):
    """Who calls; see `ledger_gateway.auth.Authenticator`."""

    def organisation(self, authorization: bytes | None) -> int: ...


class Pace:
    """How slow a body may come: silent for `idle` seconds; after `grace`, `rate` bytes a second."""

    def __init__(self, idle: float = 10.0, grace: float = 20.0, rate: float = 8192.0) -> None:
        self.idle, self.grace, self.rate = idle, grace, rate

    def check(self, seconds: float, count: int) -> None:
        """Raises UploadTooSlow."""
        if seconds > self.grace and count < (seconds - self.grace) * self.rate:
            raise UploadTooSlow(f"under {self.rate:.0f} bytes a second", field="body", hint=_GO_ON)


class Intake:
    """The ASGI application. `wake` says that an upload waits for the desk."""

    def __init__(
        self, home: Path, shelf: Shelf, desk: Desk, login: Login, organisations: frozenset[int],
        wake: Callable[[Upload], None], pace: Pace | None = None,
    ) -> None:  # fmt: skip
        """`organisations`: who may upload here; nobody else, whatever key signs."""
        self._home, self._shelf, self._desk = home, shelf, desk
        self._login, self._organisations, self._wake = login, organisations, wake
        self._pace = pace or Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except CaseledgerError as error:
            # tus names 400 where the gateway says 422.
            problem = Problem(error, scope["request_id"], error.http_status)
            headers = [*problem.headers, (b"tus-resumable", VERSION)]
            if problem.status == 412:
                headers.append((b"tus-version", VERSION))
            if problem.status == 423:
                headers.append((b"retry-after", b"5"))
            body = b"" if scope["method"] == "HEAD" else problem.body
            await _answer(send, problem.status, headers, body)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope["headers"])
        method = headers.method(scope["method"])
        path = scope["path"]
        scope["route_template"] = _template(path)
        if path == "/healthz" and method == "GET":
            return await _answer(send, 200, [], b"ok")
        found, batch = _UPLOAD.fullmatch(path), _BATCH.fullmatch(path)
        if method == "OPTIONS" and (path == ROOT or found):
            return await self._options(send)
        if path != ROOT and found is None and batch is None:
            raise NotFound("no such path")
        organisation = self._caller(headers)
        if batch is not None:
            return await self._batch(organisation, batch[1], batch[2], method, send)
        if found is None:
            _only(method, "POST")
            headers.version()
            return await self._create(organisation, headers, send)
        upload = self._shelf.find(organisation, found[1])
        if found[2] is None:
            headers.version()
            _only(method, "HEAD", "PATCH", "DELETE")
            if method == "HEAD":
                return await self._head(upload, send)
            if method == "PATCH":
                return await self._patch(upload, headers, receive, send)
            self._shelf.remove(upload)
            return await _answer(send, 204, _tus())
        if found[2] == "/state":
            _only(method, "GET")
            return await _json(send, self._desk.state(upload))
        if found[2] == "/errors":
            _only(method, "GET")
            return await self._errors(upload, send)
        _only(method, "POST")
        return await self._confirm(upload, scope, receive, send)

    def _caller(self, headers: Headers) -> int:
        organisation = self._login.organisation(headers.get("Authorization"))
        if organisation not in self._organisations:
            raise Forbidden("this service does not take files of this organisation")
        return organisation

    # tus

    async def _options(self, send: Send) -> None:
        await _answer(
            send, 204,
            [
                (b"tus-resumable", VERSION), (b"tus-version", VERSION), (b"tus-extension", EXTENSIONS),
                (b"tus-max-size", b"%d" % self._shelf.limits.file),
                (b"tus-checksum-algorithm", ",".join(ALGORITHMS).encode()),
            ],
        )  # fmt: skip

    async def _create(self, organisation: int, headers: Headers, send: Send) -> None:
        if headers.get("Upload-Defer-Length") is not None:
            raise UploadHeaderInvalid("the length is to be known", field="Upload-Defer-Length")
        if headers.get("Upload-Concat") is not None:
            raise UploadHeaderInvalid("parts are not joined here", field="Upload-Concat")
        length = headers.number("Upload-Length")
        self._shelf.expire()
        upload = await asyncio.to_thread(self._shelf.create, organisation, length, headers.metadata())
        if length == 0:
            self._wake(upload)
        location = (b"location", f"{ROOT}/{upload.id}".encode())
        await _answer(send, 201, [*_tus(upload), location, (b"upload-offset", b"0")])

    async def _head(self, upload: Upload, send: Send) -> None:
        offset = self._shelf.offset(upload)
        await _answer(
            send, 200,
            [
                *_tus(upload), (b"upload-offset", b"%d" % offset), (b"upload-length", b"%d" % upload.length),
                (b"cache-control", b"no-store"),
            ],
        )  # fmt: skip

    async def _patch(self, upload: Upload, headers: Headers, receive: Receive, send: Send) -> None:
        if headers.get("Content-Type") != MEDIA_TYPE:
            raise UnsupportedMediaType(f"{MEDIA_TYPE.decode()} is expected", field="content-type")
        offset, checksum = headers.number("Upload-Offset"), headers.checksum()
        announced = headers.content_length()
        with self._shelf.writing(upload, offset, checksum is not None) as writer:
            if announced is not None and offset + announced > upload.length:
                raise UploadTooLarge("more than Upload-Length", field="Content-Length")
            await self._append(writer, checksum, receive)
        if writer.offset == upload.length:
            self._wake(upload)
        await _answer(send, 204, [*_tus(upload), (b"upload-offset", b"%d" % writer.offset)])

    async def _append(self, writer: Writer, checksum: Checksum | None, receive: Receive) -> None:
        """With a checksum all of it counts or nothing; without, whatever arrived."""
        whole = False
        try:
            async for piece in self._pieces(receive):
                if checksum is not None:
                    checksum.update(piece)
                writer.write(piece)
            whole = True
        finally:
            # Also when the connection broke: what is here need not be sent again.
            if checksum is None and not whole:
                writer.keep()
        if checksum is not None and not checksum.holds():
            raise UploadChecksumWrong("what arrived is not what was sent", field="Upload-Checksum")
        await asyncio.to_thread(writer.keep)

    async def _pieces(self, receive: Receive) -> AsyncIterator[bytes]:
        begin, count = time.monotonic(), 0
        while True:
            try:
                async with asyncio.timeout(self._pace.idle):
                    message: Message = await receive()
            except TimeoutError:
                raise UploadTooSlow("nothing came", field="body", hint=_GO_ON) from None
            if message["type"] == "http.disconnect":
                raise UploadCutOff("the client went away", field="body")
            piece = message.get("body", b"")
            count += len(piece)
            if piece:
                yield piece
            if not message.get("more_body", False):
                return
            self._pace.check(time.monotonic() - begin, count)

    # after the upload

    async def _errors(self, upload: Upload, send: Send) -> None:
        await _file(send, self._desk.errors_file(upload), f"errors{upload.suffix}")

    async def _confirm(self, upload: Upload, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, MAX_JSON, self._pace.idle)
        document = expect.json_object(body, "body", ("preview",), max_bytes=MAX_JSON)
        self._desk.confirm(upload, expect.text(document["preview"], "preview", 64))
        self._wake(upload)
        await _json(send, self._desk.state(upload), 202)

    async def _batch(self, organisation: int, name: str, part: str | None, method: str, send: Send) -> None:
        _only(method, "GET")
        with IntakeStore(self._home, organisation) as store:
            batch = store.batch(parse_hex32(name, "batch"))
            path = store.file_path(batch.id)
            if part is not None:
                if batch.state is BatchState.MAKING:
                    raise UploadNotChecked("the batch is being sealed", field="batch")
                return await _file(send, path, path.name)
            await _json(
                send,
                {
                    "batch": name, "state": str(batch.state), "count": batch.expected, "sealed": batch.sealed,
                    "root": batch.root.hex() if batch.root else None, "length": batch.length,
                    "summary": batch.summary, "import": import_of(store, batch),
                },
            )  # fmt: skip


def _only(method: str, *methods: str) -> None:
    if method not in methods:
        raise MethodNotAllowed(f"{', '.join(methods)} only")


def _template(path: str) -> str:
    """The path without ids: what is counted."""
    return re.sub(r"/[0-9a-f]{32,64}(?=/|$)", "/{id}", path) if len(path) < 128 else "unmatched"


def _tus(upload: Upload | None = None) -> list[tuple[bytes, bytes]]:
    headers = [(b"tus-resumable", VERSION)]
    if upload is not None:
        headers.append((b"upload-expires", formatdate(upload.expires, usegmt=True).encode()))
    return headers


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    if not any(name == b"content-length" for name, _ in headers) and status != 204:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _json(send: Send, value: Any, status: int = 200) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    await _answer(send, status, [(b"content-type", b"application/json")], body)


async def _file(send: Send, path: Path, name: str) -> None:
    """A file, streamed; who removes it meanwhile leaves what was opened."""
    with path.open("rb") as source:
        size = source.seek(0, 2)
        source.seek(0)
        headers = [
            (b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while piece := await asyncio.to_thread(source.read, PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
