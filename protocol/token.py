"""API token: a login act and its signature as text for an HTTP header (docs/spec/http.md).

base64url without padding of the deterministic CBOR
`{0: 1, 1: audience, 2: organisation, 3: nonce, 4: issuedAt, 5: expiresAt, 6: signature}`.
"""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar

from protocol import cbor, expect
from protocol.acts import SIGNATURE_LEN, Login
from protocol.errors import MalformedInput

VERSION = 1
MAX_LIFETIME = 600
"""Seconds between issuedAt and expiresAt; docs/spec/chain-state.md §2."""
MAX_AUDIENCE = 255
MAX_TOKEN = 1024


class MalformedToken(MalformedInput):
    """Text that is no token."""

    http_status: ClassVar[int] = 401
    title: ClassVar[str] = "malformed token"


def encode_token(login: Login, signature: bytes) -> str:
    """The token of a signed login act."""
    data = cbor.encode(
        {
            0: VERSION,
            1: login.audience,
            2: login.organisation,
            3: login.nonce,
            4: login.issued_at,
            5: login.expires_at,
            6: expect.octets(signature, "signature", SIGNATURE_LEN),
        }
    )
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_token(token: str) -> tuple[Login, bytes]:
    """Login act and signature; neither is checked yet.

    Raises:
        MalformedToken
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise MalformedToken("not a token", field="authorization")
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        members = expect.fields(cbor.decode(data, max_bytes=MAX_TOKEN, max_depth=2), "token", range(7))
        expect.version(members[0], VERSION)
        login = Login(
            audience=expect.text(members[1], "audience", MAX_AUDIENCE),
            organisation=expect.uint(members[2], "organisation", expect.UINT32_MAX, minimum=1),
            nonce=expect.octets(members[3], "nonce", 32),
            issued_at=expect.uint(members[4], "issuedAt", expect.UINT40_MAX),
            expires_at=expect.uint(members[5], "expiresAt", expect.UINT40_MAX),
        )
        return login, expect.octets(members[6], "signature", SIGNATURE_LEN)
    except (MalformedInput, binascii.Error, ValueError):
        raise MalformedToken("not a token", field="authorization") from None
