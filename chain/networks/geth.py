"""The node program of the Clique engine: geth v1.13.15, the last line of releases that runs such networks.

Built from its module by the machine's Go, on demand, into the cache; run as a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from chain.networks.binary import Progress, cache_directory
from chain.networks.errors import NetworkToolFailed, NetworkToolMissing
from chain.networks.processes import exclusive

VERSION = "1.13.15"
MODULE = f"github.com/ethereum/go-ethereum/cmd/geth@v{VERSION}"
# One of its own dependencies reaches into the runtime, which newer Go forbids unless told otherwise.
FLAGS = "-ldflags=-checklinkname=0"
BUILD_SECONDS = 1800


def installed() -> Path | None:
    """The program where it was built already, or `CASELEDGER_GETH`; never another version."""
    explicit = os.environ.get("CASELEDGER_GETH")
    path = Path(explicit) if explicit else cache_directory() / f"geth-{VERSION}" / "geth"
    return path if os.access(path, os.X_OK) else None


def geth_binary(progress: Progress | None = None) -> Path:
    """The program; built on first use (some minutes, once).

    Raises NetworkToolMissing where it is not built and there is no Go or no way to its modules.
    """
    found = installed()
    if found is not None:
        return found
    go = shutil.which("go")
    if go is None:
        raise NetworkToolMissing(f"geth {VERSION} is not built, and there is no Go", hint="install Go")
    root = cache_directory()
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root / "geth.lock", wait=BUILD_SECONDS):
        found = installed()
        if found is None:
            (progress or (lambda text: None))(f"构建 geth {VERSION}（仅此一次） / building geth, once")
            found = _build(go, root / f"geth-{VERSION}")
    return found


def _build(go: str, target: Path) -> Path:
    partial = Path(tempfile.mkdtemp(prefix=".geth-", dir=target.parent))
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [go, "install", FLAGS, MODULE],
            env={**os.environ, "GOBIN": str(partial), "GOFLAGS": "", "GOTOOLCHAIN": "local"},
            cwd=partial, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=BUILD_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0 or not (partial / "geth").exists():
            lines = done.stderr.strip().splitlines()
            raise NetworkToolMissing(f"geth was not built: {lines[-1][:200] if lines else 'no reason given'}")
        partial.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkToolFailed(f"geth was not built: {type(error).__name__}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target / "geth"
