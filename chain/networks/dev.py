"""The development chain (anvil): fast, with a clock that a test may set. Never for data worth keeping.

A killed process can leave a torn state file, so there is none: every `up` after a stop begins at block 0.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chain.networks import processes
from chain.networks.asking import post
from chain.networks.errors import NetworkMissing, NetworkStartFailed, NetworkToolMissing
from chain.networks.keys import LocalKey, read_key
from chain.networks.nodefiles import network_keys

_BALANCE = 10**18
_LOCK = ".net.lock"


@dataclass(frozen=True)
class DevState:
    """What `dev.json` holds."""

    chain_id: int
    port: int
    relayers: int
    block_seconds: int
    pid: int = 0
    genesis_time: int = 0
    keep_states: bool = True


def anvil_binary(project: Path | None = None) -> Path:
    """The program from the npm package under `node_modules` (of `project`, of this distribution), or PATH."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for root in (project, Path.cwd(), Path(__file__).resolve().parents[2]):
        if root is not None:
            path = root / f"node_modules/@foundry-rs/anvil-{system}-{machine}/bin/anvil"
            if os.access(path, os.X_OK):
                return path
    found = shutil.which("anvil")
    if found:
        return Path(found)
    raise NetworkToolMissing("anvil is not installed", hint="npm ci")


class DevNetwork:
    """One anvil under `<home>/net`, with the same keys and properties as the other networks."""

    def __init__(self, home: Path, state: DevState) -> None:
        self.home = home
        self.state = state

    @classmethod
    def load(cls, home: Path) -> DevNetwork:
        """NetworkMissing if none was created here."""
        home = home.resolve()
        try:
            return cls(home, DevState(**json.loads((home / "net/dev.json").read_text())))
        except (OSError, ValueError, TypeError):
            raise NetworkMissing("no development chain was created here") from None

    @classmethod
    def create(
        cls,
        home: Path,
        *,
        relayers: int = 4,
        evm_chain_id: int | None = None,
        block_seconds: int = 1,
        genesis_time: int = 0,
        keep_states: bool = True,
    ) -> DevNetwork:
        """Keys and a port; nothing is started.

        `block_seconds` 0: no block comes by itself. `genesis_time`: of block 0, the present if 0. Without
        `keep_states` only the newest state can be asked, and a block costs the same however much is stored.
        """
        home = home.resolve()
        number = evm_chain_id or 1_000_000 + secrets.randbelow(2**31 - 10**6)
        network_keys(home, relayers)
        port = processes.free_ports(1)[0]
        state = DevState(number, port, relayers, block_seconds, 0, genesis_time, keep_states)
        network = cls(home, state)
        network._save()
        return network

    @property
    def evm_chain_id(self) -> int:
        """EIP-155 chain id."""
        return self.state.chain_id

    @property
    def chain_id(self) -> str:
        """There is no consensus and so no name of its own."""
        return f"dev-{self.state.chain_id}"

    @property
    def rpc_urls(self) -> list[str]:
        """One node."""
        return [f"http://127.0.0.1:{self.state.port}"]

    @property
    def ws_urls(self) -> list[str]:
        """The same port speaks WebSocket."""
        return [f"ws://127.0.0.1:{self.state.port}"]

    @property
    def comet_urls(self) -> list[str]:
        """None: nothing can be proved on this engine."""
        return []

    @property
    def deployer(self) -> LocalKey:
        """Funded; here anyone may create contracts."""
        return read_key(self.home / "keys/deployer.key")

    @property
    def relayers(self) -> list[LocalKey]:
        """Funded keys."""
        return [read_key(self.home / f"keys/relayer-{i}.key") for i in range(1, self.state.relayers + 1)]

    def running(self) -> bool:
        """Whether the process lives."""
        return self._handle().alive()

    def up(self, *, wait: float = 30.0) -> None:
        """Start at block 0 unless it runs; fund the keys."""
        with processes.exclusive(self.home / _LOCK):
            if self.running():
                return
            if not processes.port_free(self.state.port):
                self.state = replace(self.state, port=processes.free_ports(1)[0])
            # Mining on demand stalls under bursts: blocks come by the clock.
            argv = [
                str(anvil_binary()),
                *("--host", "127.0.0.1", "--port", str(self.state.port), "--no-cors", "--quiet"),
                *("--chain-id", str(self.state.chain_id), *self._mining()),
                *("--gas-limit", "500000000", "--hardfork", "london"),
                *("--gas-price", "0", "--block-base-fee-per-gas", "0"),
            ]
            handle = processes.spawn(
                argv,
                log=self.home / "net/logs/anvil.log",
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.home)},
                mark=str(self.state.port),
            )
            self.state = replace(self.state, pid=handle.pid)
            self._save()
        deadline = time.monotonic() + wait
        while self._rpc("eth_chainId") != hex(self.state.chain_id):
            if time.monotonic() > deadline or not self.running():
                raise NetworkStartFailed("anvil did not start", field="anvil")
            time.sleep(0.05)
        for key in (self.deployer, *self.relayers):
            self._rpc("anvil_setBalance", key.address_hex, hex(_BALANCE))

    def down(self) -> int:
        """Stop; the chain is gone. 1 if it was running."""
        with processes.exclusive(self.home / _LOCK):
            return int(processes.stop(self._handle()))

    def reset(self) -> None:
        """Stop and forget it, keys included."""
        self.down()
        (self.home / "net/dev.json").unlink(missing_ok=True)
        for name in ("deployer", *(f"relayer-{i}" for i in range(1, self.state.relayers + 1))):
            (self.home / f"keys/{name}.key").unlink(missing_ok=True)

    def set_time(self, seconds: int) -> None:
        """The next block has this time (seconds since 1970, later than the last block's) and is made now."""
        self._rpc("evm_setNextBlockTimestamp", hex(seconds))
        self._rpc("evm_mine")

    def _mining(self) -> list[str]:
        seconds, genesis = self.state.block_seconds, self.state.genesis_time
        words = ["--block-time", str(seconds)] if seconds else ["--no-mining"]
        words += ["--timestamp", str(genesis)] if genesis else []
        return words if self.state.keep_states else [*words, "--prune-history"]

    def _handle(self) -> processes.Handle:
        return processes.Handle(self.state.pid, f"--port {self.state.port} ")

    def _rpc(self, method: str, *params: Any) -> Any:
        answer = post(self.state.port, method, list(params))
        return None if answer is None else answer["result"]

    def _save(self) -> None:
        path = self.home / "net/dev.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(asdict(self.state)))
        partial.rename(path)
