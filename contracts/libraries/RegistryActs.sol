// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";

/// @title EIP-712 struct hashes of the registry's acts
/// @dev Every member is a word wide once encoded, so `abi.encode` of the struct is EIP-712's encodeData.
library RegistryActs {
    bytes32 internal constant ANNOUNCE_KEY = keccak256(
        "AnnounceKey(uint32 organisation,address key,uint8 purpose,uint40 notBefore,uint40 notAfter,uint64 nonce,uint40 validUntil)"
    );
    bytes32 internal constant ACCEPT_KEY =
        keccak256("AcceptKey(uint32 organisation,address key,uint40 validUntil)");
    bytes32 internal constant CANCEL_KEY =
        keccak256("CancelKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)");
    bytes32 internal constant REVOKE_KEY =
        keccak256("RevokeKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)");
    bytes32 internal constant SET_HPKE_KEY = keccak256(
        "SetHpkeKey(uint32 organisation,bytes32 publicKey,uint40 notBefore,uint40 notAfter,uint64 nonce,uint40 validUntil)"
    );
    bytes32 internal constant SUSPEND = keccak256(
        "Suspend(uint32 organisation,uint32 target,bytes32 reason,uint64 nonce,uint40 validUntil)"
    );

    function structHash(IConsortiumRegistry.AnnounceKey calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(ANNOUNCE_KEY, request));
    }

    function structHash(IConsortiumRegistry.AcceptKey calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(ACCEPT_KEY, request));
    }

    function structHash(IConsortiumRegistry.CancelKey calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(CANCEL_KEY, request));
    }

    function structHash(IConsortiumRegistry.RevokeKey calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(REVOKE_KEY, request));
    }

    function structHash(IConsortiumRegistry.SetHpkeKey calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(SET_HPKE_KEY, request));
    }

    function structHash(IConsortiumRegistry.Suspend calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(SUSPEND, request));
    }
}
