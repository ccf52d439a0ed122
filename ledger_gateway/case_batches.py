"""Batches of cases at this gateway: files in, acts out to the chain, and what may be read of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cases.batch_intake import BatchIntake
from cases.batches import Batches
from cases.errors import BatchNotHere, BatchOfAnother
from chain.case_acts import call_for, parse_document
from chain.case_contracts import CaseContracts
from evidence.repository import Viewer
from ledger_gateway.acts import Relay, RelayedAct, UnknownAct, relayed
from protocol.case_acts import Import, Recall
from protocol.errors import MalformedInput


@dataclass(frozen=True)
class CaseBatches:
    """Handed to endpoints."""

    intake: BatchIntake
    batches: Batches
    relay: Relay
    contracts: CaseContracts

    async def act(
        self, root: bytes, document: Mapping[str, Any], viewer: Viewer, idempotency_key: str | None = None
    ) -> RelayedAct:
        """Relays an Import or Recall of a batch that the caller may know of.

        The contract knows of a batch what the act says; that it is what the file holds is seen here.

        Raises:
            UnknownAct, MalformedInput, BatchNotHere, BatchOfAnother, IdempotencyConflict, ContractReverted
            (the contract's own error), and chain faults
        """
        signed = parse_document(document)
        act = signed.act
        if not isinstance(act, (Import, Recall)):
            raise UnknownAct("act: not of a batch", field="act", hint="Import or Recall")
        if act.root != root:
            raise MalformedInput("root: not that of the address", field="root")
        batch = await self.batches.show(root, viewer)
        if act.organisation != batch.owner:
            raise BatchOfAnother(f"the batch is of organisation {batch.owner}", field="organisation")
        if isinstance(act, Import):
            if batch.received_at is None:
                raise BatchNotHere("its file is not here", field="root", hint="send the batch file first")
            if act.count != batch.count:
                raise MalformedInput(f"count: the file has {batch.count} cases", field="count")
        call = call_for(act, signed.signature, self.contracts)
        return await self.relay.relay(relayed(signed.name, call), idempotency_key)
