// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { RegistryHandler } from "./base/RegistryHandler.sol";
import { Test } from "./base/Test.sol";

contract ConsortiumRegistryInvariantTest is Test {
    RegistryHandler private _handler;

    function setUp() public {
        _handler = new RegistryHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function invariant_sharesAndKeysAreConsistent() public view {
        checkShares();
        checkKeys();
    }

    /// The running totals are what a count over all organisations gives.
    function checkShares() private view {
        uint256[8] memory groups;
        uint256 votes = 0;
        uint256 courts = 0;
        uint256 regulators = 0;
        for (uint32 i = 1; i <= _handler.count(); ++i) {
            IConsortiumRegistry.Organisation memory org = _handler.organisation(i);
            assertTrue(org.status == 1 || org.status == 2);
            if (!org.vote) continue;
            assertEq(org.status, 1);
            ++votes;
            ++groups[org.interestGroup];
            if (org.roles & (1 << 5) != 0) ++courts;
            if (org.roles & (1 << 9) != 0) ++regulators;
        }
        IConsortiumRegistry.VoteShares memory shares = _handler.shares();
        assertEq(shares.votes, votes);
        assertEq(shares.courts, courts);
        assertEq(shares.regulators, regulators);
        uint256 largest = 0;
        for (uint32 group = 0; group < 8; ++group) {
            assertEq(_handler.groupVotes(group), groups[group]);
            if (groups[group] > groups[largest]) largest = group;
        }
        assertEq(shares.largestGroupVotes, groups[largest]);
        if (votes != 0) assertEq(shares.largestGroup, largest);
    }

    /// A key's organisation and purpose never change, and nothing is written above the state.
    function checkKeys() private view {
        for (uint256 i = 0; i < _handler.keyCount(); ++i) {
            address key = _handler.keys(i);
            uint256 slot = _handler.slot(key);
            assertEq(slot & 0xffffffffff, _handler.firstSlot(key) & 0xffffffffff);
            assertEq(slot >> 168, 0);
            uint256 state = (slot >> 160) & 0xff;
            assertTrue(state >= 1 && state <= 3);
            if (state != 1) assertEq((slot >> 120) & 0xffffffffff, 0);
        }
    }
}
