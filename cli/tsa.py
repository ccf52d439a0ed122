"""`caseledger tsa`: a time authority for development (RFC 3161), on loopback alone.

Its tokens are worth what this machine's clock is worth: it stands in for authorities that a court would name.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.i18n import Text, language

if TYPE_CHECKING:
    from argparse import _SubParsersAction
    from http.server import ThreadingHTTPServer

    from evidence.local_authority import LocalAuthority

FOLDER = "time"
LIST_PATH = "/revocation"
LIST_SECONDS = 3600.0
_SECONDS = 10.0
_TEXTS = {
    "name": Text("机构名，密钥在 time/NAME 下，没有则新建", "name; keys under time/NAME, made if missing"),
    "port": Text("回环地址上的端口（0：任取空闲）", "port on loopback; 0 takes a free one"),
    "home": Text("数据目录", "home folder"),
}


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser], help_text: str = "") -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser("tsa", help=help_text, description=help_text)
    lang = language()
    parser.add_argument("--name", default="time-a", metavar="NAME", help=_TEXTS["name"].choose(lang))
    parser.add_argument("--port", type=int, default=0, metavar="N", help=_TEXTS["port"].choose(lang))
    # Last, so that a process of ours is found by its home.
    parser.add_argument("--home", type=Path, metavar="DIR", help=_TEXTS["home"].choose(lang))


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    import signal
    from types import FrameType

    from evidence.local_authority import LocalAuthority

    home: Path | None = args.home
    if home is None:
        from ledger_gateway.settings import default_home

        home = default_home()
    authority = LocalAuthority.open(authority_folder(home, args.name), args.name)
    server = make_server(authority, args.port)

    def stop(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        server.server_close()
    return 0


def authority_folder(home: Path, name: str) -> Path:
    """Where the keys and certificates of a local authority lie."""
    return home / FOLDER / name


def make_server(authority: LocalAuthority, port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback: POST answers a request, GET /revocation gives the revocation list."""
    import time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from verifier.timetoken_request import ANSWER_TYPE, MAX_REQUEST, REQUEST_TYPE

    kept: list[tuple[float, bytes]] = []

    def revocation() -> bytes:
        now = time.monotonic()
        if not kept or now >= kept[0][0]:
            kept[:] = [(now + LIST_SECONDS, authority.revocation_list())]
        return kept[0][1]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("content-length", ""))
            except ValueError:
                return self._answer(411)
            if self.headers.get("content-type") != REQUEST_TYPE:
                return self._answer(415)
            if not 0 <= length <= MAX_REQUEST:
                return self._answer(413)
            return self._answer(200, ANSWER_TYPE, authority.answer(self.rfile.read(length)))

        def do_GET(self) -> None:
            if self.path != LIST_PATH:
                return self._answer(404)
            return self._answer(200, "application/pkix-crl", revocation())

        def _answer(self, status: int, kind: str = "text/plain", body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if status != 200:
                # What the client still sends is not read.
                self.send_header("connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """No line for each request."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server
