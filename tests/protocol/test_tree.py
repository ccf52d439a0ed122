"""The submitter's tree arithmetic agrees with the verifier's."""

from __future__ import annotations

import pytest

from protocol import tree
from protocol.errors import MalformedInput
from protocol.hashing import SHA256, SM3
from verifier.merkle_tree import Tree

LEAVES = [SHA256.leaf(bytes([n])) for n in range(33)]


@pytest.mark.parametrize("size", range(1, 34))
def test_roots_and_paths_agree(size: int) -> None:
    for alg in (SHA256, SM3):
        other = Tree(alg, LEAVES[:size])
        assert tree.root(alg, LEAVES[:size]) == other.root
        for index in range(size):
            path = other.path(index)
            assert tree.root_from_path(alg, LEAVES[index], index, size, path) == other.root


def test_paths_of_another_length_are_refused() -> None:
    path = Tree(SHA256, LEAVES[:13]).path(6)
    for wrong in (path[:-1], (*path, LEAVES[0]), ()):
        with pytest.raises(MalformedInput):
            tree.root_from_path(SHA256, LEAVES[6], 6, 13, wrong)
    for index, size in ((13, 13), (-1, 13), (0, 0)):
        with pytest.raises(MalformedInput):
            tree.root_from_path(SHA256, LEAVES[6], index, size, path)
    with pytest.raises(MalformedInput):
        tree.root(SHA256, [])
