"""From checked submissions to the rows and the promise of one durable commit. Pure; the hot path.

Work that does not depend on the position in the log (`stage`) is done when a submission arrives, while the
database is busy with the group before; `Group` does the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from evidence.ports import PromiseSigner
from evidence.vault import NONCE_LEN, Vault
from protocol.entry import Continuation
from protocol.hashing import SHA256
from protocol.submission import PROMISE_TAG, Acceptance, CheckedSubmission, Promise, group_leaf
from protocol.tree import root as tree_root
from verifier.merkle import Tree

DEDUPE_LEN = 16
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
COPY_COLUMNS = ("log_no", "leaf_index", "leaf", "id_key", "dedupe", "case_key", "tag_key", "body")
_TAIL = struct.Struct(f">i{DEDUPE_LEN}si8si8si")
_INDEX = struct.Struct(">q")
_KEY = struct.Struct(">q")
_LEAF_MARK = struct.pack(">i", 112)
_ID_MARK = struct.pack(">i", 8)
_CHUNK_PARTS = 7 * 96
"""Seven parts a row: about 96 rows go out at a time."""


@dataclass
class Staged:
    """A submission that passed every check, sealed, waiting for its place in the log."""

    checked: CheckedSubmission
    signer: bytes
    sealed: list[bytes]
    tags: list[bytes]
    tails: list[bytes]
    """Per entry, the COPY bytes of dedupe, case key, tag key and body."""
    links: list[tuple[int, int, int, bytes]]
    """(entry, position, relation, target)"""
    size: int
    """Approximate bytes held while waiting."""
    waiters: list[asyncio.Future[Acceptance]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.checked.leaves)

    @property
    def key(self) -> tuple[int, bytes]:
        return self.checked.submission.organisation, self.checked.root


def stage(checked: CheckedSubmission, signer: bytes, vault: Vault) -> Staged:
    """Seal the bodies and prepare what the rows need."""
    entries = checked.submission.entries
    nonces = os.urandom(NONCE_LEN * len(entries))
    sealed: list[bytes] = []
    tags: list[bytes] = []
    tails: list[bytes] = []
    links: list[tuple[int, int, int, bytes]] = []
    pack, seal, tag_of = _TAIL.pack, vault.seal, vault.tag
    size = 1024
    for at, ((header, body), view, digest) in enumerate(
        zip(entries, checked.views, checked.leaf_hashes, strict=True)
    ):
        box = seal(body, nonces[at * NONCE_LEN : (at + 1) * NONCE_LEN], digest)
        if view is None:
            tag = tag_of(Continuation.parse(body).root_sha256)
        else:
            tag = tag_of(view.content_sha256)
            if view.raw_links:
                links.extend(
                    (at, n, int(relation), target) for n, (relation, target) in enumerate(view.links)
                )
        sealed.append(box)
        tags.append(tag)
        tails.append(pack(DEDUPE_LEN, digest[:DEDUPE_LEN], 8, header[16:24], 8, tag, len(box)) + box)
        size += len(box) + 512
    return Staged(checked, signer, sealed, tags, tails, links, size)


class Group:
    """Submissions with their places in the log, and in the end the promise over them.

    The rows are built while they are sent (`stream`), so that Python and the database work at the same time;
    `finish` needs all of them and signs the promise.
    """

    def __init__(
        self,
        items: Sequence[Staged],
        *,
        log_id: bytes,
        log_no: int,
        first_index: int,
        sequences: Mapping[int, int],
    ) -> None:
        """Places are given in order. `sequences`: the last one of each organisation."""
        self.items = tuple(items)
        self.log_id = log_id
        self.log_no = log_no
        self.first_index = first_index
        self.firsts: list[int] = []
        self.last_sequences: dict[int, int] = {}
        self.sequenced: list[bytes] = []
        self.ids: list[bytes] = []
        self.leaves = 0
        self._roots: list[bytes] = []
        for item in self.items:
            organisation = item.checked.submission.organisation
            first = self.last_sequences.get(organisation, sequences.get(organisation, 0)) + 1
            self.firsts.append(first)
            self.last_sequences[organisation] = first + item.count - 1
            self.leaves += item.count
        self.promise = b""
        self.signature = b""
        self.roots = b""
        self.accepted_at = 0
        self.deadline = 0
        self.answers: tuple[Acceptance, ...] = ()

    @property
    def new_size(self) -> int:
        return self.first_index + self.leaves

    def _sequence(self, item: Staged, sequence: int) -> tuple[list[bytes], list[bytes]]:
        """The sequenced leaves of one submission and their hashes."""
        sha256 = hashlib.sha256
        leaves = [
            leaf[:8] + number.to_bytes(8, "big") + leaf[16:]
            for number, leaf in enumerate(item.checked.leaves, start=sequence)
        ]
        hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        self._roots.append(tree_root(SHA256, hashes))
        return leaves, hashes

    def sequence_all(self) -> None:
        """Compute every leaf at once: for groups that are not streamed."""
        for item, first in zip(self.items, self.firsts, strict=True):
            leaves, hashes = self._sequence(item, first)
            self.sequenced.extend(leaves)
            self.ids.extend(digest[:8] for digest in hashes)

    async def stream(self) -> AsyncIterator[bytes]:
        """Binary COPY of the entries (PostgreSQL manual, COPY, binary format), columns `COPY_COLUMNS`."""
        start = struct.pack(">hiii", len(COPY_COLUMNS), 4, self.log_no, 8)
        pack, index = _INDEX.pack, self.first_index
        parts: list[bytes] = [COPY_HEADER]
        extend = parts.extend
        for item, first in zip(self.items, self.firsts, strict=True):
            leaves, hashes = self._sequence(item, first)
            for leaf, digest, tail in zip(leaves, hashes, item.tails, strict=True):
                extend((start, pack(index), _LEAF_MARK, leaf, _ID_MARK, digest[:8], tail))
                index += 1
            if len(parts) > _CHUNK_PARTS:
                yield b"".join(parts)
                parts.clear()
        parts.append(COPY_TRAILER)
        yield b"".join(parts)

    def finish(self, signer: PromiseSigner, accepted_at: int, deadline: int) -> None:
        """Sign the promise and prepare every answer."""
        self.roots = b"".join(self._roots)
        self.accepted_at, self.deadline = accepted_at, deadline
        tree = Tree(SHA256, [group_leaf(root) for root in self._roots])
        promise = Promise(self.log_id, tree.root, tree.size, accepted_at, deadline)
        self.promise = promise.encode()
        self.signature = signer.sign(PROMISE_TAG + self.promise)
        answers = []
        index = self.first_index
        for position, (item, first, path) in enumerate(
            zip(self.items, self.firsts, tree.paths(), strict=True)
        ):
            answers.append(Acceptance(self.promise, self.signature, first, index, item.count, position, path))
            index += item.count
        self.answers = tuple(answers)


def signed64(eight: bytes) -> int:
    """Eight bytes as PostgreSQL's bigint."""
    return int(_KEY.unpack(eight)[0])


def submission_arguments(group: Group) -> tuple[list[object], ...]:
    """The submission arrays of evidence.accept_group."""
    submissions = [item.checked.submission for item in group.items]
    return (
        [answer.first_index for answer in group.answers],
        [item.count for item in group.items],
        [one.organisation for one in submissions],
        list(group.firsts),
        [one.valid_until for one in submissions],
        [item.checked.root for item in group.items],
        [one.signature for one in submissions],
        [item.signer for item in group.items],
        list(group.last_sequences),
        list(group.last_sequences.values()),
    )


def link_arguments(group: Group) -> tuple[list[object] | None, ...]:
    """The link arrays of evidence.accept_group; null when no entry has links."""
    rows = [
        (answer.first_index + at, position, relation, target)
        for item, answer in zip(group.items, group.answers, strict=True)
        for at, position, relation, target in item.links
    ]
    if not rows:
        return (None,) * 4
    return tuple(list(map(itemgetter(column), rows)) for column in range(4))


def entry_arguments(group: Group) -> tuple[Sequence[object], ...]:
    """The entry arrays of evidence.accept_group, for groups too small for COPY."""
    digests = [digest for item in group.items for digest in item.checked.leaf_hashes]
    return (
        group.sequenced,
        [digest[:DEDUPE_LEN] for digest in digests],
        [signed64(one) for one in group.ids],
        [signed64(leaf[16:24]) for leaf in group.sequenced],
        [signed64(tag) for item in group.items for tag in item.tags],
        [box for item in group.items for box in item.sealed],
    )
