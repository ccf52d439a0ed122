"""ICS-23 existence and non-existence proofs for the two trees of a Cosmos chain.

`IAVL` is a module's store, `SIMPLE` the tree over store roots that ends at the header's app hash. The forms
are fixed more tightly than by the general ICS-23 proof specs: both trees are binary and every operation of
them has one shape, so a step is read as *left child* or *right child* and nothing else. What is accepted
here, a full ICS-23 verifier with the iavl and tendermint specs accepts too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from protocol.hashing import sha256
from verifier.errors import (
    Ics23KeyMismatch,
    Ics23Malformed,
    Ics23NotAbsent,
    Ics23RootMismatch,
    Ics23SpecViolation,
    ProtoMalformed,
)
from verifier.proto import Kind, read, read_uvarint, uvarint

MAX_DEPTH = 128
_SHA256 = 1
_VAR_PROTO = 1

_COMMITMENT = {1: Kind.MESSAGE, 2: Kind.MESSAGE}
_EXISTENCE = {1: Kind.BYTES, 2: Kind.BYTES, 3: Kind.MESSAGE, 4: Kind.MESSAGES}
_NON_EXISTENCE = {1: Kind.BYTES, 2: Kind.MESSAGE, 3: Kind.MESSAGE}
_LEAF = {1: Kind.UINT, 2: Kind.UINT, 3: Kind.UINT, 4: Kind.UINT, 5: Kind.BYTES}
_INNER = {1: Kind.UINT, 2: Kind.BYTES, 3: Kind.BYTES}

Shape: TypeAlias = "tuple[int, int]"
"""Height and size of an IAVL node as its hash preimage states them; (0, 0) in a tree that states neither."""


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """How one kind of tree writes its operations. `inner` returns the node's shape and what is left of its
    prefix.
    """

    name: str
    check_leaf: Callable[[bytes], None]
    inner: Callable[[bytes], tuple[Shape, bytes]]
    child_prefix: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One inner operation: hash(prefix ‖ child ‖ suffix), the child standing right or left."""

    prefix: bytes
    suffix: bytes
    is_right: bool


@dataclass(frozen=True, slots=True)
class Existence:
    """A checked existence proof and the root that it leads to."""

    key: bytes
    value: bytes
    path: tuple[Step, ...]
    root: bytes


def _iavl_numbers(prefix: bytes) -> tuple[Shape, bytes]:
    """Height, size, version: zigzag varints, none negative."""
    numbers, at = [], 0
    for _ in range(3):
        try:
            raw, at = read_uvarint(prefix, at)
        except ProtoMalformed as error:
            raise Ics23SpecViolation("iavl prefix is not three varints") from error
        if raw & 1:
            raise Ics23SpecViolation("iavl height, size or version is negative")
        numbers.append(raw >> 1)
    return (numbers[0], numbers[1]), prefix[at:]


def _iavl_leaf(prefix: bytes) -> None:
    shape, rest = _iavl_numbers(prefix)
    if shape != (0, 1) or rest:
        raise Ics23SpecViolation("iavl leaf does not have height 0 and size 1")


def _simple_leaf(prefix: bytes) -> None:
    if prefix != b"\x00":
        raise Ics23SpecViolation("leaf prefix is not 00")


def _simple_inner(prefix: bytes) -> tuple[Shape, bytes]:
    if prefix[:1] != b"\x01":
        raise Ics23SpecViolation("inner prefix does not begin with 01")
    return (0, 0), prefix[1:]


IAVL = TreeSpec("iavl", _iavl_leaf, _iavl_numbers, b"\x20")
SIMPLE = TreeSpec("simple", _simple_leaf, _simple_inner, b"")


def _step(spec: TreeSpec, raw: bytes, below: Shape) -> tuple[Step, Shape]:
    op = read(raw, _INNER)
    prefix, suffix = op.blob(2), op.blob(3)
    if op.uint(1) != _SHA256:
        raise Ics23SpecViolation("inner operation is not SHA-256")
    shape, rest = spec.inner(prefix)
    if shape != (0, 0) and (shape[0] <= below[0] or shape[1] <= below[1]):
        raise Ics23SpecViolation("an iavl node is higher and larger than its child")
    if spec is IAVL and prefix[:1] == b"\x00":
        raise Ics23SpecViolation("inner prefix begins like a leaf")
    mark = spec.child_prefix
    width = len(mark) + 32
    if rest == mark and len(suffix) == width and suffix.startswith(mark):
        return Step(prefix, suffix, is_right=False), shape
    if len(rest) == width + len(mark) and rest.startswith(mark) and rest.endswith(mark) and not suffix:
        return Step(prefix, suffix, is_right=True), shape
    raise Ics23SpecViolation("inner operation is neither a left nor a right child")


def _existence(spec: TreeSpec, raw: bytes) -> Existence:
    proof = read(raw, _EXISTENCE)
    key, value, leaf_raw = proof.blob(1), proof.blob(2), proof.message(3)
    if not key or not value or leaf_raw is None:
        raise Ics23Malformed("an existence proof has key, value and leaf operation")
    leaf = read(leaf_raw, _LEAF)
    if (leaf.uint(1), leaf.uint(2), leaf.uint(3), leaf.uint(4)) != (_SHA256, 0, _SHA256, _VAR_PROTO):
        raise Ics23SpecViolation("leaf operation uses other hashes or lengths")
    spec.check_leaf(leaf.blob(5))
    raw_path = proof.messages(4)
    if len(raw_path) > MAX_DEPTH:
        raise Ics23SpecViolation(f"deeper than {MAX_DEPTH}")
    digest = sha256(leaf.blob(5) + uvarint(len(key)) + key + b"\x20" + sha256(value))
    path: list[Step] = []
    shape: Shape = (0, 1)
    for raw_step in raw_path:
        step, shape = _step(spec, raw_step, shape)
        digest = sha256(step.prefix + digest + step.suffix)
        path.append(step)
    return Existence(key, value, tuple(path), digest)


def lookup(spec: TreeSpec, root: bytes, key: bytes, proof: bytes) -> bytes | None:
    """Value under `key` in the tree with `root` (32 bytes), or None when the proof shows that there is none.

    `proof` is an ICS-23 CommitmentProof; batch and compressed forms are not read.
    """
    message = read(proof, _COMMITMENT)
    exist, absent = message.message(1), message.message(2)
    if exist is not None and absent is None:
        found = _existence(spec, exist)
        if found.key != key:
            raise Ics23KeyMismatch(spec.name, field="key")
        _check_root(spec, found, root)
        return found.value
    if absent is not None and exist is None:
        _check_absent(spec, root, key, absent)
        return None
    raise Ics23Malformed("neither an existence nor a non-existence proof")


def _check_root(spec: TreeSpec, found: Existence, root: bytes) -> None:
    if found.root != root:
        raise Ics23RootMismatch(spec.name)


def _check_absent(spec: TreeSpec, root: bytes, key: bytes, raw: bytes) -> None:
    proof = read(raw, _NON_EXISTENCE)
    if proof.blob(1) != key:
        raise Ics23KeyMismatch(spec.name, field="key")
    raw_left, raw_right = proof.message(2), proof.message(3)
    left = None if raw_left is None else _existence(spec, raw_left)
    right = None if raw_right is None else _existence(spec, raw_right)
    if left is None and right is None:
        raise Ics23Malformed("a non-existence proof has a neighbour")
    if left is not None:
        _check_root(spec, left, root)
        if left.key >= key:
            raise Ics23NotAbsent("the left neighbour is not to the left")
    if right is not None:
        _check_root(spec, right, root)
        if right.key <= key:
            raise Ics23NotAbsent("the right neighbour is not to the right")
    _check_adjacent(left.path if left else None, right.path if right else None)


def _check_adjacent(left: Sequence[Step] | None, right: Sequence[Step] | None) -> None:
    """The two leaves stand side by side, or the one given is the last of its side."""
    if left is not None and right is not None:
        shared = 0
        # Both paths end at the same root: going down, equal operations mean the same node.
        while shared < min(len(left), len(right)) and left[-1 - shared] == right[-1 - shared]:
            shared += 1
        left, right = left[: len(left) - shared], right[: len(right) - shared]
        if not left or not right or left[-1].is_right or not right[-1].is_right:
            raise Ics23NotAbsent("the neighbours do not part as left and right child of one node")
        left, right = left[:-1], right[:-1]
    if left is not None and not all(step.is_right for step in left):
        raise Ics23NotAbsent("a leaf stands between the left neighbour and the key")
    if right is not None and any(step.is_right for step in right):
        raise Ics23NotAbsent("a leaf stands between the key and the right neighbour")
