"""Gateway or worker as the command starts them, with points at which a test can end the process.

Run in place of `cli.main`: `python -m tests.support.faulty gateway|worker --home HOME`. A point is armed by
an empty file of its name in `<home>/faults`; the process that passes it next renames the file and ends itself
by SIGKILL. The product has no such switch: its entry points take the fault points as an argument, and only
this hands in some.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from cli.stack import Stack
from evidence.ports import FaultPoints

FOLDER = "faults"
HIT = ".hit"


class Armed(FaultPoints):
    """Ends the process at the points that are armed in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hit(self, name: str) -> None:
        try:
            (self._folder / name).rename(self._folder / (name + HIT))
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class FaultyStack(Stack):
    """A ledger whose services can be ended at a point, and started again one by one."""

    def service_command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "tests.support.faulty", name, "--home", str(self.home)]

    def start(self, name: str) -> None:
        """What a supervisor does when it sees the process dead; does not wait until it is ready."""
        self._service(name)

    def alive(self, name: str) -> bool:
        return self._handle(name).alive()

    def arm(self, point: str) -> None:
        folder = self.home / FOLDER
        folder.mkdir(exist_ok=True)
        (folder / (point + HIT)).unlink(missing_ok=True)
        (folder / point).touch()

    def disarm(self) -> None:
        """A run that was ended may have left points armed."""
        for path in (self.home / FOLDER).glob("*"):
            path.unlink()

    def was_hit(self, point: str) -> bool:
        return (self.home / FOLDER / (point + HIT)).exists()


def main() -> None:
    import uvloop

    from ledger_gateway import logs, serve, worker
    from ledger_gateway.settings import load

    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["gateway", "worker"])
    parser.add_argument("--home", type=Path, required=True)
    args = parser.parse_args()
    settings, faults = load(args.home), Armed(args.home / FOLDER)
    if args.name == "gateway":
        serve.run(settings, faults)
    else:
        logs.configure(settings.log_level)
        uvloop.run(worker.run(settings, faults))


if __name__ == "__main__":
    main()
