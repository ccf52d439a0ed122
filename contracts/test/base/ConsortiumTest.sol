// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Consortium } from "./Consortium.sol";

/// A test that starts with a deployed consortium.
abstract contract ConsortiumTest is Consortium {
    function setUp() public virtual {
        launch();
    }
}
