// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// One key in one storage word, so that a receipt can carry a single storage proof of it.
/// From the least significant bit:
///   0-31 organisation index, 32-39 purpose, 40-79 notBefore, 80-119 notAfter (inclusive),
///   120-159 revokedAt (0 while not revoked), 160-167 state, 168-255 zero.
type KeySlot is uint256;

using KeySlots for KeySlot global;

/// @title Reading and writing of key slots (docs/spec/chain-state.md, section 3)
library KeySlots {
    uint8 internal constant ACTIVE = 1;
    uint8 internal constant ANNOUNCED = 2;
    uint8 internal constant CANCELLED = 3;

    /// A key that is not revoked.
    function pack(
        uint32 organisation_,
        uint8 purpose_,
        uint40 notBefore_,
        uint40 notAfter_,
        uint8 state_
    )
        internal
        pure
        returns (KeySlot)
    {
        return KeySlot.wrap(
            uint256(organisation_) | (uint256(purpose_) << 32) | (uint256(notBefore_) << 40)
                | (uint256(notAfter_) << 80) | (uint256(state_) << 160)
        );
    }

    function organisation(KeySlot slot) internal pure returns (uint32) {
        return uint32(KeySlot.unwrap(slot));
    }

    function purpose(KeySlot slot) internal pure returns (uint8) {
        return uint8(KeySlot.unwrap(slot) >> 32);
    }

    function notBefore(KeySlot slot) internal pure returns (uint40) {
        return uint40(KeySlot.unwrap(slot) >> 40);
    }

    function notAfter(KeySlot slot) internal pure returns (uint40) {
        return uint40(KeySlot.unwrap(slot) >> 80);
    }

    function revokedAt(KeySlot slot) internal pure returns (uint40) {
        return uint40(KeySlot.unwrap(slot) >> 120);
    }

    function state(KeySlot slot) internal pure returns (uint8) {
        return uint8(KeySlot.unwrap(slot) >> 160);
    }

    function isEmpty(KeySlot slot) internal pure returns (bool) {
        return KeySlot.unwrap(slot) == 0;
    }

    /// The same key with another state.
    function withState(KeySlot slot, uint8 state_) internal pure returns (KeySlot) {
        return pack(slot.organisation(), slot.purpose(), slot.notBefore(), slot.notAfter(), state_);
    }

    /// The same key, active from `notBefore_`.
    function activeFrom(KeySlot slot, uint40 notBefore_) internal pure returns (KeySlot) {
        return pack(slot.organisation(), slot.purpose(), notBefore_, slot.notAfter(), ACTIVE);
    }

    /// The same key, revoked from `time` on.
    function revoked(KeySlot slot, uint40 time) internal pure returns (KeySlot) {
        return KeySlot.wrap(KeySlot.unwrap(slot) | (uint256(time) << 120));
    }
}
