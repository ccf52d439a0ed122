"""Where a case is in a batch file: for who moves its first case without a gateway."""

from __future__ import annotations

from collections.abc import Iterable

from chain.case_acts import NOWHERE, Origin
from protocol.batch_file import read_batch
from protocol.case_batch import BatchTrailer, CaseLeaf, SealedRow, leaf_hash
from protocol.hashing import SHA256
from verifier.merkle_tree import Tree


def origin_in(pieces: Iterable[bytes], case_id: bytes) -> Origin:
    """The origin of a case; `NOWHERE` if the batch does not have it.

    Raises:
        The errors of the batch file
    """
    leaves: list[bytes] = []
    found: tuple[int, CaseLeaf] | None = None
    root = b""
    for part in read_batch(pieces):
        if isinstance(part, SealedRow):
            leaf = CaseLeaf.parse(part.leaf)
            if leaf.case_id == case_id:
                found = len(leaves), leaf
            leaves.append(leaf_hash(part.leaf))
        elif isinstance(part, BatchTrailer):
            root = part.root
    if found is None:
        return NOWHERE
    index, leaf = found
    return Origin(root, index, leaf.product, leaf.commitment, tuple(Tree(SHA256, leaves).path(index)))
