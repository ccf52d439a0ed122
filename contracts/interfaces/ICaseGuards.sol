// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IEvidenceLog } from "./IEvidenceLog.sol";

/// @title Whether entries of an anchored log are what a transition needs
interface IEvidenceGuard {
    struct Entry {
        IEvidenceLog.Batch batch;
        /// 112 bytes, docs/spec/entry.md section 1.
        bytes leaf;
        uint64 index;
        bytes32[] path;
    }

    error EvidenceProofMalformed(uint256 length);
    error EvidenceCountWrong(uint256 given, uint256 needed);
    error EvidenceLeafMalformed(uint256 length);
    error EvidencePrivileged(bytes32 evidenceId);
    error EvidenceClassWrong(uint8 class, uint16 allowed);
    error EvidenceOfOtherCase(bytes32 commitment, bytes32 expected);
    error EvidenceSubmitterWrong(uint32 submitter, uint16 roles);
    error EvidenceGuardLogInvalid(address log);

    /// @notice Reverts unless each piece that is needed is shown, in order: anchored, of this case, of an allowed
    /// class, by an allowed submitter, not privileged.
    /// @param owner the institution whose case it is
    /// @param needs as CaseRows packs them
    /// @param proof `abi.encode(Entry[])`, empty where nothing is needed
    /// @return evidence keccak256 over the evidence ids, one after the other; 0 where nothing is needed
    function requireEvidence(
        bytes32 caseId,
        uint32 owner,
        uint64 needs,
        bytes calldata proof
    )
        external
        view
        returns (bytes32 evidence);

    /// @notice The entries of a proof. Reverts without a reason where it is none.
    function decode(bytes calldata proof) external pure returns (Entry[] memory);
}

/// @title Whether a signed statement of fact is final
interface IStatementGuard {
    /// @notice Reverts unless `statement` says this fact about this case, counts now, and is not disputed.
    function requireFinal(bytes32 caseId, uint16 fact, bytes32 statement) external view;
}

/// @title Whether a consent is recorded
interface IConsentGuard {
    /// @notice Reverts unless all whose consent of this kind is needed have given it and none has withdrawn it.
    function requireConsent(bytes32 caseId, uint8 kind) external view;
}
