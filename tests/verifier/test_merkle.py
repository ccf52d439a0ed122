"""Log mathematics against a naive model written from RFC 9162 §2.1, for both hash functions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from protocol.hashing import SHA256, SM3, HashAlg
from verifier.errors import (
    MerkleConsistencyFromEmpty,
    MerkleFrontierMalformed,
    MerkleHashLength,
    MerkleIndexOutOfRange,
    MerkleProofLength,
    MerkleRootMismatch,
    MerkleSizeOutOfRange,
    MerkleSizesDecrease,
)
from verifier.merkle import (
    Frontier,
    Tree,
    all_paths,
    consistency_proof,
    inclusion_path,
    inclusion_proof,
    root_from_inclusion,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

ALGS = pytest.mark.parametrize("alg", [SHA256, SM3], ids=lambda a: a.name)
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(alg: HashAlg, d: list[bytes]) -> bytes:
    if not d:
        return alg.digest(b"")
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return alg.digest(b"\x01" + mth(alg, d[:k]) + mth(alg, d[k:]))


def path(alg: HashAlg, m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return [*path(alg, m, d[:k]), mth(alg, d[k:])]
    return [*path(alg, m - k, d[k:]), mth(alg, d[:k])]


def subproof(alg: HashAlg, m: int, d: list[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(alg, d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(alg, m, d[:k], whole), mth(alg, d[k:])]
    return [*subproof(alg, m - k, d[k:], False), mth(alg, d[:k])]


def leaves(alg: HashAlg, n: int) -> list[bytes]:
    return [alg.leaf(i.to_bytes(4, "big")) for i in range(n)]


def reader(alg: HashAlg, d: list[bytes]) -> dict[tuple[int, int], bytes]:
    nodes = {}
    frontier = Frontier(alg)
    for start in range(0, len(d), 7):
        for run in frontier.extend(d[start : start + 7]):
            for i, value in enumerate(run.hashes):
                assert (run.level, run.first + i) not in nodes
                nodes[run.level, run.first + i] = value
    return nodes


@ALGS
def test_builders_agree_with_the_model_for_every_size_and_index(alg: HashAlg) -> None:
    for n in SIZES:
        d = leaves(alg, n)
        nodes = reader(alg, d)
        root = mth(alg, d)
        assert tree_root(alg, d) == root
        batch_root, paths = all_paths(alg, d)
        assert batch_root == root
        for i in range(n):
            expected = path(alg, i, d)
            assert list(paths[i]) == expected
            assert list(inclusion_path(alg, d, i)) == expected
            assert inclusion_proof(alg, i, n, lambda lv, ix, s=nodes: s[lv, ix]) == expected  # type: ignore[misc]
            verify_inclusion(alg, d[i], i, n, expected, root)


@ALGS
def test_consistency_agrees_with_the_model_for_every_pair(alg: HashAlg) -> None:
    d = leaves(alg, 34)
    nodes = reader(alg, d)
    for n in range(1, 35):
        for m in range(1, n + 1):
            proof = subproof(alg, m, d[:n], True)
            assert consistency_proof(alg, m, n, lambda lv, ix: nodes[lv, ix]) == proof
            verify_consistency(alg, m, n, mth(alg, d[:m]), mth(alg, d[:n]), proof)


@ALGS
def test_frontier_equals_the_model_however_leaves_arrive(alg: HashAlg) -> None:
    d = leaves(alg, 70)
    one, many = Frontier(alg), Frontier(alg)
    assert one.root() == tree_root(alg, []) == mth(alg, [])
    done = 0
    for step in (1, 0, 2, 3, 5, 8, 13, 21, 17):
        for leaf in d[done : done + step]:
            one.append(leaf)
        many.extend(d[done : done + step])
        done += step
        assert one.size == many.size == done
        assert one.to_bytes() == many.to_bytes()
        assert one.root() == mth(alg, d[:done])
        assert Frontier.from_bytes(alg, one.to_bytes()).root() == one.root()
    fork = one.copy()
    fork.append(d[0])
    assert one.root() == mth(alg, d)
    assert fork.size == 71


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 400), st.data())
def test_any_inclusion_survives_and_any_mutation_is_refused(n: int, data: st.DataObject) -> None:
    alg = data.draw(st.sampled_from([SHA256, SM3]))
    d = leaves(alg, n)
    i = data.draw(st.integers(0, n - 1))
    tree = Tree(alg, d)
    proof, root = list(tree.path(i)), tree.root
    verify_inclusion(alg, d[i], i, n, proof, root)
    for k in range(len(proof)):
        bit = 1 << data.draw(st.integers(0, 255))
        changed = (int.from_bytes(proof[k], "big") ^ bit).to_bytes(32, "big")
        with pytest.raises(MerkleRootMismatch):
            verify_inclusion(alg, d[i], i, n, [*proof[:k], changed, *proof[k + 1 :]], root)
    for bad in (proof[:-1], [*proof, root], [root, *proof]):
        if bad != proof:
            with pytest.raises(CaseledgerError):
                verify_inclusion(alg, d[i], i, n, bad, root)
    for j in {0, i - 1, i + 1, i ^ 1, n - 1, n} - {i}:
        with pytest.raises(CaseledgerError):
            verify_inclusion(alg, d[i], j, n, proof, root)
    with pytest.raises(CaseledgerError):
        verify_inclusion(alg, root, i, n, proof, d[i] if n > 1 else alg.empty)


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 300), st.integers(0, 300), st.data())
def test_any_consistency_survives_and_any_mutation_is_refused(m: int, more: int, data: st.DataObject) -> None:
    alg = data.draw(st.sampled_from([SHA256, SM3]))
    n = m + more
    d = leaves(alg, n)
    nodes = reader(alg, d)
    proof = consistency_proof(alg, m, n, lambda lv, ix: nodes[lv, ix])
    r1, r2 = tree_root(alg, d[:m]), tree_root(alg, d)
    verify_consistency(alg, m, n, r1, r2, proof)
    for k in range(len(proof)):
        bit = 1 << data.draw(st.integers(0, 255))
        changed = (int.from_bytes(proof[k], "big") ^ bit).to_bytes(32, "big")
        with pytest.raises(MerkleRootMismatch):
            verify_consistency(alg, m, n, r1, r2, [*proof[:k], changed, *proof[k + 1 :]])
    for bad in (proof[:-1], [*proof, r1], [r1, *proof]):
        if bad != proof:
            with pytest.raises(CaseledgerError):
                verify_consistency(alg, m, n, r1, r2, bad)
    if r1 != r2:
        with pytest.raises(CaseledgerError):
            verify_consistency(alg, m, n, r2, r1, proof)
    other = leaves(alg, n + 1)[::-1]
    with pytest.raises(MerkleRootMismatch):
        verify_consistency(alg, m, n, tree_root(alg, other[:m]), r2, proof)


def test_a_changed_size_is_refused_unless_the_tree_shape_makes_it_the_same_proof() -> None:
    # The size itself is bound by what names the root (batch link); a path alone fixes its own shape.
    d = leaves(SHA256, 13)
    root = tree_root(SHA256, d)
    for i in range(13):
        proof = path(SHA256, i, d)
        for n in range(1, 40):
            if n == 13 or (i < n and len(path(SHA256, i, leaves(SHA256, n))) == len(proof)):
                continue
            with pytest.raises(CaseledgerError):
                verify_inclusion(SHA256, d[i], i, n, proof, root)


HASH = bytes(32)


def test_ranges_and_lengths_have_their_own_codes() -> None:
    with pytest.raises(MerkleSizeOutOfRange):
        root_from_inclusion(SHA256, HASH, 0, 1 << 63, [])
    with pytest.raises(MerkleSizeOutOfRange):
        root_from_inclusion(SHA256, HASH, 0, -1, [])
    with pytest.raises(MerkleIndexOutOfRange):
        root_from_inclusion(SHA256, HASH, 1, 1, [])
    with pytest.raises(MerkleIndexOutOfRange):
        root_from_inclusion(SHA256, HASH, -1, 1, [])
    with pytest.raises(MerkleIndexOutOfRange):
        root_from_inclusion(SHA256, HASH, 0, 0, [])
    with pytest.raises(MerkleHashLength):
        root_from_inclusion(SHA256, HASH[1:], 0, 1, [])
    with pytest.raises(MerkleHashLength):
        root_from_inclusion(SHA256, HASH, 0, 2, [HASH + b"\0"])
    with pytest.raises(MerkleHashLength):
        verify_inclusion(SHA256, HASH, 0, 1, [], b"")
    with pytest.raises(MerkleProofLength):
        root_from_inclusion(SHA256, HASH, 0, 1, [HASH])
    with pytest.raises(MerkleProofLength):
        root_from_inclusion(SHA256, HASH, 0, 2, [])
    with pytest.raises(MerkleProofLength):
        root_from_inclusion(SHA256, HASH, 0, 1, [HASH] * 100_000)


def test_consistency_edges_have_their_own_codes() -> None:
    with pytest.raises(MerkleConsistencyFromEmpty):
        verify_consistency(SHA256, 0, 0, SHA256.empty, SHA256.empty, [])
    with pytest.raises(MerkleConsistencyFromEmpty):
        verify_consistency(SHA256, 0, 5, SHA256.empty, HASH, [])
    with pytest.raises(MerkleSizesDecrease):
        verify_consistency(SHA256, 2, 1, HASH, HASH, [])
    with pytest.raises(MerkleSizeOutOfRange):
        verify_consistency(SHA256, 1, 1 << 63, HASH, HASH, [])
    with pytest.raises(MerkleProofLength):
        verify_consistency(SHA256, 3, 3, HASH, HASH, [HASH])
    with pytest.raises(MerkleRootMismatch):
        verify_consistency(SHA256, 3, 3, HASH, HASH[1:] + b"\1", [])
    with pytest.raises(MerkleProofLength):
        verify_consistency(SHA256, 3, 4, HASH, HASH, [])
    with pytest.raises(MerkleProofLength):
        verify_consistency(SHA256, 4, 8, HASH, HASH, [])
    with pytest.raises(MerkleHashLength):
        verify_consistency(SHA256, 1, 2, HASH, HASH, [b""])
    with pytest.raises(MerkleConsistencyFromEmpty):
        consistency_proof(SHA256, 0, 4, lambda level, index: HASH)
    with pytest.raises(MerkleSizesDecrease):
        consistency_proof(SHA256, 5, 4, lambda level, index: HASH)


def test_sizes_near_two_to_the_63_are_handled() -> None:
    n = (1 << 63) - 1
    levels = [HASH]
    for _ in range(63):
        levels.append(SHA256.node(levels[-1], levels[-1]))  # a tree of equal leaves: level roots are enough
    proof = inclusion_proof(SHA256, n - 1, n, lambda level, index: levels[level])
    root = root_from_inclusion(SHA256, HASH, n - 1, n, proof)
    growth = consistency_proof(SHA256, 1 << 62, n, lambda level, index: levels[level])
    verify_consistency(SHA256, 1 << 62, n, levels[62], root, growth)


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 9, b"\x80" + b"\0" * 39, b"\0" * 7 + b"\3" + HASH])
def test_a_torn_frontier_is_refused(data: bytes) -> None:
    with pytest.raises(MerkleFrontierMalformed):
        Frontier.from_bytes(SHA256, data)


def test_builders_refuse_what_is_not_a_hash_and_change_nothing() -> None:
    frontier = Frontier(SHA256)
    with pytest.raises(MerkleHashLength):
        frontier.extend([HASH, b"short"])
    with pytest.raises(MerkleHashLength):
        frontier.append(b"short")
    assert frontier.size == 0
    with pytest.raises(MerkleHashLength):
        tree_root(SHA256, [b"short"])
    with pytest.raises(MerkleIndexOutOfRange):
        Tree(SHA256, []).path(0)
    assert list(Tree(SHA256, []).paths()) == []
    assert Tree(SHA256, []).root == SHA256.empty


def test_root_building_is_fast_enough_to_never_be_the_bottleneck() -> None:
    d = leaves(SHA256, 1 << 15)
    best = min(_seconds(d) for _ in range(5))
    # The bench asks for 0.9 M leaves/s; here only a regression by a factor is caught, on a busy machine.
    assert len(d) / best > 150_000


def _seconds(d: list[bytes]) -> float:
    start = time.perf_counter()
    tree_root(SHA256, d)
    return time.perf_counter() - start
