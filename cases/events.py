"""Whose events fill the index of cases."""

from __future__ import annotations

from cases.projection import CaseProjection
from chain.case_record import CaseRecord
from chain.cursor import EventSource


def case_events(record: CaseRecord) -> EventSource:
    """The events of calendar, batches and ledger of one case room."""
    contracts = record.contracts
    return EventSource(
        f"cases:{contracts.chain_id}:{contracts.ledger.hex()}",
        contracts.chain_id,
        contracts.speaking,
        record.block,
        CaseProjection(contracts),
    )
