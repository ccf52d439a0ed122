// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IConsortiumGovernance } from "../interfaces/IConsortiumGovernance.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { Ids } from "../libraries/Ids.sol";

/// @title Governance by M of N organisations, a court and a regulator among them, behind a time lock
contract ConsortiumGovernance is EIP712, IConsortiumGovernance {
    uint8 private constant SCHEDULED = 1;
    uint8 private constant EXECUTED = 2;
    uint8 private constant ENDED = 3;
    uint40 private constant GRACE = 30 days;
    uint40 private constant LONGEST_DELAY = 30 days;
    uint256 private constant MOST_CALLS = 32;
    bytes32 private constant APPROVE =
        keccak256("Approve(bytes32 proposal,uint32 organisation,uint40 validUntil)");
    bytes32 private constant OBJECT =
        keccak256("Object(bytes32 proposal,uint32 organisation,uint40 validUntil)");

    IConsortiumRegistry private immutable _registry;
    /// @inheritdoc IConsortiumGovernance
    uint40 public immutable delay;

    mapping(bytes32 id => Proposal proposal) private _proposals;
    mapping(bytes32 id => mapping(uint32 organisation => bool objected)) private _objected;
    /// Slot 4: _threshold 0-31, _sequence 32-95.
    uint32 private _threshold;
    uint64 private _sequence;

    /// @param registry_ whose governance is this contract's address
    constructor(address registry_, uint40 delay_, uint32 threshold_) EIP712("caseledger", "1") {
        if (registry_.code.length == 0 || IConsortiumRegistry(registry_).governance() != address(this)) {
            revert GovernanceRegistryInvalid(registry_);
        }
        if (delay_ == 0 || delay_ > LONGEST_DELAY) revert GovernanceDelayInvalid(delay_);
        _registry = IConsortiumRegistry(registry_);
        delay = delay_;
        _setThreshold(threshold_);
        _requireMajority(IConsortiumRegistry(registry_).requireSoundVotes().votes);
    }

    /// @inheritdoc IConsortiumGovernance
    function schedule(
        address[] calldata targets,
        bytes[] calldata calls,
        bytes32 salt,
        Approval[] calldata approvals
    )
        external
        returns (bytes32 id)
    {
        if (targets.length == 0 || targets.length > MOST_CALLS || targets.length != calls.length) {
            revert GovernanceProposalMalformed(targets.length, calls.length);
        }
        id = proposalId(targets, calls, salt);
        Proposal storage proposal = _proposals[id];
        if (proposal.state != 0) revert GovernanceProposalKnown(id, proposal.state);
        uint32[] memory organisations = _requireApprovals(id, approvals);
        proposal.state = SCHEDULED;
        proposal.executableFrom = _now() + delay;
        proposal.executableUntil = proposal.executableFrom + GRACE;
        emit ProposalScheduled(
            ++_sequence,
            id,
            targets,
            calls,
            salt,
            organisations,
            proposal.executableFrom,
            proposal.executableUntil
        );
    }

    /// @inheritdoc IConsortiumGovernance
    function execute(address[] calldata targets, bytes[] calldata calls, bytes32 salt) external {
        bytes32 id = proposalId(targets, calls, salt);
        Proposal storage proposal = _requireScheduled(id);
        if (_now() < proposal.executableFrom) revert GovernanceTooEarly(proposal.executableFrom, _now());
        proposal.state = EXECUTED;
        emit ProposalExecuted(++_sequence, id);
        for (uint256 i = 0; i < targets.length; ++i) {
            _call(i, targets[i], calls[i]);
        }
        _requireMajority(_registry.requireSoundVotes().votes);
    }

    /// @inheritdoc IConsortiumGovernance
    function objectTo(Objection calldata request, bytes calldata signature) external {
        Acts.requireInTime(request.validUntil);
        Proposal storage proposal = _requireScheduled(request.proposal);
        _requireVoter(
            request.organisation,
            Acts.signer(_hashTypedDataV4(keccak256(abi.encode(OBJECT, request))), signature)
        );
        if (_objected[request.proposal][request.organisation]) {
            revert GovernanceAlreadyObjected(request.proposal, request.organisation);
        }
        _objected[request.proposal][request.organisation] = true;
        proposal.objections += 1;
        emit ProposalObjected(++_sequence, request.proposal, request.organisation, proposal.objections);
        // N - M + 1 objections: those who are left cannot be M any more.
        if (uint256(proposal.objections) + _threshold > _registry.voteShares().votes) {
            proposal.state = ENDED;
            emit ProposalEnded(++_sequence, request.proposal);
        }
    }

    /// @inheritdoc IConsortiumGovernance
    function setThreshold(uint32 threshold_) external {
        if (msg.sender != address(this)) revert GovernanceNotItself(msg.sender);
        _setThreshold(threshold_);
    }

    /// @inheritdoc IConsortiumGovernance
    function proposalId(
        address[] calldata targets,
        bytes[] calldata calls,
        bytes32 salt
    )
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), targets, calls, salt));
    }

    /// @inheritdoc IConsortiumGovernance
    function proposalOf(bytes32 id) external view returns (Proposal memory) {
        return _proposals[id];
    }

    /// @inheritdoc IConsortiumGovernance
    function hasObjected(bytes32 id, uint32 organisation) external view returns (bool) {
        return _objected[id][organisation];
    }

    /// @inheritdoc IConsortiumGovernance
    function threshold() external view returns (uint32) {
        return _threshold;
    }

    /// @inheritdoc IConsortiumGovernance
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IConsortiumGovernance
    function sequence() external view returns (uint64) {
        return _sequence;
    }

    function _call(uint256 index, address target, bytes calldata data) private {
        if (target.code.length == 0) revert GovernanceTargetWithoutCode(target);
        // A proposal is a list of calls that the organisations signed; each goes exactly where they said.
        (bool success, bytes memory reason) = target.call(data);
        if (!success) revert GovernanceCallFailed(index, reason);
    }

    function _setThreshold(uint32 threshold_) private {
        emit ThresholdSet(++_sequence, _threshold, threshold_);
        _threshold = threshold_;
    }

    function _requireApprovals(
        bytes32 id,
        Approval[] calldata approvals
    )
        private
        view
        returns (uint32[] memory organisations)
    {
        organisations = new uint32[](approvals.length);
        uint32 previous = 0;
        uint32 roles = 0;
        for (uint256 i = 0; i < approvals.length; ++i) {
            Approval calldata approval = approvals[i];
            uint32 organisation = approval.organisation;
            // Strictly ascending, so that no organisation counts twice.
            if (organisation <= previous) revert GovernanceApprovalsNotAscending(previous, organisation);
            previous = organisation;
            Acts.requireInTime(approval.validUntil);
            bytes32 structHash = keccak256(abi.encode(APPROVE, id, organisation, approval.validUntil));
            roles |= _requireVoter(
                organisation, Acts.signer(_hashTypedDataV4(structHash), approval.signature)
            );
            organisations[i] = organisation;
        }
        if (approvals.length < _threshold) revert GovernanceTooFewApprovals(approvals.length, _threshold);
        if (roles & Ids.ROLE_COURT == 0) revert GovernanceCourtMissing();
        if (roles & Ids.ROLE_REGULATOR == 0) revert GovernanceRegulatorMissing();
    }

    /// A suspended organisation keeps its voice here.
    function _requireVoter(uint32 organisation, address key) private view returns (uint32 roles) {
        _registry.requireSigner(key, organisation, Ids.PURPOSE_ACT);
        IConsortiumRegistry.Organisation memory org = _registry.organisation(organisation);
        if (!org.vote) revert GovernanceNoVote(organisation);
        return org.roles;
    }

    function _requireScheduled(bytes32 id) private view returns (Proposal storage proposal) {
        proposal = _proposals[id];
        if (proposal.state != SCHEDULED) revert GovernanceProposalNotScheduled(id, proposal.state);
        if (_now() > proposal.executableUntil) revert GovernanceTooLate(proposal.executableUntil, _now());
    }

    function _requireMajority(uint32 votes) private view {
        if (uint256(_threshold) * 2 <= votes || _threshold > votes) {
            revert GovernanceThresholdInvalid(_threshold, votes);
        }
    }

    function _now() private view returns (uint40) {
        return uint40(block.timestamp);
    }
}
