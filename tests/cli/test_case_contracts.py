"""`deploy --cases`, and the proposals that open a case room and set a year of working days."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chain import case_record, trustfile
from chain.case_deployment import latest_policy, uncovered
from chain.configuration import network_of
from chain.errors import DeploymentMismatch
from chain.evm import Evm
from chain.governance import parse_proposal
from chain.networks.cometbft import CometNetwork
from cli import stack_cases
from cli.main import main
from tests.support.ledger import Ledger, found, run
from verifier.trust import TrustFile

YEAR = {"notice": "a notice for tests", "holidays": [["2027-10-01", "2027-10-07"]], "workdays": []}


@pytest.fixture(scope="module")
def ledger(network1: CometNetwork, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    home = tmp_path_factory.mktemp("deployed")
    (home / "caseledger.toml").write_text(
        f'[chain]\nengine = "cometbft"\nchain_id = {network1.evm_chain_id}\n'
        f'network_id = "{network1.chain_id}"\nrpc_urls = {json.dumps(network1.rpc_urls)}\n'
        f"comet_urls = {json.dumps(network1.comet_urls)}\n"
    )
    return run(found(network1, home))


def command(ledger: Ledger, *arguments: str) -> int:
    return main(["--lang", "en", *arguments, "--home", str(ledger.home)])


def deploy(ledger: Ledger, *more: str) -> int:
    deployer = str(ledger.network.home / "keys" / "deployer.key")
    return command(ledger, "deploy", "--cases", "--key", deployer, "--json", *more)


async def drafted(ledger: Ledger, record: case_record.CaseRecord) -> TrustFile:
    """The consortium's trust file, which looks at the chain before it names a contract."""
    named = trustfile.named_validators(ledger.consortium, ledger.validator_keys)
    async with ledger.pool() as pool:
        return await trustfile.draft(
            pool, ledger.deployment, ledger.consortium, named=named, now=int(time.time()), cases=record
        )


def decide(ledger: Ledger, file: Path) -> Any:
    """What governance decides from a proposal's file."""
    proposal, _ = parse_proposal(file.read_bytes())

    async def scenario() -> tuple[int, list[int]]:
        async with ledger.pool() as pool:
            await ledger.pass_proposal(Evm(pool), proposal)
            contracts = case_record.load(ledger.home).contracts
            return await latest_policy(Evm(pool), contracts), await uncovered(
                Evm(pool), contracts, (2026, 2027)
            )

    return run(scenario())


@pytest.mark.chain
def test_a_case_room_is_deployed_once_checked_and_opened_by_governance(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proposal = tmp_path / "proposal.json"
    assert command(ledger, "act", "propose", str(proposal), "--open-cases") == 1
    assert "DeploymentMissing" in capsys.readouterr().err
    assert deploy(ledger, "--test-clock") == 0
    first = json.loads(capsys.readouterr().out)
    assert first["testClock"] is True
    assert first["cases"] == case_record.load(ledger.home).as_json()
    # Once more changes nothing and checks the code.
    assert deploy(ledger) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == first["cases"]
    assert command(ledger, "deploy", "--check") == 0
    shown = capsys.readouterr().out
    assert "TEST CLOCK" in shown
    assert all(name in shown for name in first["cases"]["contracts"])
    assert stack_cases.shown(ledger.home) is not None

    assert command(ledger, "act", "propose", str(proposal), "--open-cases") == 0
    described = capsys.readouterr().out
    assert "CaseLedger.activatePolicy(" in described
    assert "WorkCalendar.setYear(year=2026" in described
    assert decide(ledger, proposal) == (1, [2027])

    # The shipped table does not have the next year; a file with its notice does.
    assert command(ledger, "act", "propose", str(proposal), "--calendar-year", "2027") == 1
    assert "CalendarYearUnknown" in capsys.readouterr().err
    table = tmp_path / "calendar.json"
    table.write_text(json.dumps({"version": 1, "years": {"2027": YEAR}}))
    year = ["--calendar-year", "2027", "--calendar", str(table)]
    assert command(ledger, "act", "propose", str(proposal), *year) == 0
    assert "a notice for tests" in capsys.readouterr().out
    assert decide(ledger, proposal) == (1, [])

    payload = run(drafted(ledger, case_record.load(ledger.home))).payload
    assert payload.version == 4
    for name in ("CaseBatches", "CaseLedger"):
        pin = payload.contract(ledger.deployment.chain_id, name)
        record = first["cases"]["contracts"][name]
        assert pin is not None
        assert ("0x" + pin.address.hex(), pin.code_hash.hex()) == (record["address"], record["codeHash"])

    # A record that somebody has changed is not the chain's.
    path = ledger.home / case_record.FILE_NAME
    good = path.read_text()
    batches = first["cases"]["contracts"]["CaseBatches"]["address"]
    path.write_text(good.replace(batches, "0x" + "0a" * 20))
    assert command(ledger, "deploy", "--check") == 1
    with pytest.raises(DeploymentMismatch):
        run(drafted(ledger, case_record.load(ledger.home)))
    assert "DeploymentMismatch" in capsys.readouterr().err
    path.write_text(good)
    assert command(ledger, "deploy", "--check") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "years": {}}',
        '{"version": 1, "years": {"2027": {}}}',
        '{"version": 1}',
        "\0",
    ],
)
def test_a_calendar_file_with_a_fault_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    from cases.errors import CalendarMalformed
    from cases.opening import read_calendar
    from protocol.errors import MalformedInput

    path = tmp_path / "calendar.json"
    path.write_text(text)
    with pytest.raises((CalendarMalformed, MalformedInput)):
        read_calendar(path)
    with pytest.raises(CalendarMalformed):
        read_calendar(tmp_path / "none.json")


def test_a_home_keeps_its_clock(tmp_path: Path) -> None:
    from cases.opening import policy_version
    from cli.stack_cases import PolicyOfAnother
    from tests.chain.test_case_record import RECORD

    assert stack_cases.recorded(tmp_path, test_clock=True) is None
    assert "TEST CLOCK" in stack_cases.label(tmp_path, True)
    assert "TEST CLOCK" not in stack_cases.label(tmp_path, None)
    RECORD.save(tmp_path)
    assert stack_cases.recorded(tmp_path, test_clock=None) == RECORD
    assert stack_cases.recorded(tmp_path, test_clock=False) == RECORD
    with pytest.raises(PolicyOfAnother):
        stack_cases.recorded(tmp_path, test_clock=True)
    assert policy_version().name == RECORD.version.name


@pytest.mark.chain
def test_up_goes_on_where_it_was_killed(network1: CometNetwork, tmp_path: Path) -> None:
    made = run(found(network1, tmp_path))
    place = network_of(network1.home)

    async def scenario() -> None:
        async with made.pool() as pool:
            evm = Evm(pool)

            async def ensure() -> tuple[case_record.CaseRecord, bool]:
                return await stack_cases.ensure(
                    evm, made.deployer(), tmp_path, place, made.deployment, test_clock=None
                )

            record, fresh = await ensure()
            assert fresh
            assert not record.version.test_clock
            assert await ensure() == (record, False)
            # Killed after its proposal was scheduled: the next run makes another and carries it out.
            (scheduled,) = await stack_cases.undecided(evm, record)
            approvals = [
                scheduled.approve(
                    made.deployment, made.consortium.index(name), made.key(f"{name}-act"), 2**39
                )
                for name in ("centre", "court", "regulator")
            ]
            await made.send(evm, scheduled.schedule(made.deployment, approvals))
            (again,) = await stack_cases.undecided(evm, record)
            assert again.salt != scheduled.salt
            await made.pass_proposal(evm, again)
            assert await stack_cases.undecided(evm, record) == []
            # Killed before the record was written: another set is deployed, and the first belongs to nobody.
            (tmp_path / case_record.FILE_NAME).unlink()
            other, fresh = await ensure()
            assert fresh
            assert other.contracts.ledger != record.contracts.ledger
            assert len(await stack_cases.undecided(evm, other)) == 1

    run(scenario())
