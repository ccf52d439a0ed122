// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// One stage of a lifecycle. From the most significant of 64 bits:
/// clock 32, holds 16 (bit = code), flags 8 (0 court, 1 final), zero 8.
type StageRow is uint64;

/// One transition of a lifecycle. From the most significant bit: sources 64 (bit = stage), target 8, by 16, beside 16,
/// flags 8, need 32, need 32, fact 16, consent 8, reasons 16 (bit = code), clock 32, zero 8.
type TransitionRow is uint256;

using StageRows for StageRow global;
using TransitionRows for TransitionRow global;

/// @title Reading of stages (docs/spec/case.md)
library StageRows {
    function exists(StageRow row) internal pure returns (bool) {
        return StageRow.unwrap(row) != 0;
    }

    /// As Deadlines packs it; 0 for none.
    function clock(StageRow row) internal pure returns (uint32) {
        return uint32(StageRow.unwrap(row) >> 32);
    }

    function allowsHold(StageRow row, uint8 kind) internal pure returns (bool) {
        return kind < 16 && (StageRow.unwrap(row) >> (16 + kind)) & 1 == 1;
    }

    function isCourt(StageRow row) internal pure returns (bool) {
        return (StageRow.unwrap(row) >> 8) & 1 == 1;
    }

    function isFinal(StageRow row) internal pure returns (bool) {
        return (StageRow.unwrap(row) >> 9) & 1 == 1;
    }
}

/// @title Reading of transitions (docs/spec/case.md)
library TransitionRows {
    uint256 private constant FLAGS = 144;

    function exists(TransitionRow row) internal pure returns (bool) {
        return TransitionRow.unwrap(row) != 0;
    }

    function leaves(TransitionRow row, uint8 stage) internal pure returns (bool) {
        return stage < 64 && (TransitionRow.unwrap(row) >> (192 + stage)) & 1 == 1;
    }

    function target(TransitionRow row) internal pure returns (uint8) {
        return uint8(TransitionRow.unwrap(row) >> 184);
    }

    /// Roles of the organisation that acts.
    function by(TransitionRow row) internal pure returns (uint16) {
        return uint16(TransitionRow.unwrap(row) >> 168);
    }

    /// Roles of another organisation that signs as well; 0 if none does.
    function beside(TransitionRow row) internal pure returns (uint16) {
        return uint16(TransitionRow.unwrap(row) >> 152);
    }

    /// Time alone moves the case; nobody signs.
    function isLapse(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 0);
    }

    function isBefore(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 1);
    }

    function isAfter(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 2);
    }

    /// Also possible while the case is paused.
    function isHeld(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 3);
    }

    function isExtension(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 4);
    }

    function isSameCourt(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 5);
    }

    function setsCourt(TransitionRow row) internal pure returns (bool) {
        return _flag(row, 6);
    }

    /// What evidence must be shown: the first piece in bits 32-63, the second in 0-31, each classes 16-31 and roles
    /// 0-15; 0 for none.
    function needs(TransitionRow row) internal pure returns (uint64) {
        return uint64(TransitionRow.unwrap(row) >> 80);
    }

    function fact(TransitionRow row) internal pure returns (uint16) {
        return uint16(TransitionRow.unwrap(row) >> 64);
    }

    function consent(TransitionRow row) internal pure returns (uint8) {
        return uint8(TransitionRow.unwrap(row) >> 56);
    }

    /// Reason 0 where the transition takes none, else one of its own.
    function allowsReason(TransitionRow row, uint16 reason) internal pure returns (bool) {
        uint256 reasons = uint16(TransitionRow.unwrap(row) >> 40);
        return reasons == 0 ? reason == 0 : reason < 16 && (reasons >> reason) & 1 == 1;
    }

    /// The clock of an extension; 0 for none.
    function clock(TransitionRow row) internal pure returns (uint32) {
        return uint32(TransitionRow.unwrap(row) >> 8);
    }

    function _flag(TransitionRow row, uint256 bit) private pure returns (bool) {
        return (TransitionRow.unwrap(row) >> (FLAGS + bit)) & 1 == 1;
    }
}
