"""The chain's part of a batch's receipts: captured while nodes hold the state, verified before it is kept.

One block proves everything: the batch's link, the code of both contracts, and the key of each signer. What
all receipts of the batch share is stored once; each signer's key proof is apart. A node whose part does not
verify is left, and the others are asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain import rlp
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evm import binary, quantity
from chain.proofs import ProofBundle, ProofNotCaptured, StoreProof
from chain.proofs import capture as capture_bundle
from chain.rpc import Lie, RpcPool, RpcRefused
from protocol import cbor, expect
from protocol.cbor import Encodable
from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from protocol.keyslot import key_slot_position, link_slot_position
from verifier import chainproof, cosmos_state, mpt, qbft
from verifier.chainproof import ChainProof, FinalBlock, Ics23Proof, Ics23Value, MptQbftProof, NoProof
from verifier.cometbft import SignedHeader, Validator, validators_hash, verify_signed_header
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.strict_json import Fields
from verifier.trust_payload import TrustedChain

ZERO32 = bytes(32)
_MAX_PART = 64 * 1024
# Fields of an execution header in RLP order: JSON name, whether a number; the later ones may be absent.
_HEADER: tuple[tuple[str, bool], ...] = (
    ("parentHash", False), ("sha3Uncles", False), ("miner", False), ("stateRoot", False),
    ("transactionsRoot", False), ("receiptsRoot", False), ("logsBloom", False), ("difficulty", True),
    ("number", True), ("gasLimit", True), ("gasUsed", True), ("timestamp", True), ("extraData", False),
    ("mixHash", False), ("nonce", False), ("baseFeePerGas", True), ("withdrawalsRoot", False),
    ("blobGasUsed", True), ("excessBlobGas", True), ("parentBeaconBlockRoot", False), ("requestsHash", False),
)  # fmt: skip
_HEADER_REQUIRED = 15


class LinkAbsent(ChainError):
    """The batch's link is not in the state of this block: it is not anchored there."""

    http_status = 409
    title = "batch not anchored in this block"


class OtherBatchAnchored(ChainError):
    """The chain holds another link for this batch number than the database expects."""

    http_status = 409
    title = "another batch is anchored under this number"


class CodeMismatch(ChainError):
    """A contract's code in this block is not the pinned one."""

    http_status = 500
    title = "contract code is not the pinned one"


@dataclass(frozen=True)
class CapturedBatch:
    """Verified parts. `shared` once a batch, `keys` by signer (20 bytes); `missing` have no key slot.

    `height` is the block whose state is proved; `trusted` says whether the validators were those of a trust
    file or only those that the nodes named.
    """

    kind: str
    height: int
    link: bytes
    shared: bytes
    keys: Mapping[bytes, bytes]
    missing: tuple[bytes, ...]
    trusted: bool


def split(proof: ChainProof) -> tuple[bytes, bytes]:
    """(shared part, key part) of a proof; `assemble` puts them together."""
    members = proof.encode()
    if not isinstance(members, list):
        raise ProofNotCaptured("unexpected proof encoding")
    if isinstance(proof, NoProof):
        return cbor.encode(members), cbor.encode(None)
    return cbor.encode([*members[:-1], None]), cbor.encode(members[-1])


def assemble(shared: bytes, key: bytes) -> ChainProof:
    """The chain proof of one receipt from what `split` made. Raises MalformedInput on damage."""
    members = expect.array(cbor.decode(shared, max_bytes=_MAX_PART), "chain proof", minimum=2)
    last = cbor.decode(key, max_bytes=_MAX_PART)
    if members[0] == NoProof.kind:
        return chainproof.parse(members)
    return chainproof.parse((*members[:-1], last))


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
    seconds until the next block, whose header signs the state, must be there.

    Raises LinkAbsent, OtherBatchAnchored, CodeMismatch, ProofNotCaptured (retryable).
    """
    wanted = _Wanted(
        deployment, link_slot_position(log_id, number), tuple(dict.fromkeys(signer_addresses)), expected_link
    )
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
                return await _mpt(pool, wanted, height, trusted)
            return await _none(pool, wanted, height)
        except _Lied as lie:
            pool.report_lie(lie.url, Lie.BAD_PROOF, lie.reason)
            failure = ProofNotCaptured(f"a node's proof does not verify: {lie.reason}")
        except ProofNotCaptured as error:
            if sum(pool.metrics.left.values()) == left:
                raise  # nobody was left over it: the same nodes would say the same
            failure = error
    raise failure


@dataclass(frozen=True)
class _Wanted:
    deployment: Deployment
    link_position: bytes
    signers: tuple[bytes, ...]
    expected_link: bytes | None

    def check_link(self, word: bytes | None, height: int) -> bytes:
        if word is None or word == ZERO32:
            raise LinkAbsent(f"no link in the state of block {height}")
        if self.expected_link is not None and word != self.expected_link:
            raise OtherBatchAnchored(f"block {height} holds {word.hex()}")
        return word

    def check_code(self, name: str, code_hash: bytes) -> None:
        if code_hash != self.deployment.contracts[name].code_hash:
            raise CodeMismatch(f"{name} has code hash {code_hash.hex()}", field=name)


class _Lied(Exception):
    def __init__(self, url: str, reason: str) -> None:
        super().__init__(reason)
        self.url = url
        self.reason = reason


async def _head(pool: RpcPool) -> int:
    head = quantity(await pool.call("eth_blockNumber", []))
    return max(0, head - pool.profile.depth)


# CometBFT


async def _ics23(
    pool: RpcPool, wanted: _Wanted, height: int, trusted: TrustedChain | None, wait: float
) -> CapturedBatch:
    log, registry = wanted.deployment.evidence_log.address, wanted.deployment.registry.address
    slots = [(log, wanted.link_position), *((registry, key_slot_position(s)) for s in wanted.signers)]
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
    _prove_assembled(shared, keys, wanted, validators, wanted.deployment.network_id, bundle.sources[0])
    return CapturedBatch("ics23", height, link, shared, keys, tuple(missing), trusted is not None)


def _signed_header(bundle: ProofBundle, deployment: Deployment, trusted: TrustedChain | None) -> SignedHeader:
    """The header that more than two thirds signed. The node that gave a bad one is named."""
    raw = bundle.signed
    try:
        signed = signed_header_from_rpc_json({"header": raw.header, "commit": raw.commit})
    except CaseledgerError as error:
        raise _Lied(raw.header_source, error.code) from None
    validators = _validators_of(bundle, trusted, raw.height)
    try:
        verify_signed_header(signed, validators, deployment.network_id)
    except CaseledgerError as error:
        if trusted is None and signed.header.validators_hash != validators_hash(validators):
            # Header and validators are of two nodes: the one whose set nobody signed is the liar, and
            # without a trust file that cannot be told. Leave the giver of the set first.
            raise _Lied(raw.validators_source, error.code) from None
        raise _Lied(raw.header_source, error.code) from None
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
        raise _Lied(bundle.signed.validators_source, error.code) from None


def _iavl(part: StoreProof) -> bytes:
    return _operation(part, 0, "ics23:iavl")


def _simple(part: StoreProof) -> bytes:
    return _operation(part, 1, "ics23:simple")


def _operation(part: StoreProof, index: int, kind: str) -> bytes:
    if len(part.ops) != 2 or part.ops[index].type != kind:
        raise _Lied(part.source, "proof of another shape")
    return part.ops[index].data


def _word(app_hash: bytes, part: StoreProof, contract: bytes, position: bytes) -> bytes | None:
    """The proved word, or None where its absence is proved."""
    try:
        root = cosmos_state.store_root(app_hash, cosmos_state.EVM_STORE, _simple(part))
        word = cosmos_state.storage_word(root, contract, position, _iavl(part))
    except CaseledgerError as error:
        raise _Lied(part.source, error.code) from None
    if (word or b"") != part.value:
        raise _Lied(part.source, "value is not the proved one")
    return word


def _code(app_hash: bytes, part: StoreProof, contract: bytes) -> bytes:
    try:
        root = cosmos_state.store_root(app_hash, cosmos_state.ACCOUNT_STORE, _simple(part))
        return cosmos_state.code_hash(root, contract, part.value, _iavl(part))
    except CaseledgerError as error:
        raise _Lied(part.source, error.code) from None


# QBFT


async def _mpt(pool: RpcPool, wanted: _Wanted, height: int, trusted: TrustedChain | None) -> CapturedBatch:
    log, registry = wanted.deployment.evidence_log.address, wanted.deployment.registry.address
    block = await pool.ask("eth_getBlockByNumber", [hex(height), False])
    try:
        raw = header_rlp(block.result)
        sealed = qbft.parse_header(raw)
    except CaseledgerError as error:
        raise _Lied(block.url, error.code) from None
    validators = _qbft_validators(trusted, sealed.validators, height)
    try:
        final = MptQbftProof(raw, (), (), (), ()).final([(v, 1) for v in validators], "")
    except CaseledgerError as error:
        raise _Lied(block.url, error.code) from None
    log_proof = await _eth_proof(pool, log, [wanted.link_position], height)
    key_positions = [key_slot_position(signer) for signer in wanted.signers]
    registry_proof = await _eth_proof(pool, registry, key_positions, height)
    wanted.check_code("EvidenceLog", log_proof.code_hash(final))
    wanted.check_code("ConsortiumRegistry", registry_proof.code_hash(final))
    link = wanted.check_link(log_proof.word(final, 0), height)
    keys: dict[bytes, bytes] = {}
    missing: list[bytes] = []
    shared, _ = split(MptQbftProof(raw, log_proof.account, log_proof.slots[0], registry_proof.account, ()))
    for index, signer in enumerate(wanted.signers):
        if registry_proof.word(final, index) is None:
            missing.append(signer)
            continue
        nodes: Encodable = list(registry_proof.slots[index])
        keys[signer] = cbor.encode(nodes)
    proved = [(address, 1) for address in validators]
    _prove_assembled(shared, keys, wanted, proved, wanted.deployment.network_id, block.url)
    return CapturedBatch("mpt-qbft", height, link, shared, keys, tuple(missing), trusted is not None)


def _qbft_validators(trusted: TrustedChain | None, named: Sequence[bytes], height: int) -> Sequence[bytes]:
    if trusted is None:
        return named
    epoch = trusted.epoch_at(height)
    if epoch is None:
        raise ProofNotCaptured(
            f"the trust file has no validators for block {height}",
            hint="the validator set changed: a successor of the trust file is needed",
        )
    return [v.public_key for v in epoch.validators]


@dataclass(frozen=True)
class _EthProof:
    url: str
    contract: bytes
    positions: tuple[bytes, ...]
    account: tuple[bytes, ...]
    slots: tuple[tuple[bytes, ...], ...]

    def code_hash(self, final: FinalBlock) -> bytes:
        try:
            return mpt.account(final.state_root, self.contract, self.account).code_hash
        except CaseledgerError as error:
            raise _Lied(self.url, error.code) from None

    def word(self, final: FinalBlock, index: int) -> bytes | None:
        try:
            root = mpt.account(final.state_root, self.contract, self.account).storage_root
            return mpt.storage(root, self.positions[index], self.slots[index])
        except CaseledgerError as error:
            raise _Lied(self.url, error.code) from None


async def _eth_proof(pool: RpcPool, contract: bytes, positions: Sequence[bytes], height: int) -> _EthProof:
    """`eth_getProof` (EIP-1186): nodes of the account and of each slot, root first."""
    try:
        answer = await pool.ask(
            "eth_getProof",
            ["0x" + contract.hex(), ["0x" + position.hex() for position in positions], hex(height)],
        )
    except RpcRefused as error:
        raise ProofNotCaptured(f"state of block {height}: {error.code}", hint="capture sooner") from None
    try:
        result = answer.result
        account = tuple(binary(node) for node in result["accountProof"])
        slots = tuple(tuple(binary(node) for node in entry["proof"]) for entry in result["storageProof"])
        if len(slots) != len(positions):
            raise ValueError
    except (KeyError, TypeError, ValueError, CaseledgerError):
        raise _Lied(answer.url, "proof of another shape") from None
    return _EthProof(answer.url, contract, tuple(positions), account, slots)


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


# Development chain


async def _none(pool: RpcPool, wanted: _Wanted, height: int) -> CapturedBatch:
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
        if await word(registry, key_slot_position(signer)) == ZERO32:
            missing.append(signer)
        else:
            keys[signer] = key
    return CapturedBatch("none", height, link, shared, keys, tuple(missing), False)


def _prove_assembled(
    shared: bytes,
    keys: Mapping[bytes, bytes],
    wanted: _Wanted,
    validators: Sequence[Validator] | Sequence[tuple[bytes, int]],
    network_id: str,
    url: str,
) -> None:
    """What will be stored, put together again as a receipt does it, passes the offline verifier."""
    pairs = [(v.pub_key, v.power) if isinstance(v, Validator) else v for v in validators]
    log, registry = wanted.deployment.evidence_log, wanted.deployment.registry
    try:
        for signer, key in keys.items():
            proof = assemble(shared, key)
            if isinstance(proof, NoProof):
                return
            block = proof.final(pairs, network_id)
            opened = proof.open_log(block, log.address, wanted.link_position)
            held = proof.open_registry(block, registry.address, key_slot_position(signer))
            wanted.check_code("EvidenceLog", opened.code_hash)
            wanted.check_code("ConsortiumRegistry", held.code_hash)
    except ChainError:
        raise
    except CaseledgerError as error:
        raise _Lied(url, error.code) from None
