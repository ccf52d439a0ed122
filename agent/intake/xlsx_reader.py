"""Our side of the process that reads a workbook: starts it, takes its rows, ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from agent.intake import errors
from agent.intake.cells import Cell, Odd
from agent.intake.columns import MAX_COLUMNS
from agent.intake.errors import ImportRefused, ReaderStopped
from agent.intake.xlsx import MAX_CELL

_MAX_LINE = 8 * MAX_COLUMNS * MAX_CELL
_PASSED_ON = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH")


class WorkbookReader:
    """Reads one sheet in a child process; the file is handed over open."""

    def __init__(self, file: BinaryIO, sheet: str | None) -> None:
        """Starts the process and waits for its look at the workbook.

        Raises:
            ImportRefused: what the child found, or ReaderStopped.
        """
        command = [sys.executable, "-P", "-m", "agent.intake.xlsx_child"]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *([sheet] if sheet is not None else [])],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )
        try:
            about = self._message()
            if not isinstance(about, dict) or not isinstance(about.get("part"), str):
                raise ReaderStopped("no answer from the reading process", hint="is memory short?")
            self.part: str = about["part"]
            self.date1904 = about.get("date1904") is True
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()

    def _message(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline(_MAX_LINE)
        try:
            message = json.loads(line.decode("utf-8", "surrogatepass")) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and isinstance(message.get("error"), dict):
            raise _error(message["error"])
        return message

    def rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """Rows that hold something.

        Raises:
            ImportRefused
        """
        count = 0
        try:
            while True:
                message = self._message()
                if isinstance(message, list):
                    count += 1
                    number, cells = message
                    yield number, [Odd(*cell) if type(cell) is list else cell for cell in cells]
                    continue
                if not isinstance(message, dict) or message.get("end") != count:
                    raise ReaderStopped("the reading process ended early", hint="split the file, or use CSV")
                return
        finally:
            self.close()


def _error(stated: dict[str, Any]) -> ImportRefused:
    kind = getattr(errors, str(stated.get("code")), ReaderStopped)
    if not (isinstance(kind, type) and issubclass(kind, ImportRefused)):
        kind = ReaderStopped
    return kind(str(stated.get("detail", "")), field=stated.get("field"), hint=stated.get("hint"))
