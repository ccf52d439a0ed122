"""A log that cannot go on: close it, open its successor, log every promised leaf again.

Needed when an anchor key was stolen and used (the contract then holds leaves that nobody submitted), and when
the database was restored from a backup (the contract then holds leaves that the database has lost).
Governance closes the log at a size and opens a successor; here the successor is made known, its first entry
commits to the closed head, and what lies beyond the closed size is logged again.

Receipts for leaves below the closed size stay valid. A submission is signed for one log, so nobody but its
submitter can bring a leaf into the successor: agents send again whatever they have no receipt for, and
`outstanding` says which leaves the database still waits for. The sequence of every submitter starts anew; the
old evidence id leads to the new entry because the leaf without its sequence is the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from evidence.batches import ZERO32, set_status
from evidence.contract import ContractPort, Head, HeadStatus
from evidence.errors import LogForked, LogUnknown, RecordDamaged
from evidence.intake import Acceptor
from evidence.logs import LogContext, LogStatus, Predecessor, create_log
from evidence.ports import Clock, system_clock
from evidence.receipts import open_body
from evidence.rehashing import renewed_root
from evidence.tiles import ALGORITHMS, TileReader, extend
from evidence.vault import Vault
from protocol.acts import Signer
from protocol.custody import ClassMisplaced, is_custody_log
from protocol.entry import Continuation, EvidenceClass, Header, evidence_id, unsequenced
from protocol.errors import MalformedInput
from protocol.identifiers import log_id
from protocol.submission import MAX_ENTRIES, Acceptance, EntryBytes, Submission
from storage.db import AnyConnection, Pool

CONTINUATION_SECONDS = 3600


@dataclass(frozen=True)
class CloseChoice:
    """The two sizes at which a log can be closed without losing a good receipt.

    `own_size`: the last batch that is the same here and on the chain. `head_size`: the chain's head. Equal
    when nothing is wrong. After a theft close at `own_size`: what the thief anchored is then no part of the
    log. After a restore close at `head_size`: what this service anchored and forgot stays part of it, and
    the receipts that submitters hold for it stay valid.
    """

    head_size: int
    own_size: int
    own_batches: int
    head_batches: int
    accepted: int

    @property
    def forked(self) -> bool:
        """Whether the chain holds batches that are not ours."""
        return self.head_batches > self.own_batches


async def close_choice(pool: Pool, log: LogContext, contract: ContractPort) -> CloseChoice:
    """Compare every recorded batch with the chain, link by link."""
    head = await contract.head(log.log_id)
    rows = await pool.fetch(
        """SELECT b.number, b.new_size, b.root_sha256, b.root_sm3, a.link FROM evidence.batch b
           LEFT JOIN evidence.anchor a USING (log_no, number) WHERE b.log_no = $1 ORDER BY b.number""",
        log.log_no,
    )
    events = {event.number: event for event in await contract.anchored_all(log.log_id, 1)}
    own_batches = own_size = 0
    for row in rows:
        event = events.get(row["number"])
        if event is None or (event.new_size, event.root_sha256, event.root_sm3) != (
            row["new_size"],
            row["root_sha256"],
            row["root_sm3"],
        ):
            break
        own_batches, own_size = row["number"], row["new_size"]
    accepted = await pool.fetchval(
        "SELECT accepted_size FROM evidence.log_writer WHERE log_no = $1", log.log_no
    )
    return CloseChoice(head.size, own_size, own_batches, head.batches, accepted)


async def halt(pool: Pool, log: LogContext, code: str, detail: str, *, clock: Clock = system_clock) -> None:
    """Stop accepting and sealing by hand."""
    await set_status(pool, log.log_no, LogStatus.HALTED, clock(), code=code, detail=detail)


async def release(
    pool: Pool, log: LogContext, contract: ContractPort, *, clock: Clock = system_clock
) -> None:
    """Open a halted log again, if the chain's head is the last recorded or sealed batch.

    Raises LogForked while it is not.
    """
    choice = await close_choice(pool, log, contract)
    if choice.head_size != choice.own_size or choice.head_batches != choice.own_batches:
        raise LogForked(
            f"head {choice.head_batches}/{choice.head_size}, ours {choice.own_batches}/{choice.own_size}",
            hint="close the log and open a successor",
        )
    await set_status(pool, log.log_no, LogStatus.OPEN, clock())


async def record_close(
    conn: AnyConnection | Pool, log: LogContext, head: Head, *, clock: Clock = system_clock
) -> None:
    """Note that governance closed the log. The follower does the same; this does it at once."""
    if head.status is not HeadStatus.CLOSED:
        raise LogForked("the contract has not closed this log", hint="closeLog by governance first")
    await set_status(
        conn,
        log.log_no,
        LogStatus.CLOSED,
        clock(),
        code="LogClosed",
        detail=f"closed by governance at {head.closed_size} of {head.size} leaves",
        closed_size=head.closed_size,
    )


async def closed_head(
    conn: AnyConnection, log: LogContext, contract: ContractPort, head: Head
) -> Predecessor:
    """Size and both roots at which the log was closed, as its successor's first entry has to state them.

    From the chain's event where a batch ends at that size, else from the tiles when the size lies inside a
    batch that was sealed here. Raises RecordDamaged when neither knows the tree of that size.
    """
    size = head.closed_size
    if size == 0:
        return Predecessor(log.log_no, log.log_id, 0, *(alg.empty for alg in ALGORITHMS))
    for event in await contract.anchored_all(log.log_id, 1):
        if event.new_size == size:
            return Predecessor(log.log_no, log.log_id, size, event.root_sha256, event.root_sm3)
    held = await conn.fetchval(
        "SELECT max(new_size) FROM evidence.batch WHERE log_no = $1 AND new_size >= $2", log.log_no, size
    )
    if held is None:
        raise RecordDamaged(
            f"no tree of {size} leaves is known here", hint="close at a size where a batch ends"
        )
    await extend(conn, log.log_no, size)
    roots = await TileReader(log.log_no).roots(conn, size)
    return Predecessor(log.log_no, log.log_id, size, *roots)


async def succeed(
    owner: AnyConnection,
    old: LogContext,
    origin: str,
    contract: ContractPort,
    *,
    clock: Clock = system_clock,
) -> LogContext:
    """Make the successor log known here; again with the same members it is returned as it is.

    `owner`: a connection of the schema's owner. Raises LogForked unless the contract closed `old` in favour
    of `origin`, LogUnknown when the contract does not know the successor, ClassMisplaced, RecordDamaged.
    """
    head = await contract.head(old.log_id)
    identity = log_id(origin)
    if is_custody_log(origin) != is_custody_log(old.origin):
        raise ClassMisplaced("a custody log is continued by a custody log alone", field="origin")
    if head.status is not HeadStatus.CLOSED or head.successor != identity:
        raise LogForked("the contract has not closed the log in favour of this successor", field="origin")
    new_head = await contract.head(identity)
    if new_head.status is not HeadStatus.OPEN:
        raise LogUnknown("the contract has not opened the successor", field="origin")
    if new_head.predecessor != old.log_id:
        raise LogForked("the successor names another predecessor", field="origin")
    await record_close(owner, old, head, clock=clock)
    return await create_log(
        owner,
        origin=origin,
        chain_id=old.chain_id,
        contract=old.contract,
        registry=old.registry,
        operator=new_head.operator,
        now=clock(),
        predecessor=await closed_head(owner, old, contract, head),
    )


async def add_custody(
    owner: AnyConnection,
    evidence: LogContext,
    origin: str,
    contract: ContractPort,
    *,
    clock: Clock = system_clock,
) -> LogContext:
    """Make the custody log known here that governance opened beside an evidence log; again, the same.

    `owner`: a connection of the schema's owner. Raises LogUnknown when the contract does not know it,
    LogForked when it is another operator's.
    """
    head = await contract.head(log_id(origin))
    if head.status is not HeadStatus.OPEN:
        raise LogUnknown("the contract has not opened the custody log", field="origin")
    if head.operator != evidence.operator:
        raise LogForked(f"its operator is organisation {head.operator}", field="origin")
    return await create_log(
        owner,
        origin=origin,
        chain_id=evidence.chain_id,
        contract=evidence.contract,
        registry=evidence.registry,
        operator=evidence.operator,
        now=clock(),
    )


def continuation(log: LogContext, key: Signer, *, now: int, renewed_root: bytes | None = None) -> Submission:
    """The first submission of a successor log, signed by the operator's act key; it also commits the
    predecessor's hash renewal where there is one.
    """
    closed = log.predecessor
    if closed is None:
        raise MalformedInput("this log continues no other", field="log")
    body = Continuation(
        closed.log_id, closed.size, closed.root_sha256, closed.root_sm3, secrets.token_bytes(32), renewed_root
    ).encode()
    header = Header(EvidenceClass.LOG_CONTINUATION, log.operator, ZERO32).pack()
    return Submission.sign(
        log_id=log.log_id,
        organisation=log.operator,
        valid_until=now + CONTINUATION_SECONDS,
        entries=[(header, body)],
        domain=log.domain,
        key=key,
    )


async def begin(pool: Pool, acceptor: Acceptor, key: Signer, *, clock: Clock = system_clock) -> bytes:
    """Write the continuation unless it is there; its evidence id."""
    log = acceptor.log
    first = await pool.fetchval(
        "SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index = 0", log.log_no
    )
    if first is None:
        before = log.predecessor
        root = await renewed_root(pool, before.log_no, before.size) if before else None
        await acceptor.accept(continuation(log, key, now=clock(), renewed_root=root))
        first = await pool.fetchval(
            "SELECT leaf FROM evidence.entry WHERE log_no = $1 AND leaf_index = 0", log.log_no
        )
    return evidence_id(first)


@dataclass(frozen=True)
class Outstanding:
    """A promised leaf that its submitter has to bring into the successor log."""

    evidence_id: bytes
    index: int
    organisation: int
    entry: EntryBytes
    """Header with sequence zero, and body: what is signed again."""


async def outstanding(
    conn: AnyConnection, log: LogContext, vault: Vault, organisation: int | None = None
) -> list[Outstanding]:
    """Leaves of the predecessor beyond its closed size, or beyond the last anchor that a restored database
    still knows, that `log` does not hold yet, in their old order.

    An entry whose body was erased cannot be signed again and is left out.
    """
    if log.predecessor is None:
        return []
    rows = await conn.fetch(
        """SELECT o.leaf_index, o.leaf, o.body FROM evidence.entry o
           JOIN evidence.log_status st ON st.log_no = o.log_no
           WHERE o.log_no = $1 AND o.body IS NOT NULL
             AND o.leaf_index >= least(st.closed_size, (SELECT coalesce(max(b.new_size), 0)
                 FROM evidence.batch b JOIN evidence.anchor a USING (log_no, number) WHERE b.log_no = $1))
             AND ($3::bytea IS NULL OR substr(o.leaf, 5, 4) = $3)
             AND NOT EXISTS (SELECT FROM evidence.entry n WHERE n.dedupe = o.dedupe AND n.log_no = $2)
           ORDER BY o.leaf_index""",
        log.predecessor.log_no,
        log.log_no,
        None if organisation is None else organisation.to_bytes(4, "big"),
    )
    return [
        Outstanding(
            evidence_id(row["leaf"]),
            row["leaf_index"],
            int.from_bytes(row["leaf"][4:8], "big"),
            (unsequenced(row["leaf"])[:48], open_body(vault, row["leaf"], row["body"])),
        )
        for row in rows
    ]


async def log_again(
    acceptor: Acceptor, leaves: Sequence[Outstanding], key: Signer, *, now: int
) -> list[Acceptance]:
    """Sign and submit leaves of one organisation to the successor, in their old order.

    For whoever holds the organisation's act key: its agent, or the operator for its own entries.
    """
    answers = []
    for at in range(0, len(leaves), MAX_ENTRIES):
        part = leaves[at : at + MAX_ENTRIES]
        submission = Submission.sign(
            log_id=acceptor.log.log_id,
            organisation=part[0].organisation,
            valid_until=now + CONTINUATION_SECONDS,
            entries=[one.entry for one in part],
            domain=acceptor.log.domain,
            key=key,
        )
        answers.append(await acceptor.accept(submission))
    return answers
