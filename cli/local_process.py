"""A command of ours that runs beside others here, found again by its process number and its words."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from chain.networks import processes
from chain.networks.processes import Handle

STOP_SECONDS = 15.0


class LocalProcess:
    """`caseledger WORDS…`, with `<name>.pid` and `<name>.log` in the folder `run`."""

    def __init__(self, run: Path, name: str, words: Sequence[str]) -> None:
        self._words = list(words)
        self._log = run / f"{name}.log"
        self._pid_file = run / f"{name}.pid"

    @property
    def handle(self) -> Handle:
        mark = " ".join(self._words)
        try:
            return Handle(int(self._pid_file.read_text()), mark)
        except (OSError, ValueError):
            return Handle(0, mark)

    def alive(self) -> int | None:
        """The process, if it runs."""
        handle = self.handle
        return handle.pid if handle.alive() else None

    def start(self, environment: Mapping[str, str], niceness: int) -> None:
        """Start it unless it runs; nobody waits for it."""
        handle = self.handle
        if handle.alive():
            return
        made = processes.spawn(
            [sys.executable, "-m", "cli.main", *self._words],
            log=self._log,
            env=environment,
            mark=handle.mark,
            niceness=niceness,
        )
        write_whole(self._pid_file, str(made.pid).encode())

    def stop(self, *, hard: bool = False) -> bool:
        """SIGTERM and wait; `hard`: SIGKILL."""
        return processes.stop(self.handle, grace=STOP_SECONDS, hard=hard)


def write_whole(path: Path, data: bytes) -> bool:
    """Whole or not at all; whether anything changed."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    os.replace(partial, path)
    return True
