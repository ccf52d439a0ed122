"""Putting the three contracts on a chain, and checking that they are there and nothing else.

Registry and governance name each other, so the governance's address is computed before it exists. The
deployer keeps no right: what the constructors do not fix, governance decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY, encode_values, interface
from chain.bytecode import code_hash, contract_address, creation_code, expected_code, load_artifact
from chain.deployment import DeployedContract, Deployment, GenesisOrganisation
from chain.direct import send
from chain.errors import ContractReverted, DeploymentMismatch
from chain.evm import Evm, Receipt
from chain.signer import RelayerKey
from chain.transactions import Call

# Order of deployment; the registry's constructor already names the governance.
ORDER = (REGISTRY, GOVERNANCE, EVIDENCE_LOG)


@dataclass(frozen=True)
class Network:
    """Where to deploy. `gas_price` in base units; `network_id` is the chain's own name."""

    engine: str
    chain_id: int
    network_id: str
    rpc: tuple[str, ...]
    comet: tuple[str, ...] = ()
    gas_price: int = 0
    revert_costs_limit: bool = True


@dataclass(frozen=True)
class Rules:
    """What the constructors fix. Delays in seconds, 1 s to 30 days."""

    threshold: int
    delay: int
    rotation_delay: int
    genesis: tuple[GenesisOrganisation, ...]


async def deploy(
    evm: Evm,
    deployer: RelayerKey,
    network: Network,
    rules: Rules,
    *,
    progress: Callable[[str], None] | None = None,
) -> Deployment:
    """Deploy and check; nothing is written to disk.

    Raises DeploymentMismatch (another chain id, address or code than computed), ContractReverted (a rule of
    the constructors), and what `chain.direct.send` raises.
    """
    say = progress or (lambda text: None)
    found = await evm.chain_id()
    if found != network.chain_id:
        raise DeploymentMismatch(f"the node is of chain {found}, not {network.chain_id}", field="chainId")
    first = await evm.nonce(deployer.address)
    at = {name: contract_address(deployer.address, first + i) for i, name in enumerate(ORDER)}
    arguments = {
        REGISTRY: (at[GOVERNANCE], rules.rotation_delay, tuple(org.abi() for org in rules.genesis)),
        GOVERNANCE: (at[REGISTRY], rules.delay, rules.threshold),
        EVIDENCE_LOG: (at[REGISTRY],),
    }
    receipts: dict[str, Receipt] = {}
    for name in ORDER:
        say(name)
        encoded = encode_values(interface(name).constructor, arguments[name])
        call = Call(None, creation_code(load_artifact(name), encoded))
        receipt = await sent(evm, deployer, network, call, attempts=1 if name == ORDER[0] else 5)
        if receipt.contract != at[name]:
            raise DeploymentMismatch(f"{name} is not at the address computed for it", field=name)
        receipts[name] = receipt

    def record(name: str, hashed: bytes) -> DeployedContract:
        return DeployedContract(at[name], hashed, receipts[name].transaction_hash)

    blank = bytes(32)
    draft = Deployment(
        chain_id=network.chain_id,
        engine=network.engine,
        network_id=network.network_id,
        rpc=network.rpc,
        comet=network.comet,
        registry=record(REGISTRY, blank),
        governance=record(GOVERNANCE, blank),
        evidence_log=record(EVIDENCE_LOG, blank),
        rotation_delay=rules.rotation_delay,
        delay=rules.delay,
        threshold=rules.threshold,
        genesis=rules.genesis,
        block=min(receipt.block_number for receipt in receipts.values()),
    )
    expected = {name: code_hash(code) for name, code in expected_code(draft.as_json()).items()}
    deployment = replace(
        draft,
        registry=record(REGISTRY, expected[REGISTRY]),
        governance=record(GOVERNANCE, expected[GOVERNANCE]),
        evidence_log=record(EVIDENCE_LOG, expected[EVIDENCE_LOG]),
    )
    await check(evm, deployment)
    return deployment


async def sent(evm: Evm, deployer: RelayerKey, network: Network, call: Call, attempts: int = 5) -> Receipt:
    """Send a contract creation; its constructor may look at one that a node a block behind has not yet."""
    while True:
        try:
            return await send(
                evm,
                deployer,
                call,
                chain_id=network.chain_id,
                gas_price=network.gas_price,
                revert_costs_limit=network.revert_costs_limit,
            )
        except ContractReverted:
            attempts -= 1
            if not attempts:
                raise
            await asyncio.sleep(1.0)


async def check(evm: Evm, deployment: Deployment) -> None:
    """The chain has exactly the committed code, immutables filled in, at the recorded addresses.

    Raises DeploymentMismatch naming the contract.
    """
    found = await evm.chain_id()
    if found != deployment.chain_id:
        raise DeploymentMismatch(f"the node is of chain {found}, not {deployment.chain_id}", field="chainId")
    expected = expected_code(deployment.as_json())
    for name, contract in deployment.contracts.items():
        code = await evm.code(contract.address)
        if not code:
            raise DeploymentMismatch(
                f"there is no {name} at the recorded address", field=name, hint="is it this network?"
            )
        if code != expected[name] or code_hash(code) != contract.code_hash:
            raise DeploymentMismatch(f"the code of {name} is not what this release committed", field=name)
