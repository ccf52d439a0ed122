// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ConsortiumGovernance } from "../consortium/ConsortiumGovernance.sol";
import { ConsortiumRegistry } from "../consortium/ConsortiumRegistry.sol";
import { IConsortiumGovernance } from "../interfaces/IConsortiumGovernance.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { CountingTarget, ReenteringTarget } from "../mocks/Targets.sol";
import { ConsortiumTest } from "./base/ConsortiumTest.sol";

contract ConsortiumGovernanceTest is ConsortiumTest {
    bytes32 private constant SALT = bytes32("salt");

    CountingTarget private _target;
    address[] private _targets;
    bytes[] private _calls;
    bytes32 private _id;

    function setUp() public override {
        super.setUp();
        _target = new CountingTarget();
        propose(address(_target), abi.encodeCall(_target.count, ()));
    }

    // constructor

    function test_constructor_refusesAForeignRegistry() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumGovernance.GovernanceRegistryInvalid.selector, address(registry)
            )
        );
        new ConsortiumGovernance(address(registry), DELAY, THRESHOLD);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceRegistryInvalid.selector, address(99))
        );
        new ConsortiumGovernance(address(99), DELAY, THRESHOLD);
    }

    function test_constructor_refusesBadDelayAndThreshold() public {
        uint32[3] memory thresholds = [uint32(0), 2, 5];
        for (uint256 i = 0; i < 3; ++i) {
            ConsortiumRegistry fresh = freshRegistry();
            vm.expectRevert(
                abi.encodeWithSelector(
                    IConsortiumGovernance.GovernanceThresholdInvalid.selector, thresholds[i], 4
                )
            );
            new ConsortiumGovernance(address(fresh), DELAY, thresholds[i]);
        }
        uint40[2] memory delays = [uint40(0), 30 days + 1];
        for (uint256 i = 0; i < 2; ++i) {
            ConsortiumRegistry fresh = freshRegistry();
            vm.expectRevert(
                abi.encodeWithSelector(IConsortiumGovernance.GovernanceDelayInvalid.selector, delays[i])
            );
            new ConsortiumGovernance(address(fresh), delays[i], THRESHOLD);
        }
    }

    function freshRegistry() private returns (ConsortiumRegistry) {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        return new ConsortiumRegistry(next, ROTATION_DELAY, genesisOrganisations());
    }

    /// The deployer keeps nothing: not before, not during, not after.
    function test_deployer_canDoNothing() public {
        vm.startPrank(deployer);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryNotGovernance.selector);
        registry.setVote(BANK, false);
        vm.expectPartialRevert(IConsortiumGovernance.GovernanceNotItself.selector);
        governance.setThreshold(1);
        vm.expectPartialRevert(IConsortiumGovernance.GovernanceTooFewApprovals.selector);
        governance.schedule(_targets, _calls, SALT, new IConsortiumGovernance.Approval[](0));
        vm.expectPartialRevert(IConsortiumGovernance.GovernanceProposalNotScheduled.selector);
        governance.execute(_targets, _calls, SALT);
        vm.stopPrank();
        assertEq(registry.keySlot(deployer), 0);
        assertEq(uint256(vm.load(address(governance), 0)), 0);
        assertEq(uint256(vm.load(address(registry), 0)), 0);
    }

    // schedule

    function test_schedule_startsTheTimeLock() public {
        uint32[] memory organisations = new uint32[](3);
        (organisations[0], organisations[1], organisations[2]) = (BANK, COURT, REGULATOR);
        IConsortiumGovernance.Approval[] memory list = approvals(_id, [BANK, COURT, REGULATOR]);
        vm.expectEmit(true, true, true, true, address(governance));
        emit IConsortiumGovernance.ProposalScheduled(
            2, _id, _targets, _calls, SALT, organisations, now40() + DELAY, now40() + DELAY + 30 days
        );
        vm.prank(relayer);
        assertEq(governance.schedule(_targets, _calls, SALT, list), _id);
        IConsortiumGovernance.Proposal memory proposal = governance.proposalOf(_id);
        assertEq(proposal.state, 1);
        assertEq(proposal.executableFrom, now40() + DELAY);
        assertEq(proposal.executableUntil, now40() + DELAY + 30 days);
    }

    function test_schedule_refusesDuplicatesAndDisorder() public {
        expectScheduleRefused(
            approvals(_id, [COURT, COURT, REGULATOR]),
            abi.encodeWithSelector(
                IConsortiumGovernance.GovernanceApprovalsNotAscending.selector, COURT, COURT
            )
        );
        expectScheduleRefused(
            approvals(_id, [COURT, BANK, REGULATOR]),
            abi.encodeWithSelector(
                IConsortiumGovernance.GovernanceApprovalsNotAscending.selector, COURT, BANK
            )
        );
        expectScheduleRefused(
            approvals(_id, [0, COURT, REGULATOR]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceApprovalsNotAscending.selector, 0, 0)
        );
    }

    function test_schedule_refusesTooFew() public {
        IConsortiumGovernance.Approval[] memory two = new IConsortiumGovernance.Approval[](2);
        two[0] = approval(_id, COURT);
        two[1] = approval(_id, REGULATOR);
        expectScheduleRefused(
            two, abi.encodeWithSelector(IConsortiumGovernance.GovernanceTooFewApprovals.selector, 2, 3)
        );
        expectScheduleRefused(
            new IConsortiumGovernance.Approval[](0),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceTooFewApprovals.selector, 0, 3)
        );
    }

    function test_schedule_refusesWithoutCourtOrRegulator() public {
        expectScheduleRefused(
            approvals(_id, [BANK, CENTRE, REGULATOR]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceCourtMissing.selector)
        );
        expectScheduleRefused(
            approvals(_id, [BANK, CENTRE, COURT]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceRegulatorMissing.selector)
        );
    }

    function test_schedule_refusesOrganisationsWithoutVote() public {
        expectScheduleRefused(
            approvals(_id, [COURT, REGULATOR, INSURER]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceNoVote.selector, INSURER)
        );
    }

    function test_schedule_refusesSignaturesByOtherKeys() public {
        IConsortiumGovernance.Approval[] memory list = approvals(_id, [BANK, COURT, REGULATOR]);
        // One organisation's key under another's name.
        IConsortiumGovernance.Approval[] memory borrowed = approvals(_id, [BANK, COURT, REGULATOR]);
        bytes32 typeHash = keccak256("Approve(bytes32 proposal,uint32 organisation,uint40 validUntil)");
        bytes32 structHash = keccak256(abi.encode(typeHash, _id, COURT, FOREVER));
        borrowed[1].signature = sign(actKey(BANK), address(governance), structHash);
        expectScheduleRefused(
            borrowed,
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(actKey(BANK)), COURT, BANK
            )
        );
        // A key of another purpose.
        borrowed[1].signature = sign(anchorKey(COURT), address(governance), structHash);
        expectScheduleRefused(
            borrowed,
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyPurpose.selector, vm.addr(anchorKey(COURT)), ACT, ANCHOR
            )
        );
        // An approval of another proposal.
        bytes32 otherId = governance.proposalId(_targets, _calls, bytes32("other"));
        list[1] = approval(otherId, COURT);
        IConsortiumGovernance.Approval[] memory other = list;
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        governance.schedule(_targets, _calls, SALT, other);
    }

    function test_schedule_refusesExpiredApproval() public {
        IConsortiumGovernance.Approval[] memory list = approvals(_id, [BANK, COURT, REGULATOR]);
        list[1].validUntil = now40() - 1;
        expectScheduleRefused(list, abi.encodeWithSelector(Acts.ActExpired.selector, now40() - 1, now40()));
    }

    function test_schedule_refusesRevokedKey() public {
        vm.prank(address(governance));
        registry.retireKey(vm.addr(actKey(COURT)));
        IConsortiumGovernance.Approval[] memory list = approvals(_id, [BANK, COURT, REGULATOR]);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyRevoked.selector);
        governance.schedule(_targets, _calls, SALT, list);
    }

    function test_schedule_countsSuspendedOrganisations() public {
        IConsortiumRegistry.Suspend memory request =
            IConsortiumRegistry.Suspend(REGULATOR, COURT, bytes32("reason"), 0, FOREVER);
        registry.suspend(request, signed(actKey(REGULATOR), request));
        governance.schedule(_targets, _calls, SALT, approvals(_id, [BANK, COURT, REGULATOR]));
        assertEq(governance.proposalOf(_id).state, 1);
    }

    function test_schedule_refusesTwice() public {
        schedule();
        expectScheduleRefused(
            approvals(_id, [BANK, COURT, REGULATOR]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalKnown.selector, _id, 1)
        );
        vm.warp(block.timestamp + DELAY);
        governance.execute(_targets, _calls, SALT);
        expectScheduleRefused(
            approvals(_id, [BANK, COURT, REGULATOR]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalKnown.selector, _id, 2)
        );
    }

    function test_schedule_refusesMalformedProposals() public {
        IConsortiumGovernance.Approval[] memory none = new IConsortiumGovernance.Approval[](0);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalMalformed.selector, 0, 0)
        );
        governance.schedule(new address[](0), new bytes[](0), SALT, none);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalMalformed.selector, 1, 2)
        );
        governance.schedule(new address[](1), new bytes[](2), SALT, none);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalMalformed.selector, 33, 33)
        );
        governance.schedule(new address[](33), new bytes[](33), SALT, none);
    }

    // execute

    function test_execute_waitsForTheTimeLock() public {
        schedule();
        uint40 from = now40() + DELAY;
        vm.warp(from - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceTooEarly.selector, from, from - 1)
        );
        governance.execute(_targets, _calls, SALT);
        vm.warp(from);
        vm.prank(relayer);
        governance.execute(_targets, _calls, SALT);
        assertEq(_target.calls(), 1);
        assertEq(governance.proposalOf(_id).state, 2);
    }

    function test_execute_endsAfterThirtyDays() public {
        schedule();
        uint40 last = now40() + DELAY + 30 days;
        vm.warp(last + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceTooLate.selector, last, last + 1)
        );
        governance.execute(_targets, _calls, SALT);
        vm.warp(last);
        governance.execute(_targets, _calls, SALT);
        assertEq(_target.calls(), 1);
    }

    function test_execute_runsOnce() public {
        schedule();
        vm.warp(block.timestamp + DELAY);
        governance.execute(_targets, _calls, SALT);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalNotScheduled.selector, _id, 2)
        );
        governance.execute(_targets, _calls, SALT);
        assertEq(_target.calls(), 1);
    }

    function test_execute_refusesOtherCalls() public {
        schedule();
        vm.warp(block.timestamp + DELAY);
        _calls[0] = abi.encodeCall(_target.refuse, ());
        vm.expectPartialRevert(IConsortiumGovernance.GovernanceProposalNotScheduled.selector);
        governance.execute(_targets, _calls, SALT);
    }

    function test_execute_makesAllCallsOrNone() public {
        _targets.push(address(_target));
        _calls.push(abi.encodeCall(_target.refuse, ()));
        _id = governance.proposalId(_targets, _calls, SALT);
        schedule();
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumGovernance.GovernanceCallFailed.selector,
                1,
                abi.encodeWithSelector(CountingTarget.Refused.selector, 1)
            )
        );
        governance.execute(_targets, _calls, SALT);
        assertEq(_target.calls(), 0);
        assertEq(governance.proposalOf(_id).state, 1);
    }

    function test_execute_refusesTargetWithoutCode() public {
        propose(address(4321), "");
        schedule();
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceTargetWithoutCode.selector, address(4321))
        );
        governance.execute(_targets, _calls, SALT);
    }

    function test_execute_cannotBeReentered() public {
        ReenteringTarget target = new ReenteringTarget();
        propose(address(target), abi.encodeCall(target.again, (SALT)));
        schedule();
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumGovernance.GovernanceCallFailed.selector,
                0,
                abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalNotScheduled.selector, _id, 2)
            )
        );
        governance.execute(_targets, _calls, SALT);
    }

    // the votes after every execution

    function test_execute_keepsVotesSound() public {
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.setVote, (COURT, false)),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryNoCourt.selector)
        );
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.removeOrganisation, (REGULATOR)),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryNoRegulator.selector)
        );
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.setRoles, (COURT, 1)),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryNoCourt.selector)
        );
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.setInterestGroup, (CENTRE, BANK)),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupTooLarge.selector, BANK, 2, 4)
        );
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.setVote, (BANK, false)),
            abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupTooLarge.selector, CENTRE, 1, 3)
        );
    }

    function test_execute_keepsTheThresholdAMajority() public {
        uint32[3] memory thresholds = [uint32(0), 2, 5];
        for (uint256 i = 0; i < 3; ++i) {
            expectDecisionRefused(
                address(governance),
                abi.encodeCall(governance.setThreshold, (thresholds[i])),
                abi.encodeWithSelector(
                    IConsortiumGovernance.GovernanceThresholdInvalid.selector, thresholds[i], 4
                )
            );
        }
        // Two more voters make 3 of 6, which is no majority.
        decide(address(registry), abi.encodeCall(registry.setVote, (INSURER, true)));
        expectDecisionRefused(
            address(registry),
            abi.encodeCall(registry.addOrganisation, (newOrganisation(6, 1, true))),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceThresholdInvalid.selector, 3, 6)
        );
        decide(address(governance), abi.encodeCall(governance.setThreshold, (5)));
        assertEq(governance.threshold(), 5);
    }

    function test_execute_changesVotersAndThresholdTogether() public {
        _targets = [address(registry), address(registry), address(governance)];
        _calls = [
            abi.encodeCall(registry.setVote, (INSURER, true)),
            abi.encodeCall(registry.addOrganisation, (newOrganisation(6, 1, true))),
            abi.encodeCall(governance.setThreshold, (4))
        ];
        _id = governance.proposalId(_targets, _calls, SALT);
        schedule();
        vm.warp(block.timestamp + DELAY);
        governance.execute(_targets, _calls, SALT);
        assertEq(registry.voteShares().votes, 6);
        assertEq(governance.threshold(), 4);
    }

    function test_setThreshold_refusesEveryoneElse() public {
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceNotItself.selector, address(registry))
        );
        vm.prank(address(registry));
        governance.setThreshold(4);
    }

    // objections

    function test_objectTo_endsAProposalAtNMinusMPlusOne() public {
        schedule();
        object(BANK);
        assertEq(governance.proposalOf(_id).state, 1);
        assertTrue(governance.hasObjected(_id, BANK));
        assertFalse(governance.hasObjected(_id, CENTRE));
        object(CENTRE);
        assertEq(governance.proposalOf(_id).state, 3);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalNotScheduled.selector, _id, 3)
        );
        governance.execute(_targets, _calls, SALT);
        expectScheduleRefused(
            approvals(_id, [BANK, COURT, REGULATOR]),
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalKnown.selector, _id, 3)
        );
    }

    function test_objectTo_countsAnOrganisationOnce() public {
        schedule();
        object(BANK);
        IConsortiumGovernance.Objection memory again = IConsortiumGovernance.Objection(_id, BANK, FOREVER);
        bytes memory signature = signed(actKey(BANK), again);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceAlreadyObjected.selector, _id, BANK)
        );
        governance.objectTo(again, signature);
        assertEq(governance.proposalOf(_id).objections, 1);
    }

    function test_objectTo_refusesOthers() public {
        IConsortiumGovernance.Objection memory request = IConsortiumGovernance.Objection(_id, BANK, FOREVER);
        bytes memory signature = signed(actKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceProposalNotScheduled.selector, _id, 0)
        );
        governance.objectTo(request, signature);
        schedule();
        request.organisation = INSURER;
        signature = signed(actKey(INSURER), request);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumGovernance.GovernanceNoVote.selector, INSURER));
        governance.objectTo(request, signature);
        signature = signed(actKey(BANK), request);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyOrganisation.selector);
        governance.objectTo(request, signature);
        request = IConsortiumGovernance.Objection(_id, BANK, now40() - 1);
        signature = signed(actKey(BANK), request);
        vm.expectRevert(abi.encodeWithSelector(Acts.ActExpired.selector, now40() - 1, now40()));
        governance.objectTo(request, signature);
        request = IConsortiumGovernance.Objection(_id, BANK, FOREVER);
        signature = signed(actKey(BANK), request);
        uint40 last = now40() + DELAY + 30 days;
        vm.warp(last + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumGovernance.GovernanceTooLate.selector, last, last + 1)
        );
        governance.objectTo(request, signature);
    }

    // fuzz

    /// However the approvals are put together: without three distinct voters, a court and a regulator among them,
    /// nothing is scheduled.
    function testFuzz_schedule_needsAMajorityWithCourtAndRegulator(
        uint8[6] calldata names,
        uint8 count
    )
        public
    {
        uint256 length = bound(count, 0, 6);
        IConsortiumGovernance.Approval[] memory list = new IConsortiumGovernance.Approval[](length);
        uint256 seen = 0;
        uint256 voters = 0;
        for (uint256 i = 0; i < length; ++i) {
            uint32 organisation = uint32(bound(names[i], 0, 6));
            list[i] = approval(_id, organisation);
            bool voter = organisation >= BANK && organisation <= REGULATOR;
            if (voter && seen & (1 << organisation) == 0) ++voters;
            seen |= 1 << organisation;
        }
        bool enough = voters >= 3 && seen & (1 << COURT) != 0 && seen & (1 << REGULATOR) != 0;
        try governance.schedule(_targets, _calls, SALT, list) {
            assertTrue(enough);
            assertEq(voters, length);
        } catch {
            assertEq(governance.proposalOf(_id).state, 0);
        }
    }

    function propose(address target, bytes memory data) private {
        (_targets, _calls) = single(target, data);
        _id = governance.proposalId(_targets, _calls, SALT);
    }

    function schedule() private {
        governance.schedule(_targets, _calls, SALT, approvals(_id, [BANK, COURT, REGULATOR]));
    }

    function object(uint32 organisation) private {
        IConsortiumGovernance.Objection memory request =
            IConsortiumGovernance.Objection(_id, organisation, FOREVER);
        governance.objectTo(request, signed(actKey(organisation), request));
    }

    function expectScheduleRefused(
        IConsortiumGovernance.Approval[] memory list,
        bytes memory reason
    )
        private
    {
        vm.expectRevert(reason);
        governance.schedule(_targets, _calls, SALT, list);
    }

    function expectDecisionRefused(address target, bytes memory data, bytes memory reason) private {
        bytes32 salt = keccak256(data);
        (address[] memory targets, bytes[] memory calls) = single(target, data);
        bytes32 id = scheduled(targets, calls, salt);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(reason);
        governance.execute(targets, calls, salt);
        assertEq(governance.proposalOf(id).state, 1);
    }
}
