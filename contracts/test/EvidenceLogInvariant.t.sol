// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IEvidenceLog } from "../interfaces/IEvidenceLog.sol";
import { EvidenceHandler } from "./base/EvidenceHandler.sol";
import { Test } from "./base/Test.sol";

contract EvidenceLogInvariantTest is Test {
    EvidenceHandler private _handler;

    function setUp() public {
        _handler = new EvidenceHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// The head is always that of the honest tree, links stay as they were written, and no event is missing. One
    /// function, because forge runs a campaign for each.
    function invariant_logOnlyGrows() public view {
        assertFalse(_handler.forked());
        assertEq(_handler.sequence(), _handler.events());
        for (uint256 i = 0; i < _handler.LOGS(); ++i) {
            IEvidenceLog.Log memory log = _handler.log(i);
            assertEq(log.size, _handler.sizes(i));
            assertEq(log.batches, _handler.batches(i));
            assertEq(log.rootSha256, _handler.roots(i));
            assertEq(log.status, _handler.closed(i) ? 2 : 1);
            assertTrue(log.closedSize <= log.size);
            for (uint64 number = 0; number <= log.batches + 1; ++number) {
                assertEq(_handler.link(i, number), _handler.links(i, number));
            }
        }
    }
}
