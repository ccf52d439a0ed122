// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { MerkleLog } from "../libraries/MerkleLog.sol";
import { MerkleLogHarness } from "../mocks/MerkleLogHarness.sol";
import { ReferenceTree } from "./base/ReferenceTree.sol";
import { Test } from "./base/Test.sol";
import { UniformTree } from "./base/UniformTree.sol";

contract MerkleLogTest is Test {
    MerkleLogHarness private _library;
    bytes32[] private _leaves;
    bytes32[] private _roots;

    function setUp() public {
        _library = new MerkleLogHarness();
        _leaves = ReferenceTree.leaves(0, 64);
        for (uint256 n = 0; n <= 64; ++n) {
            _roots.push(ReferenceTree.root(_leaves, 0, n));
        }
    }

    function test_requireConsistent_holdsForEveryPairUpTo64() public view {
        for (uint64 n = 2; n <= 64; ++n) {
            for (uint64 m = 1; m < n; ++m) {
                this.checkPair(m, n);
            }
        }
    }

    /// External, so that each pair starts with fresh memory.
    function checkPair(uint64 m, uint64 n) external view {
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, m, n);
        _library.requireConsistent(m, _roots[m], n, _roots[n], proof);

        assertRefused(m, _roots[m], n, _roots[n], ReferenceTree.append(proof, _leaves[0]));
        assertRefused(m, _roots[m] ^ bytes32(uint256(1)), n, _roots[n], proof);
        assertRefused(m, _roots[m], n, _roots[n] ^ bytes32(uint256(1)), proof);
        if (proof.length != 0) {
            assertRefused(m, _roots[m], n, _roots[n], shortened(proof));
            proof[(m * 7 + n) % proof.length] ^= bytes32(uint256(1) << 255);
            assertRefused(m, _roots[m], n, _roots[n], proof);
        }
    }

    function test_requireIncluded_holdsForEveryLeafUpTo64() public view {
        for (uint64 n = 1; n <= 64; ++n) {
            for (uint64 m = 0; m < n; ++m) {
                this.checkLeaf(m, n);
            }
        }
    }

    function checkLeaf(uint64 m, uint64 n) external view {
        bytes32[] memory proof = ReferenceTree.inclusionProof(_leaves, m, 0, n);
        _library.requireIncluded(m, n, _leaves[m], _roots[n], proof);

        assertNotIncluded(m, n, _leaves[m] ^ bytes32(uint256(1)), _roots[n], proof);
        assertNotIncluded(m, n, _leaves[m], _roots[n], ReferenceTree.append(proof, _leaves[0]));
        if (proof.length != 0) {
            assertNotIncluded((m + 1) % n, n, _leaves[m], _roots[n], proof);
            assertNotIncluded(m, n, _leaves[m], _roots[n], shortened(proof));
        }
    }

    function test_requireConsistent_holdsAtPowersOfTwo() public view {
        for (uint256 k = 1; k < 62; k += 4) {
            uint64 p = uint64(1) << uint64(k);
            checkUniform(p, p + 1);
            checkUniform(p - 1 == 0 ? 1 : p - 1, p + 1);
            checkUniform(p, p * 2);
            checkUniform(p + 1, p * 2 + 1);
            if (p > 2) checkUniform(p - 1, p);
        }
    }

    function test_requireConsistent_holdsAtTheEdgeOfUint64() public view {
        uint64 last = type(uint64).max;
        checkUniform(uint64(1) << 63, last);
        checkUniform((uint64(1) << 63) - 1, uint64(1) << 63);
        checkUniform((uint64(1) << 62) - 1, (uint64(1) << 62) + (uint64(1) << 20));
        checkUniform(last - (uint64(1) << 20), last - (uint64(1) << 19));
    }

    function test_requireConsistent_refusesProofOverTheLimit() public {
        bytes32[] memory proof = new bytes32[](64);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleProofTooLong.selector, 64));
        _library.requireConsistent(1, bytes32(uint256(1)), type(uint64).max, bytes32(uint256(2)), proof);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleProofTooLong.selector, 64));
        _library.requireIncluded(1, type(uint64).max, bytes32(uint256(1)), bytes32(uint256(2)), proof);
    }

    function test_requireConsistent_saysWhatIsWrong() public {
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, 6, 11);
        bytes32[] memory longer = ReferenceTree.append(proof, 0);
        bytes32[] memory shorter = shortened(proof);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleProofTooLong.selector, longer.length));
        _library.requireConsistent(6, _roots[6], 11, _roots[11], longer);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleProofTooShort.selector, shorter.length));
        _library.requireConsistent(6, _roots[6], 11, _roots[11], shorter);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleProofTooShort.selector, 0));
        _library.requireConsistent(6, _roots[6], 11, _roots[11], new bytes32[](0));
        vm.expectRevert(
            abi.encodeWithSelector(MerkleLog.MerkleOldRootMismatch.selector, _roots[6], _roots[5])
        );
        _library.requireConsistent(6, _roots[5], 11, _roots[11], proof);
        vm.expectRevert(
            abi.encodeWithSelector(MerkleLog.MerkleNewRootMismatch.selector, _roots[11], _roots[12])
        );
        _library.requireConsistent(6, _roots[6], 11, _roots[12], proof);
    }

    function test_requireConsistent_refusesSizesThatDoNotGrow() public {
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleSizesInvalid.selector, 0, 5));
        _library.requireConsistent(0, _roots[0], 5, _roots[5], none);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleSizesInvalid.selector, 5, 5));
        _library.requireConsistent(5, _roots[5], 5, _roots[5], none);
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleSizesInvalid.selector, 6, 5));
        _library.requireConsistent(6, _roots[6], 5, _roots[5], none);
    }

    function test_requireIncluded_refusesIndexAtSize() public {
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleIndexInvalid.selector, 5, 5));
        _library.requireIncluded(5, 5, _leaves[5], _roots[5], new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(MerkleLog.MerkleIndexInvalid.selector, 0, 0));
        _library.requireIncluded(0, 0, _leaves[0], _roots[0], new bytes32[](0));
    }

    /// A proof for other sizes proves nothing here, even with both roots right.
    function testFuzz_requireConsistent_refusesOtherSizes(
        uint64 m,
        uint64 n,
        uint64 m2,
        uint64 n2
    )
        public
        view
    {
        n = uint64(bound(n, 2, 64));
        m = uint64(bound(m, 1, n - 1));
        n2 = uint64(bound(n2, 2, 64));
        m2 = uint64(bound(m2, 1, n2 - 1));
        vm.assume(m != m2 || n != n2);
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, m, n);
        assertRefused(m2, _roots[m2], n2, _roots[n2], proof);
    }

    function testFuzz_requireConsistent_holdsForAnySizes(uint64 m, uint64 n) public view {
        n = uint64(bound(n, 2, (uint64(1) << 62) - 1));
        m = uint64(bound(m, 1, n - 1));
        checkUniform(m, n);
    }

    function testFuzz_requireConsistent_refusesGarbage(
        uint64 m,
        uint64 n,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32[] calldata proof
    )
        public
        view
    {
        assertRefused(m, oldRoot, n, newRoot, proof);
    }

    /// The old history rewritten in one leaf: no proof built over the new tree fits the old root.
    function testFuzz_requireConsistent_refusesRewrittenHistory(
        uint64 m,
        uint64 n,
        uint64 place
    )
        public
        view
    {
        n = uint64(bound(n, 2, 64));
        m = uint64(bound(m, 1, n - 1));
        bytes32[] memory forged = _leaves;
        forged[bound(place, 0, m - 1)] = keccak256("rewritten");
        bytes32[] memory proof = ReferenceTree.consistencyProof(forged, m, n);
        assertRefused(m, _roots[m], n, ReferenceTree.root(forged, 0, n), proof);
    }

    function checkUniform(uint64 m, uint64 n) private view {
        bytes32[] memory proof = UniformTree.consistencyProof(m, n);
        bytes32 oldRoot = UniformTree.root(m);
        bytes32 newRoot = UniformTree.root(n);
        if (proof.length > MerkleLog.MAX_PROOF) {
            assertRefused(m, oldRoot, n, newRoot, proof);
            return;
        }
        _library.requireConsistent(m, oldRoot, n, newRoot, proof);
        bytes32[] memory path = UniformTree.inclusionProof(m, n);
        if (path.length > MerkleLog.MAX_PROOF) assertNotIncluded(m, n, UniformTree.LEAF, newRoot, path);
        else _library.requireIncluded(m, n, UniformTree.LEAF, newRoot, path);
        assertRefused(m, oldRoot, n, newRoot, ReferenceTree.append(proof, 0));
        assertRefused(m, oldRoot, n, newRoot, shortened(proof));
        assertRefused(m, ~oldRoot, n, newRoot, proof);
        assertRefused(m, oldRoot, n, ~newRoot, proof);
    }

    function shortened(bytes32[] memory proof) private pure returns (bytes32[] memory shorter) {
        shorter = new bytes32[](proof.length - 1);
        for (uint256 i = 0; i < shorter.length; ++i) {
            shorter[i] = proof[i];
        }
    }

    function assertRefused(
        uint64 m,
        bytes32 oldRoot,
        uint64 n,
        bytes32 newRoot,
        bytes32[] memory proof
    )
        private
        view
    {
        try _library.requireConsistent(m, oldRoot, n, newRoot, proof) {
            revert AssertionFailed("a consistency proof that should not hold held");
        } catch (bytes memory reason) {
            // One of the library's own errors, not a panic or running out of gas.
            assertTrue(reason.length >= 36 && bytes4(reason) != 0x4e487b71);
        }
    }

    function assertNotIncluded(
        uint64 index,
        uint64 size,
        bytes32 leaf,
        bytes32 root,
        bytes32[] memory proof
    )
        private
        view
    {
        try _library.requireIncluded(index, size, leaf, root, proof) {
            revert AssertionFailed("an inclusion proof that should not hold held");
        } catch (bytes memory reason) {
            assertTrue(reason.length >= 36 && bytes4(reason) != 0x4e487b71);
        }
    }
}
