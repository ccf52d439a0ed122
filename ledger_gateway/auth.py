"""Who reads: an EIP-712 login act as bearer token, checked against the registry at every use.

Nothing is stored: a token is its own session. A verified signature is remembered until the token ends; the
key behind it is looked up again each time, so that a revoked key stops at the next block.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from ledger_gateway.problems import NotAuthenticated, TokenExpired, WrongAudience
from protocol.acts import Domain, Login, Purpose, recover
from protocol.hashing import sha256
from protocol.keyslot import KeySlot
from protocol.token import MAX_LIFETIME, parse_token

CLOCK_ALLOWANCE = 60
"""Seconds by which a caller's clock may be ahead."""
MAX_REMEMBERED = 10_000
SCHEME = b"bearer "


class KeyLookup(Protocol):
    """The registry's slot of a key as of the last final block, None where there is none."""

    def __call__(self, address: bytes, /) -> KeySlot | None: ...


class Authenticator:
    """Turns an Authorization header into the index of the organisation that logged in."""

    def __init__(self, *, audience: str, domain: Domain, keys: KeyLookup, clock: Callable[[], float]) -> None:
        self._audience = audience.encode()
        self._domain = domain
        self._keys = keys
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[bytes, Login]] = OrderedDict()

    def organisation(self, authorization: bytes | None) -> int:
        """Index of the caller.

        Raises:
            NotAuthenticated, TokenExpired, WrongAudience, MalformedToken, BadSignature
        """
        if authorization is None or authorization[: len(SCHEME)].lower() != SCHEME:
            raise NotAuthenticated(
                "this route needs a bearer token", field="authorization", hint="send a login act"
            )
        token = authorization[len(SCHEME) :].strip()
        name = sha256(token)
        held = self._remembered.get(name)
        if held is None:
            login, signature = parse_token(token.decode("ascii", "replace"))
            self._check(login)
            address = recover(login.digest(self._domain), signature)
            self._remember(name, address, login)
        else:
            address, login = held
            self._check(login)
        slot = self._keys(address)
        now = int(self._clock())
        if (
            slot is None
            or slot.organisation != login.organisation
            or slot.purpose is not Purpose.AUTH
            or not slot.valid_at(now)
        ):
            raise NotAuthenticated(
                "the login act is not signed by a valid auth key of this organisation",
                field="authorization",
                hint="check organisation, purpose and validity of the key in the registry",
            )
        return login.organisation

    def _check(self, login: Login) -> None:
        now = self._clock()
        if not hmac.compare_digest(login.audience.encode(), self._audience):
            raise WrongAudience(
                "the login act names another gateway", field="audience", hint="log in at this address"
            )
        lifetime = login.expires_at - login.issued_at
        if not 0 < lifetime <= MAX_LIFETIME:
            raise TokenExpired(f"a login act lasts at most {MAX_LIFETIME} seconds", field="expiresAt")
        if now > login.expires_at:
            raise TokenExpired("the login act has ended", field="expiresAt", hint="log in again")
        if login.issued_at > now + CLOCK_ALLOWANCE:
            raise TokenExpired("the login act begins later", field="issuedAt", hint="check the clock")

    def _remember(self, name: bytes, address: bytes, login: Login) -> None:
        self._remembered[name] = (address, login)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
