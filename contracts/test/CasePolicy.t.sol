// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { LifecycleV1 } from "../cases/LifecycleV1.sol";
import { LifecycleV1TestClock } from "../cases/LifecycleV1TestClock.sol";
import { IEvidenceGuard } from "../interfaces/ICaseGuards.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { StageRow } from "../libraries/CaseRows.sol";
import { Deadlines } from "../libraries/Deadlines.sol";
import { MockGuards } from "../mocks/Guards.sol";
import { CaseTest } from "./base/CaseTest.sol";

contract CasePolicyTest is CaseTest {
    function test_unknownCodes_areRefused() public {
        vm.expectRevert(abi.encodeWithSelector(ICasePolicy.PolicyTransitionUnknown.selector, uint16(0)));
        policy.step(0, 1);
        vm.expectRevert(
            abi.encodeWithSelector(ICasePolicy.PolicyTransitionUnknown.selector, type(uint16).max)
        );
        policy.step(type(uint16).max, 1);
        uint8[4] memory stages = [uint8(0), 46, 64, 255];
        for (uint256 i = 0; i < stages.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICasePolicy.PolicyStageUnknown.selector, stages[i]));
            policy.stageOf(stages[i]);
        }
        assertEq(policy.holdRoles(0), 0);
        assertEq(policy.holdRoles(200), 0);
        assertEq(policy.productRoles(5), 0);
        assertEq(policy.productRoles(255), 0);
    }

    function test_everyClock_canBeComputed() public view {
        for (uint8 stage = 1; stage < 46; ++stage) {
            StageRow row = policy.stageOf(stage);
            if (!row.isFinal()) Deadlines.requireClock(row.clock());
            else assertEq(row.clock(), 0);
        }
    }

    function test_testClock_isAnotherPolicyAndSaysSo() public {
        LifecycleV1TestClock fast = new LifecycleV1TestClock(policy.guards());
        assertTrue(fast.testClock());
        assertFalse(policy.testClock());
        assertTrue(fast.tableHash() != policy.tableHash());
        for (uint8 stage = 1; stage < 46; ++stage) {
            uint32 clock = fast.stageOf(stage).clock();
            assertTrue(clock == 0 || Deadlines.isTestClock(clock));
            assertFalse(Deadlines.isTestClock(policy.stageOf(stage).clock()));
        }
    }

    function test_guards_mustBeContracts() public {
        ICasePolicy.Guards memory guards = policy.guards();
        guards.calendar = address(0);
        refuse(guards, address(0));
        guards = policy.guards();
        guards.evidence = address(0x99);
        refuse(guards, address(0x99));
        guards = policy.guards();
        guards.statements = address(0x99);
        refuse(guards, address(0x99));
        guards = policy.guards();
        guards.consents = address(0x99);
        refuse(guards, address(0x99));
    }

    /// A later version brings guards for facts and consents; cases that begin under it are asked for both.
    function test_guards_ofALaterVersionPlugIn() public {
        MockGuards mock = new MockGuards();
        LifecycleV1 later = new LifecycleV1(
            ICasePolicy.Guards(address(calendar), address(guard), address(mock), address(mock))
        );
        vm.prank(address(governance));
        ledger.activatePolicy(address(later));
        bytes32 root = importOne(80);

        admitFrom(80, root);
        step(80, 7, CENTRE);
        IEvidenceGuard.Entry[] memory identity = only(entry(IDENTITY, MEDIATION, caseId(80), 0));
        ICaseLedger.Move memory move = request(80, 11, MEDIATION);
        move.evidence = digestOf(identity);
        bytes memory signature = signed(actKey(MEDIATION), move);
        vm.expectRevert(abi.encodeWithSelector(MockGuards.MockRefused.selector));
        ledger.move(move, nowhere(), abi.encode(identity), signature, "");
        mock.tellConsent(caseId(80), 1);
        send(move, identity);
        assertEq(stageOf(80), 8);

        IEvidenceGuard.Entry[] memory agreement = only(entry(AGREEMENT, MEDIATION, caseId(80), 0));
        stepWith(80, 14, MEDIATION, BANK, agreement);
        move = request(80, 17, BANK);
        move.statement = keccak256("repaid");
        signature = signed(actKey(BANK), move);
        vm.expectRevert(abi.encodeWithSelector(MockGuards.MockRefused.selector));
        ledger.move(move, nowhere(), "", signature, "");
        mock.tellFact(caseId(80), 1, keccak256("repaid"));
        ledger.move(move, nowhere(), "", signature, "");
        assertEq(stageOf(80), 15);
    }

    function refuse(ICasePolicy.Guards memory guards, address wrong) private {
        vm.expectRevert(abi.encodeWithSelector(ICasePolicy.PolicyGuardInvalid.selector, wrong));
        new LifecycleV1(guards);
    }
}
