"""Requests to time authorities and their answers, both ways, strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.local_authority import POLICY
from protocol.errors import CaseledgerError
from tests.support.time_tokens import IMPRINTS, Recipe, check, identity
from verifier import timetoken_errors as errors
from verifier.timetoken_der import BOOLEAN, SEQUENCE, encode, encode_integer, encode_oid
from verifier.timetoken_request import TimeRequest, granted, imprint, refused, token_of

NONCE = st.none() | st.integers(0, 2**256 - 1)


@given(st.sampled_from(["sha256", "sm3"]), NONCE, st.sampled_from([None, POLICY]), st.booleans())
def test_a_request_comes_back(algorithm: str, nonce: int | None, policy: str | None, wanted: bool) -> None:
    request = TimeRequest(algorithm, IMPRINTS[algorithm], nonce, policy, wanted)
    assert TimeRequest.parse(request.encode()) == request


def test_bad_requests() -> None:
    good = imprint("sha256", IMPRINTS["sha256"])
    sha1 = encode(SEQUENCE, encode(SEQUENCE, encode_oid("1.3.14.3.2.26")), encode(4, bytes(20)))
    short = encode(SEQUENCE, encode(SEQUENCE, encode_oid("2.16.840.1.101.3.4.2.1")), encode(4, bytes(31)))
    for code, members in (
        (errors.TokenMalformed, [encode_integer(2), good]),
        (errors.TokenMalformed, [encode_integer(1)]),
        (errors.TokenMalformed, [encode_integer(1), good, encode(BOOLEAN, b"\x00")]),
        (errors.TokenMalformed, [encode_integer(1), good, encode_integer(2**300)]),
        (errors.TokenMalformed, [encode_integer(1), short]),
        (errors.TokenMalformed, [encode_integer(1), good, encode(0xA0, b"")]),
        (errors.TokenMalformed, [encode_integer(1), good, encode(4, bytes(600))]),
        (errors.TokenAlgorithmWeak, [encode_integer(1), sha1]),
    ):
        with pytest.raises(code):
            TimeRequest.parse(encode(SEQUENCE, *members))


@given(st.binary(max_size=100))
def test_noise_is_refused_by_name(data: bytes) -> None:
    for parser in (TimeRequest.parse, token_of):
        with pytest.raises(CaseledgerError):
            parser(data)


def test_the_answer_fits_the_request() -> None:
    token = check(Recipe(identity()).make())
    TimeRequest("sha256", IMPRINTS["sha256"], 7, POLICY).check(token)
    TimeRequest("sha256", IMPRINTS["sha256"], None).check(token)
    with pytest.raises(errors.TokenNonceMismatch):
        TimeRequest("sha256", IMPRINTS["sha256"], 8).check(token)
    with pytest.raises(errors.TokenNonceMismatch):
        TimeRequest("sha256", IMPRINTS["sha256"], 7).check(check(Recipe(identity(), nonce=None).make()))
    with pytest.raises(errors.TokenPolicyNotAccepted):
        TimeRequest("sha256", IMPRINTS["sha256"], 7, "2.999.8").check(token)


def test_an_answer_is_a_token_or_a_named_refusal() -> None:
    token = Recipe(identity()).make()
    assert token_of(granted(token)) == token
    with pytest.raises(errors.TimeRequestRefused, match="status 2 unacceptedPolicy"):
        token_of(refused(15))
    with pytest.raises(errors.TimeRequestRefused, match=r"status 2$"):
        token_of(encode(SEQUENCE, encode(SEQUENCE, encode_integer(2))))
    for malformed in (
        granted(token) + b"\0",
        encode(SEQUENCE, encode(SEQUENCE, encode_integer(0))),
        encode(SEQUENCE, encode(SEQUENCE, encode_integer(0)), token, token),
        bytes(100_000),
    ):
        with pytest.raises(errors.TimeAnswerMalformed):
            token_of(malformed)
