"""What conformance lines say about a slot under a state root: an `eth_getProof` object and its claims."""

from __future__ import annotations

from verifier import mpt
from verifier.errors import ClaimMismatch
from verifier.strict_json import Fields


def claim(holds: bool, field: str) -> None:
    """Refuse a stated value that is not the proved one."""
    if not holds:
        raise ClaimMismatch(field=field)


def check_storage(fields: Fields, state_root: bytes) -> str:
    """Check `contract`, `slot`, `value` and `proof`, the last ones of a line; what was proved, in words."""
    contract, slot = fields.address("contract"), fields.hex("slot", 32)
    word = bytes(32) if fields.raw("value") is None else fields.hex("value", 32)
    proof = fields.child("proof")
    fields.done()
    claim(proof.address("address") == contract, "proof.address")
    record = mpt.account(state_root, contract, proof.hexes("accountProof"))
    claim(proof.quantity("balance") == record.balance, "proof.balance")
    claim(proof.quantity("nonce") == record.nonce, "proof.nonce")
    claim(proof.hex("codeHash", 32) == record.code_hash, "proof.codeHash")
    claim(proof.hex("storageHash", 32) == record.storage_root, "proof.storageHash")
    slots = proof.children("storageProof")
    if len(slots) != 1:
        raise proof.invalid("storageProof", "one slot")
    proof.done()
    claim(slots[0].hex("key", 32) == slot, "proof.storageProof[0].key")
    proved = mpt.storage(record.storage_root, slot, slots[0].hexes("proof"))
    stored = proved or bytes(32)
    claim(slots[0].quantity("value") == int.from_bytes(stored, "big"), "proof.storageProof[0].value")
    slots[0].done()
    claim(word == stored, "value")
    return f"{'absent' if proved is None else 'present'}, code hash {record.code_hash.hex()}"
