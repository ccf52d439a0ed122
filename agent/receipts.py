"""Fetches receipts, verifies each offline before it is kept, saves `<name>.clr`.

A receipt that does not verify is never saved as one. A promise whose deadline has passed without the leaf in
the log is proof of fault: it is kept, and the entries go to another gateway.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.client import GatewayClient, ReceiptItem
from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable
from agent.hashing import RECEIPT_SUFFIX
from agent.journal import Entry, Journal, State
from agent.sm2_envelope import Sm2Envelopes
from verifier.content import ContentDigests
from verifier.verdict import Result, Status
from verifier.verify import verify_receipt

BULK = 500
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
UNPROVABLE = frozenset({"NotInClosedLog", "EvidenceNotFound"})
"""What a gateway says of an entry of a closed log when it has no proof that the log holds it."""
GOOD_RESULTS = frozenset({Result.VALID.value, Result.VALID_REDUCED_TRUST.value})


@dataclass(frozen=True)
class Received:
    """A saved receipt."""

    entry: Entry
    path: Path
    result: str


@dataclass
class Collection:
    """What a wait brought."""

    received: list[Received] = field(default_factory=list)
    invalid: list[tuple[Entry, str]] = field(default_factory=list)
    """Entries whose receipt did not verify, and the code of the first failed verdict."""
    pending: int = 0
    broken: int = 0
    """Submissions whose promise was not kept."""


class ReceiptCollector:
    """Collects the receipts of one organisation's entries."""

    def __init__(
        self,
        journal: Journal,
        gateways: Sequence[GatewayClient],
        trust: bytes,
        organisation: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        on_received: Callable[[int], None] = lambda count: None,
        envelopes: Sm2Envelopes | None = None,
    ) -> None:
        """`envelopes` add the organisation's SM2 signature before a receipt is saved."""
        self._journal = journal
        self._gateways = list(gateways)
        self._trust = trust
        self._organisation = organisation
        self._clock = clock
        self._sleep = sleep
        self._on_received = on_received
        self._envelopes = envelopes
        self._seen: set[int] = set()

    def wait(self, entries: Sequence[int] | None, *, folder: Path | None, seconds: float) -> Collection:
        """Collects until all are there or the time is over; None means every accepted entry.

        Receipts go beside their files, or into `folder`. What is missing at the end is counted as pending.
        """
        done = Collection()
        give_up = self._clock() + seconds
        pause = FIRST_PAUSE
        while True:
            waiting = self._waiting(entries)
            before = len(done.received)
            unreachable = self._round(waiting, folder, done)
            done.pending = len(self._waiting(entries))
            if not done.pending:
                return done
            if self._clock() >= give_up:
                if unreachable is not None and not done.received:
                    raise unreachable
                return done
            pause = FIRST_PAUSE if len(done.received) > before else min(pause * 1.5, LONGEST_PAUSE)
            self._sleep(min(pause, max(0.0, give_up - self._clock())))

    def settle(self, closed: Mapping[bytes, int], *, folder: Path | None) -> int:
        """Asks once for the receipts of closed logs (log id to closed size) that are still missing; gives
        back, for the successor log, every entry that all gateways answered for and none can prove. How many.

        A database that was restored from a backup has lost leaves that its log holds: they will never get a
        receipt from there.
        """
        back = 0
        for identifier in closed:
            waiting = [e for e in self._waiting(None) if self._log_of(e) == identifier]
            for at in range(0, len(waiting), BULK):
                part = waiting[at : at + BULK]
                unproved = {entry.id for entry in part}
                for gateway in self._gateways:
                    try:
                        items = gateway.receipts([(entry.evidence_id or b"").hex() for entry in part])
                    except (GatewayUnreachable, GatewayRefused, GatewayAnswerInvalid):
                        unproved.clear()
                        continue
                    self._keep(part, items, folder, Collection())
                    for entry, item in zip(part, items, strict=True):
                        if item.code not in UNPROVABLE:
                            unproved.discard(entry.id)
                if self._gateways and unproved:
                    back += self._journal.give_back(self._organisation, identifier, sorted(unproved))
        return back

    def _log_of(self, entry: Entry) -> bytes | None:
        return None if entry.submission is None else self._journal.submission(entry.submission).log_id

    def _waiting(self, entries: Sequence[int] | None) -> list[Entry]:
        accepted = self._journal.entries(self._organisation, states=[State.ACCEPTED])
        wanted = None if entries is None else set(entries)
        return [e for e in accepted if (wanted is None or e.id in wanted) and e.id not in self._seen]

    def _round(
        self, waiting: Sequence[Entry], folder: Path | None, done: Collection
    ) -> GatewayUnreachable | GatewayRefused | GatewayAnswerInvalid | None:
        """Asks once for everything that is missing; the last fault if a gateway failed."""
        fault: GatewayUnreachable | GatewayRefused | GatewayAnswerInvalid | None = None
        for at in range(0, len(waiting), BULK):
            part = waiting[at : at + BULK]
            try:
                answered = self._ask(part)
            except (GatewayUnreachable, GatewayAnswerInvalid) as error:
                fault = error
                break
            except GatewayRefused as error:
                if not error.temporary:
                    raise
                fault = error
                break
            self._keep(part, answered, folder, done)
            if all(item is None or item.receipt is None for item in answered):
                # Receipts come in the order of the log: what follows is not there yet either.
                break
        self._check_promises(waiting, done)
        return fault

    def _ask(self, entries: Sequence[Entry]) -> list[ReceiptItem | None]:
        """Each entry's item from the gateway that accepted it, or from any other that has it."""
        answers: list[ReceiptItem | None] = [None] * len(entries)
        fault: GatewayUnreachable | GatewayRefused | GatewayAnswerInvalid | None = None
        answered = False
        for gateway in self._gateways:
            missing = [at for at, item in enumerate(answers) if item is None or item.receipt is None]
            if not missing:
                break
            try:
                items = gateway.receipts([(entries[at].evidence_id or b"").hex() for at in missing])
            except (GatewayUnreachable, GatewayRefused, GatewayAnswerInvalid) as error:
                fault = error
                continue
            answered = True
            for at, item in zip(missing, items, strict=True):
                answers[at] = item
        if not answered and fault is not None:
            raise fault
        return answers

    def _keep(
        self,
        entries: Sequence[Entry],
        items: Sequence[ReceiptItem | None],
        folder: Path | None,
        done: Collection,
    ) -> None:
        noted: list[tuple[int, str, str]] = []
        for entry, item in zip(entries, items, strict=True):
            if item is None or item.receipt is None:
                continue
            result, code = self.verify(entry, item.receipt)
            if result not in GOOD_RESULTS:
                self._seen.add(entry.id)
                done.invalid.append((entry, code or result))
                continue
            data = item.receipt if self._envelopes is None else self._envelopes.add(entry, item.receipt)
            path = save_receipt(entry, data, folder)
            noted.append((entry.id, str(path), result))
            done.received.append(Received(entry, path, result))
        if noted:
            self._journal.receive(noted)
            self._on_received(len(noted))

    def verify(self, entry: Entry, receipt: bytes) -> tuple[str, str | None]:
        """Result and first failing code of the offline verification against our own digests and case."""
        report = verify_receipt(
            receipt,
            self._trust,
            content=ContentDigests(entry.size, entry.content_sha256, entry.content_sm3),
            at=int(self._clock()),
            case_id=entry.case_id,
        )
        bad = (Status.FAIL, Status.INDETERMINATE)
        code = next((verdict.code for verdict in report.verdicts if verdict.status in bad), None)
        return report.result.value, code

    def _check_promises(self, waiting: Sequence[Entry], done: Collection) -> None:
        """Gives back the entries of every submission past its deadline, if there is another gateway."""
        received = {item.entry.id for item in done.received}
        late = {e.submission for e in waiting if e.submission is not None and e.id not in received}
        for number in sorted(late):
            stored = self._journal.submission(number)
            if stored.deadline is None or stored.deadline >= self._clock():
                continue
            if self._in_log(self._journal.entries_of(number)):
                continue
            done.broken += 1
            if any(gateway.url != stored.gateway for gateway in self._gateways):
                self._journal.release(number, "PromiseBroken")

    def _in_log(self, entries: Sequence[Entry]) -> bool:
        """Whether a gateway shows the last leaf of the submission as sealed or anchored."""
        evidence_id = (entries[-1].evidence_id or b"").hex()
        for gateway in self._gateways:
            with contextlib.suppress(GatewayUnreachable, GatewayRefused, GatewayAnswerInvalid):
                if gateway.evidence(evidence_id).get("state") not in (None, "ACCEPTED"):
                    return True
        return False


def receipt_names(entry: Entry, folder: Path | None) -> Iterator[Path]:
    """Where a receipt may go: `<name>.clr`, and with the evidence id where that name is another's."""
    file = Path(entry.path)
    base = (folder or file.parent) / file.name
    yield base.with_name(base.name + RECEIPT_SUFFIX)
    yield base.with_name(f"{base.name}.{(entry.evidence_id or b'').hex()[:16]}{RECEIPT_SUFFIX}")


def save_receipt(entry: Entry, receipt: bytes, folder: Path | None) -> Path:
    """Writes the receipt whole or not at all; another entry's receipt is never overwritten."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    plain, distinct = receipt_names(entry, folder)
    target = plain
    with contextlib.suppress(FileNotFoundError):
        if plain.read_bytes() != receipt:
            target = distinct
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".caseledger-")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(receipt)
        os.chmod(name, 0o644)
        os.rename(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return target
