"""A local Clique network: geth signers on loopback, for conformance tests and drills. No finality.

Peers are set by hand (no discovery), so that a test can part the network and heal it. Nodes keep every state,
so that a killed one comes back where it was.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chain.networks import ipc, processes
from chain.networks.asking import disk_usage, memory_usage, post
from chain.networks.binary import Progress
from chain.networks.errors import (
    NetworkExists,
    NetworkMissing,
    NetworkNodeUnknown,
    NetworkSettingRefused,
    NetworkStartFailed,
    NetworkToolFailed,
)
from chain.networks.geth import geth_binary
from chain.networks.keys import LocalKey, new_key, read_key
from chain.networks.nodefiles import network_keys
from chain.networks.state import CONTROLLERS

MAX_SIGNERS = 7
EPOCH_BLOCKS = 30_000
BLOCK_GAS = 30_000_000
_BALANCE = 10**24
_LOCK = ".net.lock"
_STATE_VERSION = 1
_SOCKET_PATH = 100  # a Unix socket's name must fit


@dataclass(frozen=True)
class Signer:
    """One signer: who controls it, its address, its ports on 127.0.0.1, its process."""

    number: int
    controller: str
    address: str
    node_key: str
    p2p: int
    rpc: int
    auth: int
    pid: int = 0

    @property
    def name(self) -> str:
        """Its folder."""
        return f"signer{self.number}"

    @property
    def enode(self) -> str:
        """How peers call it. `node_key` is the public one."""
        return f"enode://{self.node_key}@127.0.0.1:{self.p2p}?discport=0"


@dataclass(frozen=True)
class CliqueState:
    """What `clique.json` holds."""

    version: int
    chain_id: int
    period: int
    epoch: int
    relayers: int
    signers: tuple[Signer, ...]


@dataclass(frozen=True)
class SignerStatus:
    """What is seen of a signer from outside. Disk and memory in bytes."""

    number: int
    controller: str
    running: bool
    height: int | None
    peers: int | None
    memory_bytes: int | None
    disk_bytes: int


class CliqueNetwork:
    """Signers under `<home>/net`, with the same keys and properties as the other networks."""

    def __init__(self, home: Path, state: CliqueState) -> None:
        self.home = home
        self.state = state

    # Making

    @classmethod
    def load(cls, home: Path) -> CliqueNetwork:
        """NetworkMissing if none was created here."""
        home = home.resolve()
        try:
            table = json.loads((home / "net/clique.json").read_text())
            signers = tuple(Signer(**one) for one in table.pop("signers"))
            state = CliqueState(signers=signers, **table)
        except (OSError, ValueError, TypeError, KeyError):
            raise NetworkMissing("no Clique network was created here") from None
        if state.version != _STATE_VERSION:
            raise NetworkMissing(f"a Clique network of format {state.version}")
        return cls(home, state)

    @classmethod
    def create(
        cls,
        home: Path,
        *,
        signers: int = 3,
        relayers: int = 4,
        period: int = 1,
        epoch: int = EPOCH_BLOCKS,
        evm_chain_id: int | None = None,
        progress: Progress | None = None,
    ) -> CliqueNetwork:
        """Keys, genesis and one home for each signer; nothing is started.

        Raises NetworkSettingRefused, NetworkExists, NetworkToolMissing, NetworkToolFailed.
        """
        if not 1 <= signers <= MAX_SIGNERS or period < 1 or epoch < 1:
            raise NetworkSettingRefused(
                f"1 to {MAX_SIGNERS} signers, period and epoch from 1", field="signers"
            )
        home = home.resolve()
        if len(str(home / "net/signer1/geth.ipc")) > _SOCKET_PATH:
            raise NetworkSettingRefused("the path of this home is too long for a socket", field="home")
        binary = geth_binary(progress)
        with processes.exclusive(home / _LOCK):
            if (home / "net").exists():
                raise NetworkExists("a network was created here", hint="caseledger net reset")
            number = evm_chain_id or 1_000_000 + secrets.randbelow(2**31 - 10**6)
            _, funded = network_keys(home, relayers)
            ports = processes.free_ports(3 * signers)
            made = tuple(
                _make_signer(binary, home, at + 1, ports[3 * at : 3 * at + 3]) for at in range(signers)
            )
            state = CliqueState(_STATE_VERSION, number, period, epoch, relayers, made)
            network = cls(home, state)
            rich = [network.deployer, *funded]
            genesis = home / "net/genesis.json"
            genesis.write_text(json.dumps(_genesis(state, [key.address_hex for key in rich])))
            for signer in made:
                _run(binary, "init", str(genesis), folder=network._folder(signer))
            network._save()
        return network

    # What the others have too

    @property
    def evm_chain_id(self) -> int:
        """EIP-155 chain id."""
        return self.state.chain_id

    @property
    def chain_id(self) -> str:
        """Headers name no network; this is what the trust file calls it."""
        return f"clique-{self.state.chain_id}"

    @property
    def rpc_urls(self) -> list[str]:
        """One for each signer."""
        return [f"http://127.0.0.1:{signer.rpc}" for signer in self.state.signers]

    @property
    def comet_urls(self) -> list[str]:
        """None: this is no CometBFT."""
        return []

    @property
    def deployer(self) -> LocalKey:
        """Funded; here anyone may create contracts."""
        return read_key(self.home / "keys/deployer.key")

    @property
    def relayers(self) -> list[LocalKey]:
        """Funded keys."""
        return [read_key(self.home / f"keys/relayer-{i}.key") for i in range(1, self.state.relayers + 1)]

    @property
    def signers(self) -> dict[bytes, str]:
        """Address of each signer and who controls it, addresses ascending."""
        pairs = ((bytes.fromhex(s.address.removeprefix("0x")), s.controller) for s in self.state.signers)
        return dict(sorted(pairs))

    # Running

    def up(self, *, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Start what is down, connect all, wait for a new block from every node.

        Raises NetworkStartFailed.
        """
        binary = geth_binary(progress)
        with processes.exclusive(self.home / _LOCK):
            if not any(self._handle(signer).alive() for signer in self.state.signers):
                self._fresh_ports()
            for signer in self.state.signers:
                if not self._handle(signer).alive():
                    self._start(binary, signer)
        deadline = time.monotonic() + wait
        for signer in self.state.signers:
            self._wait_answering(signer, deadline)
        self.heal()
        begun = {signer.number: self.height(signer.number) or 0 for signer in self.state.signers}
        for signer in self.state.signers:
            while (self.height(signer.number) or 0) <= begun[signer.number]:
                if time.monotonic() > deadline:
                    raise NetworkStartFailed(f"{signer.name} makes no blocks", field=signer.name)
                time.sleep(0.1)

    def down(self) -> int:
        """Stop all; data is kept. The number that ran."""
        with processes.exclusive(self.home / _LOCK):
            return sum(processes.stop(self._handle(signer)) for signer in self.state.signers)

    def kill(self, number: int) -> bool:
        """SIGKILL to one signer. Whether it ran."""
        return processes.stop(self._handle(self._signer(number)), hard=True)

    def restart(self, number: int, *, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Start one signer again and connect it; returns when it has a block that it did not have.

        Raises NetworkStartFailed.
        """
        signer = self._signer(number)
        binary = geth_binary(progress)
        with processes.exclusive(self.home / _LOCK):
            if not self._handle(signer).alive():
                self._start(binary, signer)
        deadline = time.monotonic() + wait
        signer = self._signer(number)
        self._wait_answering(signer, deadline)
        before = self.height(number) or 0
        self.heal()
        while (self.height(number) or 0) <= before:
            if time.monotonic() > deadline:
                raise NetworkStartFailed(f"{signer.name} gets no blocks", field=signer.name)
            time.sleep(0.1)

    def reset(self) -> None:
        """Stop and delete network, data and keys."""
        self.down()
        shutil.rmtree(self.home / "net", ignore_errors=True)
        for name in ("deployer", *(f"relayer-{i}" for i in range(1, self.state.relayers + 1))):
            (self.home / f"keys/{name}.key").unlink(missing_ok=True)

    def status(self) -> tuple[SignerStatus, ...]:
        """Each signer as it is seen from outside."""
        out = []
        for signer in self.state.signers:
            running = self._handle(signer).alive()
            peers = post(signer.rpc, "net_peerCount", []) if running else None
            out.append(
                SignerStatus(
                    signer.number, signer.controller, running, self.height(signer.number),
                    None if peers is None else int(peers["result"], 16),
                    memory_usage(signer.pid) if running else None, disk_usage(self._folder(signer)),
                )
            )  # fmt: skip
        return tuple(out)

    def height(self, number: int) -> int | None:
        """Number of a signer's newest block; None when it does not answer."""
        answer = post(self._signer(number).rpc, "eth_blockNumber", [])
        return None if answer is None else int(answer["result"], 16)

    # Drills

    def part(self, *groups: Iterable[int], wait: float = 20.0) -> None:
        """Cut every connection between signers of different groups; returns when none is left.

        Raises NetworkToolFailed.
        """
        group = {number: at for at, members in enumerate(groups) for number in members}

        def strangers(one: Signer) -> list[Signer]:
            return [o for o in self.state.signers if group.get(o.number) != group.get(one.number)]

        def leave(one: Signer) -> bool:
            for other in strangers(one):
                self._admin(one, "admin_removeTrustedPeer", other.enode)
                self._admin(one, "admin_removePeer", other.enode)
            peers = self._admin(one, "admin_peers") or []
            named = {str(peer.get("enode", "")).partition("@")[0] for peer in peers}
            return not any(other.enode.partition("@")[0] in named for other in strangers(one))

        deadline = time.monotonic() + wait
        with ThreadPoolExecutor(len(self.state.signers)) as side_by_side:
            # A side that still knows the other calls it again: twice without any connection is parted.
            clean = 0
            while clean < 2:
                if time.monotonic() > deadline:
                    raise NetworkToolFailed("the signers cannot be parted")
                clean = clean + 1 if all(list(side_by_side.map(leave, self.state.signers))) else 0

    def heal(self) -> None:
        """Connect every running signer with every other."""
        for one in self.state.signers:
            for other in self.state.signers:
                if one.number != other.number:
                    self._admin(one, "admin_addTrustedPeer", other.enode)
                    self._admin(one, "admin_addPeer", other.enode)

    # Inside

    def _signer(self, number: int) -> Signer:
        for signer in self.state.signers:
            if signer.number == number:
                return signer
        raise NetworkNodeUnknown(f"signers are 1 to {len(self.state.signers)}", field="node")

    def _folder(self, signer: Signer) -> Path:
        return self.home / "net" / signer.name

    def _handle(self, signer: Signer) -> processes.Handle:
        return processes.Handle(signer.pid, f"--port {signer.p2p} ")

    def _admin(self, signer: Signer, method: str, *params: Any) -> Any:
        return ipc.ask(self._folder(signer) / "geth.ipc", method, list(params))

    def _fresh_ports(self) -> None:
        """Ports that others took meanwhile are replaced while nothing runs."""
        signers = self.state.signers
        if all(processes.becomes_free(p, 1.0) for s in signers for p in (s.p2p, s.rpc, s.auth)):
            return
        ports = processes.free_ports(3 * len(signers))
        fresh = tuple(
            replace(s, p2p=ports[3 * at], rpc=ports[3 * at + 1], auth=ports[3 * at + 2])
            for at, s in enumerate(signers)
        )
        self.state = replace(self.state, signers=fresh)
        self._save()

    def _start(self, binary: Path, signer: Signer) -> None:
        folder = self._folder(signer)
        with contextlib.suppress(FileNotFoundError):
            (folder / "geth.ipc").unlink()
        argv = [
            str(binary), "--datadir", str(folder), "--networkid", str(self.state.chain_id),
            "--syncmode", "full", "--gcmode", "archive", "--state.scheme", "hash", "--cache", "64",
            "--nodiscover", "--nat", "none", "--netrestrict", "127.0.0.0/8", "--port", str(signer.p2p),
            "--nodekey", str(folder / "node.key"), "--ipcpath", str(folder / "geth.ipc"),
            "--http", "--http.addr", "127.0.0.1", "--http.port", str(signer.rpc),
            "--http.api", "eth,net,web3,clique", "--authrpc.addr", "127.0.0.1",
            "--authrpc.port", str(signer.auth), "--mine", "--miner.etherbase", signer.address,
            "--unlock", signer.address, "--password", str(folder / "password"), "--allow-insecure-unlock",
            "--miner.gasprice", "1", "--txpool.pricelimit", "1", "--miner.gaslimit", str(BLOCK_GAS),
            "--verbosity", "2",
        ]  # fmt: skip
        handle = processes.spawn(
            argv, log=self.home / "net/logs" / f"{signer.name}.log",
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "GOMEMLIMIT": "300MiB"},
            mark=self._handle(signer).mark,
        )  # fmt: skip
        signers = tuple(
            replace(s, pid=handle.pid) if s.number == signer.number else s for s in self.state.signers
        )
        self.state = replace(self.state, signers=signers)
        self._save()

    def _wait_answering(self, signer: Signer, deadline: float) -> None:
        while self.height(signer.number) is None or self._admin(signer, "admin_nodeInfo") is None:
            if time.monotonic() > deadline or not self._handle(self._signer(signer.number)).alive():
                raise NetworkStartFailed(
                    f"{signer.name} did not start", field=signer.name, hint=f"net/logs/{signer.name}.log"
                )
            time.sleep(0.1)

    def _save(self) -> None:
        path = self.home / "net/clique.json"
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(asdict(self.state), indent=1))
        partial.rename(path)


def _make_signer(binary: Path, home: Path, number: int, ports: Sequence[int]) -> Signer:
    """A home with a signer's key in geth's own key store; the key stands nowhere else."""
    folder = home / f"net/signer{number}"
    folder.mkdir(mode=0o700, parents=True)
    node, sealing = new_key(folder / "node.hex"), new_key(folder / "seal.hex")
    # geth reads hex without a prefix.
    for name, key in (("node.key", node), ("seal.key", sealing)):
        _write_secret(folder / name, key.secret.hex())
    _write_secret(folder / "password", secrets.token_urlsafe(32))
    _run(
        binary, "account", "import", "--lightkdf", "--password", str(folder / "password"),
        str(folder / "seal.key"), folder=folder,
    )  # fmt: skip
    for name in ("node.hex", "seal.hex", "seal.key"):
        (folder / name).unlink()
    return Signer(number, CONTROLLERS[number - 1], sealing.address_hex, _public(node), *ports)


def _public(key: LocalKey) -> str:
    from coincurve import PrivateKey

    return PrivateKey(key.secret).public_key.format(compressed=False)[1:].hex()


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _genesis(state: CliqueState, funded: Sequence[str]) -> dict[str, Any]:
    """London from block 0; the first signer list is in the extra data, ascending."""
    forks = (
        "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul",
        "berlin", "london",
    )  # fmt: skip
    listed = "".join(sorted(signer.address.removeprefix("0x") for signer in state.signers))
    return {
        "config": {
            "chainId": state.chain_id,
            **{f"{fork}Block": 0 for fork in forks},
            "clique": {"period": state.period, "epoch": state.epoch},
        },
        "difficulty": "0x1",
        "gasLimit": hex(BLOCK_GAS),
        "baseFeePerGas": "0x7",
        "timestamp": hex(int(time.time()) - 1),
        "extraData": "0x" + "00" * 32 + listed + "00" * 65,
        "alloc": {address: {"balance": hex(_BALANCE)} for address in funded},
    }


def _run(binary: Path, *arguments: str, folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own program, arguments as a list
            [str(binary), "--datadir", str(folder), "--verbosity", "2", *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkToolFailed(f"geth {arguments[0]}: {type(error).__name__}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise NetworkToolFailed(f"geth {arguments[0]}: {lines[-1][:200] if lines else done.returncode}")
