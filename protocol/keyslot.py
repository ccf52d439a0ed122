"""Storage positions and packed values that a storage proof opens (docs/spec/chain-state.md §3, §5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol import expect
from protocol.acts import Purpose
from protocol.errors import MalformedInput
from protocol.hashing import keccak256

KEYS_SLOT = 2
LOGS_SLOT = 2
LINKS_SLOT = 3
LINK_TAG = keccak256(b"caseledger/batch-link/v1")

_MASK32 = 2**32 - 1
_MASK40 = 2**40 - 1


class KeyState(IntEnum):
    """Where a key is in its life; a slot never goes back to zero."""

    ACTIVE = 1
    ANNOUNCED = 2
    CANCELLED = 3


@dataclass(frozen=True)
class KeySlot:
    """One registered key. Times in seconds UTC, `not_after` inclusive, `revoked_at` 0 while not revoked."""

    organisation: int
    purpose: Purpose
    not_before: int
    not_after: int
    revoked_at: int
    state: KeyState

    @classmethod
    def parse(cls, value: bytes) -> KeySlot:
        """From the 32-byte storage value.

        Raises:
            MalformedInput: an empty slot, unknown purpose or state, or bits set that must be zero.
        """
        word = int.from_bytes(expect.octets(value, "key slot", 32), "big")
        if word >> 168:
            raise MalformedInput("key slot: the upper bits are not zero", field="key slot")
        try:
            slot = cls(
                organisation=word & _MASK32,
                purpose=Purpose(word >> 32 & 0xFF),
                not_before=word >> 40 & _MASK40,
                not_after=word >> 80 & _MASK40,
                revoked_at=word >> 120 & _MASK40,
                state=KeyState(word >> 160 & 0xFF),
            )
        except ValueError:
            raise MalformedInput("key slot: unknown purpose or state", field="key slot") from None
        if slot.organisation == 0:
            raise MalformedInput("key slot: no organisation", field="key slot")
        return slot

    def pack(self) -> bytes:
        """The 32-byte storage value."""
        word = expect.uint(self.organisation, "organisation", _MASK32)
        word |= self.purpose << 32
        word |= expect.uint(self.not_before, "notBefore", _MASK40) << 40
        word |= expect.uint(self.not_after, "notAfter", _MASK40) << 80
        word |= expect.uint(self.revoked_at, "revokedAt", _MASK40) << 120
        word |= self.state << 160
        return word.to_bytes(32, "big")

    def valid_at(self, time: int) -> bool:
        """Whether the key counts at `time` (seconds UTC)."""
        return (
            self.state is KeyState.ACTIVE
            and self.not_before <= time <= self.not_after
            and (self.revoked_at == 0 or time < self.revoked_at)
        )


def _uint(value: int, field: str, bits: int) -> bytes:
    return expect.uint(value, field, 2**bits - 1).to_bytes(32, "big")


def _address(value: bytes, field: str) -> bytes:
    return bytes(12) + expect.octets(value, field, 20)


def key_slot_position(address: bytes) -> bytes:
    """Position of a key's slot in ConsortiumRegistry, 32 bytes."""
    return keccak256(_address(address, "key") + _uint(KEYS_SLOT, "slot", 256))


def log_slot_position(log_id: bytes) -> bytes:
    """Position of a log's first slot in EvidenceLog, 32 bytes."""
    return keccak256(expect.octets(log_id, "logId", 32) + _uint(LOGS_SLOT, "slot", 256))


def link_slot_position(log_id: bytes, number: int) -> bytes:
    """Position of the link of batch `number` (from 1) in EvidenceLog, 32 bytes."""
    inner = keccak256(expect.octets(log_id, "logId", 32) + _uint(LINKS_SLOT, "slot", 256))
    return keccak256(_uint(number, "number", 64) + inner)


def batch_link(
    *,
    chain_id: int,
    contract: bytes,
    log_id: bytes,
    number: int,
    previous: bytes,
    size: int,
    root_sha256: bytes,
    root_sm3: bytes,
    time: int,
) -> bytes:
    """Value of a link slot: commits one batch of one log on one chain to everything before it."""
    return keccak256(
        LINK_TAG
        + _uint(chain_id, "chainId", 256)
        + _address(contract, "contract")
        + expect.octets(log_id, "logId", 32)
        + _uint(number, "number", 64)
        + expect.octets(previous, "previous link", 32)
        + _uint(size, "size", 64)
        + expect.octets(root_sha256, "rootSha256", 32)
        + expect.octets(root_sm3, "rootSm3", 32)
        + _uint(time, "time", 40)
    )
