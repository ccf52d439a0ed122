"""Which contracts make up a case room on a chain, and under which policy."""

from __future__ import annotations

from dataclasses import dataclass

from chain.bindings import (
    ACT_CARRIER,
    CASE_BATCHES,
    CASE_LEDGER,
    EVIDENCE_GUARD,
    LIFECYCLE,
    LIFECYCLE_TEST_CLOCK,
    WORK_CALENDAR,
)
from chain.errors import DeploymentMismatch
from protocol.acts import Domain

POLICIES = (LIFECYCLE, LIFECYCLE_TEST_CLOCK)


@dataclass(frozen=True)
class PolicyVersion:
    """A lifecycle of this release: the contract's name, and SHA-256 of its source, known from `cases/`."""

    name: str
    source_digest: bytes

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise DeploymentMismatch(f"{self.name} is no lifecycle of this release", field="policy")

    @property
    def test_clock(self) -> bool:
        """Whether its clocks run in seconds."""
        return self.name == LIFECYCLE_TEST_CLOCK


def contract_names(policy: str) -> tuple[str, ...]:
    """The artifacts of a case room under this policy, in the order in which they are deployed."""
    return (WORK_CALENDAR, EVIDENCE_GUARD, policy, CASE_BATCHES, CASE_LEDGER, ACT_CARRIER)


@dataclass(frozen=True)
class CaseContracts:
    """Addresses, 20 bytes each; `version` is the policy that cases begin with."""

    chain_id: int
    version: PolicyVersion
    calendar: bytes
    guard: bytes
    policy: bytes
    batches: bytes
    ledger: bytes
    carrier: bytes

    @property
    def batches_domain(self) -> Domain:
        """Where imports and recalls count."""
        return Domain(self.chain_id, self.batches)

    @property
    def ledger_domain(self) -> Domain:
        """Where every other act on a case counts."""
        return Domain(self.chain_id, self.ledger)

    @property
    def at(self) -> dict[str, bytes]:
        """By the artifact's name."""
        return {
            WORK_CALENDAR: self.calendar,
            EVIDENCE_GUARD: self.guard,
            self.version.name: self.policy,
            CASE_BATCHES: self.batches,
            CASE_LEDGER: self.ledger,
            ACT_CARRIER: self.carrier,
        }

    @property
    def speaking(self) -> dict[bytes, str]:
        """Those whose events say what is with cases: name by address."""
        return {self.calendar: WORK_CALENDAR, self.batches: CASE_BATCHES, self.ledger: CASE_LEDGER}
