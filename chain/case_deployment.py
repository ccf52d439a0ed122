"""Putting the contracts of the case room on a chain that has those of the ledger, and opening them.

CaseBatches and CaseLedger name each other, so the ledger's address is computed before it exists. Nobody keeps
a right: what the constructors do not fix, governance decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.bindings import (
    ACT_CARRIER,
    CASE_BATCHES,
    CASE_LEDGER,
    EVIDENCE_GUARD,
    WORK_CALENDAR,
    encode_values,
    interface,
)
from chain.bytecode import (
    batches_immutables,
    calendar_immutables,
    carrier_immutables,
    case_ledger_immutables,
    code_hash,
    contract_address,
    creation_code,
    deployed_code,
    guard_immutables,
    load_artifact,
    policy_immutables,
)
from chain.case_contracts import CaseContracts, PolicyVersion, contract_names
from chain.case_record import CaseRecord
from chain.deploy import Network, sent
from chain.deployment import DeployedContract, Deployment
from chain.errors import ContractReverted, DeploymentMismatch
from chain.evm import Evm, Receipt
from chain.governance import Proposal, together
from chain.signer import RelayerKey
from chain.transactions import Call

NO_GUARD = bytes(20)


@dataclass(frozen=True)
class CalendarYear:
    """A year of working days as `WorkCalendar.setYear` takes it; bit 0 of `low` is 1 January."""

    year: int
    low: int
    high: int
    notice: str


async def deploy_cases(
    evm: Evm,
    deployer: RelayerKey,
    network: Network,
    deployment: Deployment,
    version: PolicyVersion,
    *,
    progress: Callable[[str], None] | None = None,
) -> CaseRecord:
    """Deploy and check the code; nothing is written to disk.

    Raises DeploymentMismatch, ContractReverted, and what `chain.direct.send` raises.
    """
    first = await evm.nonce(deployer.address)
    names = contract_names(version.name)
    at = {name: contract_address(deployer.address, first + i) for i, name in enumerate(names)}
    registry, log = deployment.registry.address, deployment.evidence_log.address
    arguments: dict[str, tuple[Any, ...]] = {
        WORK_CALENDAR: (registry,),
        EVIDENCE_GUARD: (log,),
        version.name: ((at[WORK_CALENDAR], at[EVIDENCE_GUARD], NO_GUARD, NO_GUARD),),
        CASE_BATCHES: (registry, at[CASE_LEDGER]),
        CASE_LEDGER: (registry, at[CASE_BATCHES]),
        ACT_CARRIER: (at[CASE_LEDGER],),
    }
    receipts: dict[str, Receipt] = {}
    for name in names:
        if progress is not None:
            progress(name)
        encoded = encode_values(interface(name).constructor, arguments[name])
        receipt = await sent(evm, deployer, network, Call(None, creation_code(load_artifact(name), encoded)))
        if receipt.contract != at[name]:
            raise DeploymentMismatch(f"{name} is not at the address computed for it", field=name)
        receipts[name] = receipt
    contracts = CaseContracts(network.chain_id, version, *(at[name] for name in names))
    expected = expected_case_code(deployment, contracts)
    record = CaseRecord(
        network.chain_id,
        version,
        {
            name: DeployedContract(at[name], code_hash(expected[name]), receipts[name].transaction_hash)
            for name in names
        },
        min(receipt.block_number for receipt in receipts.values()),
    )
    await check_cases(evm, deployment, record)
    return record


async def check_cases(evm: Evm, deployment: Deployment, record: CaseRecord) -> None:
    """The chain has exactly the committed code, immutables filled in, at the recorded addresses.

    Raises DeploymentMismatch naming the contract.
    """
    if record.chain_id != deployment.chain_id:
        raise DeploymentMismatch(f"the record is of chain {record.chain_id}", field="chainId")
    for name, expected in expected_case_code(deployment, record.contracts).items():
        code = await evm.code(record.deployed[name].address)
        if not code:
            raise DeploymentMismatch(
                f"there is no {name} at the recorded address", field=name, hint="is it this network?"
            )
        if code != expected or code_hash(code) != record.deployed[name].code_hash:
            raise DeploymentMismatch(f"the code of {name} is not what this release committed", field=name)


def expected_case_code(deployment: Deployment, contracts: CaseContracts) -> dict[str, bytes]:
    """Runtime code by name, from the record alone."""
    registry, governance = deployment.registry.address, deployment.governance.address
    log, chain_id = deployment.evidence_log.address, contracts.chain_id
    values = {
        WORK_CALENDAR: calendar_immutables(governance=governance),
        EVIDENCE_GUARD: guard_immutables(log=log, registry=registry),
        contracts.version.name: policy_immutables(
            source_digest=contracts.version.source_digest,
            test_clock=contracts.version.test_clock,
            calendar=contracts.calendar,
            evidence=contracts.guard,
        ),
        CASE_BATCHES: batches_immutables(
            chain_id, contracts.batches, registry=registry, ledger=contracts.ledger
        ),
        CASE_LEDGER: case_ledger_immutables(
            chain_id, contracts.ledger, registry=registry, governance=governance, batches=contracts.batches
        ),
        ACT_CARRIER: carrier_immutables(ledger=contracts.ledger),
    }
    return {name: deployed_code(load_artifact(name), immutables) for name, immutables in values.items()}


def set_years(contracts: CaseContracts, years: Sequence[CalendarYear]) -> Proposal:
    """Set years of the calendar, or correct those of their days that are still in the future."""
    set_year = interface(WORK_CALENDAR).function("setYear")
    return Proposal(
        tuple(contracts.calendar for _ in years),
        tuple(set_year.encode(y.year, y.low, y.high, y.notice) for y in years),
    )


def open_cases(contracts: CaseContracts, years: Sequence[CalendarYear]) -> Proposal:
    """Set the calendar's years and switch the policy on: one proposal."""
    activate = interface(CASE_LEDGER).function("activatePolicy").encode(contracts.policy)
    return together(set_years(contracts, years), Proposal((contracts.ledger,), (activate,)))


async def latest_policy(evm: Evm, contracts: CaseContracts) -> int:
    """The policy version that batches begin with now; 0 while cases are not open."""
    look = interface(CASE_LEDGER).function("latestPolicy")
    return int(look.decode(await evm.call(bytes(20), Call(contracts.ledger, look.encode())))[0])


async def uncovered(evm: Evm, contracts: CaseContracts, years: Iterable[int]) -> list[int]:
    """Those of the years that the chain's calendar does not cover."""
    look = interface(WORK_CALENDAR).function("workdays")
    found = []
    for year in sorted(years):
        try:
            await evm.call(bytes(20), Call(contracts.calendar, look.encode(year)))
        except ContractReverted as error:
            if error.code != "CalendarYearUnknown":
                raise
            found.append(year)
    return found
