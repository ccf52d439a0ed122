"""Offline networks for tests: real trees, headers and signatures by test keys over any storage one wants.

Nothing here is a stand-in for the verifier: it only builds what a node would have answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import coincurve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.acts import address_of
from protocol.hashing import keccak256, sha256
from verifier import rlp
from verifier.clique import NO_UNCLES
from verifier.cometbft import (
    BlockId,
    Commit,
    CommitSig,
    Flag,
    Header,
    SignedHeader,
    Timestamp,
    Validator,
    validators_hash,
)
from verifier.cosmos_state import account_key, storage_key
from verifier.mpt import EMPTY_ROOT
from verifier.proto import put_bytes, put_message, put_uint, uvarint
from verifier.qbft import MIX_HASH, parse_header
from verifier.rlp import RlpItem

Slots = Mapping[tuple[bytes, bytes], bytes]
"""(contract, position) -> 32-byte word."""


def seeded(*parts: object) -> bytes:
    """32 bytes that depend on nothing but `parts`."""
    return hashlib.sha256(repr(parts).encode()).digest()


def ed25519(*parts: object) -> Ed25519PrivateKey:
    """A test key."""
    return Ed25519PrivateKey.from_private_bytes(seeded(*parts))


def secp256k1(*parts: object) -> coincurve.PrivateKey:
    """A test key."""
    return coincurve.PrivateKey(seeded(*parts))


# ICS-23


def _existence(key: bytes, value: bytes, prefix: bytes, steps: Sequence[tuple[bytes, bytes]]) -> bytes:
    leaf = put_uint(1, 1) + put_uint(3, 1) + put_uint(4, 1) + put_bytes(5, prefix)
    body = put_bytes(1, key) + put_bytes(2, value) + put_message(3, leaf)
    for before, after in steps:
        body += put_message(4, put_uint(1, 1) + put_bytes(2, before) + put_bytes(3, after))
    return put_message(1, body)


def iavl(items: Mapping[bytes, bytes], version: int = 5) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and a CommitmentProof for each key of a store."""
    keys = sorted(items)
    prefix = uvarint(0) + uvarint(2) + uvarint(2 * version)
    paths: dict[bytes, list[tuple[bytes, bytes]]] = {key: [] for key in keys}

    def build(first: int, last: int) -> tuple[bytes, int]:
        if last - first == 1:
            key, value = keys[first], items[keys[first]]
            return sha256(prefix + uvarint(len(key)) + key + b"\x20" + sha256(value)), 0
        middle = (first + last + 1) // 2
        (left, low), (right, high) = build(first, middle), build(middle, last)
        height = max(low, high) + 1
        head = uvarint(2 * height) + uvarint(2 * (last - first)) + uvarint(2 * version)
        for key in keys[first:middle]:
            paths[key].append((head + b"\x20", b"\x20" + right))
        for key in keys[middle:last]:
            paths[key].append((head + b"\x20" + left + b"\x20", b""))
        return sha256(head + b"\x20" + left + b"\x20" + right), height

    root, _ = build(0, len(keys))
    return root, {key: _existence(key, items[key], prefix, paths[key]) for key in keys}


def multistore(roots: Mapping[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """App hash and a CommitmentProof for each store's root."""
    names = sorted(roots)
    paths: dict[bytes, list[tuple[bytes, bytes]]] = {name: [] for name in names}
    hashes = [sha256(b"\x00" + uvarint(len(name)) + name + b"\x20" + sha256(roots[name])) for name in names]
    members = [[name] for name in names]
    while len(hashes) > 1:
        above, groups = [], []
        for at in range(0, len(hashes) - 1, 2):
            left, right = hashes[at], hashes[at + 1]
            for name in members[at]:
                paths[name].append((b"\x01", right))
            for name in members[at + 1]:
                paths[name].append((b"\x01" + left, b""))
            above.append(sha256(b"\x01" + left + right))
            groups.append(members[at] + members[at + 1])
        if len(hashes) % 2:
            above.append(hashes[-1])
            groups.append(members[-1])
        hashes, members = above, groups
    return hashes[0], {name: _existence(name, roots[name], b"\x00", paths[name]) for name in names}


def account_record(address: bytes, code_hash: bytes) -> bytes:
    """An `EthAccount` as the chain stores it."""
    base = put_bytes(1, b"inj1" + address.hex().encode()) + put_uint(3, 12) + put_uint(4, 1)
    account = put_message(1, base) + put_bytes(2, code_hash)
    return put_bytes(1, b"/injective.types.v1beta1.EthAccount") + put_bytes(2, account)


@dataclass(frozen=True)
class CometState:
    """One committed state: app hash and the proofs under it."""

    app_hash: bytes
    evm: bytes
    acc: bytes
    words: dict[bytes, bytes]
    records: dict[bytes, bytes]
    accounts: dict[bytes, bytes]


def comet_state(slots: Slots, codes: Mapping[bytes, bytes]) -> CometState:
    """State of a chain with these storage words and contract code hashes, and some others beside them."""
    words = {storage_key(contract, position): word for (contract, position), word in slots.items()}
    for n in range(9):
        words[storage_key(seeded("other", n)[:20], seeded("slot", n))] = seeded("word", n)
    records = {account_key(address): account_record(address, code) for address, code in codes.items()}
    for n in range(6):
        address = seeded("account", n)[:20]
        records[account_key(address)] = account_record(address, seeded("code", n))
    evm_root, evm_proofs = iavl(words)
    acc_root, acc_proofs = iavl(records, version=9)
    stores = {name: seeded("store", name) for name in (b"bank", b"gov", b"staking", b"upgrade")}
    app_hash, roots = multistore({**stores, b"evm": evm_root, b"acc": acc_root})
    return CometState(app_hash, roots[b"evm"], roots[b"acc"], evm_proofs, records, acc_proofs)


def comet_validators(seed: object, count: int = 4, power: int = 10) -> list[Ed25519PrivateKey]:
    """Test validators in the chain's order: equal power, so address ascending."""
    keys = [ed25519("validator", seed, n) for n in range(count)]
    return sorted(keys, key=lambda key: sha256(key.public_key().public_bytes_raw())[:20])


def comet_commit(
    keys: Sequence[Ed25519PrivateKey],
    *,
    chain_id: str,
    height: int,
    time: int,
    app_hash: bytes,
    power: int = 10,
    absent: Sequence[int] = (),
    nil: Sequence[int] = (),
    round_: int = 0,
) -> SignedHeader:
    """A header that commits to `app_hash` and the precommits for it. `absent` and `nil` are positions."""
    trusted = [Validator(key.public_key().public_bytes_raw(), power) for key in keys]
    last = BlockId(seeded("last", height), 1, seeded("parts", height))
    header = Header(
        11, 0, chain_id, height, Timestamp(time, 123456789), last, seeded("lc"), seeded("data"),
        validators_hash(trusted), validators_hash(trusted), seeded("consensus"), app_hash, seeded("results"),
        b"", trusted[height % len(trusted)].address,
    )  # fmt: skip
    block_id = BlockId(header.hash(), 1, seeded("parts", header.hash()))
    blank = Commit(height, round_, block_id, ())
    votes = []
    for at, key in enumerate(keys):
        if at in absent:
            votes.append(CommitSig(Flag.ABSENT))
            continue
        vote = CommitSig(Flag.NIL if at in nil else Flag.COMMIT, Timestamp(time + 1, 7000 + at), bytes(64))
        signature = key.sign(blank.sign_bytes(vote, chain_id))
        votes.append(CommitSig(vote.flag, vote.timestamp, signature))
    return SignedHeader(header, Commit(height, round_, block_id, tuple(votes)))


# Merkle-Patricia and QBFT


class Trie:
    """A secure trie (keys hashed with Keccak-256) built at once, with proofs."""

    def __init__(self, items: Mapping[bytes, bytes]) -> None:
        self._nodes: dict[bytes, bytes] = {}
        pairs = sorted((_nibbles(keccak256(key)), value) for key, value in items.items())
        raw = rlp.encode(self._build(pairs)) if pairs else b"\x80"
        self.root = keccak256(raw) if pairs else EMPTY_ROOT
        self._nodes[self.root] = raw

    def _build(self, pairs: list[tuple[list[int], bytes]]) -> RlpItem:
        first, last = pairs[0][0], pairs[-1][0]
        if len(pairs) == 1:
            return [_compact(first, leaf=True), pairs[0][1]]
        shared = next(at for at in range(64) if first[at] != last[at])
        if shared:
            below = self._build([(path[shared:], value) for path, value in pairs])
            return [_compact(first[:shared], leaf=False), self._reference(below)]
        branch: list[RlpItem] = []
        for nibble in range(16):
            members = [(path[1:], value) for path, value in pairs if path[0] == nibble]
            branch.append(self._reference(self._build(members)) if members else b"")
        return [*branch, b""]

    def _reference(self, node: RlpItem) -> RlpItem:
        raw = rlp.encode(node)
        if len(raw) < 32:
            return node
        self._nodes[keccak256(raw)] = raw
        return keccak256(raw)

    def proof(self, key: bytes) -> tuple[bytes, ...]:
        """Nodes on the path to `key`, root first, as `eth_getProof` gives them."""
        path = _nibbles(keccak256(key))
        out: list[bytes] = []
        reference: RlpItem = self.root
        while True:
            if isinstance(reference, bytes):
                if not reference:
                    return tuple(out)
                out.append(self._nodes[reference])
                decoded = rlp.decode(self._nodes[reference])
                if isinstance(decoded, bytes):
                    return tuple(out)
                node = decoded
            else:
                node = reference
            if len(node) == 17:
                reference, path = node[path[0]], path[1:]
                continue
            head = node[0]
            if not isinstance(head, bytes) or head[0] >> 4 >= 2:
                return tuple(out)
            length = 2 * len(head) - (1 if head[0] >> 4 & 1 else 2)
            reference, path = node[1], path[length:]


def _nibbles(data: bytes) -> list[int]:
    return [nibble for byte in data for nibble in (byte >> 4, byte & 15)]


def _compact(path: list[int], *, leaf: bool) -> bytes:
    flag = 2 * leaf + len(path) % 2
    padded = [flag, *path] if len(path) % 2 else [flag, 0, *path]
    return bytes(16 * high + low for high, low in zip(padded[::2], padded[1::2], strict=True))


@dataclass(frozen=True)
class EthState:
    """One state: its root, the accounts' trie and each contract's storage trie."""

    root: bytes
    accounts: Trie
    storage: dict[bytes, Trie]


def eth_state(slots: Slots, codes: Mapping[bytes, bytes]) -> EthState:
    """State of a chain with these storage words and contract code hashes, and some others beside them."""
    storage: dict[bytes, Trie] = {}
    records: dict[bytes, bytes] = {}
    for address, code in codes.items():
        words = {position: word for (contract, position), word in slots.items() if contract == address}
        for n in range(9):
            words[seeded("slot", n)] = seeded("word", n)
        words[seeded("small")] = (1).to_bytes(32, "big")
        storage[address] = Trie(
            {at: rlp.encode(rlp.from_int(int.from_bytes(word, "big"))) for at, word in words.items()}
        )
        records[address] = rlp.encode([b"\x01", b"", storage[address].root, code])
    for n in range(20):
        records[seeded("account", n)[:20]] = rlp.encode([b"\x05", b"\x09", EMPTY_ROOT, keccak256(b"")])
    accounts = Trie(records)
    return EthState(accounts.root, accounts, storage)


def qbft_validators(seed: object, count: int = 4) -> list[coincurve.PrivateKey]:
    """Test validators, address ascending."""
    keys = [secp256k1("sealer", seed, n) for n in range(count)]
    return sorted(keys, key=lambda key: address_of(key.public_key))


def clique_headers(
    keys: Sequence[coincurve.PrivateKey],
    *,
    number: int,
    time: int,
    state_root: bytes,
    count: int | None = None,
    sealers: Sequence[int] | None = None,
    listed: Sequence[bytes] = (),
) -> tuple[bytes, ...]:
    """A run of sealed headers by keys in ascending order of address, each in its turn, the first with this
    number and state root. `count`: as many as a majority by default; `sealers`: positions of who seals them;
    `listed`: the signer list in the first.
    """
    out: list[bytes] = []
    parent = seeded("parent")
    for at in range(len(keys) // 2 + 1 if count is None else count):
        turn = (number + at) % len(keys)
        who = turn if sealers is None else sealers[at]
        raw = clique_header(
            keys[who], parent=parent, number=number + at, time=time + at, difficulty=2 if who == turn else 1,
            state_root=state_root if at == 0 else seeded("state", at), listed=listed if at == 0 else (),
        )  # fmt: skip
        out.append(raw)
        parent = keccak256(raw)
    return tuple(out)


def clique_header(
    key: coincurve.PrivateKey,
    *,
    parent: bytes,
    number: int,
    time: int,
    difficulty: int,
    state_root: bytes,
    listed: Sequence[bytes] = (),
    fields: Mapping[int, RlpItem] | None = None,
) -> bytes:
    """RLP of one header. `fields`: what stands at these positions instead, sealed as it is."""
    base: list[RlpItem] = [
        parent, NO_UNCLES, bytes(20), state_root, seeded("txs"), seeded("receipts"), bytes(256),
        bytes([difficulty]), rlp.from_int(number), rlp.from_int(30_000_000), b"", rlp.from_int(time),
        seeded("vanity") + b"".join(listed), bytes(32), bytes(8), b"\x07",
    ]  # fmt: skip
    for position, value in (fields or {}).items():
        base[position] = value
    seal = key.sign_recoverable(keccak256(rlp.encode(base)), hasher=None)
    extra = base[12]
    assert isinstance(extra, bytes)
    return rlp.encode([*base[:12], extra + seal, *base[13:]])


def qbft_header(
    keys: Sequence[coincurve.PrivateKey],
    *,
    number: int,
    time: int,
    state_root: bytes,
    sealers: Sequence[int] | None = None,
    round_: int = 1,
) -> bytes:
    """RLP of a header sealed by the keys at the positions `sealers` (all but the last by default)."""
    validators: list[RlpItem] = [address_of(key.public_key) for key in keys]

    def encode(seals: Sequence[bytes]) -> bytes:
        extra = rlp.encode([seeded("vanity"), validators, [], rlp.from_int(round_), list(seals)])
        return rlp.encode(
            [
                seeded("parent"), seeded("uncles"), address_of(keys[0].public_key), state_root, seeded("txs"),
                seeded("receipts"), bytes(256), b"\x01", rlp.from_int(number), rlp.from_int(10**9), b"",
                rlp.from_int(time), extra, MIX_HASH, bytes(8),
            ]
        )  # fmt: skip

    message = parse_header(encode(())).seal_hash
    chosen = range(len(keys) - 1) if sealers is None else sealers
    return encode([keys[at].sign_recoverable(message, hasher=None) for at in chosen])
