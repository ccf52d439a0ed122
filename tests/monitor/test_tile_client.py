"""Tiles over HTTP: whole, in time, over few connections; whatever else comes is withheld, never believed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monitor.errors import TilesWithheld
from monitor.tile_client import HttpTiles
from protocol.hashing import HASH_LEN
from tests.support.evidence import run

LOG = bytes(range(32))
Answer = Callable[[BaseHTTPRequestHandler], object]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Answer
    connections: int
    paths: list[str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.answer(self)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[tuple[_Server, str]]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer, server.connections, server.paths = answer, 0, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def plain(data: bytes, status: int = 200) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def chunked(*parts: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for part in (*parts, b""):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    return answer


async def fetch(url: str, width: int = 2, *, seconds: float = 20.0, times: int = 1) -> list[bytes]:
    tiles = HttpTiles(url, seconds=seconds, at_once=1)
    try:
        return [await tiles.tile(LOG, 1, 0, 1234, width) for _ in range(times)]
    finally:
        await tiles.aclose()


def test_tiles_come_over_kept_connections_and_have_the_layout_s_names() -> None:
    data = bytes(range(64))

    async def scenario(url: str) -> None:
        tiles = HttpTiles(url + "/base/", at_once=3)
        found = await asyncio.gather(*(tiles.tile(LOG, n % 2, 0, 1234, 2) for n in range(40)))
        await tiles.aclose()
        assert found == [data] * 40

    with serving(plain(data)) as (server, url):
        run(scenario(url))
        assert server.connections <= 3
        path = f"/base/v1/logs/{LOG.hex()}"
        assert set(server.paths) == {
            f"{path}/tile/0/x001/234.p/2", f"{path}/sm3/tile/0/x001/234.p/2",
        }  # fmt: skip


def test_a_body_in_chunks_is_read_to_its_end_and_the_connection_kept() -> None:
    with serving(chunked(bytes(40), bytes(24))) as (server, url):
        assert run(fetch(url, times=3)) == [bytes(64)] * 3
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        plain(bytes(63)), plain(bytes(65)), plain(bytes(0)), plain(bytes(64), 404), plain(bytes(64), 302),
        plain(bytes(64), 206), chunked(bytes(63)), chunked(bytes(64), bytes(1)), chunked(bytes(65)),
        lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\nshort"),
    ],
    ids=[
        "short", "long", "empty", "404", "redirect", "206", "chunks-short", "chunks-more", "chunks-long",
        "no-http", "cut-off",
    ],
)  # fmt: skip
def test_anything_but_the_whole_tile_is_withheld(answer: Answer) -> None:
    def once(handler: BaseHTTPRequestHandler) -> None:
        answer(handler)
        handler.close_connection = True

    with serving(once) as (_, url), pytest.raises(TilesWithheld):
        run(fetch(url))


def test_a_connection_that_was_closed_while_idle_is_opened_again() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        plain(bytes(64))(handler)
        handler.close_connection = True  # without saying so

    with serving(answer) as (server, url):
        assert run(fetch(url, times=3)) == [bytes(64)] * 3
        assert server.connections == 3


def test_an_answer_that_never_ends_is_given_up_and_the_thread_comes_back() -> None:
    release = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n")
        with contextlib.suppress(OSError):
            while not release.wait(0.02):
                handler.wfile.write(b"")
                handler.wfile.flush()
        handler.close_connection = True

    async def scenario(url: str) -> None:
        before = threading.active_count()
        with pytest.raises(TilesWithheld, match="no answer"):
            await fetch(url, seconds=0.3)
        # `aclose` waited for the thread: it was woken, although the server still holds the connection.
        assert threading.active_count() <= before + 2

    with serving(drip) as (_, url):
        run(scenario(url))
        release.set()


def test_whoever_stops_waiting_leaves_no_thread_in_the_socket() -> None:
    release = threading.Event()

    async def scenario(url: str) -> None:
        tiles = HttpTiles(url, seconds=60.0)
        task = asyncio.create_task(tiles.tile(LOG, 0, 0, 0, 2))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await tiles.aclose()

    with serving(lambda _: release.wait(30)) as (_, url):
        run(scenario(url), seconds=20)
        release.set()


@pytest.mark.parametrize("url", ["ftp://x/", "x", "", "http://", "https:///a", "http://x:99999999/"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(TilesWithheld):
        run(fetch(url))


def test_nobody_there_is_withheld() -> None:
    with serving(plain(b"")) as (server, url):
        port = server.server_address[1]
    assert port
    with pytest.raises(TilesWithheld):
        run(fetch(url))


def test_the_widest_tile_is_eight_kibibytes() -> None:
    data = bytes(256 * HASH_LEN)
    with serving(plain(data)) as (_, url):
        assert run(fetch(url, 256)) == [data]
