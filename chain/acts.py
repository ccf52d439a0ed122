"""Acts that contracts check, as transactions; anybody may carry them (chain-state.md §2).

An act's signature decides; the sender only pays. So the same act can go through any member's gateway or, with
`caseledger act`, through the organisation's own node.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY, interface
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evm import Evm
from chain.transactions import Call
from protocol import acts, expect
from protocol.acts import Act, Domain, Signer, parse_type
from protocol.identifiers import parse_address

A = TypeVar("A", bound=Act)

TARGETS: Mapping[type[Act], tuple[str, str]] = {
    acts.Anchor: (EVIDENCE_LOG, "anchor"),
    acts.AnnounceKey: (REGISTRY, "announceKey"),
    acts.AcceptKey: (REGISTRY, "acceptKey"),
    acts.CancelKey: (REGISTRY, "cancelKey"),
    acts.RevokeKey: (REGISTRY, "revokeKey"),
    acts.SetHpkeKey: (REGISTRY, "setHpkeKey"),
    acts.Suspend: (REGISTRY, "suspend"),
    acts.Object: (GOVERNANCE, "objectTo"),
}


class ActNotOnChain(ChainError):
    """No contract takes this act as a transaction of its own."""

    http_status = 422
    title = "not an act of a contract"


def domain_of(kind: type[Act], deployment: Deployment) -> Domain:
    """The EIP-712 domain in which an act counts. Submissions and logins name the EvidenceLog."""
    if kind is acts.Approve:
        return deployment.governance_domain
    contract = TARGETS[kind][0] if kind in TARGETS else EVIDENCE_LOG
    return Domain(deployment.chain_id, deployment.contracts[contract].address)


def sign(act: Act, deployment: Deployment, signer: Signer) -> bytes:
    """65 bytes over the act in its own domain."""
    return signer.sign_digest(act.digest(domain_of(type(act), deployment)))


def call_for(act: Act, signature: bytes, deployment: Deployment, *, proof: Sequence[bytes] = ()) -> Call:
    """The transaction that carries a signed act. `proof` is for an anchor alone. Raises ActNotOnChain."""
    if type(act) not in TARGETS:
        raise ActNotOnChain(f"{type(act).__name__} is not sent to a contract by itself", field="act")
    contract, function = TARGETS[type(act)]
    values: list[Any] = [dataclasses.astuple(act)]
    if isinstance(act, acts.Anchor):
        values.append(tuple(proof))
    data = interface(contract).function(function).encode(*values, signature)
    return Call(deployment.contracts[contract].address, data)


async def next_nonce(evm: Evm, deployment: Deployment, organisation: int) -> int:
    """The act counter that an organisation's next act must name."""
    function = interface(REGISTRY).function("nonceOf")
    answer = await evm.call(bytes(20), Call(deployment.registry.address, function.encode(organisation)))
    return int(function.decode(answer)[0])


def document(act: Act, signature: bytes, *, proof: Sequence[bytes] = ()) -> dict[str, Any]:
    """The JSON form that gateways take at `/v1/acts` and `caseledger act send` reads; hex without prefix."""
    act_type = parse_type(act.TYPE)
    request: dict[str, Any] = {}
    for (kind, name), own in zip(act_type.members, dataclasses.fields(act), strict=True):
        value = getattr(act, own.name)
        if kind == "address":
            request[name] = "0x" + value.hex()
        else:
            request[name] = value.hex() if isinstance(value, bytes) else int(value)
    out: dict[str, Any] = {"act": act_type.name, "request": request, "signature": signature.hex()}
    if isinstance(act, acts.Anchor):
        out["proof"] = [node.hex() for node in proof]
    return out


def act_from_json(kind: type[A], value: object, field: str = "request") -> A:
    """Inverse of the `request` member of `document`. Raises MalformedInput."""
    act_type = parse_type(kind.TYPE)
    given = expect.json_members(value, field, [name for _, name in act_type.members])
    values: list[Any] = []
    for type_name, name in act_type.members:
        item = given[name]
        if type_name == "bytes32":
            values.append(expect.from_hex(item, name, 32))
        elif type_name == "address":
            values.append(parse_address(str(item), name))
        else:
            values.append(expect.uint(item, name, 2 ** int(type_name.removeprefix("uint")) - 1))
    return kind(*values)
