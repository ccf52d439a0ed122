"""The leaf of a case and its path to the batch root: what is shown when the case comes to life on chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.intake.errors import BatchUnknown
from agent.intake.store import BatchState, IntakeStore
from protocol.batch_file import read_batch
from protocol.case_batch import CaseLeaf, SealedRow, leaf_hash
from protocol.hashing import SHA256
from verifier.merkle import Tree, verify_inclusion

_PIECE = 1 << 20


@dataclass(frozen=True)
class CaseProof:
    """A case leaf, and that it is in a batch."""

    batch: bytes
    leaf: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    root: bytes

    def as_json(self) -> dict[str, Any]:
        """Hex and numbers."""
        leaf = CaseLeaf.parse(self.leaf)
        return {
            "batch": self.batch.hex(),
            "caseId": leaf.case_id.hex(),
            "leaf": self.leaf.hex(),
            "index": self.index,
            "size": self.size,
            "path": [node.hex() for node in self.path],
            "root": self.root.hex(),
        }


def pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as source:
        while piece := source.read(_PIECE):
            yield piece


def case_proof(store: IntakeStore, case_id: bytes) -> CaseProof:
    """The proof of a case of a finished batch, checked before it is returned.

    Raises:
        BatchUnknown, and what a damaged batch file raises
    """
    place = store.place(case_id)
    batch = None if place is None else store.batch(place[0])
    if place is None or batch is None or batch.state is BatchState.MAKING or batch.root is None:
        raise BatchUnknown("no finished batch holds this case", field="case")
    hashes = store.leaf_hashes(batch.id)
    path = Tree(SHA256, hashes).path(place[1])
    rows = (item for item in read_batch(pieces(store.file_path(batch.id))) if isinstance(item, SealedRow))
    leaf = next(row.leaf for at, row in enumerate(rows) if at == place[1])
    verify_inclusion(SHA256, leaf_hash(leaf), place[1], len(hashes), path, batch.root)
    return CaseProof(batch.id, leaf, place[1], len(hashes), path, batch.root)
