"""The contracts, as compiled and committed, in revm with London rules; governance decides by real approvals.

Import only where pyrevm is installed (`pytest.importorskip("pyrevm")`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey
from pyrevm import EVM, BlockEnv, CfgEnv, Env

from chain.bindings import EVIDENCE_LOG, GOVERNANCE, REGISTRY, encode_values, interface, revert_error
from chain.bytecode import contract_address, creation_code, load_artifact
from chain.transactions import Call
from protocol.acts import Act, Approve, Domain
from protocol.hashing import keccak256
from tests.support.testkeys import address_of, private_key, signature

CHAIN = 1776
GENESIS = 1_800_000_000
FOREVER = 2**40 - 1
DELAY = 3600
BANK, CENTRE, COURT, REGULATOR = 1, 2, 3, 4
ROLES: Mapping[int, int] = {BANK: 1 << 0, CENTRE: 1 << 3, COURT: 1 << 5, REGULATOR: 1 << 9}
ACT, ANCHOR = 1, 2


@dataclass(frozen=True)
class Said:
    """The events of one transaction: address, topics and data of each; the block's time."""

    time: int
    events: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


@dataclass
class Chain:
    """Registry, governance and log; more contracts by `deploy`. The first four organisations vote."""

    roles: Mapping[int, int] = field(default_factory=lambda: ROLES)
    genesis: int = GENESIS
    evm: EVM = field(
        default_factory=lambda: EVM(Env(cfg=CfgEnv(chain_id=CHAIN)), gas_limit=50_000_000, spec_id="LONDON")
    )
    now: int = 0
    salt: int = 0
    sender: bytes = bytes.fromhex("de" * 20)
    nonce: int = 0
    at: dict[str, bytes] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    """Events of all transactions that were sent, in their order."""

    def __post_init__(self) -> None:
        self.warp(self.genesis)
        governance = self.next_address(1)
        organisations = [
            (
                keccak256(bytes([org])),
                roles,
                org,
                org <= REGULATOR,
                [(address_of(private_key(purpose, org)), purpose, 0, FOREVER) for purpose in (ACT, ANCHOR)],
            )
            for org, roles in self.roles.items()
        ]
        self.deploy(REGISTRY, governance, 60, organisations)
        self.deploy(GOVERNANCE, self.at[REGISTRY], DELAY, 3)
        self.deploy(EVIDENCE_LOG, self.at[REGISTRY])

    def next_address(self, ahead: int = 0) -> bytes:
        """Where the contract after `ahead` others will be."""
        return contract_address(self.sender, self.nonce + ahead)

    def deploy(self, name: str, *arguments: Any) -> bytes:
        code = creation_code(load_artifact(name), encode_values(interface(name).constructor, arguments))
        expected = self.next_address()
        made = self.evm.deploy("0x" + self.sender.hex(), code)
        assert bytes.fromhex(made[2:]) == expected
        self.nonce += 1
        self.at[name] = expected
        return expected

    def code(self, name: str) -> bytes:
        """The runtime code, without the zeros with which revm pads it."""
        return (self.evm.get_code("0x" + self.at[name].hex()) or b"").rstrip(b"\0")

    def warp(self, seconds: int) -> None:
        self.now += seconds
        self.evm.set_block_env(BlockEnv(number=1, timestamp=self.now, gas_limit=50_000_000))

    def call(self, name: str, function: str, *arguments: Any, sender: bytes | None = None) -> tuple[Any, ...]:
        """A transaction by anybody. Raises the Python error of the contract's custom error."""
        method = interface(name).function(function)
        origin = self.sender if sender is None else sender
        if origin == self.sender:
            self.nonce += 1
        try:
            answer = self.evm.message_call(
                "0x" + origin.hex(), "0x" + self.at[name].hex(), method.encode(*arguments)
            )
        except RuntimeError as error:
            raise _reason(error) from None
        self._note()
        return method.decode(answer)

    def send(self, call: Call) -> bytes:
        """A transaction as it is; the answer. Raises as `call` does."""
        self.nonce += 1
        try:
            answer = self.evm.message_call(
                "0x" + self.sender.hex(), "0x" + (call.recipient or b"").hex(), call.data
            )
        except RuntimeError as error:
            raise _reason(error) from None
        self._note()
        return answer

    def _note(self) -> None:
        assert self.evm.result is not None
        found = tuple(
            (bytes.fromhex(log.address[2:]), tuple(log.data[0]), bytes(log.data[1]))
            for log in self.evm.result.logs
        )
        if found:
            self.said.append(Said(self.now, found))

    def signed(self, act: Act, name: str, key: PrivateKey) -> bytes:
        return signature(key, act.digest(Domain(CHAIN, self.at[name])))

    def decide(self, function: str, *arguments: Any, target: str = EVIDENCE_LOG) -> None:
        """Centre, court and regulator approve one call; the time lock runs; it is executed."""
        self.salt += 1
        data = interface(target).function(function).encode(*arguments)
        proposal = ([self.at[target]], [data], self.salt.to_bytes(32, "big"))
        (identifier,) = self.call(GOVERNANCE, "proposalId", *proposal)
        approvals = []
        for org in (CENTRE, COURT, REGULATOR):
            act = Approve(identifier, org, FOREVER)
            approvals.append((org, FOREVER, self.signed(act, GOVERNANCE, private_key(ACT, org))))
        self.call(GOVERNANCE, "schedule", *proposal, approvals)
        self.warp(DELAY)
        self.call(GOVERNANCE, "execute", *proposal)


def _reason(error: RuntimeError) -> Exception:
    """The contract's custom error, where that is what it was."""
    found = re.search(r"output: 0x([0-9a-f]*)", str(error))
    return error if found is None else revert_error(bytes.fromhex(found[1]))
