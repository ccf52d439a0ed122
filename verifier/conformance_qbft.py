"""Conformance kind `mpt-qbft`: a recorded QBFT storage proof, or a recorded header."""

from __future__ import annotations

from verifier.conformance_mpt import check_storage, claim
from verifier.errors import FieldMissing
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


def _sealed(fields: Fields, validators: list[bytes]) -> tuple[QbftHeader, tuple[bytes, ...]]:
    header, sealers = verify_header(fields.hex("header_rlp"), validators)
    claim(fields.hex("block_hash", 32) == header.block_hash, "block_hash")
    return header, sealers


def _storage(fields: Fields) -> str:
    header, sealers = _sealed(fields, fields.addresses("validators"))
    claim(tuple(fields.addresses("sealers")) == sealers, "sealers")
    claim(fields.integer("block_number") == header.number, "block_number")
    proved = check_storage(fields, header.state_root)
    return f"block {header.number}, {len(sealers)} of {len(header.validators)} seals, {proved}"


def _header(fields: Fields) -> str:
    raw = fields.hex("header_rlp")
    given = fields.has("validators")
    header, sealers = _sealed(
        fields, fields.addresses("validators") if given else list(parse_header(raw).validators)
    )
    claim(fields.integer("number") == header.number, "number")
    if not fields.has("round") and not any(fields.has(name) for name in _VOTE_FORM):
        raise FieldMissing("either round, or n_validators, vote and seals", field="round")
    if fields.has("round"):
        claim(fields.integer("round") == header.round, "round")
    if any(fields.has(name) for name in _VOTE_FORM):
        claim(fields.integer("n_validators") == len(header.validators), "n_validators")
        claim(tuple(fields.hexes("vote")) == header.vote, "vote")
        claim(fields.integer("seals") == len(header.seals), "seals")
    if fields.has("sealers"):
        claim(tuple(fields.addresses("sealers")) == sealers, "sealers")
    fields.done()
    source = "given validators" if given else "validators as the header names them, which no one vouched for"
    return f"block {header.number}, {len(sealers)} of {len(header.validators)} seals, {source}"
