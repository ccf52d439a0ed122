"""The second verifier as a process: JSON lines in, JSON lines out."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest

ROOT = Path(__file__).parents[2]
CLI = ROOT / "console" / "verifier" / "cli.mjs"
REASON = "the second verifier needs node and the npm packages (scripts/bootstrap npm)"


def node() -> str | None:
    """A node: the project's own, else the machine's."""
    own = ROOT / ".tools" / "bin" / "node"
    return str(own) if own.exists() else shutil.which("node")


def available() -> bool:
    """Whether node and the packages of the lock are here."""
    return node() is not None and (ROOT / "node_modules" / "@noble" / "curves" / "ed25519.js").exists()


needs_node = pytest.mark.skipif(not available(), reason=REASON)


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`node cli.mjs …`, to its end."""
    command = [cast(str, node()), str(CLI), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=600, check=False)


class Second:
    """One long-running conformance process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._in = cast(IO[bytes], process.stdin)
        self._out = cast(IO[bytes], process.stdout)

    def raw(self, line: bytes) -> dict[str, Any]:
        """The answer to one line."""
        self._in.write(line + b"\n")
        self._in.flush()
        answer: dict[str, Any] = json.loads(self._out.readline())
        return answer

    def ask(self, line: dict[str, object]) -> dict[str, Any]:
        """The answer to one object."""
        return self.raw(json.dumps(line, ensure_ascii=False).encode())


@contextmanager
def second(kind: str, *options: str) -> Iterator[Second]:
    """`node cli.mjs conformance KIND`, ended with the block."""
    command = [cast(str, node()), str(CLI), "conformance", kind, *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Second(process)
        finally:
            cast(IO[bytes], process.stdin).close()
            process.wait(timeout=30)
