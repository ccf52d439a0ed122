"""Merkle-Patricia proofs of Ethereum's secure tries (yellow paper, appendix D; EIP-1186).

Keys are keccak256 digests, so every path has 64 nibbles and a branch never holds a value. Both presence and
absence are proved. Strict: canonical node forms only, no node beside the path, none missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.hashing import keccak256
from verifier import rlp
from verifier.errors import (
    MptAccountAbsent,
    MptLimit,
    MptMalformedNode,
    MptMalformedValue,
    MptNodeMismatch,
    MptProofIncomplete,
    MptUnusedNode,
    RlpMalformed,
)
from verifier.rlp import RlpItem

EMPTY_ROOT = keccak256(b"\x80")
KEY_NIBBLES = 64
MAX_NODES = KEY_NIBBLES + 1
MAX_NODE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Account:
    """Account record of the state trie: nonce, balance in wei, storage root, code hash (32 bytes each)."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


def lookup(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Value under keccak256(`key`) in the trie with `root`, or None when the proof shows that there is none.

    `proof` holds the RLP of the hashed nodes on the path, root first; smaller nodes are inside their parent.
    """
    return lookup_hashed(root, keccak256(key), proof)


def lookup_hashed(root: bytes, path: bytes, proof: Sequence[bytes]) -> bytes | None:
    """As `lookup`, for a 32-byte path that is hashed already."""
    if len(proof) > MAX_NODES:
        raise MptLimit(f"{len(proof)} nodes, at most {MAX_NODES}", field="proof")
    if any(len(node) > MAX_NODE_BYTES for node in proof):
        raise MptLimit(f"a node has more than {MAX_NODE_BYTES} bytes", field="proof")
    if root == EMPTY_ROOT and (not proof or list(proof) == [b"\x80"]):
        return None
    walk = _Walk([nibble for byte in path for nibble in (byte >> 4, byte & 15)], proof)
    value = walk.run(root)
    if walk.used != len(proof):
        raise MptUnusedNode(f"{len(proof) - walk.used} nodes too many", field="proof")
    return value


class _Walk:
    def __init__(self, nibbles: list[int], proof: Sequence[bytes]) -> None:
        self.rest = nibbles
        self.proof = proof
        self.used = 0

    def run(self, root: bytes) -> bytes | None:
        reference: RlpItem = root
        must_branch = False
        while True:
            node = self._resolve(reference)
            if must_branch and len(node) != 17:
                raise MptMalformedNode("an extension leads to a branch", field="proof")
            if len(node) == 17:
                child = self._branch(node)
                must_branch = False
            elif len(node) == 2:
                is_leaf, path = _hex_prefix(_bytes(node[0]))
                if is_leaf:
                    return self._leaf(path, _bytes(node[1]))
                if not path or len(path) >= len(self.rest):
                    raise MptMalformedNode("extension too short or too deep", field="proof")
                child = node[1] if self.rest[: len(path)] == path else None
                _check_reference(node[1])
                self.rest = self.rest[len(path) :]
                must_branch = True
            else:
                raise MptMalformedNode(f"{len(node)} items in a node", field="proof")
            if child is None:
                return None
            reference = child

    def _resolve(self, reference: RlpItem) -> list[RlpItem]:
        if isinstance(reference, list):
            return reference
        if self.used == len(self.proof):
            raise MptProofIncomplete(field="proof")
        raw = self.proof[self.used]
        if keccak256(raw) != reference:
            raise MptNodeMismatch(f"node {self.used}", field="proof")
        if self.used and len(raw) < 32:
            raise MptMalformedNode("a node under 32 bytes stands inside its parent", field="proof")
        self.used += 1
        node = rlp.decode(raw)
        if not isinstance(node, list):
            raise MptMalformedNode("a node is a list", field="proof")
        return node

    def _branch(self, node: list[RlpItem]) -> RlpItem | None:
        if not self.rest:
            raise MptMalformedNode("deeper than the key", field="proof")
        if node[16] != b"":
            raise MptMalformedNode("a branch holds no value where all keys have one length", field="proof")
        children = node[:16]
        for child in children:
            if child != b"":
                _check_reference(child)
        if sum(child != b"" for child in children) < 2:
            raise MptMalformedNode("a branch has two children or more", field="proof")
        child = children[self.rest[0]]
        self.rest = self.rest[1:]
        return None if child == b"" else child

    def _leaf(self, path: list[int], value: bytes) -> bytes | None:
        if len(path) != len(self.rest):
            raise MptMalformedNode("a leaf ends at the key's length", field="proof")
        if not value:
            raise MptMalformedNode("a leaf without a value", field="proof")
        return value if path == self.rest else None


def _bytes(item: RlpItem) -> bytes:
    if isinstance(item, list):
        raise MptMalformedNode("a list where bytes belong", field="proof")
    return item


def _check_reference(item: RlpItem) -> None:
    """A child is a 32-byte hash, or a node whose encoding has fewer than 32 bytes."""
    if isinstance(item, bytes):
        if len(item) != 32:
            raise MptMalformedNode("a reference has 32 bytes", field="proof")
    elif len(rlp.encode(item)) >= 32:
        raise MptMalformedNode("an embedded node has fewer than 32 bytes", field="proof")


def _hex_prefix(raw: bytes) -> tuple[bool, list[int]]:
    """Compact path (yellow paper, appendix C): leaf flag and nibbles."""
    if not raw or raw[0] >> 4 > 3:
        raise MptMalformedNode("hex prefix", field="proof")
    nibbles = [nibble for byte in raw for nibble in (byte >> 4, byte & 15)]
    if nibbles[0] & 1:
        return nibbles[0] >= 2, nibbles[1:]
    if nibbles[1]:
        raise MptMalformedNode("hex prefix padding is not zero", field="proof")
    return nibbles[0] >= 2, nibbles[2:]


def account(state_root: bytes, address: bytes, proof: Sequence[bytes]) -> Account:
    """Account of `address` (20 bytes) under `state_root`; absence is an error, for a contract must exist."""
    raw = lookup(state_root, address, proof)
    if raw is None:
        raise MptAccountAbsent(field="address")
    record = rlp.decode(raw)
    if not isinstance(record, list) or len(record) != 4:
        raise MptMalformedValue("an account has four items", field="accountProof")
    fields = [item for item in record if isinstance(item, bytes)]
    if len(fields) != 4 or len(fields[2]) != 32 or len(fields[3]) != 32:
        raise MptMalformedValue("account items have the wrong form", field="accountProof")
    try:
        nonce, balance = rlp.to_int(fields[0], 8), rlp.to_int(fields[1], 32)
    except RlpMalformed as error:
        raise MptMalformedValue("nonce or balance has leading zeros", field="accountProof") from error
    return Account(nonce, balance, fields[2], fields[3])


def storage(storage_root: bytes, slot: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Word at `slot` (32 bytes each) under `storage_root`; None when absent, which the EVM reads as zero."""
    raw = lookup(storage_root, slot, proof)
    if raw is None:
        return None
    value = rlp.decode(raw)
    if not isinstance(value, bytes):
        raise MptMalformedValue("a storage word is a byte string", field="storageProof")
    try:
        number = rlp.to_int(value)
    except RlpMalformed as error:
        raise MptMalformedValue("a storage word has no leading zeros", field="storageProof") from error
    if number == 0:
        raise MptMalformedValue("a zero word is not stored", field="storageProof")
    return number.to_bytes(32, "big")
