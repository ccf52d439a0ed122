"""Both trees and all tiles grown again from the entries, and compared with what is stored."""

from __future__ import annotations

from typing import Any

import asyncpg

from evidence.fsck_report import Finder
from evidence.tiles import ALGORITHMS, WIDTH, TileGrower, TileKey, read_tiles
from protocol.hashing import HASH_LEN
from storage.db import AnyConnection
from verifier.merkle import Frontier

PAGE = 2048


class Roots:
    """Roots at the ends of batches as the entries give them.

    A batch's own row is right unless it was found wrong: then the recomputed roots are kept.
    """

    def __init__(self) -> None:
        self.other: dict[int, tuple[bytes, bytes]] = {}

    def at(self, size: int, algorithm: int, batch: asyncpg.Record) -> bytes:
        """`batch`: a row with the roots of the batch that ends at `size`."""
        found = self.other.get(size)
        if found is not None:
            return found[algorithm]
        return bytes(batch["root_sm3"] if algorithm else batch["root_sha256"])


class Trees:
    """Both trees grown leaf by leaf; compared with every sealed batch on the way."""

    def __init__(self, find: Finder, batches: list[dict[str, Any]]) -> None:
        self._find = find
        self._batches = batches
        self._next = 0
        self._frontiers = [Frontier(alg) for alg in ALGORITHMS]
        self._waiting: list[bytes] = []
        self.roots = Roots()

    async def add(self, leaf: bytes) -> None:
        self._waiting.append(leaf)
        size = self._frontiers[0].size + len(self._waiting)
        sealed = self._next < len(self._batches) and self._batches[self._next]["new_size"] == size
        if sealed or len(self._waiting) >= PAGE:
            self._flush()
        if sealed:
            batch = self._batches[self._next]
            self._next += 1
            sha256, sm3 = (frontier.root() for frontier in self._frontiers)
            for root, name in ((sha256, "root_sha256"), (sm3, "root_sm3")):
                if root != batch[name]:
                    self.roots.other[size] = (sha256, sm3)
                    self._find("BatchRootMismatch", f"batch {batch['number']}", name)

    def _flush(self) -> None:
        for frontier, alg in zip(self._frontiers, ALGORITHMS, strict=True):
            frontier.extend([alg.leaf(leaf) for leaf in self._waiting])
        self._waiting.clear()

    def finish(self) -> None:
        for batch in self._batches[self._next :]:
            self._find("BatchRootMismatch", f"batch {batch['number']}", f"no tree of {batch['new_size']}")


class Tiles:
    """The tiles made again and compared with those that are stored."""

    def __init__(self, conn: AnyConnection, log_no: int, find: Finder, tiled: int) -> None:
        self._conn = conn
        self._log_no = log_no
        self._find = find
        self._tiled = tiled
        self._grower = TileGrower(0, {})
        self._waiting: list[bytes] = []

    async def add(self, leaf: bytes) -> None:
        if self._grower.size + len(self._waiting) < self._tiled:
            self._waiting.append(leaf)
            if len(self._waiting) == PAGE:
                await self._flush()

    async def _flush(self) -> None:
        made = self._grower.extend(self._waiting)
        self._waiting.clear()
        # A partial tile is compared when it has its final width.
        await self._compare({key: data for key, data in made.items() if len(data) == WIDTH * HASH_LEN})

    async def finish(self) -> None:
        await self._flush()
        size = self._grower.size
        if size != self._tiled:
            self._find("TiledSizeMismatch", "tiles", f"{self._tiled} recorded, {size} leaves")
        await self._compare(self._grower.edge())

    async def _compare(self, made: dict[TileKey, bytes]) -> None:
        if not made:
            return
        stored = await read_tiles(self._conn, self._log_no, list(made))
        for key, data in made.items():
            if stored.get(key) != data:
                self._find("TileMismatch", "tile {}/{}/{}".format(*key))
