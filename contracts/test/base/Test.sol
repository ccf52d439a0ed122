// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Vm } from "./Vm.sol";

/// What a forge test needs: the cheat codes and a handful of assertions that say both values.
abstract contract Test {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// forge reads this: the contract holds tests.
    bool public constant IS_TEST = true;

    error AssertionFailed(string what);
    error NotEqual(bytes32 left, bytes32 right);
    error NotEqualNumbers(uint256 left, uint256 right);
    error NotBelow(uint256 left, uint256 right);

    function assertTrue(bool condition) internal pure {
        if (!condition) revert AssertionFailed("not true");
    }

    function assertFalse(bool condition) internal pure {
        if (condition) revert AssertionFailed("not false");
    }

    function assertEq(uint256 left, uint256 right) internal pure {
        if (left != right) revert NotEqualNumbers(left, right);
    }

    function assertEq(bytes32 left, bytes32 right) internal pure {
        if (left != right) revert NotEqual(left, right);
    }

    function assertEq(address left, address right) internal pure {
        if (left != right) revert NotEqualNumbers(uint160(left), uint160(right));
    }

    function assertLt(uint256 left, uint256 right) internal pure {
        if (left >= right) revert NotBelow(left, right);
    }

    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 span = high - low;
        return span == type(uint256).max ? value : low + value % (span + 1);
    }
}
