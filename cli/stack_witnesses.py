"""Development witnesses of a local ledger: court, regulator, bank, each with a home and a node of its own.

On one machine they prove nothing about independence; they show how the parts work together. Each reads the
node of the organisation that runs it, and holds a copy of the deployment's record and of the trust file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chain import deployment as deployments
from chain.deploy import Network
from chain.networks import processes
from chain.networks.cometbft import CometNetwork
from cli.local_process import LocalProcess, write_whole
from cli.witness import KEY_NAMES, make_keys, settings_text
from monitor.held_trust import ACCEPTED
from monitor.settings import FILE_NAME
from protocol.checkpoint import TYPE_COSIGNATURE
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy

WITNESSES = {
    "court": "court", "regulator": "regulator", "bank-association": "bank", "notary-chamber": "notary",
}  # fmt: skip
"""Who runs a witness, and in which role."""
DEFAULT = 3
WITH_VALIDATORS = 4
"""From so many validators on, there are witnesses unless it is said otherwise."""
QUORUM = "majority"
NICENESS = 5


@dataclass(frozen=True)
class LocalWitness:
    """One of them. `keys`: public keys (32 bytes) by algorithm number."""

    slug: str
    home: Path
    port: int
    keys: Mapping[int, bytes]

    @property
    def name(self) -> str:
        """Key name in its cosignatures."""
        return f"{self.slug}.localhost/witness"

    @property
    def listen(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"


class LocalWitnesses:
    """All of a stack's home, under `witnesses/`."""

    def __init__(self, home: Path, run_folder: Path) -> None:
        self._folder = home / "witnesses"
        self._run = run_folder

    def existing(self) -> list[str]:
        """Slugs of those that were made."""
        return [slug for slug in WITNESSES if (self._folder / slug).is_dir()]

    def prepare(self, network: CometNetwork, count: int | None) -> list[LocalWitness]:
        """Homes, keys and settings of `count` witnesses, or of those that are there.

        One that runs is stopped if its settings changed.
        """
        validators = len(network.rpc_urls)
        if count is None and not self.existing():
            count = DEFAULT if validators >= WITH_VALIDATORS else 0
        wanted = list(WITNESSES)[:count] if count is not None else self.existing()
        return [self._one(slug, network) for slug in dict.fromkeys([*self.existing(), *wanted])]

    def _one(self, slug: str, network: CometNetwork) -> LocalWitness:
        home = self._folder / slug
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        publics = make_keys(home)
        settings = settings_text(f"{slug}.localhost/witness", self._node(slug, network))
        changed = write_whole(home / FILE_NAME, settings.encode())
        port = self._port(home)
        witness = LocalWitness(slug, home, port, dict(enumerate(publics)))
        if changed:
            self.stop(slug)
        return witness

    @staticmethod
    def _node(slug: str, network: CometNetwork) -> Network:
        """The node of the organisation that runs the witness; a small network has one for all."""
        nodes = [node for node in network.state.nodes if node.bonded_at_genesis]
        own = next((node for node in nodes if node.controller == slug), nodes[0])
        return Network(
            "cometbft",
            network.evm_chain_id,
            network.chain_id,
            (f"http://127.0.0.1:{own.ports.evm}",),
            (f"http://127.0.0.1:{own.ports.comet}",),
        )

    def _port(self, home: Path) -> int:
        """Chosen free once; another one when somebody took it."""
        path = home / "port"
        try:
            port = int(path.read_text())
            if self._process(home.name, port).alive() or processes.port_free(port):
                return port
        except (OSError, ValueError):
            pass
        port = processes.free_ports(1)[0]
        write_whole(path, str(port).encode())
        return port

    @staticmethod
    def policy(witnesses: list[LocalWitness]) -> WitnessPolicy:
        """A majority of them; each with a key for each tree."""
        if not witnesses:
            return EMPTY_POLICY
        keys = tuple(
            Witness(one.name, TYPE_COSIGNATURE, one.keys[algorithm], algorithm, one.slug, WITNESSES[one.slug])
            for one in witnesses
            for algorithm in range(len(KEY_NAMES))
        )
        names = tuple(one.name for one in witnesses)
        return WitnessPolicy(keys, (WitnessGroup(QUORUM, len(names) // 2 + 1, names),), QUORUM)

    @staticmethod
    def tables(witnesses: list[LocalWitness]) -> str:
        """The `[[witness]]` tables of the operator's settings."""
        return "".join(
            f'\n[[witness]]\nname = {json.dumps(one.name)}\nurl = "http://{one.listen}"\n'
            f'sha256_key = "{one.keys[0].hex()}"\nsm3_key = "{one.keys[1].hex()}"\n'
            for one in witnesses
        )

    def publish(self, witnesses: list[LocalWitness], deployment: Path, trust: Path) -> None:
        """What each must hold of the consortium: the deployment's record and the accepted trust file."""
        for one in witnesses:
            if write_whole(one.home / deployments.FILE_NAME, deployment.read_bytes()):
                self.stop(one.slug)
            write_whole(one.home / ACCEPTED, trust.read_bytes())

    def start(self, witnesses: list[LocalWitness], environment: Mapping[str, str]) -> None:
        """Start those that do not run; nobody waits for them."""
        for one in witnesses:
            self._process(one.slug, one.port).start(environment, NICENESS)

    def alive(self, slug: str) -> int | None:
        """The process, if it runs."""
        port = self._port_of(slug)
        return None if port is None else self._process(slug, port).alive()

    def stop(self, slug: str, *, hard: bool = False) -> bool:
        """SIGTERM and wait; `hard`: SIGKILL."""
        port = self._port_of(slug)
        return port is not None and self._process(slug, port).stop(hard=hard)

    def _port_of(self, slug: str) -> int | None:
        try:
            return int((self._folder / slug / "port").read_text())
        except (OSError, ValueError):
            return None

    def _process(self, slug: str, port: int) -> LocalProcess:
        words = ["witness", "--listen", f"127.0.0.1:{port}", "--home", str(self._folder / slug)]
        return LocalProcess(self._run, f"witness-{slug}", words)
