// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// The part of a log that every anchor reads and writes, in one storage word.
/// From the least significant bit:
///   0-63 size, 64-127 closedSize, 128-191 batches, 192-223 operator, 224-231 status, 232-255 zero.
type LogState is uint256;

using LogStates for LogState global;

/// @title Reading and writing of log states (docs/spec/chain-state.md, section 5)
library LogStates {
    uint8 internal constant OPEN = 1;
    uint8 internal constant CLOSED = 2;
    uint256 private constant CLOSED_SIZE_AND_OPERATOR =
        (uint256(type(uint32).max) << 192) | (uint256(type(uint64).max) << 64);

    /// An open log without leaves.
    function opened(uint32 operator_) internal pure returns (LogState) {
        return LogState.wrap((uint256(operator_) << 192) | (uint256(OPEN) << 224));
    }

    /// The same log with one batch more.
    function grown(LogState state, uint64 size_, uint64 batches_) internal pure returns (LogState) {
        return LogState.wrap(
            (LogState.unwrap(state) & CLOSED_SIZE_AND_OPERATOR) | uint256(size_) | (uint256(batches_) << 128)
                | (uint256(OPEN) << 224)
        );
    }

    /// The same log, closed.
    function closed(LogState state, uint64 closedSize_) internal pure returns (LogState) {
        return LogState.wrap(
            uint256(state.size()) | (uint256(closedSize_) << 64) | (uint256(state.batches()) << 128)
                | (uint256(state.operator()) << 192) | (uint256(CLOSED) << 224)
        );
    }

    function size(LogState state) internal pure returns (uint64) {
        return uint64(LogState.unwrap(state));
    }

    function closedSize(LogState state) internal pure returns (uint64) {
        return uint64(LogState.unwrap(state) >> 64);
    }

    function batches(LogState state) internal pure returns (uint64) {
        return uint64(LogState.unwrap(state) >> 128);
    }

    function operator(LogState state) internal pure returns (uint32) {
        return uint32(LogState.unwrap(state) >> 192);
    }

    function status(LogState state) internal pure returns (uint8) {
        return uint8(LogState.unwrap(state) >> 224);
    }
}
