"""The verdict *custody*: who had the item in hand, as signed event by event (docs/spec/custody.md §6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from itertools import pairwise

from protocol import entry
from protocol.custody import (
    Chain,
    CustodyInFuture,
    Statement,
    is_custody_log,
)
from protocol.errors import CaseledgerError, UnknownVersion
from protocol.identifiers import log_id
from verifier import custody_errors as errors
from verifier.custody import Event, Sheet
from verifier.errors import UnknownProofKind
from verifier.receipt import Core
from verifier.trust_payload import TrustedLog, TrustPayload
from verifier.verdict import Facts, Inconclusive, Report, Status, Step, Verdict

CHECKED = ("content", "inclusion", "append-only", "finality", "time", "signer")
"""What an event's receipt is asked for; neutrality is said once, of the item."""
LATE = 3600
"""Seconds that an anchored event may be missing in a statement about the newest anchored size."""
MAX_KNOWN = 64
CLOCK_ALLOWANCE = 300
"""Seconds by which an event's time may be ahead of its block's, whose time is that of the block before."""


@dataclass(frozen=True, slots=True)
class CustodyShown:
    """A sheet, receipts of events that the reader knows of, and the time before which a sheet is too old
    (seconds UTC)."""

    sheet: bytes
    known: tuple[bytes, ...] = ()
    since: int = 0


@dataclass(slots=True)
class Ground:
    """What the step stands on. `verify` verifies a receipt as the item's was, without a file."""

    core: Core
    payload: TrustPayload
    at: int
    ignore_sha256: bool
    verify: Callable[[bytes], Report]


def step_custody(ground: Ground, shown: CustodyShown, found: dict[str, Verdict], facts: Facts) -> None:
    """Run after *inclusion* has passed and the trust file was read."""
    with Step("custody", found) as step:
        if ground.ignore_sha256:
            raise Inconclusive(Status.NOT_CHECKED, "AlgorithmIgnored")
        item_log = ground.payload.log(ground.core.log.origin)
        if item_log is None or item_log.chain_id != ground.core.log.chain_id:
            raise Inconclusive(Status.NOT_CHECKED, "EarlierStepFailed")
        try:
            sheet = Sheet.parse(shown.sheet)
        except (UnknownVersion, UnknownProofKind) as error:
            raise Inconclusive(Status.INDETERMINATE, error.code, error.detail) from None
        log = _statement(ground, sheet, item_log)
        stated = sheet.statement
        step.note("custody.count", stated.count)
        step.note("custody.size", stated.size)
        facts |= {
            "custodyEvents": stated.count,
            "custodyStatedAt": stated.stated_at,
            "custodySize": stated.size,
            "custodyLog": log.origin,
        }
        chain = _chain(ground.core, sheet)
        last = sheet.events[-1] if sheet.events else None
        facts |= {
            "custodyLast": last.identity.hex() if last else None,
            "custodyLastClass": int(last.kind) if last else None,
            "custodyLastTime": last.body.event_time if last and last.body else None,
            "custodyHolder": chain.holder,
            "custodyPending": chain.pending,
        }
        if last:
            step.note("custody.head", last.hash)
        lines = _lines(ground.payload, log)
        weak = [
            weak for at, one in enumerate(sheet.events, 1) if (weak := _event(ground, stated, lines, at, one))
        ]
        newer = _known(ground, stated, lines, sheet, shown.known)
        for status in (Status.INDETERMINATE, Status.REDUCED):
            for verdict in weak:
                if verdict.status is status:
                    raise Inconclusive(status, verdict.code, verdict.detail)
        _unlinked(sheet.events)
        if newer or stated.stated_at < shown.since:
            detail = newer or f"stated at {stated.stated_at}, asked for {shown.since}"
            raise Inconclusive(Status.REDUCED, "CustodyOutdated", detail)
        withheld = [str(at) for at, one in enumerate(sheet.events, 1) if one.body is None]
        step.code = "CustodyContinuous" if sheet.events else "CustodyNoEvents"
        if withheld:
            step.code, step.detail = "CustodyBodiesWithheld", ", ".join(withheld)


def _statement(ground: Ground, sheet: Sheet, item_log: TrustedLog) -> TrustedLog:
    """Points 2 to 4; the custody log."""
    stated = sheet.statement
    if stated.item != entry.evidence_id(ground.core.leaf):
        raise errors.CustodyOtherItem(stated.item.hex(), field="item")
    log = next((one for one in ground.payload.logs if log_id(one.origin) == stated.log_id), None)
    if (
        log is None
        or not is_custody_log(log.origin)
        or (log.chain_id, log.operator) != (item_log.chain_id, item_log.operator)
    ):
        raise errors.CustodyLogNotTrusted(log.origin if log else stated.log_id.hex(), field="logId")
    stated.verify(sheet.signature, log.log_key)
    if stated.stated_at > ground.at:
        raise CustodyInFuture(f"stated at {stated.stated_at}, evaluated at {ground.at}", field="statedAt")
    return log


def _chain(core: Core, sheet: Sheet) -> Chain:
    """Points 5 to 9: what the events say of one another, whoever anchored them."""
    item, stated, events = sheet.statement.item, sheet.statement, sheet.events
    head = entry.parse_leaf(core.leaf).header
    for at, event in enumerate(events, 1):
        same = (event.header.case_commitment, event.header.flags) == (head.case_commitment, head.flags)
        if not same or (event.body is not None and event.body.item != item):
            raise errors.CustodyOtherItem("", field=f"event {at}")
    numbers = [at if event.body is None else event.body.number for at, event in enumerate(events, 1)]
    wrong = next((at for at, number in enumerate(numbers, 1) if number != at), None)
    if wrong is not None:
        what, place = f"it has number {numbers[wrong - 1]}", f"event {wrong}"
        if sorted(numbers) == list(range(1, len(numbers) + 1)):
            raise errors.CustodyReordered(what, field=place)
        raise errors.CustodyGap(what, field=place)
    previous: bytes | None = None
    for at, event in enumerate(events, 1):
        if event.body is not None and event.body.previous != previous:
            raise errors.CustodyChanged("the next one continues another", field=f"event {at - 1}")
        previous = event.hash
    if stated.count != len(events):
        raise errors.CustodyCountMismatch(f"{len(events)} shown, {stated.count} stated", field="count")
    if stated.head != previous:
        raise errors.CustodyHeadMismatch("", field="head")
    chain = Chain.start(item, head.submitter)
    for at, event in enumerate(events, 1):
        try:
            chain = chain.after(event.kind, event.header.submitter, event.body, event.hash)
        except CaseledgerError as error:
            error.field = f"event {at}"
            raise
    return chain


def _lines(payload: TrustPayload, log: TrustedLog) -> frozenset[str]:
    """Origins of the statement's log and of the custody logs that it continues."""
    found = {log.origin}
    while True:
        more = {
            one.origin
            for one in payload.logs
            if one.successor in found and is_custody_log(one.origin) and one.origin not in found
        }
        if not more:
            return frozenset(found)
        found |= more


def _event(ground: Ground, stated: Statement, lines: frozenset[str], at: int, event: Event) -> Verdict | None:
    """Point 10; what is open or reduced about the event, the first of its kind that counts more."""
    place, core = f"event {at}", event.receipt.core
    if core.log.origin not in lines:
        raise errors.CustodyLogNotTrusted(core.log.origin, field=place)
    report = ground.verify(event.data)
    verdicts = [report.verdict(name) for name in CHECKED]
    for verdict in verdicts:
        if verdict.status is Status.FAIL:
            raise _Refused(verdict, place)
    if event.body is not None and event.body.event_time > core.link.time + CLOCK_ALLOWANCE:
        raise errors.CustodyAfterAnchor(f"{event.body.event_time} > {core.link.time}", field=place)
    if core.log.log_id == stated.log_id:
        if core.inclusion.index >= stated.size:
            raise errors.CustodyBeyondCheckpoint(f"{core.inclusion.index} of {stated.size}", field=place)
        roots = (core.link.root_sha256, core.link.root_sm3)
        if core.link.size == stated.size and not all(
            map(compare_digest, roots, (stated.root_sha256, stated.root_sm3))
        ):
            raise errors.CustodyCheckpointMismatch(f"at {stated.size} leaves", field=place)
    for status in (Status.INDETERMINATE, Status.REDUCED):
        for verdict in verdicts:
            if verdict.status is status:
                return Verdict(verdict.name, status, verdict.code, f"{place}: {verdict.name}")
    return None


class _Refused(CaseledgerError):
    """Carries the code of the verdict on an event's receipt."""

    def __init__(self, verdict: Verdict, place: str) -> None:
        super().__init__(f"{verdict.name}: {verdict.detail}", field=place)
        self._code = verdict.code

    @property
    def code(self) -> str:
        return self._code


def _known(
    ground: Ground, stated: Statement, lines: frozenset[str], sheet: Sheet, known: Sequence[bytes]
) -> str:
    """Point 11; which known event is newer than the statement, empty when none is."""
    shown = {event.hash for event in sheet.events}
    newer = ""
    for at, data in enumerate(known, 1):
        place = f"known event {at}"
        event = _known_event(ground, stated, data, place)
        if event.hash in shown:
            continue
        core = event.receipt.core
        inside = core.inclusion.index < stated.size if core.log.log_id == stated.log_id else True
        if core.log.origin in lines and (inside or core.link.time + LATE <= stated.stated_at):
            raise errors.CustodyEventWithheld(event.identity.hex(), field=place)
        newer = newer or place
    return newer


def _known_event(ground: Ground, stated: Statement, data: bytes, place: str) -> Event:
    try:
        event = Event.parse(data)
    except CaseledgerError as error:
        raise Inconclusive(
            Status.INDETERMINATE, "CustodyKnownEventInvalid", f"{place}: {error.code}"
        ) from None
    report = ground.verify(data)
    bad = next((one for one in map(report.verdict, CHECKED) if one.status is Status.FAIL), None)
    if event.body is None or event.body.item != stated.item or bad is not None:
        why = bad.code if bad else "it names another item, or none"
        raise Inconclusive(Status.INDETERMINATE, "CustodyKnownEventInvalid", f"{place}: {why}")
    return event


def _unlinked(events: Sequence[Event]) -> None:
    for at, (one, two) in enumerate(pairwise(events), 1):
        if one.body is None and two.body is None:
            raise Inconclusive(Status.REDUCED, "CustodyUnlinked", f"event {at}")
