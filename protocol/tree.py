"""The two RFC 9162 computations that a submitter needs: a root over its leaves, a root from one path.

The log's own arithmetic (growing trees, consistency proofs) is the verifier's room.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.errors import MalformedInput
from protocol.hashing import HashAlg


def root(alg: HashAlg, leaf_hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.1 root over leaf hashes; at least one."""
    if not leaf_hashes:
        raise MalformedInput("a tree without leaves is not used here")
    level = leaf_hashes
    while len(level) > 1:
        above = alg.pairs(level)
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


def root_from_path(alg: HashAlg, leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2: the root that the path leads to from leaf `index` of a tree of `size`.

    Raises:
        MalformedInput: index outside the tree, or a path of another length than this tree's shape gives.
    """
    if not 0 <= index < size:
        raise MalformedInput("position is not below the count", field="position")
    node, last, left = leaf_hash, size - 1, list(path)
    while last:
        if index & 1:
            node = alg.node(_next(left), node)
        elif index < last:
            node = alg.node(node, _next(left))
        index >>= 1
        last >>= 1
    if left:
        raise MalformedInput("path is longer than the tree is high", field="path")
    return node


def _next(path: list[bytes]) -> bytes:
    if not path:
        raise MalformedInput("path is shorter than the tree is high", field="path")
    return path.pop(0)
