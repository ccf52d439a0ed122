"""The verbs that readers use: show, list, find, receipt, status. Visibility is decided in `repository`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import asyncpg

from evidence import repository
from evidence.errors import EvidenceNotFound, NotInClosedLog, ReceiptNotReady
from evidence.logs import LogContext, load_logs
from evidence.ports import Clock, system_clock
from evidence.receipts import ReceiptMaker, open_body
from evidence.repository import Filters, Viewer
from evidence.tiles import ALGORITHMS
from evidence.timestamps_repository import sources
from evidence.vault import Vault
from evidence.witnessing import states
from protocol.entry import Body, EntryClass, EvidenceClass, Relation, evidence_id, parse_body, parse_leaf
from protocol.errors import CaseledgerError, MalformedInput
from protocol.i18n import Text
from storage.db import TRANSIENT, AnyConnection, Pool, unavailable

__all__ = ["EvidenceService", "EvidenceState", "EvidenceView", "Filters", "Page", "StatusReport", "Viewer"]

STALLED_SECONDS = 120
"""An anchor that takes longer is a fault, even when no step says so."""
FIND_LIMIT = 100
RECEIPTS_AT_ONCE = 1000


class EvidenceState(StrEnum):
    """How far an entry has come."""

    ACCEPTED = "ACCEPTED"
    SEALED = "SEALED"
    ANCHORED = "ANCHORED"

    @property
    def label(self) -> Text:
        """What a clerk reads."""
        return _LABELS[self]


_LABELS = {
    EvidenceState.ACCEPTED: Text("已受理", "accepted"),
    EvidenceState.SEALED: Text("已封存", "sealed"),
    EvidenceState.ANCHORED: Text("已上链", "anchored"),
}


class Flag(StrEnum):
    """What else is true of an entry."""

    SUPERSEDED = "SUPERSEDED"
    DISPUTED = "DISPUTED"
    ERASED = "ERASED"
    OVERDUE = "OVERDUE"
    """Promised for a time that has passed, and not anchored: the log is at fault."""
    CONTINUED = "CONTINUED"
    """Beyond the end of a closed log; see `continued_as`."""
    LOST = "LOST"
    """Beyond the end of a closed log and not logged again yet: its submitter has to send it once more."""


@dataclass(frozen=True)
class EvidenceView:
    """One entry as its viewer may see it. Times in seconds UTC."""

    evidence_id: bytes
    log: str
    log_no: int
    index: int
    submitter: int
    sequence: int
    evidence_class: EntryClass
    privileged: bool
    case: bytes
    state: EvidenceState
    flags: tuple[Flag, ...]
    accepted_at: int
    deadline: int
    batch: int | None
    anchored_at: int | None
    block: int | None
    receipt_ready: bool
    superseded_by: tuple[bytes, ...]
    disputed_by: tuple[bytes, ...]
    continued_as: bytes | None
    links: tuple[tuple[Relation, bytes], ...]
    content_sha256: bytes | None
    content_size: int | None
    media_type: str | None

    def as_json(self) -> dict[str, Any]:
        """Members in camel case, bytes in lower-case hex."""
        return {
            "id": self.evidence_id.hex(),
            "log": self.log,
            "index": self.index,
            "submitter": self.submitter,
            "sequence": self.sequence,
            "class": int(self.evidence_class),
            "privileged": self.privileged,
            "case": self.case.hex(),
            "state": self.state.value,
            "flags": [flag.value for flag in self.flags],
            "acceptedAt": self.accepted_at,
            "deadline": self.deadline,
            "batch": self.batch,
            "anchoredAt": self.anchored_at,
            "block": self.block,
            "receiptReady": self.receipt_ready,
            "supersededBy": [one.hex() for one in self.superseded_by],
            "disputedBy": [one.hex() for one in self.disputed_by],
            "continuedAs": self.continued_as.hex() if self.continued_as else None,
            "links": [{"relation": int(relation), "id": target.hex()} for relation, target in self.links],
            "contentSha256": self.content_sha256.hex() if self.content_sha256 else None,
            "contentSize": self.content_size,
            "mediaType": self.media_type,
        }


@dataclass(frozen=True)
class Page:
    """Part of a list; `next` continues it, None at the end."""

    items: tuple[EvidenceView, ...]
    next: str | None


@dataclass(frozen=True)
class LogReport:
    """One log in numbers. Ages in seconds; a trouble is {step, code, detail, since, times}."""

    origin: str
    log_id: bytes
    status: str
    code: str | None
    detail: str | None
    accepted: int
    sealed: int
    anchored: int
    proved: int
    batches: int
    last_anchor_at: int | None
    last_anchor_block: int | None
    oldest_unanchored_age: int | None
    overdue: bool
    closed_size: int | None
    troubles: tuple[dict[str, Any], ...]
    stamped: tuple[dict[str, Any], ...] = ()
    """How far each time authority has stamped each tree."""
    witnessed: tuple[dict[str, Any], ...] = ()
    """How far each witness has cosigned each tree."""

    def as_json(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "logId": self.log_id.hex(),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "accepted": self.accepted,
            "sealed": self.sealed,
            "anchored": self.anchored,
            "proved": self.proved,
            "batches": self.batches,
            "lastAnchorAt": self.last_anchor_at,
            "lastAnchorBlock": self.last_anchor_block,
            "oldestUnanchoredAge": self.oldest_unanchored_age,
            "overdue": self.overdue,
            "closedSize": self.closed_size,
            "troubles": list(self.troubles),
            "stamped": list(self.stamped),
            "witnessed": list(self.witnessed),
        }


@dataclass(frozen=True)
class StatusReport:
    """All logs; `healthy` when each is open or closed in order, nothing fails, and nothing waits for its
    anchor for longer than a chain that makes blocks takes."""

    logs: tuple[LogReport, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        return all(
            log.status != "halted"
            and not log.troubles
            and not log.overdue
            and (log.oldest_unanchored_age or 0) <= STALLED_SECONDS
            for log in self.logs
        )

    def as_json(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "logs": [log.as_json() for log in self.logs]}


class EvidenceService:
    """Reads of all logs of this database."""

    def __init__(self, pool: Pool, vault: Vault, *, clock: Clock = system_clock) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._logs: dict[int, LogContext] = {}
        self._makers: dict[int, ReceiptMaker] = {}
        self._making = asyncio.Lock()

    async def show(self, identity: bytes, viewer: Viewer, *, case_id: bytes | None = None) -> EvidenceView:
        """One entry. Raises EvidenceNotFound, also when it is not for this viewer."""
        async with _connection(self._pool) as conn:
            rows = await self._visible(conn, [identity], viewer, case_id)
            if identity not in rows:
                raise EvidenceNotFound(field="id")
            return (await self._views(conn, [rows[identity]], viewer, case_id))[0]

    async def list(
        self,
        viewer: Viewer,
        *,
        case: bytes | None = None,
        case_id: bytes | None = None,
        evidence_class: EvidenceClass | None = None,
        log_no: int | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Newest first: the viewer's own entries, or with `case` (a commitment) that case's visible ones.

        Raises MalformedInput on a cursor that this list did not give.
        """
        if not 1 <= limit <= repository.MAX_PAGE:
            raise MalformedInput(f"limit: 1 to {repository.MAX_PAGE}", field="limit")
        after = None if cursor is None else _parse_cursor(cursor)
        async with _connection(self._pool) as conn:
            if case is not None:
                rows = await repository.by_case(conn, case, viewer, case_id, after, limit + 1)
            else:
                rows = await repository.own(
                    conn, viewer.organisation, evidence_class, log_no, after, limit + 1
                )
            views = await self._views(conn, rows[:limit], viewer, case_id)
        more = rows[limit - 1] if len(rows) > limit else None
        return Page(tuple(views), None if more is None else f"{more['log_no']}.{more['leaf_index']}")

    async def find_by_digest(
        self, content_sha256: bytes, viewer: Viewer, *, case_id: bytes | None = None
    ) -> Sequence[EvidenceView]:
        """Own entries over a document, and those of a case whose id is presented, newest first."""
        async with _connection(self._pool) as conn:
            tag = self._vault.tag(content_sha256)
            rows = await repository.by_tag(conn, tag, viewer, case_id, FIND_LIMIT)
            views = await self._views(conn, rows, viewer, case_id)
        return [view for view in views if view.content_sha256 == content_sha256]

    async def find_by_case(
        self, commitment: bytes, viewer: Viewer, *, case_id: bytes | None = None
    ) -> Sequence[EvidenceView]:
        """Visible entries of a case, newest first; at most one page."""
        page = await self.list(viewer, case=commitment, case_id=case_id, limit=repository.MAX_PAGE)
        return page.items

    async def receipt(self, identity: bytes, viewer: Viewer, *, case_id: bytes | None = None) -> bytes:
        """The receipt file. Raises EvidenceNotFound, ReceiptNotReady, NotInClosedLog, SignerKeyMissing,
        RecordDamaged."""
        result = (await self.receipts([identity], viewer, case_id=case_id))[0]
        if isinstance(result, CaseledgerError):
            raise result
        return result

    async def receipts(
        self, ids: Sequence[bytes], viewer: Viewer, *, case_id: bytes | None = None
    ) -> Sequence[bytes | CaseledgerError]:
        """One result for each id, in order: the file, or the error that `receipt` would raise.

        An entry that a successor log has taken over is answered with the receipt from there.
        """
        if len(ids) > RECEIPTS_AT_ONCE:
            raise MalformedInput(f"ids: at most {RECEIPTS_AT_ONCE}", field="ids")
        out: dict[bytes, bytes | CaseledgerError] = {}
        async with _connection(self._pool) as conn:
            rows = await self._visible(conn, ids, viewer, case_id)
            lost = [_place(row) for row in rows.values() if _is_beyond(row)]
            moved = await repository.continued(conn, lost)
            wanted: dict[int, dict[int, bytes]] = {}
            for identity, row in rows.items():
                place = _place(row)
                if place in moved:
                    log_no, index, leaf = moved[place]
                    again = await self._visible(conn, [evidence_id(leaf)], viewer, case_id)
                    if not again or not _is_proved(next(iter(again.values()))):
                        out[identity] = ReceiptNotReady("logged again in the successor log")
                        continue
                    wanted.setdefault(log_no, {})[index] = identity
                elif _is_beyond(row):
                    out[identity] = NotInClosedLog(hint="submit it to the successor log")
                elif not _is_proved(row):
                    out[identity] = ReceiptNotReady(f"leaf {row['leaf_index']}", hint="wait for the anchor")
                else:
                    wanted.setdefault(row["log_no"], {})[row["leaf_index"]] = identity
            for log_no, indexes in wanted.items():
                await self._make(conn, log_no, indexes, out)
        return [out.get(identity) or EvidenceNotFound(field="id") for identity in ids]

    async def _make(
        self,
        conn: AnyConnection,
        log_no: int,
        indexes: dict[int, bytes],
        out: dict[bytes, bytes | CaseledgerError],
    ) -> None:
        """All at once; one damaged entry must not withhold the others' receipts."""
        async with self._making:
            maker = await self._maker(conn, log_no)
            try:
                for made in await maker.make(conn, list(indexes)):
                    out[indexes[made.index]] = made.data
            except CaseledgerError as error:
                if len(indexes) == 1:
                    out[next(iter(indexes.values()))] = error
                    return
                for index, identity in indexes.items():
                    try:
                        out[identity] = (await maker.make(conn, [index]))[0].data
                    except CaseledgerError as own:
                        out[identity] = own

    async def status(self) -> StatusReport:
        """How far every log has come and what keeps it."""
        now = self._clock()
        async with _connection(self._pool) as conn:
            await self._refresh(conn)
            reports = [await self._report(conn, log, now) for log in self._logs.values()]
        return StatusReport(tuple(reports))

    async def _report(self, conn: AnyConnection, log: LogContext, now: int) -> LogReport:
        row = await repository.log_report(conn, log.log_no)
        anchored = row["anchored_size"] or 0
        waiting = None
        if anchored < row["accepted_size"] and row["status"] != "closed":
            waiting = await repository.oldest_waiting(conn, log.log_no, anchored)
        troubles = [
            {
                "step": one["step"],
                "code": one["code"],
                "detail": one["detail"],
                "since": one["first_at"],
                "times": one["times"],
            }
            for one in await repository.troubles(conn, log.log_no)
        ]
        return LogReport(
            log.origin,
            log.log_id,
            row["status"],
            row["code"],
            row["detail"],
            row["accepted_size"],
            row["sealed_size"],
            anchored,
            row["proved_size"],
            row["batches"],
            row["anchored_at"],
            row["block_number"],
            None if waiting is None else max(0, now - waiting[0]),
            waiting is not None and waiting[1] < now,
            row["closed_size"],
            tuple(troubles),
            tuple(
                {
                    "authority": one.authority,
                    "algorithm": ALGORITHMS[one.algorithm].name,
                    "size": one.size,
                    "genTime": one.gen_time,
                    "renewBefore": one.renew_before,
                }
                for one in await sources(conn, log.log_no)
            ),
            tuple(
                {
                    "witness": one.name,
                    "algorithm": ALGORITHMS[one.algorithm].name,
                    "size": one.size,
                    "time": one.time,
                }
                for one in await states(conn, log.log_no)
            ),
        )

    async def _refresh(self, conn: AnyConnection) -> None:
        self._logs = {log.log_no: log for log in await load_logs(conn)}

    async def _log(self, conn: AnyConnection, log_no: int) -> LogContext:
        if log_no not in self._logs:
            await self._refresh(conn)
        return self._logs[log_no]

    async def _maker(self, conn: AnyConnection, log_no: int) -> ReceiptMaker:
        maker = self._makers.get(log_no)
        if maker is None:
            maker = self._makers[log_no] = ReceiptMaker(
                await self._log(conn, log_no), self._vault, clock=self._clock
            )
        return maker

    async def _visible(
        self, conn: AnyConnection, ids: Sequence[bytes], viewer: Viewer, case_id: bytes | None
    ) -> dict[bytes, asyncpg.Record]:
        """By full id: the index holds only eight bytes of it.

        The same leaf may stand in a closed log and in its successor; then the one that counts is meant.
        """
        wanted = set(ids)
        found: dict[bytes, asyncpg.Record] = {}
        for row in await repository.by_ids(conn, ids, viewer, case_id):
            identity = evidence_id(row["leaf"])
            if identity in wanted and (identity not in found or _is_beyond(found[identity])):
                found[identity] = row
        return found

    async def _views(
        self, conn: AnyConnection, rows: Sequence[asyncpg.Record], viewer: Viewer, case_id: bytes | None
    ) -> Sequence[EvidenceView]:
        ids = [evidence_id(row["leaf"]) for row in rows]
        submitters = {identity: row["leaf"][4:8] for identity, row in zip(ids, rows, strict=True)}
        superseded: dict[bytes, list[bytes]] = {}
        disputed: dict[bytes, list[bytes]] = {}
        for one in await repository.pointing_at(conn, ids, viewer, case_id) if ids else ():
            target, by = one["target"], evidence_id(one["leaf"])
            if one["relation"] == Relation.DISPUTES:
                disputed.setdefault(target, []).append(by)
            elif one["leaf"][4:8] == submitters[target]:
                superseded.setdefault(target, []).append(by)
        moved = await repository.continued(conn, [_place(row) for row in rows if _is_beyond(row)])
        now = self._clock()
        return [
            await self._view(
                conn,
                identity,
                row,
                tuple(superseded.get(identity, ())),
                tuple(disputed.get(identity, ())),
                moved.get(_place(row)),
                now,
            )
            for identity, row in zip(ids, rows, strict=True)
        ]

    async def _view(
        self,
        conn: AnyConnection,
        identity: bytes,
        row: asyncpg.Record,
        superseded: tuple[bytes, ...],
        disputed: tuple[bytes, ...],
        moved: tuple[int, int, bytes] | None,
        now: int,
    ) -> EvidenceView:
        leaf: bytes = row["leaf"]
        head = parse_leaf(leaf).header
        state = EvidenceState.ACCEPTED
        if row["anchored_at"] is not None:
            state = EvidenceState.ANCHORED
        elif row["number"] is not None:
            state = EvidenceState.SEALED
        beyond = _is_beyond(row)
        late = state is not EvidenceState.ANCHORED and row["deadline"] < now and not moved
        truths = (
            (Flag.SUPERSEDED, bool(superseded)),
            (Flag.DISPUTED, bool(disputed)),
            (Flag.ERASED, row["body"] is None),
            (Flag.OVERDUE, late),
            (Flag.CONTINUED, moved is not None),
            (Flag.LOST, beyond and moved is None),
        )
        body = self._body(leaf, row["body"], head.evidence_class)
        log = await self._log(conn, row["log_no"])
        return EvidenceView(
            evidence_id=identity,
            log=log.origin,
            log_no=log.log_no,
            index=row["leaf_index"],
            submitter=head.submitter,
            sequence=head.sequence,
            evidence_class=head.evidence_class,
            privileged=head.privileged,
            case=head.case_commitment,
            state=state,
            flags=tuple(flag for flag, true in truths if true),
            accepted_at=row["accepted_at"],
            deadline=row["deadline"],
            batch=row["number"],
            anchored_at=row["anchored_at"],
            block=row["block_number"],
            receipt_ready=not beyond and _is_proved(row),
            superseded_by=superseded,
            disputed_by=disputed,
            continued_as=evidence_id(moved[2]) if moved else None,
            links=tuple((link.relation, link.evidence_id) for link in body.links) if body else (),
            content_sha256=body.content_sha256 if body else None,
            content_size=body.content_size if body else None,
            media_type=body.media_type if body else None,
        )

    def _body(self, leaf: bytes, sealed: bytes | None, kind: EntryClass) -> Body | None:
        if sealed is None:
            return None
        body = parse_body(open_body(self._vault, leaf, sealed), kind)
        return body if isinstance(body, Body) else None


def _is_beyond(row: asyncpg.Record) -> bool:
    """Whether the log was closed before this leaf, or with an anchor of it that this database has lost."""
    beyond = row["leaf_index"] >= (row["closed_size"] or 0)
    return bool(row["status"] == "closed" and (beyond or row["anchored_at"] is None))


def _is_proved(row: asyncpg.Record) -> bool:
    return row["proved_at"] is not None and bool(row["key_proved"])


def _place(row: asyncpg.Record) -> tuple[int, int]:
    return row["log_no"], row["leaf_index"]


def _parse_cursor(text: str) -> tuple[int, int]:
    log_no, dot, index = text.partition(".")
    if not dot or not log_no.isdigit() or not index.isdigit() or len(log_no) > 9 or len(index) > 18:
        raise MalformedInput("not a cursor of this list", field="cursor")
    return int(log_no), int(index)


class _connection:
    """A pooled connection whose failures come out as DatabaseUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> AnyConnection:
        try:
            self._conn = await self._pool.acquire()
        except TRANSIENT as error:
            raise unavailable(error) from error
        return self._conn

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._pool.release(self._conn)
        if isinstance(error, TRANSIENT):
            raise unavailable(error) from error
