"""Hash renewal by the holder: what is renewed outlives both algorithms, and nothing wrong is renewed."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest

from agent.rehashing import Authority, Held, RehashNotAllowed, renew_hashes, renewed_until_end
from agent.renewing import DAY, ReceiptFull, RenewalRefused, payload_of
from evidence.local_authority import Identity, LocalAuthority, make_identity
from protocol.hashing import SHA3_256, sha256
from tests.support.world import CONTENT, LINK_TIME, World, signed
from verifier.attestation import TokenAttestation
from verifier.content import ContentDigests
from verifier.receipt import Attestation, Receipt
from verifier.timetoken_errors import TimeRequestRefused, TokenNonceMismatch
from verifier.timetoken_request import TimeRequest, token_of
from verifier.trust_payload import TimeAuthority
from verifier.verify import verify_receipt

NOW = LINK_TIME + 50 * DAY
END = LINK_TIME + 80 * DAY
PAST = END + DAY
DIGESTS = ContentDigests(len(CONTENT), World().content.sha256, World().content.sm3, SHA3_256.digest(CONTENT))


@cache
def identity(name: str) -> Identity:
    return make_identity(name, LINK_TIME, signer_days=2000)


def authority(name: str = "A", at: int = NOW) -> Authority:
    return Authority(LocalAuthority(identity(name), clock=lambda: at).answer)


@cache
def world() -> World:
    named = tuple(TimeAuthority(name, (identity(name).root,), (), 0, None) for name in ("A", "B"))
    return World(version=3, time_tokens=1, authorities=named, algorithm_ends=((0, END), (1, END)))


@cache
def trust(required: int = 1) -> bytes:
    payload = dataclasses.replace(world().payload, valid_until=PAST + 1000 * DAY)
    return signed(dataclasses.replace(payload, time_tokens_required=required))


def receipt(index: int = 6) -> Receipt:
    own = world().but(index=index)
    digest = sha256(own.checkpoint().text())
    request = TimeRequest("sha256", digest, 7)
    token = token_of(LocalAuthority(identity("A"), clock=lambda: LINK_TIME + 60).answer(request.encode()))
    listed = (TokenAttestation(0, None, token).encode(), Attestation("later", b"\x01"))
    return dataclasses.replace(Receipt.of(own.core), attestations=listed)


def test_a_renewed_receipt_stands_past_the_end_and_an_unrenewed_one_does_not() -> None:
    held = Held(receipt(), DIGESTS)
    (out,) = renew_hashes([held], trust(), [authority()], NOW + 5)
    assert out.attestations[:-1] == held.receipt.attestations
    before = verify_receipt(out.encode(), trust(), content=DIGESTS, at=END)
    assert before.result.value == "VALID"
    after = verify_receipt(out.encode(), trust(), content=DIGESTS, at=PAST)
    assert after.result.value == "VALID_REDUCED_TRUST"
    assert set(after.missing) == {"HashRenewed"}
    assert after.facts["hashRenewedAt"] == NOW
    bare = verify_receipt(held.receipt.encode(), trust(), content=DIGESTS, at=PAST)
    assert bare.result.value == "INDETERMINATE"
    assert renewed_until_end(out, payload_of(trust()), NOW + 5)
    assert not renewed_until_end(held.receipt, payload_of(trust()), NOW)


def test_many_share_one_tree_and_one_token_of_each_authority() -> None:
    asked = []

    def counting(request: bytes) -> bytes:
        asked.append(request)
        return authority().ask(request)

    several = [Held(receipt(6), DIGESTS), Held(receipt(7), DIGESTS), Held(receipt(8), None)]
    out = renew_hashes(several, trust(), [Authority(counting), authority("B")], NOW + 5)
    assert len(asked) == 1
    for made, held in zip(out, several, strict=True):
        found = verify_receipt(made.encode(), trust(), content=held.content, at=PAST)
        assert found.result.value == "VALID_REDUCED_TRUST"
    # One without its document says so when the document is shown.
    without = renew_hashes([Held(receipt(), None)], trust(), [authority()], NOW + 5)[0]
    shown = verify_receipt(without.encode(), trust(), content=DIGESTS, at=PAST)
    assert shown.verdict("content").code == "ContentNotRenewed"
    assert not renewed_until_end(without, payload_of(trust()), NOW + 5)


def test_what_does_not_verify_now_is_not_renewed() -> None:
    held = Held(receipt(), DIGESTS)
    wrong = dataclasses.replace(DIGESTS, size=1)
    other = dataclasses.replace(DIGESTS, sha256=bytes(32))
    two = dataclasses.replace(DIGESTS, sha3_256=None)
    for content in (wrong, other, two):
        with pytest.raises(RehashNotAllowed):
            renew_hashes([Held(receipt(), content)], trust(), [authority()], NOW + 5)
    with pytest.raises(RehashNotAllowed):
        renew_hashes([held, Held(receipt(), wrong)], trust(), [authority()], NOW + 5)
    # Past the end it is too late.
    with pytest.raises(RehashNotAllowed):
        renew_hashes([held], trust(), [authority(at=PAST)], PAST + 5)
    ended = signed(dataclasses.replace(world().payload, algorithm_ends=((1, NOW - 1),)))
    with pytest.raises(RehashNotAllowed):
        renew_hashes([held], ended, [authority()], NOW + 5)


def test_tokens_that_do_not_count_renew_nothing() -> None:
    held = [Held(receipt(), DIGESTS)]
    with pytest.raises(RenewalRefused, match="RehashTokensMissing"):
        renew_hashes(held, trust(), [authority("stranger")], NOW + 5)
    with pytest.raises(RenewalRefused, match="RehashTokensMissing"):
        renew_hashes(held, trust(2), [authority()], NOW + 5)
    assert renew_hashes(held, trust(2), [authority(), authority("B")], NOW + 5)
    with pytest.raises(RenewalRefused, match="TokenInFuture"):
        renew_hashes(held, trust(), [authority(at=NOW + 60)], NOW + 5)


def test_an_answer_to_another_request_is_refused() -> None:
    old = LocalAuthority(identity("A"), clock=lambda: NOW).answer(
        TimeRequest("sha3-256", SHA3_256.digest(b"x"), 5).encode()
    )
    with pytest.raises(TokenNonceMismatch):
        renew_hashes([Held(receipt(), DIGESTS)], trust(), [Authority(lambda _: old)], NOW + 5)
    refusal = LocalAuthority(identity("A"), clock=lambda: NOW).answer(b"")
    with pytest.raises(TimeRequestRefused):
        renew_hashes([Held(receipt(), DIGESTS)], trust(), [Authority(lambda _: refusal)], NOW + 5)


def test_a_full_receipt_is_said_to_be_full() -> None:
    full = receipt()
    many = dataclasses.replace(full, attestations=(full.attestations[0], *[Attestation("x", b"\x01")] * 63))
    with pytest.raises(ReceiptFull):
        renew_hashes([Held(many, DIGESTS)], trust(), [authority()], NOW + 5)


def test_a_second_renewal_lists_the_first_and_keeps_it() -> None:
    (first,) = renew_hashes([Held(receipt(), DIGESTS)], trust(), [authority()], NOW + 5)
    (second,) = renew_hashes([Held(first, DIGESTS)], trust(), [authority("B", NOW + DAY)], NOW + DAY + 5)
    found = verify_receipt(second.encode(), trust(), content=DIGESTS, at=PAST)
    assert [one.code for one in found.attestations if one.kind == "rehash"] == ["Ok", "Ok"]
    assert found.facts["hashRenewedAt"] == NOW
