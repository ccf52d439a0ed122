"""A consortium of ten with its case contracts open and a batch imported, on a real network.

On the development chain blocks are made when the test says so, at the times that it sets.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from eth_abi import abi

from cases.calendar import WorkCalendar, shipped
from cases.lifecycle import OWNER, CourtRule, Lifecycle, Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import deploy, direct
from chain.bindings import (
    CASE_BATCHES,
    CASE_LEDGER,
    EVIDENCE_LOG,
    LIFECYCLE,
    LIFECYCLE_TEST_CLOCK,
    interface,
)
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.case_deployment import CalendarYear, deploy_cases, open_cases
from chain.case_record import CaseRecord
from chain.deployment import Deployment, GenesisKey, GenesisOrganisation
from chain.engines import profile
from chain.errors import ContractReverted
from chain.evm import Evm
from chain.governance import Proposal, open_log, together
from chain.networks.cometbft import CometNetwork
from chain.networks.dev import DevNetwork
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from protocol.acts import Act, Anchor, Domain, Purpose, Role
from protocol.case_acts import Import, Move
from protocol.hashing import SHA256, keccak256
from protocol.identifiers import log_id
from tests.support.testkeys import address_of, private_key, signature
from verifier.merkle_tree import all_paths

ZERO, FOREVER = bytes(32), 2**40 - 1
ORIGIN = "centre.example/case-evidence"
DELAY = 1
ROLES = {
    "bank": Role.BANK,
    "centre": Role.CENTRE,
    "court": Role.COURT,
    "regulator": Role.REGULATOR,
    "mediation": Role.MEDIATION,
    "enforcement": Role.ENFORCEMENT,
    "police": Role.POLICE,
    "prosecutor": Role.PROSECUTOR,
    "high court": Role.COURT,
    "other bank": Role.BANK,
}
INDEX = {name: index for index, name in enumerate(ROLES, 1)}


def leaf_of(number: int, submitter: int, case_id: bytes, sequence: int) -> bytes:
    """A 112-byte leaf (entry.md §1)."""
    commitment = hashlib.sha256(b"caseledger/case/v1" + case_id).digest()
    head = bytes([1, number, 0, 0]) + submitter.to_bytes(4, "big") + sequence.to_bytes(8, "big")
    return head + commitment + keccak256(head) + keccak256(head + b"sm3")


@dataclass
class Court:
    """The network, the contracts, the keys of all organisations, and what the cases need."""

    network: CometNetwork | DevNetwork
    pool: RpcPool
    evm: Evm
    deployment: Deployment
    record: CaseRecord
    life: Lifecycle
    relayers: asyncio.Queue[RelayerKey]
    gas_price: int = 1
    batch: tuple[bytes, list[bytes], list[tuple[bytes, ...]]] = (ZERO, [], [])
    link: tuple[Any, ...] = ()
    entries: dict[tuple[int, int, int], tuple[bytes, int, tuple[bytes, ...]]] = field(default_factory=dict)

    @property
    def contracts(self) -> CaseContracts:
        return self.record.contracts

    async def send(self, address: bytes, data: bytes) -> None:
        relayer = await self.relayers.get()
        try:
            call = Call(address, data)
            await direct.send(
                self.evm, relayer, call, chain_id=self.deployment.chain_id, gas_price=self.gas_price
            )
        finally:
            self.relayers.put_nowait(relayer)

    async def decide(self, proposal: Proposal) -> None:
        """Centre, court and regulator approve; the time lock runs; it is executed."""
        until = (await self.evm.head()).time + 600
        voters = [INDEX[name] for name in ("centre", "court", "regulator")]
        approvals = [proposal.approve(self.deployment, v, Signs(v, Purpose.ACT), until) for v in voters]
        call = proposal.schedule(self.deployment, approvals)
        await self.send(call.recipient or b"", call.data)
        execute = proposal.execute(self.deployment)
        while True:
            try:
                return await self.send(execute.recipient or b"", execute.data)
            except ContractReverted as error:
                if error.code != "GovernanceTooEarly":
                    raise
                if isinstance(self.network, DevNetwork):
                    self.network.set_time((await self.evm.head()).time + DELAY + 1)
                await asyncio.sleep(0.3)

    async def case(self, case_id: bytes, version: int = 0) -> dict[str, Any]:
        """The case, at this version at least: the node that is asked may be a block behind."""
        for _ in range(60):
            found = await self._case(case_id)
            if found["version"] >= version:
                return found
            await asyncio.sleep(0.3)
        raise AssertionError(f"version {version} does not come")

    async def _case(self, case_id: bytes) -> dict[str, Any]:
        method = interface(CASE_LEDGER).function("caseOf")
        call = Call(self.contracts.ledger, method.encode(case_id))
        (found,) = method.decode(await self.evm.call(bytes(20), call))
        names = (
            "version", "stage", "product", "owner", "policy", "since", "deadline", "court", "clockId",
            "extension", "openHolds", "flags",
        )  # fmt: skip
        return dict(zip(names, found, strict=False))

    async def act(self, act: Act, function: str, domain: Domain, signers: Sequence[int], *more: Any) -> None:
        signatures = [Signs(org, Purpose.ACT).sign_digest(act.digest(domain)) for org in signers]
        contract = CASE_BATCHES if domain == self.contracts.batches_domain else CASE_LEDGER
        data = interface(contract).function(function).encode(values(act), *more, *signatures)
        await self.send(domain.contract, data)


@dataclass(frozen=True)
class Signs:
    """An organisation's key."""

    organisation: int
    purpose: int

    @property
    def address(self) -> bytes:
        return address_of(private_key(self.purpose, self.organisation))

    def sign_digest(self, digest: bytes) -> bytes:
        return signature(private_key(self.purpose, self.organisation), digest)


def values(act: Act) -> tuple[Any, ...]:
    return tuple(getattr(act, member.name) for member in dataclasses.fields(act))


@asynccontextmanager
async def court(
    network: CometNetwork | DevNetwork,
    cases: int,
    *,
    life: Lifecycle | None = None,
    calendar: WorkCalendar | None = None,
) -> AsyncIterator[Court]:
    """A consortium of ten on the network, its case contracts open, and `cases` imported.

    `life`: the shipped one or its TEST CLOCK (the default). `calendar`: the years that governance sets.
    """
    life = life or LIFECYCLE_V1.with_test_clock()
    keys = {
        name: tuple(
            GenesisKey(Signs(index, purpose).address, purpose, 0, FOREVER)
            for purpose in (Purpose.ACT, Purpose.ANCHOR)
        )
        for name, index in INDEX.items()
    }
    genesis = tuple(
        GenesisOrganisation(keccak256(name.encode()), role.mask, INDEX[name], INDEX[name] <= 4, keys[name])
        for name, role in ROLES.items()
    )
    dev = isinstance(network, DevNetwork)
    engine = profile("dev" if dev else "cometbft")
    place = deploy.Network(
        engine.name,
        network.evm_chain_id,
        "dev" if isinstance(network, DevNetwork) else network.chain_id,
        tuple(network.rpc_urls),
        tuple(network.comet_urls),
        engine.min_gas_price,
        revert_costs_limit=not dev,
    )
    async with RpcPool(network.rpc_urls, engine, chain_id=network.evm_chain_id) as pool:
        evm = Evm(pool)
        deployer = load_relayer(network.home / "keys" / "deployer.key")
        deployment = await deploy.deploy(evm, deployer, place, deploy.Rules(3, DELAY, 60, genesis))
        version = PolicyVersion(LIFECYCLE_TEST_CLOCK if life.test_clock else LIFECYCLE, life.source_digest)
        record = await deploy_cases(evm, deployer, place, deployment, version)
        relayers: asyncio.Queue[RelayerKey] = asyncio.Queue()
        for number in range(1, 5):
            relayers.put_nowait(load_relayer(network.home / "keys" / f"relayer-{number}.key"))
        made = Court(network, pool, evm, deployment, record, life, relayers, engine.min_gas_price)
        years = [
            CalendarYear(y.year, y.low, y.high, y.notice) for y in (calendar or shipped()).years.values()
        ]
        await made.decide(
            together(open_cases(made.contracts, years), open_log(deployment, ORIGIN, INDEX["centre"]))
        )
        await import_cases(made, cases)
        await anchor_evidence(made, cases)
        yield made


def case_id(which: int) -> bytes:
    return keccak256(b"path" + which.to_bytes(2, "big"))


async def import_cases(made: Court, count: int) -> None:
    commitments = [keccak256(b"row" + which.to_bytes(2, "big")) for which in range(count)]
    head = bytes([1, 1, 0, 0]) + INDEX["bank"].to_bytes(4, "big")
    leaves = [SHA256.leaf(head + case_id(which) + commitments[which]) for which in range(count)]
    root, paths = all_paths(SHA256, leaves)
    made.batch = (root, commitments, paths)
    act = Import(INDEX["bank"], root, count, ZERO, ZERO, FOREVER)
    await made.act(act, "importBatch", made.contracts.batches_domain, [INDEX["bank"]])


def wanted(life: Lifecycle) -> set[tuple[int, int]]:
    """Class and submitter of every entry that a step can need; the first class and submitter will do."""
    return {
        (need.classes[0], submitter(need.roles))
        for step in life.transitions.values()
        for need in step.evidence
    }


def submitter(roles: int) -> int:
    if roles & OWNER:
        return INDEX["bank"]
    return next(index for name, index in INDEX.items() if ROLES[name].mask & roles)


async def anchor_evidence(made: Court, count: int) -> None:
    places = [(which, *need) for which in range(count) for need in sorted(wanted(made.life))]
    leaves = [
        leaf_of(number, org, case_id(which), at) for at, (which, number, org) in enumerate(places, start=1)
    ]
    root, paths = all_paths(SHA256, [SHA256.leaf(leaf) for leaf in leaves])
    act = Anchor(log_id(ORIGIN), 0, len(leaves), root, ZERO, FOREVER)
    signed = Signs(INDEX["centre"], Purpose.ANCHOR).sign_digest(act.digest(made.deployment.log_domain))
    data = interface(EVIDENCE_LOG).function("anchor").encode(values(act), [], signed)
    await made.send(made.deployment.evidence_log.address, data)
    made.link = (log_id(ORIGIN), 1, ZERO, len(leaves), root, ZERO, await anchored_at(made))
    made.entries = {
        place: (leaf, index, path)
        for index, (place, leaf, path) in enumerate(zip(places, leaves, paths, strict=True))
    }


async def anchored_at(made: Court) -> int:
    """The block's time that the batch link holds, from the event."""
    log, event = made.deployment.evidence_log.address, interface(EVIDENCE_LOG).event("Anchored")
    head = await made.evm.head()
    for found in await made.evm.logs([log], made.deployment.block, head.number):
        if found.topics[0] == event.topic:
            return int(event.decode(found.topics, found.data)["time"])
    raise AssertionError("no anchor")


def proof_of(made: Court, which: int, step: Transition) -> tuple[bytes, bytes]:
    """The entries that a step needs, and the digest that its act names."""
    if not step.evidence:
        return b"", ZERO
    found = [made.entries[which, need.classes[0], submitter(need.roles)] for need in step.evidence]
    kind = "((bytes32,uint64,bytes32,uint64,bytes32,bytes32,uint40),bytes,uint64,bytes32[])[]"
    entries = [(made.link, leaf, index, list(path)) for leaf, index, path in found]
    return abi.encode([kind], [entries]), keccak256(b"".join(SHA256.leaf(leaf) for leaf, _, _ in found))


def who(allowed: int, case: dict[str, Any], rule: CourtRule, but: int = 0) -> int:
    """An organisation of the role set: the case's own court and bank before others."""
    if rule is CourtRule.SAME:
        return int(case["court"])
    owner = [INDEX["bank"]] if allowed & OWNER else []
    for index in owner + [index for name, index in INDEX.items() if ROLES[name].mask & allowed]:
        if index != but:
            return index
    raise AssertionError(f"nobody has {allowed:x}")


def move_of(
    made: Court, which: int, name: str, case: dict[str, Any], reason: int | None = None
) -> tuple[Move, bytes, int]:
    """A step as it should be, the calldata that carries it, and who made it. The case's state is `case`."""
    step = made.life.transition(name)
    alive = case["version"] != 0
    root, commitments, paths = made.batch
    origin = (ZERO, 0, 0, ZERO, []) if alive else (root, which, 1, commitments[which], paths[which])
    actor = who(step.by, case, step.court_rule)
    beside = who(step.beside, case, CourtRule.ANY, but=actor) if step.beside else 0
    if reason is None:
        reason = step.reasons[0].code if step.reasons else 0
    proof, digest = proof_of(made, which, step)
    version = case["version"] or 1
    act = Move(case_id(which), version, step.id, actor, beside, reason, digest, ZERO, ZERO, FOREVER)
    signers = [org for org in (actor, beside) if org]
    domain = made.contracts.ledger_domain
    signatures = [Signs(org, Purpose.ACT).sign_digest(act.digest(domain)) for org in signers]
    signatures += [b""] * (2 - len(signatures))
    return act, interface(CASE_LEDGER).function("move").encode(values(act), origin, proof, *signatures), actor
