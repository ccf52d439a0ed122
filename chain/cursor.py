"""Reading our contracts' events into tables, without trusting the node that tells them.

How far was read (block number and hash) is committed with the rows themselves. Every contract numbers its
events without gaps, so an event that a node keeps back is noticed and the node is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import asyncpg

from chain.bindings import interface
from chain.deployment import Deployment
from chain.errors import ChainError
from chain.evm import EventLog, Evm, Head, binary, parse_log, quantity
from chain.projection import DecodedEvent, project
from chain.rpc import Answer, Lie, RpcAnswerTooLarge, RpcPool, RpcRefused, RpcUnavailable
from chain.transactions import Call
from protocol.errors import CaseledgerError
from storage.db import AnyConnection, Pool

log = logging.getLogger(__name__)

_FIRST_PAGE = 500


class EventsWithheld(ChainError):
    """A node's list of events has a gap; the node was left and the read is repeated."""

    retryable = True
    title = "events missing from a node's answer"


class ChainRewritten(ChainError):
    """A chain whose blocks are final shows another block where this service read before.

    Either the node lies or this is another network; nothing is rewound by itself.
    """

    title = "a final block has changed"


Project = Callable[[AnyConnection, int, DecodedEvent], Awaitable[None]]
"""Writes what an event (of the chain id) changes, in the transaction that is open."""


@dataclass(frozen=True)
class EventSource:
    """Whose events are read: contracts (name by address) of one chain, none older than `first_block`.

    `name` is the position's in the database.
    """

    name: str
    chain_id: int
    contracts: Mapping[bytes, str]
    first_block: int
    project: Project


def ledger_events(deployment: Deployment, *, name: str = "core") -> EventSource:
    """The events of registry, governance and log."""
    return EventSource(
        f"{name}:{deployment.chain_id}:{deployment.evidence_log.address.hex()}",
        deployment.chain_id,
        {contract.address: n for n, contract in deployment.contracts.items()},
        deployment.block,
        project,
    )


@dataclass
class CursorMetrics:
    """Plain counters since the start; `block` and `behind` are of the last round."""

    pages: int = 0
    events: int = 0
    rewinds: int = 0
    withheld: int = 0
    block: int = 0
    behind: int = 0
    sequences: dict[str, int] = field(default_factory=dict)


class _BlockReplaced(Exception):
    """Another reader stored this block before the chain replaced it."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(frozen=True)
class _Position:
    number: int
    hash: bytes


class EventCursor:
    """One reader of one source. Several may run; the row lock lets one at a time commit.

    Readers of several sources share the blocks: whoever sees that one was replaced rewinds all of them.
    """

    def __init__(self, database: Pool, pool: RpcPool, source: EventSource) -> None:
        self._db = database
        self._pool = pool
        self._evm = Evm(pool)
        self._source = source
        self._names = source.contracts
        self._page = min(_FIRST_PAGE, pool.profile.max_log_range)
        self.metrics = CursorMetrics()

    async def run(self, stop: asyncio.Event, *, poll_seconds: float = 0.3) -> None:
        """Follow the chain until `stop` is set; failures are logged by code and tried again."""
        wait = poll_seconds
        while not stop.is_set():
            try:
                wait = 0.0 if await self.run_once() else poll_seconds
            except (CaseledgerError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("events: %s", getattr(error, "code", type(error).__name__))
                wait = min(max(wait, poll_seconds) * 2, 5.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()

    async def run_once(self) -> bool:
        """Read one page; True when there is more to read at once.

        Raises EventsWithheld, ChainRewritten, and what the pool raises.
        """
        target = quantity(await self._pool.call("eth_blockNumber", [])) - self._pool.profile.depth
        async with self._db.acquire() as conn:
            at = await self._position(conn)
        self.metrics.block, self.metrics.behind = at.number, max(0, target - at.number)
        if target <= at.number:
            return False
        if at.number >= self._source.first_block:
            here = await self._evm.head(at.number)
            if here.hash != at.hash:
                await self._rewind(at.number)
                return True
        last = min(at.number + self._page, target)
        answer = await self._logs(at.number + 1, last)
        if answer is None:
            return True  # page halved
        try:
            events = self._decode(answer)
            await self._commit(answer.url, at, last, events, newest=last == target)
        except _BlockReplaced as replaced:
            await self._rewind(replaced.number)
            return True
        except EventsWithheld:
            self.metrics.withheld += 1
            self._pool.report_lie(answer.url, Lie.WITHHELD_LOGS, "gap in a contract's sequence")
            raise
        self.metrics.pages += 1
        self._page = min(self._page * 2, self._pool.profile.max_log_range)
        return last < target

    # Asking

    async def _logs(self, first: int, last: int) -> Answer | None:
        addresses = ["0x" + address.hex() for address in self._names]
        try:
            return await self._pool.ask(
                "eth_getLogs", [{"address": addresses, "fromBlock": hex(first), "toBlock": hex(last)}]
            )
        except (RpcRefused, RpcAnswerTooLarge):
            if last == first:
                raise
            self._page = max(1, (last - first + 1) // 2)
            return None
        except RpcUnavailable:
            self._page = max(1, self._page // 2)
            raise

    def _decode(self, answer: Answer) -> list[tuple[EventLog, DecodedEvent]]:
        """In the chain's order. An event that none of our ABIs knows is refused: that is other code."""
        if not isinstance(answer.result, list):
            raise EventsWithheld("a node's event list is not a list")
        out = []
        for entry in sorted(map(parse_log, answer.result), key=lambda e: (e.block_number, e.log_index)):
            contract = self._names[entry.address]
            event = interface(contract).events.get(entry.topics[0] if entry.topics else b"")
            if event is None:
                raise ChainError(f"{contract} emitted an event that this release does not know")
            values = event.decode(entry.topics, entry.data)
            out.append(
                (
                    entry,
                    DecodedEvent(
                        contract,
                        entry.address,
                        event.name,
                        values["sequence"],
                        entry.block_number,
                        entry.transaction_hash,
                        values,
                        entry.log_index,
                    ),
                )
            )
        return out

    async def _announced(self, contract: str, address: bytes, block: int) -> int | None:
        """The contract's own count of its events in a block's state; None when the state is pruned."""
        function = interface(contract).function("sequence")
        try:
            answer = await self._pool.call(
                "eth_call", [Call(address, function.encode()).as_rpc(bytes(20)), hex(block)]
            )
        except RpcRefused:
            return None
        return int(function.decode(binary(answer))[0])

    # Writing

    async def _position(self, conn: AnyConnection, *, lock: bool = False) -> _Position:
        query = "select block_number, block_hash from chain.cursor where name = $1"
        row = await conn.fetchrow(query + (" for update" if lock else ""), self._source.name)
        if row is not None:
            return _Position(int(row["block_number"]), bytes(row["block_hash"]))
        return _Position(self._source.first_block - 1, bytes(32))

    async def _commit(
        self,
        url: str,
        at: _Position,
        last: int,
        events: list[tuple[EventLog, DecodedEvent]],
        *,
        newest: bool,
    ) -> None:
        heads: dict[int, Head] = {}
        for entry, _ in events:
            if entry.block_number not in heads:
                heads[entry.block_number] = await self._evm.head(entry.block_number)
            if heads[entry.block_number].hash != entry.block_hash:
                self._pool.report_lie(url, Lie.FORKED_BLOCK, "event of another block")
                raise RpcUnavailable("an event names a block that is not in the chain")
        end = heads.get(last) or await self._evm.head(last)
        counts = await self._counts(last) if newest else {}
        chain_id = self._source.chain_id
        async with self._db.acquire() as conn, conn.transaction():
            await conn.execute(
                """insert into chain.cursor (name, chain_id, block_number, block_hash)
                   values ($1, $2, $3, $4) on conflict do nothing""",
                self._source.name,
                chain_id,
                at.number,
                at.hash,
            )
            if await self._position(conn, lock=True) != at:
                return  # another reader was faster
            known = await self._sequences(conn)
            for entry, event in events:
                address = entry.address
                if event.sequence != known[address] + 1:
                    raise EventsWithheld(f"{event.contract}: event {event.sequence} after {known[address]}")
                known[address] = event.sequence
            self._require_all(known, counts)
            for number, head in sorted(heads.items()):
                await self._block(conn, number, head)
            try:
                for entry, event in events:
                    await self._store(conn, entry, event)
                    timed = replace(event, time=heads[entry.block_number].time)
                    await self._source.project(conn, chain_id, timed)
            except CaseledgerError:
                # An event of one contract may rest on one of another that was kept back.
                self._require_all(known, await self._counts(last))
                raise
            await conn.execute(
                """update chain.cursor set block_number = $2, block_hash = $3, updated_at = now()
                   where name = $1""",
                self._source.name,
                last,
                end.hash,
            )
        self.metrics.events += len(events)
        self.metrics.block = last
        self.metrics.behind = max(0, self.metrics.behind - (last - at.number))
        self.metrics.sequences = {self._names[a]: n for a, n in known.items()}

    async def _counts(self, block: int) -> dict[bytes, int | None]:
        return {a: await self._announced(n, a, block) for a, n in self._names.items()}

    def _require_all(self, known: Mapping[bytes, int], counts: Mapping[bytes, int | None]) -> None:
        """No contract counts more events than were shown. Raises EventsWithheld."""
        for address, count in counts.items():
            if count is not None and count > known[address]:
                raise EventsWithheld(f"{self._names[address]}: {count} events, {known[address]} shown")

    async def _block(self, conn: AnyConnection, number: int, head: Head) -> None:
        """Rows hang on their block, which another reader may have stored. Raises _BlockReplaced."""
        await conn.execute(
            """insert into chain.block (chain_id, number, hash, time) values ($1, $2, $3, $4)
               on conflict do nothing""",
            self._source.chain_id,
            number,
            head.hash,
            head.time,
        )
        stored = await conn.fetchval(
            "select hash from chain.block where chain_id = $1 and number = $2", self._source.chain_id, number
        )
        if stored != head.hash:
            raise _BlockReplaced(number)

    async def _sequences(self, conn: AnyConnection) -> dict[bytes, int]:
        rows = await conn.fetch(
            """select contract, (select max(sequence) from chain.event e
                                 where e.chain_id = $1 and e.contract = c.contract) as last
               from unnest($2::bytea[]) as c (contract)""",
            self._source.chain_id,
            list(self._names),
        )
        return {bytes(row["contract"]): int(row["last"] or 0) for row in rows}

    async def _store(self, conn: AnyConnection, entry: EventLog, event: DecodedEvent) -> None:
        await conn.execute(
            """insert into chain.event
                   (chain_id, contract, sequence, block_number, log_index, transaction_hash, name, topics,
                    data)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            self._source.chain_id,
            entry.address,
            event.sequence,
            entry.block_number,
            entry.log_index,
            entry.transaction_hash,
            event.name,
            list(entry.topics),
            entry.data,
        )

    async def _rewind(self, changed: int) -> None:
        """Back to the newest block that the chain still has; `changed` is one that it has not.

        One delete takes all rows above it along, of every reader, and every reader goes back with them.
        """
        if self._pool.profile.instant:
            raise ChainRewritten(f"block {changed} has another hash now", hint="is it the same network?")
        chain_id = self._source.chain_id
        newest = quantity(await self._pool.call("eth_blockNumber", []))
        async with self._db.acquire() as conn:
            rows = await conn.fetch(
                """select number, hash from chain.block where chain_id = $1 and number <= $2
                   order by number desc""",
                chain_id,
                newest,
            )
        ancestor = None
        for row in rows:
            if (await self._evm.head(int(row["number"]))).hash == row["hash"]:
                ancestor = _Position(int(row["number"]), bytes(row["hash"]))
                break
        above = -1 if ancestor is None else ancestor.number
        async with self._db.acquire() as conn, conn.transaction():
            await conn.execute(
                "select 1 from chain.cursor where chain_id = $1 order by name for update", chain_id
            )
            await conn.execute("delete from chain.block where chain_id = $1 and number > $2", chain_id, above)
            if ancestor is None:
                await conn.execute("delete from chain.cursor where chain_id = $1", chain_id)
            else:
                await conn.execute(
                    """update chain.cursor set block_number = $2, block_hash = $3, updated_at = now()
                       where chain_id = $1 and block_number > $2""",
                    chain_id,
                    ancestor.number,
                    ancestor.hash,
                )
        self.metrics.rewinds += 1
        log.warning("events: rewound from block %d to %d", changed, above)


async def rebuild(
    database: Pool,
    pool: RpcPool,
    sources: Sequence[EventSource],
    forget: Callable[[AnyConnection], Awaitable[None]] | None = None,
) -> int:
    """Drop the index and read it again from the chain; the number of events read. For `fsck --rebuild`.

    `sources`: all of one chain that this database follows. `forget`: drops, in the same transaction, what
    hangs on no block.
    """
    async with database.acquire() as conn, conn.transaction():
        if forget is not None:
            await forget(conn)
        for chain_id in sorted({source.chain_id for source in sources}):
            await conn.execute("delete from chain.cursor where chain_id = $1", chain_id)
            await conn.execute("delete from chain.block where chain_id = $1", chain_id)
    events = 0
    for source in sources:
        cursor = EventCursor(database, pool, source)
        while await cursor.run_once():
            pass
        events += cursor.metrics.events
    return events
