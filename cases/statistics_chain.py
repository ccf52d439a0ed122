"""Statistics from what a node told (chain/case_events.py): the same values as from the tables."""

from __future__ import annotations

from dataclasses import dataclass

from cases.errors import PolicyNotOfThisRelease
from cases.lifecycle import Lifecycle
from cases.policies import RELEASED
from cases.statistics import Policy, Snapshot
from cases.statistics_events import BatchEvent, CaseEvent
from cases.statistics_history import Histories, histories
from chain.case_contracts import CaseContracts
from chain.case_events import CaseEvents

_POLICY = "PolicyActivated"


@dataclass(frozen=True)
class Source:
    """What a report is computed from."""

    batches: tuple[BatchEvent, ...]
    events: tuple[CaseEvent, ...]
    policies: dict[int, Lifecycle]
    snapshot: Snapshot

    def histories(self) -> Histories:
        """Raises HistoryBroken."""
        return histories(self.batches, self.events, self.policies)


def from_chain(seen: CaseEvents, contracts: CaseContracts) -> Source:
    """Events of a node as statistics take them. Raises PolicyNotOfThisRelease."""
    versions = tuple(
        Policy(one.values["version"], one.values["tableHash"], one.values["testClock"])
        for one in seen.ledger
        if one.name == _POLICY
    )
    snapshot = Snapshot(
        contracts.chain_id, seen.head.number, seen.head.hash, seen.head.time, seen.state_root,
        contracts.batches, len(seen.batches), contracts.ledger, len(seen.ledger), versions,
    )  # fmt: skip
    return Source(
        tuple(BatchEvent.from_chain(one.name, one.values, one.time) for one in seen.batches),
        tuple(
            CaseEvent.from_chain(one.name, one.values, one.time) for one in seen.ledger if one.name != _POLICY
        ),
        {one.version: life_of(one) for one in versions},
        snapshot,
    )


def life_of(policy: Policy) -> Lifecycle:
    """The lifecycle of a version. Raises PolicyNotOfThisRelease."""
    life = RELEASED.get(policy.table_hash)
    if life is None:
        raise PolicyNotOfThisRelease(
            f"policy version {policy.version}", field="policy", hint="a newer release of caseledger knows it"
        )
    return life
