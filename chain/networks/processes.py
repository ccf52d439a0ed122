"""Detached node processes: start, find again, signal; never the wrong process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.networks.errors import NetworkBusy, NetworkSettingRefused

LOG_LIMIT = 16 * 1024 * 1024
_PORT_RANGE = (20_000, 32_000)  # below the range that the kernel hands to outgoing connections
_EXEC_LOOKS = 200


@dataclass(frozen=True)
class Handle:
    """A process by number and by a mark in its command line, so that a reused number is not taken for it."""

    pid: int
    mark: str

    def alive(self) -> bool:
        """Whether the process runs (a zombie of ours is reaped and counts as dead)."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        line = command_line(self.pid)
        return bool(line) and self.mark in line


def command_line(pid: int) -> str:
    """The command line of a process; empty when there is none or it is a zombie."""
    if pid <= 0:
        return ""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            # Empty for a zombie, and for the moment in which a process becomes another program: on a busy
            # machine that moment lasts, and a starting node would look dead.
            for _ in range(_EXEC_LOOKS):
                line = (proc / str(pid) / "cmdline").read_bytes()
                if line or _is_zombie(proc / str(pid)):
                    break
                time.sleep(0.01)
            return line.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    ps = shutil.which("ps")
    if ps is None:
        return ""
    answer = subprocess.run(  # noqa: S603 - fixed program, a number as argument
        [ps, "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout if answer.returncode == 0 else ""


def _is_zombie(folder: Path) -> bool:
    # The name in parentheses may hold anything; the state follows the last one.
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"


def spawn(argv: Sequence[str], *, log: Path, env: Mapping[str, str], mark: str, niceness: int = 5) -> Handle:
    """Start `argv` in a session of its own, output appended to `log`; it outlives the caller."""
    log.parent.mkdir(parents=True, exist_ok=True)
    trim_log(log)
    command = list(argv)
    nice = shutil.which("nice")
    if nice and niceness:
        command = [nice, "-n", str(niceness), *command]
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # No Popen object: it would have to be kept or it complains that its child still runs.
        pid = os.posix_spawn(
            command[0],
            command,
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, out, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(out)
        os.close(null)
    return Handle(pid, mark)


def stop(handle: Handle, *, grace: float = 10.0, hard: bool = False) -> bool:
    """SIGTERM, then SIGKILL after `grace` seconds (`hard`: SIGKILL at once). True if it was running."""
    if not handle.alive():
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(handle.pid, signal.SIGKILL if hard else signal.SIGTERM)
    deadline = time.monotonic() + grace
    while handle.alive():
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(handle.pid, signal.SIGKILL)
            deadline = time.monotonic() + grace
        time.sleep(0.02)
    return True


def trim_log(log: Path, limit: int = LOG_LIMIT) -> None:
    """Keep a log below `limit`: copy its tail to `.1` and empty it (writers append, so they go on)."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size <= limit:
            return
        with log.open("rb") as source:
            source.seek(-limit // 4, os.SEEK_END)
            log.with_name(log.name + ".1").write_bytes(source.read())
        os.truncate(log, 0)


def port_free(port: int) -> bool:
    """Whether nothing on loopback or on all addresses listens there."""
    for address in ("127.0.0.1", ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise
    return True


def becomes_free(port: int, wait: float = 5.0) -> bool:
    """As `port_free`, with patience: a killed process lets go of its sockets a moment after it is gone."""
    deadline = time.monotonic() + wait
    while not port_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def free_ports(count: int) -> list[int]:
    """Distinct ports that are free now; random, so that networks made at the same time rarely meet."""
    chosen: list[int] = []
    generator = random.SystemRandom()
    for _ in range(count * 200):
        if len(chosen) == count:
            return chosen
        port = generator.randrange(*_PORT_RANGE)
        if port not in chosen and port_free(port):
            chosen.append(port)
    raise NetworkSettingRefused(f"no {count} free ports on loopback", field="ports")


@contextlib.contextmanager
def exclusive(lock: Path, *, wait: float = 60.0) -> Iterator[None]:
    """One changer at a time per home, across processes."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NetworkBusy(
                        "another command holds the network's lock", hint="wait for it, then try again"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
