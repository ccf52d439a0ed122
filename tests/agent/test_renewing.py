"""Renewal: past the first authority's end a renewed receipt is VALID and an unrenewed one is not."""

from __future__ import annotations

import dataclasses
from functools import cache

import httpx
import pytest

from agent.renewing import (
    DAY,
    NothingToRenew,
    ReceiptFull,
    RefreshRefused,
    RenewalRefused,
    TimeAuthoritySilent,
    http_ask,
    payload_of,
    refreshed,
    renew,
    standing,
)
from evidence.local_authority import Identity, LocalAuthority, make_identity
from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from tests.support.world import LINK_TIME, World, signed
from verifier.attestation import ChainAttestation, RenewalAttestation, TokenAttestation
from verifier.attestation import parse as parse_attestation
from verifier.receipt import MAX_RECEIPT, Attestation, Receipt
from verifier.timetoken_errors import TimeRequestRefused, TokenNonceMismatch
from verifier.timetoken_request import TimeRequest, token_of
from verifier.trust_payload import Epoch, TimeAuthority
from verifier.verdict import Result
from verifier.verify import verify_receipt

STAMPED = LINK_TIME + 60
SOON = STAMPED + 350 * DAY
LATER = STAMPED + 500 * DAY


@cache
def identity(name: str, days: int) -> Identity:
    return make_identity(name, LINK_TIME, signer_days=days)


def short() -> Identity:
    return identity("short", 365)


def lasting() -> Identity:
    return identity("lasting", 2000)


def ask(of: Identity, at: int):  # type: ignore[no-untyped-def]
    return LocalAuthority(of, clock=lambda: at).answer


@cache
def world() -> World:
    trusted = tuple(
        TimeAuthority(name, (of.root,), (), 0, None) for name, of in (("S", short()), ("L", lasting()))
    )
    return World(version=2, time_tokens=1, authorities=trusted)


@cache
def trust() -> bytes:
    payload = dataclasses.replace(world().payload, valid_until=LATER + 2000 * DAY)
    return signed(payload)


def stamped(*attestations: Attestation) -> Receipt:
    """The world's receipt with a token of the short-lived authority and what else is given."""
    digest = sha256(world().checkpoint().text())
    request = TimeRequest("sha256", digest, 7)
    token = token_of(ask(short(), STAMPED)(request.encode()))
    listed = (TokenAttestation(0, None, token).encode(), *attestations)
    return dataclasses.replace(Receipt.of(world().core), attestations=listed)


def result(receipt: Receipt, at: int) -> Result:
    return verify_receipt(receipt.encode(), trust(), content=world().content, at=at).result


def test_an_unrenewed_receipt_ends_with_its_certificate_and_a_renewed_one_does_not() -> None:
    receipt = stamped()
    assert result(receipt, SOON) is Result.VALID
    assert result(receipt, LATER) is Result.VALID_REDUCED_TRUST
    renewed = renew(receipt, trust(), ask(lasting(), SOON), SOON)
    assert result(renewed, SOON) is Result.VALID
    assert result(renewed, LATER) is Result.VALID
    assert renewed.core_bytes == receipt.core_bytes
    assert renewed.attestations[:-1] == receipt.attestations


def test_a_renewal_can_be_renewed_and_over_sm3() -> None:
    middle = identity("lasting", 2000)
    first = renew(stamped(), trust(), ask(short(), SOON), SOON, algorithm="sm3")
    second = renew(first, trust(), ask(middle, SOON + 60), SOON + 60)
    last = parse_attestation(second.attestations[-1], 2)
    assert isinstance(last, RenewalAttestation)
    assert last.positions == (0, 1)
    assert result(second, LATER) is Result.VALID
    assert result(first, LATER) is Result.VALID_REDUCED_TRUST


def test_when_renewal_is_due() -> None:
    payload = payload_of(trust())
    before = standing(stamped(), payload, SOON)
    assert before.authorities == ("S",)
    assert before.until is not None
    assert result(stamped(), before.until - 1) is Result.VALID
    assert result(stamped(), before.until) is Result.VALID_REDUCED_TRUST
    assert before.due(SOON, 30 * DAY)
    assert not before.due(SOON, DAY)
    renewed = renew(stamped(), trust(), ask(lasting(), SOON), SOON)
    after = standing(renewed, payload, SOON)
    assert after.until is not None
    assert after.until > LATER
    assert standing(Receipt.of(world().core), payload, SOON).until is None


def test_too_late_is_refused_because_nothing_would_be_kept_alive() -> None:
    with pytest.raises(NothingToRenew):
        renew(stamped(), trust(), ask(lasting(), LATER), LATER)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda request: ask(identity("stranger", 900), SOON)(request), RenewalRefused),
        (lambda request: ask(lasting(), SOON + DAY)(request), RenewalRefused),
        (
            lambda request: ask(lasting(), SOON)(TimeRequest("sha256", bytes(32), 1).encode()),
            TokenNonceMismatch,
        ),
        (
            lambda request: ask(lasting(), SOON)(
                dataclasses.replace(TimeRequest.parse(request), imprint=bytes(32)).encode()
            ),
            RenewalRefused,
        ),
        (lambda request: ask(lasting(), SOON)(b"nonsense"), TimeRequestRefused),
        (lambda request: b"nonsense", CaseledgerError),
    ],
)
def test_bad_answers_are_refused(answer, error) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error):
        renew(stamped(), trust(), answer, SOON)


def test_nothing_to_renew_and_no_room() -> None:
    bare = Receipt.of(world().core)
    with pytest.raises(NothingToRenew):
        renew(bare, trust(), ask(lasting(), SOON), SOON)
    full = stamped(*[Attestation("later/v9", bytes(one)) for one in range(63)])
    with pytest.raises(ReceiptFull):
        renew(full, trust(), ask(lasting(), SOON), SOON)
    large = stamped(Attestation("later/v9", bytes(MAX_RECEIPT - 100 - len(stamped().encode()))))
    with pytest.raises(ReceiptFull):
        renew(large, trust(), ask(lasting(), SOON), SOON)


def test_http_takes_one_media_type_one_status_and_a_bounded_body() -> None:
    def asked(answer: httpx.Response) -> bytes:
        return http_ask("http://tsa.example", transport=httpx.MockTransport(lambda _: answer))(b"request")

    good = {"content-type": "application/timestamp-reply"}
    assert asked(httpx.Response(200, headers=good, content=iter([b"answer"]))) == b"answer"
    for bad in (
        httpx.Response(503, headers=good, content=iter([b"answer"])),
        httpx.Response(200, headers={"content-type": "text/html"}, content=iter([b"answer"])),
        httpx.Response(200, headers=good, content=iter([bytes(1 << 20)])),
        httpx.Response(302, headers={"location": "http://elsewhere.example"}),
    ):
        with pytest.raises(TimeAuthoritySilent):
            asked(bad)


# A closed epoch, and the same slots proved again under the open one


CLOSED = World(version=2, to_height=4712, closed_at=LINK_TIME + 100)
OPEN = World(version=2, seed="new validators", height=5000, block_time=LINK_TIME + 200)
AFTER = LINK_TIME + 300


def two_epochs(**changes: object) -> bytes:
    """CLOSED's trust file, which names the validators of OPEN from height 4713 on."""
    chain = CLOSED.payload.chains[0]
    second = Epoch(2, 4713, None, OPEN.validators)
    chain = dataclasses.replace(chain, epochs=(*chain.epochs, dataclasses.replace(second, **changes)))  # type: ignore[arg-type]
    return signed(dataclasses.replace(CLOSED.payload, chains=(chain,)))


def test_a_receipt_of_a_closed_epoch_is_valid_again_once_refreshed() -> None:
    receipt = Receipt.of(CLOSED.core)
    before = verify_receipt(receipt.encode(), two_epochs(), content=CLOSED.content, at=AFTER)
    assert before.result is Result.VALID_REDUCED_TRUST
    out = refreshed(receipt, ChainAttestation(OPEN.core.proof), two_epochs(), AFTER)
    after = verify_receipt(out.encode(), two_epochs(), content=CLOSED.content, at=AFTER)
    assert after.result is Result.VALID
    assert out.core_bytes == receipt.core_bytes


def test_a_chain_proof_that_does_not_help_is_not_written() -> None:
    receipt = Receipt.of(CLOSED.core)
    closed_again = two_epochs(to_height=6000, closed_at=LINK_TIME + 250)
    with pytest.raises(RefreshRefused) as caught:
        refreshed(receipt, ChainAttestation(OPEN.core.proof), closed_again, AFTER)
    assert caught.value.detail == "ClosedEpoch"
    strangers = OPEN.but(seed="strangers")
    with pytest.raises(RefreshRefused):
        refreshed(receipt, ChainAttestation(strangers.core.proof), two_epochs(), AFTER)
    with pytest.raises(RefreshRefused):
        refreshed(receipt, ChainAttestation(OPEN.core.proof), CLOSED.trust, AFTER)
