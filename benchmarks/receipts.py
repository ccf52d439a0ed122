"""From submission to a receipt that verifies offline, and what a receipt weighs and costs to verify.

The ledger is otherwise idle. A sample starts at a random moment between two blocks: one document is
submitted, and the clock stops when the receipt that came back has been verified with the trust file alone.
The block time is counted on the same chain while the samples run.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from agent.errors import GatewayRefused
from benchmarks.ledger import Ledger, running
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row, percentile
from protocol.entry import Body, EvidenceClass, Header, evidence_id
from protocol.i18n import Text
from protocol.identifiers import case_commitment, case_ref
from protocol.submission import MAX_ENTRIES
from verifier.content import ContentDigests, digest_stream
from verifier.verdict import Result
from verifier.verify import verify_receipt

POLL = 0.02
PATIENCE = 60.0
GOOD = (Result.VALID, Result.VALID_REDUCED_TRUST)


@dataclass(frozen=True)
class Sample:
    """One document's way. Seconds from submission to the accept's answer and to the verified receipt."""

    accepted: float
    verified: float
    receipt: bytes
    content: bytes
    digests: ContentDigests
    case_id: bytes


@dataclass(frozen=True)
class Series:
    """What one network showed."""

    validators: int
    block_seconds: float
    samples: list[Sample]
    largest: int
    trust: bytes


def rows(options: Options) -> Iterator[Row]:
    """One validator, as `make up` starts, then four."""
    series = None
    for validators in (4,) if options.quick else (1, 4):
        folder = options.folder / str(validators)
        folder.mkdir(mode=0o711)
        with running(folder, validators) as ledger:
            series = _series(ledger, validators, options)
        yield from _time_rows(series)
    if series is not None:
        yield from _receipt_rows(series, options)


def _series(ledger: Ledger, validators: int, options: Options) -> Series:
    ledger.must_refuse_forgery()
    for _ in range(3):
        _sample(ledger)
    dice = Random()  # noqa: S311 - spreads the samples over a block
    samples = []
    height, started = ledger.height(), time.monotonic()
    for _ in range(options.pick(40, 12)):
        time.sleep(dice.uniform(0.1, 1.0))
        samples.append(_sample(ledger))
    block = (time.monotonic() - started) / (ledger.height() - height)
    return Series(validators, block, samples, _largest(ledger), ledger.profile.trust)


def _sample(ledger: Ledger) -> Sample:
    content, case_id = os.urandom(4096), secrets.token_bytes(32)
    digests = digest_stream(BytesIO(content))
    salt = secrets.token_bytes(32)
    body = Body(
        digests.sha256, digests.sm3, digests.size, "application/pdf", salt, case_ref(salt, case_id)
    ).encode()
    organisation = ledger.submitter.organisation
    header = Header(EvidenceClass.CONTRACT, organisation, case_commitment(case_id)).pack()
    submission = ledger.submitter.submission([(header, body)])
    started = time.perf_counter()
    _, leaves = ledger.accept(submission)
    accepted = time.perf_counter() - started
    receipt = _receipt(ledger, evidence_id(leaves[0]).hex())
    report = verify_receipt(
        receipt, ledger.profile.trust, content=digests, at=int(time.time()), case_id=case_id
    )
    verified = time.perf_counter() - started
    if report.result not in GOOD:
        raise BenchFailed(f"a fresh receipt is {report.result.value}")
    return Sample(accepted, verified, receipt, content, digests, case_id)


def _receipt(ledger: Ledger, identity: str) -> bytes:
    """Asks until it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ledger.client.receipt(identity)
        except GatewayRefused as error:
            if error.code != "ReceiptNotReady":
                raise
        if time.monotonic() > deadline:
            raise BenchFailed("no receipt within a minute")
        time.sleep(POLL)


def _largest(ledger: Ledger) -> int:
    """Bytes of the receipt of a leaf in the largest submission there can be: its path is the longest."""
    _, leaves = ledger.accept(ledger.submitter.submission(ledger.submitter.maker.make(MAX_ENTRIES)))
    receipts = [_receipt(ledger, evidence_id(leaves[at]).hex()) for at in (0, MAX_ENTRIES // 2, -1)]
    for receipt in receipts:
        report = verify_receipt(receipt, ledger.profile.trust, at=int(time.time()))
        if report.result not in GOOD:
            raise BenchFailed(f"a bulk receipt is {report.result.value}")
    return max(map(len, receipts))


def _time_rows(series: Series) -> Iterator[Row]:
    waits = [sample.verified for sample in series.samples]
    accepted = [sample.accepted for sample in series.samples]
    count, block = series.validators, series.block_seconds
    accept = 1000 * percentile(accepted, 0.5)
    for name, share, extra in (("p50", 0.5, 0.5), ("p99", 0.99, 2.0)):
        yield Row(
            f"receipt-{name}-{count}",
            Text(
                f"提交到可离线核验的收据，空闲，{count} 个验证节点，{name}",
                f"submit to a receipt verified offline, idle, {count} validator{'s' * (count > 1)}, {name}",
            ),
            Figure(percentile(waits, share), "s"),
            Reach(
                "<",
                Figure(3 * block + extra, "s"),
                Text(f"3 个出块间隔 + {extra} 秒", f"3 block times + {extra} s"),
            ),
            (Beside(Text("出块间隔", "block time"), Figure(block, "s")),),
            Text(
                f"{len(waits)} 次，最长 {max(waits):.2f} s；其中接收 p50 {accept:.1f} ms。",
                f"{len(waits)} samples, longest {max(waits):.2f} s; accept alone p50 {accept:.1f} ms.",
            ),
            {"seconds": waits, "accepted": accepted},
        )


def _receipt_rows(series: Series, options: Options) -> Iterator[Row]:
    yield _warm(series, options)
    yield _start(series, options)
    single = max(len(sample.receipt) for sample in series.samples)
    yield Row(
        "receipt-size",
        Text("收据大小（见证与时间戳之前）", "receipt before attestations"),
        Figure(max(single, series.largest), "B"),
        Reach("<=", Figure(8192, "B")),
        (),
        Text(
            f"{series.validators} 个验证节点；{MAX_ENTRIES} 条一批中的一条 {series.largest} B，"
            f"单条提交 {single} B。",
            f"{series.validators} validators; a leaf of a submission of {MAX_ENTRIES}: {series.largest} B, "
            f"one submitted alone: {single} B.",
        ),
    )


def _warm(series: Series, options: Options) -> Row:
    now = int(time.time())
    took: list[float] = []
    for turn in range(options.pick(500, 100)):
        sample = series.samples[turn % len(series.samples)]
        started = time.perf_counter()
        report = verify_receipt(
            sample.receipt, series.trust, content=sample.digests, at=now, case_id=sample.case_id
        )
        took.append(time.perf_counter() - started)
        if report.result not in GOOD:
            raise BenchFailed(f"a receipt is {report.result.value}")
    # One bit in the middle: the verifier must see it, or its speed means nothing.
    spoiled = bytearray(series.samples[0].receipt)
    spoiled[len(spoiled) // 2] ^= 1
    if verify_receipt(bytes(spoiled), series.trust, content=series.samples[0].digests, at=now).result in GOOD:
        raise BenchFailed("a changed receipt is valid")
    p99 = 1000 * percentile(took, 0.99)
    return Row(
        "verify-warm",
        Text("核验一份收据（不含读文件），已预热，p50", "verify a receipt, content aside, warm, p50"),
        Figure(1000 * percentile(took, 0.5), "ms"),
        Reach("<", Figure(5, "ms")),
        (),
        Text(
            f"{len(took)} 次，p99 {p99:.2f} ms；改动一位的收据被判无效。",
            f"{len(took)} times, p99 {p99:.2f} ms; a receipt with one bit changed is invalid.",
        ),
    )


def _start(series: Series, options: Options) -> Row:
    sample, folder = series.samples[0], options.folder
    receipt, trust, document = (folder / name for name in ("r.clr", "t.cltrust", "document"))
    receipt.write_bytes(sample.receipt)
    trust.write_bytes(series.trust)
    document.write_bytes(sample.content)
    program = str(Path(sys.executable).parent / "caseledger")
    command = [program, "verify", str(receipt), str(document), "--trust", str(trust)]
    verify = _process(command, options.pick(15, 7), (0, 10))
    bare = _process([sys.executable, "-c", "pass"], options.pick(15, 7), (0,))
    return Row(
        "verify-start",
        Text("caseledger verify 从启动到结束", "caseledger verify, from start to end"),
        Figure(verify, "s"),
        Reach("<", Figure(0.4, "s")),
        (Beside(Text("空的 Python 进程", "an empty Python process"), Figure(bare, "s")),),
    )


def _process(command: list[str], times: int, codes: tuple[int, ...]) -> float:
    """Median seconds from start to end, after one unmeasured run."""
    took = []
    for turn in range(times + 1):
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if done.returncode not in codes:
            raise BenchFailed(f"{Path(command[0]).name} ended with {done.returncode}")
        if turn:
            took.append(time.perf_counter() - started)
    return statistics.median(took)
