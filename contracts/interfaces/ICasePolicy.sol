// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { StageRow, TransitionRow } from "../libraries/CaseRows.sol";

/// @title One version of the rules of a case
/// @notice Generated from cases/lifecycle.yaml; data without any right. A case keeps the version it began with.
interface ICasePolicy {
    /// Who is asked beside the tables. Zero: not asked in this version (docs/lifecycle.md says what that means).
    struct Guards {
        address calendar;
        address evidence;
        address statements;
        address consents;
    }

    error PolicyTransitionUnknown(uint16 transition);
    error PolicyStageUnknown(uint8 stage);
    error PolicyGuardInvalid(address guard);

    /// @notice The transition, and the stages that it would leave and enter. Reverts where one is unknown.
    function step(
        uint16 transition,
        uint8 stage
    )
        external
        view
        returns (TransitionRow row, StageRow left, StageRow entered);

    function stageOf(uint8 stage) external view returns (StageRow);

    function transitionOf(uint16 transition) external view returns (TransitionRow);

    /// @notice Roles that open and end a pause of this kind; 0 if there is none.
    function holdRoles(uint8 kind) external view returns (uint16);

    /// @notice Roles of institutions that bring cases of this product; 0 if it is not part of this version.
    function productRoles(uint8 product) external view returns (uint16);

    function guards() external view returns (Guards memory);

    /// @notice keccak256 over the tables of stages, transitions, holds and products.
    function tableHash() external view returns (bytes32);

    /// @notice SHA-256 over the source's canonical JSON, labels and articles included.
    function sourceDigest() external view returns (bytes32);

    /// @notice Whether clocks count seconds. Such a version is not for real cases.
    function testClock() external view returns (bool);
}
