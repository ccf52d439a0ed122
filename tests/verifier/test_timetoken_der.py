"""The DER reader takes each value in its one encoding and refuses every other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.timetoken_der import (
    BOOLEAN,
    INTEGER,
    OID,
    SEQUENCE,
    SET,
    encode,
    encode_integer,
    encode_oid,
    encode_set,
    encode_time,
    generalized_time,
    integer,
    is_sorted,
    oid_text,
    whole,
)
from verifier.timetoken_errors import DerMalformed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x01",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x00",
        b"\x30\x81\x7f" + bytes(127),
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\xff",
        b"\x1f\x81\x01\x00",
        b"\x05\x00\x00",
    ],
)
def test_lengths_and_tags(data: bytes) -> None:
    with pytest.raises(DerMalformed):
        whole(data)


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80", b"\x00\x00", bytes([1]) * 65])
def test_integers_that_are_not_shortest(content: bytes) -> None:
    with pytest.raises(DerMalformed):
        integer(content)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x01", b"\x2a\x80\x01", b"\x2a\x86", b"\x2a" + b"\x81" * 40 + b"\x01"]
)
def test_object_identifiers(content: bytes) -> None:
    with pytest.raises(DerMalformed):
        oid_text(content)


@pytest.mark.parametrize("text", ["", "1", "3.1", "1.40", "1.2.x", "1.-2", "-1.2"])
def test_texts_that_are_no_object_identifiers(text: str) -> None:
    with pytest.raises(DerMalformed):
        encode_oid(text)


@pytest.mark.parametrize(
    "content",
    [
        b"20261123190000", b"20261123190000+0000Z", b"20261123190000.0Z", b"20261123190000.10Z",
        b"20261123190000.Z",
        b"20261323190000Z", b"20261123240000Z", b"20261123195960Z", b"20260230000000Z", b"00000101000000Z",
        b"202611231900Z", b"20261123190000z", b" 0261123190000Z", "２0261123190000Z".encode(),
        b"20261123190000.1234567891Z",
    ],
)  # fmt: skip
def test_times(content: bytes) -> None:
    with pytest.raises(DerMalformed):
        generalized_time(content)


def test_booleans_are_true_or_left_out() -> None:
    assert whole(b"\x01\x01\xff").boolean()
    for content in (b"\x00", b"\x01", b"\xff\xff", b""):
        with pytest.raises(DerMalformed):
            whole(encode(BOOLEAN, content)).boolean()


def test_members_are_read_in_order_and_to_the_end() -> None:
    members = whole(encode(SEQUENCE, encode_integer(1), encode_integer(2))).members()
    assert members.optional(OID) is None
    assert members.next(INTEGER).integer() == 1
    with pytest.raises(DerMalformed):
        members.finish()
    with pytest.raises(DerMalformed):
        members.next(OID)
    members.finish()
    with pytest.raises(DerMalformed):
        members.next()
    with pytest.raises(DerMalformed):
        whole(encode(SET)).members()
    with pytest.raises(DerMalformed):
        whole(encode(SEQUENCE, *[encode_integer(1)] * 3)).members().rest(2)


def test_a_member_cannot_reach_beyond_its_parent() -> None:
    inner = b"\x30\x05\x02\x01\x01"
    with pytest.raises(DerMalformed):
        whole(encode(SEQUENCE, inner) + encode_integer(7)).members()
    with pytest.raises(DerMalformed):
        whole(encode(SEQUENCE, inner)).members().next()


@given(st.integers(-(2**200), 2**200))
def test_integers_come_back(value: int) -> None:
    assert whole(encode_integer(value)).integer() == value


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**60), max_size=3))
def test_object_identifiers_come_back(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert whole(encode_oid(text)).oid() == text


@given(st.integers(0, 250_000_000_000), st.integers(0, 999_999_999))
def test_times_come_back(seconds: int, nanoseconds: int) -> None:
    assert generalized_time(whole(encode_time(seconds, nanoseconds)).value) == (seconds, nanoseconds)


@given(st.lists(st.binary(max_size=300).map(lambda content: encode(4, content)), unique=True, max_size=6))
def test_sets_are_written_sorted(members: list[bytes]) -> None:
    read = whole(encode_set(members)).members(SET).rest(6)
    assert is_sorted(read)
    assert sorted(one.raw for one in read) == sorted(members)
    if len(read) > 1:
        assert not is_sorted(read[::-1])


@given(st.binary(max_size=60))
def test_whatever_is_read_is_written_the_same(data: bytes) -> None:
    try:
        found = whole(data)
    except DerMalformed:
        return
    assert encode(found.tag, found.value) == data
