// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ICaseBatches } from "./ICaseBatches.sol";

/// @title Where every case stands, since when, until when, and by whose act
/// @notice Cases come in batches, by one Merkle root each; a case comes to life with its first act. Every change is
/// an organisation's signed act that names the version it changes, or a lapse that the law names. Deadlines are
/// computed here; no act carries one. Nobody has a right over stages but the roles that the case's policy names.
/// Every event carries the contract's `sequence`, from 1, without gaps. docs/spec/case.md.
interface ICaseLedger {
    /// Slot 0: version 0-31, stage 32-39, product 40-47, owner 48-79, policy 80-95, since 96-135, deadline 136-175,
    /// court 176-207, clockId 208-223, extension 224-239, openHolds 240-247, flags 248-255.
    /// Slot 1: clockStart 0-39, clock 40-71, lastOrganisation 72-103, previousStage 104-111, previousClockStart 112-151,
    /// previousClock 152-183, previousClockId 184-199, previousCourt 200-231, previousExtension 232-247.
    /// Slot 2: commitment.
    struct Case {
        /// The number of changes so far; an act names it. 0: the case has not come to life.
        uint32 version;
        uint8 stage;
        uint8 product;
        uint32 owner;
        uint16 policy;
        /// When the stage was entered.
        uint40 since;
        /// The last second of the stage's clock; 0 for none or while the case is paused.
        uint40 deadline;
        /// The court that the case belongs to; 0 for none.
        uint32 court;
        /// Which list of holds belongs to the running clock.
        uint16 clockId;
        /// The transition that prolonged the clock; 0 for none.
        uint16 extension;
        uint8 openHolds;
        /// 0 marked overdue, 1 the last step can be reversed, 2 the last step was an extension, 3 the deadline is
        /// provisional: the calendar does not cover its year yet, so it may move to a later working day.
        uint8 flags;
        uint40 clockStart;
        uint32 clock;
        uint32 lastOrganisation;
        uint8 previousStage;
        uint40 previousClockStart;
        uint32 previousClock;
        uint16 previousClockId;
        uint32 previousCourt;
        uint16 previousExtension;
        /// Salted commitment to the row of the import.
        bytes32 commitment;
    }

    /// A pause. `kind` 0 is the time between a step and its reversal.
    struct HoldRecord {
        uint8 kind;
        uint40 from;
        /// 0 while open.
        uint40 until;
        uint32 organisation;
    }

    struct Move {
        bytes32 caseId;
        uint32 version;
        uint16 transition;
        uint32 organisation;
        /// Another organisation that signs as well; 0 where none does.
        uint32 coOrganisation;
        uint16 reason;
        /// keccak256 over the evidence ids, one after the other; 0 where none is needed.
        bytes32 evidence;
        /// Id of the statement of fact; 0 where none is needed.
        bytes32 statement;
        /// Salted commitment to whatever else belongs to the act.
        bytes32 note;
        uint40 validUntil;
    }

    struct Pause {
        bytes32 caseId;
        uint32 version;
        uint32 organisation;
        uint8 kind;
        /// Salted commitment to the grounds.
        bytes32 basis;
        uint40 validUntil;
    }

    struct Resume {
        bytes32 caseId;
        uint32 version;
        uint32 organisation;
        uint8 kind;
        bytes32 basis;
        uint40 validUntil;
    }

    struct Reverse {
        bytes32 caseId;
        uint32 version;
        uint32 organisation;
        uint32 coOrganisation;
        bytes32 note;
        uint40 validUntil;
    }

    event PolicyActivated(
        uint64 sequence, uint16 indexed version, address policy, bytes32 tableHash, bool testClock
    );
    event CaseOpened(
        uint64 sequence,
        bytes32 indexed caseId,
        bytes32 indexed root,
        uint32 indexed owner,
        uint64 index,
        uint8 product,
        uint16 policy,
        bytes32 commitment,
        uint40 deadline
    );
    event CaseMoved(
        uint64 sequence,
        bytes32 indexed caseId,
        uint16 indexed transition,
        uint32 indexed organisation,
        uint32 coOrganisation,
        uint32 version,
        uint8 from,
        uint8 to,
        uint16 reason,
        bytes32 evidence,
        bytes32 statement,
        bytes32 note,
        uint40 deadline
    );
    event CasePaused(
        uint64 sequence,
        bytes32 indexed caseId,
        uint8 indexed kind,
        uint32 indexed organisation,
        uint32 version,
        bytes32 basis
    );
    event CaseResumed(
        uint64 sequence,
        bytes32 indexed caseId,
        uint8 indexed kind,
        uint32 indexed organisation,
        uint32 version,
        bytes32 basis,
        uint40 deadline
    );
    event CaseReversed(
        uint64 sequence,
        bytes32 indexed caseId,
        uint32 indexed organisation,
        uint32 indexed coOrganisation,
        uint32 version,
        uint8 from,
        uint8 to,
        bytes32 note,
        uint40 deadline
    );
    event CaseOverdue(
        uint64 sequence, bytes32 indexed caseId, uint8 indexed stage, uint32 version, uint40 deadline
    );

    error CaseRegistryInvalid(address registry);
    error CaseNotGovernance(address caller);
    error CaseBatchesInvalid(address batches);
    error CasePolicyInvalid(address policy);
    error CaseUnknown(bytes32 caseId);
    error CaseKnown(bytes32 caseId);
    error CaseVersionStale(uint32 given, uint32 current);
    error CaseTransitionIllegal(uint8 stage, uint16 transition);
    error CaseNotALapse(uint16 transition);
    error CaseNotAnAct(uint16 transition);
    error CaseTooEarly(uint40 deadline, uint40 time);
    error CaseTooLate(uint40 deadline, uint40 time);
    error CaseOnHold(uint8 openHolds);
    error CaseRoleMissing(uint32 organisation, uint16 allowed);
    error CaseOtherCourt(uint32 organisation, uint32 court);
    error CaseCourtOnly(uint32 organisation, uint8 stage);
    error CaseCoSignerInvalid(uint32 organisation, uint32 coOrganisation);
    error CaseReasonInvalid(uint16 reason);
    error CaseEvidenceDiffers(bytes32 computed, bytes32 signed);
    error CaseHoldNotAllowed(uint8 stage, uint8 kind);
    error CaseHoldOpen(uint8 kind);
    error CaseHoldNotOpen(uint8 kind);
    error CaseTooManyHolds(uint256 count);
    error CaseAlreadyExtended(uint16 extension);
    error CaseNotReversible(bytes32 caseId);
    error CaseNotOriginator(uint32 organisation, uint32 originator);
    error CaseNotOverdue(uint40 deadline, uint40 time);
    error CaseIsMarked(bytes32 caseId);

    /// @notice Governed. The version that batches imported from now on begin with.
    function activatePolicy(address policy) external returns (uint16 version);

    /// @notice A step by an organisation, or by two.
    /// @param proof the evidence that the step needs, for the policy's evidence guard; empty where none is needed
    function move(
        Move calldata request,
        ICaseBatches.Origin calldata origin,
        bytes calldata proof,
        bytes calldata signature,
        bytes calldata coSignature
    )
        external;

    /// @notice A step that time alone makes. Anybody may call.
    function lapse(bytes32 caseId, uint32 version, uint16 transition) external;

    /// @notice Stops the clock.
    function pause(
        Pause calldata request,
        ICaseBatches.Origin calldata origin,
        bytes calldata signature
    )
        external;

    /// @notice Lets the clock run again.
    function resume(Resume calldata request, bytes calldata signature) external;

    /// @notice Takes the last step back: by its originator and another organisation. Nothing is deleted; the stage
    /// before is entered again, and the time in between does not count.
    function reverse(Reverse calldata request, bytes calldata signature, bytes calldata coSignature) external;

    /// @notice Records that a deadline has passed, once for each deadline. Anybody may call.
    function markOverdue(bytes32 caseId, ICaseBatches.Origin calldata origin) external;

    function caseOf(bytes32 caseId) external view returns (Case memory);

    /// @notice The pauses of the running clock.
    function holdsOf(bytes32 caseId) external view returns (HoldRecord[] memory);

    /// @notice The deadline as the calendar has it now, and whether it may still move; 0 for none or while paused.
    function deadlineOf(bytes32 caseId) external view returns (uint40 deadline, bool provisional);

    /// @notice The same; reverts with CalendarYearUnknown where it may still move.
    function exactDeadlineOf(bytes32 caseId) external view returns (uint40);

    function isOverdue(bytes32 caseId) external view returns (bool);

    function batches() external view returns (address);

    /// @notice How many cases of a batch have come to life.
    function movedOf(bytes32 root) external view returns (uint32);

    function policyOf(uint16 version) external view returns (address);

    /// @notice The newest version; 0 while there is none.
    function latestPolicy() external view returns (uint16);

    function registry() external view returns (address);

    function governance() external view returns (address);

    function sequence() external view returns (uint64);
}
