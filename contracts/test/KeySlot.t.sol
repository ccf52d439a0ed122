// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { KeySlot, KeySlots } from "../libraries/KeySlot.sol";
import { LogState, LogStates } from "../libraries/LogState.sol";
import { Test } from "./base/Test.sol";

/// The bit positions of docs/spec/chain-state.md, which verifiers read without this code.
contract KeySlotTest is Test {
    function testFuzz_pack_putsFieldsWhereTheSpecSays(
        uint32 organisation,
        uint8 purpose,
        uint40 notBefore,
        uint40 notAfter,
        uint40 revokedAt,
        uint8 state
    )
        public
        pure
    {
        KeySlot slot = KeySlots.pack(organisation, purpose, notBefore, notAfter, state);
        uint256 raw = KeySlot.unwrap(slot);
        assertEq(raw & 0xffffffff, organisation);
        assertEq((raw >> 32) & 0xff, purpose);
        assertEq((raw >> 40) & 0xffffffffff, notBefore);
        assertEq((raw >> 80) & 0xffffffffff, notAfter);
        assertEq((raw >> 120) & 0xffffffffff, 0);
        assertEq((raw >> 160) & 0xff, state);
        assertEq(raw >> 168, 0);

        KeySlot revoked = slot.revoked(revokedAt);
        assertEq((KeySlot.unwrap(revoked) >> 120) & 0xffffffffff, revokedAt);
        assertEq(KeySlot.unwrap(revoked) & ~(uint256(0xffffffffff) << 120), raw);

        KeySlot active = slot.activeFrom(revokedAt);
        assertEq(active.notBefore(), revokedAt);
        assertEq(active.notAfter(), notAfter);
        assertEq(active.organisation(), organisation);
        assertEq(active.purpose(), purpose);
        assertEq(active.state(), KeySlots.ACTIVE);
        assertEq(slot.withState(3).state(), 3);
        assertEq(slot.isEmpty() ? 1 : 0, raw == 0 ? 1 : 0);
    }

    function testFuzz_logState_putsFieldsWhereTheSpecSays(
        uint32 operator,
        uint64 size,
        uint64 batches,
        uint64 closedSize
    )
        public
        pure
    {
        LogState state = LogStates.opened(operator).grown(size, batches);
        uint256 raw = LogState.unwrap(state);
        assertEq(raw & type(uint64).max, size);
        assertEq((raw >> 64) & type(uint64).max, 0);
        assertEq((raw >> 128) & type(uint64).max, batches);
        assertEq((raw >> 192) & type(uint32).max, operator);
        assertEq(raw >> 224, 1);

        raw = LogState.unwrap(state.closed(closedSize));
        assertEq(raw & type(uint64).max, size);
        assertEq((raw >> 64) & type(uint64).max, closedSize);
        assertEq((raw >> 128) & type(uint64).max, batches);
        assertEq((raw >> 192) & type(uint32).max, operator);
        assertEq(raw >> 224, 2);
    }
}
