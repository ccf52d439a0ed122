// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../interfaces/IEvidenceLog.sol";
import { Acts } from "../libraries/Acts.sol";
import { Ids } from "../libraries/Ids.sol";
import { LogState, LogStates } from "../libraries/LogState.sol";
import { MerkleLog } from "../libraries/MerkleLog.sol";

/// @title Append-only logs of evidence
/// @dev Slots 0 and 1 belong to EIP712. Slots 2 and 3 are LOGS_SLOT and LINKS_SLOT of docs/spec/chain-state.md.
contract EvidenceLog is EIP712, IEvidenceLog {
    /// Slot 0: LogState. Slot 1: rootSha256. Slot 2: successor. Slot 3: predecessor.
    struct Stored {
        LogState state;
        bytes32 rootSha256;
        bytes32 successor;
        bytes32 predecessor;
    }

    uint64 private constant MOST_GROWTH = 1 << 20;
    uint256 private constant LONGEST_ORIGIN = 128;
    bytes32 private constant LINK_TAG = keccak256("caseledger/batch-link/v1");
    bytes32 private constant ANCHOR = keccak256(
        "Anchor(bytes32 logId,uint64 oldSize,uint64 newSize,bytes32 rootSha256,bytes32 rootSm3,uint40 validUntil)"
    );

    IConsortiumRegistry private immutable _registry;
    /// @inheritdoc IEvidenceLog
    address public immutable governance;

    mapping(bytes32 logId => Stored log) private _logs;
    mapping(bytes32 logId => mapping(uint64 number => bytes32 link)) private _links;
    uint64 private _sequence;

    modifier onlyGovernance() {
        if (msg.sender != governance) revert LogNotGovernance(msg.sender);
        _;
    }

    constructor(address registry_) EIP712("caseledger", "1") {
        if (registry_.code.length == 0) revert LogRegistryInvalid(registry_);
        _registry = IConsortiumRegistry(registry_);
        governance = IConsortiumRegistry(registry_).governance();
    }

    /// @inheritdoc IEvidenceLog
    function openLog(
        string calldata origin,
        uint32 operator,
        bytes32 predecessor
    )
        external
        onlyGovernance
        returns (bytes32 logId)
    {
        _requireOrigin(bytes(origin));
        logId = keccak256(bytes(origin));
        Stored storage log = _logs[logId];
        if (log.state.status() != 0) revert LogExists(logId);
        if (_registry.organisation(operator).status != 1) revert LogOperatorInvalid(operator);
        if (predecessor != 0 && _logs[predecessor].state.status() != LogStates.OPEN) {
            revert LogPredecessorInvalid(predecessor, _logs[predecessor].state.status());
        }
        log.state = LogStates.opened(operator);
        log.predecessor = predecessor;
        emit LogOpened(++_sequence, logId, operator, predecessor, origin);
    }

    /// @inheritdoc IEvidenceLog
    function closeLog(bytes32 logId, uint64 size, bytes32 successor) external onlyGovernance {
        Stored storage log = _logs[logId];
        LogState state = log.state;
        _requireOpen(logId, state);
        if (size > state.size()) revert LogClosedSizeInvalid(size, state.size());
        if (successor != 0) {
            Stored storage next = _logs[successor];
            if (next.state.status() != LogStates.OPEN || next.predecessor != logId) {
                revert LogSuccessorInvalid(successor, next.predecessor);
            }
        }
        log.state = state.closed(size);
        log.successor = successor;
        emit LogClosed(++_sequence, logId, successor, state.size(), size);
    }

    /// @inheritdoc IEvidenceLog
    function anchor(
        Anchor calldata request,
        bytes32[] calldata consistencyProof,
        bytes calldata signature
    )
        external
        returns (uint64 number, bytes32 batchLink)
    {
        Acts.requireInTime(request.validUntil);
        Stored storage log = _logs[request.logId];
        LogState state = log.state;
        _requireOpen(request.logId, state);
        _requireExtension(log, state.size(), request, consistencyProof);
        address key = Acts.signer(_hashTypedDataV4(keccak256(abi.encode(ANCHOR, request))), signature);
        _registry.requireWriter(key, state.operator(), Ids.PURPOSE_ANCHOR);

        log.rootSha256 = request.rootSha256;
        number = state.batches() + 1;
        log.state = state.grown(request.newSize, number);
        batchLink = _writeLink(number, request);
        _report(number, batchLink, key, request);
    }

    /// @inheritdoc IEvidenceLog
    function head(bytes32 logId) external view returns (Log memory) {
        Stored storage log = _logs[logId];
        LogState state = log.state;
        return Log({
            size: state.size(),
            closedSize: state.closedSize(),
            batches: state.batches(),
            operator: state.operator(),
            status: state.status(),
            rootSha256: log.rootSha256,
            successor: log.successor,
            predecessor: log.predecessor
        });
    }

    /// @inheritdoc IEvidenceLog
    function link(bytes32 logId, uint64 number) external view returns (bytes32) {
        return _links[logId][number];
    }

    /// @inheritdoc IEvidenceLog
    function verifyInclusion(
        Batch calldata batch,
        bytes32 leafHash,
        uint64 leafIndex,
        bytes32[] calldata proof
    )
        external
        view
    {
        LogState state = _logs[batch.logId].state;
        if (state.status() == 0) revert LogUnknown(batch.logId);
        bytes32 computed = linkOf(batch);
        bytes32 stored = _links[batch.logId][batch.number];
        if (computed != stored) revert LogLinkMismatch(computed, stored);
        if (state.status() == LogStates.CLOSED && leafIndex >= state.closedSize()) {
            revert LogLeafBeyondClosedSize(leafIndex, state.closedSize());
        }
        MerkleLog.requireIncluded(leafIndex, batch.size, leafHash, batch.rootSha256, proof);
    }

    /// @inheritdoc IEvidenceLog
    function linkOf(Batch memory batch) public view returns (bytes32) {
        return keccak256(abi.encode(LINK_TAG, block.chainid, address(this), batch));
    }

    /// @inheritdoc IEvidenceLog
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IEvidenceLog
    function sequence() external view returns (uint64) {
        return _sequence;
    }

    /// Writes the link of a batch, once: `number` only grows.
    function _writeLink(uint64 number, Anchor calldata request) private returns (bytes32 batchLink) {
        mapping(uint64 number => bytes32 link) storage links = _links[request.logId];
        batchLink = keccak256(
            abi.encode(
                LINK_TAG,
                block.chainid,
                address(this),
                request.logId,
                number,
                links[number - 1],
                request.newSize,
                request.rootSha256,
                request.rootSm3,
                block.timestamp
            )
        );
        links[number] = batchLink;
    }

    function _report(uint64 number, bytes32 batchLink, address key, Anchor calldata request) private {
        emit Anchored(
            ++_sequence,
            request.logId,
            number,
            request.oldSize,
            request.newSize,
            request.rootSha256,
            request.rootSm3,
            batchLink,
            uint40(block.timestamp),
            key
        );
    }

    function _requireOpen(bytes32 logId, LogState state) private pure {
        if (state.status() == LogStates.CLOSED) revert LogIsClosed(logId, state.closedSize());
        if (state.status() != LogStates.OPEN) revert LogUnknown(logId);
    }

    /// The new head extends the stored one, of `size` leaves.
    function _requireExtension(
        Stored storage log,
        uint64 size,
        Anchor calldata request,
        bytes32[] calldata proof
    )
        private
        view
    {
        uint64 newSize = request.newSize;
        if (request.oldSize != size) revert LogOldSizeMismatch(request.oldSize, size);
        if (newSize <= size) revert LogNoGrowth(size, newSize);
        if (newSize - size > MOST_GROWTH) revert LogGrowthTooLarge(newSize - size, MOST_GROWTH);
        if (size == 0) {
            if (proof.length != 0) revert LogFirstProofNotEmpty(proof.length);
        } else {
            MerkleLog.requireConsistent(size, log.rootSha256, newSize, request.rootSha256, proof);
        }
    }

    function _requireOrigin(bytes calldata origin) private pure {
        uint256 length = origin.length;
        if (length == 0 || length > LONGEST_ORIGIN) revert LogOriginInvalid(length, 0);
        for (uint256 i = 0; i < length; ++i) {
            bytes1 character = origin[i];
            if (character <= 0x20 || character >= 0x7f || character == "+") {
                revert LogOriginInvalid(length, i);
            }
        }
    }
}
