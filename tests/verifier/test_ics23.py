"""ICS-23 proofs of a tree that this file builds; recorded ones are held in test_conformance_mutations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from verifier import ics23
from verifier.errors import (
    Ics23KeyMismatch,
    Ics23Malformed,
    Ics23NotAbsent,
    Ics23RootMismatch,
    Ics23SpecViolation,
)
from verifier.ics23 import IAVL, SIMPLE, TreeSpec
from verifier.proto import put_bytes, put_message, put_uint, uvarint

SPECS = {"iavl": IAVL, "tendermint": SIMPLE}
IAVL_LEAF = bytes.fromhex("000202")


@dataclass(frozen=True)
class Node:
    digest: bytes
    height: int
    size: int


def zigzag(value: int) -> bytes:
    return uvarint(value * 2)


def inner(prefix: bytes, suffix: bytes = b"", hash_op: int = 1) -> bytes:
    return put_uint(1, hash_op) + put_bytes(2, prefix) + put_bytes(3, suffix)


def leaf_op(prefix: bytes, **change: int) -> bytes:
    op = {"hash": 1, "key": 0, "value": 1, "length": 1} | change
    numbers = enumerate((op["hash"], op["key"], op["value"], op["length"]), start=1)
    return b"".join(put_uint(i, v) for i, v in numbers) + put_bytes(5, prefix)


class Tree:
    """A binary tree over sorted keys in either form, with the path of every leaf."""

    def __init__(self, spec: TreeSpec, keys: list[bytes]) -> None:
        self.spec = spec
        self.keys = sorted(keys)
        self.paths: dict[bytes, list[bytes]] = {key: [] for key in keys}
        self.root = self._build(self.keys).digest

    def _build(self, keys: list[bytes]) -> Node:
        if len(keys) == 1:
            prefix = IAVL_LEAF if self.spec is IAVL else b"\0"
            key = keys[0]
            raw = prefix + uvarint(len(key)) + key + b"\x20" + sha256(self.value(key))
            return Node(sha256(raw), 0, 1)
        k = 1 << ((len(keys) - 1).bit_length() - 1)
        left, right = self._build(keys[:k]), self._build(keys[k:])
        height, size = 1 + max(left.height, right.height), left.size + right.size
        mark = b"\x20" if self.spec is IAVL else b""
        head = zigzag(height) + zigzag(size) + zigzag(7) if self.spec is IAVL else b"\1"
        for key in keys[:k]:
            self.paths[key].append(inner(head + mark, mark + right.digest))
        for key in keys[k:]:
            self.paths[key].append(inner(head + mark + left.digest + mark))
        return Node(sha256(head + mark + left.digest + mark + right.digest), height, size)

    def value(self, key: bytes) -> bytes:
        return b"value of " + key

    def existence(self, key: bytes, **change: Any) -> bytes:
        leaf = change.get("leaf", leaf_op(IAVL_LEAF if self.spec is IAVL else b"\0"))
        path = change.get("path", self.paths[key])
        body = put_bytes(1, key) + put_bytes(2, change.get("value", self.value(key)))
        return body + put_message(3, leaf) + b"".join(put_message(4, step) for step in path)

    def present(self, key: bytes, **change: Any) -> bytes:
        return put_message(1, self.existence(key, **change))

    def absent(self, key: bytes, left: bytes | None, right: bytes | None) -> bytes:
        body = put_bytes(1, key)
        if left is not None:
            body += put_message(2, self.existence(left))
        if right is not None:
            body += put_message(3, self.existence(right))
        return put_message(2, body)


KEYS = [bytes([65 + i]) * 2 for i in range(11)]
BOTH = pytest.mark.parametrize("spec", [IAVL, SIMPLE], ids=lambda s: s.name)


@BOTH
def test_every_key_is_present_and_every_gap_absent(spec: TreeSpec) -> None:
    for count in range(1, 12):
        tree = Tree(spec, KEYS[:count])
        for key in tree.keys:
            assert ics23.lookup(spec, tree.root, key, tree.present(key)) == tree.value(key)
        for left, right in pairwise(tree.keys):
            gap = left + b"\0"
            assert ics23.lookup(spec, tree.root, gap, tree.absent(gap, left, right)) is None
        first, last = tree.keys[0], tree.keys[-1]
        assert ics23.lookup(spec, tree.root, b"\1", tree.absent(b"\1", None, first)) is None
        assert ics23.lookup(spec, tree.root, b"\xff", tree.absent(b"\xff", last, None)) is None


@BOTH
def test_no_other_pair_of_neighbours_proves_absence(spec: TreeSpec) -> None:
    tree = Tree(spec, KEYS)
    places: list[bytes | None] = [None, *tree.keys]
    for key in [*tree.keys, *(k + b"\0" for k in tree.keys), b"\1"]:
        for left in places:
            for right in places:
                true_left = max((k for k in tree.keys if k < key), default=None)
                true_right = min((k for k in tree.keys if k > key), default=None)
                if key not in tree.keys and (left, right) == (true_left, true_right):
                    continue
                with pytest.raises((Ics23NotAbsent, Ics23Malformed)):
                    ics23.lookup(spec, tree.root, key, tree.absent(key, left, right))


def test_neighbours_of_two_trees_prove_nothing() -> None:
    tree, twin = Tree(IAVL, KEYS), Tree(IAVL, KEYS[:3] + KEYS[4:])
    gap = KEYS[3]
    body = (
        put_bytes(1, gap) + put_message(2, tree.existence(KEYS[2])) + put_message(3, twin.existence(KEYS[4]))
    )
    for root in (tree.root, twin.root):
        with pytest.raises(Ics23RootMismatch):
            ics23.lookup(IAVL, root, gap, put_message(2, body))


TREE = Tree(IAVL, KEYS)
PLAIN = Tree(SIMPLE, KEYS)
KEY = KEYS[5]


def bent(step: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """A path step with its prefix and suffix changed."""
    from verifier.proto import Kind, read

    op = read(step, {1: Kind.UINT, 2: Kind.BYTES, 3: Kind.BYTES})
    return change(op.blob(2), op.blob(3))


@pytest.mark.parametrize(
    "change",
    [
        lambda p, s: inner(p, s, hash_op=2),
        lambda p, s: inner(p, s + s + bytes(33)),
        lambda p, s: inner(p + b"\x20", s),
        lambda p, s: inner(p[:-1], s),
        lambda p, s: inner(p, s[:-1] if s else b"\x20"),
        lambda p, s: inner(b"\0" + p[1:], s),
        lambda p, s: inner(b"\1" + p[1:], s),  # negative height
        lambda p, s: inner(b"\x80\0" + p[1:], s),  # height not in its shortest form
        lambda p, s: inner(p[:1], s),
        lambda p, s: inner(b"\x02\x02" + p[2:], s),  # no larger than its child
        lambda p, s: inner(p.replace(b"\x20", b"\x21"), s.replace(b"\x20", b"\x21")),
        lambda p, s: inner(p + bytes(40), s),
    ],
)
def test_inner_operations_have_one_shape(change: Callable[[bytes, bytes], bytes]) -> None:
    for position in range(len(TREE.paths[KEY])):
        path = list(TREE.paths[KEY])
        path[position] = bent(path[position], change)
        with pytest.raises(Ics23SpecViolation):
            ics23.lookup(IAVL, TREE.root, KEY, TREE.present(KEY, path=path))


@pytest.mark.parametrize(
    "change",
    [
        lambda p, s: inner(b"\0" + p[1:], s),
        lambda p, s: inner(b"\2" + p[1:], s),
        lambda p, s: inner(p, s + bytes(32)),
        lambda p, s: inner(p + bytes(1), s),
        lambda p, s: inner(b"", s or bytes(32)),
    ],
)
def test_inner_operations_of_the_multistore_have_one_shape(change: Callable[[bytes, bytes], bytes]) -> None:
    path = [bent(PLAIN.paths[KEY][0], change), *PLAIN.paths[KEY][1:]]
    with pytest.raises(Ics23SpecViolation):
        ics23.lookup(SIMPLE, PLAIN.root, KEY, PLAIN.present(KEY, path=path))


@pytest.mark.parametrize(
    "leaf",
    [
        leaf_op(IAVL_LEAF, hash=2),
        leaf_op(IAVL_LEAF, key=1),
        leaf_op(IAVL_LEAF, value=0),
        leaf_op(IAVL_LEAF, length=0),
        leaf_op(IAVL_LEAF + b"\0"),
        leaf_op(IAVL_LEAF[:2]),
        leaf_op(b"\2\2\2"),
        leaf_op(b"\0\4\2"),
        leaf_op(b"\0\2\1"),
        leaf_op(b""),
    ],
)
def test_leaf_operations_have_one_shape(leaf: bytes) -> None:
    with pytest.raises(Ics23SpecViolation):
        ics23.lookup(IAVL, TREE.root, KEY, TREE.present(KEY, leaf=leaf))


def test_an_inner_node_cannot_be_passed_off_as_a_leaf() -> None:
    # A leaf whose "key" swallows the rest of an inner preimage would need the leaf prefix of another height.
    op = TREE.paths[KEY][-1]
    from verifier.proto import Kind, read

    prefix = read(op, {1: Kind.UINT, 2: Kind.BYTES, 3: Kind.BYTES}).blob(2)
    forged = put_bytes(1, b"k") + put_bytes(2, b"v") + put_message(3, leaf_op(prefix[:3]))
    with pytest.raises(Ics23SpecViolation):
        ics23.lookup(IAVL, TREE.root, b"k", put_message(1, forged))


def test_depth_is_bounded() -> None:
    with pytest.raises(Ics23SpecViolation, match="deeper"):
        ics23.lookup(SIMPLE, PLAIN.root, KEY, PLAIN.present(KEY, path=[inner(b"\1", bytes(32))] * 129))


@pytest.mark.parametrize(
    "proof",
    [
        b"",
        put_message(1, b""),
        put_message(2, b""),
        put_message(2, put_bytes(1, KEY)),
        put_message(1, put_bytes(1, KEY) + put_bytes(2, b"v")),
        put_message(1, put_bytes(1, KEY) + put_message(3, leaf_op(IAVL_LEAF))),
        put_message(1, TREE.existence(KEY)) + put_message(2, put_bytes(1, KEY)),
        put_message(3, TREE.existence(KEY)),  # batch
        put_message(4, TREE.existence(KEY)),  # compressed
    ],
)
def test_what_is_neither_presence_nor_absence_is_refused(proof: bytes) -> None:
    with pytest.raises(CaseledgerError):
        ics23.lookup(IAVL, TREE.root, KEY, proof)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([IAVL, SIMPLE]), st.integers(0, 4))
def test_random_bytes_never_prove_anything(data: bytes, spec: TreeSpec, wrap: int) -> None:
    if wrap in (1, 2):
        data = put_message(wrap, data)
    elif wrap > 2:
        data = put_message(wrap - 2, put_bytes(1, KEY) + put_bytes(2, b"v") + put_message(3, data))
    with pytest.raises(CaseledgerError):
        ics23.lookup(spec, TREE.root, KEY, data)


def test_another_value_leads_to_another_root() -> None:
    with pytest.raises(Ics23RootMismatch):
        ics23.lookup(IAVL, TREE.root, KEY, TREE.present(KEY, value=b"forged"))
    with pytest.raises(Ics23KeyMismatch):
        ics23.lookup(IAVL, TREE.root, KEYS[4], TREE.present(KEY))
    with pytest.raises(Ics23KeyMismatch):
        ics23.lookup(IAVL, TREE.root, b"Aa", TREE.absent(b"Ab", KEYS[0], KEYS[1]))
