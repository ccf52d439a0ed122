"""Views of a receipt that need more than the receipt: the log's key, stored time stamps, or the chain."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from chain.deployment import Deployment
from chain.refresh import prove_again
from chain.rpc import RpcPool
from verifier.receipt import Core, Receipt
from verifier.views import cose_receipt, ers
from verifier.views.errors import ViewNotPossible

if TYPE_CHECKING:
    from ledger_gateway.gateway import Gateway


class View(Enum):
    """Names in the query (docs/spec/views.md)."""

    COSE = "cose"
    ERS = "ers"
    CHAIN = "chain"

    @property
    def media_type(self) -> str:
        """Of the answer."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    View.COSE: cose_receipt.MEDIA_TYPE,
    View.ERS: ers.MEDIA_TYPE,
    View.CHAIN: "application/cbor",
}


class Reprover:
    """Proves slots again for callers, one at a time: each costs the nodes several requests."""

    def __init__(self, rpc: RpcPool, deployment: Deployment) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._proving = asyncio.Lock()

    async def payload(self, core: Core) -> bytes:
        """Payload of a `chain` attestation, under the validators that the nodes name: whoever gets it holds
        it against the own trust file.

        Raises:
            RefreshNotPossible, ProofNotCaptured and the like
        """
        async with self._proving:
            return (await prove_again(self._rpc, self._deployment, core)).encode().payload


async def view_of(gateway: Gateway, data: bytes, view: View) -> bytes:
    """The view of a receipt that the caller may have.

    Raises:
        ViewNotPossible: the receipt is of another log than this gateway's key, or has no such view.
        EvidenceRecordPending, RecordDamaged, RefreshNotPossible, ProofNotCaptured
    """
    core = Receipt.parse(data).core
    if view is View.ERS:
        return await gateway.records.of(core.log.log_id, core.inclusion.index)
    if view is View.CHAIN:
        return await gateway.reprover.payload(core)
    if core.log.log_id not in [log.log_id for log in gateway.base.logs]:
        raise ViewNotPossible("the log's key is not here: the entry is in another log")
    return cose_receipt.cose_receipt(core, gateway.log_key.public_key, gateway.log_key.sign)
