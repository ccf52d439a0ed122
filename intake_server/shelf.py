"""Uploads on disk: what arrived, as far as it is durable, and what became of it.

`<folder>/<organisation>/<upload id>/`: `upload.json` (what was announced), `data<suffix>` (the bank's file),
`offset` (how much of it counts: bytes are synced before the number is written, and a longer file is cut back
to it), then what `desk.py` adds. Everything is for the owner of the process alone, and leaves with `remove`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from agent.intake.whole import sync_folder, write_whole
from intake_server.errors import (
    IntakeInUse,
    UploadClosed,
    UploadLocked,
    UploadOffsetWrong,
    UploadsExhausted,
    UploadTooLarge,
    UploadUnknown,
)

GIB = 1 << 30
SUFFIXES = (".xlsx", ".xlsm", ".xls", ".csv", ".txt", ".jsonl", ".json")
SYNC_EVERY = 8 << 20
"""Bytes that may have to be sent again after a kill."""
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Limits:
    """What one organisation may leave here."""

    file: int = GIB
    uploads: int = 8
    total: int = 4 * GIB
    lifetime: int = 24 * 3600
    """Seconds from the announcement to the end, whatever was sent."""


@dataclass(frozen=True)
class Upload:
    """An announced file. `wishes` are the metadata that say how to read it; its name is not kept."""

    id: str
    organisation: int
    length: int
    created: int
    expires: int
    suffix: str
    wishes: dict[str, str] = field(default_factory=dict)


class Shelf:
    """All uploads of one process."""

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float]) -> None:
        self.folder = folder
        self.limits = limits
        self._clock = clock
        self._busy: set[str] = set()
        self._guard = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process for a folder; the lock dies with it. Raises IntakeInUse."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IntakeInUse("another process has this folder") from None
            yield
        finally:
            os.close(descriptor)

    def create(self, organisation: int, length: int, metadata: dict[str, str]) -> Upload:
        """Makes room for a file.

        Raises:
            UploadTooLarge, UploadsExhausted
        """
        if length > self.limits.file:
            raise UploadTooLarge(f"at most {self.limits.file} bytes", field="Upload-Length", hint="split it")
        held = [one for one in self.of(organisation) if self.data(one).exists()]
        if len(held) >= self.limits.uploads or sum(one.length for one in held) + length > self.limits.total:
            raise UploadsExhausted(
                "the room of this organisation is used up", hint="confirm or delete an upload, or wait"
            )
        now = int(self._clock())
        suffix = Path(metadata.get("filename", "")).suffix.lower()
        wishes = {key: value for key, value in metadata.items() if key != "filename"}
        upload = Upload(
            secrets.token_hex(16), organisation, length, now, now + self.limits.lifetime,
            suffix if suffix in SUFFIXES else "", wishes,
        )  # fmt: skip
        folder = self.place(upload)
        with self._lock(upload):
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            os.close(os.open(self.data(upload), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self.note(upload, "offset", 0)
            self.note(upload, "upload.json", asdict(upload))
            sync_folder(folder.parent)
        return upload

    def find(self, organisation: int, name: str) -> Upload:
        """Raises UploadUnknown: another organisation's looks like none."""
        if _ID.fullmatch(name):
            found = self._read(self.folder / str(organisation) / name)
            if found is not None and found.expires > self._clock():
                return found
        raise UploadUnknown("not here, not yours, or expired", field="upload")

    def of(self, organisation: int) -> list[Upload]:
        """An organisation's uploads, oldest first."""
        return [one for one in self.all() if one.organisation == organisation]

    def all(self) -> list[Upload]:
        found = [self._read(path.parent) for path in self.folder.glob("*/*/upload.json")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.created, one.id))

    def remove(self, upload: Upload) -> None:
        """Takes an upload away with all that belongs to it. Raises UploadLocked."""
        with self._lock(upload):
            self._drop(self.place(upload))

    def expire(self) -> int:
        """Takes away what has expired, and what was never fully announced; how many."""
        gone = 0
        for folder in self.folder.glob("*/*"):
            if not folder.is_dir() or folder.name in self._busy:
                continue
            upload = self._read(folder)
            if upload is None or upload.expires <= self._clock():
                self._drop(folder)
                gone += 1
        return gone

    @contextmanager
    def writing(self, upload: Upload, offset: int, atomic: bool) -> Iterator[Writer]:
        """Appends to an upload. `atomic`: all or nothing counts.

        Raises:
            UploadLocked, UploadOffsetWrong, UploadClosed
        """
        with self._lock(upload):
            if not self.data(upload).exists():
                raise UploadClosed("the file is no longer here", field="upload")
            stands = self.offset(upload)
            if offset != stands:
                raise UploadOffsetWrong(f"the upload stands at {stands}", field="Upload-Offset")
            with self.data(upload).open("r+b") as file:
                file.truncate(stands)
                file.seek(stands)
                yield Writer(self, upload, file, stands, atomic)

    def offset(self, upload: Upload) -> int:
        """How many bytes are here for good."""
        found = self.noted(upload, "offset")
        return found if isinstance(found, int) else 0

    def data(self, upload: Upload) -> Path:
        return self.place(upload) / f"data{upload.suffix}"

    def place(self, upload: Upload) -> Path:
        return self.folder / str(upload.organisation) / upload.id

    def note(self, upload: Upload, name: str, value: object) -> None:
        """Writes a small document, whole or not at all."""
        with write_whole(self.place(upload) / name) as out:
            out.write(json.dumps(value, ensure_ascii=False).encode())

    def noted(self, upload: Upload, name: str) -> object:
        """A document; None where there is none."""
        try:
            return json.loads((self.place(upload) / name).read_bytes())
        except FileNotFoundError:
            return None

    @contextmanager
    def _lock(self, upload: Upload) -> Iterator[None]:
        with self._guard:
            if upload.id in self._busy:
                raise UploadLocked("another request writes to it", field="upload", hint="try again later")
            self._busy.add(upload.id)
        try:
            yield
        finally:
            self._busy.discard(upload.id)

    @contextmanager
    def held(self, upload: Upload) -> Iterator[None]:
        """Nobody writes to or removes it meanwhile. Raises UploadLocked."""
        with self._lock(upload):
            yield

    @staticmethod
    def _read(folder: Path) -> Upload | None:
        try:
            return Upload(**json.loads((folder / "upload.json").read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @staticmethod
    def _drop(folder: Path) -> None:
        # The announcement goes first: whoever is killed here leaves something that `expire` takes away.
        with suppress(FileNotFoundError):
            (folder / "upload.json").unlink()
        shutil.rmtree(folder, ignore_errors=True)


class Writer:
    """The end of an upload's file."""

    def __init__(self, shelf: Shelf, upload: Upload, file: BinaryIO, offset: int, atomic: bool) -> None:
        self._shelf, self._upload, self._file, self._atomic = shelf, upload, file, atomic
        self._kept = offset
        self.offset = offset

    def write(self, piece: bytes) -> None:
        """Raises UploadTooLarge: more than was announced."""
        if self.offset + len(piece) > self._upload.length:
            raise UploadTooLarge("more than Upload-Length", field="body")
        self._file.write(piece)
        self.offset += len(piece)
        if not self._atomic and self.offset - self._kept >= SYNC_EVERY:
            self.keep()

    def keep(self) -> int:
        """Makes all that was written count; the offset."""
        if self.offset != self._kept:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._shelf.note(self._upload, "offset", self.offset)
            self._kept = self.offset
        return self.offset
