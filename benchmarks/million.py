"""A million leaves through the gateway: its memory on the way, then finding one document among them.

The leaves come over HTTP in signed requests of 500, so every row is one that the product wrote. Requests are
made in portions between the stretches, because a million ready-made leaves would not fit in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

from benchmarks.http import CBOR
from benchmarks.ledger import Ledger, resident_mb, running
from benchmarks.load import drive, http_request
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row, percentile
from evidence.repository import Viewer
from evidence.service import EvidenceService
from evidence.vault import Vault
from ledger_gateway.context import VAULT_NAME
from protocol.acts import Role
from protocol.entry import check_body
from protocol.i18n import Text
from storage.cluster import Cluster
from storage.db import connect_pool

REQUEST = 500
CONNECTIONS = 16
WARM = 2
"""Stretches before memory has to be flat."""
SETTLE_SECONDS = 90.0


@dataclass
class Curve:
    """Resident memory in MB after each stretch; the first value is before any."""

    step: int
    gateway: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)


def rows(options: Options) -> Iterator[Row]:
    """Memory, then search."""
    step = options.pick(100_000, 20_000)
    with running(options.folder, 1) as ledger:
        ledger.must_refuse_forgery()
        curve, known = _load(ledger, step, 10)
        yield from _memory_rows(curve)
        settled = _settle(ledger, 10 * step)
        inside, bare = asyncio.run(_find(ledger, known, options.pick(2000, 500)))
        outside = _find_http(ledger, known, options.pick(500, 200))
    yield from _find_rows(10 * step, inside, bare, outside, settled)


def _load(ledger: Ledger, step: int, steps: int) -> tuple[Curve, list[bytes]]:
    """The memory curve, and some of the documents' digests."""
    submitter = ledger.submitter
    parts = urlsplit(ledger.profile.gateways[0])
    address = (str(parts.hostname), int(parts.port or 80))
    path = f"/v1/logs/{submitter.log_id.hex()}/submissions"
    dice = Random(1)  # noqa: S311 - which documents are looked for later
    gateway, worker = ledger.pid("gateway"), ledger.pid("worker")
    curve, known = Curve(step), []
    curve.gateway.append(resident_mb(gateway))
    curve.worker.append(resident_mb(worker))
    for _ in range(steps):
        requests = []
        for _ in range(step // REQUEST):
            entries = submitter.maker.make(REQUEST)
            body = submitter.submission(entries).encode()
            requests.append(http_request("POST", path, f"{address[0]}:{address[1]}", body, CBOR))
            known.append(check_body(dice.choice(entries)[1]).content_sha256)
        result = drive(address, requests, CONNECTIONS)
        if set(result.statuses) != {200}:
            raise BenchFailed(f"the gateway answered {dict(result.statuses)}")
        curve.gateway.append(resident_mb(gateway))
        curve.worker.append(resident_mb(worker))
    return curve, known


def _memory_rows(curve: Curve) -> Iterator[Row]:
    warm, last = curve.gateway[WARM], max(curve.gateway[WARM + 1 :])
    shown = " ".join(f"{value:.0f}" for value in curve.gateway)
    worker = " ".join(f"{value:.0f}" for value in curve.worker)
    total = (len(curve.gateway) - 1) * curve.step
    yield Row(
        "memory",
        Text(
            f"网关内存：HTTP 成批接收 {total:,} 条，预热（{WARM * curve.step:,} 条）后的最大值与其时之比",
            f"gateway memory over {total:,} leaves by HTTP bulk: highest after warm-up "
            f"({WARM * curve.step:,}) to then",
        ),
        Figure(last / warm, "share"),
        Reach("<=", Figure(1.1, "share"), Text("持平", "flat")),
        (Beside(Text("预热时", "at warm-up"), Figure(warm, "MB")),),
        Text(
            f"每 {curve.step:,} 条之后的常驻内存（MB）：网关 {shown}；后台任务 {worker}。",
            f"resident MB after every {curve.step:,} leaves: gateway {shown}; worker {worker}.",
        ),
        {"step": curve.step, "gateway": curve.gateway, "worker": curve.worker},
    )


def _settle(ledger: Ledger, leaves: int) -> bool:
    """Until all is anchored, so that nothing else is at work; False when that takes too long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        logs = ledger.client.status()["evidence"]["logs"]
        if all(log["proved"] >= log["accepted"] for log in logs) and logs[0]["accepted"] >= leaves:
            return True
        time.sleep(0.5)
    return False


async def _find(ledger: Ledger, known: list[bytes], count: int) -> tuple[list[float], list[float]]:
    """Seconds of each search through the service, and of the bare indexed look-up that it rests on."""
    vault = Vault.open(ledger.home / "keys" / VAULT_NAME)
    pool = await connect_pool(Cluster(ledger.home).dsn("gateway"))
    dice = Random(2)  # noqa: S311 - the order of look-ups
    took: list[float] = []
    bare: list[float] = []
    try:
        service = EvidenceService(pool, vault)
        viewer = Viewer(ledger.submitter.organisation, Role.BANK.mask)
        for turn in range(count + 50):
            wanted = dice.choice(known) if turn % 5 else dice.randbytes(32)
            started = time.perf_counter()
            found = await service.find_by_digest(wanted, viewer)
            seconds = time.perf_counter() - started
            if len(found) != (1 if turn % 5 else 0):
                raise BenchFailed(f"{len(found)} entries found for a document")
            if turn >= 50:
                took.append(seconds)
        async with pool.acquire() as conn:
            for _ in range(count):
                key = int.from_bytes(vault.tag(dice.choice(known)), "big", signed=True)
                started = time.perf_counter()
                await conn.fetch("SELECT leaf FROM evidence.entry WHERE tag_key = $1", key)
                bare.append(time.perf_counter() - started)
    finally:
        await pool.close()
    return took, bare


def _find_http(ledger: Ledger, known: list[bytes], count: int) -> list[float]:
    took = []
    for digest in Random(3).choices(known, k=count):  # noqa: S311 - the order of look-ups
        started = time.perf_counter()
        found = ledger.client.find(digest)
        took.append(time.perf_counter() - started)
        if len(found) != 1:
            raise BenchFailed("a document was not found over HTTP")
    return took


def _find_rows(
    leaves: int, inside: list[float], bare: list[float], outside: list[float], settled: bool
) -> Iterator[Row]:
    state = (
        Text("其时全部已上链", "all anchored by then")
        if settled
        else Text("上链仍在进行", "anchors still going on")
    )
    for key, what, took in (
        ("find", Text("在服务内", "in the service"), inside),
        ("find-http", Text("经 HTTP 与登录", "over HTTP with login"), outside),
    ):
        p50 = 1000 * percentile(took, 0.5)
        yield Row(
            key,
            Text(
                f"按摘要查找，{leaves:,} 条中，{what.zh}，p99",
                f"find by digest among {leaves:,} leaves, {what.en}, p99",
            ),
            Figure(1000 * percentile(took, 0.99), "ms"),
            Reach("<", Figure(10, "ms")),
            (
                Beside(
                    Text("裸索引查询 p99", "bare indexed query, p99"),
                    Figure(1000 * percentile(bare, 0.99), "ms"),
                ),
            ),
            Text(
                f"{len(took)} 次，p50 {p50:.2f} ms；数据由网关经 HTTP 写入，{state.zh}。",
                f"{len(took)} look-ups, p50 {p50:.2f} ms; the gateway wrote the rows over HTTP, {state.en}.",
            ),
        )
