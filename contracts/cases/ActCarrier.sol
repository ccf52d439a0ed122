// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IActCarrier } from "../interfaces/IActCarrier.sol";

/// @title Carries several acts to the CaseLedger in one transaction
contract ActCarrier is IActCarrier {
    uint256 private constant MOST = 64;
    uint256 private constant LONGEST_REASON = 256;

    /// @inheritdoc IActCarrier
    address public immutable ledger;

    constructor(address ledger_) {
        if (ledger_.code.length == 0) revert CarrierLedgerInvalid(ledger_);
        ledger = ledger_;
    }

    /// @inheritdoc IActCarrier
    function carry(bytes[] calldata acts) external {
        uint256 count = acts.length;
        if (count == 0 || count > MOST) revert CarrierCountInvalid(count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 before = gasleft();
            (bool taken, bytes memory reason) = _call(acts[i]);
            if (taken) continue;
            if (gasleft() < before / 4) revert CarrierGasShort(i);
            emit ActRefused(keccak256(acts[i]), i, reason);
        }
    }

    /// A plain call would copy whatever comes back, so the copy is capped here.
    function _call(bytes calldata act) private returns (bool taken, bytes memory reason) {
        address to = ledger;
        uint256 longest = LONGEST_REASON;
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, act.offset, act.length)
            taken := call(gas(), to, 0, free, act.length, 0, 0)
            // Where it was taken nothing is kept, and the next act is copied over this one.
            reason := 0x60
            if iszero(taken) {
                let size := returndatasize()
                if gt(size, longest) { size := longest }
                reason := free
                mstore(reason, size)
                returndatacopy(add(reason, 0x20), 0, size)
                mstore(0x40, add(reason, add(0x20, longest)))
            }
        }
    }
}
