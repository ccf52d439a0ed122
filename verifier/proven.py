"""What a chain proof establishes, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProvenSlot:
    """One storage slot of one contract in one final block.

    `height` is the block whose state was read; for CometBFT the header that commits to it is at height + 1.
    `state_root` is the app hash (CometBFT) or the state root (Ethereum). `time_ns` is the sealed header's
    time in nanoseconds since 1970. `value` is None where absence was proved.
    """

    height: int
    state_root: bytes
    block_hash: bytes
    time_ns: int
    value: bytes | None
    code_hash: bytes

    @property
    def time(self) -> int:
        """Seconds since 1970, rounded down."""
        return self.time_ns // 1_000_000_000
