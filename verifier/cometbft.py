"""CometBFT light verification: header hash, validator-set hash, precommit sign bytes, commit by more than
2/3.

Values are typed; `cometbft_rpc` reads the JSON-RPC form, receipts a compact one. Signatures are checked by
RFC 8032 as OpenSSL implements it (no cofactor), which accepts a subset of what CometBFT's ZIP-215 rule
accepts: nothing that consensus refused passes here. A validator that crafts a signature valid only under
ZIP-215 can at most make its own vote unusable; whoever captures a proof records such a vote as absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.hashing import SHA256, sha256
from verifier.errors import (
    CometChainIdMismatch,
    CometCommitMismatch,
    CometMalformed,
    CometQuorumMissing,
    CometSignatureInvalid,
    CometValidatorSetInvalid,
    CometValidatorsHashMismatch,
)
from verifier.merkle_tree import tree_root
from verifier.proto import put_bytes, put_message, put_sfixed64, put_uint, uvarint

MAX_VALIDATORS = 1000
MAX_TOTAL_POWER = ((1 << 63) - 1) // 8
MAX_SECONDS = 253402300799  # 9999-12-31T23:59:59Z
_PRECOMMIT = 2


class Flag(IntEnum):
    """block_id_flag of a commit signature."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


@dataclass(frozen=True, slots=True)
class Timestamp:
    """UTC time from 1970 to 9999: whole seconds and nanoseconds."""

    seconds: int
    nanos: int

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= MAX_SECONDS or not 0 <= self.nanos < 1_000_000_000:
            raise CometMalformed("time out of range", field="time")

    @property
    def ns(self) -> int:
        return self.seconds * 1_000_000_000 + self.nanos

    def encode(self) -> bytes:
        return put_uint(1, self.seconds) + put_uint(2, self.nanos)


@dataclass(frozen=True, slots=True)
class BlockId:
    """Block hash and part-set header; all empty in the first block's `last_block_id`."""

    hash: bytes
    parts_total: int
    parts_hash: bytes

    def __post_init__(self) -> None:
        full = len(self.hash) == 32 and len(self.parts_hash) == 32 and 0 < self.parts_total < 1 << 32
        if not full and (self.hash or self.parts_hash or self.parts_total):
            raise CometMalformed("block id neither complete nor empty", field="block_id")

    def encode(self) -> bytes:
        parts = put_uint(1, self.parts_total) + put_bytes(2, self.parts_hash)
        return put_bytes(1, self.hash) + put_message(2, parts)


@dataclass(frozen=True, slots=True)
class Header:
    """The 14 header fields that the block hash covers. Hashes have 32 bytes; five may be empty."""

    version_block: int
    version_app: int
    chain_id: str
    height: int
    time: Timestamp
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes

    def __post_init__(self) -> None:
        always = (self.validators_hash, self.next_validators_hash, self.app_hash)
        last = (self.last_commit_hash, self.last_results_hash)
        maybe = (*last, self.data_hash, self.consensus_hash, self.evidence_hash)
        if any(len(h) != 32 for h in always) or any(len(h) not in (0, 32) for h in maybe):
            raise CometMalformed("a header hash has the wrong length", field="header")
        if len(self.proposer_address) != 20:
            raise CometMalformed("proposer address has the wrong length", field="proposer_address")
        if not 0 < self.height < 1 << 63:
            raise CometMalformed("height out of range", field="height")
        if not 0 <= self.version_block < 1 << 64 or not 0 <= self.version_app < 1 << 64:
            raise CometMalformed("version out of range", field="version")
        if (
            not 1 <= len(self.chain_id) <= 50
            or not self.chain_id.isascii()
            or not self.chain_id.isprintable()
        ):
            raise CometMalformed("chain id is 1 to 50 printable ASCII characters", field="chain_id")

    def hash(self) -> bytes:
        """Block hash: RFC 6962 root over the encoded fields in order."""
        fields = (
            put_uint(1, self.version_block) + put_uint(2, self.version_app),
            put_bytes(1, self.chain_id.encode()),
            put_uint(1, self.height),
            self.time.encode(),
            self.last_block_id.encode(),
            put_bytes(1, self.last_commit_hash),
            put_bytes(1, self.data_hash),
            put_bytes(1, self.validators_hash),
            put_bytes(1, self.next_validators_hash),
            put_bytes(1, self.consensus_hash),
            put_bytes(1, self.app_hash),
            put_bytes(1, self.last_results_hash),
            put_bytes(1, self.evidence_hash),
            put_bytes(1, self.proposer_address),
        )
        return tree_root(SHA256, [SHA256.leaf(field) for field in fields])


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's precommit. An absent one has neither time nor signature.

    `address` is None where the carrier leaves it out (it follows from the validator at the same place).
    """

    flag: Flag
    timestamp: Timestamp | None = None
    signature: bytes = b""
    address: bytes | None = None

    def __post_init__(self) -> None:
        if self.flag is Flag.ABSENT:
            if self.timestamp is not None or self.signature or self.address:
                raise CometMalformed("an absent vote carries nothing", field="signatures")
        elif self.timestamp is None or len(self.signature) != 64:
            raise CometMalformed("a vote has a time and a 64-byte signature", field="signatures")


@dataclass(frozen=True, slots=True)
class Commit:
    """Precommits for one block, one for each validator in the set's order."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.round < 1 << 31 or not 0 < self.height < 1 << 63:
            raise CometMalformed("commit height or round out of range", field="commit")
        if not self.block_id.hash:
            raise CometMalformed("commit without a block", field="commit")

    def sign_bytes(self, vote: CommitSig, chain_id: str) -> bytes:
        """What a validator signed: the length-prefixed canonical precommit."""
        body = put_uint(1, _PRECOMMIT) + put_sfixed64(2, self.height) + put_sfixed64(3, self.round)
        if vote.flag is Flag.COMMIT:
            body += put_message(4, self.block_id.encode())
        body += put_message(5, vote.timestamp.encode() if vote.timestamp else b"")
        body += put_bytes(6, chain_id.encode())
        return uvarint(len(body)) + body


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header and the commit for it."""

    header: Header
    commit: Commit


@dataclass(frozen=True, slots=True)
class Validator:
    """Ed25519 key (32 bytes) and voting power."""

    pub_key: bytes
    power: int

    @property
    def address(self) -> bytes:
        return sha256(self.pub_key)[:20]


def check_validators(validators: Sequence[Validator]) -> int:
    """Refuse a set that is empty, too large, repeats a key or has impossible power; returns the total
    power.
    """
    if not 1 <= len(validators) <= MAX_VALIDATORS:
        raise CometValidatorSetInvalid(f"1 to {MAX_VALIDATORS} validators", field="validators")
    if any(len(v.pub_key) != 32 or v.power <= 0 for v in validators):
        raise CometValidatorSetInvalid("a key has 32 bytes and power is positive", field="validators")
    if len({v.pub_key for v in validators}) != len(validators):
        raise CometValidatorSetInvalid("a key occurs twice", field="validators")
    total = sum(v.power for v in validators)
    if total > MAX_TOTAL_POWER:
        raise CometValidatorSetInvalid("total power out of range", field="validators")
    return total


def validators_hash(validators: Sequence[Validator]) -> bytes:
    """Root over the set in the chain's order: power descending, then address ascending."""
    return tree_root(
        SHA256,
        [SHA256.leaf(put_message(1, put_bytes(1, v.pub_key)) + put_uint(2, v.power)) for v in validators],
    )


def verify_signed_header(signed: SignedHeader, validators: Sequence[Validator], chain_id: str) -> bytes:
    """Raise unless the trusted `validators` (in the chain's order) committed this header of `chain_id`.

    Every vote that is present must be good; more than two thirds of the power must be for this block. Returns
    the block hash.
    """
    header, commit = signed.header, signed.commit
    total = check_validators(validators)
    if header.chain_id != chain_id:
        raise CometChainIdMismatch(field="chain_id")
    if header.validators_hash != validators_hash(validators):
        raise CometValidatorsHashMismatch(field="validators")
    block_hash = header.hash()
    if commit.height != header.height or commit.block_id.hash != block_hash:
        raise CometCommitMismatch(field="commit")
    if len(commit.signatures) != len(validators):
        raise CometCommitMismatch("one vote entry for each validator", field="signatures")
    signed_power = 0
    for position, (vote, validator) in enumerate(zip(commit.signatures, validators, strict=True)):
        if vote.flag is Flag.ABSENT:
            continue
        if vote.address is not None and vote.address != validator.address:
            raise CometCommitMismatch(f"vote {position} names another validator", field="signatures")
        try:
            key = Ed25519PublicKey.from_public_bytes(validator.pub_key)
            key.verify(vote.signature, commit.sign_bytes(vote, chain_id))
        except (InvalidSignature, ValueError) as error:
            raise CometSignatureInvalid(f"vote {position}", field="signatures") from error
        if vote.flag is Flag.COMMIT:
            signed_power += validator.power
    if signed_power * 3 <= total * 2:
        raise CometQuorumMissing(f"{signed_power} of {total}", field="signatures")
    return block_hash
