"""What this room reads of the EvidenceLog contract: the head of a log, its links, who anchored what, when.

Always from a final block. The head there is the truth about what is anchored; the database follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chain.bindings import EVIDENCE_LOG, interface
from chain.evidence_log import Anchored, ContractReader, Head, HeadStatus
from protocol.acts import Anchor

__all__ = ["Anchored", "ContractPort", "ContractReader", "Head", "HeadStatus", "anchor_call"]


class ContractPort(Protocol):
    """The reads that sealing, following and checking need. Tests may hand in their own."""

    async def final_block(self) -> int:
        """Number of the newest final block."""
        ...

    async def head(self, log_id: bytes, block: int | None = None) -> Head:
        """At the newest final block when none is given."""
        ...

    async def link(self, log_id: bytes, number: int, block: int | None = None) -> bytes:
        """Link of a batch, 32 zero bytes when there is none."""
        ...

    async def anchored(self, log_id: bytes, number: int, near: int | None = None) -> Anchored | None:
        """The event of a batch. `near`: a block in which it probably is."""
        ...

    async def anchored_all(self, log_id: bytes, first: int) -> list[Anchored]:
        """Events of batches `first` and later, in order."""
        ...


def anchor_call(act: Anchor, proof: Sequence[bytes], signature: bytes) -> bytes:
    """Call data of `EvidenceLog.anchor`."""
    request = (act.log_id, act.old_size, act.new_size, act.root_sha256, act.root_sm3, act.valid_until)
    return interface(EVIDENCE_LOG).function("anchor").encode(request, tuple(proof), signature)
