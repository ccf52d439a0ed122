"""Chain proofs as a receipt carries them (docs/spec/receipt.md §2).

Each kind answers three questions in this order: which block did the trusted validators finish (`final`), what
do the log's contract and link slot hold there (`open_log`), what do the registry and the signer's key slot
hold there (`open_registry`). Opening takes the `FinalBlock`, so nothing is opened under an unsigned header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import ClassVar, TypeAlias

from protocol import expect
from protocol.cbor import Encodable, Value
from verifier import clique, cosmos_state, mpt, qbft
from verifier.cometbft import SignedHeader, Validator, verify_signed_header
from verifier.cometbft_compact import encode_commit, encode_header, parse_commit, parse_header
from verifier.errors import ProofHeightMismatch, ProvenValueAbsent, ProvenValueMismatch, UnknownProofKind

MAX_PROOF = 16_384
MAX_NODES = 65


@dataclass(frozen=True, slots=True)
class Depth:
    """What lies on a block where nothing makes it final: how many blocks, and how many of the signers sealed
    it or one of them.
    """

    following: int
    sealers: int
    signers: int


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A block that the trusted validators finished. `height` is that of the signed header, `time` seconds.

    `depth` is None where the block is final by the chain's own rules.
    """

    height: int
    block_hash: bytes
    state_root: bytes
    time: int
    depth: Depth | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """One contract in a final block: its code hash and the 32-byte word of one slot."""

    code_hash: bytes
    word: bytes


@dataclass(frozen=True, slots=True)
class NoProof:
    """Development chain: nothing is proved."""

    kind: ClassVar[str] = "none"
    block_number: int

    @property
    def height(self) -> int:
        return self.block_number

    def encode(self) -> Encodable:
        return [self.kind, self.block_number]

    @classmethod
    def parse(cls, value: Sequence[Value]) -> NoProof:
        expect.array(value, "chain proof", 2)
        return cls(expect.uint(value[1], "block number"))


@dataclass(frozen=True, slots=True)
class Ics23Value:
    """A value and its proof in its store (ICS-23 `CommitmentProof`, protobuf)."""

    value: bytes
    proof: bytes

    def encode(self) -> Encodable:
        return [self.value, self.proof]

    @classmethod
    def parse(cls, value: Value, field: str, size: int | None = None) -> Ics23Value:
        raw, proof = expect.array(value, field, 2)
        return cls(
            expect.octets(raw, field, size, maximum=MAX_PROOF), expect.octets(proof, field, maximum=MAX_PROOF)
        )


@dataclass(frozen=True, slots=True)
class Ics23Proof:
    """CometBFT with IAVL stores. The signed header stands one above the state it commits to."""

    kind: ClassVar[str] = "ics23"
    state_height: int
    signed: SignedHeader
    evm_store: bytes
    acc_store: bytes
    log_account: Ics23Value
    registry_account: Ics23Value
    link: Ics23Value
    key: Ics23Value

    @property
    def height(self) -> int:
        return self.signed.header.height

    @property
    def last_height(self) -> int:
        return self.height

    def encode(self) -> Encodable:
        return [
            self.kind,
            self.state_height,
            encode_header(self.signed.header),
            encode_commit(self.signed.commit),
            self.evm_store,
            self.acc_store,
            self.log_account.encode(),
            self.registry_account.encode(),
            self.link.encode(),
            self.key.encode(),
        ]

    @classmethod
    def parse(cls, value: Sequence[Value]) -> Ics23Proof:
        expect.array(value, "chain proof", 10)
        header = parse_header(value[2])
        return cls(
            state_height=expect.uint(value[1], "state height"),
            signed=SignedHeader(header, parse_commit(value[3], header)),
            evm_store=expect.octets(value[4], "evm store proof", maximum=MAX_PROOF),
            acc_store=expect.octets(value[5], "acc store proof", maximum=MAX_PROOF),
            log_account=Ics23Value.parse(value[6], "log account"),
            registry_account=Ics23Value.parse(value[7], "registry account"),
            link=Ics23Value.parse(value[8], "link", 32),
            key=Ics23Value.parse(value[9], "key", 32),
        )

    def final(self, validators: Sequence[tuple[bytes, int]], network_id: str) -> FinalBlock:
        """The block that more than two thirds of the power of `validators` (key, power) committed."""
        header = self.signed.header
        if header.height != self.state_height + 1:
            raise ProofHeightMismatch(f"header {header.height}, state {self.state_height}", field="header")
        trusted = [Validator(key, power) for key, power in validators]
        block_hash = verify_signed_header(self.signed, trusted, network_id)
        return FinalBlock(header.height, block_hash, header.app_hash, header.time.seconds)

    def open_log(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """EvidenceLog and the link slot."""
        return self._open(block, contract, position, self.log_account, self.link)

    def open_registry(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """ConsortiumRegistry and the signer's key slot."""
        return self._open(block, contract, position, self.registry_account, self.key)

    def _open(
        self, block: FinalBlock, contract: bytes, position: bytes, account: Ics23Value, slot: Ics23Value
    ) -> Opened:
        acc = cosmos_state.store_root(block.state_root, cosmos_state.ACCOUNT_STORE, self.acc_store)
        evm = cosmos_state.store_root(block.state_root, cosmos_state.EVM_STORE, self.evm_store)
        code_hash = cosmos_state.code_hash(acc, contract, account.value, account.proof)
        word = cosmos_state.storage_word(evm, contract, position, slot.proof)
        if word is None:
            raise ProvenValueAbsent(field="slot")
        if not compare_digest(word, slot.value):
            raise ProvenValueMismatch(field="slot")
        return Opened(code_hash, word)


@dataclass(frozen=True, slots=True)
class MptQbftProof:
    """QBFT: a sealed header and Merkle-Patricia proofs, nodes root first as `eth_getProof` gives them."""

    kind: ClassVar[str] = "mpt-qbft"
    header_rlp: bytes
    log_account: tuple[bytes, ...]
    link: tuple[bytes, ...]
    registry_account: tuple[bytes, ...]
    key: tuple[bytes, ...]

    @property
    def height(self) -> int:
        return qbft.parse_header(self.header_rlp).number

    @property
    def last_height(self) -> int:
        return self.height

    def encode(self) -> Encodable:
        return [self.kind, self.header_rlp, self.log_account, self.link, self.registry_account, self.key]

    @classmethod
    def parse(cls, value: Sequence[Value]) -> MptQbftProof:
        expect.array(value, "chain proof", 6)
        header = expect.octets(value[1], "header", maximum=MAX_PROOF)
        qbft.parse_header(header)
        return cls(
            header,
            _nodes(value[2], "log account"),
            _nodes(value[3], "link"),
            _nodes(value[4], "registry account"),
            _nodes(value[5], "key"),
        )

    def final(self, validators: Sequence[tuple[bytes, int]], network_id: str) -> FinalBlock:
        """The block that a quorum of `validators` (address, 1) sealed. The header names no network."""
        header, _ = qbft.verify_header(self.header_rlp, [address for address, _ in validators])
        return FinalBlock(header.number, header.block_hash, header.state_root, header.time)

    def open_log(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """EvidenceLog and the link slot."""
        return _open_mpt(block, contract, position, self.log_account, self.link)

    def open_registry(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """ConsortiumRegistry and the signer's key slot."""
        return _open_mpt(block, contract, position, self.registry_account, self.key)


@dataclass(frozen=True, slots=True)
class MptCliqueProof:
    """Clique: the block's header, those sealed on top of it, Merkle-Patricia proofs under the first."""

    kind: ClassVar[str] = "mpt-clique"
    headers: tuple[bytes, ...]
    log_account: tuple[bytes, ...]
    link: tuple[bytes, ...]
    registry_account: tuple[bytes, ...]
    key: tuple[bytes, ...]

    @property
    def height(self) -> int:
        return clique.parse_header(self.headers[0]).number

    @property
    def last_height(self) -> int:
        """Number of the last header; the epoch that is trusted for the first has to cover it."""
        return clique.parse_header(self.headers[-1]).number

    def encode(self) -> Encodable:
        return [
            self.kind, self.headers, self.log_account, self.link, self.registry_account, self.key
        ]  # fmt: skip

    @classmethod
    def parse(cls, value: Sequence[Value]) -> MptCliqueProof:
        expect.array(value, "chain proof", 6)
        listed = expect.array(value[1], "headers", minimum=1, maximum=clique.MAX_HEADERS)
        headers = tuple(expect.octets(raw, "header", maximum=clique.MAX_HEADER_BYTES) for raw in listed)
        for raw in headers:
            clique.parse_header(raw)
        return cls(
            headers,
            _nodes(value[2], "log account"),
            _nodes(value[3], "link"),
            _nodes(value[4], "registry account"),
            _nodes(value[5], "key"),
        )

    def final(self, validators: Sequence[tuple[bytes, int]], network_id: str) -> FinalBlock:
        """The first block, deep under those that `validators` (address, 1) sealed on it. Depth, not finality:
        `FinalBlock.depth` says how much. The headers name no network.
        """
        signers = [address for address, _ in validators]
        headers, sealers = clique.verify_headers(self.headers, signers)
        first = headers[0]
        depth = Depth(len(headers) - 1, len(set(sealers)), len(signers))
        return FinalBlock(first.number, first.block_hash, first.state_root, first.time, depth)

    def open_log(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """EvidenceLog and the link slot."""
        return _open_mpt(block, contract, position, self.log_account, self.link)

    def open_registry(self, block: FinalBlock, contract: bytes, position: bytes) -> Opened:
        """ConsortiumRegistry and the signer's key slot."""
        return _open_mpt(block, contract, position, self.registry_account, self.key)


ChainProof: TypeAlias = "Ics23Proof | MptQbftProof | MptCliqueProof | NoProof"


def parse(value: Value) -> ChainProof:
    """A chain proof from its CBOR value.

    Raises:
        UnknownProofKind, MalformedInput
    """
    members = expect.array(value, "chain proof", minimum=1)
    kind = expect.text(members[0], "proof kind", 32)
    for known in (Ics23Proof, MptQbftProof, MptCliqueProof, NoProof):
        if kind == known.kind:
            return known.parse(members)
    raise UnknownProofKind(f"proof kind {kind!r}", field="chain proof")


def _nodes(value: Value, field: str) -> tuple[bytes, ...]:
    nodes = expect.array(value, field, maximum=MAX_NODES)
    return tuple(expect.octets(node, field, maximum=MAX_PROOF) for node in nodes)


def _open_mpt(
    block: FinalBlock, contract: bytes, position: bytes, account: Sequence[bytes], slot: Sequence[bytes]
) -> Opened:
    record = mpt.account(block.state_root, contract, account)
    word = mpt.storage(record.storage_root, position, slot)
    if word is None:
        raise ProvenValueAbsent(field="slot")
    return Opened(record.code_hash, word)
