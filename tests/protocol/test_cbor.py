"""Deterministic CBOR: one encoding a value, bounded work, nothing but CaseledgerError."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cbor
from protocol.cbor import Value
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput

REFUSED = {
    "empty input": "",
    "integer not shortest, one byte": "1817",
    "integer not shortest, two bytes": "1900ff",
    "integer not shortest, four bytes": "1a0000ffff",
    "integer not shortest, eight bytes": "1b00000000ffffffff",
    "length not shortest": "580161",
    "negative integer": "20",
    "tag": "c000",
    "half float": "f93c00",
    "double": "fb3ff0000000000000",
    "undefined": "f7",
    "simple value": "e0",
    "simple value in two bytes": "f820",
    "indefinite bytes": "5f4161ff",
    "indefinite array": "9fff",
    "indefinite map": "bfff",
    "break alone": "ff",
    "reserved length": "1c",
    "bytes cut off": "4261",
    "length cut off": "59",
    "array cut off": "8201",
    "array length beyond input": "9b7fffffffffffffff",
    "map length beyond input": "bb7fffffffffffffff",
    "bytes length beyond input": "5b7fffffffffffffff",
    "text not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "map keys descending": "a201000000",
    "map key twice": "a200000000",
    "map keys of two types descending": "a26161000000",
    "map key is bytes": "a1416100",
    "map key is null": "a1f600",
    "map key is an array": "a18000",
    "bytes after the value": "0000",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    with pytest.raises(MalformedInput):
        cbor.decode(bytes.fromhex(REFUSED[name]), max_bytes=100)


@pytest.mark.parametrize(
    ("hexed", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1bffffffffffffffff", 2**64 - 1),
        ("40", b""),
        ("63e4b8ad", "中"),
        ("f4", False),
        ("f5", True),
        ("f6", None),
        ("80", ()),
        ("a20001616100", {0: 1, "a": 0}),
    ],
)
def test_known_encodings(hexed: str, value: Value) -> None:
    data = bytes.fromhex(hexed)
    assert cbor.decode(data, max_bytes=100) == value
    assert cbor.encode(value) == data


def test_limits_are_held() -> None:
    with pytest.raises(LimitExceeded):
        cbor.decode(b"\x00" * 11, max_bytes=10)
    with pytest.raises(LimitExceeded):
        cbor.decode(b"\x81" * 20 + b"\x00", max_bytes=100)
    with pytest.raises(LimitExceeded):
        cbor.decode(b"\x98\x40" + b"\x00" * 64, max_bytes=100, max_items=64)


@pytest.mark.parametrize("key", ["80", "a0", "8180", "818181818180", "9880"])
def test_what_stands_in_a_keys_place_is_not_looked_into(key: str) -> None:
    """However deep it is: its depth is not what is wrong with it."""
    with pytest.raises(MalformedInput) as refused:
        cbor.decode(bytes.fromhex(f"a1{key}00"), max_bytes=100, max_depth=1)
    assert refused.value.code == "MalformedInput"


def test_deep_nesting_of_a_large_input_is_refused_at_once() -> None:
    start = time.process_time()
    with pytest.raises(LimitExceeded):
        cbor.decode(b"\x81" * 2**20, max_bytes=2**20)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, {b"a": 1}, {None: 1}, {True: 1}, object(), "\ud800"])
def test_encode_refuses_what_has_no_encoding(value: object) -> None:
    with pytest.raises(MalformedInput):
        cbor.encode(value)  # type: ignore[arg-type]


values: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.integers(0, 2**64 - 1) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(values)
def test_decode_is_the_inverse_of_encode(value: Value) -> None:
    data = cbor.encode(value)
    assert cbor.decode(data, max_bytes=len(data), max_depth=40) == value


@given(st.binary(max_size=60))
def test_what_decodes_has_this_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode(data, max_bytes=60)
    except CaseledgerError:
        return
    assert cbor.encode(value) == data


@settings(max_examples=300)
@given(values, st.data())
def test_a_changed_byte_is_another_value_or_refused(value: Value, draw: st.DataObject) -> None:
    data = bytearray(cbor.encode(value))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    try:
        other = cbor.decode(bytes(data), max_bytes=len(data), max_depth=40)
    except CaseledgerError:
        return
    assert cbor.encode(other) == bytes(data)
