"""Patricia proofs against tries that this file builds, for present and absent keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from verifier import mpt, rlp
from verifier.errors import (
    MptAccountAbsent,
    MptLimit,
    MptMalformedNode,
    MptMalformedValue,
    MptNodeMismatch,
    MptProofIncomplete,
    MptUnusedNode,
)
from verifier.rlp import RlpItem


def nibbles(key: bytes) -> list[int]:
    return [n for b in key for n in (b >> 4, b & 15)]


def hex_prefix(path: list[int], leaf: bool) -> bytes:
    flag = (2 if leaf else 0) + len(path) % 2
    full = [flag, *([] if len(path) % 2 else [0]), *path]
    return bytes(full[i] << 4 | full[i + 1] for i in range(0, len(full), 2))


class Trie:
    """A trie over 32-byte paths, built naively; `proof` gives what eth_getProof would give."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values
        self.hashed: dict[bytes, bytes] = {}
        node = self._build([(nibbles(k), v) for k, v in sorted(values.items())])
        raw = rlp.encode(node)
        self.root = keccak256(raw)
        self.hashed[self.root] = raw

    def _build(self, entries: list[tuple[list[int], bytes]]) -> RlpItem:
        if not entries:
            return b""
        if len(entries) == 1:
            return [hex_prefix(entries[0][0], True), entries[0][1]]
        first, last = entries[0][0], entries[-1][0]
        shared = 0
        while first[shared] == last[shared]:
            shared += 1
        if shared:
            inner = self._reference(self._build([(p[shared:], v) for p, v in entries]))
            return [hex_prefix(first[:shared], False), inner]
        children = [
            self._reference(self._build([(p[1:], v) for p, v in entries if p[0] == n])) for n in range(16)
        ]
        return [*children, b""]

    def _reference(self, node: RlpItem) -> RlpItem:
        if node == b"":
            return b""
        raw = rlp.encode(node)
        if len(raw) < 32:
            return node
        self.hashed[keccak256(raw)] = raw
        return keccak256(raw)

    def proof(self, key: bytes) -> list[bytes]:
        if not self.values:
            return []
        path, out, reference = nibbles(key), [], self.root
        current: RlpItem = reference
        while True:
            if isinstance(current, bytes):
                raw = self.hashed[current]
                out.append(raw)
                current = rlp.decode(raw)
            assert isinstance(current, list)
            if len(current) == 17:
                child = current[path.pop(0)]
                if child == b"":
                    return out
                current = child
                continue
            assert isinstance(current[0], bytes)
            part = nibbles(current[0])
            part_path = part[1:] if part[0] & 1 else part[2:]
            if part[0] >= 2 or path[: len(part_path)] != part_path:
                return out
            path = path[len(part_path) :]
            current = current[1]


KEYS = st.one_of(
    st.binary(min_size=32, max_size=32),
    # Long shared prefixes: extensions, and nodes small enough to stand inside their parent.
    st.tuples(st.integers(0, 3), st.integers(0, 65535)).map(
        lambda t: bytes([t[0]]) * 30 + t[1].to_bytes(2, "big")
    ),
)
VALUES = st.binary(min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=12), st.lists(KEYS, min_size=1, max_size=6))
def test_present_and_absent_keys_are_proved(values: dict[bytes, bytes], others: list[bytes]) -> None:
    trie = Trie(values)
    assert (trie.root == mpt.EMPTY_ROOT) is not bool(values)
    for key in [*values, *others]:
        assert mpt.lookup_hashed(trie.root, key, trie.proof(key)) == values.get(key)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=12), KEYS, st.data())
def test_a_changed_proof_is_refused(values: dict[bytes, bytes], absent: bytes, data: st.DataObject) -> None:
    trie = Trie(values)
    key = data.draw(st.sampled_from([*values, absent]))
    proof = trie.proof(key)
    for i, raw in enumerate(proof):
        position = data.draw(st.integers(0, len(raw) - 1))
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        with pytest.raises(MptNodeMismatch):
            mpt.lookup_hashed(trie.root, key, [*proof[:i], changed, *proof[i + 1 :]])
    with pytest.raises(MptUnusedNode):
        mpt.lookup_hashed(trie.root, key, [*proof, proof[-1]])
    with pytest.raises(CaseledgerError):
        mpt.lookup_hashed(trie.root, key, proof[:-1])
    with pytest.raises(MptNodeMismatch):
        mpt.lookup_hashed(keccak256(trie.root), key, proof)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=4), st.booleans())
def test_random_nodes_are_refused_without_a_crash(proof: list[bytes], fitting: bool) -> None:
    root = keccak256(proof[0]) if proof and fitting else bytes(32)
    with pytest.raises(CaseledgerError):
        mpt.lookup(root, b"key", proof)


KEY = bytes([0x12]) * 32
PATH = nibbles(KEY)
LEAF = [hex_prefix(PATH, True), b"value"]
BIG = bytes(range(32))


def root_of(node: Any) -> tuple[bytes, list[bytes]]:
    raw = rlp.encode(node)
    return keccak256(raw), [raw]


def branch(**children: Any) -> list[Any]:
    return [children.get(f"n{i}", b"") for i in range(17)]


@pytest.mark.parametrize(
    "node",
    [
        b"just bytes" * 4,
        [],
        [b"", b"", b""],
        [b"", b"value"],  # no hex prefix
        [b"\x40" + KEY, b"value"],  # flag above 3
        [b"\x21" + KEY, b"value"],  # padding nibble not zero
        [hex_prefix(PATH[:-1], True), b"value"],  # leaf too short
        [hex_prefix([*PATH, 1], True), b"value"],  # leaf too long
        [hex_prefix(PATH, True), b""],  # leaf without a value
        [hex_prefix(PATH, True), [b"value"]],
        [[b"\x20"], b"value"],
        [hex_prefix([], False), BIG],  # extension of nothing
        [hex_prefix(PATH, False), BIG],  # extension to beyond the key
        [hex_prefix(PATH[:4], False), BIG[1:]],  # reference of 31 bytes
        [hex_prefix([9], False), b""],  # diverging, but leading nowhere
        [hex_prefix(PATH[:2], False), [hex_prefix(PATH[2:4], False), BIG[:20]]],
        [
            hex_prefix(PATH[:2], False),
            [hex_prefix(PATH[2:], True), b"v" * 9],
        ],  # embedded node of 32 bytes or more
        branch(),
        branch(n2=BIG),  # one child
        branch(n1=BIG, n2=BIG, n16=b"value"),  # a value where keys have one length
        branch(n1=BIG[:31], n2=BIG),
        branch(n3=[b"x" * 40], n2=BIG),
    ],
)
def test_malformed_nodes_are_refused_even_with_the_right_hash(node: Any) -> None:
    root, proof = root_of(node)
    with pytest.raises(MptMalformedNode):
        mpt.lookup_hashed(root, KEY, proof)


def test_an_extension_must_lead_to_a_branch() -> None:
    inner = rlp.encode([hex_prefix(PATH[2:], True), b"value"])
    root, proof = root_of([hex_prefix(PATH[:2], False), keccak256(inner)])
    with pytest.raises(MptMalformedNode, match="branch"):
        mpt.lookup_hashed(root, KEY, [*proof, inner])


def test_a_small_node_must_stand_inside_its_parent() -> None:
    key = bytes(31) + b"\x12"
    small = rlp.encode(branch(n2=[hex_prefix([], True), b"a"], n3=[hex_prefix([], True), b"b"]))
    assert len(small) < 32
    root, proof = root_of([hex_prefix(nibbles(key)[:63], False), keccak256(small)])
    with pytest.raises(MptMalformedNode, match="inside"):
        mpt.lookup_hashed(root, key, [*proof, small])
    inside = rlp.decode(small)
    root, proof = root_of([hex_prefix(nibbles(key)[:63], False), inside])
    assert mpt.lookup_hashed(root, key, proof) == b"a"


def test_limits_hold() -> None:
    with pytest.raises(MptLimit):
        mpt.lookup(bytes(32), b"", [b""] * 66)
    with pytest.raises(MptLimit):
        mpt.lookup(bytes(32), b"", [bytes(1025)])
    with pytest.raises(MptProofIncomplete):
        mpt.lookup(bytes(32), b"", [])


def account_trie(record: Any, address: bytes = bytes(20)) -> tuple[bytes, list[bytes]]:
    trie = Trie({keccak256(address): rlp.encode(record)})
    return trie.root, trie.proof(keccak256(address))


def test_accounts_are_read_strictly() -> None:
    root, proof = account_trie([b"\1", b"", BIG, KEY])
    assert mpt.account(root, bytes(20), proof) == mpt.Account(1, 0, BIG, KEY)
    with pytest.raises(MptAccountAbsent):
        mpt.account(root, b"\1" * 20, proof)
    for number in (b"\0", b"\0\1", b"\1" * 9):
        root, proof = account_trie([number, b"", BIG, KEY])
        with pytest.raises(MptMalformedValue):
            mpt.account(root, bytes(20), proof)
    for record in ([b"\1", b"", BIG], [b"\1", b"", BIG, KEY[1:]], [b"\1", b"", [BIG], KEY], b"x" * 40):
        with pytest.raises(MptMalformedValue):
            mpt.account(*_with_address(account_trie(record)))
    for record in ([b"\0", b"", BIG, KEY], [b"\1" * 9, b"", BIG, KEY], [b"", b"\0\1", BIG, KEY]):
        with pytest.raises(CaseledgerError):
            mpt.account(*_with_address(account_trie(record)))


def _with_address(pair: tuple[bytes, list[bytes]]) -> tuple[bytes, bytes, list[bytes]]:
    return pair[0], bytes(20), pair[1]


def test_storage_words_are_read_strictly() -> None:
    slot = bytes(32)

    def read(value: RlpItem) -> bytes | None:
        trie = Trie({keccak256(slot): rlp.encode(value)})
        return mpt.storage(trie.root, slot, trie.proof(keccak256(slot)))

    assert read(b"\7") == bytes(31) + b"\7"
    assert read(BIG[::-1]) == BIG[::-1]
    malformed: list[RlpItem] = [b"", b"\0\7", BIG, b"\1" * 33, [b"\7"]]
    for bad in malformed:
        with pytest.raises(MptMalformedValue):
            read(bad)
    assert mpt.storage(mpt.EMPTY_ROOT, slot, []) is None
    assert mpt.storage(mpt.EMPTY_ROOT, slot, [b"\x80"]) is None
    with pytest.raises(CaseledgerError):
        mpt.storage(mpt.EMPTY_ROOT, slot, [b"\x80", b"\x80"])
