"""Proposals: calls that organisations approve, a time lock, then anybody executes (chain-state.md §4)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY, encode_values, interface, revert_error
from chain.deployment import Deployment, GenesisKey, GenesisOrganisation
from chain.errors import ContractReverted, show_value
from chain.evm import Evm
from chain.transactions import Call
from protocol import expect
from protocol.acts import Approve, Object, Signer
from protocol.hashing import keccak256
from protocol.identifiers import format_address, log_id, parse_address, parse_hex32

MOST_CALLS = 32
_MAX_FILE = 1 << 20
STATES = {0: "unknown", 1: "scheduled", 2: "executed", 3: "ended"}


@dataclass(frozen=True)
class Approval:
    """One organisation's signature under a proposal."""

    organisation: int
    valid_until: int
    signature: bytes


@dataclass(frozen=True)
class Proposal:
    """What is to be done: `targets` (20 bytes) get `calls` in order, all or none. `salt` makes it unique."""

    targets: tuple[bytes, ...]
    calls: tuple[bytes, ...]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def id(self, deployment: Deployment) -> bytes:
        """What organisations approve, 32 bytes; bound to the chain and the governance contract."""
        return keccak256(
            encode_values(
                ("uint256", "address", "address[]", "bytes[]", "bytes32"),
                (
                    deployment.chain_id,
                    deployment.governance.address,
                    self.targets,
                    self.calls,
                    self.salt,
                ),
            )
        )

    def approve(
        self, deployment: Deployment, organisation: int, signer: Signer, valid_until: int
    ) -> Approval:
        """Sign for an organisation with its act key."""
        act = Approve(self.id(deployment), organisation, valid_until)
        return Approval(
            organisation, valid_until, signer.sign_digest(act.digest(deployment.governance_domain))
        )

    def schedule(self, deployment: Deployment, approvals: Iterable[Approval]) -> Call:
        """The transaction that starts the time lock; approvals are put in ascending order."""
        ordered = sorted(approvals, key=lambda approval: approval.organisation)
        data = (
            interface(GOVERNANCE)
            .function("schedule")
            .encode(
                self.targets,
                self.calls,
                self.salt,
                tuple((a.organisation, a.valid_until, a.signature) for a in ordered),
            )
        )
        return Call(deployment.governance.address, data)

    def execute(self, deployment: Deployment) -> Call:
        """The transaction that makes the calls once the time lock is over."""
        data = interface(GOVERNANCE).function("execute").encode(self.targets, self.calls, self.salt)
        return Call(deployment.governance.address, data)

    def describe(self, deployment: Deployment, more: Mapping[bytes, str] | None = None) -> list[str]:
        """One line for each call, for the people who are to approve it. `more`: further contracts' names."""
        names = {contract.address: name for name, contract in deployment.contracts.items()} | dict(more or {})
        lines: list[str] = []
        for target, data in zip(self.targets, self.calls, strict=True):
            name = names.get(target)
            function = None
            if name is not None:
                function = next(
                    (f for f in interface(name).functions.values() if f.selector == data[:4]), None
                )
            if name is None or function is None:
                lines.append(f"{format_address(target)}: 0x{data.hex()}")
                continue
            values = function.decode_input(data)
            shown = ", ".join(f"{key}={show_value(value)}" for key, value in values.items())
            lines.append(f"{name}.{function.name}({shown})")
        return lines

    def as_json(self, approvals: Iterable[Approval] = ()) -> str:
        """The file that travels between organisations while they approve."""
        return json.dumps(
            {
                "version": 1,
                "targets": [format_address(target) for target in self.targets],
                "calls": [call.hex() for call in self.calls],
                "salt": self.salt.hex(),
                "approvals": [
                    {
                        "organisation": a.organisation,
                        "validUntil": a.valid_until,
                        "signature": a.signature.hex(),
                    }
                    for a in sorted(approvals, key=lambda a: a.organisation)
                ],
            },
            indent=1,
        )


def parse_proposal(data: bytes | str) -> tuple[Proposal, tuple[Approval, ...]]:
    """Inverse of `Proposal.as_json`. Raises MalformedInput."""
    record = expect.json_object(
        data, "proposal", ("version", "targets", "calls", "salt", "approvals"), max_bytes=_MAX_FILE
    )
    expect.version(record["version"], 1)
    targets = expect.json_array(record["targets"], "targets", MOST_CALLS)
    calls = expect.json_array(record["calls"], "calls", MOST_CALLS)
    proposal = Proposal(
        tuple(parse_address(str(target), "targets") for target in targets),
        tuple(expect.from_hex(call, "calls", maximum=120_000) for call in calls),
        parse_hex32(str(record["salt"]), "salt"),
    )
    approvals = []
    for item in expect.json_array(record["approvals"], "approvals", 4096):
        members = expect.json_members(item, "approval", ("organisation", "validUntil", "signature"))
        approvals.append(
            Approval(
                expect.uint(members["organisation"], "organisation", expect.UINT32_MAX, minimum=1),
                expect.uint(members["validUntil"], "validUntil", expect.UINT40_MAX),
                expect.from_hex(members["signature"], "signature", maximum=4096),
            )
        )
    return proposal, tuple(approvals)


def object_to(
    deployment: Deployment, proposal: bytes, organisation: int, signer: Signer, valid_until: int
) -> Call:
    """The transaction that objects to a scheduled proposal."""
    act = Object(proposal, organisation, valid_until)
    signature = signer.sign_digest(act.digest(deployment.governance_domain))
    data = interface(GOVERNANCE).function("objectTo").encode((proposal, organisation, valid_until), signature)
    return Call(deployment.governance.address, data)


def call_of(deployment: Deployment, contract: str, function: str, *values: Any) -> Proposal:
    """A proposal of one governed call of one of our contracts."""
    return Proposal(
        (deployment.contracts[contract].address,), (interface(contract).function(function).encode(*values),)
    )


def together(*proposals: Proposal) -> Proposal:
    """One proposal that makes all their calls in order."""
    return Proposal(
        tuple(t for p in proposals for t in p.targets), tuple(c for p in proposals for c in p.calls)
    )


def open_log(deployment: Deployment, origin: str, operator: int, predecessor: bytes = bytes(32)) -> Proposal:
    """Open the log of `origin` for an operator; `predecessor` is the logId that it succeeds."""
    log_id(origin)  # refuses an origin that the contract would refuse
    return call_of(deployment, EVIDENCE_LOG, "openLog", origin, operator, predecessor)


def close_log(deployment: Deployment, log: bytes, size: int, successor: bytes = bytes(32)) -> Proposal:
    """Close a log at `size` leaves in favour of an open successor."""
    return call_of(deployment, EVIDENCE_LOG, "closeLog", log, size, successor)


def add_organisation(deployment: Deployment, organisation: GenesisOrganisation) -> Proposal:
    """Admit an organisation with its first keys."""
    return call_of(deployment, REGISTRY, "addOrganisation", organisation.abi())


def assign_key(deployment: Deployment, organisation: int, key: GenesisKey) -> Proposal:
    """Recovery: give a key to an organisation that lost its own."""
    return call_of(
        deployment,
        REGISTRY,
        "assignKey",
        organisation,
        (key.address, key.purpose, key.not_before, key.not_after),
    )


def retire_key(deployment: Deployment, key: bytes) -> Proposal:
    """Recovery: revoke or cancel a key of any organisation."""
    return call_of(deployment, REGISTRY, "retireKey", key)


@dataclass(frozen=True)
class ProposalState:
    """What the contract holds. Times in seconds."""

    executable_from: int
    executable_until: int
    objections: int
    state: int

    @property
    def name(self) -> str:
        """unknown, scheduled, executed or ended."""
        return STATES.get(self.state, "unknown")


async def state_of(evm: Evm, deployment: Deployment, proposal: bytes) -> ProposalState:
    """Ask the contract."""
    function = interface(GOVERNANCE).function("proposalOf")
    answer = await evm.call(bytes(20), Call(deployment.governance.address, function.encode(proposal)))
    return ProposalState(*function.decode(answer)[0])


def inner_reason(error: ContractReverted) -> ContractReverted | None:
    """Why the call inside a failed proposal failed; None when `error` is not GovernanceCallFailed."""
    reason = error.values.get("reason") if error.code == "GovernanceCallFailed" else None
    return revert_error(reason) if isinstance(reason, bytes) else None
