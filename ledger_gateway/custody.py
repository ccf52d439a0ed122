"""The custody log of this gateway: its writer, its readers, and what the operator records of its own acts."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from agent.keys import load_secp256k1
from evidence.custody_sheets import CustodyService, missing
from evidence.errors import CustodyChainMoved
from evidence.headguard import HeadGuard
from evidence.intake import Acceptor, Limits
from evidence.ports import FaultPoints, PromiseSigner
from evidence.service import EvidenceService, Viewer
from ledger_gateway.context import Base, contract_reader, key_file, system_clock
from protocol.acts import Role, Signer
from protocol.custody import CustodyEvent, CustodyKind, Tool
from protocol.entry import FLAG_PRIVILEGED, EvidenceClass, Header, evidence_id, parse_leaf
from protocol.hashing import sha256, sm3
from protocol.submission import EntryBytes, Submission
from verifier.receipt import Receipt

ATTEMPTS = 8
"""How often a lost race for an item's next number is run again."""
VALIDITY = 300
PURPOSE = "经网关交付收据 / receipt handed out by the gateway"
DOCUMENTS = frozenset(EvidenceClass) - {EvidenceClass.LOG_CONTINUATION}
SEES_ALL = Role.REGULATOR.mask
"""The gateway looks at its own books."""


@dataclass(frozen=True)
class HandedOut:
    """A receipt on its way to `receiver` (organisation)."""

    item: bytes
    receipt: bytes
    receiver: int


class Recorder:
    """Signs and writes the operator's own events. What it raises keeps the receipt back."""

    def __init__(self, acceptor: Acceptor, service: CustodyService, key: Signer, organisation: int) -> None:
        """`organisation`: whose key it is; the operator's, or one of its own without a vote."""
        self._acceptor = acceptor
        self._service = service
        self._key = key
        self._organisation = organisation
        try:
            release = version("caseledger")
        except PackageNotFoundError:
            release = "unreleased"
        self._tool = Tool("caseledger-gateway", release)

    async def handed_out(self, given: Sequence[HandedOut]) -> None:
        """Durable when it returns. An export, or where the operator itself reads, an access.

        Raises:
            CustodyChainMoved after many lost races, and the errors of `Acceptor.accept`
        """
        for attempt in range(1, ATTEMPTS + 1):
            now = system_clock()
            submission = Submission.sign(
                log_id=self._acceptor.log.log_id,
                organisation=self._organisation,
                valid_until=now + VALIDITY,
                entries=[await self._event(one, now) for one in given],
                domain=self._acceptor.log.domain,
                key=self._key,
            )
            try:
                await self._acceptor.accept(submission)
                return
            except CustodyChainMoved:
                if attempt == ATTEMPTS:
                    raise

    async def _event(self, one: HandedOut, now: int) -> EntryBytes:
        chain = await self._service.chain(one.item, Viewer(self._organisation, SEES_ALL))
        kind = CustodyKind.ACCESS if one.receiver == self._organisation else CustodyKind.EXPORT
        event = CustodyEvent(
            item=one.item,
            number=chain.count + 1,
            previous=chain.head,
            event_time=now,
            salt=secrets.token_bytes(32),
            purpose=PURPOSE,
            receiver=one.receiver if kind is CustodyKind.EXPORT else None,
            tool=self._tool,
            object=(sha256(one.receipt), sm3(one.receipt)),
        )
        flags = FLAG_PRIVILEGED if chain.item.privileged else 0
        return Header(kind, self._organisation, chain.item.case, 0, flags).pack(), event.encode(kind)


@dataclass(frozen=True)
class Custody:
    """What endpoints need. `recorder`: None while the operator gives the gateway no key."""

    acceptor: Acceptor
    service: CustodyService
    recorder: Recorder | None


@asynccontextmanager
async def open_custody(
    base: Base, signer: PromiseSigner, evidence: EvidenceService, limits: Limits, faults: FaultPoints | None
) -> AsyncIterator[Custody | None]:
    """The custody log's own queue and writer; None where the database knows no such log.

    Raises:
        Errors of key files
    """
    log = base.custody
    if log is None:
        yield None
        return
    settings = base.settings
    service = CustodyService(base.pool, base.vault, evidence, log, signer, clock=system_clock)
    async with Acceptor(
        base.pool,
        log,
        base.chain.registry,
        signer,
        base.vault,
        clock=system_clock,
        limits=limits,
        faults=faults,
        guard=HeadGuard(contract_reader(base.chain)),
    ) as acceptor:
        recorder = None
        if settings.custody_key:
            key = load_secp256k1(key_file(settings, settings.custody_key))
            recorder = Recorder(acceptor, service, key, key.label.organisation or settings.organisation)
        yield Custody(acceptor, service, recorder)


async def record_handed_out(custody: Custody | None, receiver: int, receipts: Sequence[bytes]) -> None:
    """Before receipts of others' documents leave, the operator says so in the custody log, if it has a key.

    Raises:
        The errors of `Recorder.handed_out`
    """
    if custody is None or custody.recorder is None:
        return
    given: dict[bytes, HandedOut] = {}
    for data in receipts:
        leaf = Receipt.parse(data).core.leaf
        header = parse_leaf(leaf).header
        document = header.evidence_class in DOCUMENTS
        if document and header.submitter != receiver:
            item = evidence_id(leaf)
            given[item] = HandedOut(item, data, receiver)
    if given:
        await custody.recorder.handed_out(list(given.values()))


def custody_of(custody: Custody | None) -> Custody:
    """Raises CustodyLogMissing."""
    if custody is None:
        raise missing()
    return custody
