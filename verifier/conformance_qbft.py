"""Conformance kind `mpt-qbft`: a recorded QBFT storage proof, or a recorded header."""

from __future__ import annotations

from verifier import mpt
from verifier.errors import ClaimMismatch, FieldMissing
from verifier.qbft import QbftHeader, parse_header, verify_header
from verifier.strict_json import Fields, Json

_STORAGE_ONLY = ("proof", "contract", "slot", "value", "block_number")
_VOTE_FORM = ("n_validators", "vote", "seals")


def check(value: Json) -> str:
    """Verify one entry of `storage_proofs` or of `headers`, told apart by the fields that it has."""
    fields = Fields(value)
    fields.skip("kind", "about", "engine")
    if any(fields.has(name) for name in _STORAGE_ONLY):
        return _storage(fields)
    return _header(fields)


def _claim(holds: bool, field: str) -> None:
    if not holds:
        raise ClaimMismatch(field=field)


def _sealed(fields: Fields, validators: list[bytes]) -> tuple[QbftHeader, tuple[bytes, ...]]:
    header, sealers = verify_header(fields.hex("header_rlp"), validators)
    _claim(fields.hex("block_hash", 32) == header.block_hash, "block_hash")
    return header, sealers


def _storage(fields: Fields) -> str:
    header, sealers = _sealed(fields, fields.addresses("validators"))
    _claim(tuple(fields.addresses("sealers")) == sealers, "sealers")
    _claim(fields.integer("block_number") == header.number, "block_number")
    contract, slot = fields.address("contract"), fields.hex("slot", 32)
    word = bytes(32) if fields.raw("value") is None else fields.hex("value", 32)
    proof = fields.child("proof")
    fields.done()
    _claim(proof.address("address") == contract, "proof.address")
    record = mpt.account(header.state_root, contract, proof.hexes("accountProof"))
    _claim(proof.quantity("balance") == record.balance, "proof.balance")
    _claim(proof.quantity("nonce") == record.nonce, "proof.nonce")
    _claim(proof.hex("codeHash", 32) == record.code_hash, "proof.codeHash")
    _claim(proof.hex("storageHash", 32) == record.storage_root, "proof.storageHash")
    slots = proof.children("storageProof")
    if len(slots) != 1:
        raise proof.invalid("storageProof", "one slot")
    proof.done()
    _claim(slots[0].hex("key", 32) == slot, "proof.storageProof[0].key")
    proved = mpt.storage(record.storage_root, slot, slots[0].hexes("proof"))
    stored = proved or bytes(32)
    _claim(slots[0].quantity("value") == int.from_bytes(stored, "big"), "proof.storageProof[0].value")
    slots[0].done()
    _claim(word == stored, "value")
    return (
        f"block {header.number}, {len(sealers)} of {len(header.validators)} seals, "
        f"{'absent' if proved is None else 'present'}, code hash {record.code_hash.hex()}"
    )


def _header(fields: Fields) -> str:
    raw = fields.hex("header_rlp")
    given = fields.has("validators")
    header, sealers = _sealed(
        fields, fields.addresses("validators") if given else list(parse_header(raw).validators)
    )
    _claim(fields.integer("number") == header.number, "number")
    if not fields.has("round") and not any(fields.has(name) for name in _VOTE_FORM):
        raise FieldMissing("either round, or n_validators, vote and seals", field="round")
    if fields.has("round"):
        _claim(fields.integer("round") == header.round, "round")
    if any(fields.has(name) for name in _VOTE_FORM):
        _claim(fields.integer("n_validators") == len(header.validators), "n_validators")
        _claim(tuple(fields.hexes("vote")) == header.vote, "vote")
        _claim(fields.integer("seals") == len(header.seals), "seals")
    if fields.has("sealers"):
        _claim(tuple(fields.addresses("sealers")) == sealers, "sealers")
    fields.done()
    source = "given validators" if given else "validators as the header names them, which no one vouched for"
    return f"block {header.number}, {len(sealers)} of {len(header.validators)} seals, {source}"
