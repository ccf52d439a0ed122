"""The evidence log of a synthetic month: entries in one growing tree, anchored as the cases need them."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.month.cast import Cast
from chain.bindings import EVIDENCE_LOG, interface
from chain.case_acts import BatchLink, EvidenceEntry
from chain.deployment import Deployment
from chain.transactions import Call
from protocol.acts import Anchor, Purpose
from protocol.entry import EvidenceClass
from protocol.hashing import SHA256, SM3, HashAlg, keccak256, sha256
from protocol.identifiers import log_id
from protocol.keyslot import batch_link
from verifier.merkle_tree import consistency_proof, inclusion_proof

ORIGIN = "centre.example/month-evidence"
_FOREVER = 2**40 - 1


class GrowingTree:
    """A tree with every complete subtree kept."""

    def __init__(self, alg: HashAlg) -> None:
        self._alg = alg
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """Leaves."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf and every subtree that it completes."""
        node, level = self._alg.leaf(leaf), 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(node)
            if len(row) & 1:
                return
            node, level = self._alg.node(row[-2], row[-1]), level + 1

    def get(self, level: int, index: int) -> bytes:
        """Root of a complete subtree."""
        return self._levels[level][index]

    def root(self) -> bytes:
        """RFC 9162 root of all leaves."""
        found: bytes | None = None
        for level in range(self.size.bit_length()):
            if self.size >> level & 1:
                part = self.get(level, (self.size >> level) - 1)
                found = part if found is None else self._alg.node(part, found)
        return self._alg.empty if found is None else found


@dataclass
class EvidenceDesk:
    """Takes entries, anchors them, and shows them to the guard."""

    cast: Cast
    deployment: Deployment
    sha: GrowingTree = field(default_factory=lambda: GrowingTree(SHA256))
    sm3: GrowingTree = field(default_factory=lambda: GrowingTree(SM3))
    anchored: int = 0
    number: int = 0
    last_link: bytes = bytes(32)
    _leaves: list[bytes] = field(default_factory=list)
    _sequences: dict[int, int] = field(default_factory=dict)

    def add(self, kind: EvidenceClass, submitter: int, case_id: bytes) -> int:
        """A new entry of a case; its index in the log."""
        sequence = self._sequences[submitter] = self._sequences.get(submitter, 0) + 1
        head = bytes((1, kind, 0, 0)) + submitter.to_bytes(4, "big") + sequence.to_bytes(8, "big")
        leaf = head + sha256(b"caseledger/case/v1" + case_id) + keccak256(head) + keccak256(head + b"sm3")
        self._leaves.append(leaf)
        self.sha.append(leaf)
        self.sm3.append(leaf)
        return len(self._leaves) - 1

    @property
    def waiting(self) -> bool:
        """Entries that are not anchored."""
        return self.anchored < self.sha.size

    def anchor(self) -> Call:
        """The transaction that anchors what waits."""
        old, new = self.anchored, self.sha.size
        act = Anchor(log_id(ORIGIN), old, new, self.sha.root(), self.sm3.root(), _FOREVER)
        proof = consistency_proof(SHA256, old, new, self.sha.get) if old else []
        centre = self.cast.key(self.cast.index("centre"), Purpose.ANCHOR)
        signature = centre.sign_digest(act.digest(self.deployment.log_domain))
        request = (act.log_id, old, new, act.root_sha256, act.root_sm3, act.valid_until)
        data = interface(EVIDENCE_LOG).function("anchor").encode(request, proof, signature)
        return Call(self.deployment.evidence_log.address, data)

    def done(self, time: int) -> BatchLink:
        """The anchor is in a block of this time."""
        self.number += 1
        self.anchored = self.sha.size
        link = BatchLink(
            log_id(ORIGIN), self.number, self.last_link, self.anchored, self.sha.root(), self.sm3.root(), time
        )
        where = self.deployment.log_domain
        self.last_link = batch_link(chain_id=where.chain_id, contract=where.contract, **vars(link))
        return link

    def show(self, index: int, link: BatchLink) -> EvidenceEntry:
        """An entry as the guard takes it, in the batch that anchored it."""
        path = inclusion_proof(SHA256, index, link.size, self.sha.get)
        return EvidenceEntry(link, self._leaves[index], index, tuple(path))

    def id_of(self, index: int) -> bytes:
        """The entry's id."""
        return self.sha.get(0, index)
