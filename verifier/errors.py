"""What a proof can be refused for. The class name is the stable code."""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput


class ProofRefused(CaseledgerError):
    """Well-formed input that does not prove what it claims. Only subclasses are raised."""

    http_status: ClassVar[int] = 422
    title: ClassVar[str] = "proof refused"


# Merkle log (RFC 9162)


class MerkleSizeOutOfRange(ProofRefused):
    title = "tree size out of range"


class MerkleIndexOutOfRange(ProofRefused):
    title = "leaf index not below the tree size"


class MerkleHashLength(ProofRefused):
    title = "a hash is not 32 bytes"


class MerkleProofLength(ProofRefused):
    title = "proof too short or too long for these sizes"


class MerkleRootMismatch(ProofRefused):
    title = "proof does not lead to the root"


class MerkleConsistencyFromEmpty(ProofRefused):
    title = "a consistency proof from the empty tree says nothing"


class MerkleSizesDecrease(ProofRefused):
    title = "the second tree is smaller than the first"


class MerkleFrontierMalformed(MalformedInput):
    title = "stored frontier malformed"


# RLP and Merkle-Patricia tries


class RlpMalformed(MalformedInput):
    title = "not canonical RLP"


class RlpLimit(LimitExceeded):
    title = "RLP over the limit"


class MptMalformedNode(MalformedInput):
    title = "trie node malformed"


class MptLimit(LimitExceeded):
    title = "trie proof over the limit"


class MptNodeMismatch(ProofRefused):
    title = "trie node does not have the expected hash"


class MptProofIncomplete(ProofRefused):
    title = "trie proof ends too early"


class MptUnusedNode(ProofRefused):
    title = "trie proof carries a node that is not on the path"


class MptAccountAbsent(ProofRefused):
    title = "the contract has no account in this state"


class MptMalformedValue(MalformedInput):
    title = "trie value malformed"


# QBFT


class QbftMalformedHeader(MalformedInput):
    title = "QBFT header malformed"


class QbftValidatorSetInvalid(ProofRefused):
    title = "trusted validator set unusable"


class QbftValidatorsMismatch(ProofRefused):
    title = "header names another validator set than the trusted one"


class QbftSealInvalid(ProofRefused):
    title = "committed seal is not a valid signature"


class QbftSealerUnknown(ProofRefused):
    title = "committed seal by a key outside the validator set"


class QbftSealRepeated(ProofRefused):
    title = "validator sealed twice"


class QbftQuorumMissing(ProofRefused):
    title = "fewer seals than the quorum"


# Clique headers (EIP-225)


class CliqueMalformedHeader(MalformedInput):
    title = "Clique header malformed"


class CliqueSignerSetInvalid(ProofRefused):
    title = "trusted signer set unusable"


class CliqueParentMismatch(ProofRefused):
    title = "a header is not the child of the one before"


class CliqueTimeReversed(ProofRefused):
    title = "a header is older than its parent"


class CliqueSignersMismatch(ProofRefused):
    title = "header names another signer set than the trusted one"


class CliqueSealInvalid(ProofRefused):
    title = "seal is not a valid signature"


class CliqueSignerUnknown(ProofRefused):
    title = "sealed by a key outside the signer set"


class CliqueSignerRecent(ProofRefused):
    title = "signer sealed again too soon"


class CliqueTurnMismatch(ProofRefused):
    title = "difficulty does not fit whose turn it was"


class CliqueDepthMissing(ProofRefused):
    title = "too few headers on top"


# Protocol buffers and ICS-23


class ProtoMalformed(MalformedInput):
    title = "protocol buffer malformed"


class ProtoLimit(LimitExceeded):
    title = "protocol buffer over the limit"


class Ics23Malformed(MalformedInput):
    title = "ICS-23 proof malformed"


class Ics23SpecViolation(ProofRefused):
    title = "ICS-23 proof does not follow the tree's specification"


class Ics23KeyMismatch(ProofRefused):
    title = "ICS-23 proof is for another key"


class Ics23ValueMismatch(ProofRefused):
    title = "ICS-23 proof is for another value"


class Ics23RootMismatch(ProofRefused):
    title = "ICS-23 proof does not lead to the root"


class Ics23NotAbsent(ProofRefused):
    title = "ICS-23 neighbours do not enclose the key"


# CometBFT


class CometMalformed(MalformedInput):
    title = "CometBFT value malformed"


class CometChainIdMismatch(ProofRefused):
    title = "header of another chain"


class CometValidatorSetInvalid(ProofRefused):
    title = "trusted validator set unusable"


class CometValidatorsHashMismatch(ProofRefused):
    title = "header names another validator set than the trusted one"


class CometCommitMismatch(ProofRefused):
    title = "commit is for another block"


class CometSignatureInvalid(ProofRefused):
    title = "precommit signature invalid"


class CometQuorumMissing(ProofRefused):
    title = "signed power is not above two thirds"


class CometAccountMalformed(MalformedInput):
    title = "account record malformed"


# JSON lines (conformance) and RPC forms


class JsonMalformed(MalformedInput):
    title = "not one strict JSON object"


class JsonDuplicateKey(JsonMalformed):
    title = "a JSON name occurs twice"


class JsonLimit(LimitExceeded):
    title = "JSON over the limit"


class FieldMissing(MalformedInput):
    title = "field missing"


class FieldUnknown(MalformedInput):
    title = "field unknown"


class FieldInvalid(MalformedInput):
    title = "field has the wrong form"


class ClaimMismatch(ProofRefused):
    title = "a stated value is not the proved one"


class ConformanceKindUnknown(MalformedInput):
    title = "unknown conformance kind"


# Receipt and trust file


class MalformedReceipt(MalformedInput):
    title = "receipt malformed"


class MalformedAttestation(MalformedInput):
    title = "attestation malformed"


class CheckpointTooSmall(ProofRefused):
    title = "the attested checkpoint is older than the batch"


class CosignatureInFuture(ProofRefused):
    title = "a witness cosigned after the evaluation time"


class WitnessQuorumMissing(ProofRefused):
    title = "the cosignatures do not satisfy the witness policy"


class UnknownProofKind(MalformedInput):
    title = "proof kind that this verifier does not know"


class MalformedTrustFile(MalformedInput):
    title = "trust file malformed"


class TrustSignatureInvalid(ProofRefused):
    title = "a signature of the trust file is wrong"


class TrustQuorumMissing(ProofRefused):
    title = "trust file without the quorum of its keys"


class TrustFingerprintMismatch(ProofRefused):
    title = "not the trust file with this fingerprint"


class TrustSerialNotHigher(ProofRefused):
    title = "trust file not newer than the held one"


class TrustPredecessorMismatch(ProofRefused):
    title = "trust file does not follow the held one"


class TrustHeldQuorumMissing(ProofRefused):
    title = "trust file not signed by a quorum of the held one"


class TrustHeldChanged(ProofRefused):
    title = "trust file changes what the held one has fixed"


class ContentMismatch(ProofRefused):
    title = "the file is not the one that was recorded"


class BodyMismatch(ProofRefused):
    title = "the body is not the one that the leaf commits to"


class CaseMismatch(ProofRefused):
    title = "the entry belongs to another case"


class ContinuationMisplaced(ProofRefused):
    title = "a log continuation stands first in its log and is the operator's"


class ChainNotTrusted(ProofRefused):
    title = "the trust file does not name this chain"


class LogNotTrusted(ProofRefused):
    title = "the trust file does not name this log"


class ContractNotTrusted(ProofRefused):
    title = "the trust file names another contract"


class ProofKindMismatch(ProofRefused):
    title = "the trust file expects another kind of chain proof"


class EpochNotTrusted(ProofRefused):
    title = "the trust file names no validators for this height"


class ProofHeightMismatch(ProofRefused):
    title = "the header is not the one after the proved state"


class ProvenValueMismatch(ProofRefused):
    title = "the chain holds another value than the receipt states"


class ProvenValueAbsent(ProofRefused):
    title = "the chain holds nothing there"


class BatchLinkMismatch(ProofRefused):
    title = "the chain holds another batch than the receipt states"


class CodeHashMismatch(ProofRefused):
    title = "the contract runs other code than the trust file pins"


class LeafBeyondClosedLog(ProofRefused):
    title = "the leaf stands behind the end of the closed log"


class LinkTimeAfterBlock(ProofRefused):
    title = "the batch claims a later time than the block that proves it"


class SubmissionSignatureInvalid(ProofRefused):
    title = "the submitter's signature is not in the accepted form"


class KeyOfAnotherOrganisation(ProofRefused):
    title = "the signing key belongs to another organisation"


class KeyPurposeMismatch(ProofRefused):
    title = "the signing key is registered for another purpose"


class KeyNotActive(ProofRefused):
    title = "the signing key was announced or cancelled, not active"


class KeyNotValidAtAnchor(ProofRefused):
    title = "the signing key was not valid when the batch was anchored"


class KeyRevoked(ProofRefused):
    title = "the signing key was revoked before the batch was anchored"


class ProvenanceMismatch(ProofRefused):
    title = "the provenance statement is not the one that was recorded"


class ProvenanceAfterAnchor(ProofRefused):
    title = "a stated event later than the anchor"


class Sm2KeyNotBound(ProofRefused):
    """The key that signed the submission did not say that this SM2 key is the organisation's."""

    title = "the SM2 key is not the submitter's"


class RehashMismatch(ProofRefused):
    """A hash renewal is about another leaf, tree or body than the receipt's."""

    title = "hash renewal of something else"
