// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Burns whatever it is given.
contract GasEater {
    fallback() external {
        while (true) { }
    }
}

/// Burns whatever it is given, some frames below; each frame gives up when the one below failed.
contract Descent {
    error Below();

    function down(uint256 depth) external {
        if (depth == 0) while (true) { }
        (bool success,) = address(this).call(abi.encodeCall(this.down, (depth - 1)));
        if (!success) revert Below();
    }
}

/// Refuses with as many bytes as it is told.
contract Babbler {
    function say(uint256 size) external pure {
        assembly {
            revert(0x1000, size)
        }
    }
}
