"""What a mirror keeps of one log: both trees' hashes, the chain's events, and the proof of the newest one.

Files grow at their ends. `state.json`, written last, says how far they count; what a crash left beyond is cut
off at the next start. Hashes of every eighth level are kept (`sha256.0`, `sha256.1`, …), so that a proof at
any size reads a few hundred of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chain.evidence_log import Anchored
from monitor.errors import WitnessInUse, WitnessStateUnreadable
from protocol.checkpoint import TREE_HASHES
from protocol.errors import MalformedInput
from protocol.expect import json_value
from protocol.hashing import HASH_LEN, HashAlg
from protocol.keyslot import batch_link
from protocol.tilepath import TILE_WIDTH
from verifier.merkle import Frontier, NodeReader, NodeRun, inclusion_proof

STATE, EVENTS, LOCK = "state.json", "events.jsonl", "lock"
LEVEL_BITS = 8
VERSION = 1
MAX_LINE = 4096


@dataclass(frozen=True)
class Segment:
    """One anchor as the chain told it. Roots and links of 32 bytes, `time` in seconds UTC."""

    number: int
    size: int
    root_sha256: bytes
    root_sm3: bytes
    previous: bytes
    link: bytes
    time: int
    block: int
    transaction: bytes

    @classmethod
    def of(cls, event: Anchored, previous: bytes) -> Segment:
        return cls(
            event.number, event.new_size, event.root_sha256, event.root_sm3, previous, event.link,
            event.time, event.block_number, event.transaction_hash,
        )  # fmt: skip

    def value(self, chain_id: int, contract: bytes, log_id: bytes) -> bytes:
        """The link that these numbers make."""
        return batch_link(
            chain_id=chain_id, contract=contract, log_id=log_id, number=self.number, previous=self.previous,
            size=self.size, root_sha256=self.root_sha256, root_sm3=self.root_sm3, time=self.time,
        )  # fmt: skip

    def root(self, algorithm: int) -> bytes:
        """0 SHA-256, 1 SM3."""
        return self.root_sm3 if algorithm else self.root_sha256

    def line(self) -> bytes:
        values = {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(self).items()}
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Segment:
        try:
            v: Any = json_value(line, EVENTS, max_bytes=MAX_LINE)
            return cls(
                v["number"], v["size"], bytes.fromhex(v["root_sha256"]), bytes.fromhex(v["root_sm3"]),
                bytes.fromhex(v["previous"]), bytes.fromhex(v["link"]), v["time"], v["block"],
                bytes.fromhex(v["transaction"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, MalformedInput):
            raise WitnessStateUnreadable(f"{EVENTS} is damaged", field=EVENTS) from None


@dataclass(frozen=True)
class Kept:
    """How far the files count. `proved`: number of the batch whose link is proved."""

    size: int = 0
    number: int = 0
    block: int = 0
    link: str = "00" * HASH_LEN
    events: int = 0
    proved: int = 0


class MirrorStore:
    """One log's files under `folder`; the process that writes has them for itself.

    Raises:
        WitnessInUse, WitnessStateUnreadable
    """

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder = folder
        if not write:
            self.kept = self._load()
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise WitnessInUse(f"{folder.name} is locked", hint="stop the other process") from None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        folder = self._folder
        self.kept = self._load()
        self._cut(folder / EVENTS, self.kept.events)
        for algorithm in range(len(TREE_HASHES)):
            for level in range(64 // LEVEL_BITS):
                self._cut(self._file(algorithm, level), (self.kept.size >> LEVEL_BITS * level) * HASH_LEN)

    @classmethod
    def look(cls, folder: Path) -> MirrorStore:
        """To read what is there now, also while another process writes on."""
        return cls(folder, write=False)

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._lock)

    def frontier(self, algorithm: int) -> Frontier:
        """The right edge of a tree, from its files."""
        get, size, peaks = self.reader(algorithm), self.kept.size, []
        begin = 0
        while begin < size:
            level = (size - begin).bit_length() - 1
            peaks.append(get(level, begin >> level))
            begin += 1 << level
        return Frontier.from_bytes(TREE_HASHES[algorithm], size.to_bytes(8, "big") + b"".join(peaks))

    def reader(self, algorithm: int) -> NodeReader:
        """Complete subtrees, out of the files."""
        alg = TREE_HASHES[algorithm]

        def get(level: int, index: int) -> bytes:
            tile_level, depth = divmod(level, LEVEL_BITS)
            nodes: Sequence[bytes] = self._hashes(algorithm, tile_level, index << depth, 1 << depth)
            while len(nodes) > 1:
                nodes = alg.pairs(nodes)
            return nodes[0]

        return get

    def leaf(self, algorithm: int, index: int) -> bytes:
        """A leaf hash."""
        return self._hashes(algorithm, 0, index, 1)[0]

    def inclusion(self, algorithm: int, index: int, size: int) -> list[bytes]:
        """Inclusion path of a leaf at any size up to the mirror's."""
        return inclusion_proof(TREE_HASHES[algorithm], index, size, self.reader(algorithm))

    def tile(self, algorithm: int, level: int, index: int, width: int) -> bytes | None:
        """Bytes of a tile, None while it is not there."""
        first = index * TILE_WIDTH
        if first + width > self.kept.size >> LEVEL_BITS * level:
            return None
        return b"".join(self._hashes(algorithm, level, first, width))

    def segments(self) -> Iterator[Segment]:
        """All events in order."""
        with contextlib.suppress(FileNotFoundError), (self._folder / EVENTS).open("rb") as source:
            for line in source:
                yield Segment.parse(line)

    def proof(self) -> bytes | None:
        """Shared part of the chain proof of batch `kept.proved`."""
        try:
            return self._proof_file(self.kept.proved).read_bytes()
        except FileNotFoundError:
            return None

    def append(
        self, runs: Sequence[Sequence[NodeRun]], segments: Sequence[Segment], proof: bytes | None
    ) -> None:
        """New complete nodes of each tree, the events they belong to, and the proof of the last event.

        Everything was verified before. Durable when this returns.
        """
        last = segments[-1]
        for algorithm, found in enumerate(runs):
            parts: dict[int, list[bytes]] = {}
            for run in found:
                if run.level % LEVEL_BITS == 0:
                    parts.setdefault(run.level // LEVEL_BITS, []).extend(run.hashes)
            for level, hashes in parts.items():
                _append(self._file(algorithm, level), b"".join(hashes))
        lines = b"".join(one.line() for one in segments)
        _append(self._folder / EVENTS, lines)
        before = self._proof_file(self.kept.proved)
        if proof is not None:
            _replace(self._proof_file(last.number), proof)
        kept = Kept(
            last.size, last.number, last.block, last.link.hex(), self.kept.events + len(lines),
            last.number if proof is not None else self.kept.proved,
        )  # fmt: skip
        _replace(self._folder / STATE, json.dumps({"version": VERSION, **asdict(kept)}).encode())
        self.kept = kept
        if proof is not None:
            before.unlink(missing_ok=True)

    def _hashes(self, algorithm: int, level: int, first: int, count: int) -> list[bytes]:
        with self._file(algorithm, level).open("rb") as source:
            source.seek(first * HASH_LEN)
            data = source.read(count * HASH_LEN)
        if len(data) != count * HASH_LEN:
            raise WitnessStateUnreadable("hashes are missing", field=self._file(algorithm, level).name)
        return [data[at : at + HASH_LEN] for at in range(0, len(data), HASH_LEN)]

    def _proof_file(self, number: int) -> Path:
        return self._folder / f"proof-{number}.cbor"

    def _file(self, algorithm: int, level: int) -> Path:
        alg: HashAlg = TREE_HASHES[algorithm]
        return self._folder / f"{alg.name}.{level}"

    def _load(self) -> Kept:
        try:
            values: Any = json_value((self._folder / STATE).read_bytes(), STATE, max_bytes=MAX_LINE)
            if values.pop("version") != VERSION:
                raise ValueError
            return Kept(**values)
        except FileNotFoundError:
            return Kept()
        except (AttributeError, KeyError, TypeError, ValueError, MalformedInput):
            raise WitnessStateUnreadable(f"{STATE} is damaged", field=STATE) from None

    @staticmethod
    def _cut(path: Path, size: int) -> None:
        found = path.stat().st_size if path.exists() else 0
        if found < size:
            raise WitnessStateUnreadable(f"{path.name} is shorter than it was", field=path.name)
        if found > size:
            os.truncate(path, size)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.new")
    with partial.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
