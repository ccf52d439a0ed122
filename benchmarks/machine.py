"""The machine that a table was measured on, and what a durable write costs on its disk."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import percentile


@dataclass(frozen=True)
class Machine:
    """Facts, none of them naming a person or a place."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    file_system: str
    load: tuple[float, float, float]
    """Load averages of 1, 5 and 15 minutes when the run began: above 0.5 somebody else was at work."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SyncCost:
    """Appending 64 bytes and fdatasync, seconds."""

    rounds: int
    rate: float
    p50: float
    p99: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def look(folder: Path) -> Machine:
    """This machine; `folder` is where the benches write."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        file_system=file_system(folder),
        load=os.getloadavg(),
    )


def file_system(folder: Path) -> str:
    """Type of the file system that holds `folder`, "unknown" where the machine does not say."""
    best, kind = "", "unknown"
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    place = str(folder.resolve())
    for line in lines:
        _, mount, found = line.split()[:3]
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def sync_cost(folder: Path, seconds: float) -> SyncCost:
    """Append 64 bytes and fdatasync, again and again, for `seconds`."""
    path = folder / "sync-cost"
    took: list[float] = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            started = time.perf_counter()
            os.write(handle, b"\xa5" * 64)
            os.fdatasync(handle)
            took.append(time.perf_counter() - started)
        whole = time.perf_counter() - begun
    finally:
        os.close(handle)
        path.unlink()
    return SyncCost(len(took), len(took) / whole, percentile(took, 0.5), percentile(took, 0.99))


def _field(path: str, name: str) -> str | None:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return None
