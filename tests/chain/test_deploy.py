"""Deployment, its record, and governance on the real chain."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from pathlib import Path

import pytest

from chain import deploy, governance
from chain.bindings import GOVERNANCE, REGISTRY, interface
from chain.bytecode import code_hash, expected_code
from chain.consortium import ConsortiumInvalid, parse, render
from chain.deployment import Deployment, GenesisKey, load
from chain.deployment import parse as parse_deployment
from chain.direct import TransactionNotSent
from chain.errors import ContractReverted, DeploymentMismatch, DeploymentMissing
from chain.evm import Evm
from chain.transactions import Call
from protocol.errors import MalformedInput, UnknownVersion
from protocol.expect import UINT40_MAX
from protocol.identifiers import log_id
from tests.support.ledger import Ledger, run

pytestmark = pytest.mark.chain


def test_deployed_code_is_the_committed_code_with_immutables(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            expected = expected_code(ledger.deployment.as_json())
            for name, contract in ledger.deployment.contracts.items():
                code = await evm.code(contract.address)
                assert code == expected[name]
                assert code_hash(code) == contract.code_hash
            hashes = {c.code_hash for c in ledger.deployment.contracts.values()}
            assert len(hashes) == 3

    run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"delay": 2},
        {"rotation_delay": 2},
        {"chain_id": 5},
        {"registry": "evidence_log"},
        {"evidence_log": "missing"},
        {"governance": "hash"},
    ],
    ids=str,
)
def test_a_record_that_differs_from_the_chain_is_refused(ledger: Ledger, change: dict[str, object]) -> None:
    good = ledger.deployment
    (field, value), *_ = change.items()
    if value == "evidence_log":
        bad = dataclasses.replace(good, registry=good.evidence_log)
    elif value == "missing":
        bad = dataclasses.replace(
            good, evidence_log=dataclasses.replace(good.evidence_log, address=b"\x09" * 20)
        )
    elif value == "hash":
        bad = dataclasses.replace(good, governance=dataclasses.replace(good.governance, code_hash=bytes(32)))
    else:
        bad = dataclasses.replace(good, **{field: value})  # type: ignore[arg-type]

    async def scenario() -> None:
        async with ledger.pool() as pool:
            with pytest.raises(DeploymentMismatch):
                await deploy.check(Evm(pool), bad)
            await deploy.check(Evm(pool), good)

    run(scenario())


def test_deploying_for_another_chain_id_is_refused_before_anything_is_sent(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            key = ledger.relayer(3)
            before = await evm.nonce(key.address)
            network = deploy.Network("cometbft", 1, "x-1", ("http://127.0.0.1:1",), (), 1)
            with pytest.raises(DeploymentMismatch):
                await deploy.deploy(evm, key, network, ledger.consortium.rules())
            assert await evm.nonce(key.address) == before

    run(scenario())


def test_a_consortium_that_the_constructor_refuses_names_the_rule(ledger: Ledger) -> None:
    rules = ledger.consortium.rules()
    without_court = dataclasses.replace(
        rules,
        genesis=tuple(dataclasses.replace(o, vote=o.vote and i != 2) for i, o in enumerate(rules.genesis)),
    )

    async def scenario() -> None:
        async with ledger.pool() as pool:
            network = deploy.Network(
                "cometbft", ledger.deployment.chain_id, "x-1", ("http://127.0.0.1:1",), (), 1
            )
            with pytest.raises(ContractReverted) as caught:
                await deploy.deploy(Evm(pool), ledger.deployer(), network, without_court)
            assert caught.value.code == "RegistryNoCourt"

    run(scenario())


def test_a_sender_that_may_not_deploy_is_told_so(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            network = deploy.Network(
                "cometbft", ledger.deployment.chain_id, "x-1", ("http://127.0.0.1:1",), (), 1
            )
            before = await evm.nonce(ledger.relayer(3).address)
            with pytest.raises(TransactionNotSent, match="creation") as caught:
                await deploy.deploy(evm, ledger.relayer(3), network, ledger.consortium.rules())
            assert "deployer" in str(caught.value.hint)
            assert await evm.nonce(ledger.relayer(3).address) == before

    run(scenario())


def test_record_round_trips_through_its_file(ledger: Ledger, tmp_path: Path) -> None:
    assert load(ledger.home) == ledger.deployment
    ledger.deployment.save(tmp_path)
    assert load(tmp_path / "deployment.json") == ledger.deployment
    with pytest.raises(DeploymentMissing):
        load(tmp_path / "nowhere")


def test_malformed_records_are_refused_by_member(ledger: Ledger) -> None:
    good = ledger.deployment.as_json()
    changes: tuple[dict[str, object], ...] = (
        {"version": 2},
        {"engine": "other"},
        {"chainId": "1"},
        {"chainId": 0},
        {"rpc": "http://x"},
        {"rpc": ["ftp://x"]},
        {"contracts": {}},
        {"surplus": 1},
        {"delay": -1},
    )
    for change in changes:
        with pytest.raises((MalformedInput, UnknownVersion)):
            parse_deployment(json.dumps({**good, **change}).encode())
    with pytest.raises(MalformedInput):
        parse_deployment(b"[]")


def test_consortium_file_round_trips_and_refuses_what_breaks_a_rule(ledger: Ledger) -> None:
    text = render(ledger.consortium)
    assert parse(text.encode()) == ledger.consortium
    for old, new in (
        ("version = 1", "version = 2"),
        ("threshold = 3", "threshold = 2"),
        ("threshold = 3", "threshold = 9"),
        ('roles = ["court"]', 'roles = ["king"]'),
        ('purpose = "act"', 'purpose = "rule"'),
        ('slug = "court"', 'slug = "centre"'),
        ("vote = true", "vote = 1"),
        ("delay = 1", "delay = 1\nsurplus = 2"),
        ('operator = "centre"', 'operator = "nobody"'),
    ):
        assert old in text
        with pytest.raises(ConsortiumInvalid):
            parse(text.replace(old, new, 1).encode())
    with pytest.raises(ConsortiumInvalid):
        parse(b"\xff")


# Governance


def approvals_of(ledger: Ledger, proposal: governance.Proposal, *voters: str) -> list[governance.Approval]:
    until = int(time.time()) + 300
    return [
        proposal.approve(ledger.deployment, ledger.consortium.index(v), ledger.key(f"{v}-act"), until)
        for v in voters
    ]


def test_proposal_id_is_the_contracts(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            proposal = governance.open_log(ledger.deployment, "id.test/log", 1)
            function = interface(GOVERNANCE).function("proposalId")
            answer = await Evm(pool).call(
                bytes(20),
                Call(
                    ledger.deployment.governance.address,
                    function.encode(proposal.targets, proposal.calls, proposal.salt),
                ),
            )
            assert function.decode(answer)[0] == proposal.id(ledger.deployment)

    run(scenario())


@pytest.mark.parametrize(
    ("voters", "code"),
    [
        (("centre", "court"), "GovernanceTooFewApprovals"),
        (("centre", "bank-association", "regulator"), "GovernanceCourtMissing"),
        (("centre", "bank-association", "court"), "GovernanceRegulatorMissing"),
        (("centre", "court", "bank-a"), "GovernanceNoVote"),
    ],
    ids=lambda value: str(value),
)
def test_too_few_or_the_wrong_voters_schedule_nothing(
    ledger: Ledger, voters: tuple[str, ...], code: str
) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            proposal = governance.open_log(ledger.deployment, "refused.test/log", 1)
            call = proposal.schedule(ledger.deployment, approvals_of(ledger, proposal, *voters))
            with pytest.raises(ContractReverted) as caught:
                await ledger.send(evm, call)
            assert caught.value.code == code
            state = await governance.state_of(evm, ledger.deployment, proposal.id(ledger.deployment))
            assert state.name == "unknown"

    run(scenario())


def test_open_log_waits_for_the_time_lock_and_happens_once(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            proposal = governance.open_log(ledger.deployment, "open.test/log", 1)
            assert "openLog(origin=open.test/log, operator=1" in proposal.describe(ledger.deployment)[0]
            approvals = approvals_of(ledger, proposal, "regulator", "court", "centre")  # any order
            await ledger.send(evm, proposal.schedule(ledger.deployment, approvals))
            identity = proposal.id(ledger.deployment)
            state = await governance.state_of(evm, ledger.deployment, identity)
            assert state.name == "scheduled"
            while True:
                try:
                    await ledger.send(evm, proposal.execute(ledger.deployment))
                    break
                except ContractReverted as error:
                    assert error.code == "GovernanceTooEarly"  # noqa: PT017 - any other ends the test
                    await asyncio.sleep(0.3)
            assert (await evm.head()).time >= state.executable_from
            assert (await governance.state_of(evm, ledger.deployment, identity)).name == "executed"
            with pytest.raises(ContractReverted) as caught:
                await ledger.send(evm, proposal.execute(ledger.deployment))
            assert caught.value.code == "GovernanceProposalNotScheduled"
            head = interface("EvidenceLog").function("head")
            answer = await evm.call(
                bytes(20), Call(ledger.deployment.evidence_log.address, head.encode(log_id("open.test/log")))
            )
            assert head.decode(answer)[0][3:5] == (1, 1)  # operator, open

    run(scenario())


def test_enough_objections_end_a_proposal(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            proposal = governance.open_log(ledger.deployment, "objected.test/log", 1)
            await ledger.send(
                evm,
                proposal.schedule(
                    ledger.deployment, approvals_of(ledger, proposal, "centre", "court", "regulator")
                ),
            )
            identity, until = proposal.id(ledger.deployment), int(time.time()) + 300
            for voter in ("bank-association", "court"):
                index = ledger.consortium.index(voter)
                call = governance.object_to(
                    ledger.deployment, identity, index, ledger.key(f"{voter}-act"), until
                )
                await ledger.send(evm, call)
            assert (await governance.state_of(evm, ledger.deployment, identity)).name == "ended"
            with pytest.raises(ContractReverted):
                await ledger.send(evm, proposal.execute(ledger.deployment))

    run(scenario())


def test_the_reason_inside_a_failed_proposal_is_decoded(ledger: Ledger) -> None:
    async def scenario() -> None:
        async with ledger.pool() as pool:
            evm = Evm(pool)
            proposal = governance.open_log(ledger.deployment, "operator.test/log", 99)
            with pytest.raises(ContractReverted) as caught:
                await ledger.pass_proposal(evm, proposal)
            assert caught.value.code == "GovernanceCallFailed"
            inner = governance.inner_reason(caught.value)
            assert inner is not None
            assert inner.code == "LogOperatorInvalid"

    run(scenario())


def test_proposals_travel_as_files(ledger: Ledger) -> None:
    deployment: Deployment = ledger.deployment
    proposal = governance.together(
        governance.assign_key(deployment, 5, GenesisKey(b"\x31" * 20, 1, 0, UINT40_MAX)),
        governance.retire_key(deployment, b"\x32" * 20),
        governance.close_log(deployment, b"\x01" * 32, 5),
    )
    approvals = approvals_of(ledger, proposal, "court", "centre")
    read, signed = governance.parse_proposal(proposal.as_json(approvals))
    assert read == proposal
    assert read.id(deployment) == proposal.id(deployment)
    assert [a.organisation for a in signed] == [1, 3]
    lines = proposal.describe(deployment)
    assert lines[0].startswith(f"{REGISTRY}.assignKey(")
    assert len(lines) == 3
    with pytest.raises(MalformedInput):
        governance.parse_proposal(proposal.as_json().replace('"salt"', '"pepper"'))
