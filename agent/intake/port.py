"""Where a finished batch goes. The agent makes the file; who carries it is handed in.

What an implementation does, in this order: it signs the act over batch root and count with the organisation's
key, hands act and file to a gateway, and returns when the gateway has both durably. Sending the same batch
again must be answered like the first time: `send` is repeated after a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.intake.store import BatchState, IntakeStore, StoredBatch


class BatchOutlet(Protocol):
    """Carries batches to the ledger."""

    def send(self, batch: StoredBatch, file: Path) -> None:
        """Sends one batch; returns when it is taken.

        Raises:
            AgentError
        """


def deliver(store: IntakeStore, outlet: BatchOutlet, *, only: bytes | None = None) -> list[StoredBatch]:
    """Sends every batch that is ready, oldest first, or one of them; those that were taken."""
    taken = []
    for batch in store.batches(BatchState.READY):
        if only not in (None, batch.id):
            continue
        outlet.send(batch, store.file_path(batch.id))
        store.sent(batch.id)
        taken.append(batch)
    return taken
