// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Who signed an act
/// @notice docs/spec/chain-state.md, section 2. Whether the signer may act is the registry's question.
library Acts {
    /// What an EIP-1271 contract may spend on its answer.
    uint256 internal constant WALLET_GAS = 100_000;
    /// bytes4(keccak256("isValidSignature(bytes32,bytes)")), left-aligned in a word.
    bytes32 private constant WALLET_YES = 0x1626ba7e00000000000000000000000000000000000000000000000000000000;
    uint256 private constant SIGNATURE_LENGTH = 65;
    uint256 private constant ADDRESS_LENGTH = 20;

    error ActExpired(uint40 validUntil, uint40 time);
    error ActSignatureInvalid(uint256 length);
    error ActWalletRefused(address wallet);

    /// @notice `validUntil` is inclusive.
    function requireInTime(uint40 validUntil) internal view {
        if (block.timestamp > validUntil) revert ActExpired(validUntil, uint40(block.timestamp));
    }

    /// @notice The address that signed `digest`: 65 bytes are an ECDSA signature, more are wallet ‖ inner signature.
    function signer(bytes32 digest, bytes calldata signature) internal view returns (address) {
        uint256 length = signature.length;
        if (length == SIGNATURE_LENGTH) {
            // The third value repeats the length.
            // slither-disable-next-line unused-return
            (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecover(
                digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64])
            );
            if (failure != ECDSA.RecoverError.NoError) revert ActSignatureInvalid(length);
            return recovered;
        }
        if (length < SIGNATURE_LENGTH) revert ActSignatureInvalid(length);
        address wallet = address(bytes20(signature[0:ADDRESS_LENGTH]));
        if (!_walletAccepts(wallet, digest, signature[ADDRESS_LENGTH:])) revert ActWalletRefused(wallet);
        return wallet;
    }

    /// Asks by EIP-1271. A plain staticcall would copy whatever the wallet returns, so the copy is capped here.
    function _walletAccepts(address wallet, bytes32 digest, bytes calldata inner)
        private
        view
        returns (bool)
    {
        bytes memory question = abi.encodeWithSelector(bytes4(WALLET_YES), digest, inner);
        uint256 gasCap = WALLET_GAS;
        bool success;
        uint256 size;
        bytes32 answer;
        assembly ("memory-safe") {
            success := staticcall(gasCap, wallet, add(question, 0x20), mload(question), 0x00, 0x20)
            size := returndatasize()
            answer := mload(0x00)
        }
        return success && size >= 32 && answer == WALLET_YES;
    }
}
