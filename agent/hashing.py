"""Digests of the bank's files: both digests in one read, many files at once, memory flat."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path

from agent.errors import FileChanged, FileNotReadable
from verifier.content import ContentDigests, digest_stream

RECEIPT_SUFFIX = ".clr"
PROVENANCE_SUFFIX = ".clp"
UNKNOWN_TYPE = "application/octet-stream"
READ_AHEAD = 64
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&\-^_.+]{0,62}/[a-z0-9][a-z0-9!#$&\-^_.+]{0,62}")
# The built-in table alone: the machine's own would give two banks two types for one file.
_types = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True)
class HashedFile:
    """A file as it was read."""

    path: Path
    digests: ContentDigests
    media_type: str


def media_type(path: Path) -> str:
    """Type by the file's suffix, `application/octet-stream` where it says nothing."""
    guessed, encoding = _types.guess_type(path.name, strict=False)
    if guessed is None or encoding is not None or _MEDIA_TYPE.fullmatch(guessed.lower()) is None:
        return UNKNOWN_TYPE
    return guessed.lower()


def expand(paths: Sequence[Path]) -> list[Path]:
    """Regular files under the given files and folders, absolute, sorted within each, each once.

    Receipts, provenance statements and hidden files in folders are left out; symbolic links there are not
    followed.

    Raises:
        FileNotReadable: a named path is absent or neither file nor folder.
    """
    found: dict[Path, None] = {}
    for path in paths:
        absolute = Path(os.path.abspath(path))
        if absolute.is_file():
            found[absolute] = None
        elif absolute.is_dir():
            for file in _files_of(absolute):
                found[file] = None
        else:
            raise FileNotReadable(
                f"{path.name} is neither a file nor a folder", field="path", hint="check the path"
            )
    return list(found)


def _files_of(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or name.endswith((RECEIPT_SUFFIX, PROVENANCE_SUFFIX)):
                continue
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path


class _UpTo:
    """Reads no more than `limit` bytes: a file that somebody keeps writing to would never end."""

    def __init__(self, source: FileIO, limit: int) -> None:
        self._source = source
        self._left = limit

    def readinto(self, buffer: memoryview, /) -> int | None:
        count = self._source.readinto(buffer[: self._left])
        self._left -= count or 0
        return count


def hash_file(path: Path) -> HashedFile:
    """Digests of one file.

    Raises:
        FileNotReadable, FileChanged
    """
    try:
        with path.open("rb", buffering=0) as source:
            before = os.fstat(source.fileno())
            digests = digest_stream(_UpTo(source, before.st_size + 1))
            after = os.fstat(source.fileno())
    except OSError as error:
        raise FileNotReadable(f"{path.name}: {error.strerror}", field="path") from None
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or digests.size != after.st_size:
        raise FileChanged(f"{path.name} was written to meanwhile", field="path", hint="try again")
    return HashedFile(path, digests, media_type(path))


def hash_files(
    paths: Iterable[Path],
    *,
    workers: int | None = None,
    on_file: Callable[[HashedFile], None] = lambda hashed: None,
) -> Iterator[HashedFile]:
    """Digests of many files, in the given order. Threads suffice: hashing gives up the interpreter lock.

    Raises:
        FileNotReadable, FileChanged: at the file concerned; earlier ones were already yielded.
    """
    remaining = iter(paths)
    with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
        running: list[Future[HashedFile]] = [
            pool.submit(hash_file, path) for path in islice(remaining, READ_AHEAD)
        ]
        try:
            while running:
                hashed = running.pop(0).result()
                running.extend(pool.submit(hash_file, path) for path in islice(remaining, 1))
                on_file(hashed)
                yield hashed
        finally:
            for future in running:
                future.cancel()
