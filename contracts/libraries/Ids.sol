// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Role bits and key purposes (docs/spec/chain-state.md, section 1)
library Ids {
    uint32 internal constant ROLE_COURT = 1 << 5;
    uint32 internal constant ROLE_REGULATOR = 1 << 9;
    /// Roles 0 to 13 exist.
    uint32 internal constant ALL_ROLES = (1 << 14) - 1;

    uint8 internal constant PURPOSE_ACT = 1;
    uint8 internal constant PURPOSE_ANCHOR = 2;
    uint8 internal constant LAST_PURPOSE = 5;
}
