"""Hashing one large file: both digests in one read, beside SM3 of hashlib alone over the same file.

The file is sparse and in the page cache, so that digests are measured and not the disk. Memory is that of a
process of its own that does nothing but hash it.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.hashing import hash_file
from benchmarks.rows import BenchFailed, Beside, Figure, Options, Reach, Row
from protocol.i18n import Text

PIECE = 2**20
_ROUNDS = 3


def rows(options: Options) -> Iterator[Row]:
    """Speed, then memory."""
    size = options.pick(2**30, 2**28)
    path = options.folder / "large"
    with path.open("wb") as target:
        target.truncate(size)
        target.seek(size // 2)
        target.write(b"caseledger")  # not only zeros
    try:
        yield from _measure(path, size)
    finally:
        path.unlink()


def _measure(path: Path, size: int) -> Iterator[Row]:
    expected = {name: _alone(path, name) for name in ("sha256", "sm3")}
    found = hash_file(path).digests
    if {"sha256": found.sha256, "sm3": found.sm3} != expected or found.size != size:
        raise BenchFailed("the digests differ from hashlib's")
    both: list[float] = []
    sm3: list[float] = []
    sha256: list[float] = []
    for _ in range(_ROUNDS):  # in turn, so that a change of the machine's mood meets all alike
        both.append(_seconds(lambda: hash_file(path)))
        sm3.append(_seconds(lambda: _alone(path, "sm3")))
        sha256.append(_seconds(lambda: _alone(path, "sha256")))
    rate, slower = (size / 1e6 / statistics.median(took) for took in (both, sm3))
    yield Row(
        "hash-rate",
        Text(
            f"{size / 2**30:g} GiB 文件同时求 SHA-256 与 SM3，相对单独求较慢者",
            f"SHA-256 and SM3 of a {size / 2**30:g} GiB file, share of the slower one alone",
        ),
        Figure(rate / slower, "share"),
        Reach(">=", Figure(0.9, "share")),
        (
            Beside(Text("本平台", "ours"), Figure(rate, "MB/s")),
            Beside(Text("hashlib 只求 SM3", "hashlib SM3 alone"), Figure(slower, "MB/s")),
            Beside(
                Text("hashlib 只求 SHA-256", "hashlib SHA-256 alone"),
                Figure(size / 1e6 / statistics.median(sha256), "MB/s"),
            ),
        ),
        Text(
            f"{_ROUNDS} 轮交替，取中位；文件在页缓存中；摘要与 hashlib 逐字节相同。",
            f"median of {_ROUNDS} rounds in turn; file in the page cache; digests equal to hashlib's.",
        ),
        {"bothSeconds": both, "sm3Seconds": sm3, "sha256Seconds": sha256},
    )
    peak, empty = _peak("hash", path), _peak("import", path)
    yield Row(
        "hash-memory",
        Text("同上，进程内存峰值", "the same, peak memory of the process"),
        Figure(peak, "MB"),
        Reach("<", Figure(100, "MB")),
        (Beside(Text("同一进程，不读文件", "the same process, nothing read"), Figure(empty, "MB")),),
    )


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _alone(path: Path, name: str) -> bytes:
    digest = hashlib.new(name)
    buffer = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as source:
        while length := source.readinto(buffer):
            digest.update(buffer[:length])
    return digest.digest()


def _peak(what: str, path: Path) -> float:
    """Peak resident memory of a fresh process, 10^6 bytes."""
    command = [sys.executable, "-m", "benchmarks.hashing", what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise BenchFailed("the hashing process failed")
    return int(done.stdout) / 1e6


def _own_peak() -> int:
    """Bytes. Linux keeps the forking parent's peak in `ru_maxrss`, so its own counter is read there."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if sys.argv[1] == "hash":
        hash_file(Path(sys.argv[2]))
    print(_own_peak())
