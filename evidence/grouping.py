"""From checked submissions to the rows and the promise of one durable commit. Pure; the hot path.

Work that does not depend on the position in the log (`stage`) is done when a submission arrives, while the
database is busy with the group before; `Group` does the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from evidence.custody import Place, columns
from evidence.ports import PromiseSigner
from evidence.vault import NONCE_LEN, Vault
from protocol.custody import CustodyEvent
from protocol.entry import Continuation
from protocol.hashing import SHA256
from protocol.submission import PROMISE_TAG, Acceptance, CheckedSubmission, Promise, group_leaf
from protocol.tree import root as tree_root
from verifier.merkle import Tree

DEDUPE_LEN = 16
KEY_LEN = 8


@dataclass
class Staged:
    """A submission that passed every check, sealed, waiting for its place in the log."""

    checked: CheckedSubmission
    signer: bytes
    sealed: list[bytes]
    dedupe: list[bytes]
    case_keys: list[int]
    tag_keys: list[int]
    links: list[tuple[int, int, int, bytes]]
    """(entry, position, relation, target)"""
    size: int
    """Approximate bytes held while waiting."""
    places: list[Place] = field(default_factory=list)
    """Of custody events, in their items' chains."""
    waiters: list[asyncio.Future[Acceptance]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.checked.leaves)

    @property
    def key(self) -> tuple[int, bytes]:
        return self.checked.submission.organisation, self.checked.root


def stage(checked: CheckedSubmission, signer: bytes, vault: Vault, places: Sequence[Place] = ()) -> Staged:
    """Seal the bodies and prepare what the rows need."""
    entries = checked.submission.entries
    nonces = os.urandom(NONCE_LEN * len(entries))
    sealed: list[bytes] = []
    tags: list[int] = []
    links: list[tuple[int, int, int, bytes]] = []
    seal, tag_of = vault.seal, vault.tag
    nonce = 0
    for at, (entry, view, digest) in enumerate(zip(entries, checked.views, checked.leaf_hashes, strict=True)):
        body = entry[1]
        sealed.append(seal(body, nonces[nonce : nonce + NONCE_LEN], digest))
        nonce += NONCE_LEN
        if view is None:
            tags.append(key_of(tag_of(Continuation.parse(body).root_sha256)))
            continue
        if isinstance(view, CustodyEvent):
            tags.append(key_of(tag_of(view.item)))
            continue
        tags.append(key_of(tag_of(view.content_sha256)))
        if view.raw_links:
            links.extend((at, n, int(link[0]), link[1]) for n, link in enumerate(view.links))
    return Staged(
        checked,
        signer,
        sealed,
        [digest[:DEDUPE_LEN] for digest in checked.leaf_hashes],
        [key_of(leaf[16:24]) for leaf in checked.leaves],
        tags,
        links,
        1024 + 512 * len(entries) + sum(map(len, sealed)),
        list(places),
    )


def key_of(value: bytes) -> int:
    """First eight bytes as PostgreSQL's bigint."""
    return int.from_bytes(value[:KEY_LEN], "big", signed=True)


class Group:
    """Submissions with their places in the log and the promise over them."""

    def __init__(
        self,
        items: Sequence[Staged],
        *,
        log_id: bytes,
        first_index: int,
        sequences: Mapping[int, int],
        signer: PromiseSigner,
        accepted_at: int,
        deadline: int,
    ) -> None:
        """Places are given in order. `sequences`: the last one of each organisation."""
        self.items = tuple(items)
        self.first_index = first_index
        self.accepted_at, self.deadline = accepted_at, deadline
        self.last_sequences: dict[int, int] = {}
        self.leaves: list[bytes] = []
        self.id_keys: list[int] = []
        roots: list[bytes] = []
        firsts: list[int] = []
        sha256, key = hashlib.sha256, key_of
        for item in self.items:
            organisation = item.checked.submission.organisation
            first = self.last_sequences.get(organisation, sequences.get(organisation, 0)) + 1
            leaves = [
                leaf[:8] + number.to_bytes(8, "big") + leaf[16:]
                for number, leaf in enumerate(item.checked.leaves, start=first)
            ]
            hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
            self.leaves += leaves
            self.id_keys += map(key, hashes)
            roots.append(tree_root(SHA256, hashes))
            firsts.append(first)
            self.last_sequences[organisation] = first + item.count - 1
        self.roots = b"".join(roots)
        tree = Tree(SHA256, [group_leaf(root) for root in roots])
        self.promise = Promise(log_id, tree.root, tree.size, accepted_at, deadline).encode()
        self.signature = signer.sign(PROMISE_TAG + self.promise)
        answers = []
        index = first_index
        for position, (item, first, path) in enumerate(zip(self.items, firsts, tree.paths(), strict=True)):
            answers.append(Acceptance(self.promise, self.signature, first, index, item.count, position, path))
            index += item.count
        self.answers = tuple(answers)
        self.new_size = index


def submission_arguments(group: Group) -> tuple[list[object], ...]:
    """The submission arrays of evidence.accept_group."""
    submissions = [item.checked.submission for item in group.items]
    return (
        [answer.first_index for answer in group.answers],
        [item.count for item in group.items],
        [one.organisation for one in submissions],
        [answer.first_sequence for answer in group.answers],
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


def event_arguments(group: Group) -> tuple[list[object], ...]:
    """The event arrays of evidence.accept_custody_group."""
    return columns(
        [
            (answer.first_index + place.position, place)
            for item, answer in zip(group.items, group.answers, strict=True)
            for place in item.places
        ]
    )


def entry_arguments(group: Group) -> tuple[Sequence[object], ...]:
    """The entry arrays of evidence.accept_group."""
    dedupe: list[bytes] = []
    case_keys: list[int] = []
    tag_keys: list[int] = []
    sealed: list[bytes] = []
    for item in group.items:
        dedupe += item.dedupe
        case_keys += item.case_keys
        tag_keys += item.tag_keys
        sealed += item.sealed
    return group.leaves, dedupe, group.id_keys, case_keys, tag_keys, sealed
