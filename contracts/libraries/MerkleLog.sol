// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Proofs of RFC 9162 logs over SHA-256
/// @notice Sections 2.1.3.2 (inclusion) and 2.1.4.2 (consistency). Every function reverts unless the proof holds.
library MerkleLog {
    /// A proof in a tree of fewer than 2^62 leaves is no longer than this.
    uint256 internal constant MAX_PROOF = 63;

    error MerkleProofTooLong(uint256 length);
    error MerkleProofTooShort(uint256 length);
    error MerkleSizesInvalid(uint64 oldSize, uint64 newSize);
    error MerkleIndexInvalid(uint64 index, uint64 size);
    error MerkleOldRootMismatch(bytes32 computed, bytes32 expected);
    error MerkleNewRootMismatch(bytes32 computed, bytes32 expected);
    error MerkleRootMismatch(bytes32 computed, bytes32 expected);

    /// @notice The tree of `newSize` leaves under `newRoot` begins with the `oldSize` leaves under `oldRoot`.
    /// @dev 0 < oldSize < newSize.
    function requireConsistent(
        uint64 oldSize,
        bytes32 oldRoot,
        uint64 newSize,
        bytes32 newRoot,
        bytes32[] calldata proof
    )
        internal
        view
    {
        if (oldSize == 0 || oldSize >= newSize) revert MerkleSizesInvalid(oldSize, newSize);
        uint256 length = proof.length;
        if (length > MAX_PROOF) revert MerkleProofTooLong(length);

        uint256 fn = uint256(oldSize) - 1;
        uint256 sn = uint256(newSize) - 1;
        while (fn & 1 == 1) {
            fn >>= 1;
            sn >>= 1;
        }
        // An old size that is a power of two is a complete subtree, and its root the first hash of the path.
        bytes32 fr = oldRoot;
        uint256 start = 0;
        if (fn != 0) {
            if (length == 0) revert MerkleProofTooShort(length);
            fr = proof[0];
            start = 1;
        }
        bytes32 sr;
        uint256 missing;
        uint256 unread;
        (fr, sr, missing, unread) = _climb(fr, fn, sn, proof[start:]);
        if (missing != 0) revert MerkleProofTooShort(length);
        if (unread != 0) revert MerkleProofTooLong(length);
        if (fr != oldRoot) revert MerkleOldRootMismatch(fr, oldRoot);
        if (sr != newRoot) revert MerkleNewRootMismatch(sr, newRoot);
    }

    /// @notice `leafHash` is leaf `index` of the tree of `size` leaves under `root`.
    function requireIncluded(
        uint64 index,
        uint64 size,
        bytes32 leafHash,
        bytes32 root,
        bytes32[] calldata proof
    )
        internal
        pure
    {
        if (index >= size) revert MerkleIndexInvalid(index, size);
        uint256 length = proof.length;
        if (length > MAX_PROOF) revert MerkleProofTooLong(length);

        uint256 fn = index;
        uint256 sn = uint256(size) - 1;
        bytes32 r = leafHash;
        for (uint256 i = 0; i < length; ++i) {
            if (sn == 0) revert MerkleProofTooLong(length);
            bytes32 sibling = proof[i];
            if (fn & 1 == 1 || fn == sn) {
                r = node(sibling, r);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                r = node(r, sibling);
            }
            fn >>= 1;
            sn >>= 1;
        }
        if (sn != 0) revert MerkleProofTooShort(length);
        if (r != root) revert MerkleRootMismatch(r, root);
    }

    /// @notice SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1.
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// Steps 4 to 6 of section 2.1.4.2: from one node up to the old root `fr` and the new root `sr`. `missing` and
    /// `unread` are zero if the path has just the length that the sizes need.
    /// Below the level where `fn` and `sn` meet there is one sibling a level: a left one belongs to both trees, a right
    /// one to the new tree alone. From there on there are left siblings only, one for each bit of `fn`.
    /// @dev Assembly, because an anchor makes 15 to 35 hashes: here 230 gas each, 1,000 through `node`. Each takes the
    /// 65 bytes beyond the free memory pointer, which stays where it is.
    function _climb(
        bytes32 seed,
        uint256 fn,
        uint256 sn,
        bytes32[] calldata path
    )
        private
        view
        returns (bytes32 fr, bytes32 sr, uint256 missing, uint256 unread)
    {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            let next := path.offset
            let end := add(next, shl(5, path.length))
            mstore8(buffer, 0x01)
            fr := seed
            sr := seed
            for { } mul(xor(fn, sn), lt(next, end)) { } {
                switch and(fn, 1)
                case 0 {
                    mstore(add(buffer, 0x01), sr)
                    mstore(add(buffer, 0x21), calldataload(next))
                }
                default {
                    mstore(add(buffer, 0x01), calldataload(next))
                    mstore(add(buffer, 0x21), fr)
                    if iszero(staticcall(gas(), 0x02, buffer, 0x41, 0x00, 0x20)) {
                        revert(0x00, 0x00)
                    }
                    fr := mload(0x00)
                    mstore(add(buffer, 0x21), sr)
                }
                if iszero(staticcall(gas(), 0x02, buffer, 0x41, 0x00, 0x20)) { revert(0x00, 0x00) }
                sr := mload(0x00)
                fn := shr(1, fn)
                sn := shr(1, sn)
                next := add(next, 0x20)
            }
            missing := xor(fn, sn)
            for { } mul(fn, lt(next, end)) { } {
                mstore(add(buffer, 0x01), calldataload(next))
                mstore(add(buffer, 0x21), fr)
                if iszero(staticcall(gas(), 0x02, buffer, 0x41, 0x00, 0x20)) { revert(0x00, 0x00) }
                fr := mload(0x00)
                mstore(add(buffer, 0x21), sr)
                if iszero(staticcall(gas(), 0x02, buffer, 0x41, 0x00, 0x20)) { revert(0x00, 0x00) }
                sr := mload(0x00)
                fn := and(fn, sub(fn, 1))
                next := add(next, 0x20)
            }
            missing := or(missing, fn)
            unread := sub(end, next)
        }
    }
}
