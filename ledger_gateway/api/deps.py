"""What endpoints are handed: the process's context, and who calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from evidence.service import Viewer
from ledger_gateway.gateway import Gateway
from protocol.errors import MalformedInput
from protocol.identifiers import parse_hex32


def gateway_of(request: Request) -> Gateway:
    """The context of this process."""
    found: Gateway = request.app.state.gateway
    return found


GatewayDep = Annotated[Gateway, Depends(gateway_of)]


def viewer(request: Request, gateway: GatewayDep) -> Viewer:
    """The organisation that logged in, within its rate.

    Raises:
        NotAuthenticated and its kin, OrganisationUnknown, TooManyRequests
    """
    header = request.headers.get("authorization")
    organisation = gateway.auth.organisation(None if header is None else header.encode("latin-1"))
    gateway.limiter.take(organisation)
    return Viewer(organisation, gateway.registry.roles(organisation))


ViewerDep = Annotated[Viewer, Depends(viewer)]


def evidence_id_of(text: str) -> bytes:
    """An evidence id from a path: 64 lower-case hex digits.

    Raises:
        MalformedInput
    """
    if text != text.lower() or text.startswith("0x"):
        raise MalformedInput("id: 64 lower-case hex digits are expected", field="id")
    return parse_hex32(text, "id")
