"""Stored content as a folder of chunks, each under its CIDv1 (docs/spec/blob.md).

A chunk is written under a temporary name, synced, renamed, and its directory synced, before anybody hears
that it is there. What is read is hashed again. Chunks are ciphertext; nothing here can be opened.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.blob import CHUNK_CIPHER, cid, digest_of_cid
from protocol.errors import LimitExceeded
from protocol.hashing import sha256
from storage.errors import BlobAddressMismatch, BlobCorrupt, BlobNotFound, StorageFull

_TEMPORARY = ".new-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderStore:
    """Chunks under `root`, in folders named after the last two characters of the address. Thread-safe."""

    def __init__(self, root: Path) -> None:
        """The folder is made when it is missing."""
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.disk_errors = 0
        """Writes that failed for want of space since the process started."""

    def path(self, address: str) -> Path:
        """Where a chunk lies. Raises MalformedInput for anything but a canonical address."""
        digest_of_cid(address)
        return self._root / address[-2:] / address

    def put(self, address: str, data: bytes) -> bool:
        """Store a chunk durably; False when it was there already.

        Raises MalformedInput, LimitExceeded (over 1 MiB), BlobAddressMismatch, StorageFull (nothing is
        stored; repeat after space was made).
        """
        target = self.path(address)
        if len(data) > CHUNK_CIPHER:
            raise LimitExceeded(f"chunk: {len(data)} bytes, at most {CHUNK_CIPHER} allowed", field="chunk")
        if sha256(data) != digest_of_cid(address):
            raise BlobAddressMismatch("the chunk has another digest", field="cid")
        if target.exists():
            return False
        with self._space():
            self._write(target, data)
        return True

    def put_new(self, data: bytes) -> str:
        """Store a chunk under the address that its bytes give, and return that."""
        address = cid(sha256(data))
        self.put(address, data)
        return address

    def get(self, address: str) -> bytes:
        """The chunk. Raises BlobNotFound, BlobCorrupt."""
        try:
            with self.path(address).open("rb") as source:
                data = source.read(CHUNK_CIPHER + 1)
        except FileNotFoundError:
            raise BlobNotFound(field="cid") from None
        if sha256(data) != digest_of_cid(address):
            raise BlobCorrupt(f"chunk {address} has other bytes", hint="restore it from another copy")
        return data

    def has(self, address: str) -> bool:
        """Whether the chunk is there; its bytes are not looked at."""
        return self.path(address).exists()

    def delete(self, address: str) -> bool:
        """Remove a chunk durably; False when there was none."""
        target = self.path(address)
        try:
            target.unlink()
        except FileNotFoundError:
            return False
        _sync_folder(target.parent)
        return True

    def addresses(self) -> Iterator[str]:
        """Every chunk, in no order."""
        for folder in self._root.iterdir():
            if folder.is_dir() and len(folder.name) == 2:
                yield from (entry.name for entry in folder.iterdir() if not entry.name.startswith("."))

    def sweep(self, older_than: float = 3600.0) -> int:
        """Remove temporary files that a crash left; how many."""
        removed = 0
        limit = time.time() - older_than
        for path in self._root.glob(f"*/{_TEMPORARY}*"):
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _write(self, target: Path, data: bytes) -> None:
        folder = target.parent
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._root)
        partial = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(folder)

    @contextmanager
    def _space(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.disk_errors += 1
            raise StorageFull(
                "no space left for stored content", hint="make space; nothing needs a restart"
            ) from None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
