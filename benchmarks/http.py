"""HTTP accept over 64 kept-alive connections: single leaves and bulk, beside a bare framework route.

Everything is real: the gateway as `caseledger up` starts it, its PostgreSQL, its chain. Signatures are made
before the clock starts and verified by the gateway; a wrong one inside the run is refused. Client, gateway,
database and node share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent.profile import Profile, load_profile
from benchmarks.load import LoadResult, drive, http_request
from chain.networks.processes import free_ports
from cli.stack import Stack
from protocol.entry import Body, EvidenceClass, Header
from protocol.identifiers import case_commitment, case_ref
from protocol.submission import EntryBytes, Submission

CONNECTIONS = 64
CBOR = [("Content-Type", "application/cbor"), ("Accept", "application/cbor")]
VALIDITY = 3600
BULK_LEAVES = 500
"""Times 64 connections this stays below what the intake queue takes at once (32,768 leaves)."""


@dataclass(frozen=True)
class Row:
    """One line of the table. Rates a second, latencies in milliseconds."""

    name: str
    leaves_per_second: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    refused: int

    def as_json(self) -> dict[str, float | int | str]:
        return dict(vars(self))


def entries(organisation: int, count: int) -> list[EntryBytes]:
    """Distinct entries of realistic size (about 280 bytes of body)."""
    case = secrets.token_bytes(32)
    header = Header(EvidenceClass.CONTRACT, organisation, case_commitment(case)).pack()
    made = []
    for _ in range(count):
        salt = secrets.token_bytes(32)
        body = Body(
            content_sha256=secrets.token_bytes(32),
            content_sm3=secrets.token_bytes(32),
            content_size=123_456,
            media_type="application/pdf",
            salt=salt,
            case_ref=case_ref(salt, case),
        )
        made.append((header, body.encode()))
    return made


def signed_requests(profile: Profile, log_id: bytes, host: str, count: int, leaves: int) -> list[bytes]:
    """Ready-made submissions, one request each."""
    log = profile.logs[log_id]
    path = f"/v1/logs/{log_id.hex()}/submissions"
    until = int(time.time()) + VALIDITY
    out = []
    for _ in range(count):
        submission = Submission.sign(
            log_id=log_id,
            organisation=profile.organisation,
            valid_until=until,
            entries=entries(profile.organisation, leaves),
            domain=log.domain,
            key=profile.act_key,
        )
        out.append(http_request("POST", path, host, submission.encode(), CBOR))
    return out


def spoiled(request: bytes) -> bytes:
    """The same request with one bit of its signature turned; the frame stays whole."""
    at = request.index(b"\x04\x58\x41") + 3 + 40
    return request[:at] + bytes([request[at] ^ 1]) + request[at + 1 :]


def measure(name: str, address: tuple[str, int], requests: Sequence[bytes], leaves: int) -> Row:
    """Drives all requests; anything but 200 and the planted refusals is an error."""
    result: LoadResult = drive(address, requests, CONNECTIONS)
    good = result.statuses[200]
    refused = sum(count for status, count in result.statuses.items() if status in (401, 403))
    if good + refused != len(requests):
        raise RuntimeError(f"{name}: answers {dict(result.statuses)}")
    return Row(
        name,
        good * leaves / result.seconds,
        result.rate,
        1000 * result.percentile(0.50),
        1000 * result.percentile(0.99),
        refused,
    )


_BARE = """
import sys
import uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()
@app.post("/bare")
async def bare(request: Request) -> Response:
    await request.body()
    return Response(b"x" * 300, media_type="application/cbor")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False,
            log_level="error")
"""


@contextmanager
def bare_server() -> Iterator[tuple[str, int]]:
    """A FastAPI route that reads the body and answers, nothing else."""
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, "-c", _BARE, str(port)])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                drive(("127.0.0.1", port), [http_request("POST", "/bare", "h", b"x")], 1)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield "127.0.0.1", port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def run(home: Path, *, singles: int = 20_000, bulks: int = 200, leaves: int = BULK_LEAVES) -> list[Row]:
    """The table for the ledger under `home`, which must be up."""
    profile = load_profile(home)
    log_id = next(iter(profile.logs))
    parts = urlsplit(profile.gateways[0])
    address = (str(parts.hostname), int(parts.port or 80))
    host = f"{address[0]}:{address[1]}"
    rows = []
    single = signed_requests(profile, log_id, host, singles, 1)
    bulk = signed_requests(profile, log_id, host, bulks, leaves)
    with bare_server() as bare:
        body = single[0].split(b"\r\n\r\n", 1)[1]
        request = http_request("POST", "/bare", host, body, CBOR)
        rows.append(measure("bare framework route, single", bare, [request] * (singles // 2), 1))
        big = http_request("POST", "/bare", host, bulk[0].split(b"\r\n\r\n", 1)[1], CBOR)
        rows.append(measure("bare framework route, bulk", bare, [big] * bulks, leaves))
    measure("warm-up", address, signed_requests(profile, log_id, host, 500, 1), 1)
    wrong = [spoiled(request) for request in signed_requests(profile, log_id, host, 10, 1)]
    rows.append(
        measure("HTTP single", address, [*single[: singles // 2], *wrong, *single[singles // 2 :]], 1)
    )
    if rows[-1].refused != len(wrong):
        raise RuntimeError("a wrong signature was accepted")
    rows.append(measure("HTTP bulk", address, bulk, leaves))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':<32}{'leaves/s':>12}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'refused':>9}"]
    lines += [
        f"{r.name:<32}{r.leaves_per_second:>12,.0f}{r.requests_per_second:>12,.0f}"
        f"{r.p50_ms:>9.1f}{r.p99_ms:>9.1f}{r.refused:>9}"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a ledger that is up; else one is started and removed")
    parser.add_argument("--singles", type=int, default=20_000)
    parser.add_argument("--bulks", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clb-") as scratch:
        home = args.home or Path(scratch) / "h"
        stack = Stack(home)
        if args.home is None:
            stack.up()
        try:
            rows = run(home, singles=args.singles, bulks=args.bulks)
        finally:
            if args.home is None:
                stack.reset()
    if args.json:
        print(json.dumps([row.as_json() for row in rows]))
    else:
        print(f"{os.cpu_count()} cores, {CONNECTIONS} connections, bulk = {BULK_LEAVES} leaves a request")
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
