// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Several acts on cases in one transaction
/// @notice A transaction costs an engine more than the step in it, so whoever has several signed acts to send puts
/// them into one. docs/spec/case.md section 7.
/// @dev The carrier has no state and no right, and anybody may call it. The ledger sees the carrier as the sender of
/// every act; that changes nothing: who acts follows from signatures alone, marks and lapses are anybody's, and the one
/// function that looks at its sender, `activatePolicy`, takes governance and nobody else.
interface IActCarrier {
    /// @param act keccak256 of the call data of the act.
    /// @param index Its place in the list, from 0.
    /// @param reason What the ledger answered, cut to 256 bytes.
    event ActRefused(bytes32 indexed act, uint256 index, bytes reason);

    error CarrierLedgerInvalid(address ledger);
    error CarrierCountInvalid(uint256 count);
    /// An act failed and may have failed for want of gas.
    error CarrierGasShort(uint256 index);

    /// @notice Calls the ledger with each act, in order. One that it refuses undoes none of the others, and is reported.
    /// @dev A failure counts as a refusal only when a quarter of the gas is left that there was before the call. Each
    /// frame keeps a 64th of what it has, so a call starved within 18 nested frames leaves less; then all is undone.
    /// @param acts Call data for the ledger, 1 to 64 of them.
    function carry(bytes[] calldata acts) external;

    /// @notice The CaseLedger that the acts go to.
    function ledger() external view returns (address);
}
