"""Strict JSON and its typed access."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from verifier.conformance import CHECKS, answer
from verifier.errors import FieldInvalid, FieldMissing, FieldUnknown, JsonDuplicateKey, JsonLimit
from verifier.strict_json import Fields, Json, address_bytes, base64_bytes, loads, parse_hex

SCALARS = st.none() | st.booleans() | st.integers(-(10**20) + 1, 10**20 - 1) | st.text(max_size=20)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(VALUES)
def test_integral_json_is_read_back(value: Json) -> None:
    assert loads(json.dumps(value).encode()) == value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CHECKS)), st.binary(max_size=60) | VALUES.map(lambda v: json.dumps(v).encode()))
def test_no_line_is_a_crash(kind: str, line: bytes) -> None:
    result = answer(kind, line)
    assert result["accepted"] is False
    assert result["code"] != "VerifierFault"
    json.dumps(result).encode("ascii")


def test_duplicate_names_are_refused_at_any_depth() -> None:
    with pytest.raises(JsonDuplicateKey):
        loads(b'[{"a":{"b":1,"\\u0062":2}}]')


@pytest.mark.parametrize("text", ["0x", "", "00", "0xAB", "ab"])
def test_hex_in_one_case(text: str) -> None:
    assert parse_hex(text) == bytes.fromhex(text.removeprefix("0x"))


@pytest.mark.parametrize("text", ["0", "0x0", "aB", "0xAb", "0X00", " 00", "00 ", "0x0x00", "٣٣", "0_0"])
def test_other_hex_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        parse_hex(text)


def test_addresses_carry_a_right_checksum_or_none() -> None:
    # EIP-55's own examples.
    for text in ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"):
        assert address_bytes(text) == bytes.fromhex(text[2:])
        assert address_bytes(text.lower()) == bytes.fromhex(text[2:])
        assert address_bytes(text[2:]) is not None
        assert address_bytes("0x" + text[2:].swapcase()) is None
        for i in range(2, 42):
            if text[i].isalpha():
                assert address_bytes(text[:i] + text[i].swapcase() + text[i + 1 :]) is None
        assert address_bytes(text[:-1]) is None


def test_base64_has_one_spelling() -> None:
    assert base64_bytes("") == b""
    assert base64_bytes("QQ==") == b"A"
    for bad in ("QQ", "QQ=", "QR==", "QQ==\n", "QQ==QQ==", "-_==", "Ｑ===", "Q Q=", "===="):
        assert base64_bytes(bad) is None


def test_getters_refuse_other_types_and_name_the_field() -> None:
    fields = Fields(
        {"n": True, "s": 1, "q": "0x00", "d": "01", "h": "AB", "a": [1], "o": [], "e": "x"}, "entry"
    )
    for call in (
        lambda: fields.integer("n"),
        lambda: fields.text("s"),
        lambda: fields.quantity("q"),
        lambda: fields.decimal("d"),
        lambda: fields.hex("h"),
        lambda: fields.hexes("a"),
        lambda: fields.addresses("a"),
        lambda: fields.address("e"),
        lambda: fields.base64("e"),
        lambda: fields.items("s"),
        lambda: fields.child("o"),
    ):
        with pytest.raises(FieldInvalid) as caught:
            call()
        assert (caught.value.field or "").startswith("entry.")
    with pytest.raises(FieldMissing):
        fields.text("absent")
    fields.skip("n", "s", "q", "d", "h", "a", "o")
    fields.done()
    with pytest.raises(FieldUnknown):
        Fields({"x" * 99: 1}).done()
    with pytest.raises(JsonLimit):
        Fields({"a": ["00"] * 1025}).texts("a")
    with pytest.raises(CaseledgerError):
        Fields([])


def test_a_long_array_is_refused_where_nobody_reads_it() -> None:
    assert loads(b'{"about": {"x": [%s]}}' % b",".join([b"1"] * 1024))
    with pytest.raises(JsonLimit):
        loads(b'{"about": {"x": [%s]}}' % b",".join([b"1"] * 1025))
