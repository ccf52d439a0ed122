"""Decision records: only for their recipients, only what was committed to, never without who and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.case_batch import BatchRecipient
from protocol.case_decision import (
    DecisionRecord,
    DecisionUndecryptable,
    decision_commitment,
    decision_document,
    open_decision,
    parse_decision,
    seal_decision,
)
from protocol.errors import CaseledgerError, MalformedInput, UnknownVersion

CASE = b"\x11" * 32
KEYS = [X25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2, 3)]
PRIVATE = [key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()) for key in KEYS]
RECIPIENTS = [
    BatchRecipient(index, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    for index, key in zip((5, 9), KEYS, strict=False)
]
RECORD = DecisionRecord(
    CASE, 1, 1, b"\x22" * 32, 11, (0, 0, 1, 1_500_000, 200, 2, 0, 0, 0, 0, 0, 0, 0), 2, 2, 9, None, None,
    1_780_000_000, 1, None,
)  # fmt: skip
OVERRIDE = replace(RECORD, decided=3, officer="李工 0417", reason="已电话联系上本人", previous=b"\x33" * 32)


@pytest.mark.parametrize("record", [RECORD, OVERRIDE])
def test_a_record_comes_back_as_it_was(record: DecisionRecord) -> None:
    assert DecisionRecord.parse(record.encode()) == record
    sealed = seal_decision(record, RECIPIENTS)
    for place, index in enumerate((5, 9)):
        assert open_decision(sealed, sealed.wrapped[place], index, PRIVATE[place]) == record


def test_the_encoding_is_fixed() -> None:
    """A stranger's implementation gets the same commitment."""
    assert OVERRIDE.encode().hex() == FROZEN
    assert decision_commitment(b"\x44" * 32, OVERRIDE.encode()).hex() == FROZEN_COMMITMENT


def test_nobody_else_opens_it() -> None:
    sealed = seal_decision(RECORD, RECIPIENTS)
    for wrapped, index, key in (
        (sealed.wrapped[0], 5, PRIVATE[1]),
        (sealed.wrapped[0], 9, PRIVATE[0]),
        (sealed.wrapped[1], 5, PRIVATE[0]),
        (sealed.wrapped[0], 5, PRIVATE[2]),
    ):
        with pytest.raises(DecisionUndecryptable):
            open_decision(sealed, wrapped, index, key)


@pytest.mark.parametrize(
    "change",
    [
        {"case_id": b"\x12" * 32},
        {"commitment": b"\x12" * 32},
        {"previous": b"\x12" * 32},
    ],
)
def test_it_is_bound_to_case_commitment_and_predecessor(change: dict[str, bytes]) -> None:
    sealed = replace(seal_decision(RECORD, RECIPIENTS), **change)  # type: ignore[arg-type]
    with pytest.raises(DecisionUndecryptable):
        open_decision(sealed, sealed.wrapped[0], 5, PRIVATE[0])


@given(st.integers(0, 2**16), st.integers(1, 255))
def test_a_changed_byte_is_seen(place: int, mask: int) -> None:
    sealed = seal_decision(RECORD, RECIPIENTS)
    data = bytearray(sealed.ciphertext)
    data[place % len(data)] ^= mask
    with pytest.raises(DecisionUndecryptable):
        open_decision(replace(sealed, ciphertext=bytes(data)), sealed.wrapped[0], 5, PRIVATE[0])


@pytest.mark.parametrize(
    "change",
    [
        {"decided": 3},  # an override without reason and person
        {"decided": 3, "reason": "因为"},
        {"decided": 3, "officer": "李工"},
        {"reason": "没有改"},
        {"decided": 3, "officer": " ", "reason": "因为"},
        {"officer": "x" * 65},
        {"inputs": ()},
        {"inputs": (2**53,)},
        {"organisation": 0},
        {"case_id": b""},
        {"rule": 0},
    ],
)
def test_a_record_that_does_not_say_who_or_why_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedInput):
        replace(RECORD, **change).encode()  # type: ignore[arg-type]


def test_versions_and_further_fields_are_refused() -> None:
    value = cbor.decode(RECORD.encode(), max_bytes=4096)
    assert isinstance(value, dict)
    with pytest.raises(UnknownVersion):
        DecisionRecord.parse(cbor.encode({**value, 0: 2}))
    with pytest.raises(MalformedInput):
        DecisionRecord.parse(cbor.encode({**value, 15: 1}))


@given(st.binary(max_size=400))
def test_a_parser_only_refuses(data: bytes) -> None:
    try:
        DecisionRecord.parse(data)
    except CaseledgerError:
        return


def test_nothing_of_the_person_is_shown() -> None:
    text = repr(OVERRIDE) + repr(seal_decision(OVERRIDE, RECIPIENTS))
    for secret in ("李工", "电话", "1500000"):
        assert secret not in text


def test_equal_records_look_different_and_equally_long() -> None:
    one, two = seal_decision(RECORD, RECIPIENTS), seal_decision(RECORD, RECIPIENTS)
    assert one.commitment != two.commitment
    assert len(one.ciphertext) == len(seal_decision(OVERRIDE, RECIPIENTS).ciphertext) == 1024 + 16


def test_a_key_that_is_none_is_refused() -> None:
    for key in (bytes(32), b"short"):
        with pytest.raises(MalformedInput):
            seal_decision(RECORD, [BatchRecipient(5, key)])


def test_the_document_for_a_gateway_comes_back() -> None:
    sealed = seal_decision(OVERRIDE, RECIPIENTS)
    document = decision_document(sealed, (5, 9))
    assert parse_decision(json.loads(json.dumps(document)), CASE) == (sealed, (5, 9))


@pytest.mark.parametrize(
    "change",
    [
        {"commitment": "00"},
        {"commitment": "zz" * 32},
        {"previous": 1},
        {"recipients": [0]},
        {"recipients": [True]},
        {"recipients": [1] * 17},
        {"recipients": "5, 9"},
        {"ciphertext": "?"},
        {"ciphertext": "AAAA" * 3000},
        {"wrapped": []},
        {"wrapped": ["AAAA"]},
        {"name": "某人"},
    ],
)
def test_another_document_is_refused(change: dict[str, object]) -> None:
    document = decision_document(seal_decision(RECORD, RECIPIENTS), (5, 9)) | change
    with pytest.raises(MalformedInput):
        parse_decision(document, CASE)


FROZEN = (
    "af0001015820111111111111111111111111111111111111111111111111111111111111111102010301045820222222"
    "2222222222222222222222222222222222222222222222222222222222050b068d0000011a0016e36018c80200000000"
    "0000000702080309090a6be69d8ee5b7a520303431370b7818e5b7b2e794b5e8af9de88194e7b3bbe4b88ae69cace4ba"
    "ba0c1a6a18a5000d010e58203333333333333333333333333333333333333333333333333333333333333333"
)
FROZEN_COMMITMENT = "adb7317553185e1bf30bda16ab23e179f5c77e241a44f21bd330b6c5110a13fb"
