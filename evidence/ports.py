"""What this room asks of others: the registry, the log's key, time, and where tests may cut the power."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from protocol.keyslot import KeySlot


class OrganisationPort(Protocol):
    """What intake must know of an organisation, from the final state of the registry."""

    @property
    def active(self) -> bool: ...
    @property
    def suspended_until(self) -> int:
        """Seconds UTC; writing is refused before it. 0 while not suspended."""


@dataclass(frozen=True)
class OrganisationState:
    """A plain `OrganisationPort`."""

    index: int
    roles: int
    active: bool
    suspended_until: int = 0


class RegistryPort(Protocol):
    """The registry in memory (`chain.registry_view`); answers at once, also while the chain is down."""

    def key(self, address: bytes) -> KeySlot | None:
        """The slot of a key (20-byte address), None when it was never registered."""

    def organisation(self, index: int) -> OrganisationPort | None:
        """None when no organisation has this index."""


class PromiseSigner(Protocol):
    """The log's Ed25519 key."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


class Clock(Protocol):
    """Seconds UTC."""

    def __call__(self) -> int: ...


def system_clock() -> int:
    """The machine's clock."""
    return int(time.time())


class FaultPoints:
    """Named places where a crash test ends the process. Does nothing unless a test hands in its own."""

    def hit(self, name: str) -> None:
        """Called at `accept.prepared`, `accept.committed`, `seal.committed`, `anchor.sent`,
        `anchor.confirmed`, and by the keeper of cases at `keep.watching`, `keep.watched`, `remind.made`,
        `remind.committed`, `keep.sending`, `keep.sent`, `keep.settled`, by the
        sender of acts at `carry.taking`, `carry.taken`, `carry.settling`, `carry.settled`."""
