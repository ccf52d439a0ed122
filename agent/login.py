"""Login acts of this organisation, made when needed and kept until shortly before they end."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from protocol.acts import Domain, Login, Signer
from protocol.token import encode_token

LIFETIME = 540
"""Seconds; the protocol allows 600, the rest is for clocks that differ."""
CLOCK_ALLOWANCE = 30
RENEW_BEFORE = 60


class LoginTokens:
    """A `TokenSource`: one token for each audience."""

    def __init__(self, signer: Signer, organisation: int, domain: Domain, clock: Callable[[], float]) -> None:
        self._signer = signer
        self._organisation = organisation
        self._domain = domain
        self._clock = clock
        self._tokens: dict[str, tuple[float, str]] = {}

    def token(self, audience: str) -> str:
        """A token for the gateway at `audience`, valid for at least a minute."""
        now = self._clock()
        held = self._tokens.get(audience)
        if held is not None and held[0] - RENEW_BEFORE > now:
            return held[1]
        issued = int(now) - CLOCK_ALLOWANCE
        login = Login(audience, self._organisation, secrets.token_bytes(32), issued, issued + LIFETIME)
        token = encode_token(login, self._signer.sign_digest(login.digest(self._domain)))
        self._tokens[audience] = (float(login.expires_at), token)
        return token
