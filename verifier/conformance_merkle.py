"""Conformance kind `merkle`: one inclusion or consistency proof, hashes in hex."""

from __future__ import annotations

from protocol.hashing import ALGORITHMS, SHA256, HashAlg
from verifier.errors import MerkleRootMismatch
from verifier.merkle_verify import verify_consistency, verify_inclusion
from verifier.strict_json import Fields, Json

_INCLUSION = ("leafIdx", "treeSize", "root", "leafHash")
_CONSISTENCY = ("size1", "size2", "root1", "root2")


def check(value: Json) -> str:
    """Verify one line; the answer's detail when it holds. Unknown fields are comments, save those below."""
    fields = Fields(value)
    kind = fields.text("kind")
    alg = _alg(fields)
    if kind == "inclusion":
        _refuse(fields, _CONSISTENCY)
        return _inclusion(fields, alg)
    if kind == "consistency":
        _refuse(fields, _INCLUSION)
        return _consistency(fields, alg)
    raise fields.invalid("kind", "inclusion or consistency")


def _alg(fields: Fields) -> HashAlg:
    if not fields.has("hash"):
        return SHA256
    alg = ALGORITHMS.get(fields.text("hash"))
    if alg is None:
        raise fields.invalid("hash", "sha256 or sm3")
    return alg


def _refuse(fields: Fields, other: tuple[str, ...]) -> None:
    """Fields of the other form would be read by nobody and might be believed by somebody."""
    for name in other:
        if fields.has(name):
            raise fields.invalid(name, "only the fields of this kind")


def _proof(fields: Fields) -> list[bytes]:
    # Peers' vectors write an empty proof as null too.
    return [] if fields.raw("proof") is None else fields.hexes("proof", upper=None)


def _inclusion(fields: Fields, alg: HashAlg) -> str:
    index, size = fields.integer("leafIdx"), fields.integer("treeSize")
    root, leaf = fields.hex("root", upper=None), fields.hex("leafHash", upper=None)
    verify_inclusion(alg, leaf, index, size, _proof(fields), root)
    return f"leaf {index} of {size}, {alg.name}"


def _consistency(fields: Fields, alg: HashAlg) -> str:
    size1, size2 = fields.integer("size1"), fields.integer("size2")
    root1, root2 = fields.hex("root1", upper=None), fields.hex("root2", upper=None)
    proof = _proof(fields)
    if size1 == size2 > 0 and not proof:
        # Nothing is hashed for equal sizes; peers' vectors state placeholder roots there.
        if root1 != root2:
            raise MerkleRootMismatch("equal sizes, other roots", field="root2")
        return f"{size1} and {size2} are the same tree"
    verify_consistency(alg, size1, size2, root1, root2, proof)
    return f"{size1} is a prefix of {size2}, {alg.name}"
