"""Real parts for the benches: database, development chain, keys. Each cleans up after itself."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent import keys as key_files
from agent.keys import Secp256k1Key
from benchmarks.rows import BenchFailed
from storage.cluster import Cluster

ROOT = Path(__file__).resolve().parent.parent
DEV_CHAIN_ID = 31337
# The first account that anvil funds; a published test key, of use on a throw-away chain alone.
DEV_SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")


@dataclass(frozen=True)
class FolderKeys:
    """Key files under `folder`, as the consortium's generator wants them."""

    folder: Path

    def ensure(self, name: str, kind: str, purpose: str, organisation: int | None) -> bytes:
        """Make the key if it is not there; its address or public key."""
        path = key_files.key_path(self.folder, name)
        if not path.exists():
            label = key_files.KeyLabel(name, purpose, organisation)
            key_files.save_key(key_files.new_key(kind, label), self.folder)
        key = key_files.load_key(path)
        return key.address if isinstance(key, Secp256k1Key) else key.public_key

    def signer(self, name: str) -> Secp256k1Key:
        """An organisation's key, `centre-anchor` and the like."""
        return key_files.load_secp256k1(key_files.key_path(self.folder, name))


@contextlib.contextmanager
def cluster(home: Path) -> Iterator[Cluster]:
    """A PostgreSQL of our own, its settings those of the product, gone afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    one = Cluster(home)
    try:
        one.start()
        yield one
    finally:
        one.destroy()


def free_port() -> int:
    """A loopback port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def dev_chain(folder: Path, hardfork: str) -> Iterator[str]:
    """anvil, mining each transaction at once: the URL."""
    port = free_port()
    program = ROOT / "node_modules" / ".bin" / "anvil"
    if not program.exists():
        raise BenchFailed("anvil is not installed: make env-contracts")
    command = [
        str(program), "--host", "127.0.0.1", "--port", str(port), "--hardfork", hardfork, "--silent",
        "--chain-id", str(DEV_CHAIN_ID), "--gas-limit", "500000000", "--base-fee", "0", "--gas-price", "0",
    ]  # fmt: skip
    with (folder / "anvil.log").open("wb") as sink:
        process = subprocess.Popen(command, cwd=folder, stdout=sink, stderr=sink)
    try:
        wait_for_port(port, process, 20.0)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Until something listens. Raises BenchFailed when the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise BenchFailed(
        f"{Path(str(process.args[0] if isinstance(process.args, list) else '')).name} did not start"
    )
