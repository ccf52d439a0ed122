// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EvidenceLog } from "../evidence/EvidenceLog.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../interfaces/IEvidenceLog.sol";
import { Acts } from "../libraries/Acts.sol";
import { MerkleLog } from "../libraries/MerkleLog.sol";
import {
    GasBombWallet,
    HonestWallet,
    ReturnBombWallet,
    RevertBombWallet,
    ShortAnswerWallet
} from "../mocks/Wallets.sol";
import { ConsortiumTest } from "./base/ConsortiumTest.sol";
import { ReferenceTree } from "./base/ReferenceTree.sol";

contract EvidenceLogTest is ConsortiumTest {
    string private constant ORIGIN = "bank.example/evidence";
    bytes32 private constant LOG = keccak256(bytes(ORIGIN));
    bytes32 private constant LINK_TAG = keccak256("caseledger/batch-link/v1");
    uint256 private constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    bytes32[] private _leaves;

    function setUp() public override {
        super.setUp();
        decide(address(evidence), abi.encodeCall(evidence.openLog, (ORIGIN, BANK, 0)));
        _leaves = ReferenceTree.leaves(0, 40);
    }

    // openLog

    function test_openLog_recordsOperatorAndStatus() public view {
        IEvidenceLog.Log memory log = evidence.head(LOG);
        assertEq(log.operator, BANK);
        assertEq(log.status, 1);
        assertEq(log.size, 0);
        assertEq(log.batches, 0);
        assertEq(log.predecessor, 0);
    }

    function test_openLog_refusesAnyoneButGovernance() public {
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogNotGovernance.selector, deployer));
        vm.prank(deployer);
        evidence.openLog("x", BANK, 0);
    }

    function test_openLog_refusesSecondLogOfAnOrigin() public {
        vm.startPrank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogExists.selector, LOG));
        evidence.openLog(ORIGIN, CENTRE, 0);
        evidence.closeLog(LOG, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogExists.selector, LOG));
        evidence.openLog(ORIGIN, BANK, 0);
        vm.stopPrank();
    }

    function test_openLog_refusesOriginsThatAreNotCheckpointOrigins() public {
        vm.startPrank(address(governance));
        expectOriginRefused("", 0, 0);
        expectOriginRefused("a b", 3, 1);
        expectOriginRefused("a+b", 3, 1);
        expectOriginRefused("ab\n", 3, 2);
        expectOriginRefused(string(hex"61c3a9"), 3, 1);
        expectOriginRefused(string(hex"7f"), 1, 0);
        expectOriginRefused(string(new bytes(129)), 129, 0);
        bytes memory longest = new bytes(128);
        for (uint256 i = 0; i < 128; ++i) {
            longest[i] = i % 2 == 0 ? bytes1("~") : bytes1("!");
        }
        evidence.openLog(string(longest), BANK, 0);
        vm.stopPrank();
    }

    function expectOriginRefused(string memory origin, uint256 length, uint256 position) private {
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogOriginInvalid.selector, length, position));
        evidence.openLog(origin, BANK, 0);
    }

    function test_openLog_refusesUnknownOrRemovedOperator() public {
        decide(address(registry), abi.encodeCall(registry.removeOrganisation, (INSURER)));
        vm.startPrank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogOperatorInvalid.selector, 99));
        evidence.openLog("x", 99, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogOperatorInvalid.selector, INSURER));
        evidence.openLog("x", INSURER, 0);
        vm.stopPrank();
    }

    function test_openLog_refusesPredecessorThatIsNotOpen() public {
        vm.startPrank(address(governance));
        vm.expectRevert(
            abi.encodeWithSelector(IEvidenceLog.LogPredecessorInvalid.selector, bytes32("none"), 0)
        );
        evidence.openLog("x", BANK, bytes32("none"));
        evidence.closeLog(LOG, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogPredecessorInvalid.selector, LOG, 2));
        evidence.openLog("x", BANK, LOG);
        vm.stopPrank();
    }

    // closeLog

    function test_closeLog_endsTheLogAndNamesTheSuccessor() public {
        anchorTo(0, 10);
        bytes32 link = evidence.link(LOG, 1);
        vm.startPrank(address(governance));
        bytes32 next = evidence.openLog("bank.example/evidence/2", BANK, LOG);
        vm.expectEmit(true, true, true, true, address(evidence));
        emit IEvidenceLog.LogClosed(4, LOG, next, 10, 7);
        evidence.closeLog(LOG, 7, next);
        vm.stopPrank();

        IEvidenceLog.Log memory log = evidence.head(LOG);
        assertEq(log.status, 2);
        assertEq(log.closedSize, 7);
        assertEq(log.size, 10);
        assertEq(log.successor, next);
        assertEq(evidence.link(LOG, 1), link);
        assertEq(evidence.head(next).predecessor, LOG);
    }

    function test_closeLog_refusesAnyoneButGovernance() public {
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogNotGovernance.selector, relayer));
        vm.prank(relayer);
        evidence.closeLog(LOG, 0, 0);
    }

    function test_closeLog_refusesBadSizeSuccessorAndState() public {
        anchorTo(0, 10);
        vm.startPrank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogClosedSizeInvalid.selector, 11, 10));
        evidence.closeLog(LOG, 11, 0);
        bytes32 stranger = evidence.openLog("other", BANK, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogSuccessorInvalid.selector, stranger, 0));
        evidence.closeLog(LOG, 10, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogSuccessorInvalid.selector, bytes32("none"), 0));
        evidence.closeLog(LOG, 10, bytes32("none"));
        evidence.closeLog(LOG, 10, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogIsClosed.selector, LOG, 10));
        evidence.closeLog(LOG, 9, 0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogUnknown.selector, bytes32("none")));
        evidence.closeLog(bytes32("none"), 0, 0);
        vm.stopPrank();
    }

    // anchor

    function test_anchor_movesHeadAndWritesLink() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes32 expected = keccak256(
            abi.encode(
                LINK_TAG,
                block.chainid,
                address(evidence),
                LOG,
                uint256(1),
                bytes32(0),
                uint256(6),
                request.rootSha256,
                request.rootSm3,
                block.timestamp
            )
        );
        vm.expectEmit(true, true, true, true, address(evidence));
        emit IEvidenceLog.Anchored(
            2, LOG, 1, 0, 6, request.rootSha256, request.rootSm3, expected, now40(), vm.addr(anchorKey(BANK))
        );
        (uint64 number, bytes32 link) = anchorTo(0, 6);
        assertEq(number, 1);
        assertEq(link, expected);
        assertEq(evidence.link(LOG, 1), expected);
        IEvidenceLog.Log memory log = evidence.head(LOG);
        assertEq(log.size, 6);
        assertEq(log.batches, 1);
        assertEq(log.rootSha256, request.rootSha256);
        assertEq(evidence.sequence(), 2);
    }

    function test_anchor_chainsLinks() public {
        (, bytes32 first) = anchorTo(0, 6);
        vm.warp(block.timestamp + 60);
        (uint64 number, bytes32 second) = anchorTo(6, 11);
        assertEq(number, 2);
        assertEq(
            second,
            evidence.linkOf(
                IEvidenceLog.Batch({
                    logId: LOG,
                    number: 2,
                    previousLink: first,
                    size: 11,
                    rootSha256: ReferenceTree.root(_leaves, 0, 11),
                    rootSm3: rootSm3(11),
                    time: now40()
                })
            )
        );
        assertEq(evidence.link(LOG, 1), first);
    }

    /// Slots as docs/spec/chain-state.md gives them; receipts prove them without asking this code.
    function test_anchor_writesTheSlotsOfTheSpec() public {
        (, bytes32 link) = anchorTo(0, 6);
        bytes32 links = keccak256(abi.encode(LOG, 3));
        assertEq(vm.load(address(evidence), keccak256(abi.encode(1, links))), link);
        bytes32 slot = keccak256(abi.encode(LOG, 2));
        uint256 expected = 6 | (1 << 128) | (uint256(BANK) << 192) | (1 << 224);
        assertEq(uint256(vm.load(address(evidence), slot)), expected);
        assertEq(vm.load(address(evidence), bytes32(uint256(slot) + 1)), ReferenceTree.root(_leaves, 0, 6));
        assertEq(vm.load(address(evidence), 0), 0);
        assertEq(vm.load(address(evidence), bytes32(uint256(1))), 0);
    }

    function test_anchor_holdsForManyBatches() public {
        uint64 size = 0;
        for (uint64 step = 1; size + step <= 40; ++step) {
            anchorTo(size, size + step);
            size += step;
        }
        assertEq(evidence.head(LOG).size, size);
    }

    function test_anchor_refusesFork() public {
        anchorTo(0, 6);
        bytes32[] memory forged = _leaves;
        forged[2] = keccak256("rewritten");
        IEvidenceLog.Anchor memory request = requestFor(6, 11);
        request.rootSha256 = ReferenceTree.root(forged, 0, 11);
        bytes32[] memory proof = ReferenceTree.consistencyProof(forged, 6, 11);
        expectAnchorRevert(
            request,
            proof,
            abi.encodeWithSelector(
                MerkleLog.MerkleOldRootMismatch.selector,
                ReferenceTree.root(forged, 0, 6),
                ReferenceTree.root(_leaves, 0, 6)
            )
        );
    }

    function test_anchor_refusesDroppedAndReorderedLeaves() public {
        anchorTo(0, 6);
        bytes32[] memory dropped = ReferenceTree.leaves(1, 39);
        bytes32[] memory swapped = _leaves;
        (swapped[0], swapped[1]) = (swapped[1], swapped[0]);
        for (uint64 n = 7; n <= 12; ++n) {
            IEvidenceLog.Anchor memory request = requestFor(6, n);
            request.rootSha256 = ReferenceTree.root(dropped, 0, n);
            expectAnchorPartialRevert(
                request,
                ReferenceTree.consistencyProof(dropped, 6, n),
                MerkleLog.MerkleOldRootMismatch.selector
            );
            request.rootSha256 = ReferenceTree.root(swapped, 0, n);
            expectAnchorPartialRevert(
                request,
                ReferenceTree.consistencyProof(swapped, 6, n),
                MerkleLog.MerkleOldRootMismatch.selector
            );
        }
    }

    function test_anchor_refusesStaleAheadAndEqualSizes() public {
        anchorTo(0, 6);
        anchorTo(6, 11);
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, 6, 12);
        expectAnchorRevert(
            requestFor(6, 12), proof, abi.encodeWithSelector(IEvidenceLog.LogOldSizeMismatch.selector, 6, 11)
        );
        expectAnchorRevert(
            requestFor(12, 13),
            proof,
            abi.encodeWithSelector(IEvidenceLog.LogOldSizeMismatch.selector, 12, 11)
        );
        expectAnchorRevert(
            requestFor(0, 12), proof, abi.encodeWithSelector(IEvidenceLog.LogOldSizeMismatch.selector, 0, 11)
        );
        expectAnchorRevert(
            requestFor(11, 11), proof, abi.encodeWithSelector(IEvidenceLog.LogNoGrowth.selector, 11, 11)
        );
        expectAnchorRevert(
            requestFor(11, 10), proof, abi.encodeWithSelector(IEvidenceLog.LogNoGrowth.selector, 11, 10)
        );
    }

    function test_anchor_refusesEmptyBatchOfEmptyLog() public {
        expectAnchorRevert(
            requestFor(0, 0),
            new bytes32[](0),
            abi.encodeWithSelector(IEvidenceLog.LogNoGrowth.selector, 0, 0)
        );
    }

    function test_anchor_boundsGrowth() public {
        uint64 most = 1 << 20;
        IEvidenceLog.Anchor memory request = requestFor(0, 1);
        request.newSize = most + 1;
        expectAnchorRevert(
            request,
            new bytes32[](0),
            abi.encodeWithSelector(IEvidenceLog.LogGrowthTooLarge.selector, most + 1, most)
        );
        request.newSize = type(uint64).max;
        expectAnchorRevert(
            request,
            new bytes32[](0),
            abi.encodeWithSelector(IEvidenceLog.LogGrowthTooLarge.selector, type(uint64).max, most)
        );
        request.newSize = most;
        send(request, new bytes32[](0), signed(anchorKey(BANK), request));
        assertEq(evidence.head(LOG).size, most);
    }

    function test_anchor_refusesProofFromEmptyLog() public {
        expectAnchorRevert(
            requestFor(0, 6),
            new bytes32[](1),
            abi.encodeWithSelector(IEvidenceLog.LogFirstProofNotEmpty.selector, 1)
        );
    }

    function test_anchor_refusesProofsOfOtherLength() public {
        anchorTo(0, 6);
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, 6, 11);
        expectAnchorRevert(
            requestFor(6, 11),
            ReferenceTree.append(proof, 0),
            abi.encodeWithSelector(MerkleLog.MerkleProofTooLong.selector, proof.length + 1)
        );
        expectAnchorRevert(
            requestFor(6, 11),
            new bytes32[](64),
            abi.encodeWithSelector(MerkleLog.MerkleProofTooLong.selector, 64)
        );
        expectAnchorRevert(
            requestFor(6, 11),
            new bytes32[](0),
            abi.encodeWithSelector(MerkleLog.MerkleProofTooShort.selector, 0)
        );
    }

    function test_anchor_refusesUnknownAndClosedLog() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        request.logId = bytes32("none");
        expectAnchorRevert(
            request,
            new bytes32[](0),
            abi.encodeWithSelector(IEvidenceLog.LogUnknown.selector, bytes32("none"))
        );
        anchorTo(0, 6);
        vm.prank(address(governance));
        evidence.closeLog(LOG, 3, 0);
        expectAnchorRevert(
            requestFor(6, 11),
            ReferenceTree.consistencyProof(_leaves, 6, 11),
            abi.encodeWithSelector(IEvidenceLog.LogIsClosed.selector, LOG, 3)
        );
    }

    // who may anchor

    function test_anchor_refusesAfterValidUntil() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.warp(request.validUntil + 1);
        vm.expectRevert(
            abi.encodeWithSelector(Acts.ActExpired.selector, request.validUntil, request.validUntil + 1)
        );
        evidence.anchor(request, new bytes32[](0), signature);
        vm.warp(request.validUntil);
        send(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesKeyOfAnotherOrganisation() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(CENTRE), request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(anchorKey(CENTRE)), BANK, CENTRE
            )
        );
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesUnregisteredKey() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(0xBAD, request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(0xBAD), BANK, 0
            )
        );
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesKeyOfAnotherPurpose() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(actKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyPurpose.selector, vm.addr(actKey(BANK)), ANCHOR, ACT
            )
        );
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesKeyBeforeAndAfterItsTime() public {
        uint40 from = now40() + 1 days + DELAY;
        uint40 until = from + 1 days;
        address key = vm.addr(0xCAFE);
        decide(
            address(registry),
            abi.encodeCall(registry.assignKey, (BANK, IConsortiumRegistry.NewKey(key, ANCHOR, from, until)))
        );
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        request.validUntil = FOREVER;
        bytes memory signature = signed(0xCAFE, request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyNotYetValid.selector, key, from, now40())
        );
        evidence.anchor(request, new bytes32[](0), signature);
        vm.warp(until + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyExpired.selector, key, until, until + 1)
        );
        evidence.anchor(request, new bytes32[](0), signature);
        vm.warp(until);
        send(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesRevokedKey() public {
        address key = vm.addr(anchorKey(BANK));
        IConsortiumRegistry.RevokeKey memory revoke = IConsortiumRegistry.RevokeKey(BANK, key, 0, FOREVER);
        registry.revokeKey(revoke, signed(actKey(BANK), revoke));
        expectAnchorRevert(
            requestFor(0, 6),
            new bytes32[](0),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyRevoked.selector, key, now40(), now40())
        );
    }

    function test_anchor_refusesSuspendedOperatorUntilTheSuspensionEnds() public {
        IConsortiumRegistry.Suspend memory suspend =
            IConsortiumRegistry.Suspend(REGULATOR, BANK, bytes32("reason"), 0, FOREVER);
        registry.suspend(suspend, signed(actKey(REGULATOR), suspend));
        uint40 until = now40() + 30 days;
        expectAnchorRevert(
            requestFor(0, 6),
            new bytes32[](0),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationSuspended.selector, BANK, until)
        );
        vm.warp(until);
        anchorTo(0, 6);
    }

    function test_anchor_refusesRemovedOperator() public {
        decide(address(evidence), abi.encodeCall(evidence.openLog, ("insurer", INSURER, 0)));
        decide(address(registry), abi.encodeCall(registry.removeOrganisation, (INSURER)));
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        request.logId = keccak256("insurer");
        bytes memory signature = signed(anchorKey(INSURER), request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationRemoved.selector, INSURER)
        );
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesReplay() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(BANK), request);
        send(request, new bytes32[](0), signature);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogOldSizeMismatch.selector, 0, 6));
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesSignatureForAnotherChainOrContract() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.chainId(chain);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        evidence.anchor(request, new bytes32[](0), signature);

        EvidenceLog twin = new EvidenceLog(address(registry));
        vm.prank(address(governance));
        twin.openLog(ORIGIN, BANK, 0);
        signature = signed(anchorKey(BANK), request);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        twin.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_refusesEveryChangedField() public {
        anchorTo(0, 6);
        bytes32[] memory proof = ReferenceTree.consistencyProof(_leaves, 6, 11);
        bytes memory signature = signed(anchorKey(BANK), requestFor(6, 11));
        for (uint256 field = 0; field < 3; ++field) {
            IEvidenceLog.Anchor memory request = requestFor(6, 11);
            if (field == 0) request.rootSm3 ^= bytes32(uint256(1));
            if (field == 1) request.validUntil += 1;
            if (field == 2) {
                request.newSize = 12;
                request.rootSha256 = ReferenceTree.root(_leaves, 0, 12);
                proof = ReferenceTree.consistencyProof(_leaves, 6, 12);
            }
            vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
            evidence.anchor(request, proof, signature);
        }
    }

    // signatures

    function test_anchor_refusesMalleableSignature() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(BANK), request);
        bytes32 s;
        assembly {
            s := mload(add(signature, 0x40))
        }
        bytes32 flipped = bytes32(CURVE_ORDER - uint256(s));
        assembly {
            mstore(add(signature, 0x40), flipped)
        }
        signature[64] = signature[64] == bytes1(uint8(27)) ? bytes1(uint8(28)) : bytes1(uint8(27));
        expectSignatureRefused(request, signature);
    }

    function test_anchor_refusesMalformedSignatures() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(BANK), request);
        bytes memory shorter = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            shorter[i] = signature[i];
        }
        expectSignatureRefused(request, shorter);
        expectSignatureRefused(request, "");
        expectSignatureRefused(request, new bytes(65));
        signature[64] = bytes1(uint8(signature[64]) - 27);
        expectSignatureRefused(request, signature);
        signature[64] = bytes1(uint8(29));
        expectSignatureRefused(request, signature);
    }

    function test_anchor_refusesLongSignatureOfNoWallet() public {
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = abi.encodePacked(signed(anchorKey(BANK), request), bytes1(0));
        expectWalletRefused(request, signature, address(bytes20(signature)));
        address plain = vm.addr(anchorKey(BANK));
        expectWalletRefused(request, abi.encodePacked(plain, signed(anchorKey(BANK), request)), plain);
    }

    function test_anchor_acceptsRegisteredWallet() public {
        HonestWallet wallet = new HonestWallet(vm.addr(0xF00D));
        register(address(wallet));
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        expectWalletRefused(request, abi.encodePacked(wallet, signed(0xBAD, request)), address(wallet));
        send(request, new bytes32[](0), abi.encodePacked(wallet, signed(0xF00D, request)));
        assertEq(evidence.head(LOG).size, 6);
    }

    function test_anchor_refusesUnregisteredWallet() public {
        HonestWallet wallet = new HonestWallet(vm.addr(0xF00D));
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = abi.encodePacked(wallet, signed(0xF00D, request));
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, address(wallet), BANK, 0
            )
        );
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function test_anchor_survivesGasBomb() public {
        assertLt(refusedGas(address(new GasBombWallet())), 160_000);
    }

    function test_anchor_survivesReturnBomb() public {
        // The bomb's first word says yes: accepted, and its 150,000 bytes are not copied.
        ReturnBombWallet bomb = new ReturnBombWallet();
        register(address(bomb));
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = abi.encodePacked(bomb, new bytes(65));
        uint256 before = gasleft();
        send(request, new bytes32[](0), signature);
        assertLt(before - gasleft(), 260_000);
        assertLt(refusedGas(address(new RevertBombWallet())), 160_000);
    }

    function test_anchor_refusesShortAnswer() public {
        assertLt(refusedGas(address(new ShortAnswerWallet())), 100_000);
    }

    // verifyInclusion

    function test_verifyInclusion_holdsInEveryBatch() public {
        anchorTo(0, 6);
        IEvidenceLog.Batch memory first = batchAt(1, 0, 6);
        vm.warp(block.timestamp + 60);
        anchorTo(6, 11);
        IEvidenceLog.Batch memory second = batchAt(2, evidence.link(LOG, 1), 11);
        for (uint64 i = 0; i < 11; ++i) {
            if (i < 6) {
                evidence.verifyInclusion(first, _leaves[i], i, ReferenceTree.inclusionProof(_leaves, i, 0, 6));
            }
            evidence.verifyInclusion(second, _leaves[i], i, ReferenceTree.inclusionProof(_leaves, i, 0, 11));
        }
    }

    function test_verifyInclusion_refusesWrongLeafLinkAndLog() public {
        anchorTo(0, 6);
        IEvidenceLog.Batch memory batch = batchAt(1, 0, 6);
        bytes32[] memory proof = ReferenceTree.inclusionProof(_leaves, 2, 0, 6);
        vm.expectPartialRevert(MerkleLog.MerkleRootMismatch.selector);
        evidence.verifyInclusion(batch, _leaves[3], 2, proof);
        vm.expectPartialRevert(MerkleLog.MerkleRootMismatch.selector);
        evidence.verifyInclusion(batch, _leaves[2], 3, proof);
        batch.rootSm3 ^= bytes32(uint256(1));
        vm.expectPartialRevert(IEvidenceLog.LogLinkMismatch.selector);
        evidence.verifyInclusion(batch, _leaves[2], 2, proof);
        batch = batchAt(1, 0, 6);
        batch.number = 2;
        vm.expectPartialRevert(IEvidenceLog.LogLinkMismatch.selector);
        evidence.verifyInclusion(batch, _leaves[2], 2, proof);
        batch.logId = bytes32("none");
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogUnknown.selector, bytes32("none")));
        evidence.verifyInclusion(batch, _leaves[2], 2, proof);
    }

    function test_verifyInclusion_refusesLeavesCutOffByClosing() public {
        anchorTo(0, 6);
        IEvidenceLog.Batch memory batch = batchAt(1, 0, 6);
        vm.prank(address(governance));
        evidence.closeLog(LOG, 4, 0);
        evidence.verifyInclusion(batch, _leaves[3], 3, ReferenceTree.inclusionProof(_leaves, 3, 0, 6));
        bytes32[] memory proof = ReferenceTree.inclusionProof(_leaves, 4, 0, 6);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogLeafBeyondClosedSize.selector, 4, 4));
        evidence.verifyInclusion(batch, _leaves[4], 4, proof);
    }

    // fuzz

    /// Whatever proof and root an attacker with the anchor key sends, the head only moves to a tree that extends it.
    function testFuzz_anchor_neverForks(uint64 newSize, bytes32 root, bytes32[] memory proof) public {
        anchorTo(0, 6);
        IEvidenceLog.Anchor memory request = requestFor(6, 7);
        request.newSize = newSize;
        request.rootSha256 = root;
        bytes memory signature = signed(anchorKey(BANK), request);
        try evidence.anchor(request, proof, signature) {
            revert AssertionFailed("random data extended the log");
        } catch { }
        assertEq(evidence.head(LOG).size, 6);
        assertEq(evidence.head(LOG).rootSha256, ReferenceTree.root(_leaves, 0, 6));
    }

    function testFuzz_anchor_ignoresWhoSends(address sender) public {
        vm.assume(sender != address(0));
        IEvidenceLog.Anchor memory request = requestFor(0, 6);
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.prank(sender);
        evidence.anchor(request, new bytes32[](0), signature);
        assertEq(evidence.head(LOG).size, 6);
    }

    // constructor

    function test_constructor_refusesRegistryWithoutCode() public {
        vm.expectRevert(abi.encodeWithSelector(IEvidenceLog.LogRegistryInvalid.selector, address(1234)));
        new EvidenceLog(address(1234));
    }

    function test_constructor_takesGovernanceFromRegistry() public view {
        assertEq(evidence.governance(), address(governance));
        assertEq(evidence.registry(), address(registry));
    }

    function requestFor(uint64 oldSize, uint64 newSize) private view returns (IEvidenceLog.Anchor memory) {
        return IEvidenceLog.Anchor({
            logId: LOG,
            oldSize: oldSize,
            newSize: newSize,
            rootSha256: ReferenceTree.root(_leaves, 0, newSize),
            rootSm3: rootSm3(newSize),
            validUntil: now40() + 600
        });
    }

    function rootSm3(uint64 size) private pure returns (bytes32) {
        return keccak256(abi.encode("stands for the SM3 root", size));
    }

    function batchAt(
        uint64 number,
        bytes32 previousLink,
        uint64 size
    )
        private
        view
        returns (IEvidenceLog.Batch memory)
    {
        return IEvidenceLog.Batch(
            LOG, number, previousLink, size, ReferenceTree.root(_leaves, 0, size), rootSm3(size), now40()
        );
    }

    function anchorTo(uint64 oldSize, uint64 newSize) private returns (uint64, bytes32) {
        IEvidenceLog.Anchor memory request = requestFor(oldSize, newSize);
        bytes32[] memory proof =
            oldSize == 0 ? new bytes32[](0) : ReferenceTree.consistencyProof(_leaves, oldSize, newSize);
        return send(request, proof, signed(anchorKey(BANK), request));
    }

    function send(
        IEvidenceLog.Anchor memory request,
        bytes32[] memory proof,
        bytes memory signature
    )
        private
        returns (uint64, bytes32)
    {
        vm.prank(relayer);
        return evidence.anchor(request, proof, signature);
    }

    function register(address wallet) private {
        decide(
            address(registry),
            abi.encodeCall(registry.assignKey, (BANK, IConsortiumRegistry.NewKey(wallet, ANCHOR, 0, FOREVER)))
        );
    }

    function refusedGas(address wallet) private returns (uint256) {
        register(wallet);
        IEvidenceLog.Anchor memory request = requestFor(evidence.head(LOG).size, 20);
        bytes32[] memory proof =
            request.oldSize == 0 ? new bytes32[](0) : ReferenceTree.consistencyProof(_leaves, 6, 20);
        bytes memory signature = abi.encodePacked(wallet, new bytes(65));
        uint256 before = gasleft();
        (bool success, bytes memory reason) =
            address(evidence).call(abi.encodeCall(evidence.anchor, (request, proof, signature)));
        uint256 used = before - gasleft();
        assertFalse(success);
        assertEq(keccak256(reason), keccak256(abi.encodeWithSelector(Acts.ActWalletRefused.selector, wallet)));
        return used;
    }

    function expectAnchorRevert(
        IEvidenceLog.Anchor memory request,
        bytes32[] memory proof,
        bytes memory reason
    )
        private
    {
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.expectRevert(reason);
        evidence.anchor(request, proof, signature);
    }

    function expectAnchorPartialRevert(
        IEvidenceLog.Anchor memory request,
        bytes32[] memory proof,
        bytes4 selector
    )
        private
    {
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.expectPartialRevert(selector);
        evidence.anchor(request, proof, signature);
    }

    function expectSignatureRefused(IEvidenceLog.Anchor memory request, bytes memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(Acts.ActSignatureInvalid.selector, signature.length));
        evidence.anchor(request, new bytes32[](0), signature);
    }

    function expectWalletRefused(
        IEvidenceLog.Anchor memory request,
        bytes memory signature,
        address wallet
    )
        private
    {
        vm.expectRevert(abi.encodeWithSelector(Acts.ActWalletRefused.selector, wallet));
        evidence.anchor(request, new bytes32[](0), signature);
    }
}
