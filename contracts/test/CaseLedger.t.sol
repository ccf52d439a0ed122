// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { CaseLedger } from "../cases/CaseLedger.sol";
import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { IEvidenceGuard } from "../interfaces/ICaseGuards.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { CaseTest } from "./base/CaseTest.sol";

contract CaseLedgerTest is CaseTest {
    // Who acts

    function test_move_bringsACaseToLifeAndMovesIt() public {
        admit(0);
        ICaseLedger.Case memory state = ledger.caseOf(caseId(0));
        assertEq(state.version, 2);
        assertEq(state.stage, 2);
        assertEq(state.owner, BANK);
        assertEq(state.policy, 1);
        assertEq(state.since, GENESIS);
        assertEq(state.lastOrganisation, CENTRE);
        assertEq(state.commitment, keccak256(abi.encode("row", 0)));
        assertEq(ledger.movedOf(batchRoot), 1);
    }

    function test_move_refusesARoleThatTheTransitionDoesNotName() public {
        admit(0);
        uint32[6] memory others = [BANK, COURT, REGULATOR, MEDIATION, POLICE, OTHER_BANK];
        for (uint256 i = 0; i < others.length; ++i) {
            refuse(
                request(0, 5, others[i]),
                abi.encodeWithSelector(ICaseLedger.CaseRoleMissing.selector, others[i], uint16(1 << 3))
            );
        }
    }

    function test_move_refusesAnotherBanksCase() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 4, OTHER_BANK);
        move.reason = 1;
        refuse(
            move, abi.encodeWithSelector(ICaseLedger.CaseRoleMissing.selector, OTHER_BANK, uint16(1 << 15))
        );
    }

    function test_move_refusesASignatureOfAnotherOrganisation() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        bytes memory forged = signed(actKey(BANK), move);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        ledger.move(move, nowhere(), "", forged, "");
    }

    function test_move_refusesASuspendedOrganisation() public {
        admit(0);
        IConsortiumRegistry.Suspend memory suspend =
            IConsortiumRegistry.Suspend(REGULATOR, CENTRE, keccak256("why"), 0, FOREVER);
        registry.suspend(suspend, signed(actKey(REGULATOR), suspend));
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        bytes memory signature = signed(actKey(CENTRE), move);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryOrganisationSuspended.selector);
        ledger.move(move, nowhere(), "", signature, "");
    }

    function test_move_refusesAnActThatHasExpired() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        move.validUntil = now40() - 1;
        refuse(move, abi.encodeWithSelector(Acts.ActExpired.selector, now40() - 1, now40()));
    }

    function test_move_refusesAReplay() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        bytes memory signature = signed(actKey(CENTRE), move);
        ledger.move(move, nowhere(), "", signature, "");
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseVersionStale.selector, 2, 3));
        ledger.move(move, nowhere(), "", signature, "");
    }

    function test_move_refusesAnIllegalTransition() public {
        admit(0);
        refuse(
            request(0, 9, CENTRE),
            abi.encodeWithSelector(ICaseLedger.CaseTransitionIllegal.selector, uint8(2), uint16(9))
        );
    }

    function test_move_refusesACaseThatIsNowhere() public {
        ICaseLedger.Move memory move = request(0, 1, CENTRE);
        bytes memory signature = signed(actKey(CENTRE), move);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseUnknown.selector, caseId(0)));
        ledger.move(move, nowhere(), "", signature, "");
    }

    function test_move_refusesToBringACaseToLifeTwice() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        bytes memory signature = signed(actKey(CENTRE), move);
        ICaseBatches.Origin memory again = origin(0);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseKnown.selector, caseId(0)));
        ledger.move(move, again, "", signature, "");
    }

    function test_move_needsBothSignaturesOfTwo() public {
        admit(0);
        step(0, 5, CENTRE);
        IEvidenceGuard.Entry[] memory agreement = only(entry(AGREEMENT, BANK, caseId(0), 0));
        ICaseLedger.Move memory move = request(0, 8, BANK);
        move.evidence = digestOf(agreement);
        bytes memory alone = signed(actKey(BANK), move);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseCoSignerInvalid.selector, BANK, uint32(0)));
        ledger.move(move, nowhere(), abi.encode(agreement), alone, alone);

        move.coOrganisation = CENTRE;
        bytes memory mine = signed(actKey(BANK), move);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        ledger.move(move, nowhere(), abi.encode(agreement), mine, mine);

        stepWith(0, 8, BANK, CENTRE, agreement);
        assertEq(stageOf(0), 6);
    }

    function test_move_refusesASecondOrganisationWhereNoneSigns() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 5, CENTRE);
        move.coOrganisation = COURT;
        refuse(move, abi.encodeWithSelector(ICaseLedger.CaseCoSignerInvalid.selector, CENTRE, COURT));
    }

    function test_move_refusesAReasonThatIsNotListed() public {
        admit(0);
        ICaseLedger.Move memory move = request(0, 3, CENTRE);
        uint16[3] memory wrong = [uint16(0), 6, 16];
        for (uint256 i = 0; i < wrong.length; ++i) {
            move.reason = wrong[i];
            refuse(move, abi.encodeWithSelector(ICaseLedger.CaseReasonInvalid.selector, wrong[i]));
        }
        move = request(0, 5, CENTRE);
        move.reason = 1;
        refuse(move, abi.encodeWithSelector(ICaseLedger.CaseReasonInvalid.selector, uint16(1)));
    }

    // Courts

    function test_move_belongsToTheCourtThatFiled() public {
        file(0);
        assertEq(ledger.caseOf(caseId(0)).court, COURT);
        refuse(
            request(0, 42, OTHER_COURT),
            abi.encodeWithSelector(ICaseLedger.CaseOtherCourt.selector, OTHER_COURT, COURT)
        );
        step(0, 42, COURT);
        assertEq(stageOf(0), 28);
    }

    function test_lapse_isOpenToAnybodyOnceTimeHasRunOut() public {
        mediate(0);
        (uint40 deadline,) = ledger.deadlineOf(caseId(0));
        uint32 version = ledger.caseOf(caseId(0)).version;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseTooEarly.selector, deadline, deadline));
        ledger.lapse(caseId(0), version, 16);
        vm.warp(deadline + 1);
        vm.prank(address(0xBEEF));
        ledger.lapse(caseId(0), version, 16);
        assertEq(stageOf(0), 10);
    }

    function test_lapse_isNoWayAroundASignature() public {
        mediate(0);
        uint32 version = ledger.caseOf(caseId(0)).version;
        vm.warp(GENESIS + 100 days);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotALapse.selector, uint16(15)));
        ledger.lapse(caseId(0), version, 15);
        ICaseLedger.Move memory move = request(0, 16, MEDIATION);
        refuse(move, abi.encodeWithSelector(ICaseLedger.CaseNotAnAct.selector, uint16(16)));
    }

    // Evidence

    function test_evidence_ofAnotherCaseIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(1);
        refuseWith(request(0, 1, CENTRE), entries, IEvidenceGuard.EvidenceOfOtherCase.selector);
    }

    function test_evidence_ofAWrongClassIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        (entries[0], entries[1]) = (entries[1], entries[0]);
        refuseWith(request(0, 1, CENTRE), entries, IEvidenceGuard.EvidenceClassWrong.selector);
    }

    function test_evidence_thatIsPrivilegedIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        entries[1] = entry(STATEMENT, BANK, caseId(0), 1);
        refuseWith(request(0, 1, CENTRE), entries, IEvidenceGuard.EvidencePrivileged.selector);
    }

    function test_evidence_ofAnotherSubmitterIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        entries[1] = entry(STATEMENT, OTHER_BANK, caseId(0), 0);
        refuseWith(request(0, 1, CENTRE), entries, IEvidenceGuard.EvidenceSubmitterWrong.selector);
        entries[1] = entry(STATEMENT, CENTRE, caseId(0), 0);
        refuseWith(request(0, 1, CENTRE), entries, IEvidenceGuard.EvidenceSubmitterWrong.selector);
    }

    function test_evidence_thatIsMissingOrTooMuchIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        refuseWith(request(0, 1, CENTRE), only(entries[0]), IEvidenceGuard.EvidenceCountWrong.selector);
        admit(0);
        refuseWith(request(0, 5, CENTRE), only(entries[0]), IEvidenceGuard.EvidenceCountWrong.selector);
    }

    function test_evidence_thatIsNoneIsRefused() public {
        ICaseLedger.Move memory move = request(0, 1, CENTRE);
        bytes memory signature = signed(actKey(CENTRE), move);
        ICaseBatches.Origin memory from = origin(0);
        vm.expectRevert(abi.encodeWithSelector(IEvidenceGuard.EvidenceCountWrong.selector, 0, 2));
        ledger.move(move, from, "", signature, "");
        vm.expectRevert(abi.encodeWithSelector(IEvidenceGuard.EvidenceProofMalformed.selector, 5));
        ledger.move(move, from, "noise", signature, "");
    }

    function test_evidence_thatIsNotAnchoredIsRefused() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        entries[0].leaf[111] ^= 0x01;
        refuseWith(request(0, 1, CENTRE), entries, bytes4(keccak256("MerkleRootMismatch(bytes32,bytes32)")));
    }

    function test_evidence_isThatWhichWasSigned() public {
        IEvidenceGuard.Entry[] memory entries = claim(0);
        ICaseLedger.Move memory move = request(0, 1, CENTRE);
        move.evidence = digestOf(only(entries[0]));
        bytes memory signature = signed(actKey(CENTRE), move);
        ICaseBatches.Origin memory from = origin(0);
        vm.expectPartialRevert(ICaseLedger.CaseEvidenceDiffers.selector);
        ledger.move(move, from, abi.encode(entries), signature, "");
    }

    // Reversals

    function test_reverse_goesBackByTheOriginatorAndAnother() public {
        admit(0);
        (uint40 before,) = ledger.deadlineOf(caseId(0));
        step(0, 5, CENTRE);
        // Friday to Wednesday: Monday and Tuesday did not count.
        vm.warp(block.timestamp + 5 days);
        back(0, CENTRE, REGULATOR);
        ICaseLedger.Case memory state = ledger.caseOf(caseId(0));
        assertEq(state.stage, 2);
        assertEq(state.version, 4);
        (uint40 later,) = ledger.deadlineOf(caseId(0));
        assertTrue(later > before);
    }

    function test_reverse_isForTheOriginatorAlone() public {
        admit(0);
        step(0, 5, CENTRE);
        ICaseLedger.Reverse memory reverse = backRequest(0, BANK, REGULATOR);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotOriginator.selector, BANK, CENTRE));
        ledger.reverse(reverse, "", "");
    }

    function test_reverse_needsTwoOrganisations() public {
        admit(0);
        step(0, 5, CENTRE);
        ICaseLedger.Reverse memory reverse = backRequest(0, CENTRE, CENTRE);
        bytes memory mine = signed(actKey(CENTRE), reverse);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseCoSignerInvalid.selector, CENTRE, CENTRE));
        ledger.reverse(reverse, mine, mine);
        reverse.coOrganisation = REGULATOR;
        mine = signed(actKey(CENTRE), reverse);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        ledger.reverse(reverse, mine, mine);
    }

    function test_reverse_isPossibleOnce() public {
        admit(0);
        step(0, 5, CENTRE);
        back(0, CENTRE, REGULATOR);
        ICaseLedger.Reverse memory reverse = backRequest(0, CENTRE, REGULATOR);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotReversible.selector, caseId(0)));
        ledger.reverse(reverse, "", "");
    }

    function test_reverse_intoACourtStageNeedsACourt() public {
        file(0);
        send(request(0, 52, COURT), only(entry(COURT_DOCUMENT, COURT, caseId(0), 0)));
        step(0, 23, BANK);
        ICaseLedger.Reverse memory reverse = backRequest(0, BANK, CENTRE);
        bytes memory mine = signed(actKey(BANK), reverse);
        bytes memory theirs = signed(actKey(CENTRE), reverse);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseCourtOnly.selector, BANK, uint8(34)));
        ledger.reverse(reverse, mine, theirs);
        back(0, BANK, COURT);
        assertEq(stageOf(0), 34);
    }

    function test_reverse_ofALapseIsRefused() public {
        mediate(0);
        vm.warp(GENESIS + 60 days);
        ledger.lapse(caseId(0), ledger.caseOf(caseId(0)).version, 16);
        ICaseLedger.Reverse memory reverse = backRequest(0, MEDIATION, CENTRE);
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotReversible.selector, caseId(0)));
        ledger.reverse(reverse, "", "");
    }

    function test_reverse_ofAFilingTakesTheCourtAway() public {
        admit(0);
        send(request(0, 26, BANK), claim(0));
        step(0, 39, COURT);
        back(0, COURT, CENTRE);
        assertEq(ledger.caseOf(caseId(0)).court, 0);
        step(0, 39, OTHER_COURT);
        assertEq(ledger.caseOf(caseId(0)).court, OTHER_COURT);
    }

    // Policies and construction

    function test_activatePolicy_isForGovernanceAlone() public {
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseNotGovernance.selector, address(this)));
        ledger.activatePolicy(address(policy));
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CasePolicyInvalid.selector, address(0x77)));
        vm.prank(address(governance));
        ledger.activatePolicy(address(0x77));
    }

    function test_activatePolicy_leavesRunningCasesAlone() public {
        admit(0);
        vm.prank(address(governance));
        ledger.activatePolicy(address(policy));
        assertEq(ledger.latestPolicy(), 2);
        assertEq(ledger.caseOf(caseId(0)).policy, 1);
        admit(1);
        assertEq(ledger.caseOf(caseId(1)).policy, 1);
    }

    function test_constructor_needsItsOwnBatches() public {
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseBatchesInvalid.selector, address(batches)));
        new CaseLedger(address(registry), address(batches));
        vm.expectRevert(abi.encodeWithSelector(ICaseLedger.CaseRegistryInvalid.selector, address(1)));
        new CaseLedger(address(1), address(batches));
    }

    function test_events_leaveNoGap() public {
        uint64 before = ledger.sequence();
        admit(0);
        step(0, 5, CENTRE);
        back(0, CENTRE, REGULATOR);
        // Opened, moved, moved, reversed.
        assertEq(ledger.sequence(), before + 4);
    }

    // Helpers

    function refuse(ICaseLedger.Move memory move, bytes memory reason) private {
        (bytes memory signature, bytes memory other) = signatures(move);
        vm.expectRevert(reason);
        ledger.move(move, nowhere(), "", signature, other);
    }

    function refuseWith(
        ICaseLedger.Move memory move,
        IEvidenceGuard.Entry[] memory entries,
        bytes4 selector
    )
        private
    {
        move.evidence = digestOf(entries);
        (bytes memory signature, bytes memory other) = signatures(move);
        ICaseBatches.Origin memory from =
            ledger.caseOf(move.caseId).version == 0 ? originOf(move.caseId) : nowhere();
        vm.expectPartialRevert(selector);
        ledger.move(move, from, abi.encode(entries), signature, other);
    }

    function backRequest(
        uint256 which,
        uint32 organisation,
        uint32 other
    )
        private
        view
        returns (ICaseLedger.Reverse memory)
    {
        uint32 version = ledger.caseOf(caseId(which)).version;
        return ICaseLedger.Reverse(caseId(which), version, organisation, other, keccak256("why"), FOREVER);
    }

    function back(uint256 which, uint32 organisation, uint32 other) private {
        ICaseLedger.Reverse memory reverse = backRequest(which, organisation, other);
        ledger.reverse(reverse, signed(actKey(organisation), reverse), signed(actKey(other), reverse));
    }
}
