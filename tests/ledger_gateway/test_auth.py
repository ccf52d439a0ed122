"""Login acts: bound to one gateway, ten minutes at most, by a key that the registry shows as valid now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.keys import KeyLabel, Secp256k1Key, new_key
from agent.login import LoginTokens
from ledger_gateway.auth import Authenticator
from protocol.acts import Domain, Login, Purpose
from protocol.errors import CaseledgerError
from protocol.keyslot import KeySlot, KeyState
from protocol.token import encode_token

NOW = 1_800_000_000
AUDIENCE = "http://127.0.0.1:4000"
DOMAIN = Domain(7, b"\x11" * 20)
GOOD_SLOT = KeySlot(5, Purpose.AUTH, NOW - 100, NOW + 10_000, 0, KeyState.ACTIVE)


def secp(name: str = "bank-auth") -> Secp256k1Key:
    key = new_key("secp256k1", KeyLabel(name, "auth", 5))
    assert isinstance(key, Secp256k1Key)
    return key


KEY = secp()


class Registry:
    """The registry's answer for one key."""

    def __init__(self, slot: KeySlot | None = GOOD_SLOT) -> None:
        self.slot = slot

    def __call__(self, address: bytes, /) -> KeySlot | None:
        return self.slot if address == KEY.address else None


def authenticator(
    registry: Registry | None = None, clock: Callable[[], float] = lambda: NOW
) -> Authenticator:
    return Authenticator(audience=AUDIENCE, domain=DOMAIN, keys=registry or Registry(), clock=clock)


def bearer(login: Login, key: Secp256k1Key = KEY, domain: Domain = DOMAIN) -> bytes:
    return b"Bearer " + encode_token(login, key.sign_digest(login.digest(domain))).encode()


LOGIN = Login(AUDIENCE, 5, b"\x22" * 32, NOW - 10, NOW + 500)


def code_of(header: bytes | None, registry: Registry | None = None) -> str:
    with pytest.raises(CaseledgerError) as caught:
        authenticator(registry).organisation(header)
    assert caught.value.http_status == 401
    return caught.value.code


@pytest.mark.parametrize("header", [None, b"", b"Basic abc", b"Bearer"])
def test_no_bearer_token_is_no_login(header: bytes | None) -> None:
    assert code_of(header) in ("NotAuthenticated", "MalformedToken")


@pytest.mark.parametrize("token", [b"x", b"!!!!", b"A" * 2000, b"gICAgA", "中文".encode()])
def test_token_that_is_no_token(token: bytes) -> None:
    assert code_of(b"Bearer " + token) == "MalformedToken"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"audience": "http://127.0.0.1:4001"}, "WrongAudience"),
        ({"expires_at": NOW - 1}, "TokenExpired"),
        ({"issued_at": NOW - 200, "expires_at": NOW + 401}, "TokenExpired"),
        ({"issued_at": NOW + 100, "expires_at": NOW + 200}, "TokenExpired"),
        ({"issued_at": NOW, "expires_at": NOW}, "TokenExpired"),
        ({"organisation": 6}, "NotAuthenticated"),
    ],
)
def test_wrong_login_act_is_refused_by_name(change: dict[str, object], code: str) -> None:
    assert code_of(bearer(replace(LOGIN, **change))) == code  # type: ignore[arg-type]


def test_token_of_another_chain_or_key_is_refused() -> None:
    assert code_of(bearer(LOGIN, domain=Domain(8, DOMAIN.contract))) == "NotAuthenticated"
    assert code_of(bearer(LOGIN, key=secp("other"))) == "NotAuthenticated"


@pytest.mark.parametrize(
    "slot",
    [
        None,
        replace(GOOD_SLOT, purpose=Purpose.ACT),
        replace(GOOD_SLOT, organisation=6),
        replace(GOOD_SLOT, revoked_at=NOW - 1),
        replace(GOOD_SLOT, not_after=NOW - 1),
        replace(GOOD_SLOT, not_before=NOW + 1),
        replace(GOOD_SLOT, state=KeyState.ANNOUNCED),
    ],
)
def test_key_must_be_a_valid_auth_key_of_the_organisation(slot: KeySlot | None) -> None:
    assert code_of(bearer(LOGIN), Registry(slot)) == "NotAuthenticated"


def test_key_revoked_after_the_first_use_ends_the_session() -> None:
    registry = Registry()
    checker = authenticator(registry)
    assert checker.organisation(bearer(LOGIN)) == 5
    registry.slot = replace(GOOD_SLOT, revoked_at=NOW - 1)
    with pytest.raises(CaseledgerError):
        checker.organisation(bearer(LOGIN))


def test_remembered_token_still_ends() -> None:
    now = float(NOW)
    checker = authenticator(clock=lambda: now)
    header = bearer(LOGIN)
    assert checker.organisation(header) == 5
    now = LOGIN.expires_at + 1.0
    with pytest.raises(CaseledgerError) as caught:
        checker.organisation(header)
    assert caught.value.code == "TokenExpired"


def test_agent_makes_tokens_that_pass_and_renews_them() -> None:
    now = float(NOW)
    tokens = LoginTokens(KEY, 5, DOMAIN, lambda: now)
    first = tokens.token(AUDIENCE)
    assert tokens.token(AUDIENCE) == first
    assert tokens.token("http://127.0.0.1:4001") != first
    assert authenticator().organisation(b"bearer " + first.encode()) == 5
    now += 500
    assert tokens.token(AUDIENCE) != first
