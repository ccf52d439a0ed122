"""The peer for durable accept: Tessera's POSIX log, run from its public Go module where Go is present.

The module's command is an HTTP server, so that is what is compared: one leaf a request, 512 connections, the
answer after the entry is durable and has its index. It checks no signature and keeps no unique key on disk.
Our client shares the machine with it; its share of a core is reported.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.load import LoadResult, drive, http_request
from benchmarks.rows import BenchFailed, Beside, Figure, Options
from protocol.i18n import Text

MODULE = "github.com/transparency-dev/tessera/cmd/conformance/posix@v1.0.4"
BUILD_SECONDS = 300.0
"""The first build fetches and compiles the module; later ones take it from Go's cache."""
LEAF_BYTES = 112
_NO_GO = Text("Tessera POSIX：本机没有 Go", "Tessera POSIX: no Go on this machine")
_NOT_STARTED = Text("Tessera POSIX：未能启动", "Tessera POSIX: did not start")


def beside(options: Options) -> list[Beside]:
    """Entries a second at 512 connections and at one; a name that says why where it cannot run."""
    go = shutil.which("go")
    if go is None:
        return [Beside(_NO_GO)]
    folder = options.folder / "tessera"
    folder.mkdir()
    try:
        with _server(go, folder) as port:
            one = _load(port, connections=1, count=options.pick(4, 2))
            many = _load(port, connections=512, count=options.pick(90_000, 30_000))
    except BenchFailed:
        return [Beside(_NOT_STARTED)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    share = many.cpu_seconds / many.seconds
    return [
        Beside(
            Text(
                f"Tessera POSIX（经 HTTP，512 连接，不验签；客户端占 {share:.0%} 核）",
                f"Tessera POSIX (over HTTP, 512 connections, no signatures; client {share:.0%} of a core)",
            ),
            Figure(many.rate_within(0.1, 0.95), "leaves/s"),
        ),
        Beside(
            Text("Tessera POSIX（经 HTTP，单连接）", "Tessera POSIX (over HTTP, one connection)"),
            Figure(one.rate, "leaves/s"),
        ),
    ]


def _load(port: int, *, connections: int, count: int) -> LoadResult:
    # Every entry differs, or the log answers from its memory of the last ones.
    requests = [http_request("POST", "/add", "127.0.0.1", os.urandom(LEAF_BYTES)) for _ in range(count)]
    result = drive(("127.0.0.1", port), requests, connections)
    if set(result.statuses) != {200}:
        raise BenchFailed(f"the peer answered {dict(result.statuses)}")
    return result


@contextlib.contextmanager
def _server(go: str, folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    log = folder / "log"
    log.mkdir()
    env = os.environ | {"LOG_PRIVATE_KEY": note_signer("bench.localhost/log")}
    command = [go, "run", MODULE, f"--storage_dir={log}", f"--listen=127.0.0.1:{port}"]
    with (folder / "output").open("wb") as sink:
        # `go run` starts the program as its child: a group of their own, to end both.
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        _wait(port, process)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + BUILD_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise BenchFailed("the peer did not start")


def note_signer(name: str) -> str:
    """A fresh key as C2SP signed-note writes a signer: PRIVATE+KEY+name+hash+base64(algorithm ‖ seed)."""
    key = Ed25519PrivateKey.generate()
    public = b"\x01" + key.public_key().public_bytes_raw()
    digest = hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8]
    secret = base64.b64encode(b"\x01" + key.private_bytes_raw()).decode()
    return f"PRIVATE+KEY+{name}+{digest}+{secret}"
