"""Durable accept in process: what one event loop, one writer and the real database accept a second.

Every leaf is checked, its body sealed, its submission's signature recovered and looked up, and the answer
comes after the commit is on disk with the log's signed promise in it. Submissions are made and signed
beforehand and handed over as objects; parsing and HTTP are measured with the gateway. Limits stand beside the
figures: COPY and INSERT into bare tables of the same database, the bare signature check, and Tessera's POSIX
log.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import statistics
import struct
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import uvloop

from agent.keys import Ed25519Key, KeyLabel
from benchmarks import tessera
from benchmarks.entries import OneMember, Submitter
from benchmarks.parts import cluster
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row, percentile
from evidence.intake import Acceptor
from evidence.logs import LogContext, create_log
from evidence.recoverer import HelperProcess
from evidence.vault import Vault
from protocol.acts import recover
from protocol.errors import CaseledgerError
from protocol.i18n import Text
from protocol.identifiers import log_id
from protocol.submission import Submission, check_acceptance
from storage.cluster import Cluster
from storage.db import Pool, connect_pool, migrate

IN_FLIGHT = 512
BULK = 64
"""Leaves under one signature: 8 requests of 64 are 512 leaves in flight."""
ORGANISATION = 5
ORIGIN = "bench.localhost/accept"
_LEAF = 112
_BODY = 330
"""A sealed body of a realistic entry, bytes."""


def rows(options: Options) -> Iterator[Row]:
    """Bulk, single, one at a time."""
    with cluster(options.folder) as database:
        measured = uvloop.run(_measure(database, options))
    peers = tessera.beside(options)
    yield from _rows(measured, peers)


@dataclass(frozen=True)
class Load:
    """One closed loop. Seconds."""

    leaves: int
    seconds: float
    waits: list[float]
    cpu: float

    @property
    def rate(self) -> float:
        return self.leaves / self.seconds


@dataclass(frozen=True)
class Measured:
    """Medians of the rounds."""

    bulk: Load
    wide: Load
    signed: Load
    alone: Load
    copy: float
    insert: float
    recover: float


@asynccontextmanager
async def acceptor(
    database: Cluster, origin: str = ORIGIN
) -> AsyncIterator[tuple[Acceptor, Submitter, Ed25519Key, Pool, Vault]]:
    """The product's own intake on a migrated database, for one bank."""
    await migrate(database.dsn("migrator"))
    log = await _log(database, origin)
    submitter = Submitter.fresh(log.log_id, log.domain, ORGANISATION)
    key = Ed25519Key(KeyLabel("log", "log"), secrets.token_bytes(32))
    vault = Vault.generate()
    pool = await connect_pool(database.dsn("gateway"))
    try:
        # As the gateway composes it: a helper process recovers signatures when many arrive at once.
        async with (
            HelperProcess() as helper,
            Acceptor(pool, log, OneMember(submitter), key, vault, recoverer=helper) as intake,
        ):
            if not await intake.writable():
                raise BenchFailed("the log has no writer")
            yield intake, submitter, key, pool, vault
    finally:
        await pool.close()


async def _log(database: Cluster, origin: str) -> LogContext:
    conn = await asyncpg.connect(database.dsn("migrator"))
    try:
        return await create_log(
            conn,
            origin=origin,
            chain_id=1776,
            contract=log_id("contract")[:20],
            registry=log_id("registry")[:20],
            operator=1,
            now=int(time.time()),
        )
    finally:
        await conn.close()


async def must_refuse(intake: Acceptor, forged: Submission) -> None:
    """Raises BenchFailed unless the submission is refused for its signature."""
    try:
        await intake.accept(forged)
    except CaseledgerError as error:
        if error.code not in ("KeyUnknown", "BadSignature"):
            raise BenchFailed(f"a wrong signature was refused as {error.code}") from error
        return
    raise BenchFailed("a wrong signature was accepted")


async def _measure(database: Cluster, options: Options) -> Measured:
    rounds = options.pick(3, 1)
    async with acceptor(database) as (intake, submitter, key, _, _):
        await _warm_up(intake, submitter, key)
        gc.collect()
        gc.freeze()  # as the gateway does, before it serves
        gc.set_threshold(50_000, 20, 20)
        bulk, wide, signed, alone = [], [], [], []
        for _ in range(rounds):
            bulk.append(await _loop(intake, submitter, options.pick(1200, 500), BULK, IN_FLIGHT // BULK))
            wide.append(await _loop(intake, submitter, options.pick(1200, 500), BULK, IN_FLIGHT // 2))
            signed.append(await _loop(intake, submitter, options.pick(15_000, 6_000), 1, IN_FLIGHT))
            alone.append(await _loop(intake, submitter, options.pick(2_500, 1_000), 1, 1))
        checks = _recover_rate(submitter, 2000)
    copy, insert = await _bare(database, options)
    return Measured(_median(bulk), _median(wide), _median(signed), _median(alone), copy, insert, checks)


def _median(loads: Sequence[Load]) -> Load:
    return sorted(loads, key=lambda load: load.rate)[len(loads) // 2]


async def _warm_up(intake: Acceptor, submitter: Submitter, key: Ed25519Key) -> None:
    for submission in submitter.submissions(20, BULK):
        check_acceptance(submission, await intake.accept(submission), key.public_key)
    await must_refuse(intake, submitter.forged(1))


async def _loop(intake: Acceptor, submitter: Submitter, count: int, leaves: int, in_flight: int) -> Load:
    """`in_flight` callers, each with its next submission as soon as the last is answered; one is forged."""
    ready = submitter.submissions(count, leaves)
    forged = submitter.forged(leaves)
    waits: list[float] = []
    queue = iter(ready)
    clock = time.perf_counter

    async def caller() -> None:
        for submission in queue:
            started = clock()
            await intake.accept(submission)
            waits.append(clock() - started)

    size = intake.metrics.accepted_leaves
    cpu, started = time.process_time(), clock()
    await asyncio.gather(must_refuse(intake, forged), *(caller() for _ in range(in_flight)))
    seconds, cpu = clock() - started, time.process_time() - cpu
    if intake.metrics.accepted_leaves - size != count * leaves:
        raise BenchFailed("not every leaf was accepted")
    return Load(count * leaves, seconds, waits, cpu)


def _recover_rate(submitter: Submitter, count: int) -> float:
    """Bare recoveries a second over signatures of the same kind."""
    made = submitter.submissions(count, 1)
    pairs = [(one.act(one.root()).digest(submitter.domain), one.signature) for one in made]
    started = time.perf_counter()
    for digest, signature in pairs:
        recover(digest, signature)
    return len(pairs) / (time.perf_counter() - started)


async def _bare(database: Cluster, options: Options) -> tuple[float, float]:
    """Rows a second of binary COPY, 512 a commit, and of single INSERTs: key, leaf, body, unique digest."""
    conn = await asyncpg.connect(database.superuser_dsn("caseledger"))
    try:
        await conn.execute(
            "CREATE TABLE public.bare (at bigint PRIMARY KEY, leaf bytea, dedupe uuid UNIQUE, body bytea)"
        )
        groups = options.pick(150, 40)
        chunks = [_copy_rows(n * IN_FLIGHT, IN_FLIGHT) for n in range(groups)]
        started = time.perf_counter()
        for chunk in chunks:
            await conn.copy_to_table("bare", schema_name="public", source=_bytes(chunk), format="binary")
        copied = groups * IN_FLIGHT / (time.perf_counter() - started)
        statement = await conn.prepare("INSERT INTO public.bare VALUES ($1, $2, $3, $4)")
        count = options.pick(2_500, 1_000)
        values = [
            (10**9 + n, os.urandom(_LEAF), secrets.token_hex(16), os.urandom(_BODY)) for n in range(count)
        ]
        took = []
        for one in values:
            started = time.perf_counter()
            await statement.fetch(*one)
            took.append(time.perf_counter() - started)
        await conn.execute("DROP TABLE public.bare")
        return copied, 1 / statistics.fmean(took)
    finally:
        await conn.close()


def _copy_rows(first: int, count: int) -> bytes:
    """PostgreSQL's binary COPY format (manual, COPY, binary format)."""
    pack = struct.Struct(f">hiqi{_LEAF}si16si{_BODY}s").pack
    made = [
        pack(4, 8, first + n, _LEAF, os.urandom(_LEAF), 16, os.urandom(16), _BODY, os.urandom(_BODY))
        for n in range(count)
    ]
    return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"".join(made) + b"\xff\xff"


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _rows(measured: Measured, peers: Sequence[Beside]) -> Iterator[Row]:
    yield Row(
        "accept-bulk",
        Text("进程内接收：成批签名，在途 512 条", "accept in process: bulk-signed, 512 leaves in flight"),
        Figure(measured.bulk.rate, "leaves/s"),
        Reach(">=", Figure(40_000, "leaves/s")),
        (
            *peers,
            Beside(
                Text("裸二进制 COPY，每次提交 512 行", "bare binary COPY, 512 rows a commit"),
                Figure(measured.copy, "leaves/s"),
            ),
        ),
        Text(
            f"{IN_FLIGHT // BULK} 个请求各 {BULK} 条，每个请求一个签名，均经恢复与登记核对；答复在落盘之后；"
            f"{_waits(measured.bulk, 'zh')}；其间一个伪造签名被拒。",
            f"{IN_FLIGHT // BULK} requests of {BULK} leaves, one signature each, recovered and looked up; "
            f"answered after the commit is on disk; {_waits(measured.bulk, 'en')}; a forged signature "
            "meanwhile was refused.",
        ),
        {"p50": percentile(measured.bulk.waits, 0.5), "p99": percentile(measured.bulk.waits, 0.99)},
    )
    yield Row(
        "accept-bulk-wide",
        Text(
            f"同上，在途 {IN_FLIGHT // 2} 个请求各 {BULK} 条",
            f"the same, {IN_FLIGHT // 2} requests of {BULK} in flight",
        ),
        Figure(measured.wide.rate, "leaves/s"),
        Reach(">=", Figure(40_000, "leaves/s")),
        (),
        Text(f"{_waits(measured.wide, 'zh')}。", f"{_waits(measured.wide, 'en')}."),
    )
    yield Row(
        "accept-signed",
        Text(
            "进程内接收：每条一个签名，在途 512 条", "accept in process: one signature a leaf, 512 in flight"
        ),
        Figure(measured.signed.rate, "1/s"),
        Reach(">=", Figure(10_000, "1/s")),
        (
            Beside(
                Text("只恢复签名（secp256k1），一核", "recovering the signature alone (secp256k1), one core"),
                Figure(measured.recover, "1/s"),
            ),
        ),
        Text(f"{_waits(measured.signed, 'zh')}。", f"{_waits(measured.signed, 'en')}."),
    )
    yield Row(
        "accept-alone",
        Text("进程内接收：一条接一条", "accept in process: one at a time"),
        Figure(measured.alone.rate, "1/s"),
        Reach(">=", Figure(1_000, "1/s")),
        (Beside(Text("裸 INSERT，逐行提交", "bare INSERT, a commit each"), Figure(measured.insert, "1/s")),),
        Text(f"{_waits(measured.alone, 'zh')}。", f"{_waits(measured.alone, 'en')}."),
    )


def _waits(load: Load, lang: str) -> str:
    p50, p99 = (1000 * percentile(load.waits, share) for share in (0.5, 0.99))
    share = load.cpu / load.seconds
    if lang == "zh":
        return f"等待 p50 {p50:.1f} ms、p99 {p99:.1f} ms，本进程占 {share:.0%} 核"
    return f"wait p50 {p50:.1f} ms, p99 {p99:.1f} ms, this process {share:.0%} of a core"
