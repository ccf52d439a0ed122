"""Protocol buffers: one encoding for each message, everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from verifier.errors import ProtoLimit, ProtoMalformed
from verifier.proto import Kind, put_bytes, put_message, put_sfixed64, put_uint, read, read_uvarint, uvarint

SCHEMA = {1: Kind.UINT, 2: Kind.BYTES, 3: Kind.MESSAGE, 4: Kind.MESSAGES, 100: Kind.UINT}


def write(number: int, text: bytes, body: bytes | None, many: list[bytes], last: int) -> bytes:
    return (
        put_uint(1, number)
        + put_bytes(2, text)
        + (b"" if body is None else put_message(3, body))
        + b"".join(put_message(4, item) for item in many)
        + put_uint(100, last)
    )


@given(
    st.integers(0, (1 << 64) - 1),
    st.binary(max_size=200),
    st.none() | st.binary(max_size=20),
    st.lists(st.binary(max_size=20), max_size=5),
    st.integers(0, 300),
)
def test_what_is_written_is_read(
    number: int, text: bytes, body: bytes | None, many: list[bytes], last: int
) -> None:
    message = read(write(number, text, body, many, last), SCHEMA)
    assert (message.uint(1), message.blob(2), message.message(3)) == (number, text, body)
    assert (message.messages(4), message.uint(100)) == (many, last)


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_random_bytes_have_one_reading_or_none(data: bytes) -> None:
    try:
        m = read(data, SCHEMA)
    except CaseledgerError:
        return
    assert write(m.uint(1), m.blob(2), m.message(3), m.messages(4), m.uint(100)) == data


@pytest.mark.parametrize(
    "text",
    [
        "0800",  # a default stated
        "1200",
        "088100",  # varint not shortest
        "8800" + "01",  # tag not shortest
        "08" + "80" * 9 + "02",  # above 64 bits
        "08" + "80" * 10 + "01",
        "08",
        "0880",
        "12",
        "1205aa",  # cut off
        "0a01aa",  # wire type
        "1001",
        "0901000000000000000000",
        "2801",  # unknown field
        "0001",  # field 0
        "08010801",  # twice
        "1201aa1201aa",
        "12" + "01aa" + "0801",  # order
    ],
)
def test_other_encodings_are_refused(text: str) -> None:
    with pytest.raises(ProtoMalformed):
        read(bytes.fromhex(text), SCHEMA)


def test_limits_hold() -> None:
    with pytest.raises(ProtoLimit):
        read(bytes((1 << 16) + 1), SCHEMA)
    with pytest.raises(ProtoLimit):
        read(put_message(4, b"") * 257, SCHEMA)
    assert len(read(put_message(4, b"") * 256, SCHEMA).messages(4)) == 256


@given(st.integers(0, (1 << 64) - 1))
def test_varints_round_trip(value: int) -> None:
    assert read_uvarint(uvarint(value), 0) == (value, len(uvarint(value)))


def test_signed_forms() -> None:
    assert put_uint(1, -1).hex() == "08" + "ff" * 9 + "01"
    assert put_sfixed64(2, 25).hex() == "11" + "1900000000000000"
    assert put_sfixed64(2, 0) == b""
