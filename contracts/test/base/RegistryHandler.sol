// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { Consortium } from "./Consortium.sol";

/// Random decisions of governance and random acts of the organisations.
contract RegistryHandler is Consortium {
    /// Addresses that ever held a slot, and what it said of owner and purpose then.
    address[] public keys;
    mapping(address key => uint256 slot) public firstSlot;
    uint256 public done;

    constructor() {
        launch();
        for (uint32 i = 1; i <= 5; ++i) {
            note(vm.addr(actKey(i)));
            note(vm.addr(anchorKey(i)));
        }
    }

    function count() external view returns (uint32) {
        return registry.organisationCount();
    }

    function organisation(uint32 index) external view returns (IConsortiumRegistry.Organisation memory) {
        return registry.organisation(index);
    }

    function shares() external view returns (IConsortiumRegistry.VoteShares memory) {
        return registry.voteShares();
    }

    function groupVotes(uint32 group) external view returns (uint32) {
        return registry.groupVotes(group);
    }

    function slot(address key) external view returns (uint256) {
        return registry.keySlot(key);
    }

    function keyCount() external view returns (uint256) {
        return keys.length;
    }

    function add(uint32 role, uint32 group, bool vote) external {
        uint32 next = registry.organisationCount() + 1;
        IConsortiumRegistry.NewOrganisation memory entry =
            newOrganisation(next, uint32(1) << uint32(bound(role, 0, 13)), vote);
        entry.interestGroup = uint32(bound(group, 1, 6));
        govern(abi.encodeCall(registry.addOrganisation, (entry)));
        note(vm.addr(actKey(next)));
        note(vm.addr(anchorKey(next)));
    }

    function remove(uint32 index) external {
        govern(abi.encodeCall(registry.removeOrganisation, (some(index))));
    }

    function setRoles(uint32 index, uint32 role) external {
        govern(abi.encodeCall(registry.setRoles, (some(index), uint32(1) << uint32(bound(role, 0, 13)))));
    }

    function setVote(uint32 index, bool vote) external {
        govern(abi.encodeCall(registry.setVote, (some(index), vote)));
    }

    function setGroup(uint32 index, uint32 group) external {
        govern(abi.encodeCall(registry.setInterestGroup, (some(index), uint32(bound(group, 0, 6)))));
    }

    function assign(uint32 index, uint256 key, uint8 purpose) external {
        address fresh = vm.addr(bound(key, 1, 40));
        IConsortiumRegistry.NewKey memory entry =
            IConsortiumRegistry.NewKey(fresh, uint8(bound(purpose, 1, 5)), 0, FOREVER);
        govern(abi.encodeCall(registry.assignKey, (some(index), entry)));
        note(fresh);
    }

    function retire(uint256 key) external {
        govern(abi.encodeCall(registry.retireKey, (vm.addr(bound(key, 1, 40)))));
    }

    function announce(uint32 index, uint256 key, uint8 purpose) external {
        index = some(index);
        IConsortiumRegistry.AnnounceKey memory request = IConsortiumRegistry.AnnounceKey(
            index,
            vm.addr(bound(key, 1, 40)),
            uint8(bound(purpose, 1, 5)),
            0,
            FOREVER,
            registry.nonceOf(index),
            FOREVER
        );
        attempt(abi.encodeCall(registry.announceKey, (request, signed(actKey(index), request))));
        note(request.key);
    }

    function accept(uint32 index, uint256 key) external {
        key = bound(key, 1, 40);
        IConsortiumRegistry.AcceptKey memory request =
            IConsortiumRegistry.AcceptKey(some(index), vm.addr(key), FOREVER);
        attempt(abi.encodeCall(registry.acceptKey, (request, signed(key, request))));
    }

    function cancel(uint32 index, uint256 key) external {
        index = some(index);
        IConsortiumRegistry.CancelKey memory request = IConsortiumRegistry.CancelKey(
            index, vm.addr(bound(key, 1, 40)), registry.nonceOf(index), FOREVER
        );
        attempt(abi.encodeCall(registry.cancelKey, (request, signed(actKey(index), request))));
    }

    function revoke(uint32 index, uint256 key) external {
        index = some(index);
        IConsortiumRegistry.RevokeKey memory request = IConsortiumRegistry.RevokeKey(
            index, vm.addr(bound(key, 1, 40)), registry.nonceOf(index), FOREVER
        );
        attempt(abi.encodeCall(registry.revokeKey, (request, signed(actKey(index), request))));
    }

    function suspend(uint32 index, uint32 target) external {
        index = some(index);
        IConsortiumRegistry.Suspend memory request =
            IConsortiumRegistry.Suspend(index, some(target), 0, registry.nonceOf(index), FOREVER);
        attempt(abi.encodeCall(registry.suspend, (request, signed(actKey(index), request))));
    }

    function wait(uint40 time) external {
        vm.warp(block.timestamp + bound(time, 1, 3 days));
    }

    function some(uint32 index) private view returns (uint32) {
        return uint32(bound(index, 0, registry.organisationCount() + 1));
    }

    function govern(bytes memory data) private {
        vm.prank(address(governance));
        attempt(data);
    }

    function attempt(bytes memory data) private {
        (bool success,) = address(registry).call(data);
        if (success) ++done;
    }

    function note(address key) private {
        uint256 value = registry.keySlot(key);
        if (value == 0 || firstSlot[key] != 0) return;
        keys.push(key);
        firstSlot[key] = value;
    }
}
