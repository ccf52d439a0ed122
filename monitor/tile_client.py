"""Tiles over HTTP: a few kept-alive connections, each with a thread of its own.

A catch-up asks for hundreds of small tiles a second. The standard library's client costs a tenth of a
millisecond for each; an asynchronous one with a shared pool cost several.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from monitor.errors import TilesWithheld
from protocol.hashing import HASH_LEN
from protocol.tilepath import tile_path

AT_ONCE = 8
"""Connections, and so tiles asked for at the same time."""
TILE_SECONDS = 20.0
"""For one tile, from the first byte sent to the last one read."""


class HttpTiles:
    """Tiles of a gateway, or of another mirror. Belongs to one event loop; close with `aclose`.

    No redirect is followed and no proxy of the environment is used.
    """

    def __init__(self, url: str, *, seconds: float = TILE_SECONDS, at_once: int = AT_ONCE) -> None:
        """`url`: `http://` or `https://`. Raises TilesWithheld for anything else."""
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        if parts.scheme not in ("http", "https") or not self._host:
            raise TilesWithheld("the address is not http or https", field="gateway")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._base = parts.path.rstrip("/")
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(at_once, "tiles")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._open: set[HTTPConnection] = set()

    async def aclose(self) -> None:
        """Close connections; a request under way ends as withheld."""
        with self._lock:
            for one in self._open:
                _break(one)
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        for one in self._open:
            one.close()

    async def tile(self, log_id: bytes, algorithm: int, level: int, index: int, width: int) -> bytes:
        """`width` hashes. Raises TilesWithheld."""
        tree = "/sm3" if algorithm else ""
        path = f"/v1/logs/{log_id.hex()}{tree}/tile/{level}/{tile_path(index, width)}"
        used: list[HTTPConnection] = []
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._get, path, width, used)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(work)
        except TimeoutError:
            raise TilesWithheld(f"{path}: no answer in {self._seconds:g} s") from None
        finally:
            if not work.done():
                # The thread sits in the socket; taking that away is what wakes it.
                work.cancel()
                for one in used:
                    _break(one)
                work.add_done_callback(_passed_over)

    def _get(self, path: str, width: int, used: list[HTTPConnection]) -> bytes:
        """In a thread. A connection that was idle may have been closed by the other side: once more."""
        try:
            for fresh in (False, True):
                connection = self._connection(fresh)
                reused = connection.sock is not None
                used[:] = [connection]
                try:
                    return self._read(connection, path, width)
                except (ConnectionError, HTTPException):
                    connection.close()
                    if not reused:
                        raise
                except BaseException:
                    connection.close()
                    raise
        except (OSError, HTTPException, ValueError) as error:
            raise TilesWithheld(f"{path}: {type(error).__name__}") from None
        raise TilesWithheld(f"{path}: the connection was closed")

    def _read(self, connection: HTTPConnection, path: str, width: int) -> bytes:
        connection.request("GET", self._base + path, headers={"accept-encoding": "identity"})
        answer: HTTPResponse = connection.getresponse()
        if answer.status != 200:
            connection.close()
            raise TilesWithheld(f"{path}: HTTP {answer.status}")
        data = answer.read(width * HASH_LEN + 1)
        if len(data) != width * HASH_LEN:
            connection.close()
            raise TilesWithheld(f"{path}: {len(data)} bytes")
        if not answer.isclosed() and answer.read(1):
            connection.close()
            raise TilesWithheld(f"{path}: more than {width} hashes")
        return data

    def _connection(self, fresh: bool) -> HTTPConnection:
        """This thread's own."""
        found: HTTPConnection | None = getattr(self._own, "connection", None)
        if found is not None and not fresh:
            return found
        if found is not None:
            found.close()
        if self._tls is None:
            made = HTTPConnection(self._host, self._port, timeout=self._seconds)
        else:
            made = HTTPSConnection(self._host, self._port, timeout=self._seconds, context=self._tls)
        with self._lock:
            self._open.discard(found or made)
            self._open.add(made)
        self._own.connection = made
        return made


def _break(connection: HTTPConnection) -> None:
    """Wake the thread that reads from it."""
    held = connection.sock
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)


def _passed_over(work: asyncio.Future[bytes]) -> None:
    """Nobody waits for it any more."""
    if not work.cancelled():
        work.exception()
