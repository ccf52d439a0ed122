"""The chain's part of a batch's receipts: captured while nodes hold the state, verified before it is kept.

One block proves everything: the batch's link, the code of both contracts, and the key of each signer. What
all receipts of the batch share is stored once; each signer's key proof is apart. A node whose part does not
verify is left, and the others are asked again.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.capture_clique import capture_clique
from chain.capture_mpt import capture_qbft, header_rlp
from chain.capture_parts import (
    ZERO32,
    CapturedBatch,
    CodeMismatch,
    Lied,
    LinkAbsent,
    OtherBatchAnchored,
    Wanted,
    assemble,
    prove_assembled,
    split,
)
from chain.deployment import Deployment
from chain.evm import binary, quantity
from chain.proofs import ProofBundle, ProofNotCaptured, StoreProof
from chain.proofs import capture as capture_bundle
from chain.rpc import Lie, RpcPool
from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from protocol.keyslot import key_slot_position, link_slot_position
from verifier import cosmos_state
from verifier.chainproof import Ics23Proof, Ics23Value, NoProof
from verifier.cometbft import SignedHeader, Validator, validators_hash, verify_signed_header
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.strict_json import Fields
from verifier.trust_payload import TrustedChain

__all__ = [
    "CapturedBatch",
    "CodeMismatch",
    "LinkAbsent",
    "OtherBatchAnchored",
    "assemble",
    "capture",
    "header_rlp",
    "split",
]


async def capture(
    pool: RpcPool,
    deployment: Deployment,
    log_id: bytes,
    number: int,
    signer_addresses: Sequence[bytes],
    height: int | None = None,
    *,
    trusted: TrustedChain | None = None,
    expected_link: bytes | None = None,
    attempts: int = 4,
    wait: float = 20.0,
) -> CapturedBatch:
    """Prove batch `number` of a log and its signers' keys in one final block, at or after the anchor's.

    `height` is the block whose state is proved, None for the newest. With `trusted` the validators are the
    trust file's; without it, those that the nodes name (then `CapturedBatch.trusted` is False). `wait`:
    seconds until the next block, whose header signs the state, must be there (Clique: the blocks on top).

    Raises LinkAbsent, OtherBatchAnchored, CodeMismatch, ProofNotCaptured (retryable).
    """
    keys = {signer: key_slot_position(signer) for signer in signer_addresses}
    wanted = Wanted(deployment, link_slot_position(log_id, number), keys, expected_link)
    kind = pool.profile.proof
    if height is None:
        height = await _head(pool)
    failure: CaseledgerError = ProofNotCaptured("no node gave a proof that verifies")
    for _ in range(max(1, attempts)):
        left = sum(pool.metrics.left.values())
        try:
            if kind == "ics23":
                return await _ics23(pool, wanted, height, trusted, wait)
            if kind == "mpt-qbft":
                return await capture_qbft(pool, wanted, height, trusted)
            if kind == "mpt-clique":
                return await capture_clique(pool, wanted, height, trusted, wait)
            return await _none(pool, wanted, height)
        except Lied as lie:
            pool.report_lie(lie.url, Lie.BAD_PROOF, lie.reason)
            failure = ProofNotCaptured(f"a node's proof does not verify: {lie.reason}")
        except ProofNotCaptured as error:
            if sum(pool.metrics.left.values()) == left:
                raise  # nobody was left over it: the same nodes would say the same
            failure = error
    raise failure


async def _head(pool: RpcPool) -> int:
    head = quantity(await pool.call("eth_blockNumber", []))
    return max(0, head - pool.profile.depth)


# CometBFT


async def _ics23(
    pool: RpcPool, wanted: Wanted, height: int, trusted: TrustedChain | None, wait: float
) -> CapturedBatch:
    log, registry = wanted.deployment.evidence_log.address, wanted.deployment.registry.address
    slots = [(log, wanted.link_position), *((registry, at) for at in wanted.keys.values())]
    bundle = await capture_bundle(pool, height, slots=slots, accounts=[log, registry], wait=wait)
    signed = _signed_header(bundle, wanted.deployment, trusted)
    app_hash = signed.header.app_hash
    evm_store = _simple(bundle.storage[0])
    acc_store = _simple(bundle.accounts[0])
    words = [_word(app_hash, part, *slot) for part, slot in zip(bundle.storage, slots, strict=True)]
    codes = [
        _code(app_hash, part, address) for part, address in zip(bundle.accounts, (log, registry), strict=True)
    ]
    wanted.check_code("EvidenceLog", codes[0])
    wanted.check_code("ConsortiumRegistry", codes[1])
    link = wanted.check_link(words[0], height)

    def proof(key: Ics23Value) -> Ics23Proof:
        return Ics23Proof(
            state_height=height,
            signed=signed,
            evm_store=evm_store,
            acc_store=acc_store,
            log_account=Ics23Value(bundle.accounts[0].value, _iavl(bundle.accounts[0])),
            registry_account=Ics23Value(bundle.accounts[1].value, _iavl(bundle.accounts[1])),
            link=Ics23Value(link, _iavl(bundle.storage[0])),
            key=key,
        )

    shared, _ = split(proof(Ics23Value(ZERO32, b"")))
    keys: dict[bytes, bytes] = {}
    missing: list[bytes] = []
    for signer, part, word in zip(wanted.signers, bundle.storage[1:], words[1:], strict=True):
        if word is None:
            missing.append(signer)
        else:
            _, keys[signer] = split(proof(Ics23Value(word, _iavl(part))))
    validators = _validators_of(bundle, trusted, signed.header.height)
    prove_assembled(shared, keys, wanted, validators, wanted.deployment.network_id, bundle.sources[0])
    return CapturedBatch("ics23", height, link, shared, keys, tuple(missing), trusted is not None)


def _signed_header(bundle: ProofBundle, deployment: Deployment, trusted: TrustedChain | None) -> SignedHeader:
    """The header that more than two thirds signed. The node that gave a bad one is named."""
    raw = bundle.signed
    try:
        signed = signed_header_from_rpc_json({"header": raw.header, "commit": raw.commit})
    except CaseledgerError as error:
        raise Lied(raw.header_source, error.code) from None
    validators = _validators_of(bundle, trusted, raw.height)
    try:
        verify_signed_header(signed, validators, deployment.network_id)
    except CaseledgerError as error:
        if trusted is None and signed.header.validators_hash != validators_hash(validators):
            # Header and validators are of two nodes: the one whose set nobody signed is the liar, and
            # without a trust file that cannot be told. Leave the giver of the set first.
            raise Lied(raw.validators_source, error.code) from None
        raise Lied(raw.header_source, error.code) from None
    return signed


def _validators_of(bundle: ProofBundle, trusted: TrustedChain | None, height: int) -> list[Validator]:
    if trusted is not None:
        epoch = trusted.epoch_at(height)
        if epoch is None:
            raise ProofNotCaptured(
                f"the trust file has no validators for block {height}",
                hint="the validator set changed: a successor of the trust file is needed",
            )
        return [Validator(v.public_key, v.power) for v in epoch.validators]
    try:
        fields = Fields({"validators": list(bundle.signed.validators)}, "validators")
        return validators_from_rpc_json(fields)
    except CaseledgerError as error:
        raise Lied(bundle.signed.validators_source, error.code) from None


def _iavl(part: StoreProof) -> bytes:
    return _operation(part, 0, "ics23:iavl")


def _simple(part: StoreProof) -> bytes:
    return _operation(part, 1, "ics23:simple")


def _operation(part: StoreProof, index: int, kind: str) -> bytes:
    if len(part.ops) != 2 or part.ops[index].type != kind:
        raise Lied(part.source, "proof of another shape")
    return part.ops[index].data


def _word(app_hash: bytes, part: StoreProof, contract: bytes, position: bytes) -> bytes | None:
    """The proved word, or None where its absence is proved."""
    try:
        root = cosmos_state.store_root(app_hash, cosmos_state.EVM_STORE, _simple(part))
        word = cosmos_state.storage_word(root, contract, position, _iavl(part))
    except CaseledgerError as error:
        raise Lied(part.source, error.code) from None
    if (word or b"") != part.value:
        raise Lied(part.source, "value is not the proved one")
    return word


def _code(app_hash: bytes, part: StoreProof, contract: bytes) -> bytes:
    try:
        root = cosmos_state.store_root(app_hash, cosmos_state.ACCOUNT_STORE, _simple(part))
        return cosmos_state.code_hash(root, contract, part.value, _iavl(part))
    except CaseledgerError as error:
        raise Lied(part.source, error.code) from None


# Development chain


async def _none(pool: RpcPool, wanted: Wanted, height: int) -> CapturedBatch:
    """Nothing is proved; what the node says is still compared with what is expected."""
    log, registry = wanted.deployment.evidence_log.address, wanted.deployment.registry.address

    async def word(contract: bytes, position: bytes) -> bytes:
        answer = await pool.call(
            "eth_getStorageAt", ["0x" + contract.hex(), "0x" + position.hex(), hex(height)]
        )
        return binary(answer).rjust(32, b"\0")

    for name, contract in wanted.deployment.contracts.items():
        code = binary(await pool.call("eth_getCode", ["0x" + contract.address.hex(), hex(height)]))
        wanted.check_code(name, keccak256(code))
    link = wanted.check_link(await word(log, wanted.link_position), height)
    shared, key = split(NoProof(height))
    keys: dict[bytes, bytes] = {}
    missing: list[bytes] = []
    for signer in wanted.signers:
        if await word(registry, wanted.keys[signer]) == ZERO32:
            missing.append(signer)
        else:
            keys[signer] = key
    return CapturedBatch("none", height, link, shared, keys, tuple(missing), False)
