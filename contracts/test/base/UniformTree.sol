// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ReferenceTree } from "./ReferenceTree.sol";

/// A tree whose leaves are all alike: roots and proofs cost the square of the depth, so that sizes up to 2^64 - 1
/// can be tried. It cannot tell leaves apart; ReferenceTree is there for that.
library UniformTree {
    bytes32 internal constant LEAF = bytes32(uint256(0x11));

    function root(uint256 n) internal pure returns (bytes32) {
        if (n & (n - 1) == 0) {
            bytes32 h = LEAF;
            for (; n > 1; n >>= 1) {
                h = ReferenceTree.hashChildren(h, h);
            }
            return h;
        }
        uint256 k = split(n);
        return ReferenceTree.hashChildren(root(k), root(n - k));
    }

    function consistencyProof(uint256 m, uint256 n) internal pure returns (bytes32[] memory) {
        return subProof(m, n, true);
    }

    function subProof(uint256 m, uint256 n, bool complete) internal pure returns (bytes32[] memory) {
        if (m == n) {
            return complete ? new bytes32[](0) : ReferenceTree.append(new bytes32[](0), root(n));
        }
        uint256 k = split(n);
        if (m <= k) return ReferenceTree.append(subProof(m, k, complete), root(n - k));
        return ReferenceTree.append(subProof(m - k, n - k, false), root(k));
    }

    function inclusionProof(uint256 m, uint256 n) internal pure returns (bytes32[] memory) {
        if (n == 1) return new bytes32[](0);
        uint256 k = split(n);
        if (m < k) return ReferenceTree.append(inclusionProof(m, k), root(n - k));
        return ReferenceTree.append(inclusionProof(m - k, n - k), root(k));
    }

    function split(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }
}
