"""The case room of a gateway: what endpoints about cases are handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cases.acting import CaseActs
from protocol.errors import CaseledgerError


class CasesNotOpen(CaseledgerError):
    """This gateway's ledger has no case contracts."""

    http_status: ClassVar[int] = 404
    title: ClassVar[str] = "no cases here"


@dataclass(frozen=True)
class Cases:
    """Services of the room."""

    acts: CaseActs
