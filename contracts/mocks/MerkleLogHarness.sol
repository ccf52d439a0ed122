// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MerkleLog } from "../libraries/MerkleLog.sol";

/// The library's functions, callable.
contract MerkleLogHarness {
    function requireConsistent(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] calldata proof
    )
        external
        view
    {
        MerkleLog.requireConsistent(oldSize, oldRoot, newSize, newRoot, proof);
    }

    function requireIncluded(
        uint64 index,
        uint64 size,
        bytes32 leafHash,
        bytes32 root,
        bytes32[] calldata proof
    )
        external
        pure
    {
        MerkleLog.requireIncluded(index, size, leafHash, root, proof);
    }
}
