"""A log's operator as a witness sees it: signed checkpoints and consistency proofs over any leaves."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from agent.keys import Ed25519Key, KeyLabel, MlDsa44Key, new_key
from monitor.errors import CheckpointNotAnchored
from monitor.own_node import AnchoredHead
from protocol.checkpoint import (
    TREE_HASHES,
    TYPE_ED25519,
    Checkpoint,
    NoteSignature,
    SignedNote,
    key_id,
    statement_origin,
)
from verifier.merkle import Tree, consistency_proof, tree_root
from verifier.trust_payload import TrustedLog


def ed25519(name: str = "log", purpose: str = "log") -> Ed25519Key:
    key = new_key("ed25519", KeyLabel(name, purpose))
    if not isinstance(key, Ed25519Key):
        raise TypeError("ed25519 expected")
    return key


def mldsa44(name: str = "witness", purpose: str = "witness") -> MlDsa44Key:
    key = new_key("ml-dsa-44", KeyLabel(name, purpose))
    if not isinstance(key, MlDsa44Key):
        raise TypeError("ml-dsa-44 expected")
    return key


@dataclass
class LogOperator:
    """Leaves and the log key. A second one with the same key and other leaves is a split view."""

    origin: str
    leaves: list[bytes] = field(default_factory=list)
    key: Ed25519Key = field(default_factory=ed25519)

    def tree(self, algorithm: int, size: int) -> Tree:
        alg = TREE_HASHES[algorithm]
        return Tree(alg, [alg.leaf(leaf) for leaf in self.leaves[:size]])

    def consistency(self, algorithm: int, old: int, new: int) -> list[bytes]:
        alg = TREE_HASHES[algorithm]
        leaves = [alg.leaf(leaf) for leaf in self.leaves[:new]]

        def node(level: int, index: int) -> bytes:
            return tree_root(alg, leaves[index << level : (index + 1) << level])

        return consistency_proof(alg, old, new, node) if 0 < old < new else []

    def checkpoint(self, size: int, algorithm: int = 0) -> Checkpoint:
        root = self.tree(algorithm, size).root
        return Checkpoint(statement_origin(self.origin, algorithm), size, root)

    def note(self, size: int, algorithm: int = 0, more: Sequence[NoteSignature] = ()) -> SignedNote:
        checkpoint = self.checkpoint(size, algorithm)
        identity = key_id(checkpoint.origin, TYPE_ED25519, self.key.public_key)
        line = NoteSignature(checkpoint.origin, identity, self.key.sign(checkpoint.text()))
        return SignedNote(checkpoint.text(), (line, *more))

    def request(self, old: int, size: int, algorithm: int = 0, more: Sequence[NoteSignature] = ()) -> bytes:
        proof = self.consistency(algorithm, old, size)
        return body(old, proof, self.note(size, algorithm, more).encode())


def body(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """A request of tlog-witness."""
    lines = b"".join(base64.b64encode(one) + b"\n" for one in proof)
    return b"old %d\n" % old + lines + b"\n" + note


@dataclass
class Heads:
    """Anchored heads in memory, where the chain is not what a test is about."""

    of: LogOperator
    sizes: set[int]
    asked: list[int] = field(default_factory=list)

    async def anchored(self, log: TrustedLog, size: int, *, since: int = 0) -> AnchoredHead:
        self.asked.append(size)
        if size not in self.sizes:
            raise CheckpointNotAnchored(f"{size}")
        sha256, sm3 = (self.of.tree(algorithm, size).root for algorithm in (0, 1))
        return AnchoredHead(size, size, sha256, sm3, 100 + size)


def post(url: str, data: bytes) -> httpx.Response:
    """One request to a witness."""
    with httpx.Client(trust_env=False, timeout=30) as http:
        return http.post(f"{url}/add-checkpoint", content=data)
