// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// The cheat codes of halmos that the proofs use.
interface Svm {
    function enableSymbolicStorage(address target) external;
    function createCalldata(string calldata contractName) external pure returns (bytes memory data);
    function createUint256(string calldata name) external pure returns (uint256);
    function createAddress(string calldata name) external pure returns (address);
    function createBytes32(string calldata name) external pure returns (bytes32);
    function createBytes(uint256 length, string calldata name) external pure returns (bytes memory);
}
