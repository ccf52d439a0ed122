"""Hash renewal of a whole log: one SHA3-256 tree over all its receipts (docs/spec/hash-renewal.md, scope 0).

A run goes over the leaves in steps that each commit with how far it came, so that it may be killed anywhere
and holds one step in memory. The finished tree is signed with the log key and stamped by each authority;
receipts carry it from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from evidence.logs import LogContext
from evidence.ports import Clock, FaultPoints, PromiseSigner, system_clock
from evidence.receipts import ReceiptMaker
from evidence.renewed_trees import ABSENT, read_renewed_tiles, with_nodes
from evidence.tiles import WIDTH, TileGrower, TileKey, root_at
from evidence.timestamping import CLOCK_SKEW, Authority, TimeAnswerRefused, TimePort
from protocol import rehash
from protocol.errors import CaseledgerError
from protocol.hashing import HASH_LEN, SHA3_256
from storage.db import AnyConnection, Pool
from verifier.timetoken import check_token
from verifier.timetoken_request import TimeRequest, token_of

STEP = 8 * WIDTH
"""Leaves of one step: what is held in memory, and what a kill can cost."""
_TREES = (SHA3_256,)


class NothingAnchored(CaseledgerError):
    """No batch of the log is anchored and proved yet, or none ends at this size."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "nothing to renew at this size"


class RehashUnfinished(CaseledgerError):
    """The tree is not finished: only a finished one is stamped."""

    http_status: ClassVar[int] = 409
    title: ClassVar[str] = "the hash renewal is not finished"


@dataclass(frozen=True)
class Progress:
    """How far a run came; `root` once it is finished."""

    size: int
    done: int
    root: bytes | None
    authorities: tuple[str, ...]


class Rehasher:
    """Runs over one log. Not for two tasks at once; a second process waits at each step."""

    def __init__(
        self,
        pool: Pool,
        log: LogContext,
        maker: ReceiptMaker,
        log_key: PromiseSigner,
        *,
        clock: Clock = system_clock,
        faults: FaultPoints | None = None,
    ) -> None:
        self._pool = pool
        self._log = log
        self._maker = maker
        self._key = log_key
        self._clock = clock
        self._faults = faults or FaultPoints()

    async def begin(self, size: int | None = None) -> int:
        """Start a run over the leaves below `size`, a size at which an anchored batch ends (the newest by
        default), unless it is there. The size.

        Raises:
            NothingAnchored
        """
        async with self._pool.acquire() as conn, conn.transaction():
            found: int | None = await conn.fetchval(
                """SELECT max(b.new_size) FROM evidence.batch b
                   JOIN evidence.batch_proof p USING (log_no, number)
                   WHERE b.log_no = $1 AND b.new_size = coalesce($2, b.new_size)""",
                self._log.log_no,
                size,
            )
            if found is None:
                raise NothingAnchored(f"no proved batch ends at {size}", field="size")
            size = found
            await conn.execute(
                "INSERT INTO evidence.rehash_run (log_no, size) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                self._log.log_no,
                size,
            )
        return size

    async def run(self, size: int, told: Callable[[int], None] = lambda done: None) -> bytes:
        """Go on until the tree is finished and signed; its root. `told` hears how many leaves are done."""
        while (done := await self._step(size)) < size:
            told(done)
        told(size)
        return await self._finish(size)

    async def _step(self, size: int) -> int:
        async with self._pool.acquire() as conn, conn.transaction():
            done: int = await conn.fetchval(
                "SELECT done FROM evidence.rehash_run WHERE log_no = $1 AND size = $2 FOR UPDATE",
                self._log.log_no,
                size,
            )
            if done >= size:
                return done
            end = min(size, (done // STEP + 1) * STEP)
            bare = await self._maker.bare(conn, range(done, end))
            items = [rehash.Item(SHA3_256.digest(core), body) for core, body in bare]
            edge = await read_renewed_tiles(conn, self._log.log_no, size, TileGrower.edge_keys(done, _TREES))
            grower = TileGrower(done, edge, _TREES)
            touched = grower.extend([item.encode() for item in items])
            bodies = b"".join(item.body or ABSENT for item in items)
            await self._store(conn, size, touched, bodies, done)
            self._faults.hit("rehash-step")
            await conn.execute(
                "UPDATE evidence.rehash_run SET done = $3 WHERE log_no = $1 AND size = $2",
                self._log.log_no,
                size,
                end,
            )
        self._faults.hit("rehash-committed")
        return end

    async def _store(
        self, conn: AnyConnection, size: int, touched: dict[TileKey, bytes], bodies: bytes, first: int
    ) -> None:
        """`first` lies at the edge of a tile, because a step ends there."""
        width = WIDTH * HASH_LEN
        start = first // WIDTH
        rows = [
            (
                level,
                index,
                hashes,
                bodies[(index - start) * width : (index - start + 1) * width] if level == 0 else None,
            )
            for (_, level, index), hashes in touched.items()
        ]
        await conn.execute(
            """INSERT INTO evidence.rehash_tile (log_no, size, level, tile_index, hashes, bodies)
               SELECT $1, $2, * FROM unnest($3::smallint[], $4::bigint[], $5::bytea[], $6::bytea[])
               ON CONFLICT (log_no, size, level, tile_index) DO UPDATE SET hashes = excluded.hashes,
                   bodies = excluded.bodies""",
            self._log.log_no,
            size,
            *map(list, zip(*rows, strict=True)),
        )

    async def _finish(self, size: int) -> bytes:
        async with self._pool.acquire() as conn, conn.transaction():
            (root,) = await with_nodes(
                conn, self._log.log_no, size, lambda get: [root_at(SHA3_256, size, get)]
            )
            text = rehash.text(rehash.log_line(self._log.origin), size, root)
            await conn.execute(
                """INSERT INTO evidence.rehash_tree (log_no, size, root, log_signature, finished_at)
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING""",
                self._log.log_no,
                size,
                root,
                self._key.sign(text),
                self._clock(),
            )
            return root

    async def stamp(self, size: int, authority: Authority, port: TimePort) -> bool:
        """A token of one authority over a finished tree; False when it is there.

        Raises:
            RehashUnfinished, TimeAuthorityUnavailable, TimeAnswerRefused
        """
        row = await self._pool.fetchrow(
            """SELECT r.root, t.authority FROM evidence.rehash_tree r
               LEFT JOIN evidence.rehash_token t
                   ON t.log_no = r.log_no AND t.size = r.size AND t.authority = $3
               WHERE r.log_no = $1 AND r.size = $2""",
            self._log.log_no,
            size,
            authority.name,
        )
        if row is None:
            raise RehashUnfinished(f"at {size}", field="size")
        if row["authority"] is not None:
            return False
        digest = SHA3_256.digest(rehash.text(rehash.log_line(self._log.origin), size, row["root"]))
        policy = authority.policies[0] if authority.policies else None
        request = TimeRequest("sha3-256", digest, secrets.randbits(64), policy)
        answer = await port.ask(authority.url, request.encode())
        received = self._clock()
        try:
            token = token_of(answer)
            proved = check_token(
                token,
                authority.chain,
                (),
                imprint_of=lambda _name: digest,
                authorities=(authority.trusted(),),
                at=received + CLOCK_SKEW,
                not_before=0,
                renewed=True,
            )
            request.check(proved)
            proved.check_current(received)
        except CaseledgerError as error:
            raise TimeAnswerRefused(f"{error.code}: {error.detail}"[:300]) from None
        await self._pool.execute(
            """INSERT INTO evidence.rehash_token (log_no, size, authority, gen_time, signer_until,
                   received_at, token, certificates)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
            self._log.log_no,
            size,
            authority.name,
            proved.gen_time,
            proved.signer_not_after,
            received,
            token,
            list(authority.chain),
        )
        return True


async def progress(conn: AnyConnection | Pool, log_no: int) -> list[Progress]:
    """Every run of a log, the smallest first."""
    rows = await conn.fetch(
        """SELECT r.size, r.done, t.root,
                  array(SELECT k.authority FROM evidence.rehash_token k
                        WHERE k.log_no = r.log_no AND k.size = r.size ORDER BY k.authority) AS authorities
           FROM evidence.rehash_run r LEFT JOIN evidence.rehash_tree t USING (log_no, size)
           WHERE r.log_no = $1 ORDER BY r.size""",
        log_no,
    )
    return [Progress(row["size"], row["done"], row["root"], tuple(row["authorities"])) for row in rows]


async def renewed_root(conn: AnyConnection | Pool, log_no: int, size: int) -> bytes | None:
    """Root of the finished tree over the first `size` leaves, for the successor's first entry."""
    root: bytes | None = await conn.fetchval(
        "SELECT root FROM evidence.rehash_tree WHERE log_no = $1 AND size = $2", log_no, size
    )
    return root
