"""Batch files for tests, made as an agent makes them."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocol.case_batch import (
    MAGIC,
    BatchHeader,
    BatchRecipient,
    BatchTrailer,
    CaseLeaf,
    SealedRow,
    Sealer,
    batch_root,
    frame,
    leaf_hash,
)
from protocol.case_row import CaseRow, Debtor, Product, Reachability, RowFlag

OWNER, CENTRE, OTHER = 7, 3, 12
KEYS = {index: X25519PrivateKey.from_private_bytes(bytes([index]) * 32) for index in range(1, 13)}
ROW = CaseRow(
    OWNER, "JK-2025-000001", Product.CREDIT_CARD, Debtor.PERSON, "示例甲", "11010119900307803X",
    "13800138000", "示例省示例市示例路1号", "2024-02-29", "2025-03-01", 1_000_000, 23_456, 0, 1_023_456,
    120, Reachability.REACHABLE, RowFlag.ELDERLY | RowFlag.PETITION, RowFlag.ELDERLY, "偿还本金及利息",
)  # fmt: skip


def recipients(*organisations: int) -> tuple[BatchRecipient, ...]:
    """Recipients with the keys above."""
    return tuple(
        BatchRecipient(one, KEYS[one].public_key().public_bytes_raw()) for one in sorted(organisations)
    )


@dataclass(frozen=True)
class Published:
    """A member, and the key that it published."""

    active: bool = True
    hpke_key: bytes | None = None


class Recipients:
    """The registry's published keys; a test may change them."""

    def __init__(self) -> None:
        self.members = {
            index: Published(hpke_key=key.public_key().public_bytes_raw()) for index, key in KEYS.items()
        }

    def organisation(self, index: int) -> Published | None:
        return self.members.get(index)


@dataclass(frozen=True)
class MadeBatch:
    """A batch file and what is in it."""

    data: bytes
    header: BatchHeader
    rows: tuple[SealedRow, ...]
    trailer: BatchTrailer

    @property
    def leaves(self) -> list[CaseLeaf]:
        return [CaseLeaf.parse(row.leaf) for row in self.rows]

    @property
    def root(self) -> bytes:
        return self.trailer.root


def made_batch(
    count: int = 3, *, owner: int = OWNER, to: Sequence[BatchRecipient] = (), batch_id: bytes | None = None,
    made_at: int = 1_800_000_000,
) -> MadeBatch:  # fmt: skip
    """A batch of `count` sealed rows."""
    to = tuple(to) or recipients(OWNER, CENTRE)
    sealer = Sealer(to)
    rows = [
        sealer.seal(owner, 1, dataclasses.replace(ROW, owner=owner, contract=f"JK-{n}").encode())
        for n in range(count)
    ]
    return assembled(rows, BatchHeader(batch_id or secrets.token_bytes(32), owner, tuple(to), made_at))


def assembled(rows: Sequence[SealedRow], header: BatchHeader) -> MadeBatch:
    """The file of these rows, whatever they are."""
    body = MAGIC + frame(header.encode()) + b"".join(frame(row.encode()) for row in rows)
    root = batch_root([leaf_hash(row.leaf) for row in rows])
    trailer = BatchTrailer(len(rows), root, hashlib.sha256(body).digest())
    return MadeBatch(body + frame(trailer.encode()), header, tuple(rows), trailer)
