"""A case as CaseLedger stores it, and its three slots proved in one block (docs/spec/case-receipt.md §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import ClassVar, TypeAlias

from protocol import expect
from protocol.cbor import Encodable, Value
from protocol.hashing import keccak256
from verifier import clique, cosmos_state, mpt, qbft
from verifier.case_errors import CaseStateAbsent
from verifier.chainproof import (
    MAX_NODES,
    MAX_PROOF,
    FinalBlock,
    Ics23Proof,
    Ics23Value,
    MptCliqueProof,
    MptQbftProof,
    NoProof,
)
from verifier.cometbft import SignedHeader
from verifier.cometbft_compact import encode_commit, encode_header, parse_commit, parse_header
from verifier.errors import ProvenValueAbsent, ProvenValueMismatch, UnknownProofKind

CASES_SLOT = 2
SLOTS = 3
MARKED, REVERSIBLE, EXTENSION, PROVISIONAL = 1, 2, 4, 8
_NOTHING = Ics23Value(bytes(32), b"")


def case_positions(case_id: bytes) -> tuple[bytes, ...]:
    """Storage positions of a case's slots."""
    first = int.from_bytes(keccak256(case_id + CASES_SLOT.to_bytes(32, "big")), "big")
    return tuple(((first + at) % 2**256).to_bytes(32, "big") for at in range(SLOTS))


@dataclass(frozen=True, slots=True)
class CaseWords:
    """The members of `ICaseLedger.Case` by which an event is checked."""

    version: int
    stage: int
    product: int
    owner: int
    policy: int
    since: int
    deadline: int
    court: int
    open_holds: int
    flags: int
    clock_start: int
    last_organisation: int
    previous_stage: int
    commitment: bytes

    @classmethod
    def parse(cls, words: Sequence[bytes]) -> CaseWords:
        """From the words of the three slots. Raises CaseStateAbsent."""
        first, second = (_Bits(word) for word in words[:2])
        version, stage, product, owner = (first.take(size) for size in (32, 8, 8, 32))
        policy, since, deadline, court = (first.take(size) for size in (16, 40, 40, 32))
        first.take(32)  # list of pauses, extension
        open_holds, flags = first.take(8), first.take(8)
        clock_start = second.take(40)
        second.take(32)  # length of the clock
        last, previous = second.take(32), second.take(8)
        if version == 0 or stage == 0:
            raise CaseStateAbsent(field="state")
        return cls(
            version, stage, product, owner, policy, since, deadline, court, open_holds, flags, clock_start,
            last, previous, words[2],
        )  # fmt: skip


class _Bits:
    def __init__(self, word: bytes) -> None:
        self._rest = int.from_bytes(word, "big")

    def take(self, size: int) -> int:
        """The next field from the least significant bit."""
        value = self._rest & ((1 << size) - 1)
        self._rest >>= size
        return value


@dataclass(frozen=True, slots=True)
class OpenedCase:
    """CaseLedger in a final block: its code hash, and the case."""

    code_hash: bytes
    state: CaseWords


@dataclass(frozen=True, slots=True)
class Ics23Case:
    """CometBFT. The signed header stands one above the state that it commits to."""

    kind: ClassVar[str] = "ics23"
    state_height: int
    signed: SignedHeader
    evm_store: bytes
    acc_store: bytes
    account: Ics23Value
    slots: tuple[Ics23Value, ...]

    @property
    def height(self) -> int:
        return self.signed.header.height

    @property
    def last_height(self) -> int:
        return self.height

    def encode(self) -> Encodable:
        return [
            self.kind, self.state_height, encode_header(self.signed.header),
            encode_commit(self.signed.commit),
            self.evm_store, self.acc_store, self.account.encode(), [one.encode() for one in self.slots],
        ]  # fmt: skip

    @classmethod
    def parse(cls, value: Sequence[Value]) -> Ics23Case:
        expect.array(value, "case proof", 8)
        header = parse_header(value[2])
        return cls(
            expect.uint(value[1], "state height"),
            SignedHeader(header, parse_commit(value[3], header)),
            expect.octets(value[4], "evm store proof", maximum=MAX_PROOF),
            expect.octets(value[5], "acc store proof", maximum=MAX_PROOF),
            Ics23Value.parse(value[6], "account"),
            tuple(Ics23Value.parse(one, "slot", 32) for one in expect.array(value[7], "slots", SLOTS)),
        )

    def final(self, validators: Sequence[tuple[bytes, int]], network_id: str) -> FinalBlock:
        """As `Ics23Proof.final`."""
        proof = Ics23Proof(self.state_height, self.signed, b"", b"", _NOTHING, _NOTHING, _NOTHING, _NOTHING)
        return proof.final(validators, network_id)

    def open(self, block: FinalBlock, contract: bytes, case_id: bytes) -> OpenedCase:
        """What the contract's code is and what it holds for the case."""
        acc = cosmos_state.store_root(block.state_root, cosmos_state.ACCOUNT_STORE, self.acc_store)
        evm = cosmos_state.store_root(block.state_root, cosmos_state.EVM_STORE, self.evm_store)
        code_hash = cosmos_state.code_hash(acc, contract, self.account.value, self.account.proof)
        words = []
        for position, slot in zip(case_positions(case_id), self.slots, strict=True):
            word = cosmos_state.storage_word(evm, contract, position, slot.proof)
            if word is None:
                raise ProvenValueAbsent(field="slot")
            if not compare_digest(word, slot.value):
                raise ProvenValueMismatch(field="slot")
            words.append(word)
        return OpenedCase(code_hash, CaseWords.parse(words))


@dataclass(frozen=True, slots=True)
class MptCase:
    """QBFT (one header) and Clique: Merkle-Patricia proofs as `eth_getProof` gives them."""

    kind: str
    headers: tuple[bytes, ...]
    account: tuple[bytes, ...]
    slots: tuple[tuple[bytes, ...], ...]

    @property
    def height(self) -> int:
        return self._number(self.headers[0])

    @property
    def last_height(self) -> int:
        return self._number(self.headers[-1])

    @property
    def state_height(self) -> int:
        return self.height

    def _number(self, header: bytes) -> int:
        if self.kind == MptQbftProof.kind:
            return qbft.parse_header(header).number
        return clique.parse_header(header).number

    def encode(self) -> Encodable:
        headers: Encodable = self.headers[0] if self.kind == MptQbftProof.kind else self.headers
        return [self.kind, headers, self.account, self.slots]

    @classmethod
    def parse(cls, kind: str, value: Sequence[Value]) -> MptCase:
        expect.array(value, "case proof", 4)
        if kind == MptQbftProof.kind:
            headers: tuple[bytes, ...] = (expect.octets(value[1], "header", maximum=MAX_PROOF),)
        else:
            listed = expect.array(value[1], "headers", minimum=1, maximum=clique.MAX_HEADERS)
            headers = tuple(expect.octets(raw, "header", maximum=clique.MAX_HEADER_BYTES) for raw in listed)
        made = cls(
            kind, headers, _nodes(value[2], "account"),
            tuple(_nodes(one, "slot") for one in expect.array(value[3], "slots", SLOTS)),
        )  # fmt: skip
        for header in headers:
            made._number(header)
        return made

    def final(self, validators: Sequence[tuple[bytes, int]], network_id: str) -> FinalBlock:
        """As `MptQbftProof.final` or `MptCliqueProof.final`."""
        if self.kind == MptQbftProof.kind:
            return MptQbftProof(self.headers[0], (), (), (), ()).final(validators, network_id)
        return MptCliqueProof(self.headers, (), (), (), ()).final(validators, network_id)

    def open(self, block: FinalBlock, contract: bytes, case_id: bytes) -> OpenedCase:
        """What the contract's code is and what it holds for the case."""
        record = mpt.account(block.state_root, contract, self.account)
        words = []
        for position, nodes in zip(case_positions(case_id), self.slots, strict=True):
            word = mpt.storage(record.storage_root, position, nodes)
            if word is None:
                raise ProvenValueAbsent(field="slot")
            words.append(word)
        return OpenedCase(record.code_hash, CaseWords.parse(words))


CaseProof: TypeAlias = "Ics23Case | MptCase | NoProof"


def parse_proof(value: Value) -> CaseProof:
    """A proof from its CBOR value.

    Raises:
        UnknownProofKind, MalformedInput
    """
    members = expect.array(value, "case proof", minimum=1)
    kind = expect.text(members[0], "proof kind", 32)
    if kind == Ics23Case.kind:
        return Ics23Case.parse(members)
    if kind in (MptQbftProof.kind, MptCliqueProof.kind):
        return MptCase.parse(kind, members)
    if kind == NoProof.kind:
        return NoProof.parse(members)
    raise UnknownProofKind(f"proof kind {kind!r}", field="case proof")


def _nodes(value: Value, field: str) -> tuple[bytes, ...]:
    nodes = expect.array(value, field, maximum=MAX_NODES)
    return tuple(expect.octets(node, field, maximum=MAX_PROOF) for node in nodes)
