"""Reading a batch file (docs/spec/case.md §4), in pieces as they come. No I/O.

Memory: one piece, one frame, and about 75 bytes a case.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator

from protocol import cbor
from protocol.case_batch import (
    MAGIC,
    MAX_CASES,
    MAX_FRAME,
    BatchHeader,
    BatchNotWhole,
    BatchTrailer,
    CaseLeaf,
    SealedRow,
    leaf_hash,
)
from protocol.errors import LimitExceeded, MalformedInput
from protocol.hashing import HASH_LEN, SHA256

_LENGTH = 4
_TABLE = 1 << 10


class BatchReader:
    """Takes pieces, gives the rows that became whole; nothing is believed before `close`.

    Whoever acts on rows earlier must be able to take that back.
    """

    def __init__(self) -> None:
        self.header: BatchHeader | None = None
        self.count = 0
        self.leaf_hashes = bytearray()
        """One after the other, in batch order."""
        self._trailer: BatchTrailer | None = None
        self._held = bytearray()
        self._begun = False
        self._digest = hashlib.sha256()
        self._ids = _CaseIds()

    def feed(self, piece: bytes | bytearray | memoryview) -> list[SealedRow]:
        """Rows that end in this piece.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded, BatchNotWhole
        """
        held = self._held
        held += piece
        if not self._begun:
            if len(held) < len(MAGIC):
                return []
            if not held.startswith(MAGIC):
                raise MalformedInput("not a batch file", field="batch")
            self._begun = True
            self._digest.update(MAGIC)
            del held[: len(MAGIC)]
        rows: list[SealedRow] = []
        at = hashed = 0
        while len(held) - at >= _LENGTH:
            length = int.from_bytes(held[at : at + _LENGTH], "big")
            if length > MAX_FRAME:
                raise LimitExceeded(f"a frame of {length} bytes, at most {MAX_FRAME}")
            end = at + _LENGTH + length
            if len(held) < end:
                break
            row = self._frame(bytes(held[at + _LENGTH : end]))
            if row is not None:
                rows.append(row)
            at = end
            if self._trailer is None:
                hashed = end
        # The digest is over everything before the trailer; a trailer ends what is hashed.
        self._digest.update(held[:hashed])
        del held[:at]
        return rows

    def close(self) -> BatchTrailer:
        """What the file ends with, held against all that came before.

        Raises:
            BatchNotWhole
        """
        if self._held or not self._begun:
            raise BatchNotWhole("the file ends inside a frame", field="batch")
        trailer = self._trailer
        if trailer is None:
            raise BatchNotWhole("the file ends before its trailer", field="trailer")
        whole = (self.count, _root(self.leaf_hashes), self._digest.digest())
        if whole != (trailer.count, trailer.root, trailer.digest):
            raise BatchNotWhole("count, root or digest differ from the trailer", field="trailer")
        return trailer

    def _frame(self, data: bytes) -> SealedRow | None:
        if self._trailer is not None:
            raise BatchNotWhole("something follows the trailer", field="trailer")
        value = cbor.decode(data, max_bytes=MAX_FRAME, max_depth=3)
        if self.header is None:
            self.header = BatchHeader.parse(value)
        elif isinstance(value, tuple):
            return self._row(SealedRow.parse(value, len(self.header.recipients)), self.header.owner)
        else:
            self._trailer = BatchTrailer.parse(value)
        return None

    def _row(self, row: SealedRow, owner: int) -> SealedRow:
        if self.count == MAX_CASES:
            raise LimitExceeded(f"more than {MAX_CASES} cases")
        leaf = CaseLeaf.parse(row.leaf)
        if leaf.owner != owner or not self._ids.add(leaf.case_id):
            raise MalformedInput("a case of another owner, or twice", field="case leaf")
        self.count += 1
        self.leaf_hashes += leaf_hash(row.leaf)
        return row


def read_batch(pieces: Iterable[bytes]) -> Iterator[BatchHeader | SealedRow | BatchTrailer]:
    """Header, rows and trailer of a batch file. What `BatchReader` says of belief holds here as well.

    Raises:
        BatchNotWhole, MalformedInput, UnknownVersion, LimitExceeded
    """
    reader = BatchReader()
    shown = False
    for piece in pieces:
        rows = reader.feed(piece)
        if not shown and reader.header is not None:
            shown = True
            yield reader.header
        yield from rows
    yield reader.close()


def _root(leaf_hashes: bytearray) -> bytes:
    """RFC 9162 root over hashes that stand one after the other."""
    level: bytes | bytearray = leaf_hashes
    while len(level) > HASH_LEN:
        level = above(level)
    return bytes(level)


def above(level: bytes | bytearray) -> bytes:
    """The next level of a tree: parents of pairs; an odd last node goes up as it is."""
    nodes = [bytes(level[at : at + HASH_LEN]) for at in range(0, len(level), HASH_LEN)]
    parents = SHA256.pairs(nodes)
    if len(nodes) & 1:
        parents.append(nodes[-1])
    return b"".join(parents)


class _CaseIds:
    """Which case ids occurred: a quarter of what a set of them takes.

    Open addressing under the interpreter's keyed hash, so nobody can choose ids that collide.
    """

    def __init__(self) -> None:
        self._ids = bytearray()
        self._table = array("I", bytes(4 * _TABLE))
        self._mask = _TABLE - 1

    def add(self, case_id: bytes) -> bool:
        """False when it was there."""
        place = hash(case_id) & self._mask
        while number := self._table[place]:
            if self._at(number) == case_id:
                return False
            place = (place + 1) & self._mask
        self._ids += case_id
        count = len(self._ids) // HASH_LEN
        self._table[place] = count
        if 2 * count > self._mask:
            self._grow(count)
        return True

    def _at(self, number: int) -> bytes:
        return bytes(self._ids[(number - 1) * HASH_LEN : number * HASH_LEN])

    def _grow(self, count: int) -> None:
        self._mask = 2 * self._mask + 1
        self._table = array("I", bytes(4 * (self._mask + 1)))
        for number in range(1, count + 1):
            place = hash(self._at(number)) & self._mask
            while self._table[place]:
                place = (place + 1) & self._mask
            self._table[place] = number
