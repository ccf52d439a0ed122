"""State of a CometBFT EVM chain (`injectived`) under an app hash: contract storage and code hash.

Store `evm` holds storage words under `02 ‖ address ‖ slot`; store `acc` holds account records under
`01 ‖ address`, the record naming the code hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifier import ics23
from verifier.cometbft import SignedHeader, Validator, verify_signed_header
from verifier.errors import (
    CometAccountMalformed,
    Ics23KeyMismatch,
    Ics23Malformed,
    Ics23ValueMismatch,
    ProtoLimit,
    ProtoMalformed,
)
from verifier.proto import Kind, read
from verifier.proven import ProvenSlot

EVM_STORE = "evm"
ACCOUNT_STORE = "acc"
_ACCOUNT_TYPE = b"/injective.types.v1beta1.EthAccount"


@dataclass(frozen=True, slots=True)
class StoreProof:
    """A key's proof in its store, and the store root's proof in the multistore (ICS-23 CommitmentProofs)."""

    iavl: bytes
    simple: bytes


@dataclass(frozen=True, slots=True)
class AccountProof:
    """The account record (protobuf `Any`) and its proofs."""

    value: bytes
    proof: StoreProof


def storage_key(contract: bytes, slot: bytes) -> bytes:
    """Key of a storage word in store `evm`."""
    if len(contract) != 20 or len(slot) != 32:
        raise Ics23KeyMismatch("a contract has 20 bytes and a slot 32", field="slot")
    return b"\x02" + contract + slot


def account_key(address: bytes) -> bytes:
    """Key of an account record in store `acc`."""
    if len(address) != 20:
        raise Ics23KeyMismatch("an address has 20 bytes", field="contract")
    return b"\x01" + address


def store_root(app_hash: bytes, store: str, proof: bytes) -> bytes:
    """IAVL root of one store, proved under the app hash."""
    root = ics23.lookup(ics23.SIMPLE, app_hash, store.encode(), proof)
    if root is None or len(root) != 32:
        raise Ics23Malformed("the multistore holds no root for this store", field="store")
    return root


def storage_word(evm_root: bytes, contract: bytes, slot: bytes, proof: bytes) -> bytes | None:
    """32-byte word under the root of store `evm`, or None when its absence is proved (the EVM reads zero)."""
    value = ics23.lookup(ics23.IAVL, evm_root, storage_key(contract, slot), proof)
    if value is not None and len(value) != 32:
        raise Ics23Malformed("a storage word has 32 bytes", field="value")
    return value


def code_hash(acc_root: bytes, contract: bytes, record: bytes, proof: bytes) -> bytes:
    """Code hash of `contract`, from its account record proved under the root of store `acc`."""
    if ics23.lookup(ics23.IAVL, acc_root, account_key(contract), proof) != record:
        raise Ics23ValueMismatch("the account record is not the proved one", field="account")
    return parse_code_hash(record)


def parse_code_hash(record: bytes) -> bytes:
    """Code hash in an account record: Any{type, EthAccount{base account, code hash}}."""
    try:
        outer = read(record, {1: Kind.BYTES, 2: Kind.BYTES})
        account = read(outer.blob(2), {1: Kind.MESSAGE, 2: Kind.BYTES})
    except (ProtoMalformed, ProtoLimit) as error:
        raise CometAccountMalformed(error.detail, field="account") from error
    digest = account.blob(2)
    if outer.blob(1) != _ACCOUNT_TYPE or len(digest) != 32:
        raise CometAccountMalformed("not an EVM account with a code hash", field="account")
    return digest


def verify_ics23_storage(
    signed: SignedHeader,
    validators: Sequence[Validator],
    chain_id: str,
    contract: bytes,
    slot: bytes,
    storage: StoreProof,
    account: AccountProof,
) -> ProvenSlot:
    """Storage word (or its absence) of `contract` at `slot`, and the contract's code hash, in a final block.

    `validators`, `chain_id`, `contract` and `slot` are the caller's, from the trust file. The state is that
    after block `height`; the signed header is that of height + 1. `block_hash` is the signed header's.
    """
    block_hash = verify_signed_header(signed, validators, chain_id)
    app_hash = signed.header.app_hash
    evm_root = store_root(app_hash, EVM_STORE, storage.simple)
    acc_root = store_root(app_hash, ACCOUNT_STORE, account.proof.simple)
    return ProvenSlot(
        height=signed.header.height - 1,
        state_root=app_hash,
        block_hash=block_hash,
        time_ns=signed.header.time.ns,
        value=storage_word(evm_root, contract, slot, storage.iavl),
        code_hash=code_hash(acc_root, contract, account.value, account.proof.iavl),
    )
