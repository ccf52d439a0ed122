// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Append-only logs of evidence
/// @notice Each log is one RFC 9162 tree. `anchor` moves its head forward against a consistency proof from the head
/// that is stored here, so nobody, the operator included, can fork or rewrite it. Every event carries the contract's
/// `sequence`, from 1, without gaps.
interface IEvidenceLog {
    /// Slot 0: size 0-63, closedSize 64-127, batches 128-191, operator 192-223, status 224-231.
    /// Slot 1: rootSha256. Slot 2: successor. Slot 3: predecessor.
    struct Log {
        /// Leaves under the head.
        uint64 size;
        /// Of a closed log: leaves at this index and above are not part of it any more.
        uint64 closedSize;
        uint64 batches;
        /// The organisation that alone anchors.
        uint32 operator;
        /// 0 unknown, 1 open, 2 closed.
        uint8 status;
        bytes32 rootSha256;
        bytes32 successor;
        bytes32 predecessor;
    }

    struct Anchor {
        bytes32 logId;
        uint64 oldSize;
        uint64 newSize;
        bytes32 rootSha256;
        bytes32 rootSm3;
        uint40 validUntil;
    }

    /// What a batch's link commits to, besides chain, contract and tag.
    struct Batch {
        bytes32 logId;
        uint64 number;
        bytes32 previousLink;
        uint64 size;
        bytes32 rootSha256;
        bytes32 rootSm3;
        uint40 time;
    }

    event LogOpened(
        uint64 sequence,
        bytes32 indexed logId,
        uint32 indexed operator,
        bytes32 indexed predecessor,
        string origin
    );
    event LogClosed(
        uint64 sequence, bytes32 indexed logId, bytes32 indexed successor, uint64 headSize, uint64 closedSize
    );
    event Anchored(
        uint64 sequence,
        bytes32 indexed logId,
        uint64 indexed number,
        uint64 oldSize,
        uint64 newSize,
        bytes32 rootSha256,
        bytes32 rootSm3,
        bytes32 link,
        uint40 time,
        address key
    );

    error LogRegistryInvalid(address registry);
    error LogNotGovernance(address caller);
    error LogOriginInvalid(uint256 length, uint256 position);
    error LogExists(bytes32 logId);
    error LogUnknown(bytes32 logId);
    error LogIsClosed(bytes32 logId, uint64 closedSize);
    error LogOperatorInvalid(uint32 operator);
    error LogPredecessorInvalid(bytes32 predecessor, uint8 status);
    error LogSuccessorInvalid(bytes32 successor, bytes32 itsPredecessor);
    error LogClosedSizeInvalid(uint64 closedSize, uint64 headSize);
    error LogOldSizeMismatch(uint64 given, uint64 headSize);
    error LogNoGrowth(uint64 oldSize, uint64 newSize);
    error LogGrowthTooLarge(uint64 growth, uint64 maximum);
    error LogFirstProofNotEmpty(uint256 length);
    error LogLinkMismatch(bytes32 computed, bytes32 stored);
    error LogLeafBeyondClosedSize(uint64 leafIndex, uint64 closedSize);

    /// @notice Governed. Opens the log of `origin` (a C2SP checkpoint origin, 1 to 128 bytes of printable ASCII
    /// without space or plus sign). `predecessor` is an open log that this one will succeed, or 0.
    function openLog(
        string calldata origin,
        uint32 operator,
        bytes32 predecessor
    )
        external
        returns (bytes32 logId);

    /// @notice Governed. Ends a log at `size` leaves, at most its head. `successor` is an open log that names this
    /// one as its predecessor, or 0. The head and every link stay as they are.
    function closeLog(bytes32 logId, uint64 size, bytes32 successor) external;

    /// @notice Moves a log's head. The first anchor, from size 0, has an empty proof.
    /// @param consistencyProof RFC 9162 section 2.1.4, at most 63 hashes
    /// @param signature by an anchor key of the log's operator
    function anchor(
        Anchor calldata request,
        bytes32[] calldata consistencyProof,
        bytes calldata signature
    )
        external
        returns (uint64 number, bytes32 batchLink);

    function head(bytes32 logId) external view returns (Log memory);

    /// @notice The link of batch `number`, from 1; 0 if there is none.
    function link(bytes32 logId, uint64 number) external view returns (bytes32);

    /// @notice Reverts unless `leafHash` is leaf `leafIndex` of the anchored batch's tree and belongs to the log.
    function verifyInclusion(
        Batch calldata batch,
        bytes32 leafHash,
        uint64 leafIndex,
        bytes32[] calldata proof
    )
        external
        view;

    /// @notice keccak256(abi.encode(LINK_TAG, block.chainid, address(this), batch))
    function linkOf(Batch calldata batch) external view returns (bytes32);

    function registry() external view returns (address);

    function governance() external view returns (address);

    /// @notice The sequence of the last event.
    function sequence() external view returns (uint64);
}
