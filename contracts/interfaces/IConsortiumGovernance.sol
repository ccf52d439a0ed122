// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What the organisations decide together
/// @notice A proposal is a list of calls. M organisations with a vote approve it, a court and a regulator among them;
/// after the time lock anybody may execute it within 30 days; N − M + 1 objections end it. Every event carries the
/// contract's `sequence`, from 1, without gaps.
interface IConsortiumGovernance {
    struct Approval {
        uint32 organisation;
        uint40 validUntil;
        bytes signature;
    }

    /// EIP-712 type name: Object.
    struct Objection {
        bytes32 proposal;
        uint32 organisation;
        uint40 validUntil;
    }

    /// One slot: executableFrom 0-39, executableUntil 40-79, objections 80-111, state 112-119.
    struct Proposal {
        uint40 executableFrom;
        /// Inclusive.
        uint40 executableUntil;
        uint32 objections;
        /// 0 unknown, 1 scheduled, 2 executed, 3 ended by objections.
        uint8 state;
    }

    event ProposalScheduled(
        uint64 sequence,
        bytes32 indexed proposal,
        address[] targets,
        bytes[] calls,
        bytes32 salt,
        uint32[] organisations,
        uint40 executableFrom,
        uint40 executableUntil
    );
    event ProposalExecuted(uint64 sequence, bytes32 indexed proposal);
    event ProposalObjected(
        uint64 sequence, bytes32 indexed proposal, uint32 indexed organisation, uint32 objections
    );
    event ProposalEnded(uint64 sequence, bytes32 indexed proposal);
    event ThresholdSet(uint64 sequence, uint32 oldThreshold, uint32 newThreshold);

    error GovernanceRegistryInvalid(address registry);
    error GovernanceDelayInvalid(uint40 delay);
    error GovernanceNotItself(address caller);
    error GovernanceProposalMalformed(uint256 targets, uint256 calls);
    error GovernanceTargetWithoutCode(address target);
    error GovernanceProposalKnown(bytes32 proposal, uint8 state);
    error GovernanceProposalNotScheduled(bytes32 proposal, uint8 state);
    error GovernanceApprovalsNotAscending(uint32 previous, uint32 organisation);
    error GovernanceNoVote(uint32 organisation);
    error GovernanceTooFewApprovals(uint256 approvals, uint32 threshold);
    error GovernanceCourtMissing();
    error GovernanceRegulatorMissing();
    error GovernanceTooEarly(uint40 executableFrom, uint40 time);
    error GovernanceTooLate(uint40 executableUntil, uint40 time);
    error GovernanceAlreadyObjected(bytes32 proposal, uint32 organisation);
    error GovernanceCallFailed(uint256 index, bytes reason);
    error GovernanceThresholdInvalid(uint32 threshold, uint32 votes);

    /// @notice Starts the time lock of a proposal. Approvals are in ascending order of organisation.
    function schedule(
        address[] calldata targets,
        bytes[] calldata calls,
        bytes32 salt,
        Approval[] calldata approvals
    )
        external
        returns (bytes32 proposal);

    /// @notice Makes the calls in order, all or none, and checks the votes afterwards.
    function execute(address[] calldata targets, bytes[] calldata calls, bytes32 salt) external;

    /// @notice Counts an organisation's objection to a scheduled proposal; enough of them end it.
    function objectTo(Objection calldata request, bytes calldata signature) external;

    /// @notice Through a proposal alone: sets M.
    function setThreshold(uint32 threshold_) external;

    /// @notice keccak256(abi.encode(block.chainid, address(this), targets, calls, salt))
    function proposalId(
        address[] calldata targets,
        bytes[] calldata calls,
        bytes32 salt
    )
        external
        view
        returns (bytes32);

    function proposalOf(bytes32 proposal) external view returns (Proposal memory);

    function hasObjected(bytes32 proposal, uint32 organisation) external view returns (bool);

    /// @notice M.
    function threshold() external view returns (uint32);

    /// @notice Seconds between scheduling and executing.
    function delay() external view returns (uint40);

    function registry() external view returns (address);

    /// @notice The sequence of the last event.
    function sequence() external view returns (uint64);
}
