// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { CaseBatches } from "../cases/CaseBatches.sol";
import { CaseLedger } from "../cases/CaseLedger.sol";
import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { CaseTest } from "./base/CaseTest.sol";
import { ReferenceTree } from "./base/ReferenceTree.sol";

contract CaseBatchesTest is CaseTest {
    function test_import_keepsWhatWasSigned() public view {
        ICaseBatches.Batch memory batch = batches.batchOf(batchRoot);
        assertEq(batch.owner, BANK);
        assertEq(batch.count, CASES);
        assertEq(batch.time, GENESIS);
        assertEq(batch.policy, 1);
        assertEq(ledger.movedOf(batchRoot), 0);
        assertFalse(batch.recalled);
    }

    function test_import_refusesTheSameRootAgain() public {
        ICaseBatches.Import memory made = importOf(batchRoot, CASES);
        refuse(made, abi.encodeWithSelector(ICaseBatches.BatchKnown.selector, batchRoot));
    }

    function test_import_refusesNothingAndTooMuch() public {
        refuse(
            importOf(0, 1), abi.encodeWithSelector(ICaseBatches.BatchInvalid.selector, bytes32(0), uint32(1))
        );
        bytes32 root = keccak256("root");
        refuse(importOf(root, 0), abi.encodeWithSelector(ICaseBatches.BatchInvalid.selector, root, uint32(0)));
        refuse(
            importOf(root, 1_000_001),
            abi.encodeWithSelector(ICaseBatches.BatchInvalid.selector, root, uint32(1_000_001))
        );
    }

    function test_import_refusesAForeignSignatureAndALateOne() public {
        ICaseBatches.Import memory made = importOf(keccak256("root"), 1);
        bytes memory forged = signed(actKey(OTHER_BANK), made);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        batches.importBatch(made, forged);
        made.validUntil = GENESIS - 1;
        refuse(made, abi.encodeWithSelector(Acts.ActExpired.selector, GENESIS - 1, GENESIS));
    }

    function test_import_needsAPolicy() public {
        address expected = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        CaseBatches fresh = new CaseBatches(address(registry), expected);
        new CaseLedger(address(registry), address(fresh));
        vm.expectRevert(abi.encodeWithSelector(ICaseBatches.BatchNoPolicy.selector));
        fresh.importBatch(importOf(keccak256("root"), 1), "");
    }

    function test_batchWith_refusesAnythingThatIsNotInTheBatch() public {
        ICaseBatches.Origin memory from = origin(0);
        from.commitment = keccak256("other row");
        refuseOrigin(0, from, bytes4(keccak256("MerkleRootMismatch(bytes32,bytes32)")));
        from = origin(0);
        from.product = 2;
        refuseOrigin(0, from, bytes4(keccak256("MerkleRootMismatch(bytes32,bytes32)")));
        from = origin(1);
        refuseOrigin(0, from, bytes4(keccak256("MerkleRootMismatch(bytes32,bytes32)")));
        from = origin(0);
        from.index = CASES;
        refuseOrigin(0, from, bytes4(keccak256("MerkleIndexInvalid(uint64,uint64)")));
        from = origin(0);
        from.root = keccak256("unknown");
        refuseOrigin(0, from, ICaseBatches.BatchUnknown.selector);
    }

    function test_batchWith_refusesAProductThatIsNotPartOfThePolicy() public {
        bytes32 leaf = ReferenceTree.leafHash(
            abi.encodePacked(uint8(1), uint8(5), uint16(0), INSURER, caseId(77), bytes32(0))
        );
        ICaseBatches.Import memory made = importOf(leaf, 1);
        made.organisation = INSURER;
        batches.importBatch(made, signed(actKey(INSURER), made));
        ICaseBatches.Origin memory from = ICaseBatches.Origin(leaf, 0, 5, 0, new bytes32[](0));
        refuseOrigin(77, from, ICaseBatches.BatchProductNotAllowed.selector);
    }

    function test_recall_takesABatchBackWithinADay() public {
        vm.warp(GENESIS + 1 days);
        recall(BANK, "");
        assertTrue(batches.batchOf(batchRoot).recalled);
        refuseOrigin(0, origin(0), ICaseBatches.BatchIsRecalled.selector);
        recall(BANK, abi.encodeWithSelector(ICaseBatches.BatchIsRecalled.selector, batchRoot));
    }

    function test_recall_isRefusedLaterAndToOthersAndOnceACaseMoved() public {
        recall(OTHER_BANK, abi.encodeWithSelector(ICaseBatches.BatchNotOwner.selector, OTHER_BANK, BANK));
        uint256 snapshot = GENESIS + 1 days + 1;
        vm.warp(snapshot);
        recall(
            BANK,
            abi.encodeWithSelector(
                ICaseBatches.BatchRecallTooLate.selector, GENESIS + 1 days, uint40(snapshot)
            )
        );
        vm.warp(GENESIS);
        admit(0);
        recall(BANK, abi.encodeWithSelector(ICaseBatches.BatchHasMoved.selector, batchRoot, uint32(1)));
    }

    function test_gas_ofABatchIsBelowAHundredThousand() public {
        ICaseBatches.Import memory made = importOf(keccak256("root"), 100_000);
        bytes memory signature = signed(actKey(BANK), made);
        batches.importBatch(made, signature);
        assertLt(vm.snapshotGasLastCall("Cases", "import of a batch"), 100_000);
    }

    // Helpers

    function importOf(bytes32 root, uint32 count) private pure returns (ICaseBatches.Import memory) {
        return ICaseBatches.Import(BANK, root, count, keccak256("rules"), keccak256("totals"), FOREVER);
    }

    function refuse(ICaseBatches.Import memory made, bytes memory reason) private {
        bytes memory signature = signed(actKey(BANK), made);
        vm.expectRevert(reason);
        batches.importBatch(made, signature);
    }

    function recall(uint32 organisation, bytes memory reason) private {
        ICaseBatches.Recall memory made = ICaseBatches.Recall(organisation, batchRoot, FOREVER);
        bytes memory signature = signed(actKey(organisation), made);
        if (reason.length != 0) vm.expectRevert(reason);
        batches.recallBatch(made, signature);
    }

    function refuseOrigin(uint256 which, ICaseBatches.Origin memory from, bytes4 selector) private {
        ICaseLedger.Move memory move = request(which, 4, BANK);
        move.reason = 1;
        bytes memory signature = signed(actKey(BANK), move);
        vm.expectPartialRevert(selector);
        ledger.move(move, from, "", signature, "");
    }
}
