"""The case room of a gateway: what endpoints about cases are handed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

from cases.acting import CaseActs
from cases.batch_intake import BatchIntake, Limits
from cases.batches import Batches
from cases.calendar import shipped
from cases.carrying import ActQueue
from cases.decisions import Decisions
from cases.looks import Looks
from cases.sealed_rows import SealedRows
from cases.statistics_service import CaseStatistics
from chain.case_state import CaseReader
from evidence.errors import OrganisationUnknown
from ledger_gateway.acts import Relay
from ledger_gateway.case_batches import CaseBatches
from ledger_gateway.case_reading import CaseReaders, case_readers
from ledger_gateway.context import Base, roles_of, system_clock
from protocol.errors import CaseledgerError


class CasesNotOpen(CaseledgerError):
    """This gateway's ledger has no case contracts."""

    http_status: ClassVar[int] = 404
    title: ClassVar[str] = "no cases here"


@dataclass(frozen=True)
class Cases:
    """Services of the room."""

    acts: CaseActs
    batches: CaseBatches
    decisions: Decisions
    looks: Looks
    readers: CaseReaders
    statistics: CaseStatistics


@asynccontextmanager
async def open_cases(base: Base, relay: Relay) -> AsyncIterator[Cases | None]:
    """The room of a ledger that has one; what it has to write is written on the way out."""
    contracts = base.cases
    if contracts is None:
        yield None
        return

    def roles(organisation: int) -> int:
        try:
            return roles_of(base.chain.registry, organisation)
        except OrganisationUnknown:
            return 0

    pool, settings, persons, looks = base.pool, base.settings, SealedRows(), Looks(base.pool)
    limits = Limits(settings.max_batch_bytes, settings.batches_at_once)
    folder = settings.run_folder / "batches"
    intake = BatchIntake(pool, persons, base.chain.registry, folder, system_clock, limits)
    reader = CaseReader(base.chain.evm, contracts)
    queue = ActQueue(pool, base.chain.evm, base.chain.outbox, settings.relay_lanes[0], system_clock)
    stop = asyncio.Event()
    writing = asyncio.create_task(looks.run(stop), name="looks")
    try:
        yield Cases(
            CaseActs(pool, reader, queue, roles, shipped(), system_clock),
            CaseBatches(intake, Batches(pool, persons, looks, system_clock), relay, contracts),
            Decisions(pool, looks, system_clock),
            looks,
            case_readers(pool, base.chain, contracts, looks, system_clock),
            CaseStatistics(pool, base.chain.rpc, contracts),
        )
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
