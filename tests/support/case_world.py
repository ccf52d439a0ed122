"""CaseLedger with all around it in revm: batches, evidence, calendar, organisations of every role.

Import only where pyrevm is installed (`pytest.importorskip("pyrevm")`).
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence
from typing import Any

import eth_abi.abi as abi

from cases.calendar import WorkCalendar, Year
from cases.lifecycle import OWNER, Lifecycle, Transition
from cases.lifecycle_v1 import LIFECYCLE_V1
from cases.machine import Machine
from chain.bindings import (
    ACT_CARRIER,
    CASE_BATCHES,
    CASE_LEDGER,
    EVIDENCE_GUARD,
    EVIDENCE_LOG,
    LIFECYCLE,
    REGISTRY,
    WORK_CALENDAR,
)
from chain.bytecode import load_artifact
from chain.case_contracts import CaseContracts, PolicyVersion, contract_names
from protocol.acts import Anchor
from protocol.case_acts import CaseAct, Import
from protocol.entry import EvidenceClass
from protocol.hashing import keccak256
from tests.contracts.test_evidence_log_model import root
from tests.support.revm import ACT, ANCHOR, BANK, CENTRE, CHAIN, COURT, FOREVER, ROLES, Chain
from tests.support.testkeys import private_key

INSURER, MEDIATION, ENFORCEMENT, POLICE, OTHER_BANK, OTHER_COURT, PROSECUTOR = range(5, 12)
ALL_ROLES = {
    **ROLES,
    INSURER: 1 << 1,
    MEDIATION: 1 << 4,
    ENFORCEMENT: 1 << 6,
    POLICE: 1 << 8,
    OTHER_BANK: 1 << 0,
    OTHER_COURT: 1 << 5,
    PROSECUTOR: 1 << 7,
}
CASES = 4
ZERO = bytes(32)
NOWHERE: Any = (ZERO, 0, 0, ZERO, [])
DAY = 86_400
ORIGIN = "centre.example/evidence"
MEMBERS = [
    member["name"]
    for function in load_artifact(CASE_LEDGER)["abi"]
    if function.get("name") == "caseOf"
    for member in function["outputs"][0]["components"]
]


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(leaves) < 2:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*inclusion(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root(leaves[:k])]


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def case_id(which: int) -> bytes:
    return keccak256(b"case" + bytes([which]))


def weekdays(year: int) -> Year:
    """Monday to Friday."""
    first = datetime.date(year, 1, 1)
    length = 366 if year % 4 == 0 else 365
    bits = sum(1 << i for i in range(length) if (first + datetime.timedelta(i)).weekday() < 5)
    return Year(year, bits, "weekdays")


class World:
    """Contracts, one imported batch, and every entry that the cases can need, anchored.

    `life` has the rules of the contract `policy`.
    """

    def __init__(self, life: Lifecycle = LIFECYCLE_V1, policy: str = LIFECYCLE) -> None:
        self.chain = Chain(ALL_ROLES)
        self.years = [weekdays(year) for year in (2027, 2028)]
        registry = self.chain.at[REGISTRY]
        calendar = self.chain.deploy(WORK_CALENDAR, registry)
        guard = self.chain.deploy(EVIDENCE_GUARD, self.chain.at[EVIDENCE_LOG])
        self.chain.deploy(policy, (calendar, guard, bytes(20), bytes(20)))
        self.chain.deploy(CASE_BATCHES, registry, self.chain.next_address(1))
        self.chain.deploy(CASE_LEDGER, registry, self.chain.at[CASE_BATCHES])
        self.chain.deploy(ACT_CARRIER, self.chain.at[CASE_LEDGER])
        for year in self.years:
            low, high = year.bits & 2**256 - 1, year.bits >> 256
            self.chain.decide("setYear", year.year, low, high, "weekdays", target=WORK_CALENDAR)
        self.chain.decide("activatePolicy", self.chain.at[policy], target=CASE_LEDGER)
        self.chain.decide("openLog", ORIGIN, CENTRE, ZERO)
        self.contracts = CaseContracts(
            CHAIN,
            PolicyVersion(policy, life.source_digest),
            *(self.chain.at[name] for name in contract_names(policy)),
        )
        self._import()
        self._anchor_evidence()
        calendar_of = WorkCalendar({year.year: year for year in self.years})
        self.machine = Machine(life, calendar_of, lambda index: ALL_ROLES.get(index, 0))

    def _import(self) -> None:
        self.commitments = [keccak256(b"row" + bytes([which])) for which in range(CASES)]
        leaves = [
            leaf_hash(
                bytes([1, 1, 0, 0]) + BANK.to_bytes(4, "big") + case_id(which) + self.commitments[which]
            )
            for which in range(CASES)
        ]
        self.batch = root(leaves)
        self.paths = [inclusion(which, leaves) for which in range(CASES)]
        act = Import(BANK, self.batch, CASES, ZERO, ZERO, FOREVER)
        self.imported = self.chain.now
        self.chain.call(CASE_BATCHES, "importBatch", values(act), self.sign(act, BANK, CASE_BATCHES))

    def _anchor_evidence(self) -> None:
        wanted = {
            (number, owner)
            for step in LIFECYCLE_V1.transitions.values()
            for need in step.evidence
            for number in need.classes
            for owner in submitters(need.roles)
        }
        self.entries: dict[tuple[int, EvidenceClass, int], int] = {}
        self.leaves: list[bytes] = []
        for which in range(CASES):
            commitment = hashlib.sha256(b"caseledger/case/v1" + case_id(which)).digest()
            for number, owner in sorted(wanted):
                self.entries[which, number, owner] = len(self.leaves)
                head = bytes([1, number, 0, 0]) + owner.to_bytes(4, "big")
                self.leaves.append(
                    head + (len(self.leaves) + 1).to_bytes(8, "big") + commitment + keccak256(head) + ZERO
                )
        self.leaves += self.further_leaves(len(self.leaves))
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        log_id = keccak256(ORIGIN.encode())
        act = Anchor(log_id, 0, len(hashes), root(hashes), ZERO, FOREVER)
        signed = self.chain.signed(act, EVIDENCE_LOG, private_key(ANCHOR, CENTRE))
        self.chain.call(EVIDENCE_LOG, "anchor", values(act), [], signed)
        self.link = (log_id, 1, ZERO, len(hashes), root(hashes), ZERO, self.chain.now)
        self.evidence_paths = [inclusion(index, hashes) for index in range(len(hashes))]

    def further_leaves(self, _first: int) -> list[bytes]:
        """More entries for the anchored log, from index `_first`."""
        return []

    def sign(self, act: CaseAct, organisation: int, contract: str = CASE_LEDGER) -> bytes:
        return self.chain.signed(act, contract, private_key(ACT, organisation))

    def origin(self, which: int) -> Any:
        return (self.batch, which, 1, self.commitments[which], self.paths[which])

    def evidence(self, which: int, step: Transition) -> tuple[bytes, bytes, int]:
        """Proof, digest and number of the entries that a step needs."""
        found = []
        for need in step.evidence:
            owner = submitters(need.roles)[0]
            found.append(self.entries[which, need.classes[0], owner])
        if not found:
            return b"", ZERO, 0
        entries = [(self.link, self.leaves[i], i, self.evidence_paths[i]) for i in found]
        digest = keccak256(b"".join(leaf_hash(self.leaves[i]) for i in found))
        return encode_entries(entries), digest, len(found)


def encode_entries(entries: list[Any]) -> bytes:
    """`abi.encode(Entry[])`."""
    kind = "((bytes32,uint64,bytes32,uint64,bytes32,bytes32,uint40),bytes,uint64,bytes32[])[]"
    return abi.encode([kind], [entries])


def submitters(roles: int) -> list[int]:
    """The organisations of a role set, one for each role; the owner is the bank."""
    found = [BANK] if roles & OWNER else []
    return found + [org for org in (CENTRE, MEDIATION, COURT, ENFORCEMENT) if ALL_ROLES[org] & roles]


def values(act: object) -> tuple[Any, ...]:
    return dataclasses.astuple(act)  # type: ignore[call-overload, no-any-return]
