// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumGovernance } from "../interfaces/IConsortiumGovernance.sol";

/// Counts its calls, or refuses them.
contract CountingTarget {
    uint256 public calls;

    error Refused(uint256 calls);

    function count() external {
        ++calls;
    }

    function refuse() external view {
        revert Refused(calls);
    }
}

/// Calls back into governance while it executes.
contract ReenteringTarget {
    address[] private _targets;
    bytes[] private _calls;

    /// Executes the same proposal again, from within.
    function again(bytes32 salt) external {
        _targets.push(address(this));
        _calls.push(msg.data);
        IConsortiumGovernance(msg.sender).execute(_targets, _calls, salt);
    }
}
