"""Whole lives of cases on a real network, under the TEST CLOCK, each act by its organisation's key.

One validator in the usual suite, four in the slow one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth_abi import abi

from cases.calendar import shipped
from cases.deadlines import Unit
from cases.lifecycle import OWNER, CourtRule, Transition, When
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import deploy, direct
from chain.bindings import CASE_BATCHES, CASE_LEDGER, EVIDENCE_LOG, LIFECYCLE_TEST_CLOCK, interface
from chain.case_contracts import CaseContracts, PolicyVersion
from chain.case_deployment import CalendarYear, deploy_cases, open_cases
from chain.deployment import Deployment, GenesisKey, GenesisOrganisation
from chain.engines import profile
from chain.errors import ContractReverted
from chain.evm import Evm
from chain.governance import Proposal, open_log, together
from chain.networks.cometbft import CometNetwork
from chain.rpc import RpcPool
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call
from protocol.acts import Act, Anchor, Domain, Purpose, Role
from protocol.case_acts import Import, Move, Pause, Resume, Reverse
from protocol.hashing import SHA256, keccak256
from protocol.identifiers import log_id
from tests.support.testkeys import address_of, private_key, signature
from verifier.merkle_tree import all_paths

LIFE = LIFECYCLE_V1.with_test_clock()
ZERO, FOREVER = bytes(32), 2**40 - 1
ORIGIN = "centre.example/case-evidence"
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

_MEDIATED = "admit offer-mediation mediation-starts"
_AGREED = f"{_MEDIATED} mediation-agreed"
_NOT_MEDIATED = "admit offer-mediation mediation-not-taken"
_ORDERED = f"{_NOT_MEDIATED} order-filed order-issued"
_FILED = "admit transfer filed"
_BREACHED = f"{_AGREED} agreement-performing breached"
_ENFORCED = "enforcement-filed enforcement-starts"
PATHS = tuple(
    path.split()
    for path in (
        "admit route-central settle settlement-binds performed close",
        "admit route-central settle settlement-dropped withdraw",
        f"{_AGREED} agreement-performed-at-once close reopen reject",
        f"{_MEDIATED} mediation-prolonged mediation-agreed agreement-performing performed close",
        f"{_BREACHED} cured performed close",
        f"{_BREACHED} transfer-after-breach fix-required transfer filed ordinary-track",
        f"{_BREACHED} confirmation-filed confirmed performed",
        f"{_BREACHED} offer-mediation mediation-not-taken withdraw",
        f"{_AGREED} confirmation-filed confirmation-prolonged confirmed {_ENFORCED} enforcement-closes",
        f"{_AGREED} confirmation-filed confirmation-rejected offer-mediation route-special route-central",
        f"{_AGREED} confirmation-filed confirmation-rejected transfer filing-refused refusal-final",
        f"{_MEDIATED} mediation-ends offer-mediation mediation-starts mediation-expires transfer",
        f"{_ORDERED} order-served order-effective {_ENFORCED} enforcement-round-ends enforcement-resumes "
        "enforcement-closes",
        f"{_ORDERED} order-served performed close",
        f"{_ORDERED} order-served order-ended suit-declined transfer",
        f"{_ORDERED} order-not-served suit-declined decline-closes",
        f"{_ORDERED} order-ended order-to-suit simple-track judged judgment-effective performed",
        f"{_NOT_MEDIATED} order-filed order-refused transfer",
        "admit transfer filing-refused filed-on-appeal simple-track simple-prolonged to-ordinary "
        "ordinary-prolonged judged appealed remanded judged appealed appeal-mediated performed",
        f"{_FILED} small-track judged-small {_ENFORCED} enforcement-settled enforcement-resumes "
        "enforcement-closes",
        f"{_FILED} small-track small-prolonged small-to-simple mediated-in-court {_ENFORCED} "
        "enforcement-settled performed close",
        f"{_FILED} small-track to-ordinary suit-withdrawn withdraw reopen withdraw",
        f"{_FILED} suit-withdrawn decline-closes",
        f"{_FILED} suit-withdrawn transfer refer-police police-answers refer-prosecutor "
        "prosecutor-answers settle",
        f"{_FILED} simple-track judged appealed appeal-decided {_ENFORCED} enforcement-round-ends "
        "enforcement-closes",
        f"{_FILED} ordinary-track judged judgment-effective enforcement-filed enforcement-closes",
        f"{_FILED} refer-from-trial taken-over",
        "ask-completion admit route-special route-central refer-prosecutor taken-over",
        "ask-completion reject reopen ask-completion withdraw",
        "reject",
        f"{_FILED} small-track pause:3 resume:3 judged-small performed",
        f"{_FILED} reverse filed small-track pause:1 mediated-in-court performed",
        "withdraw reverse admit route-central reverse route-special transfer",
    )
)
QUICK = (0, 2, 12, 30, 31)


def leaf_of(number: int, submitter: int, case_id: bytes, sequence: int) -> bytes:
    """A 112-byte leaf (entry.md §1)."""
    commitment = hashlib.sha256(b"caseledger/case/v1" + case_id).digest()
    head = bytes([1, number, 0, 0]) + submitter.to_bytes(4, "big") + sequence.to_bytes(8, "big")
    return head + commitment + keccak256(head) + keccak256(head + b"sm3")


@dataclass
class Court:
    """The network, the contracts, the keys of all organisations, and what the cases need."""

    evm: Evm
    deployment: Deployment
    contracts: CaseContracts
    relayers: asyncio.Queue[RelayerKey]
    gas_price: int = 1
    batch: tuple[bytes, list[bytes], list[tuple[bytes, ...]]] = (ZERO, [], [])
    link: tuple[Any, ...] = ()
    entries: dict[tuple[int, int, int], tuple[bytes, int, tuple[bytes, ...]]] = field(default_factory=dict)

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
        until = int(time.time()) + 600
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
        names = ("version", "stage", "product", "owner", "policy", "since", "deadline", "court")
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
async def court(network: CometNetwork, cases: int) -> AsyncIterator[Court]:
    """A consortium of ten on the network, its case contracts open, and `cases` imported."""
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
    place = deploy.Network(
        "cometbft",
        network.evm_chain_id,
        network.chain_id,
        tuple(network.rpc_urls),
        tuple(network.comet_urls),
        1,
    )
    async with RpcPool(network.rpc_urls, profile("cometbft"), chain_id=network.evm_chain_id) as pool:
        evm = Evm(pool)
        deployer = load_relayer(network.home / "keys" / "deployer.key")
        deployment = await deploy.deploy(evm, deployer, place, deploy.Rules(3, 1, 60, genesis))
        version = PolicyVersion(LIFECYCLE_TEST_CLOCK, LIFE.source_digest)
        contracts = (await deploy_cases(evm, deployer, place, deployment, version)).contracts
        relayers: asyncio.Queue[RelayerKey] = asyncio.Queue()
        for number in range(1, 5):
            relayers.put_nowait(load_relayer(network.home / "keys" / f"relayer-{number}.key"))
        made = Court(evm, deployment, contracts, relayers)
        years = [CalendarYear(y.year, y.low, y.high, y.notice) for y in shipped().years.values()]
        await made.decide(
            together(open_cases(contracts, years), open_log(deployment, ORIGIN, INDEX["centre"]))
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


def wanted() -> set[tuple[int, int]]:
    """Class and submitter of every entry that a step can need; the first class and submitter will do."""
    return {
        (need.classes[0], submitter(need.roles))
        for step in LIFE.transitions.values()
        for need in step.evidence
    }


def submitter(roles: int) -> int:
    if roles & OWNER:
        return INDEX["bank"]
    return next(index for name, index in INDEX.items() if ROLES[name].mask & roles)


async def anchor_evidence(made: Court, count: int) -> None:
    places = [(which, *need) for which in range(count) for need in sorted(wanted())]
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


async def walk(made: Court, which: int, path: Sequence[str], seen: set[tuple[int, str, int]]) -> None:
    """One life; every step is checked against what the lifecycle says."""
    previous: list[int] = []
    reached = 0
    for name in path:
        case = await made.case(case_id(which), reached)
        root, commitments, paths = made.batch
        alive = case["version"] != 0
        origin = (ZERO, 0, 0, ZERO, []) if alive else (root, which, 1, commitments[which], paths[which])
        version, stage = case["version"] or 1, case["stage"] or 1
        reached = version + 1
        domain = made.contracts.ledger_domain
        kind, _, argument = name.partition(":")
        if kind == "pause":
            pause = Pause(case_id(which), version, case["court"], int(argument), ZERO, FOREVER)
            await made.act(pause, "pause", domain, [case["court"]], origin)
            assert (await made.case(case_id(which), reached))["deadline"] == 0
            continue
        if kind == "resume":
            resume = Resume(case_id(which), version, case["court"], int(argument), ZERO, FOREVER)
            await made.act(resume, "resume", domain, [case["court"]])
            assert (await made.case(case_id(which), reached))["deadline"] >= case["since"]
            continue
        if kind == "reverse":
            other = next(org for org in (INDEX["centre"], INDEX["regulator"]) if org != previous[-1])
            back = Reverse(case_id(which), version, previous[-1], other, ZERO, FOREVER)
            await made.act(back, "reverse", domain, [previous[-1], other])
            continue
        step = LIFE.transition(name)
        assert stage in step.sources, f"{name} from {LIFE.stages[stage].name}"
        if step.when is When.AFTER:
            await passed(made, case["deadline"])
        if step.lapse:
            lapse = interface(CASE_LEDGER).function("lapse").encode(case_id(which), version, step.id)
            await made.send(made.contracts.ledger, lapse)
        else:
            actor = who(step.by, case, step.court_rule)
            beside = who(step.beside, case, CourtRule.ANY, but=actor) if step.beside else 0
            reason = step.reasons[0].code if step.reasons else 0
            proof, digest = proof_of(made, which, step)
            act = Move(case_id(which), version, step.id, actor, beside, reason, digest, ZERO, ZERO, FOREVER)
            signers = [org for org in (actor, beside) if org]
            signatures = [Signs(org, Purpose.ACT).sign_digest(act.digest(domain)) for org in signers]
            signatures += [b""] * (2 - len(signatures))
            move = interface(CASE_LEDGER).function("move").encode(values(act), origin, proof, *signatures)
            await made.send(made.contracts.ledger, move)
            previous.append(actor)
        now = await made.case(case_id(which), reached)
        assert now["stage"] == step.target, name
        assert now["version"] == version + 1
        seen.add((stage, name, step.target))


async def passed(made: Court, deadline: int) -> None:
    while (await made.evm.head()).time <= deadline:  # noqa: ASYNC110  (blocks are not events here)
        await asyncio.sleep(0.5)


def all_at_once(network: CometNetwork, which: Sequence[int], at_a_time: int) -> set[tuple[int, str, int]]:
    seen: set[tuple[int, str, int]] = set()

    async def scenario() -> None:
        async with court(network, len(which)) as made:
            places = asyncio.Semaphore(at_a_time)

            async def one(at: int, path: Sequence[str]) -> None:
                async with places:
                    await walk(made, at, path, seen)

            async with asyncio.TaskGroup() as group:
                for at, number in enumerate(which):
                    group.create_task(one(at, PATHS[number]))

    asyncio.run(scenario())
    return seen


@pytest.mark.chain
def test_cases_live_their_lives_under_the_test_clock(network1: CometNetwork) -> None:
    seen = all_at_once(network1, QUICK, at_a_time=len(QUICK))
    wanted_names = {name for number in QUICK for name in PATHS[number]} & _NAMES
    assert wanted_names == {name for _, name, _ in seen}


@pytest.mark.slow
@pytest.mark.chain
@pytest.mark.timeout(3600)
def test_every_stage_and_transition_is_lived_through(network4: CometNetwork) -> None:
    assert len(PATHS) >= 30
    seen = all_at_once(network4, range(len(PATHS)), at_a_time=6)
    assert {name for _, name, _ in seen} == _NAMES
    assert {stage for stage, _, _ in seen} | {target for _, _, target in seen} == set(LIFE.stages)


def test_the_paths_take_every_transition_and_both_clocks_are_told_apart() -> None:
    assert {name for path in PATHS for name in path if ":" not in name} - {"reverse"} == _NAMES
    assert LIFE.test_clock
    assert all(stage.clock is None or stage.clock.unit is Unit.SECONDS for stage in LIFE.stages.values())


_NAMES = {step.name for step in LIFE.transitions.values()}
