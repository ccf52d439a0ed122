// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsentGuard, IStatementGuard } from "../interfaces/ICaseGuards.sol";

/// Knows what it was told; everything else is refused.
contract MockGuards is IStatementGuard, IConsentGuard {
    mapping(bytes32 key => bool known) private _known;

    error MockRefused();

    function tellFact(bytes32 caseId, uint16 fact, bytes32 statement) external {
        _known[keccak256(abi.encode(caseId, fact, statement))] = true;
    }

    function tellConsent(bytes32 caseId, uint8 kind) external {
        _known[keccak256(abi.encode(caseId, kind))] = true;
    }

    function requireFinal(bytes32 caseId, uint16 fact, bytes32 statement) external view {
        if (!_known[keccak256(abi.encode(caseId, fact, statement))]) revert MockRefused();
    }

    function requireConsent(bytes32 caseId, uint8 kind) external view {
        if (!_known[keccak256(abi.encode(caseId, kind))]) revert MockRefused();
    }
}
