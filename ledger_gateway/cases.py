"""The case room of a gateway: what endpoints about cases are handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cases.acting import CaseActs
from cases.calendar import shipped
from chain.case_state import CaseReader
from evidence.errors import OrganisationUnknown
from ledger_gateway.acts import Relay
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


def open_cases(base: Base, relay: Relay) -> Cases | None:
    """The room of a ledger that has one."""
    if base.cases is None:
        return None

    def roles(organisation: int) -> int:
        try:
            return roles_of(base.chain.registry, organisation)
        except OrganisationUnknown:
            return 0

    reader = CaseReader(base.chain.evm, base.cases)
    return Cases(CaseActs(base.pool, reader, relay, roles, shipped(), system_clock))
