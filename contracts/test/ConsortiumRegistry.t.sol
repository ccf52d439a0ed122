// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ConsortiumRegistry } from "../consortium/ConsortiumRegistry.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { ConsortiumTest } from "./base/ConsortiumTest.sol";

contract ConsortiumRegistryTest is ConsortiumTest {
    uint256 private constant NEW_KEY = 0xC0FFEE;

    // genesis

    function test_constructor_recordsTheGenesis() public view {
        assertEq(registry.organisationCount(), 5);
        assertEq(registry.governance(), address(governance));
        assertEq(registry.rotationDelay(), ROTATION_DELAY);
        IConsortiumRegistry.Organisation memory bank = registry.organisation(BANK);
        assertEq(bank.roles, 1);
        assertEq(bank.interestGroup, BANK);
        assertEq(bank.status, 1);
        assertTrue(bank.vote);
        assertEq(bank.nonce, 0);
        assertEq(registry.indexOf(bank.id), BANK);
        assertTrue(registry.isWriter(BANK));
        assertFalse(registry.isWriter(99));
        IConsortiumRegistry.VoteShares memory shares = registry.voteShares();
        assertEq(shares.votes, 4);
        assertEq(shares.courts, 1);
        assertEq(shares.regulators, 1);
        assertEq(shares.largestGroup, BANK);
        assertEq(shares.largestGroupVotes, 1);
        // 5 organisations and 10 keys
        assertEq(registry.sequence(), 15);
    }

    /// Slots as docs/spec/chain-state.md gives them.
    function test_keySlot_liesWhereTheSpecSays() public view {
        address key = vm.addr(actKey(COURT));
        uint256 raw = uint256(vm.load(address(registry), keccak256(abi.encode(key, 2))));
        assertEq(raw, registry.keySlot(key));
        uint256 expected = uint256(COURT) | (uint256(ACT) << 32) | (uint256(GENESIS) << 40)
            | (uint256(FOREVER) << 80) | (uint256(1) << 160);
        assertEq(raw, expected);
    }

    function test_constructor_refusesUnsoundGenesis() public {
        IConsortiumRegistry.NewOrganisation[] memory genesis = genesisOrganisations();
        genesis[2].vote = false;
        expectGenesisRefused(genesis, abi.encodeWithSelector(IConsortiumRegistry.RegistryNoCourt.selector));

        genesis = genesisOrganisations();
        genesis[3].roles = 1;
        expectGenesisRefused(
            genesis, abi.encodeWithSelector(IConsortiumRegistry.RegistryNoRegulator.selector)
        );

        genesis = genesisOrganisations();
        genesis[1].interestGroup = BANK;
        expectGenesisRefused(
            genesis,
            abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupTooLarge.selector, BANK, 2, 4)
        );

        genesis = genesisOrganisations();
        genesis[1].vote = false;
        expectGenesisRefused(
            genesis,
            abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupTooLarge.selector, BANK, 1, 3)
        );

        genesis = genesisOrganisations();
        genesis[1].id = genesis[0].id;
        expectGenesisRefused(
            genesis,
            abi.encodeWithSelector(IConsortiumRegistry.RegistryIdInvalid.selector, genesis[0].id, BANK)
        );

        genesis = genesisOrganisations();
        genesis[1].keys[0].key = genesis[0].keys[0].key;
        expectGenesisRefused(
            genesis,
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyInvalid.selector, genesis[0].keys[0].key, BANK
            )
        );

        genesis = genesisOrganisations();
        genesis[1].keys[0].purpose = AUTH;
        expectGenesisRefused(
            genesis, abi.encodeWithSelector(IConsortiumRegistry.RegistryNoActKey.selector, genesis[1].id)
        );
    }

    function expectGenesisRefused(
        IConsortiumRegistry.NewOrganisation[] memory genesis,
        bytes memory reason
    )
        private
    {
        vm.expectRevert(reason);
        new ConsortiumRegistry(address(1), ROTATION_DELAY, genesis);
    }

    function test_constructor_refusesBadParameters() public {
        IConsortiumRegistry.NewOrganisation[] memory genesis = genesisOrganisations();
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryGovernanceZero.selector));
        new ConsortiumRegistry(address(0), ROTATION_DELAY, genesis);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryRotationDelayInvalid.selector, 0));
        new ConsortiumRegistry(address(1), 0, genesis);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryRotationDelayInvalid.selector, 30 days + 1)
        );
        new ConsortiumRegistry(address(1), 30 days + 1, genesis);
    }

    // who may govern

    function test_governedFunctions_refuseEveryoneElse() public {
        bytes[] memory calls = new bytes[](9);
        IConsortiumRegistry.NewKey memory key = IConsortiumRegistry.NewKey(address(77), ACT, 0, FOREVER);
        calls[0] = abi.encodeCall(registry.addOrganisation, (newOrganisation(6, 1, true)));
        calls[1] = abi.encodeCall(registry.removeOrganisation, (BANK));
        calls[2] = abi.encodeCall(registry.setRoles, (BANK, 2));
        calls[3] = abi.encodeCall(registry.setVote, (BANK, false));
        calls[4] = abi.encodeCall(registry.setInterestGroup, (BANK, 9));
        calls[5] = abi.encodeCall(registry.assignKey, (BANK, key));
        calls[6] = abi.encodeCall(registry.retireKey, (vm.addr(actKey(BANK))));
        calls[7] = abi.encodeCall(registry.confirmSuspension, (BANK));
        calls[8] = abi.encodeCall(registry.liftSuspension, (BANK));
        address[4] memory callers = [deployer, relayer, vm.addr(actKey(REGULATOR)), address(registry)];
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 j = 0; j < callers.length; ++j) {
                vm.prank(callers[j]);
                (bool success, bytes memory reason) = address(registry).call(calls[i]);
                assertFalse(success);
                assertEq(
                    keccak256(reason),
                    keccak256(
                        abi.encodeWithSelector(IConsortiumRegistry.RegistryNotGovernance.selector, callers[j])
                    )
                );
            }
        }
    }

    // organisations

    function test_addOrganisation_givesTheNextIndexAndKeys() public {
        IConsortiumRegistry.NewOrganisation memory entry = newOrganisation(6, 1 << 2, true);
        vm.prank(address(governance));
        assertEq(registry.addOrganisation(entry), 6);
        assertEq(registry.indexOf(entry.id), 6);
        assertEq(registry.voteShares().votes, 5);
        assertEq(registry.groupVotes(6), 1);
        registry.requireSigner(vm.addr(actKey(6)), 6, ACT);
    }

    function test_addOrganisation_refusesBadEntries() public {
        vm.startPrank(address(governance));
        IConsortiumRegistry.NewOrganisation memory entry = newOrganisation(6, 1, true);
        entry.id = 0;
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryIdInvalid.selector, 0, 0));
        registry.addOrganisation(entry);
        entry = newOrganisation(6, 1, true);
        entry.interestGroup = 0;
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupInvalid.selector, 0));
        registry.addOrganisation(entry);
        uint32[3] memory roles = [uint32(0), 1 << 14, (1 << 5) | (1 << 9)];
        for (uint256 i = 0; i < 3; ++i) {
            entry = newOrganisation(6, roles[i], true);
            vm.expectRevert(
                abi.encodeWithSelector(IConsortiumRegistry.RegistryRolesInvalid.selector, roles[i])
            );
            registry.addOrganisation(entry);
        }
        entry = newOrganisation(6, 1, true);
        entry.keys = new IConsortiumRegistry.NewKey[](0);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryNoActKey.selector, entry.id));
        registry.addOrganisation(entry);
        entry = newOrganisation(6, 1, true);
        entry.keys[1].key = address(0);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyInvalid.selector, address(0), 0)
        );
        registry.addOrganisation(entry);
        vm.stopPrank();
    }

    function test_removeOrganisation_endsRightsForGood() public {
        bytes32 id = registry.organisation(INSURER).id;
        vm.startPrank(address(governance));
        registry.removeOrganisation(INSURER);
        assertFalse(registry.isWriter(INSURER));
        bytes memory removed =
            abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationRemoved.selector, INSURER);
        vm.expectRevert(removed);
        registry.removeOrganisation(INSURER);
        vm.expectRevert(removed);
        registry.setRoles(INSURER, 4);
        vm.expectRevert(removed);
        registry.setVote(INSURER, true);
        vm.expectRevert(removed);
        registry.setInterestGroup(INSURER, 9);
        vm.expectRevert(removed);
        registry.assignKey(INSURER, IConsortiumRegistry.NewKey(address(77), ACT, 0, FOREVER));
        vm.expectRevert(removed);
        registry.confirmSuspension(INSURER);
        vm.expectRevert(removed);
        registry.liftSuspension(INSURER);
        IConsortiumRegistry.NewOrganisation memory again = newOrganisation(INSURER, 2, false);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryIdInvalid.selector, id, INSURER));
        registry.addOrganisation(again);
        vm.stopPrank();
        address key = vm.addr(actKey(INSURER));
        vm.expectRevert(removed);
        registry.requireSigner(key, INSURER, ACT);
        IConsortiumRegistry.SetHpkeKey memory request =
            IConsortiumRegistry.SetHpkeKey(INSURER, bytes32("x"), 0, FOREVER, 0, FOREVER);
        bytes memory signature = signed(actKey(INSURER), request);
        vm.expectRevert(removed);
        registry.setHpkeKey(request, signature);
    }

    function test_removeOrganisation_takesTheVote() public {
        vm.prank(address(governance));
        registry.removeOrganisation(COURT);
        IConsortiumRegistry.VoteShares memory shares = registry.voteShares();
        assertEq(shares.votes, 3);
        assertEq(shares.courts, 0);
        assertEq(registry.groupVotes(COURT), 0);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryNoCourt.selector));
        registry.requireSoundVotes();
    }

    function test_setRoles_movesCourtAndRegulatorVotes() public {
        vm.startPrank(address(governance));
        registry.setRoles(COURT, 1 << 9);
        IConsortiumRegistry.VoteShares memory shares = registry.voteShares();
        assertEq(shares.courts, 0);
        assertEq(shares.regulators, 2);
        registry.setRoles(INSURER, 1 << 5);
        assertEq(registry.voteShares().courts, 0);
        registry.setVote(INSURER, true);
        assertEq(registry.voteShares().courts, 1);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryUnchanged.selector, INSURER));
        registry.setRoles(INSURER, 1 << 5);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryRolesInvalid.selector, (1 << 5) | (1 << 9))
        );
        registry.setRoles(INSURER, (1 << 5) | (1 << 9));
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationUnknown.selector, 99));
        registry.setRoles(99, 1);
        vm.stopPrank();
    }

    function test_setVoteAndGroup_keepTheShares() public {
        vm.startPrank(address(governance));
        registry.setVote(INSURER, true);
        registry.setInterestGroup(INSURER, BANK);
        IConsortiumRegistry.VoteShares memory shares = registry.voteShares();
        assertEq(shares.votes, 5);
        assertEq(shares.largestGroup, BANK);
        assertEq(shares.largestGroupVotes, 2);
        assertEq(registry.groupVotes(INSURER), 0);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupTooLarge.selector, BANK, 2, 5)
        );
        registry.requireSoundVotes();
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryUnchanged.selector, INSURER));
        registry.setVote(INSURER, true);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryUnchanged.selector, INSURER));
        registry.setInterestGroup(INSURER, BANK);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryInterestGroupInvalid.selector, 0));
        registry.setInterestGroup(INSURER, 0);
        vm.stopPrank();
    }

    // rotation

    function test_rotation_givesTheKeyAfterTheDelay() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(0);
        vm.prank(relayer);
        registry.announceKey(request, signed(actKey(BANK), request));
        assertEq(registry.nonceOf(BANK), 1);
        assertEq(registry.acceptableFrom(request.key), now40() + ROTATION_DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, request.key, 1, 2)
        );
        registry.requireSigner(request.key, BANK, ANCHOR);

        IConsortiumRegistry.AcceptKey memory accept =
            IConsortiumRegistry.AcceptKey(BANK, request.key, FOREVER);
        bytes memory signature = signed(NEW_KEY, accept);
        uint40 from = now40() + ROTATION_DELAY;
        vm.warp(from - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyTooEarly.selector, request.key, from, from - 1
            )
        );
        registry.acceptKey(accept, signature);
        vm.warp(from);
        vm.prank(relayer);
        registry.acceptKey(accept, signature);
        registry.requireSigner(request.key, BANK, ANCHOR);
        // Never valid for a time before it was accepted.
        assertEq((registry.keySlot(request.key) >> 40) & 0xffffffffff, from);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, request.key, 2, 1)
        );
        registry.acceptKey(accept, signature);
    }

    function test_acceptKey_needsTheNewKeyItself() public {
        announce();
        vm.warp(block.timestamp + ROTATION_DELAY);
        IConsortiumRegistry.AcceptKey memory accept =
            IConsortiumRegistry.AcceptKey(BANK, vm.addr(NEW_KEY), FOREVER);
        bytes memory signature = signed(actKey(BANK), accept);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistrySignerMismatch.selector, vm.addr(actKey(BANK)), vm.addr(NEW_KEY)
            )
        );
        registry.acceptKey(accept, signature);
        accept.organisation = CENTRE;
        signature = signed(NEW_KEY, accept);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(NEW_KEY), CENTRE, BANK
            )
        );
        registry.acceptKey(accept, signature);
    }

    function test_cancelKey_endsTheRotationForGood() public {
        announce();
        address key = vm.addr(NEW_KEY);
        IConsortiumRegistry.CancelKey memory cancel = IConsortiumRegistry.CancelKey(BANK, key, 1, FOREVER);
        registry.cancelKey(cancel, signed(actKey(BANK), cancel));
        vm.warp(block.timestamp + ROTATION_DELAY);
        IConsortiumRegistry.AcceptKey memory accept = IConsortiumRegistry.AcceptKey(BANK, key, FOREVER);
        bytes memory signature = signed(NEW_KEY, accept);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, key, 2, 3));
        registry.acceptKey(accept, signature);
        IConsortiumRegistry.AnnounceKey memory again = announcement(2);
        signature = signed(actKey(BANK), again);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyInvalid.selector, key, BANK));
        registry.announceKey(again, signature);
        vm.prank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyInvalid.selector, key, BANK));
        registry.assignKey(CENTRE, IConsortiumRegistry.NewKey(key, ACT, 0, FOREVER));
    }

    function test_cancelKey_refusesForeignAndActiveKeys() public {
        announce();
        IConsortiumRegistry.CancelKey memory cancel =
            IConsortiumRegistry.CancelKey(CENTRE, vm.addr(NEW_KEY), 0, FOREVER);
        bytes memory signature = signed(actKey(CENTRE), cancel);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(NEW_KEY), CENTRE, BANK
            )
        );
        registry.cancelKey(cancel, signature);
        address anchor = vm.addr(anchorKey(BANK));
        cancel = IConsortiumRegistry.CancelKey(BANK, anchor, 1, FOREVER);
        signature = signed(actKey(BANK), cancel);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, anchor, 2, 1));
        registry.cancelKey(cancel, signature);
    }

    function test_announceKey_refusesBadRequests() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(0);
        request.purpose = 6;
        expectAnnounceRefused(
            request, abi.encodeWithSelector(IConsortiumRegistry.RegistryPurposeInvalid.selector, 6)
        );
        request.purpose = 0;
        expectAnnounceRefused(
            request, abi.encodeWithSelector(IConsortiumRegistry.RegistryPurposeInvalid.selector, 0)
        );
        request = announcement(0);
        request.notAfter = GENESIS - 1;
        expectAnnounceRefused(
            request,
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryValidityInvalid.selector, 0, GENESIS - 1, GENESIS
            )
        );
        request.notBefore = GENESIS + 10;
        request.notAfter = GENESIS + 9;
        expectAnnounceRefused(
            request,
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryValidityInvalid.selector, GENESIS + 10, GENESIS + 9, GENESIS
            )
        );
        request = announcement(0);
        request.key = address(0);
        expectAnnounceRefused(
            request, abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyInvalid.selector, address(0), 0)
        );
        request.key = vm.addr(actKey(CENTRE));
        expectAnnounceRefused(
            request,
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyInvalid.selector, request.key, CENTRE)
        );
    }

    function expectAnnounceRefused(
        IConsortiumRegistry.AnnounceKey memory request,
        bytes memory reason
    )
        private
    {
        bytes memory signature = signed(actKey(BANK), request);
        vm.expectRevert(reason);
        registry.announceKey(request, signature);
    }

    // acts: nonce, time, signer

    function test_acts_refuseReplayAndSkippedNonce() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(1);
        expectAnnounceRefused(
            request, abi.encodeWithSelector(IConsortiumRegistry.RegistryNonceMismatch.selector, BANK, 0, 1)
        );
        IConsortiumRegistry.SetHpkeKey memory hpke =
            IConsortiumRegistry.SetHpkeKey(BANK, bytes32("first"), 0, FOREVER, 0, FOREVER);
        bytes memory signature = signed(actKey(BANK), hpke);
        registry.setHpkeKey(hpke, signature);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryNonceMismatch.selector, BANK, 1, 0)
        );
        registry.setHpkeKey(hpke, signature);
    }

    function test_acts_refuseAfterValidUntil() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(0);
        request.validUntil = GENESIS;
        bytes memory signature = signed(actKey(BANK), request);
        vm.warp(GENESIS + 1);
        vm.expectRevert(abi.encodeWithSelector(Acts.ActExpired.selector, GENESIS, GENESIS + 1));
        registry.announceKey(request, signature);
        vm.warp(GENESIS);
        registry.announceKey(request, signature);
    }

    function test_acts_refuseOtherPurposesAndOrganisations() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(0);
        bytes memory signature = signed(anchorKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyPurpose.selector, vm.addr(anchorKey(BANK)), ACT, ANCHOR
            )
        );
        registry.announceKey(request, signature);
        signature = signed(actKey(CENTRE), request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, vm.addr(actKey(CENTRE)), BANK, CENTRE
            )
        );
        registry.announceKey(request, signature);
        request.organisation = 99;
        signature = signed(actKey(BANK), request);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationUnknown.selector, 99));
        registry.announceKey(request, signature);
    }

    /// Organisation 0 is nobody, and an unknown key's slot names it: the two must not meet.
    function test_acts_refuseOrganisationZero() public {
        IConsortiumRegistry.AnnounceKey memory request = announcement(0);
        request.organisation = 0;
        bytes memory signature = signed(0xBAD, request);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationUnknown.selector, 0));
        registry.announceKey(request, signature);
    }

    // revocation

    function test_revokeKey_endsItFromNowOn() public {
        address key = vm.addr(anchorKey(BANK));
        revoke(key, 0);
        assertEq((registry.keySlot(key) >> 120) & 0xffffffffff, now40());
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyRevoked.selector, key, now40(), now40())
        );
        registry.requireSigner(key, BANK, ANCHOR);
        IConsortiumRegistry.RevokeKey memory again = IConsortiumRegistry.RevokeKey(BANK, key, 1, FOREVER);
        bytes memory signature = signed(actKey(BANK), again);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyRevoked.selector, key, now40(), now40())
        );
        registry.revokeKey(again, signature);
    }

    function test_revokeKey_cannotTakeTheLastActKey() public {
        address key = vm.addr(actKey(BANK));
        IConsortiumRegistry.RevokeKey memory request = IConsortiumRegistry.RevokeKey(BANK, key, 0, FOREVER);
        bytes memory signature = signed(actKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyCannotRevokeItself.selector, key)
        );
        registry.revokeKey(request, signature);
        // With a second act key the first can go.
        vm.prank(address(governance));
        registry.assignKey(BANK, IConsortiumRegistry.NewKey(vm.addr(NEW_KEY), ACT, 0, FOREVER));
        registry.revokeKey(request, signed(NEW_KEY, request));
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyRevoked.selector);
        registry.requireSigner(key, BANK, ACT);
    }

    function test_revokeKey_refusesForeignAndAnnouncedKeys() public {
        address foreign = vm.addr(anchorKey(CENTRE));
        IConsortiumRegistry.RevokeKey memory request =
            IConsortiumRegistry.RevokeKey(BANK, foreign, 0, FOREVER);
        bytes memory signature = signed(actKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryKeyOrganisation.selector, foreign, BANK, CENTRE
            )
        );
        registry.revokeKey(request, signature);
        announce();
        request = IConsortiumRegistry.RevokeKey(BANK, vm.addr(NEW_KEY), 1, FOREVER);
        signature = signed(actKey(BANK), request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, request.key, 1, 2)
        );
        registry.revokeKey(request, signature);
    }

    function test_retireKey_recoversFromAStolenLastKey() public {
        address stolen = vm.addr(actKey(BANK));
        vm.startPrank(address(governance));
        registry.retireKey(stolen);
        registry.assignKey(BANK, IConsortiumRegistry.NewKey(vm.addr(NEW_KEY), ACT, 0, FOREVER));
        vm.expectPartialRevert(IConsortiumRegistry.RegistryKeyRevoked.selector);
        registry.retireKey(stolen);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyUnknown.selector, address(77)));
        registry.retireKey(address(77));
        vm.stopPrank();
        registry.requireSigner(vm.addr(NEW_KEY), BANK, ACT);
    }

    function test_retireKey_cancelsAnAnnouncedKey() public {
        announce();
        vm.startPrank(address(governance));
        registry.retireKey(vm.addr(NEW_KEY));
        assertEq((registry.keySlot(vm.addr(NEW_KEY)) >> 160) & 0xff, 3);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistryKeyState.selector, vm.addr(NEW_KEY), 1, 3)
        );
        registry.retireKey(vm.addr(NEW_KEY));
        vm.stopPrank();
    }

    function test_assignKey_isNeverValidBeforeNow() public {
        vm.prank(address(governance));
        registry.assignKey(BANK, IConsortiumRegistry.NewKey(vm.addr(NEW_KEY), ANCHOR, 5, FOREVER));
        assertEq((registry.keySlot(vm.addr(NEW_KEY)) >> 40) & 0xffffffffff, now40());
    }

    // HPKE

    function test_setHpkeKey_replacesTheKey() public {
        replaceHpke(bytes32("first"), 0);
        replaceHpke(bytes32("second"), 1);
        IConsortiumRegistry.Organisation memory bank = registry.organisation(BANK);
        assertEq(bank.hpkeKey, bytes32("second"));
        assertEq(bank.hpkeNotBefore, 5);
        assertEq(bank.hpkeNotAfter, FOREVER);
        IConsortiumRegistry.SetHpkeKey memory zero =
            IConsortiumRegistry.SetHpkeKey(BANK, 0, 0, FOREVER, 2, FOREVER);
        bytes memory signature = signed(actKey(BANK), zero);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryHpkeKeyZero.selector, BANK));
        registry.setHpkeKey(zero, signature);
    }

    // suspension

    function test_suspend_lastsThirtyDaysAndTakesNoVote() public {
        suspend(BANK, 0);
        assertFalse(registry.isWriter(BANK));
        assertEq(registry.voteShares().votes, 4);
        registry.requireSigner(vm.addr(actKey(BANK)), BANK, ACT);
        address key = vm.addr(actKey(BANK));
        vm.expectRevert(
            abi.encodeWithSelector(
                IConsortiumRegistry.RegistryOrganisationSuspended.selector, BANK, now40() + 30 days
            )
        );
        registry.requireWriter(key, BANK, ACT);
        vm.warp(block.timestamp + 30 days);
        assertTrue(registry.isWriter(BANK));
        registry.requireWriter(key, BANK, ACT);
    }

    function test_suspend_cannotBeExtendedByARegulator() public {
        suspend(BANK, 0);
        uint40 from = now40() + 60 days;
        IConsortiumRegistry.Suspend memory again =
            IConsortiumRegistry.Suspend(REGULATOR, BANK, bytes32("again"), 1, FOREVER);
        bytes memory signature = signed(actKey(REGULATOR), again);
        uint40[3] memory times = [now40() + 1, now40() + 30 days, from - 1];
        for (uint256 i = 0; i < 3; ++i) {
            vm.warp(times[i]);
            vm.expectRevert(
                abi.encodeWithSelector(
                    IConsortiumRegistry.RegistrySuspensionTooEarly.selector, BANK, from, times[i]
                )
            );
            registry.suspend(again, signature);
        }
        vm.warp(from);
        registry.suspend(again, signature);
        assertFalse(registry.isWriter(BANK));
    }

    function test_suspend_cannotBeExtendedByASecondRegulator() public {
        IConsortiumRegistry.NewOrganisation memory second = newOrganisation(6, 1 << 9, true);
        vm.prank(address(governance));
        registry.addOrganisation(second);
        suspend(BANK, 0);
        IConsortiumRegistry.Suspend memory again =
            IConsortiumRegistry.Suspend(6, BANK, bytes32("again"), 0, FOREVER);
        bytes memory signature = signed(actKey(6), again);
        vm.expectPartialRevert(IConsortiumRegistry.RegistrySuspensionTooEarly.selector);
        registry.suspend(again, signature);
    }

    function test_suspend_needsARegulator() public {
        IConsortiumRegistry.Suspend memory request =
            IConsortiumRegistry.Suspend(COURT, BANK, bytes32("reason"), 0, FOREVER);
        bytes memory signature = signed(actKey(COURT), request);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryNotRegulator.selector, COURT));
        registry.suspend(request, signature);
        request.organisation = REGULATOR;
        request.target = REGULATOR;
        signature = signed(actKey(REGULATOR), request);
        vm.expectRevert(
            abi.encodeWithSelector(IConsortiumRegistry.RegistrySuspensionOfItself.selector, REGULATOR)
        );
        registry.suspend(request, signature);
        request.target = 99;
        signature = signed(actKey(REGULATOR), request);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryOrganisationUnknown.selector, 99));
        registry.suspend(request, signature);
    }

    function test_confirmSuspension_holdsUntilLifted() public {
        suspend(BANK, 0);
        vm.warp(block.timestamp + 31 days);
        assertTrue(registry.isWriter(BANK));
        vm.startPrank(address(governance));
        registry.confirmSuspension(BANK);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryUnchanged.selector, BANK));
        registry.confirmSuspension(BANK);
        vm.warp(block.timestamp + 3650 days);
        assertFalse(registry.isWriter(BANK));
        registry.liftSuspension(BANK);
        assertTrue(registry.isWriter(BANK));
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryNotSuspended.selector, BANK));
        registry.liftSuspension(BANK);
        vm.expectRevert(abi.encodeWithSelector(IConsortiumRegistry.RegistryNotSuspended.selector, BANK));
        registry.confirmSuspension(BANK);
        vm.stopPrank();
        suspend(BANK, 1);
    }

    function test_suspended_mayCancelAndRevokeButNotAddOrSuspend() public {
        announce();
        suspend(BANK, 0);
        bytes memory reason = abi.encodeWithSelector(
            IConsortiumRegistry.RegistryOrganisationSuspended.selector, BANK, now40() + 30 days
        );
        IConsortiumRegistry.AnnounceKey memory request = announcement(1);
        request.key = address(99);
        expectAnnounceRefused(request, reason);
        IConsortiumRegistry.SetHpkeKey memory newHpke =
            IConsortiumRegistry.SetHpkeKey(BANK, bytes32("x"), 0, FOREVER, 1, FOREVER);
        bytes memory signature = signed(actKey(BANK), newHpke);
        vm.expectRevert(reason);
        registry.setHpkeKey(newHpke, signature);
        vm.warp(block.timestamp + ROTATION_DELAY);
        IConsortiumRegistry.AcceptKey memory accept =
            IConsortiumRegistry.AcceptKey(BANK, vm.addr(NEW_KEY), FOREVER);
        signature = signed(NEW_KEY, accept);
        vm.expectRevert(reason);
        registry.acceptKey(accept, signature);

        IConsortiumRegistry.CancelKey memory cancel =
            IConsortiumRegistry.CancelKey(BANK, vm.addr(NEW_KEY), 1, FOREVER);
        registry.cancelKey(cancel, signed(actKey(BANK), cancel));
        revoke(vm.addr(anchorKey(BANK)), 2);
    }

    function test_suspend_refusedToASuspendedRegulator() public {
        IConsortiumRegistry.NewOrganisation memory second = newOrganisation(6, 1 << 9, true);
        vm.prank(address(governance));
        registry.addOrganisation(second);
        suspend(6, 0);
        IConsortiumRegistry.Suspend memory back =
            IConsortiumRegistry.Suspend(6, REGULATOR, bytes32("back"), 0, FOREVER);
        bytes memory signature = signed(actKey(6), back);
        vm.expectPartialRevert(IConsortiumRegistry.RegistryOrganisationSuspended.selector);
        registry.suspend(back, signature);
    }

    // fuzz

    /// Whoever calls whatever: without a signature of ours, nothing about organisations and votes changes.
    function testFuzz_anyCall_changesNothingWithoutASignature(address sender, bytes calldata data) public {
        vm.assume(sender != address(governance));
        bytes32 before = fingerprint();
        vm.prank(sender);
        (bool success,) = address(registry).call(data);
        success;
        assertEq(fingerprint(), before);
    }

    /// One stolen act key, any announce, revoke, suspend: membership, roles, groups and votes stay.
    function testFuzz_oneStolenKey_changesNoMembership(
        uint32 organisation,
        uint32 target,
        address key,
        uint8 purpose,
        bytes32 reason
    )
        public
    {
        organisation = uint32(bound(organisation, 1, 5));
        target = uint32(bound(target, 0, 6));
        bytes32 before = fingerprint();
        IConsortiumRegistry.AnnounceKey memory announcing =
            IConsortiumRegistry.AnnounceKey(organisation, key, purpose, 0, FOREVER, 0, FOREVER);
        try registry.announceKey(announcing, signed(actKey(organisation), announcing)) { } catch { }
        uint64 nonce = registry.nonceOf(organisation);
        IConsortiumRegistry.Suspend memory suspending =
            IConsortiumRegistry.Suspend(organisation, target, reason, nonce, FOREVER);
        try registry.suspend(suspending, signed(actKey(organisation), suspending)) { } catch { }
        nonce = registry.nonceOf(organisation);
        IConsortiumRegistry.RevokeKey memory revoking =
            IConsortiumRegistry.RevokeKey(organisation, vm.addr(actKey(target)), nonce, FOREVER);
        try registry.revokeKey(revoking, signed(actKey(organisation), revoking)) { } catch { }
        assertEq(fingerprint(), before);
    }

    function fingerprint() private view returns (bytes32 hash) {
        hash = keccak256(abi.encode(registry.organisationCount(), registry.voteShares()));
        for (uint32 i = 0; i <= registry.organisationCount() + 1; ++i) {
            IConsortiumRegistry.Organisation memory org = registry.organisation(i);
            hash = keccak256(abi.encode(hash, org.id, org.roles, org.interestGroup, org.status, org.vote));
        }
    }

    function announcement(uint64 nonce) private pure returns (IConsortiumRegistry.AnnounceKey memory) {
        return IConsortiumRegistry.AnnounceKey({
            organisation: BANK,
            key: vm.addr(NEW_KEY),
            purpose: ANCHOR,
            notBefore: 0,
            notAfter: FOREVER,
            nonce: nonce,
            validUntil: FOREVER
        });
    }

    function announce() private {
        IConsortiumRegistry.AnnounceKey memory request = announcement(registry.nonceOf(BANK));
        registry.announceKey(request, signed(actKey(BANK), request));
    }

    function revoke(address key, uint64 nonce) private {
        IConsortiumRegistry.RevokeKey memory request =
            IConsortiumRegistry.RevokeKey(BANK, key, nonce, FOREVER);
        registry.revokeKey(request, signed(actKey(BANK), request));
    }

    function replaceHpke(bytes32 key, uint64 nonce) private {
        IConsortiumRegistry.SetHpkeKey memory request =
            IConsortiumRegistry.SetHpkeKey(BANK, key, 5, FOREVER, nonce, FOREVER);
        registry.setHpkeKey(request, signed(actKey(BANK), request));
    }

    function suspend(uint32 target, uint64 nonce) private {
        IConsortiumRegistry.Suspend memory request =
            IConsortiumRegistry.Suspend(REGULATOR, target, bytes32("reason"), nonce, FOREVER);
        registry.suspend(request, signed(actKey(REGULATOR), request));
    }
}
