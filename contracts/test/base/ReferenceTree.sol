// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// The recursive definitions of RFC 9162, sections 2.1.1, 2.1.3.1 and 2.1.4.1, written as the text has them and
/// sharing no code with the library under test.
library ReferenceTree {
    function leafHash(bytes memory data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), data));
    }

    /// Leaf hashes of the numbers `from` to `from + count - 1`.
    function leaves(uint256 from, uint256 count) internal pure returns (bytes32[] memory result) {
        result = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            result[i] = leafHash(abi.encode(from + i));
        }
    }

    /// MTH(D[low:high])
    function root(bytes32[] memory d, uint256 low, uint256 high) internal pure returns (bytes32) {
        uint256 n = high - low;
        if (n == 0) return sha256("");
        if (n == 1) return d[low];
        uint256 k = split(n);
        return hashChildren(root(d, low, low + k), root(d, low + k, high));
    }

    /// PROOF(m, D[0:n])
    function consistencyProof(
        bytes32[] memory d,
        uint256 m,
        uint256 n
    )
        internal
        pure
        returns (bytes32[] memory)
    {
        return subProof(d, m, 0, n, true);
    }

    /// SUBPROOF(m, D[low:high], complete), m counted from `low`
    function subProof(
        bytes32[] memory d,
        uint256 m,
        uint256 low,
        uint256 high,
        bool complete
    )
        internal
        pure
        returns (bytes32[] memory)
    {
        uint256 n = high - low;
        if (m == n) return complete ? new bytes32[](0) : append(new bytes32[](0), root(d, low, high));
        uint256 k = split(n);
        if (m <= k) {
            return append(subProof(d, m, low, low + k, complete), root(d, low + k, high));
        }
        return append(subProof(d, m - k, low + k, high, false), root(d, low, low + k));
    }

    /// PATH(m, D[low:high])
    function inclusionProof(
        bytes32[] memory d,
        uint256 m,
        uint256 low,
        uint256 high
    )
        internal
        pure
        returns (bytes32[] memory)
    {
        uint256 n = high - low;
        if (n == 1) return new bytes32[](0);
        uint256 k = split(n);
        if (m < k) return append(inclusionProof(d, m, low, low + k), root(d, low + k, high));
        return append(inclusionProof(d, m - k, low + k, high), root(d, low, low + k));
    }

    /// The largest power of two smaller than n.
    function split(uint256 n) internal pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }

    function hashChildren(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    function append(bytes32[] memory list, bytes32 value) internal pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = value;
    }
}
