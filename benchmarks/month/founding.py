"""Putting the consortium of a synthetic month on a network: contracts, calendar, policy, evidence log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.month.cast import Cast
from benchmarks.month.ledger import ORIGIN
from cases.calendar import shipped
from cases.lifecycle import Lifecycle
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain import deploy, direct
from chain.bindings import LIFECYCLE, LIFECYCLE_TEST_CLOCK
from chain.case_contracts import PolicyVersion
from chain.case_deployment import CalendarYear, deploy_cases, open_cases
from chain.case_record import CaseRecord
from chain.deployment import Deployment
from chain.errors import ContractReverted
from chain.evm import Evm
from chain.governance import open_log, together
from chain.networks.cometbft import CometNetwork
from chain.networks.dev import DevNetwork
from chain.signer import RelayerKey, load_relayer
from chain.transactions import Call

_FOREVER = 2**40 - 1
_DELAY = 1


@dataclass(frozen=True)
class Founded:
    """Where everything is."""

    deployment: Deployment
    record: CaseRecord
    life: Lifecycle


async def found(evm: Evm, network: DevNetwork | CometNetwork, cast: Cast, *, gas_price: int) -> Founded:
    """Deploy the ledger and the case room, and let the consortium open both."""
    dev = isinstance(network, DevNetwork)
    engine = "dev" if dev else "cometbft"
    place = deploy.Network(
        engine, network.evm_chain_id, network.chain_id, tuple(network.rpc_urls), tuple(network.comet_urls),
        gas_price, revert_costs_limit=not dev,
    )  # fmt: skip
    deployer = load_relayer(network.home / "keys" / "deployer.key")
    deployment = await deploy.deploy(evm, deployer, place, deploy.Rules(3, _DELAY, 60, cast.genesis()))
    life = LIFECYCLE_V1 if dev else LIFECYCLE_V1.with_test_clock()
    version = PolicyVersion(LIFECYCLE if dev else LIFECYCLE_TEST_CLOCK, life.source_digest)
    record = await deploy_cases(evm, deployer, place, deployment, version)
    await _open(evm, deployer, cast, deployment, record, gas_price)
    return Founded(deployment, record, life)


async def _open(
    evm: Evm, sender: RelayerKey, cast: Cast, deployment: Deployment, record: CaseRecord, gas_price: int
) -> None:
    years = [CalendarYear(y.year, y.low, y.high, y.notice) for y in shipped().years.values()]
    proposal = together(
        open_cases(record.contracts, years), open_log(deployment, ORIGIN, cast.index("centre"))
    )
    voters = [cast.index(name) for name in ("centre", "regulator", "court-1")]
    approvals = [proposal.approve(deployment, voter, cast.key(voter), _FOREVER) for voter in voters]

    async def send(call: Call) -> None:
        await direct.send(evm, sender, call, chain_id=deployment.chain_id, gas_price=gas_price)

    await send(proposal.schedule(deployment, approvals))
    while True:
        try:
            return await send(proposal.execute(deployment))
        except ContractReverted as error:
            if error.code != "GovernanceTooEarly":
                raise
            await asyncio.sleep(0.3)
