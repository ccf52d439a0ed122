"""Stored content against the entries that name it: manifests and chunks there and unchanged, none too many;
and the provenance statements that an agent keeps in the same home.

Which chunks are named is kept in a temporary database on disk, so that memory does not grow with the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from evidence.fsck_report import Finding, FsckReport
from protocol.blob import Manifest, cid
from protocol.entry import Body
from protocol.errors import CaseledgerError
from protocol.provenance import Provenance, provenance_digest
from storage.blobs import FolderStore
from storage.errors import BlobCorrupt, BlobNotFound

STATEMENT = "*.clp"
EVERY_LOG = "*"


class ContentCheck:
    """Told of every body; `finish` then looks through the folders. Close it."""

    def __init__(self, report: FsckReport, blobs: FolderStore | None, statements: Path | None) -> None:
        self._report = report
        self._blobs = blobs
        self._named = sqlite3.connect("")
        self._named.execute("CREATE TABLE named (address TEXT PRIMARY KEY) WITHOUT ROWID")
        self._said: dict[bytes, Path] = {}
        if statements is not None and statements.is_dir():
            self._statements(statements)

    def close(self) -> None:
        self._named.close()

    def body(self, body: Body, origin: str, place: str) -> None:
        """An entry's body that is what its leaf commits to."""
        if body.provenance is not None:
            self._said.pop(body.provenance, None)
        if self._blobs is None or body.manifest is None or not self._name(body.manifest):
            return

        def find(code: str, detail: str) -> None:
            self._report.find(Finding(code, origin, place, detail))

        data = self._chunk(self._blobs, body.manifest, find, "Manifest")
        if data is None:
            return
        try:
            manifest = Manifest.parse(data)
        except CaseledgerError as error:
            find("ManifestMalformed", error.code)
            return
        if manifest.size != body.content_size:
            find("ManifestMismatch", f"{manifest.size} bytes, the entry says {body.content_size}")
        for digest in manifest.chunks:
            if self._name(digest):
                self._chunk(self._blobs, digest, find, "Chunk")

    def _chunk(
        self, blobs: FolderStore, digest: bytes, find: Callable[[str, str], None], kind: str
    ) -> bytes | None:
        self._report.chunks += 1
        address = cid(digest)
        try:
            return blobs.get(address)
        except BlobNotFound:
            find(f"{kind}Missing", address)
        except BlobCorrupt:
            find(f"{kind}Damaged", address)
        return None

    def _name(self, digest: bytes) -> bool:
        """Whether it is named for the first time."""
        done = self._named.execute("INSERT OR IGNORE INTO named VALUES (?)", (cid(digest),))
        return done.rowcount == 1

    def finish(self) -> None:
        """Chunks and statements that no entry of any checked log names: left over, or not submitted yet."""
        for path in self._said.values():
            detail = "no entry commits to it: changed, or not submitted yet"
            self._report.note(Finding("ProvenanceUnreferenced", EVERY_LOG, f"statement {path.name}", detail))
        if self._blobs is None:
            return
        for address in self._blobs.addresses():
            if self._named.execute("SELECT 1 FROM named WHERE address = ?", (address,)).fetchone() is None:
                detail = "no entry names it: erased, or not submitted yet"
                self._report.note(Finding("ChunkOrphan", EVERY_LOG, f"chunk {address}", detail))

    def _statements(self, folder: Path) -> None:
        for path in sorted(folder.glob(STATEMENT)):
            self._report.statements += 1
            data = path.read_bytes()
            try:
                Provenance.parse(data)
            except CaseledgerError as error:
                place = f"statement {path.name}"
                self._report.find(Finding("ProvenanceDamaged", EVERY_LOG, place, error.code))
                continue
            self._said[provenance_digest(data)] = path
