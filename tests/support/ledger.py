"""A founded ledger on the shared network: contracts deployed, keys in files, a database with our tables."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from agent import keys as key_files
from agent.keys import Secp256k1Key
from chain import deploy, direct, governance
from chain.bindings import EVIDENCE_LOG, interface
from chain.consortium import Consortium, development
from chain.deployment import Deployment
from chain.engines import EngineProfile, profile
from chain.errors import ContractReverted
from chain.evm import Evm, Receipt
from chain.governance import Proposal
from chain.networks.clique import CliqueNetwork
from chain.networks.cometbft import CometNetwork
from chain.outbox import Outbox, Settings
from chain.rpc import RpcPool, RpcSettings
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from protocol.acts import Anchor
from protocol.hashing import SHA256, SM3
from protocol.identifiers import log_id
from storage.db import Pool, connect_pool
from verifier.merkle_tree import consistency_proof, tree_root

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """One event loop for one test, with a limit."""
    return asyncio.run(asyncio.wait_for(coroutine, 120))


@dataclass
class FolderKeys:
    """The agent's key files as the generator's key store."""

    folder: Path

    def ensure(self, name: str, kind: str, purpose: str, organisation: int | None) -> bytes:
        path = key_files.key_path(self.folder, name)
        if not path.exists():
            key_files.save_key(
                key_files.new_key(kind, key_files.KeyLabel(name, purpose, organisation)), self.folder
            )
        key = key_files.load_key(path)
        return key.address if isinstance(key, Secp256k1Key) else key.public_key


@dataclass
class Ledger:
    """What tests of the chain room stand on. Relayer 4 sends directly; lanes use relayers 1 to 3."""

    network: CometNetwork | CliqueNetwork
    home: Path
    consortium: Consortium
    deployment: Deployment
    engine: EngineProfile = field(default_factory=lambda: profile("cometbft"))

    def key(self, name: str) -> Secp256k1Key:
        """An organisation's key: `court-act`, `centre-anchor`, …"""
        return key_files.load_secp256k1(self.home / "keys" / f"{name}.json")

    @property
    def validator_keys(self) -> dict[bytes, str]:
        """Key of each validator and who controls it."""
        if isinstance(self.network, CliqueNetwork):
            return self.network.signers
        return {b64decode(key): who for who, key in self.network.consensus_keys.items()}

    def relayer(self, number: int) -> RelayerKey:
        return load_relayer(self.network.home / "keys" / f"relayer-{number}.key")

    def deployer(self) -> RelayerKey:
        return load_relayer(self.network.home / "keys" / "deployer.key")

    def settings(self, **changes: Any) -> Settings:
        facts: dict[str, Any] = {
            "gas_price": self.engine.min_gas_price,
            "depth": self.engine.depth,
            "revert_costs_limit": self.engine.revert_gas == "limit",
        }
        return Settings(chain_id=self.deployment.chain_id, **(facts | changes))

    def outbox(self, *numbers: int, **changes: Any) -> Outbox:
        keys = [self.relayer(n) for n in numbers]
        return Outbox(self.settings(**changes), {key.name: key for key in keys})

    @asynccontextmanager
    async def pool(
        self,
        urls: Sequence[str] = (),
        comet: Sequence[str] = (),
        settings: RpcSettings | None = None,
    ) -> AsyncIterator[RpcPool]:
        async with RpcPool(
            list(urls) or self.network.rpc_urls,
            self.engine,
            chain_id=self.network.evm_chain_id,
            comet_urls=list(comet) or self.network.comet_urls,
            comet_chain_id=self.network.chain_id if self.engine.comet_rpc else None,
            settings=settings,
        ) as pool:
            yield pool

    async def send(self, evm: Evm, call: Call, relayer: int = 4) -> Receipt:
        return await direct.send(
            evm, self.relayer(relayer), call, chain_id=self.deployment.chain_id,
            gas_price=self.engine.min_gas_price,
        )  # fmt: skip

    async def pass_proposal(
        self, evm: Evm, proposal: Proposal, voters: Sequence[str] = ("centre", "court", "regulator")
    ) -> Receipt:
        """Approve, schedule, wait for the time lock, execute."""
        until = int(time.time()) + 600
        approvals = [
            proposal.approve(self.deployment, self.consortium.index(v), self.key(f"{v}-act"), until)
            for v in voters
        ]
        await self.send(evm, proposal.schedule(self.deployment, approvals))
        while True:
            try:
                return await self.send(evm, proposal.execute(self.deployment))
            except ContractReverted as error:
                if error.code != "GovernanceTooEarly":
                    raise
                await asyncio.sleep(0.3)

    async def open_log(self, evm: Evm, origin: str, operator: str = "centre") -> bytes:
        await self.pass_proposal(
            evm, governance.open_log(self.deployment, origin, self.consortium.index(operator))
        )
        return log_id(origin)

    def anchor_call(self, log: HandMadeLog, count: int, *, valid_for: int = 300) -> Call:
        """The next anchor of a hand-made log, with `count` more leaves."""
        act, proof = log.grow(count, int(time.time()) + valid_for)
        signature = self.key(f"{log.operator}-anchor").sign_digest(act.digest(self.deployment.log_domain))
        data = (
            interface(EVIDENCE_LOG)
            .function("anchor")
            .encode(
                (act.log_id, act.old_size, act.new_size, act.root_sha256, act.root_sm3, act.valid_until),
                proof,
                signature,
            )
        )
        return Call(self.deployment.evidence_log.address, data)


class HandMadeLog:
    """Leaves without meaning under real roots and consistency proofs."""

    def __init__(self, origin: str, operator: str = "centre") -> None:
        self.log_id = log_id(origin)
        self.operator = operator
        self.leaves: list[bytes] = []

    def grow(self, count: int, valid_until: int) -> tuple[Anchor, tuple[bytes, ...]]:
        old = len(self.leaves)
        self.leaves += [n.to_bytes(8, "big") * 14 for n in range(old, old + count)]
        sha = [SHA256.leaf(leaf) for leaf in self.leaves]
        sm3 = [SM3.leaf(leaf) for leaf in self.leaves]

        def node(level: int, index: int) -> bytes:
            return tree_root(SHA256, sha[index << level : (index + 1) << level])

        proof = tuple(consistency_proof(SHA256, old, old + count, node)) if old else ()
        act = Anchor(self.log_id, old, old + count, tree_root(SHA256, sha), tree_root(SM3, sm3), valid_until)
        return act, proof


async def found(
    network: CometNetwork | CliqueNetwork, home: Path, engine: EngineProfile | None = None, **options: Any
) -> Ledger:
    """Deploy a fresh development consortium on a running network."""
    facts = engine or profile("cometbft")
    consortium = development(FolderKeys(home / "keys"), **options)
    deployer = load_relayer(network.home / "keys" / "deployer.key")
    async with RpcPool(network.rpc_urls, facts, chain_id=network.evm_chain_id) as pool:
        deployment = await deploy.deploy(
            Evm(pool),
            deployer,
            deploy.Network(
                facts.name,
                network.evm_chain_id,
                network.chain_id,
                tuple(network.rpc_urls),
                tuple(network.comet_urls),
                facts.min_gas_price,
            ),
            consortium.rules(),
        )
    deployment.save(home)
    return Ledger(network, home, consortium, deployment, facts)


@asynccontextmanager
async def database(dsn: str) -> AsyncIterator[Pool]:
    """A pool on a migrated database."""
    pool = await connect_pool(dsn)
    try:
        yield pool
    finally:
        await pool.close()
