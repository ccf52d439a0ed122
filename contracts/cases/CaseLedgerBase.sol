// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { ICaseBatches } from "../interfaces/ICaseBatches.sol";
import { ICaseLedger } from "../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../interfaces/ICasePolicy.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { Ids } from "../libraries/Ids.sol";

/// @title Policies, and cases that come to life
/// @dev Slots 0 and 1 belong to EIP712.
abstract contract CaseLedgerBase is EIP712, ICaseLedger {
    uint8 internal constant FIRST_STAGE = 1;
    uint16 internal constant OWNER = 1 << 15;
    uint32 internal constant COURT_ROLES = (1 << 5) | (1 << 6);
    uint8 internal constant MARKED_OVERDUE = 1 << 0;
    uint8 internal constant REVERSIBLE = 1 << 1;
    uint8 internal constant WAS_EXTENSION = 1 << 2;
    uint8 internal constant PROVISIONAL = 1 << 3;

    IConsortiumRegistry internal immutable _registry;
    /// @inheritdoc ICaseLedger
    address public immutable governance;
    /// @inheritdoc ICaseLedger
    address public immutable batches;

    mapping(bytes32 caseId => Case state) internal _cases;
    mapping(bytes32 caseId => mapping(uint16 clockId => HoldRecord[] records)) internal _holds;
    mapping(uint16 version => address policy) private _policies;
    /// @inheritdoc ICaseLedger
    mapping(bytes32 root => uint32 count) public movedOf;
    /// Slot 6: _latest 0-15, _sequence 16-79.
    uint16 private _latest;
    uint64 private _sequence;

    constructor(address registry_, address batches_) EIP712("caseledger", "1") {
        if (registry_.code.length == 0) revert CaseRegistryInvalid(registry_);
        if (batches_.code.length == 0 || ICaseBatches(batches_).ledger() != address(this)) {
            revert CaseBatchesInvalid(batches_);
        }
        _registry = IConsortiumRegistry(registry_);
        governance = IConsortiumRegistry(registry_).governance();
        batches = batches_;
    }

    /// @inheritdoc ICaseLedger
    function activatePolicy(address policy) external returns (uint16 version) {
        if (msg.sender != governance) revert CaseNotGovernance(msg.sender);
        if (policy.code.length == 0) revert CasePolicyInvalid(policy);
        version = ++_latest;
        _policies[version] = policy;
        emit PolicyActivated(
            _nextSequence(), version, policy, ICasePolicy(policy).tableHash(), ICasePolicy(policy).testClock()
        );
    }

    /// @inheritdoc ICaseLedger
    function caseOf(bytes32 caseId) external view returns (Case memory) {
        return _cases[caseId];
    }

    /// @inheritdoc ICaseLedger
    function policyOf(uint16 version) external view returns (address) {
        return _policies[version];
    }

    /// @inheritdoc ICaseLedger
    function latestPolicy() external view returns (uint16) {
        return _latest;
    }

    /// @inheritdoc ICaseLedger
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc ICaseLedger
    function sequence() external view returns (uint64) {
        return _sequence;
    }

    /// Sets the deadline of the running clock from scratch.
    function _settleDeadline(bytes32 caseId, Case storage state) internal virtual;

    /// The case, brought to life from its batch where an origin is given.
    function _requireCase(
        bytes32 caseId,
        ICaseBatches.Origin calldata origin
    )
        internal
        returns (Case storage state)
    {
        if (origin.root == 0) return _requireAlive(caseId);
        state = _cases[caseId];
        if (state.version != 0) revert CaseKnown(caseId);
        ICaseBatches.Batch memory batch = ICaseBatches(batches).batchWith(caseId, origin);
        movedOf[origin.root] += 1;
        state.version = 1;
        state.stage = FIRST_STAGE;
        state.product = origin.product;
        state.owner = batch.owner;
        state.policy = batch.policy;
        state.since = batch.time;
        state.clockId = 1;
        state.clockStart = batch.time;
        state.clock = _policy(state).stageOf(FIRST_STAGE).clock();
        state.commitment = origin.commitment;
        _settleDeadline(caseId, state);
        _reportOpened(caseId, state, origin);
    }

    function _requireAlive(bytes32 caseId) internal view returns (Case storage state) {
        state = _cases[caseId];
        if (state.version == 0) revert CaseUnknown(caseId);
    }

    function _policy(Case storage state) internal view returns (ICasePolicy) {
        return ICasePolicy(_policies[state.policy]);
    }

    /// The signature is by an act key of an organisation that may write now.
    function _requireSigner(
        bytes32 structHash,
        uint32 organisation,
        bytes calldata signature
    )
        internal
        view
        virtual
    {
        address key = Acts.signer(_hashTypedDataV4(structHash), signature);
        _registry.requireWriter(key, organisation, Ids.PURPOSE_ACT);
    }

    /// The organisation has one of the roles, or is the case's owner where the set names it.
    function _requireRole(Case storage state, uint32 organisation, uint16 allowed) internal view virtual {
        if (allowed & OWNER != 0 && organisation == state.owner) return;
        if (_rolesOf(organisation) & (allowed & ~OWNER) == 0) revert CaseRoleMissing(organisation, allowed);
    }

    function _rolesOf(uint32 organisation) internal view returns (uint32) {
        return _registry.organisation(organisation).roles;
    }

    function _nextSequence() internal returns (uint64) {
        return ++_sequence;
    }

    function _now() internal view returns (uint40) {
        return uint40(block.timestamp);
    }

    function _reportOpened(bytes32 caseId, Case storage state, ICaseBatches.Origin calldata origin) private {
        emit CaseOpened(
            _nextSequence(),
            caseId,
            origin.root,
            state.owner,
            origin.index,
            state.product,
            state.policy,
            state.commitment,
            state.deadline
        );
    }
}
