"""The log's trees in tiles of 256 hashes, for SHA-256 and SM3, grown with the log.

Level 0 holds leaf hashes, level n the roots of subtrees of 256^n leaves (C2SP tlog-tiles). Tiles follow from
the entries alone, so they may run ahead of what is sealed and may be dropped and rebuilt; a root or a proof
at any size up to `tiled_size` is read from them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evidence.errors import RecordDamaged
from protocol.hashing import HASH_LEN, SHA256, SM3, HashAlg
from storage.db import AnyConnection
from verifier.merkle import NodeReader, consistency_proof, inclusion_proof

WIDTH_BITS = 8
WIDTH = 1 << WIDTH_BITS
CHUNK = 32 * WIDTH
"""Leaves that one step of `extend` reads and commits."""
ALGORITHMS: tuple[HashAlg, HashAlg] = (SHA256, SM3)
"""Position is the number in the column `algorithm`."""

TileKey = tuple[int, int, int]
"""(algorithm, level, tile index)"""
_T = TypeVar("_T")


def root_at(alg: HashAlg, size: int, get: NodeReader) -> bytes:
    """Root of the tree of `size` leaves from complete subtrees (RFC 9162 §2.1.1)."""
    if size == 0:
        return alg.empty
    begin, peaks = 0, []
    while begin < size:
        level = (size - begin).bit_length() - 1
        peaks.append(get(level, begin >> level))
        begin += 1 << level
    root = peaks.pop()
    while peaks:
        root = alg.node(peaks.pop(), root)
    return root


@dataclass(frozen=True)
class Tile:
    """The hashes of one tile and all inner nodes that are complete in it: `nodes[r][i]` covers 2^r hashes."""

    nodes: tuple[Sequence[bytes], ...]

    @property
    def width(self) -> int:
        return len(self.nodes[0])

    @classmethod
    def of(cls, alg: HashAlg, data: bytes) -> Tile:
        level: Sequence[bytes] = [data[at : at + HASH_LEN] for at in range(0, len(data), HASH_LEN)]
        nodes = [level]
        while len(level) > 1:
            level = alg.pairs(level)
            nodes.append(level)
        return cls(tuple(nodes))


class TileReader:
    """Roots and proofs of one log. Keeps full tiles; not for use by two tasks at once."""

    def __init__(self, log_no: int, *, keep: int = 512) -> None:
        self._log_no = log_no
        self._keep = keep
        self._full: OrderedDict[TileKey, Tile] = OrderedDict()

    async def roots(self, conn: AnyConnection, size: int) -> tuple[bytes, bytes]:
        """SHA-256 and SM3 root at `size`."""
        sha, sm3 = await self._with_tiles(
            conn, lambda gets: [root_at(alg, size, get) for alg, get in zip(ALGORITHMS, gets, strict=True)]
        )
        return sha, sm3

    async def consistency(self, conn: AnyConnection, old: int, new: int) -> tuple[list[bytes], list[bytes]]:
        """SHA-256 and SM3 consistency proof; both empty from size 0."""
        if old == 0:
            return [], []
        sha, sm3 = await self._with_tiles(
            conn,
            lambda gets: [
                consistency_proof(alg, old, new, get) for alg, get in zip(ALGORITHMS, gets, strict=True)
            ],
        )
        return sha, sm3

    async def inclusions(
        self, conn: AnyConnection, places: Sequence[tuple[int, int]]
    ) -> list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
        """SHA-256 and SM3 paths for each (index, size)."""

        def work(gets: Sequence[NodeReader]) -> list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
            sha, sm3 = gets
            return [
                (
                    tuple(inclusion_proof(SHA256, index, size, sha)),
                    tuple(inclusion_proof(SM3, index, size, sm3)),
                )
                for index, size in places
            ]

        return await self._with_tiles(conn, work)

    async def _with_tiles(self, conn: AnyConnection, work: Callable[[Sequence[NodeReader]], _T]) -> _T:
        """Run `work` once to learn which tiles it reads, load them, and run it on them."""
        wanted: dict[TileKey, int] = {}

        def noting(algorithm: int) -> NodeReader:
            def note(level: int, index: int) -> bytes:
                key, depth, offset = place_of(algorithm, level, index)
                wanted[key] = max(wanted.get(key, 0), (offset + 1) << depth)
                return bytes(HASH_LEN)

            return note

        work([noting(0), noting(1)])
        held = await self._load(conn, wanted)

        def reading(algorithm: int) -> NodeReader:
            def read(level: int, index: int) -> bytes:
                key, depth, offset = place_of(algorithm, level, index)
                return held[key].nodes[depth][offset]

            return read

        return work([reading(0), reading(1)])

    async def _load(self, conn: AnyConnection, wanted: dict[TileKey, int]) -> dict[TileKey, Tile]:
        held: dict[TileKey, Tile] = {}
        missing: list[TileKey] = []
        for key in wanted:
            tile = self._full.get(key)
            if tile is None:
                missing.append(key)
            else:
                self._full.move_to_end(key)
                held[key] = tile
        for key, data in (await read_tiles(conn, self._log_no, missing)).items():
            tile = held[key] = Tile.of(ALGORITHMS[key[0]], data)
            if tile.width == WIDTH:
                self._full[key] = tile
        while len(self._full) > self._keep:
            self._full.popitem(last=False)
        for key, width in wanted.items():
            if key not in held or held[key].width < width:
                raise RecordDamaged(f"tile {key} is not there", hint="caseledger fsck --rebuild")
        return held


def place_of(algorithm: int, level: int, index: int) -> tuple[TileKey, int, int]:
    """Tile, depth inside it and position at that depth of node (`level`, `index`)."""
    tile_level, depth = divmod(level, WIDTH_BITS)
    first = index << depth
    return (algorithm, tile_level, first >> WIDTH_BITS), depth, (first & (WIDTH - 1)) >> depth


async def read_tiles(conn: AnyConnection, log_no: int, keys: Sequence[TileKey]) -> dict[TileKey, bytes]:
    """Those of the tiles that are there."""
    if not keys:
        return {}
    rows = await conn.fetch(
        """SELECT t.algorithm, t.level, t.tile_index, t.hashes FROM evidence.tile t
           JOIN unnest($2::smallint[], $3::smallint[], $4::bigint[]) AS w (algorithm, level, tile_index)
             ON t.algorithm = w.algorithm AND t.level = w.level AND t.tile_index = w.tile_index
           WHERE t.log_no = $1""",
        log_no,
        *map(list, zip(*keys, strict=True)),
    )
    return {(row["algorithm"], row["level"], row["tile_index"]): row["hashes"] for row in rows}


class TileGrower:
    """Appends leaves to both trees. Pure: `touched` tiles are for the caller to store."""

    def __init__(
        self, size: int, edge: dict[TileKey, bytes], algorithms: Sequence[HashAlg] = ALGORITHMS
    ) -> None:
        """`edge`: the partial last tile of every level of a tree of `size` leaves; `algorithms`: one for each
        tree, numbered from 0.
        """
        self.size = size
        self._algorithms = algorithms
        self._open: list[list[list[bytes]]] = []
        for algorithm in range(len(algorithms)):
            levels: list[list[bytes]] = []
            width = size
            while width:
                data = edge.get((algorithm, len(levels), width >> WIDTH_BITS), b"")
                if len(data) != (width & (WIDTH - 1)) * HASH_LEN:
                    raise RecordDamaged("the last tile has another width", hint="caseledger fsck --rebuild")
                levels.append([data[at : at + HASH_LEN] for at in range(0, len(data), HASH_LEN)])
                width >>= WIDTH_BITS
            self._open.append(levels)

    def edge(self) -> dict[TileKey, bytes]:
        """The partial last tiles as they are now."""
        return {
            (algorithm, level, self.size >> WIDTH_BITS * (level + 1)): b"".join(tile)
            for algorithm, levels in enumerate(self._open)
            for level, tile in enumerate(levels)
            if tile
        }

    @staticmethod
    def edge_keys(size: int, algorithms: Sequence[HashAlg] = ALGORITHMS) -> list[TileKey]:
        """The partial tiles that a tree of `size` leaves ends in."""
        keys = []
        for algorithm in range(len(algorithms)):
            level, width = 0, size
            while width:
                if width & (WIDTH - 1):
                    keys.append((algorithm, level, width >> WIDTH_BITS))
                width >>= WIDTH_BITS
                level += 1
        return keys

    def extend(self, leaves: Sequence[bytes]) -> dict[TileKey, bytes]:
        """Add leaves; the new contents of every tile that changed."""
        touched: dict[TileKey, bytes] = {}
        for algorithm, alg in enumerate(self._algorithms):
            leaf_hash = alg.leaf
            self._append(algorithm, 0, self.size, map(leaf_hash, leaves), touched)
        self.size += len(leaves)
        return touched

    def _append(
        self, algorithm: int, level: int, count: int, hashes: Iterable[bytes], touched: dict[TileKey, bytes]
    ) -> None:
        levels = self._open[algorithm]
        if level == len(levels):
            levels.append([])
        tile = levels[level]
        above: list[bytes] = []
        first_above = count >> WIDTH_BITS
        for digest in hashes:
            tile.append(digest)
            count += 1
            if len(tile) == WIDTH:
                touched[(algorithm, level, (count - 1) >> WIDTH_BITS)] = b"".join(tile)
                above.append(_full_root(self._algorithms[algorithm], tile))
                tile.clear()
        if tile:
            touched[(algorithm, level, count >> WIDTH_BITS)] = b"".join(tile)
        if above:
            self._append(algorithm, level + 1, first_above, above, touched)


def _full_root(alg: HashAlg, hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = alg.pairs(hashes)
    return hashes[0]


async def extend(conn: AnyConnection, log_no: int, upto: int) -> None:
    """Bring the tiles to at least `upto` leaves, in steps that each commit.

    Safe against a second worker: every step holds the state row and starts from what is stored.
    """
    while await _step(conn, log_no, upto):
        pass


async def _step(conn: AnyConnection, log_no: int, upto: int) -> bool:
    async with conn.transaction():
        size = await conn.fetchval(
            "SELECT tiled_size FROM evidence.tile_state WHERE log_no = $1 FOR UPDATE", log_no
        )
        if size >= upto:
            return False
        end = min(upto, (size // CHUNK + 1) * CHUNK)
        rows = await conn.fetch(
            """SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index >= $2 AND leaf_index < $3
               ORDER BY leaf_index""",
            log_no,
            size,
            end,
        )
        if len(rows) != end - size:
            raise RecordDamaged(f"leaves between {size} and {end} are missing", hint="caseledger fsck")
        grower = TileGrower(size, await read_tiles(conn, log_no, TileGrower.edge_keys(size)))
        touched = grower.extend([row["leaf"] for row in rows])
        await store_tiles(conn, log_no, touched)
        await conn.execute("UPDATE evidence.tile_state SET tiled_size = $2 WHERE log_no = $1", log_no, end)
        return bool(end < upto)


async def store_tiles(conn: AnyConnection, log_no: int, tiles: dict[TileKey, bytes]) -> None:
    """Insert or replace."""
    if not tiles:
        return
    keys = list(tiles)
    await conn.execute(
        """INSERT INTO evidence.tile (log_no, algorithm, level, tile_index, hashes)
           SELECT $1, * FROM unnest($2::smallint[], $3::smallint[], $4::bigint[], $5::bytea[])
           ON CONFLICT (log_no, algorithm, level, tile_index) DO UPDATE SET hashes = excluded.hashes""",
        log_no,
        *map(list, zip(*keys, strict=True)),
        list(tiles.values()),
    )
