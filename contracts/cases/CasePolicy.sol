// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { StageRow, TransitionRow } from "../libraries/CaseRows.sol";

/// @title Reading of a lifecycle's tables
/// @dev Words, from the most significant bits: four stages, one transition, sixteen holds, sixteen products.
abstract contract CasePolicy is ICasePolicy {
    uint256 private constant STAGE_BITS = 64;
    uint256 private constant STAGE_ROWS = 64;
    uint256 private constant CODE_BITS = 16;
    uint256 private constant CODE_ROWS = 16;

    /// @inheritdoc ICasePolicy
    bytes32 public immutable sourceDigest;
    /// @inheritdoc ICasePolicy
    bool public immutable testClock;
    address private immutable _calendar;
    address private immutable _evidence;
    address private immutable _statements;
    address private immutable _consents;

    constructor(Guards memory guards_, bytes32 sourceDigest_, bool testClock_) {
        // A calendar and an evidence guard always; the others come with later versions.
        if (guards_.calendar.code.length == 0) revert PolicyGuardInvalid(guards_.calendar);
        if (guards_.evidence.code.length == 0) revert PolicyGuardInvalid(guards_.evidence);
        _requireCodeOrNone(guards_.statements);
        _requireCodeOrNone(guards_.consents);
        _calendar = guards_.calendar;
        _evidence = guards_.evidence;
        _statements = guards_.statements;
        _consents = guards_.consents;
        sourceDigest = sourceDigest_;
        testClock = testClock_;
    }

    /// @inheritdoc ICasePolicy
    function step(
        uint16 transition,
        uint8 stage
    )
        external
        pure
        returns (TransitionRow row, StageRow left, StageRow entered)
    {
        row = transitionOf(transition);
        left = stageOf(stage);
        entered = stageOf(row.target());
    }

    /// @inheritdoc ICasePolicy
    function guards() external view returns (Guards memory) {
        return Guards(_calendar, _evidence, _statements, _consents);
    }

    /// @inheritdoc ICasePolicy
    function tableHash() external pure returns (bytes32) {
        return keccak256(_tables());
    }

    /// @inheritdoc ICasePolicy
    function holdRoles(uint8 kind) external pure returns (uint16) {
        return kind < CODE_ROWS ? uint16(_holds() >> (256 - CODE_BITS * (uint256(kind) + 1))) : 0;
    }

    /// @inheritdoc ICasePolicy
    function productRoles(uint8 product) external pure returns (uint16) {
        return product < CODE_ROWS ? uint16(_products() >> (256 - CODE_BITS * (uint256(product) + 1))) : 0;
    }

    /// @inheritdoc ICasePolicy
    function stageOf(uint8 stage) public pure returns (StageRow row) {
        if (stage >= STAGE_ROWS) revert PolicyStageUnknown(stage);
        row = StageRow.wrap(uint64(_stages(stage / 4) >> (STAGE_BITS * (3 - stage % 4))));
        if (!row.exists()) revert PolicyStageUnknown(stage);
    }

    /// @inheritdoc ICasePolicy
    function transitionOf(uint16 transition) public pure returns (TransitionRow row) {
        row = TransitionRow.wrap(_transition(transition));
        if (!row.exists()) revert PolicyTransitionUnknown(transition);
    }

    /// Word `which`, from 0 to 15, of the table of stages.
    function _stages(uint256 which) internal pure virtual returns (uint256);
    /// Row `code` of the table of transitions; 0 where there is none.
    function _transition(uint256 code) internal pure virtual returns (uint256);
    function _holds() internal pure virtual returns (uint256);
    function _products() internal pure virtual returns (uint256);
    /// All tables, one after the other.
    function _tables() internal pure virtual returns (bytes memory);

    function _requireCodeOrNone(address guard) private view {
        if (guard != address(0) && guard.code.length == 0) revert PolicyGuardInvalid(guard);
    }
}
