// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IEvidenceLog } from "../interfaces/IEvidenceLog.sol";
import { ConsortiumTest } from "./base/ConsortiumTest.sol";
import { UniformTree } from "./base/UniformTree.sol";

/// Gas of whole transactions (21,000 and calldata included), kept in contracts/snapshots.
/// forge-config: default.isolate = true
contract EvidenceLogGasTest is ConsortiumTest {
    bytes32 private _logId;
    uint64 private _size;

    function setUp() public override {
        super.setUp();
        decide(address(evidence), abi.encodeCall(evidence.openLog, ("bank.example/evidence", BANK, 0)));
        _logId = keccak256("bank.example/evidence");
    }

    function test_anchor_gas() public {
        _anchor(10_000);
        vm.snapshotGasLastCall("EvidenceLog", "anchor 0 -> 10000, first");
        _anchor(20_000);
        vm.snapshotGasLastCall("EvidenceLog", "anchor 10000 -> 20000");
        _anchor(30_000);
        vm.snapshotGasLastCall("EvidenceLog", "anchor 20000 -> 30000");
        _anchor(100_000);
        _anchor(110_000);
        uint256 used = vm.snapshotGasLastCall("EvidenceLog", "anchor 100000 -> 110000");
        _anchor(999_999);
        _anchor(1_009_999);
        used = vm.snapshotGasLastCall("EvidenceLog", "anchor 999999 -> 1009999");
        _anchor(1_010_000);
        vm.snapshotGasLastCall("EvidenceLog", "anchor one leaf");
    }

    function _anchor(uint64 newSize) private {
        IEvidenceLog.Anchor memory request = IEvidenceLog.Anchor({
            logId: _logId,
            oldSize: _size,
            newSize: newSize,
            rootSha256: UniformTree.root(newSize),
            rootSm3: keccak256(abi.encode(newSize)),
            validUntil: now40() + 600
        });
        bytes32[] memory proof = _size == 0 ? new bytes32[](0) : UniformTree.consistencyProof(_size, newSize);
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.prank(relayer);
        evidence.anchor(request, proof, signature);
        _size = newSize;
    }
}
