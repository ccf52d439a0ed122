"""Conformance kind `mpt-clique`: a recorded run of Clique headers, alone or with a storage proof."""

from __future__ import annotations

from verifier.clique import verify_headers
from verifier.conformance_mpt import check_storage, claim
from verifier.strict_json import Fields, Json

_STORAGE = ("proof", "contract", "slot", "value")


def check(value: Json) -> str:
    """Verify one line; with any field of a storage proof it has to have all of them."""
    fields = Fields(value)
    fields.skip("kind", "about", "engine")
    headers, sealers = verify_headers(fields.hexes("headers"), fields.addresses("signers"))
    first = headers[0]
    claim(tuple(fields.addresses("sealers")) == sealers, "sealers")
    claim(fields.integer("block_number") == first.number, "block_number")
    claim(fields.hex("block_hash", 32) == first.block_hash, "block_hash")
    said = f"block {first.number}, {len(headers) - 1} on top by {len(set(sealers))} signers"
    if any(fields.has(name) for name in _STORAGE):
        return f"{said}, {check_storage(fields, first.state_root)}"
    fields.done()
    return said
