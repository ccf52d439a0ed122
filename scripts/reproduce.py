#!/usr/bin/env python3
"""Rebuilds the committed bytecode from source, and the code that a given network must have.

Without arguments: compiles the contracts through py-solc-x and compares every byte with chain/abi. With
`--deployment FILE` also prints the Keccak-256 of each contract's runtime code on that network; immutables are
computed from the record (chain id, addresses, constructor arguments), never read from a chain. With
`--rpc URL` compares with what that node answers: the runtime code, and the input of the transactions that
made the contracts (constructors fill the first state, so runtime code alone says nothing about the first
members). Exit code 0 when everything agrees, 1 when something differs, 2 for a usage error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY, encode_values, interface  # noqa: E402
from chain.bytecode import ARTIFACTS, code_hash, creation_code, expected_code  # noqa: E402
from chain.deployment import Deployment, load  # noqa: E402
from protocol.errors import CaseledgerError  # noqa: E402
from scripts.compile import Json, build, stale  # noqa: E402

RPC_SECONDS = 30


def compile_with_solcx(compiler_input: Json) -> Json:
    """Compiles through py-solc-x, which runs the pinned compiler of scripts/solc."""
    import solcx

    output: Json = solcx.compile_standard(compiler_input, solc_binary=str(ROOT / "scripts" / "solc"))
    return output


def creation_inputs(deployment: Deployment, artifacts: dict[str, Json]) -> dict[str, bytes]:
    """What each deployment transaction must carry, from the record's constructor arguments."""
    registry, governance = deployment.registry.address, deployment.governance.address
    genesis = tuple(organisation.abi() for organisation in deployment.genesis)
    arguments: dict[str, tuple[Any, ...]] = {
        REGISTRY: (governance, deployment.rotation_delay, genesis),
        GOVERNANCE: (registry, deployment.delay, deployment.threshold),
        EVIDENCE_LOG: (registry,),
    }
    return {
        name: creation_code(artifacts[name], encode_values(interface(name).constructor, values))
        for name, values in arguments.items()
    }


def ask(client: httpx.Client, url: str, method: str, *parameters: str) -> Any:
    """One JSON-RPC call."""
    answer = client.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    ).json()
    if "result" not in answer:
        raise SystemExit(f"{method}: {answer.get('error')}")
    return answer["result"]


def compare_with_node(url: str, deployment: Deployment, artifacts: dict[str, Json]) -> list[str]:
    """Where the node's chain differs from the record, in words."""
    differences: list[str] = []
    inputs = creation_inputs(deployment, artifacts)
    codes = expected_code(deployment.as_json())
    with httpx.Client(timeout=RPC_SECONDS) as client:
        if int(ask(client, url, "eth_chainId"), 16) != deployment.chain_id:
            return [f"the node is not of chain {deployment.chain_id}"]
        for name, contract in deployment.contracts.items():
            found = ask(client, url, "eth_getCode", "0x" + contract.address.hex(), "latest")
            if bytes.fromhex(found[2:]) != codes[name]:
                differences.append(f"{name}: other code at 0x{contract.address.hex()}")
            made = ask(client, url, "eth_getTransactionByHash", "0x" + contract.transaction.hex())
            if made is None or bytes.fromhex(made["input"][2:]) != inputs[name]:
                differences.append(f"{name}: not made by the recorded constructor arguments")
    return differences


def main() -> int:
    """Exit code 0 when everything agrees, 1 when something differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployment", type=Path, help="deployment.json, or the folder that holds it")
    parser.add_argument("--rpc", help="compare with this node")
    options = parser.parse_args()
    if options.rpc and not options.deployment:
        parser.error("--rpc needs --deployment")
    fresh = build(compile_with_solcx)
    differing = stale(fresh)
    for name in differing:
        print(f"chain/abi/{name}: differs from what the sources give", file=sys.stderr)
    if differing:
        return 1
    artifacts: dict[str, Json] = {name: json.loads(fresh[f"{name}.json"]) for name in ARTIFACTS}
    for name in ARTIFACTS:
        print(
            f"{name}: reproduced, {len(artifacts[name]['deployedBytecode']) // 2 - 1} bytes of runtime code"
        )
    if options.deployment is None:
        return 0
    try:
        deployment = load(options.deployment)
    except CaseledgerError as error:
        print(f"{error.code}: {error.detail}", file=sys.stderr)
        return 2
    codes = expected_code(deployment.as_json())
    for name, contract in deployment.contracts.items():
        print(f"{name} 0x{contract.address.hex()} {code_hash(codes[name]).hex()}")
        if contract.code_hash != code_hash(codes[name]):
            print(f"{name}: the record says {contract.code_hash.hex()}", file=sys.stderr)
            return 1
    differences = compare_with_node(options.rpc, deployment, artifacts) if options.rpc else []
    for line in differences:
        print(line, file=sys.stderr)
    if options.rpc and not differences:
        print("the node's contracts and the transactions that made them are these")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
