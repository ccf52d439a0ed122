// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Batches of imported cases, by one Merkle root each
/// @notice The chain learns of a case when it first moves, with its inclusion proof. Every event carries the
/// contract's `sequence`, from 1, without gaps. docs/spec/case.md section 1.
interface ICaseBatches {
    /// Slot 0: owner 0-31, count 32-63, time 64-103, policy 104-119, recalled 120-127.
    struct Batch {
        uint32 owner;
        uint32 count;
        uint40 time;
        uint16 policy;
        bool recalled;
    }

    struct Import {
        uint32 organisation;
        /// RFC 9162 root over the case leaves; docs/spec/case.md section 1.
        bytes32 root;
        uint32 count;
        /// Digest of the validation rules and the triage table that the rows went through.
        bytes32 rules;
        /// Salted commitment to the batch's sums.
        bytes32 totals;
        uint40 validUntil;
    }

    struct Recall {
        uint32 organisation;
        bytes32 root;
        uint40 validUntil;
    }

    /// Where a case that has not come to life yet is in its batch; empty root for one that has.
    struct Origin {
        bytes32 root;
        uint64 index;
        uint8 product;
        bytes32 commitment;
        bytes32[] path;
    }

    event BatchImported(
        uint64 sequence,
        bytes32 indexed root,
        uint32 indexed organisation,
        uint32 count,
        uint16 policy,
        bytes32 rules,
        bytes32 totals
    );
    event BatchRecalled(uint64 sequence, bytes32 indexed root, uint32 indexed organisation);
    error BatchRegistryInvalid(address registry);
    error BatchLedgerInvalid(address ledger);
    error BatchNoPolicy();
    error BatchInvalid(bytes32 root, uint32 count);
    error BatchKnown(bytes32 root);
    error BatchUnknown(bytes32 root);
    error BatchIsRecalled(bytes32 root);
    error BatchHasMoved(bytes32 root, uint32 moved);
    error BatchRecallTooLate(uint40 until, uint40 time);
    error BatchNotOwner(uint32 organisation, uint32 owner);
    error BatchProductNotAllowed(uint8 product, uint32 owner);

    /// @notice Takes a batch. `signature` is by an act key of the owner.
    function importBatch(Import calldata request, bytes calldata signature) external;

    /// @notice Takes a batch back within 24 hours, as long as no case of it has moved.
    function recallBatch(Recall calldata request, bytes calldata signature) external;

    /// @notice The batch of a case that has not come to life. Reverts unless the case is in it, the batch stands and
    /// its policy has the product.
    function batchWith(bytes32 caseId, Origin calldata origin) external view returns (Batch memory);

    function batchOf(bytes32 root) external view returns (Batch memory);

    function ledger() external view returns (address);

    function registry() external view returns (address);

    function sequence() external view returns (uint64);
}
