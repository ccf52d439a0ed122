"""Published vectors for each digest and for the RFC 9162 tree hashes."""

from __future__ import annotations

import hashlib

import pytest

from protocol import hashing
from protocol.hashing import ALGORITHMS, SHA256, SM3, HashAlg, keccak256, sha256, sm3


@pytest.mark.parametrize(
    ("message", "digest"),
    [  # GB/T 32905-2016, annex A
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    ],
)
def test_sm3_matches_the_standard(message: bytes, digest: str) -> None:
    assert sm3(message).hex() == digest


def test_sm3_fallback_gives_the_same_digest_and_streams() -> None:
    h = hashing._CryptographySm3()
    h.update(b"ab")
    fork = h.copy()
    h.update(b"c")
    assert h.digest() == sm3(b"abc")
    assert fork.digest() == sm3(b"ab")
    assert h.digest() == sm3(b"abc")


def test_sm3_without_openssl_support_uses_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr(hashlib, "new", refuse)
    h = hashing.new_sm3()
    h.update(b"abc")
    assert h.digest().hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


def test_sha256_matches_fips_180() -> None:
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak256_is_not_sha3(message: bytes, digest: str) -> None:
    assert keccak256(message).hex() == digest
    assert keccak256(message) != hashlib.sha3_256(message).digest()


@pytest.mark.parametrize("alg", list(ALGORITHMS.values()), ids=lambda a: a.name)
def test_tree_hashes_separate_leaf_node_and_empty(alg: HashAlg) -> None:
    left, right = alg.leaf(b"a"), alg.leaf(b"b")
    assert left == alg.digest(b"\x00a")
    assert alg.node(left, right) == alg.digest(b"\x01" + left + right)
    assert alg.node(left, right) != alg.leaf(left + right)
    assert alg.empty == alg.digest(b"")
    assert alg.pairs([left, right, left]) == [alg.node(left, right)]
    assert alg.pairs([]) == []


def test_algorithms_are_told_apart() -> None:
    assert SHA256.leaf(b"") != SM3.leaf(b"")
    # RFC 6962 test vector: the hash of a leaf without data.
    assert SHA256.leaf(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
