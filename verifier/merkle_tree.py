"""RFC 9162 §2.1: roots and proofs as the log and the agent build them.

Three shapes of the same tree: `Tree` holds all levels of a small tree (a bulk request), `Frontier` holds only
the right edge of a growing one, and the two `*_proof` functions read stored nodes through a callback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from protocol.hashing import HASH_LEN, HashAlg
from verifier.errors import (
    MerkleConsistencyFromEmpty,
    MerkleFrontierMalformed,
    MerkleHashLength,
    MerkleIndexOutOfRange,
    MerkleSizesDecrease,
)
from verifier.merkle_verify import check_hash, check_size

NodeReader = Callable[[int, int], bytes]
"""`get(level, index)`: root of the complete subtree over leaves [index << level, (index + 1) << level)."""

_BLOCK_LEVEL = 8


def _check_leaves(leaf_hashes: Sequence[bytes]) -> None:
    if leaf_hashes and set(map(len, leaf_hashes)) != {HASH_LEN}:
        raise MerkleHashLength("every leaf hash has 32 bytes", field="leaves")


def tree_root(alg: HashAlg, leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes in order; the empty tree has the digest of the empty string."""
    _check_leaves(leaf_hashes)
    if not leaf_hashes:
        return alg.empty
    level = leaf_hashes
    while len(level) > 1:
        above = alg.pairs(level)
        if len(level) & 1:
            # An odd last node has no sibling yet and moves up as it is.
            above.append(level[-1])
        level = above
    return level[0]


class Tree:
    """All levels of one small tree: the root and every inclusion path in one pass."""

    def __init__(self, alg: HashAlg, leaf_hashes: Sequence[bytes]) -> None:
        _check_leaves(leaf_hashes)
        self._levels: list[Sequence[bytes]] = [leaf_hashes]
        self._empty = alg.empty
        while len(level := self._levels[-1]) > 1:
            above = alg.pairs(level)
            if len(level) & 1:
                above.append(level[-1])
            self._levels.append(above)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        return self._levels[-1][0] if self.size else self._empty

    def path(self, index: int) -> tuple[bytes, ...]:
        """Inclusion path of leaf `index`, from the leaf upwards."""
        if not 0 <= index < self.size:
            raise MerkleIndexOutOfRange(field="index")
        return self._path_from(0, index)

    def _path_from(self, level: int, index: int) -> tuple[bytes, ...]:
        out = []
        for nodes in self._levels[level:-1]:
            sibling = index ^ 1
            if sibling < len(nodes):
                out.append(nodes[sibling])
            index >>= 1
        return tuple(out)

    def paths(self) -> Iterator[tuple[bytes, ...]]:
        """Every inclusion path in leaf order, lazily: neighbours share the work for the upper part."""
        if not self.size:
            return
        top = min(_BLOCK_LEVEL, len(self._levels) - 1)
        for block in range(len(self._levels[top])):
            paths = [self._path_from(top, block)]
            for depth in range(top - 1, -1, -1):
                nodes = self._levels[depth]
                first = block << (top - depth)
                below: list[tuple[bytes, ...]] = []
                for offset, path in enumerate(paths):
                    left = first + 2 * offset
                    if left + 1 < len(nodes):
                        below.append((nodes[left + 1], *path))
                        below.append((nodes[left], *path))
                    else:
                        below.append(path)
                paths = below
            yield from paths


def inclusion_path(alg: HashAlg, leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Inclusion path of one leaf. For more than one, build a `Tree` once."""
    return Tree(alg, leaf_hashes).path(index)


def all_paths(alg: HashAlg, leaf_hashes: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Root and all inclusion paths of a batch. `Tree(...).paths()` gives them one by one."""
    tree = Tree(alg, leaf_hashes)
    return tree.root, list(tree.paths())


@dataclass(frozen=True, slots=True)
class NodeRun:
    """New complete nodes of one level: `hashes[i]` is node (`level`, `first + i`)."""

    level: int
    first: int
    hashes: Sequence[bytes]


class Frontier:
    """Right edge of a growing tree: the roots of its complete subtrees, largest first (a compact range)."""

    def __init__(self, alg: HashAlg) -> None:
        self.alg = alg
        self._size = 0
        self._peaks: list[bytes] = []

    @property
    def size(self) -> int:
        return self._size

    def copy(self) -> Frontier:
        other = Frontier(self.alg)
        other._size, other._peaks = self._size, list(self._peaks)
        return other

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf hash."""
        check_hash(leaf_hash, "leaf")
        check_size(self._size + 1)
        node, size = leaf_hash, self._size
        while size & 1:
            node = self.alg.node(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self._size += 1

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[NodeRun]:
        """Add many leaf hashes; returns every node that became complete, level 0 (the leaves) first."""
        _check_leaves(leaf_hashes)
        check_size(self._size + len(leaf_hashes))
        runs: list[NodeRun] = []
        new: Sequence[bytes] = leaf_hashes
        untouched = list(self._peaks)
        low: list[bytes] = []
        level = 0
        while new:
            before = self._size >> level
            runs.append(NodeRun(level, before, new))
            waiting = [untouched.pop(), *new] if before & 1 else new
            if len(waiting) & 1:
                low.append(waiting[-1])
            new = self.alg.pairs(waiting)
            level += 1
        self._peaks = untouched + low[::-1]
        self._size += len(leaf_hashes)
        return runs

    def root(self) -> bytes:
        """Root of the tree as it stands."""
        if not self._peaks:
            return self.alg.empty
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = self.alg.node(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """Size (8 bytes, big-endian) and the peaks, largest first."""
        return self._size.to_bytes(8, "big") + b"".join(self._peaks)

    @classmethod
    def from_bytes(cls, alg: HashAlg, data: bytes) -> Frontier:
        """Restore what `to_bytes` gave; the caller compares `root()` with the checkpoint."""
        size = int.from_bytes(data[:8], "big")
        if len(data) < 8 or size >> 63 or len(data) != 8 + HASH_LEN * size.bit_count():
            raise MerkleFrontierMalformed("length does not fit the size")
        out = cls(alg)
        out._size = size
        out._peaks = [data[i : i + HASH_LEN] for i in range(8, len(data), HASH_LEN)]
        return out


def _range_root(alg: HashAlg, begin: int, end: int, get: NodeReader) -> bytes:
    """Root over leaves [begin, end), where begin is a multiple of a power of two not below end - begin."""
    pieces = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        pieces.append(get(level, begin >> level))
        begin += 1 << level
    root = pieces.pop()
    while pieces:
        root = alg.node(pieces.pop(), root)
    return root


def _split(begin: int, end: int) -> int:
    """Largest power of two below the width, as an offset from begin (RFC 9162 §2.1.1)."""
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def inclusion_proof(alg: HashAlg, index: int, size: int, get: NodeReader) -> list[bytes]:
    """Inclusion path of leaf `index` in the tree of `size` leaves, from stored complete subtrees."""
    check_size(size)
    if not 0 <= index < size:
        raise MerkleIndexOutOfRange(field="index")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = _split(begin, end)
        if index < middle:
            path.append(_range_root(alg, middle, end, get))
            end = middle
        else:
            path.append(_range_root(alg, begin, middle, get))
            begin = middle
    return path[::-1]


def consistency_proof(alg: HashAlg, size1: int, size2: int, get: NodeReader) -> list[bytes]:
    """Consistency proof from `size1` to `size2`, 0 < size1 <= size2; empty when they are equal."""
    check_size(size2)
    if size1 <= 0:
        raise MerkleConsistencyFromEmpty(field="size1")
    if size2 < size1:
        raise MerkleSizesDecrease(f"{size2} < {size1}", field="size2")
    path = []
    begin, end = 0, size2
    while size1 != end:
        middle = _split(begin, end)
        if size1 <= middle:
            path.append(_range_root(alg, middle, end, get))
            end = middle
        else:
            path.append(_range_root(alg, begin, middle, get))
            begin = middle
    if begin:
        path.append(_range_root(alg, begin, end, get))
    return path[::-1]
