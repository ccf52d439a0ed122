"""The second pass: good rows become sealed cases of a batch, ready to send. May be killed at any point.

What decides the content of a batch is journaled when it begins, so whoever goes on seals the same rows in the
same order: the file (by digest), the terms (today's date among them), the mapping and the recipients.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from agent.errors import FileNotReadable
from agent.intake import rules
from agent.intake.errors import BatchSourceGone, BatchUnfinished, NothingToImport
from agent.intake.mapping import ColumnMapping
from agent.intake.preview import Preview, Progress, checked_rows, no_progress, open_table, preview, with_epoch
from agent.intake.source import Declared, Source
from agent.intake.store import BatchState, IntakeStore, SealedCase, StoredBatch
from agent.intake.sums import Sums
from agent.intake.validate import Terms
from agent.intake.whole import sync_folder
from protocol import cbor
from protocol.case_batch import (
    MAGIC,
    MAX_CASES,
    BatchHeader,
    BatchRecipient,
    BatchTrailer,
    CaseLeaf,
    Sealer,
    batch_root,
    frame,
    leaf_hash,
)
from protocol.case_row import CaseRow, Product
from protocol.errors import MalformedInput
from protocol.i18n import Language

GROUP = 1000
"""Rows that are synced and journaled together; so many are sealed again after a kill."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Request:
    """What a person asks for."""

    terms: Terms
    mapping: ColumnMapping
    recipients: tuple[BatchRecipient, ...]
    declared: Declared | None = None
    encoding: str | None = None
    sheet: str | None = None
    clock: Callable[[], float] = time.time


def import_file(
    source: Source, request: Request, store: IntakeStore, *,
    lang: Language = "zh", on_preview: Callable[[Preview], None] = lambda _: None,
    progress: Progress = no_progress,
) -> StoredBatch | None:  # fmt: skip
    """Makes the batch of a file: good rows go, bad rows stay. None where every good row was imported before.

    An unfinished batch of the same file is carried on under its own terms.

    Raises:
        BatchBusy, DeclaredMismatch, NothingToImport, and the refusals of reading
    """
    with store.alone():
        unfinished = [one for one in store.of_file(source.digest) if one.state is BatchState.MAKING]
        if unfinished:
            return _carry_on(unfinished[0], source, store, lang, on_preview, progress)
        if store.batches(BatchState.MAKING):
            raise BatchUnfinished("the batch of another file is not finished", field="file", hint=_FINISH)
        found = preview(source, request.terms, store, lang=lang, declared=request.declared, progress=progress)
        on_preview(found)
        found.must_agree()
        if not found.new:
            if found.known:
                return None
            raise NothingToImport(
                "no row is without defect", field="file", hint="mend the rows named in the report"
            )
        batch = _begin(source, request, store, found)
        return _make(batch, source, found, request.terms, store, lang, progress)


def resume(
    store: IntakeStore, *, lang: Language = "zh", progress: Progress = no_progress
) -> list[StoredBatch]:
    """Finishes every unfinished batch of this organisation from its file.

    Raises:
        BatchSourceGone: the file is not there any more, or another one.
    """
    with store.alone():
        finished = []
        for batch in store.batches(BatchState.MAKING):
            mapping = _terms_of(batch, store.organisation)[1]
            try:
                source = Source(
                    Path(batch.path), mapping, encoding=batch.terms["encoding"], sheet=batch.terms["sheet"]
                )
            except FileNotReadable as error:
                raise BatchSourceGone(error.detail, field="file", hint=_GONE) from None
            with source:
                finished.append(_carry_on(batch, source, store, lang, lambda _: None, progress))
        return finished


_FINISH = "caseledger case import --resume, or drop it: caseledger case batch drop ID"
_GONE = "put the file back where it was, or drop the batch: caseledger case batch drop ID"


def _begin(source: Source, request: Request, store: IntakeStore, found: Preview) -> StoredBatch:
    if found.new > MAX_CASES:
        raise NothingToImport(f"more than {MAX_CASES} cases", hint="split the file")
    identifier, now = secrets.token_bytes(32), int(request.clock())
    header = BatchHeader(identifier, request.terms.owner, request.recipients, now)
    # A key that cannot be sealed to ends it here, before anything is journaled.
    Sealer(request.recipients).seal(request.terms.owner, 1, b"")
    terms = {
        "today": request.terms.today.isoformat(),
        "asOf": None if request.terms.as_of is None else request.terms.as_of.isoformat(),
        "encoding": request.encoding,
        "sheet": request.sheet,
        "columns": dict(request.mapping.columns),
        "products": {word: int(product) for word, product in request.mapping.products.items()},
        "mappingSheet": request.mapping.sheet,
        "mappingEncoding": request.mapping.encoding,
        "rules": {"version": rules.VERSION, "codes": sorted(rules.RULES)},
    }
    return store.begin(
        store.file_key(source.digest), source.path.absolute(), terms, header.encode(), now, found.new,
        found.summary(), identifier,
    )  # fmt: skip


def _terms_of(batch: StoredBatch, owner: int) -> tuple[Terms, ColumnMapping]:
    stored: dict[str, Any] = batch.terms
    mapping = ColumnMapping(
        stored["columns"],
        {word: Product(number) for word, number in stored["products"].items()},
        stored["mappingSheet"],
        stored["mappingEncoding"],
    )
    as_of = stored["asOf"]
    terms = Terms(
        owner,
        date.fromisoformat(stored["today"]),
        as_of=None if as_of is None else date.fromisoformat(as_of),
        products=mapping.words,
    )
    return terms, mapping


def _carry_on(
    batch: StoredBatch, source: Source, store: IntakeStore, lang: Language,
    on_preview: Callable[[Preview], None], progress: Progress,
) -> StoredBatch:  # fmt: skip
    if store.file_key(source.digest) != batch.file_key:
        raise BatchSourceGone(f"{source.path.name} is another file now", field="file", hint=_GONE)
    terms, mapping = _terms_of(batch, store.organisation)
    source.read_under(mapping, batch.terms["sheet"])
    found = preview(source, terms, store, lang=lang, batch=batch.id, progress=progress)
    on_preview(found)
    return _make(batch, source, found, terms, store, lang, progress)


def _make(
    batch: StoredBatch, source: Source, found: Preview, terms: Terms, store: IntakeStore,
    lang: Language, progress: Progress,
) -> StoredBatch:  # fmt: skip
    part, whole = store.part_path(batch.id), store.file_path(batch.id)
    if whole.exists() and not part.exists():
        # Killed between the new name and its journal entry: the file was synced before it got the name.
        store.ready(batch.id, batch_root(store.leaf_hashes(batch.id)), whole.stat().st_size)
        return store.batch(batch.id)
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        writer = _Writer(file, batch, store)
        sums = Sums()
        rows = sums.over(_good_rows(source, found, terms, store, batch.id, lang))
        writer.skip(rows)
        for row in rows:
            writer.seal(row)
            if writer.position % GROUP == 0:
                writer.flush()
                progress("seal", writer.position)
        writer.flush()
        progress("seal", writer.position)
        source.unchanged()
        if writer.position != batch.expected:
            raise BatchSourceGone("the file gives other rows than before", field="file", hint=_GONE)
        root, length = writer.finish()
    store.keep_totals(batch.id, sums.totals(root, store.organisation).encode())
    os.rename(part, whole)
    sync_folder(store.folder)
    store.ready(batch.id, root, length)
    return store.batch(batch.id)


def _good_rows(
    source: Source, found: Preview, terms: Terms, store: IntakeStore, batch: bytes, lang: Language
) -> Iterator[CaseRow]:
    table = open_table(source, lang)
    for number, checked in checked_rows(source, table, with_epoch(terms, table)):
        row = checked.row
        if row is not None and number not in found.defects and store.known(row, except_batch=batch) is None:
            yield row


class _Writer:
    """Appends frames to the part file and keeps it and the journal in step."""

    def __init__(self, file: BinaryIO, batch: StoredBatch, store: IntakeStore) -> None:
        """Cuts the file back to what the journal knows, and takes up its digest."""
        self._file, self._batch, self._store = file, batch, store
        header = BatchHeader.parse(cbor.decode(batch.header, max_bytes=len(batch.header)))
        self._sealer = Sealer(header.recipients)
        self._owner = header.owner
        self._digest = hashlib.sha256()
        self._pending: list[SealedCase] = []
        self._buffer = bytearray()
        self.position = batch.sealed
        if not batch.length:
            file.truncate(0)
            self._buffer += MAGIC + frame(batch.header)
            return
        if os.fstat(file.fileno()).st_size < batch.length:
            raise MalformedInput("the batch's file is shorter than its journal says", field="batch")
        file.truncate(batch.length)
        file.seek(0)
        while piece := file.read(_PIECE):
            self._digest.update(piece)

    def skip(self, rows: Iterator[CaseRow]) -> None:
        """Passes by the rows that are sealed already; they must be those that were.

        Raises:
            BatchSourceGone
        """
        for expected in self._store.content_keys(self._batch.id):
            row = next(rows, None)
            if row is None or self._store.content_key(row.encode()) != expected:
                raise BatchSourceGone("the file gives other rows than before", field="file", hint=_GONE)

    def seal(self, row: CaseRow) -> None:
        encoded = row.encode()
        sealed = self._sealer.seal(self._owner, int(row.product), encoded)
        self._buffer += frame(sealed.encode())
        store = self._store
        self._pending.append(
            SealedCase(
                store.contract_key(self._owner, row.contract),
                store.content_key(encoded),
                CaseLeaf.parse(sealed.leaf).case_id,
                leaf_hash(sealed.leaf),
            )
        )
        self.position += 1

    def _write(self, data: bytes | bytearray) -> int:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._digest.update(data)
        return self._file.tell()

    def flush(self) -> None:
        """Syncs what was sealed, then journals it."""
        if self._buffer:
            length = self._write(self._buffer)
            self._store.append(self._batch.id, self._pending, self.position - len(self._pending), length)
            self._buffer.clear()
            self._pending.clear()

    def finish(self) -> tuple[bytes, int]:
        """Writes the trailer; root and length of the file."""
        root = batch_root(self._store.leaf_hashes(self._batch.id))
        trailer = BatchTrailer(self.position, root, self._digest.digest())
        return root, self._write(frame(trailer.encode()))
