"""Development time authorities of a local ledger: two, each with keys and a process of its own.

They run on this machine's clock and prove nothing to a third person; they show how the parts work together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chain.networks import processes
from chain.networks.processes import Handle
from cli.stack_witnesses import WITH_VALIDATORS, write_whole
from cli.tsa import FOLDER, LIST_PATH, authority_folder
from evidence.local_authority import POLICY, ROOT_FILE, LocalAuthority
from verifier.timetoken_path import load
from verifier.trust_payload import TimeAuthority

NAMES = ("time-a", "time-b")
NICENESS = 5
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class LocalTime:
    """One of them."""

    name: str
    port: int
    root: bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def trusted(self) -> TimeAuthority:
        """As a trust file names it: from the beginning of its root on, without an end."""
        return TimeAuthority(self.name, (self.root,), (POLICY,), load(self.root).from_time, None)


class LocalTimes:
    """All of a stack's home, under `time/`."""

    def __init__(self, home: Path, run_folder: Path) -> None:
        self._home = home
        self._run = run_folder

    def existing(self) -> list[str]:
        """Names of those that were made."""
        return [name for name in NAMES if (authority_folder(self._home, name) / ROOT_FILE).exists()]

    def prepare(self, validators: int, count: int | None) -> list[LocalTime]:
        """Keys and ports of `count` authorities, or of those that are there.

        With four validators and more there are two unless it is said otherwise.
        """
        if count is None and not self.existing():
            count = len(NAMES) if validators >= WITH_VALIDATORS else 0
        wanted = NAMES[:count] if count is not None else ()
        return [self._one(name) for name in dict.fromkeys([*self.existing(), *wanted])]

    def _one(self, name: str) -> LocalTime:
        made = LocalAuthority.open(authority_folder(self._home, name), name)
        return LocalTime(name, self._port(name), made.identity.root)

    def _port(self, name: str) -> int:
        """Chosen free once; another one when somebody took it."""
        path = authority_folder(self._home, name) / "port"
        try:
            port = int(path.read_text())
            if self._handle(name, port).alive() or processes.port_free(port):
                return port
        except (OSError, ValueError):
            pass
        port = processes.free_ports(1)[0]
        write_whole(path, str(port).encode())
        return port

    @staticmethod
    def tables(authorities: list[LocalTime]) -> str:
        """The `[[time_authority]]` tables of the operator's settings."""
        return "".join(
            f'\n[[time_authority]]\nname = {json.dumps(one.name)}\nurl = "{one.url}"\n'
            f'roots = "{FOLDER}/{one.name}/{ROOT_FILE}"\npolicies = ["{POLICY}"]\n'
            f'revocation = ["{one.url}{LIST_PATH}"]\n'
            for one in authorities
        )

    def start(self, authorities: list[LocalTime], environment: Mapping[str, str]) -> None:
        """Start those that do not run; nobody waits for them."""
        for one in authorities:
            handle = self._handle(one.name, one.port)
            if handle.alive():
                continue
            arguments = ["tsa", "--name", one.name, "--port", str(one.port), "--home", str(self._home)]
            made = processes.spawn(
                [sys.executable, "-m", "cli.main", *arguments],
                log=self._run / f"{one.name}.log",
                env=environment,
                mark=handle.mark,
                niceness=NICENESS,
            )
            write_whole(self._pid_file(one.name), str(made.pid).encode())

    def alive(self, name: str) -> int | None:
        """The process, if it runs."""
        handle = self._handle(name)
        return handle.pid if handle.alive() else None

    def stop(self, name: str, *, hard: bool = False) -> bool:
        """SIGTERM and wait; `hard`: SIGKILL."""
        return processes.stop(self._handle(name), grace=STOP_SECONDS, hard=hard)

    def _pid_file(self, name: str) -> Path:
        return self._run / f"{name}.pid"

    def _handle(self, name: str, port: int | None = None) -> Handle:
        try:
            if port is None:
                port = int((authority_folder(self._home, name) / "port").read_text())
        except (OSError, ValueError):
            return Handle(0, "")
        mark = f"tsa --name {name} --port {port} --home {self._home}"
        try:
            return Handle(int(self._pid_file(name).read_text()), mark)
        except (OSError, ValueError):
            return Handle(0, mark)
