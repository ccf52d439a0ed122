"""Runs `caseledger` with networking off, and can prove that it was.

Either in a network namespace of its own, where no interface exists but a loopback that is down, or under
strace with every network call recorded, where there must be none. Nothing inside the process is patched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from protocol.errors import CaseledgerError

SECONDS = 60.0
_CALL = re.compile(r"^(?:\d+\s+)?([a-z_0-9]+)\(", re.MULTILINE)
_PROBE = """
import socket, sys
up = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
with open("/proc/net/route") as routes:
    routed = len(routes.readlines()) > 1
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
    reached = True
except ConnectionRefusedError:
    reached = True
except OSError:
    reached = False
sys.exit(1 if reached or routed or up != ["lo"] else 0)
"""


class NetworkNotOff(CaseledgerError):
    """Neither a network namespace nor strace is to be had here, so nobody could say that it was off."""

    title: ClassVar[str] = "networking cannot be shown to be off"


class NetworkUsed(CaseledgerError):
    """A command that must not touch the network did."""

    title: ClassVar[str] = "a network call was made"


@dataclass(frozen=True)
class Finished:
    """Exit code and standard output of an isolated command."""

    code: int
    output: str


class Isolation:
    """One way to run without a network. `name` is `unshare` or `strace`."""

    def __init__(self, name: str, program: str) -> None:
        self.name = name
        self._program = program

    def run(self, arguments: Sequence[str], cwd: Path) -> Finished:
        """`caseledger ARGUMENTS` in `cwd`.

        Raises:
            NetworkUsed: under strace, when it made a network call
        """
        command = [sys.executable, "-m", "cli.main", *arguments]
        if self.name == "unshare":
            return _finished([self._program, "-rn", *command], cwd)
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace"
            watched = [self._program, "-f", "-q", "-e", "trace=network", "-e", "signal=none"]
            finished = _finished([*watched, "-o", str(trace), *command], cwd)
            calls = sorted(set(_CALL.findall(trace.read_text(errors="replace"))))
        if calls:
            raise NetworkUsed(f"network calls: {', '.join(calls)}")
        return finished


def available() -> Isolation:
    """The best way that works on this machine, tried out.

    Raises:
        NetworkNotOff
    """
    unshare = shutil.which("unshare")
    if unshare is not None:
        probe = subprocess.run(  # noqa: S603 - fixed arguments
            [unshare, "-rn", sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=SECONDS
        )
        if probe.returncode == 0:
            return Isolation("unshare", unshare)
    strace = shutil.which("strace")
    if strace is not None:
        probe = subprocess.run(  # noqa: S603 - fixed arguments
            [strace, "-q", "-e", "trace=network", sys.executable, "-c", ""],
            capture_output=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        if probe.returncode == 0:
            return Isolation("strace", strace)
    raise NetworkNotOff(
        "no permission for a network namespace (unshare -rn) and no working strace",
        hint="allow unprivileged user namespaces, or install strace",
    )


def _finished(command: Sequence[str], cwd: Path) -> Finished:
    from cli.stack import service_environment

    done = subprocess.run(  # noqa: S603 - our own interpreter and fixed programs
        command, cwd=cwd, env=service_environment(), capture_output=True, text=True, check=False,
        timeout=SECONDS,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout)
