"""Conformance kind `ics23`: a recorded CometBFT storage proof; the entry's validators stand for the trust
file.
"""

from __future__ import annotations

from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.cosmos_state import (
    ACCOUNT_STORE,
    EVM_STORE,
    AccountProof,
    StoreProof,
    account_key,
    storage_key,
    verify_ics23_storage,
)
from verifier.errors import ClaimMismatch
from verifier.strict_json import Fields, Json, base64_bytes

_OPS = ("ics23:iavl", "ics23:simple")


def check(value: Json) -> str:
    """Verify one entry. Everything but `kind`, `about`, `engine`, `evm_block_hash`, priorities is
    compared.
    """
    fields = Fields(value)
    fields.skip("kind", "about", "engine", "evm_block_hash")
    contract, slot = fields.address("contract"), fields.hex("slot", 32)
    word = None if fields.raw("value") is None else fields.hex("value", 32)
    height = fields.integer("height")
    signed = signed_header_from_rpc_json(fields.raw("signed_header"))
    validators = validators_from_rpc_json(fields)
    if fields.has("chain_id") and fields.text("chain_id") != signed.header.chain_id:
        raise ClaimMismatch("the header is of another chain", field="chain_id")
    storage = _store(fields.child("storage"), EVM_STORE, storage_key(contract, slot))
    account_fields = fields.child("account")
    record = account_fields.base64("value")
    account = AccountProof(record, _store(account_fields, ACCOUNT_STORE, account_key(contract)))
    fields.done()
    proven = verify_ics23_storage(
        signed, validators, signed.header.chain_id, contract, slot, storage, account
    )
    if proven.height != height:
        raise ClaimMismatch(f"the header commits to the state of block {proven.height}", field="height")
    if proven.value != word:
        raise ClaimMismatch("another word is proved", field="value")
    return (
        f"chain {signed.header.chain_id}, height {height}, "
        f"{'absent' if word is None else 'present'}, code hash {proven.code_hash.hex()}"
    )


def _store(fields: Fields, store: str, key: bytes) -> StoreProof:
    if fields.text("store") != store:
        raise fields.invalid("store", store)
    if fields.hex("key") != key:
        raise ClaimMismatch("not the key of this contract and slot", field=fields.name("key"))
    ops = fields.children("ops")
    if len(ops) != 2:
        raise fields.invalid("ops", "two operations")
    fields.done()
    data = []
    for op, kind, op_key in zip(ops, _OPS, (key, store.encode()), strict=True):
        if op.text("type") != kind:
            raise op.invalid("type", kind)
        if base64_bytes(op.text("key")) != op_key:
            raise ClaimMismatch("not the key of this operation", field=op.name("key"))
        data.append(op.base64("data"))
        op.done()
    return StoreProof(*data)
