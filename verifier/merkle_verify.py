"""RFC 9162 §2.1: verification of inclusion and consistency proofs. Short, meant to be read by an expert.

Both functions raise and never return a verdict. A proof is refused when it is longer or shorter than the two
numbers require, so no element of it is ever left unread. An inclusion path fixes the tree size only as far as
the size changes the path's shape: the size is bound by what names the root (the batch link, a checkpoint).
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest

from protocol.hashing import HASH_LEN, HashAlg
from verifier.errors import (
    MerkleConsistencyFromEmpty,
    MerkleHashLength,
    MerkleIndexOutOfRange,
    MerkleProofLength,
    MerkleRootMismatch,
    MerkleSizeOutOfRange,
    MerkleSizesDecrease,
)

MAX_TREE_SIZE = (1 << 63) - 1
"""Largest size: every size fits a signed 64-bit integer in every language that reads a receipt."""


def check_size(size: int, field: str = "size") -> None:
    """Refuse a size outside 0 … 2^63 - 1."""
    if not 0 <= size <= MAX_TREE_SIZE:
        raise MerkleSizeOutOfRange("sizes are between 0 and 2^63 - 1", field=field)


def check_hash(value: bytes, field: str) -> None:
    """Refuse a hash that is not 32 bytes."""
    if len(value) != HASH_LEN:
        raise MerkleHashLength(f"{len(value)} bytes instead of {HASH_LEN}", field=field)


def _check_path(path: Sequence[bytes]) -> None:
    if len(path) > 64:
        raise MerkleProofLength("no tree below 2^63 leaves needs more than 64 elements", field="proof")
    for element in path:
        check_hash(element, "proof")


def _equal(root: bytes, expected: bytes, field: str) -> None:
    if not compare_digest(root, expected):
        raise MerkleRootMismatch("the recomputed root is another one", field=field)


def root_from_inclusion(
    alg: HashAlg, leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]
) -> bytes:
    """Root of the tree of `size` leaves in which `leaf_hash` stands at `index` (RFC 9162 §2.1.3.2).

    `leaf_hash` is H(0x00 || leaf). Raises unless the path has exactly the length that index and size need.
    """
    check_size(size)
    if not 0 <= index < size:
        raise MerkleIndexOutOfRange("the index must lie below the size", field="index")
    check_hash(leaf_hash, "leafHash")
    _check_path(path)
    fn, sn, root = index, size - 1, leaf_hash
    for element in path:
        if sn == 0:
            raise MerkleProofLength("inclusion proof too long", field="proof")
        if fn & 1 or fn == sn:
            root = alg.node(element, root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = alg.node(root, element)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise MerkleProofLength("inclusion proof too short", field="proof")
    return root


def verify_inclusion(
    alg: HashAlg, leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Raise unless `leaf_hash` is leaf `index` of the tree (`size`, `root`)."""
    check_hash(root, "root")
    _equal(root_from_inclusion(alg, leaf_hash, index, size, path), root, "root")


def verify_consistency(
    alg: HashAlg, size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Raise unless the tree (`size1`, `root1`) is a prefix of (`size2`, `root2`) (RFC 9162 §2.1.4.2).

    Equal sizes take an empty proof and equal roots. From size 0 everything would be consistent, so it is
    refused; a first anchor is a case of its own, decided by the caller.
    """
    check_size(size1, "size1")
    check_size(size2, "size2")
    if size1 == 0:
        raise MerkleConsistencyFromEmpty(field="size1")
    if size2 < size1:
        raise MerkleSizesDecrease(f"{size2} < {size1}", field="size2")
    check_hash(root1, "root1")
    check_hash(root2, "root2")
    _check_path(proof)
    if size1 == size2:
        if proof:
            raise MerkleProofLength("equal sizes take an empty proof", field="proof")
        _equal(root1, root2, "root2")
        return
    elements = list(proof)
    if size1 & (size1 - 1) == 0:
        # A complete first tree is a node of the second one; the proof leaves out what the verifier holds.
        elements.insert(0, root1)
    if not elements:
        raise MerkleProofLength("consistency proof too short", field="proof")
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = elements[0]
    for element in elements[1:]:
        if sn == 0:
            raise MerkleProofLength("consistency proof too long", field="proof")
        if fn & 1 or fn == sn:
            first, second = alg.node(element, first), alg.node(element, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = alg.node(second, element)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise MerkleProofLength("consistency proof too short", field="proof")
    _equal(first, root1, "root1")
    _equal(second, root2, "root2")
