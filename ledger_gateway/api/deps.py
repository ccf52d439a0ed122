"""What endpoints are handed: the process's context, and who calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from cases.acting import CaseActs
from evidence.service import Viewer
from ledger_gateway.case_batches import CaseBatches
from ledger_gateway.case_reading import CaseReaders
from ledger_gateway.cases import Cases, CasesNotOpen
from ledger_gateway.context import roles_of
from ledger_gateway.gateway import Gateway
from protocol.errors import MalformedInput
from protocol.identifiers import parse_hex32


async def gateway_of(request: Request) -> Gateway:
    """The context of this process."""
    found: Gateway = request.app.state.gateway
    return found


GatewayDep = Annotated[Gateway, Depends(gateway_of)]


async def viewer(request: Request, gateway: GatewayDep) -> Viewer:
    """The organisation that logged in, within its rate.

    Raises:
        NotAuthenticated and its kin, OrganisationUnknown, TooManyRequests
    """
    header = request.headers.get("authorization")
    organisation = gateway.auth.organisation(None if header is None else header.encode("latin-1"))
    gateway.limiter.take(organisation)
    return Viewer(organisation, roles_of(gateway.base.chain.registry, organisation))


ViewerDep = Annotated[Viewer, Depends(viewer)]


async def case_id(
    x_case_id: Annotated[
        str | None,
        Header(pattern=r"^[0-9a-f]{64}$", description="opens a case's entries to who was told its id"),
    ] = None,
) -> bytes | None:
    """The case id that the caller presents, in a header because URLs end up in logs."""
    return None if x_case_id is None else bytes.fromhex(x_case_id)


CaseDep = Annotated[bytes | None, Depends(case_id)]


def require_cases(gateway: Gateway) -> Cases:
    """The case room.

    Raises:
        CasesNotOpen
    """
    if gateway.cases is None:
        raise CasesNotOpen("this gateway serves no cases", hint="caseledger deploy --cases")
    return gateway.cases


def case_acts_of(gateway: Gateway) -> CaseActs:
    """How cases move here.

    Raises:
        CasesNotOpen
    """
    return require_cases(gateway).acts


def case_batches_of(gateway: Gateway) -> CaseBatches:
    """How cases come here.

    Raises:
        CasesNotOpen
    """
    return require_cases(gateway).batches


async def readers(gateway: GatewayDep) -> CaseReaders:
    """How cases are read here.

    Raises:
        CasesNotOpen
    """
    return require_cases(gateway).readers


ReadersDep = Annotated[CaseReaders, Depends(readers)]


def case_of(text: str) -> bytes:
    """A case id from a path. Raises MalformedInput."""
    return _hex32(text, "caseId")


def batch_of(text: str, field: str = "root") -> bytes:
    """A batch id or root from a path. Raises MalformedInput."""
    return _hex32(text, field)


def evidence_id_of(text: str) -> bytes:
    """An evidence id from a path: 64 lower-case hex digits.

    Raises:
        MalformedInput
    """
    return _hex32(text, "id")


def _hex32(text: str, field: str) -> bytes:
    if text != text.lower() or text.startswith("0x"):
        raise MalformedInput(f"{field}: 64 lower-case hex digits are expected", field=field)
    return parse_hex32(text, field)
