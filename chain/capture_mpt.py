"""Proof capture from nodes that answer `eth_getProof` with Merkle-Patricia proofs; QBFT's headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from chain import rlp
from chain.capture_parts import CapturedBatch, Lied, Wanted, prove_assembled, split
from chain.evm import binary, quantity
from chain.proofs import ProofNotCaptured
from chain.rpc import RpcPool, RpcRefused
from protocol import cbor
from protocol.cbor import Encodable
from protocol.errors import CaseledgerError
from verifier import mpt, qbft
from verifier.chainproof import FinalBlock, MptCliqueProof, MptQbftProof
from verifier.trust_payload import TrustedChain

Nodes: TypeAlias = "tuple[bytes, ...]"
Maker: TypeAlias = "Callable[[Nodes, Nodes, Nodes, Nodes], MptQbftProof | MptCliqueProof]"
"""A proof from the nodes of log account, link, registry account and key."""
# Fields of an execution header in RLP order: JSON name, whether a number; the later ones may be absent.
_HEADER: tuple[tuple[str, bool], ...] = (
    ("parentHash", False), ("sha3Uncles", False), ("miner", False), ("stateRoot", False),
    ("transactionsRoot", False), ("receiptsRoot", False), ("logsBloom", False), ("difficulty", True),
    ("number", True), ("gasLimit", True), ("gasUsed", True), ("timestamp", True), ("extraData", False),
    ("mixHash", False), ("nonce", False), ("baseFeePerGas", True), ("withdrawalsRoot", False),
    ("blobGasUsed", True), ("excessBlobGas", True), ("parentBeaconBlockRoot", False), ("requestsHash", False),
)  # fmt: skip
_HEADER_REQUIRED = 15


async def capture_qbft(
    pool: RpcPool, wanted: Wanted, height: int, trusted: TrustedChain | None
) -> CapturedBatch:
    """One sealed header. Without `trusted` the validators are those that it names."""
    block = await pool.ask("eth_getBlockByNumber", [hex(height), False])
    try:
        raw = header_rlp(block.result)
        sealed = qbft.parse_header(raw)
    except CaseledgerError as error:
        raise Lied(block.url, error.code) from None
    validators = trusted_addresses(trusted, height) or list(sealed.validators)
    pairs = [(address, 1) for address in validators]
    try:
        final = MptQbftProof(raw, (), (), (), ()).final(pairs, "")
    except CaseledgerError as error:
        raise Lied(block.url, error.code) from None

    def proof(log: Nodes, link: Nodes, registry: Nodes, key: Nodes) -> MptQbftProof:
        return MptQbftProof(raw, log, link, registry, key)

    return await open_state(pool, wanted, final, hex(height), pairs, trusted, proof)


def trusted_addresses(trusted: TrustedChain | None, height: int, last: int | None = None) -> list[bytes]:
    """Who is trusted to seal from this height on up to `last`; nobody in particular without a trust file.

    Raises ProofNotCaptured where the trust file does not know.
    """
    if trusted is None:
        return []
    epoch = trusted.epoch_at(height)
    if epoch is None or not epoch.covers(height if last is None else last):
        raise ProofNotCaptured(
            f"the trust file has no validators for block {height}",
            hint="the validator set changed: a successor of the trust file is needed",
        )
    return [v.public_key for v in epoch.validators]


async def open_state(
    pool: RpcPool,
    wanted: Wanted,
    final: FinalBlock,
    block: str | dict[str, Any],
    validators: Sequence[tuple[bytes, int]],
    trusted: TrustedChain | None,
    make: Maker,
) -> CapturedBatch:
    """The state of a block whose header is verified: codes, link and keys, asked for under `block`."""
    log_proof = await eth_proof(pool, wanted.deployment.evidence_log.address, [wanted.link_position], block)
    registry = wanted.deployment.registry.address
    registry_proof = await eth_proof(pool, registry, list(wanted.keys.values()), block)
    wanted.check_code("EvidenceLog", log_proof.code_hash(final))
    wanted.check_code("ConsortiumRegistry", registry_proof.code_hash(final))
    link = wanted.check_link(log_proof.word(final, 0), final.height)
    made = make(log_proof.account, log_proof.slots[0], registry_proof.account, ())
    shared, _ = split(made)
    keys: dict[bytes, bytes] = {}
    missing: list[bytes] = []
    for index, signer in enumerate(wanted.signers):
        if registry_proof.word(final, index) is None:
            missing.append(signer)
            continue
        nodes: Encodable = list(registry_proof.slots[index])
        keys[signer] = cbor.encode(nodes)
    prove_assembled(shared, keys, wanted, validators, wanted.deployment.network_id, log_proof.url)
    return CapturedBatch(made.kind, final.height, link, shared, keys, tuple(missing), trusted is not None)


@dataclass(frozen=True)
class EthProof:
    url: str
    contract: bytes
    positions: tuple[bytes, ...]
    account: tuple[bytes, ...]
    slots: tuple[tuple[bytes, ...], ...]

    def code_hash(self, final: FinalBlock) -> bytes:
        try:
            return mpt.account(final.state_root, self.contract, self.account).code_hash
        except CaseledgerError as error:
            raise Lied(self.url, error.code) from None

    def word(self, final: FinalBlock, index: int) -> bytes | None:
        try:
            root = mpt.account(final.state_root, self.contract, self.account).storage_root
            return mpt.storage(root, self.positions[index], self.slots[index])
        except CaseledgerError as error:
            raise Lied(self.url, error.code) from None


async def eth_proof(
    pool: RpcPool, contract: bytes, positions: Sequence[bytes], block: str | dict[str, Any]
) -> EthProof:
    """`eth_getProof` (EIP-1186): nodes of the account and of each slot, root first."""
    try:
        answer = await pool.ask(
            "eth_getProof",
            ["0x" + contract.hex(), ["0x" + position.hex() for position in positions], block],
        )
    except RpcRefused as error:
        raise ProofNotCaptured(f"state of a block: {error.code}", hint="capture sooner") from None
    try:
        result = answer.result
        account = tuple(binary(node) for node in result["accountProof"])
        slots = tuple(tuple(binary(node) for node in entry["proof"]) for entry in result["storageProof"])
        if len(slots) != len(positions):
            raise ValueError
    except (KeyError, TypeError, ValueError, CaseledgerError):
        raise Lied(answer.url, "proof of another shape") from None
    return EthProof(answer.url, contract, tuple(positions), account, slots)


def header_rlp(block: Mapping[str, Any]) -> bytes:
    """RLP of a block header from `eth_getBlockByNumber`. Raises AnswerUnreadable."""
    items: list[bytes] = []
    for position, (name, number) in enumerate(_HEADER):
        value = block.get(name)
        if value is None:
            if position < _HEADER_REQUIRED:
                raise ProofNotCaptured(f"a node's block lacks {name}")
            break
        if number:
            items.append(rlp.integer(quantity(value)))
        else:
            items.append(binary(value))
    return rlp.encode_list(items)
