"""What the case room asks of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocol.case_batch import SealedRow
from storage.db import AnyConnection


@dataclass(frozen=True)
class KeptRow:
    """A row as one recipient gets it: under a key that is wrapped for that recipient alone."""

    ciphertext: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)


class PersonData(Protocol):
    """Keeps names and numbers of people: rows under keys that this service does not have."""

    async def keep(self, conn: AnyConnection, root: bytes, rows: Sequence[SealedRow]) -> None:
        """Keeps rows of a batch once the caller's transaction commits, and not otherwise.

        Raises:
            CaseInOtherBatch: a case has a row already; the transaction is lost.
        """

    async def row(self, conn: AnyConnection, case_id: bytes, organisation: int) -> KeptRow | None:
        """The row of a case for a recipient of its batch, None for anybody else. Who may ask: the caller."""


class Recipient(Protocol):
    """What must be known of an organisation to which rows are sealed."""

    @property
    def active(self) -> bool: ...
    @property
    def hpke_key(self) -> bytes | None:
        """The X25519 key that it published; None while there is none."""


class RecipientRegistry(Protocol):
    """The registry in memory (`chain.registry_view`)."""

    def organisation(self, index: int) -> Recipient | None:
        """None when no organisation has this index."""
