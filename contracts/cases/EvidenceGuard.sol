// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IEvidenceGuard } from "../interfaces/ICaseGuards.sol";
import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../interfaces/IEvidenceLog.sol";

/// @title The guard that reads entries of the EvidenceLog
contract EvidenceGuard is IEvidenceGuard {
    uint256 private constant LEAF_LENGTH = 112;
    uint256 private constant CLASSES = 16;
    uint16 private constant OWNER = 1 << 15;

    IEvidenceLog private immutable _log;
    IConsortiumRegistry private immutable _registry;

    constructor(address log_) {
        if (log_.code.length == 0) revert EvidenceGuardLogInvalid(log_);
        _log = IEvidenceLog(log_);
        _registry = IConsortiumRegistry(IEvidenceLog(log_).registry());
    }

    /// @inheritdoc IEvidenceGuard
    function requireEvidence(
        bytes32 caseId,
        uint32 owner,
        uint64 needs,
        bytes calldata proof
    )
        external
        view
        returns (bytes32 evidence)
    {
        uint256 count = needs == 0 ? 0 : uint32(needs) == 0 ? 1 : 2;
        if (count == 0) {
            if (proof.length != 0) revert EvidenceCountWrong(proof.length, 0);
            return 0;
        }
        Entry[] memory entries = _decoded(proof);
        if (entries.length != count) revert EvidenceCountWrong(entries.length, count);
        bytes32 commitment = sha256(bytes.concat("caseledger/case/v1", caseId));
        bytes memory ids = "";
        for (uint256 i = 0; i < count; ++i) {
            uint32 need = uint32(i == 0 ? needs >> 32 : needs);
            ids = bytes.concat(ids, _requireEntry(commitment, owner, need, entries[i]));
        }
        return keccak256(ids);
    }

    /// @inheritdoc IEvidenceGuard
    function decode(bytes calldata proof) external pure returns (Entry[] memory) {
        return abi.decode(proof, (Entry[]));
    }

    /// By a call to itself, so that bytes that are no entries get an error of their own.
    function _decoded(bytes calldata proof) private view returns (Entry[] memory) {
        if (proof.length == 0) return new Entry[](0);
        try this.decode(proof) returns (Entry[] memory entries) {
            return entries;
        } catch {
            revert EvidenceProofMalformed(proof.length);
        }
    }

    function _requireEntry(
        bytes32 expected,
        uint32 owner,
        uint32 need,
        Entry memory entry
    )
        private
        view
        returns (bytes32 evidenceId)
    {
        bytes memory leaf = entry.leaf;
        if (leaf.length != LEAF_LENGTH || leaf[0] != 0x01) revert EvidenceLeafMalformed(leaf.length);
        evidenceId = sha256(bytes.concat(bytes1(0x00), leaf));
        bytes32 head;
        bytes32 commitment;
        assembly ("memory-safe") {
            head := mload(add(leaf, 0x20))
            commitment := mload(add(leaf, 0x30))
        }
        // No flag but the privileged one is defined; an unknown one is no reason to let an entry pass.
        if (bytes2(head << 16) != 0) revert EvidencePrivileged(evidenceId);
        uint16 classes = uint16(need >> 16);
        uint8 class = uint8(leaf[1]);
        if (class >= CLASSES || (classes >> class) & 1 == 0) revert EvidenceClassWrong(class, classes);
        if (commitment != expected) revert EvidenceOfOtherCase(commitment, expected);
        _requireSubmitter(uint32(bytes4(head << 32)), owner, uint16(need));
        _log.verifyInclusion(entry.batch, evidenceId, entry.index, entry.path);
    }

    function _requireSubmitter(uint32 submitter, uint32 owner, uint16 roles) private view {
        if (roles & OWNER != 0 && submitter == owner) return;
        if (_registry.organisation(submitter).roles & (roles & ~OWNER) == 0) {
            revert EvidenceSubmitterWrong(submitter, roles);
        }
    }
}
