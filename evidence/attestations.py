"""What is known about a leaf beside its receipt's core, as of now (docs/spec/attestation.md §3).

What all receipts of a batch share, the checkpoints and their cosignatures, is kept for a while; only the
leaf's path in a larger tree is made for each.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg

from evidence.logs import LogContext
from evidence.ports import Clock, system_clock
from evidence.renewed_trees import rehash_attestations
from evidence.tiles import TileReader
from evidence.timestamping import TimeAttestations
from storage.db import AnyConnection
from verifier.attestation import MAX_COSIGNATURES, Cosignature, Where, WitnessAttestation
from verifier.receipt import Attestation

KEEP_COMPLETE, KEEP_PARTIAL = 30.0, 1.0
"""Seconds: every known witness has signed, or one is still missing."""
KEPT_BATCHES = 1024

_FIRST = """
    SELECT c.algorithm, c.key_id, f.size FROM evidence.cosigner c
    LEFT JOIN LATERAL (SELECT s.size FROM evidence.cosignature s
        WHERE s.log_no = c.log_no AND s.algorithm = c.algorithm AND s.key_id = c.key_id AND s.size >= $2
        ORDER BY s.size LIMIT 1) f ON true
    WHERE c.log_no = $1 ORDER BY c.algorithm, c.key_id"""
_SIGNED = """
    SELECT s.algorithm, s.size, s.key_id, s.time, s.signature, p.log_signature
    FROM unnest($2::smallint[], $3::bigint[]) AS w (algorithm, size)
    JOIN evidence.checkpoint p ON p.log_no = $1 AND p.algorithm = w.algorithm AND p.size = w.size
    JOIN evidence.cosignature s ON s.log_no = $1 AND s.algorithm = w.algorithm AND s.size = w.size
    ORDER BY s.algorithm, s.size, s.key_id"""


@dataclass(frozen=True)
class Witnessed:
    """A checkpoint with its cosignatures: the part of an attestation that a batch's receipts share."""

    algorithm: int
    size: int
    log_signature: bytes
    cosignatures: tuple[Cosignature, ...]

    def attest(self, where: Where | None) -> Attestation:
        """For one leaf."""
        return WitnessAttestation(self.algorithm, where, self.log_signature, self.cosignatures).encode()


class AttestationMaker:
    """Attestations of one log. Keeps caches; not for use by two tasks at once."""

    def __init__(
        self,
        log: LogContext,
        tiles: TileReader | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Clock = system_clock,
    ) -> None:
        """`clock`: seconds, for how long things are kept. `wall`: seconds UTC."""
        self._log = log
        self._tiles = tiles or TileReader(log.log_no)
        self._clock = clock
        self._time = TimeAttestations(log.log_no, self._tiles, clock=wall, monotonic=clock)
        self._kept: OrderedDict[int, tuple[float, tuple[Witnessed, ...]]] = OrderedDict()

    async def of(
        self, conn: AnyConnection, places: Sequence[tuple[int, int]]
    ) -> list[tuple[Attestation, ...]]:
        """For each (leaf index, size of the core's batch link)."""
        shared = {size: await self._witnessed(conn, size) for _, size in places}
        wanted = {(index, one.size) for index, size in places for one in shared[size] if one.size != size}
        paths = dict(zip(wanted, await self._tiles.inclusions(conn, list(wanted)), strict=True))

        def attest(one: Witnessed, index: int, size: int) -> Attestation:
            if one.size == size:
                return one.attest(None)
            return one.attest(Where(one.size, paths[index, one.size][one.algorithm]))

        stamped = await self._time.of(conn, places)
        renewed = await rehash_attestations(conn, self._log.log_no, places)
        return [
            (*(attest(one, index, size) for one in shared[size]), *tokens, *hashes)
            for (index, size), tokens, hashes in zip(places, stamped, renewed, strict=True)
        ]

    async def _witnessed(self, conn: AnyConnection, size: int) -> tuple[Witnessed, ...]:
        now = self._clock()
        kept = self._kept.get(size)
        if kept is not None and now < kept[0]:
            self._kept.move_to_end(size)
            return kept[1]
        found, complete = await witnessed(conn, self._log.log_no, size)
        self._kept[size] = (now + (KEEP_COMPLETE if complete else KEEP_PARTIAL), found)
        while len(self._kept) > KEPT_BATCHES:
            self._kept.popitem(last=False)
        return found


async def attestations_of(
    conn: AnyConnection, log: LogContext, leaf_index: int, link_size: int
) -> list[Attestation]:
    """Of one leaf, whose core's batch link has size `link_size`. For more than one, an `AttestationMaker`."""
    return list((await AttestationMaker(log).of(conn, [(leaf_index, link_size)]))[0])


async def witnessed(conn: AnyConnection, log_no: int, link_size: int) -> tuple[tuple[Witnessed, ...], bool]:
    """Checkpoints at or after `link_size` that together hold each known key's cosignature, as few as there
    may be; and whether none is missing.

    Per tree the checkpoint with the most cosignatures, the first of these; a key that did not sign that one
    comes with the first that it did sign.
    """
    firsts = await conn.fetch(_FIRST, log_no, link_size)
    places = sorted({(row["algorithm"], row["size"]) for row in firsts if row["size"] is not None})
    complete = bool(firsts) and all(row["size"] is not None for row in firsts)
    if not places:
        return (), complete
    rows = await conn.fetch(_SIGNED, log_no, *map(list, zip(*places, strict=True)))
    signed: defaultdict[tuple[int, int], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        signed[row["algorithm"], row["size"]].append(row)
    out: list[Witnessed] = []
    for algorithm in sorted({algorithm for algorithm, _ in places}):
        covered: set[bytes] = set()
        sizes = [size for one, size in places if one == algorithm]
        for size in sorted(sizes, key=lambda size: (-len(signed[algorithm, size]), size)):
            mine = signed[algorithm, size]
            if {row["key_id"] for row in mine} <= covered:
                continue
            covered |= {row["key_id"] for row in mine}
            out.append(_witnessed_at(algorithm, size, mine))
    return tuple(out), complete


def _witnessed_at(algorithm: int, size: int, rows: Sequence[asyncpg.Record]) -> Witnessed:
    cosignatures = tuple(
        Cosignature(row["key_id"], row["time"], row["signature"]) for row in rows[:MAX_COSIGNATURES]
    )
    return Witnessed(algorithm, size, rows[0]["log_signature"], cosignatures)
