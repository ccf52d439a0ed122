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
        pure
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
        // An old size that is a power of two is a complete subtree: its root is the first hash of the path.
        uint256 next = fn == 0 ? 0 : 1;
        if (length < next) revert MerkleProofTooShort(length);
        bytes32 fr = fn == 0 ? oldRoot : proof[0];
        bytes32 sr = fr;
        for (; next < length; ++next) {
            if (sn == 0) revert MerkleProofTooLong(length);
            bytes32 sibling = proof[next];
            if (fn & 1 == 1 || fn == sn) {
                fr = node(sibling, fr);
                sr = node(sibling, sr);
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                sr = node(sr, sibling);
            }
            fn >>= 1;
            sn >>= 1;
        }
        if (sn != 0) revert MerkleProofTooShort(length);
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
}
