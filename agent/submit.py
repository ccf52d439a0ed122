"""Sends what the journal holds: builds submissions, signs them, delivers them until they are accepted.

What can go wrong, and what happens:

* killed at any point: the next run sends the same signed bytes again and gets the same answer;
* gateway busy or down (429, 503, no answer), from the first contact on: again with growing pauses, honouring
  Retry-After;
* gateway drops us (no answer within `patience`, or a promise that does not hold): the entries go to the next
  gateway, whose log is another one; the leaf itself does not change. Without a next one the run stops;
* the log was closed by governance before it held a promised leaf: the accepted trust file says so, and the
  entries go into the successor log;
* refused for its content (4xx): the entries keep the code and are not sent again by themselves;
* refused for the key (401, 403): the submission stays signed and the run stops, because all others would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.client import GatewayClient
from agent.errors import GatewayAnswerInvalid, GatewayRefused, GatewayUnreachable, LogNotTrusted
from agent.journal import Entry, Journal, Placement, State, StoredSubmission
from agent.patience import GatewayFault, Patience, temporary
from protocol import entry as leaves
from protocol.acts import BadSignature, Domain, Signer
from protocol.custody import is_custody_log
from protocol.errors import MalformedInput
from protocol.submission import Acceptance, Promise, PromiseMismatch, Submission, check_acceptance

MAX_ENTRIES = 1000
MAX_BYTES = 4 * 1024 * 1024
ENTRY_OVERHEAD = 64
VALIDITY = 900
"""Seconds a signature over a submission lasts; renewed over the same root when it has ended."""
RENEW_BEFORE = 60
KEY_REFUSALS = (401, 403)
EXPIRED_CODE = "ActExpired"


@dataclass(frozen=True)
class TrustedLog:
    """A log as the trust file names it: what acts are bound to, and the key of its promises."""

    log_id: bytes
    origin: str
    domain: Domain
    public_key: bytes


@dataclass
class Delivery:
    """What a run did."""

    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    moved: int = 0
    """Entries given back by a gateway that dropped them."""
    carried: int = 0
    """Entries that a closed log does not hold, for its successor."""
    gateways: list[str] = field(default_factory=list)
    """Addresses that took entries, in order of first use."""


class Submitter:
    """Delivers the entries of one organisation through the given gateways, in order of preference."""

    def __init__(
        self,
        journal: Journal,
        gateways: Sequence[GatewayClient],
        trusted: Mapping[bytes, TrustedLog],
        signer: Signer,
        organisation: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        closed: Mapping[bytes, int] | None = None,
        patience: float = 60.0,
        on_accepted: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`closed`: log id to closed size, as the trust file names them."""
        self._journal = journal
        self._gateways = list(gateways)
        self._trusted = trusted
        self._signer = signer
        self._organisation = organisation
        self._clock = clock
        self._sleep = sleep
        self._closed = dict(closed or {})
        self._patience = patience
        self._on_accepted = on_accepted
        self._logs: dict[str, bytes] = {}
        self._dropped: set[str] = set()
        self._faults: dict[str, GatewayFault] = {}
        """Why a gateway was dropped at first contact."""

    def run(self) -> Delivery:
        """Delivers everything that is NEW or SIGNED, or beyond the end of a closed log.

        Raises:
            GatewayUnreachable: no gateway left; all is in the journal.
            GatewayRefused: the key is refused.
        """
        done = Delivery()
        for identifier, size in self._closed.items():
            done.carried += self._journal.carry_over(self._organisation, identifier, size)
        while True:
            signed = self._journal.submissions([State.SIGNED], self._organisation)
            for submission in signed:
                self._deliver(submission, done)
            if signed:
                continue
            fresh = self._journal.entries(self._organisation, states=[State.NEW], limit=MAX_ENTRIES)
            if not fresh:
                return done
            self._open(_fitting(fresh))

    def _open(self, entries: Sequence[Entry]) -> None:
        """Signs and journals a submission for the first gateway that takes our leaves."""
        gateway, log = self._reached()
        submission = self._sign(log, entries)
        self._journal.open_submission(
            entries,
            log_id=log.log_id,
            root=submission.root(),
            valid_until=submission.valid_until,
            signature=submission.signature,
            gateway=gateway.url,
        )

    def _sign(self, log: TrustedLog, entries: Sequence[Entry]) -> Submission:
        return Submission.sign(
            log_id=log.log_id,
            organisation=self._organisation,
            valid_until=int(self._clock()) + VALIDITY,
            entries=[(entry.header, entry.body) for entry in entries],
            domain=log.domain,
            key=self._signer,
        )

    def _reached(self) -> tuple[GatewayClient, TrustedLog]:
        """The same, waiting as long as the only gateways left are down or busy."""
        patience = Patience(self._patience, self._clock, self._sleep)
        while True:
            before = set(self._dropped)
            try:
                return self._target()
            except (GatewayUnreachable, GatewayRefused, LogNotTrusted, GatewayAnswerInvalid):
                away = {url: error for url, error in self._faults.items() if temporary(error)}
                if not away.keys() - before or patience.over:
                    raise
                # Those that may come back are asked again.
                self._dropped -= away.keys() - before
                patience.pause(next(iter(away.values())))

    def _target(self) -> tuple[GatewayClient, TrustedLog]:
        """The first gateway, not given up in this run, that operates a log of the trust file."""
        last: GatewayFault | None = None
        for gateway in self._gateways:
            if gateway.url in self._dropped:
                continue
            try:
                return gateway, self._log_of(gateway)
            except (GatewayUnreachable, GatewayRefused, LogNotTrusted, GatewayAnswerInvalid) as error:
                last = self._faults[gateway.url] = error
                self._dropped.add(gateway.url)
        raise last or GatewayUnreachable(
            "every gateway was tried and dropped the submission",
            field="gateway",
            hint="name another member's gateway with --gateway; the journal holds all",
        )

    def _log_of(self, gateway: GatewayClient) -> TrustedLog:
        known = self._logs.get(gateway.url)
        if known is None:
            for offered in gateway.logs():
                if not (offered.operated and offered.status == "open"):
                    continue
                trusted = self._trusted.get(offered.log_id)
                if trusted is not None and not is_custody_log(trusted.origin):
                    known = self._logs[gateway.url] = offered.log_id
                    break
            else:
                raise LogNotTrusted(
                    "the gateway accepts for no log that the trust file names",
                    field="gateway",
                    hint="accept the current trust file, or use another gateway",
                )
        return self._trusted[known]

    def _deliver(self, stored: StoredSubmission, done: Delivery) -> None:
        log = self._trusted.get(stored.log_id)
        entries = self._journal.entries_of(stored.id)
        gateway = self._gateway_for(stored)
        if log is None or gateway is None:
            done.moved += self._journal.release(stored.id, "GatewayUnreachable")
            return
        patience = Patience(self._patience, self._clock, self._sleep)
        while True:
            submission = self._current(stored, log, entries)
            try:
                answer = gateway.submit(stored.log_id, submission.encode())
                self._accept(stored, submission, answer, log, done, gateway.url)
                return
            except GatewayRefused as error:
                if error.code == EXPIRED_CODE:
                    stored = self._resigned(stored, log, entries)
                elif error.status in KEY_REFUSALS:
                    raise
                elif not error.temporary:
                    self._journal.refuse(stored.id, error.code)
                    done.refused[error.code] = done.refused.get(error.code, 0) + len(entries)
                    return
                fault: GatewayRefused | GatewayUnreachable | GatewayAnswerInvalid = error
            except (GatewayUnreachable, GatewayAnswerInvalid) as error:
                fault = error
            if patience.over or isinstance(fault, GatewayAnswerInvalid):
                self._move(stored, gateway, fault, done)
                return
            patience.pause(fault)

    def _move(
        self,
        stored: StoredSubmission,
        gateway: GatewayClient,
        fault: GatewayRefused | GatewayUnreachable | GatewayAnswerInvalid,
        done: Delivery,
    ) -> None:
        """Gives a dropped submission's entries to the next gateway.

        Without another one the submission stays as it is: sent again later, a gateway that took it
        unseen answers with the same promise instead of calling the entries duplicates.
        """
        self._dropped.add(gateway.url)
        try:
            _, other = self._target()
        except (GatewayUnreachable, GatewayRefused, LogNotTrusted, GatewayAnswerInvalid):
            raise fault from None
        if other.log_id != stored.log_id:
            done.moved += self._journal.release(stored.id, fault.code)

    def _gateway_for(self, stored: StoredSubmission) -> GatewayClient | None:
        """The gateway that the submission was made for; any other that operates the same log."""
        usable = [gateway for gateway in self._gateways if gateway.url not in self._dropped]
        for gateway in usable:
            if gateway.url == stored.gateway:
                return gateway
        for gateway in usable:
            try:
                if self._log_of(gateway).log_id == stored.log_id:
                    return gateway
            except (GatewayUnreachable, GatewayRefused, LogNotTrusted, GatewayAnswerInvalid):
                continue
        return None

    def _current(self, stored: StoredSubmission, log: TrustedLog, entries: Sequence[Entry]) -> Submission:
        if stored.valid_until <= self._clock() + RENEW_BEFORE:
            stored = self._resigned(stored, log, entries)
        return Submission(
            stored.log_id,
            stored.organisation,
            stored.valid_until,
            stored.signature,
            tuple((entry.header, entry.body) for entry in entries),
        )

    def _resigned(
        self, stored: StoredSubmission, log: TrustedLog, entries: Sequence[Entry]
    ) -> StoredSubmission:
        fresh = self._sign(log, entries)
        self._journal.resign(stored.id, valid_until=fresh.valid_until, signature=fresh.signature)
        return self._journal.submission(stored.id)

    def _accept(
        self,
        stored: StoredSubmission,
        submission: Submission,
        answer: bytes,
        log: TrustedLog,
        done: Delivery,
        url: str,
    ) -> None:
        try:
            acceptance = Acceptance.parse(answer)
            sequenced = check_acceptance(submission, acceptance, log.public_key)
        except (MalformedInput, PromiseMismatch, BadSignature) as error:
            raise GatewayAnswerInvalid(
                f"the promise does not hold: {error.detail}", field=error.field
            ) from None
        self._journal.accept(
            stored.id,
            acceptance=answer,
            deadline=Promise.parse(acceptance.promise).deadline,
            placements=[
                Placement(
                    acceptance.first_sequence + at, acceptance.first_index + at, leaves.evidence_id(leaf)
                )
                for at, leaf in enumerate(sequenced)
            ],
        )
        done.accepted += len(sequenced)
        if url not in done.gateways:
            done.gateways.append(url)
        self._on_accepted(len(sequenced))


def _fitting(entries: Sequence[Entry]) -> list[Entry]:
    """The longest head of `entries` that one submission takes."""
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.header) + len(entry.body) + ENTRY_OVERHEAD
        if taken and (size > MAX_BYTES or len(taken) == MAX_ENTRIES):
            break
        taken.append(entry)
    return taken
