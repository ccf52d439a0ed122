"""The case contracts of the local ledger: deployed once, opened by the home's voting members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cases.opening import opening, policy_version
from chain import case_record
from chain.case_deployment import check_cases, deploy_cases
from chain.case_record import CaseRecord
from chain.deploy import Network
from chain.deployment import Deployment
from chain.evm import Evm
from chain.governance import Proposal
from chain.signer import RelayerKey
from protocol.errors import CaseledgerError


class PolicyOfAnother(CaseledgerError):
    """The home's cases run under another lifecycle, for good: a running case keeps its policy."""

    http_status = 409
    title = "cases run under another policy"


def recorded(home: Path, *, test_clock: bool | None) -> CaseRecord | None:
    """The record that the home has. `test_clock` None: whatever there is. Raises PolicyOfAnother."""
    record = case_record.load(home) if (home / case_record.FILE_NAME).exists() else None
    if record is not None and test_clock is not None and record.version.test_clock is not test_clock:
        raise PolicyOfAnother(
            f"this home has {record.version.name}",
            field="test-clock",
            hint="another home, or caseledger reset",
        )
    return record


async def ensure(
    evm: Evm,
    deployer: RelayerKey,
    home: Path,
    network: Network,
    deployment: Deployment,
    *,
    test_clock: bool | None,
) -> tuple[CaseRecord, bool]:
    """The contracts, and whether they are new. What a killed run deployed without a record stays unused."""
    record = recorded(home, test_clock=test_clock)
    if record is not None:
        await check_cases(evm, deployment, record)
        return record, False
    version = policy_version(test_clock=bool(test_clock))
    record = await deploy_cases(evm, deployer, network, deployment, version)
    record.save(home)
    return record, True


def label(home: Path, test_clock: bool | None) -> str:
    """Which policy it is or will be, for people."""
    record = recorded(home, test_clock=test_clock)
    version = policy_version(test_clock=bool(test_clock)) if record is None else record.version
    return f"{version.name}{'  TEST CLOCK' if version.test_clock else ''}"


async def undecided(evm: Evm, record: CaseRecord) -> list[Proposal]:
    """What governance has to decide before cases can be brought."""
    proposal = await opening(evm, record.contracts)
    return [] if proposal is None else [proposal]


def shown(home: Path) -> dict[str, Any] | None:
    """For `status`; None for a home without cases."""
    path = home / case_record.FILE_NAME
    if not path.exists():
        return None
    record = case_record.load(path)
    return {
        "policy": record.version.name,
        "testClock": record.version.test_clock,
        "contracts": {name: "0x" + at.hex() for name, at in record.contracts.at.items()},
    }
