"""Taking a batch file: read, checked and spooled as it comes, then stored whole or not at all.

No connection and no transaction waits for a slow sender: the file lies in an unnamed file until its trailer
proves it whole. Then one transaction brings the batch, its tree, its cases and its sealed rows.
"""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import asyncpg

from cases import batch_repository as repository
from cases.errors import BatchDiffers, BatchesBusy, BatchOfAnother, BatchRecipientUnknown, CaseInOtherBatch
from cases.ports import PersonData, RecipientRegistry
from protocol.batch_file import BatchReader
from protocol.case_batch import BatchHeader, BatchTrailer, CaseLeaf, SealedRow
from protocol.errors import LimitExceeded, MalformedInput
from storage.db import AnyConnection, Pool
from storage.errors import StorageFull

STEP = 1 << 18
"""Bytes that are read and checked at a time, on a thread: the event loop goes on."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Limits:
    """`most_bytes`: of one file. `at_once`: files that are taken at the same time."""

    most_bytes: int = 2 << 30
    at_once: int = 2


@dataclass(frozen=True)
class Taken:
    """What became of a file. `new`: it was not here before."""

    root: bytes
    count: int
    new: bool


class BatchIntake:
    """The one way in. `folder`: where files are spooled; nothing in it has a name."""

    def __init__(
        self, pool: Pool, persons: PersonData, registry: RecipientRegistry, folder: Path,
        clock: Callable[[], int], limits: Limits = Limits(),
    ) -> None:  # fmt: skip
        self._pool = pool
        self._persons = persons
        self._registry = registry
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._under_way = 0

    async def take(self, batch_id: bytes, organisation: int, pieces: AsyncIterator[bytes]) -> Taken:
        """Takes a file from an organisation, which must be its owner. The same file again is taken again.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded, BatchNotWhole, BatchOfAnother,
            BatchRecipientUnknown, BatchDiffers, CaseInOtherBatch, BatchesBusy, StorageFull
        """
        async with self._place():
            with await asyncio.to_thread(self._spool) as spool:
                header, trailer = await self._read(batch_id, organisation, pieces, spool)
                await asyncio.to_thread(spool.seek, 0)
                async with self._pool.acquire() as conn, conn.transaction():
                    return await self._store(conn, header, trailer, spool)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._under_way >= self._limits.at_once:
            raise BatchesBusy(f"{self._under_way} files are being taken", hint="send it again a little later")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _spool(self) -> BinaryIO:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    async def _read(
        self, batch_id: bytes, organisation: int, pieces: AsyncIterator[bytes], spool: BinaryIO
    ) -> tuple[BatchHeader, BatchTrailer]:
        """Header and trailer of a file that is whole and may come from this organisation; it is spooled."""
        reader, held, length = BatchReader(), bytearray(), 0
        checked = False
        async for piece in pieces:
            length += len(piece)
            if length > self._limits.most_bytes:
                raise LimitExceeded(f"more than {self._limits.most_bytes} bytes", field="batch", hint=_SPLIT)
            held += piece
            if len(held) >= STEP or not checked:
                await asyncio.to_thread(_step, reader, spool, bytes(held))
                held.clear()
            if not checked and reader.header is not None:
                self._check(reader.header, batch_id, organisation)
                checked = True
        await asyncio.to_thread(_step, reader, spool, bytes(held))
        trailer = await asyncio.to_thread(reader.close)
        header = reader.header
        if header is None:
            raise MalformedInput("no header", field="batch")
        if not checked:
            self._check(header, batch_id, organisation)
        return header, trailer

    def _check(self, header: BatchHeader, batch_id: bytes, organisation: int) -> None:
        if header.owner != organisation:
            raise BatchOfAnother(
                f"the file is of organisation {header.owner}, sent by {organisation}", field="owner"
            )
        if header.batch_id != batch_id:
            raise MalformedInput("the file has another batch id than the address", field="batchId")

    def _check_recipients(self, header: BatchHeader) -> None:
        for one in header.recipients:
            known = self._registry.organisation(one.organisation)
            if known is None or not known.active or known.hpke_key != one.public_key:
                raise BatchRecipientUnknown(
                    f"organisation {one.organisation} is no active member, or has published another key",
                    field="recipients",
                    hint="pin its present key, drop the batch and import the file again",
                )

    async def _store(
        self, conn: AnyConnection, header: BatchHeader, trailer: BatchTrailer, spool: BinaryIO
    ) -> Taken:
        await repository.lock(conn, trailer.root)
        held = await repository.same_batch(conn, header.batch_id, trailer.root)
        if held is not None:
            if held != (trailer.root, header.batch_id, trailer.digest):
                raise _differs()
            return Taken(trailer.root, trailer.count, new=False)
        self._check_recipients(header)
        try:
            await repository.insert_batch(conn, header, trailer, self._clock())
        except asyncpg.UniqueViolationError:
            raise _differs() from None
        reader, at = BatchReader(), 0
        while rows := await asyncio.to_thread(_next_rows, reader, spool):
            leaves = [CaseLeaf.parse(row.leaf) for row in rows]
            if await repository.insert_cases(conn, trailer.root, at, leaves) != len(leaves):
                raise CaseInOtherBatch("a case of the file is known from another batch", field="case id")
            await self._persons.keep(conn, trailer.root, rows)
            at += len(rows)
        # Read again from the disk: what was stored is what was checked.
        if await asyncio.to_thread(reader.close) != trailer:
            raise _differs()
        await repository.insert_levels(conn, trailer.root, reader.leaf_hashes)
        await repository.settle(conn)
        return Taken(trailer.root, trailer.count, new=True)


_SPLIT = "split the file that is imported"


def _differs() -> BatchDiffers:
    return BatchDiffers("another file stands here under this id or root", field="batchId")


def _step(reader: BatchReader, spool: BinaryIO, data: bytes) -> None:
    reader.feed(data)
    view = memoryview(data)
    try:
        while view:
            view = view[spool.write(view) :]
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(
            "no space left for batch files", hint="make space; nothing needs a restart"
        ) from None


def _next_rows(reader: BatchReader, spool: BinaryIO) -> list[SealedRow]:
    """The rows of the next pieces; none at the end."""
    while data := spool.read(STEP):
        if rows := reader.feed(data):
            return rows
    return []
