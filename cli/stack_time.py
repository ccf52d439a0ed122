"""Development time authorities of a local ledger: two, each with keys and a process of its own.

They run on this machine's clock and prove nothing to a third person; they show how the parts work together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chain.networks import processes
from cli.local_process import LocalProcess, write_whole
from cli.stack_witnesses import WITH_VALIDATORS
from cli.tsa import FOLDER, LIST_PATH, authority_folder
from evidence.local_authority import POLICY, ROOT_FILE, LocalAuthority
from verifier.timetoken_path import load
from verifier.trust_payload import TimeAuthority

EVERY = 15
"""Seconds between requests: a local authority costs nothing, and a person waits for its token."""
NAMES = ("time-a", "time-b")
NICENESS = 5


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
            if self._process(name, port).alive() or processes.port_free(port):
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
            f'revocation = ["{one.url}{LIST_PATH}"]\nevery = {EVERY}\n'
            for one in authorities
        )

    def start(self, authorities: list[LocalTime], environment: Mapping[str, str]) -> None:
        """Start those that do not run; nobody waits for them."""
        for one in authorities:
            self._process(one.name, one.port).start(environment, NICENESS)

    def alive(self, name: str) -> int | None:
        """The process, if it runs."""
        port = self._port_of(name)
        return None if port is None else self._process(name, port).alive()

    def stop(self, name: str, *, hard: bool = False) -> bool:
        """SIGTERM and wait; `hard`: SIGKILL."""
        port = self._port_of(name)
        return port is not None and self._process(name, port).stop(hard=hard)

    def _port_of(self, name: str) -> int | None:
        try:
            return int((authority_folder(self._home, name) / "port").read_text())
        except (OSError, ValueError):
            return None

    def _process(self, name: str, port: int) -> LocalProcess:
        words = ["tsa", "--name", name, "--port", str(port), "--home", str(self._home)]
        return LocalProcess(self._run, name, words)
