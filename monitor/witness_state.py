"""What a witness signed last, durably, in two places.

The state file says for each checkpoint origin the size and root signed last. Before an answer goes out, the
state is on disk, and after it a line of the high-water journal, which should lie on another disk. Both carry
one revision: a crash leaves the journal at most one line behind, so a journal that is ahead means that the
state file was put back to an older one, and a journal that is further behind, that the journal was.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monitor.errors import WitnessInUse, WitnessStateRolledBack, WitnessStateUnreadable
from protocol.errors import MalformedInput
from protocol.expect import json_value

STATE, JOURNAL, LOCK, HALTED = "state.json", "journal.jsonl", "lock", "halted.json"
VERSION = 1
JOURNAL_LIMIT = 1 << 17
"""Bytes after which the journal is written anew with its last line alone."""
_MAX_STATE = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint signed for one origin. `block`: its anchor's, from where events are read."""

    size: int
    root: bytes
    block: int


@dataclass(frozen=True)
class Snapshot:
    """The whole state. `revision` counts changes."""

    revision: int = 0
    seen: Mapping[str, Seen] = field(default_factory=lambda: MappingProxyType({}))

    def advanced(self, origin: str, to: Seen) -> Snapshot:
        return Snapshot(self.revision + 1, MappingProxyType({**self.seen, origin: to}))

    def as_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "revision": self.revision,
            "seen": {
                origin: {"size": one.size, "root": one.root.hex(), "block": one.block}
                for origin, one in self.seen.items()
            },
        }

    @classmethod
    def parse(cls, data: bytes, name: str) -> Snapshot:
        """Raises WitnessStateUnreadable."""
        try:
            record: Any = json_value(data, name, max_bytes=_MAX_STATE)
            if record["version"] != VERSION:
                raise WitnessStateUnreadable(f"{name}: version {record['version']!r}", field=name)
            seen = {str(origin): _seen(one) for origin, one in record["seen"].items()}
            return cls(_uint(record["revision"]), MappingProxyType(seen))
        except (AttributeError, KeyError, TypeError, ValueError, MalformedInput):
            raise WitnessStateUnreadable(f"{name} is damaged", field=name) from None


def _seen(value: Any) -> Seen:
    if _HEX.fullmatch(value["root"]) is None:
        raise ValueError
    return Seen(_uint(value["size"]), bytes.fromhex(value["root"]), _uint(value["block"]))


def _uint(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError
    return value


class WitnessState:
    """The state under `folder`, the journal under `journal`. For one process, and one task at a time.

    Raises:
        WitnessInUse, WitnessStateRolledBack, WitnessStateUnreadable
    """

    def __init__(self, folder: Path, journal: Path | None = None) -> None:
        self._folder = folder
        self._journal = (journal or folder) / JOURNAL
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise WitnessInUse(f"{folder.name} is locked", hint="stop the other process") from None
        try:
            self._now = self._read()
            self._settle()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._lock)

    def __enter__(self) -> WitnessState:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def snapshot(self) -> Snapshot:
        """As of the last look at the disk."""
        return self._now

    def check(self) -> Snapshot:
        """Look at the disk again: what lies there must be what this process wrote.

        Raises:
            WitnessStateRolledBack, WitnessStateUnreadable
        """
        found = self._read()
        if found.revision != self._now.revision or found.seen != self._now.seen:
            raise WitnessStateRolledBack(
                f"{STATE} changed under the running process: revision {found.revision}, not "
                f"{self._now.revision}",
                field=STATE,
            )
        last = self._last_line()
        if last.revision != self._now.revision:
            raise self._disagree(last)
        return self._now

    def advance(self, origin: str, to: Seen) -> None:
        """Both places durably hold `to` when this returns; only then may a signature go out."""
        following = self._now.advanced(origin, to)
        _write(self._folder / STATE, following)
        self._now = following
        self._append(following)

    def halt(self, code: str, detail: str) -> None:
        """Refuse to sign from now on, also after a restart; a person removes the file after looking."""
        data = json.dumps({"code": code, "detail": detail}).encode()
        _replace(self._folder / HALTED, data)

    def _read(self) -> Snapshot:
        halted = self._folder / HALTED
        if halted.exists():
            raise WitnessStateRolledBack(
                f"{HALTED} says why", field=HALTED, hint="look into it; a witness starts again with new keys"
            )
        try:
            with (self._folder / STATE).open("rb") as source:
                data = source.read(_MAX_STATE + 1)
        except FileNotFoundError:
            return Snapshot()
        except OSError as error:
            raise WitnessStateUnreadable(f"{STATE}: {error.strerror}", field=STATE) from None
        return Snapshot.parse(data, STATE)

    def _settle(self) -> None:
        """At start: the journal may lack the last line, and nothing else."""
        last = self._last_line()
        if last.revision == self._now.revision - 1:
            self._append(self._now)
        elif last.revision != self._now.revision or last.seen != self._now.seen:
            raise self._disagree(last)

    def _disagree(self, last: Snapshot) -> WitnessStateRolledBack:
        older = STATE if last.revision > self._now.revision else JOURNAL
        return WitnessStateRolledBack(
            f"{STATE} has revision {self._now.revision}, {JOURNAL} {last.revision}: {older} is an older one",
            field=older,
            hint="restore nothing over a witness's state; a witness that lost it starts again with new keys",
        )

    def _last_line(self) -> Snapshot:
        """The newest whole line; what a crash left of a line is cut off."""
        try:
            with self._journal.open("r+b") as file:
                data = file.read(2 * JOURNAL_LIMIT + 2 * _MAX_STATE)
                whole = data.rfind(b"\n") + 1
                if whole < len(data):
                    file.truncate(whole)
                    os.fsync(file.fileno())
        except FileNotFoundError:
            return Snapshot()
        except OSError as error:
            raise WitnessStateUnreadable(f"{JOURNAL}: {error.strerror}", field=JOURNAL) from None
        if not whole:
            return Snapshot()
        return Snapshot.parse(data[data.rfind(b"\n", 0, whole - 1) + 1 : whole], JOURNAL)

    def _append(self, snapshot: Snapshot) -> None:
        line = json.dumps(snapshot.as_json(), separators=(",", ":")).encode() + b"\n"
        with contextlib.suppress(FileNotFoundError):
            if self._journal.stat().st_size > JOURNAL_LIMIT:
                _replace(self._journal, line)
                return
        fresh = not self._journal.exists()
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            _sync_folder(self._journal.parent)


def _write(path: Path, snapshot: Snapshot) -> None:
    _replace(path, json.dumps(snapshot.as_json(), indent=1).encode() + b"\n")


def _replace(path: Path, data: bytes) -> None:
    """The new file or the old one, never a part: write beside it, sync, rename, sync the folder."""
    partial = path.with_name(f".{path.name}.new")
    with partial.open("wb") as out:
        os.chmod(partial, 0o600)
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
