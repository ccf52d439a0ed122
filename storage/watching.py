"""Looking at processes, logs and folders of a server that runs beside us."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from storage.errors import ClusterError


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; empty when it is gone or a zombie."""
    if Path("/proc/self").exists():
        try:
            return _words(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            return []
    ps = shutil.which("ps")
    if ps is None:
        return []
    told = subprocess.run(  # noqa: S603 - fixed program, a number as argument
        [ps, "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return _words(told.stdout.replace(" ", "\0").encode())


def _words(raw: bytes) -> list[str]:
    words = [word for word in raw.decode(errors="replace").strip().split("\0") if word]
    if words:
        words[0] = os.path.basename(words[0])
    return words


def unused_pid() -> int:
    """A process number that nobody has."""
    for pid in range(2**22 - 1, 1, -1):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return pid
        except PermissionError:
            continue
    raise ClusterError("no unused process number")


def newest_log(folder: Path) -> Path | None:
    """The log file that was written last."""
    files = [(path.stat().st_mtime, path) for path in folder.glob("*.log")]
    return max(files)[1] if files else None


def tail_of(log: Path | None, size: int = 2000) -> str:
    """The end of a log; the whole matters to nobody."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - size))
        return source.read().decode(errors="replace").strip()


def disk_bytes(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total
