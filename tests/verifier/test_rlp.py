"""RLP: one encoding for each value, everything else refused with bounded work."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from verifier import rlp
from verifier.errors import RlpLimit, RlpMalformed
from verifier.rlp import RlpItem

ITEMS: st.SearchStrategy[RlpItem] = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=12
)


def depth(item: RlpItem) -> int:
    return 0 if isinstance(item, bytes) else 1 + max((depth(inner) for inner in item), default=0)


@given(ITEMS)
def test_what_is_encoded_is_read_back(item: RlpItem) -> None:
    assert rlp.decode(rlp.encode(item), max_depth=max(depth(item), 1)) == item


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_random_bytes_decode_canonically_or_are_refused(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except CaseledgerError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("83646f67", b"dog"),
        ("c88363617483646f67", [b"cat", b"dog"]),
        ("80", b""),
        ("c0", []),
        ("00", b"\0"),
        ("820400", b"\4\0"),
        ("c7c0c1c0c3c0c1c0", [[], [[]], [[], [[]]]]),
    ],
)
def test_yellow_paper_examples(text: str, item: RlpItem) -> None:
    assert rlp.decode(bytes.fromhex(text)) == item
    assert rlp.encode(item).hex() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8100",  # one small byte in a string
        "817f",
        "8400",  # cut off
        "b80100",  # long form of a short length
        "b90000",
        "b9003800",  # length with a leading zero
        "b8",
        "bfffffffffffffffff",
        "c101ff",  # bytes after the item
        "c2c1",  # inner list beyond the outer
        "c18161",
        "f80100",
        "f90001c0",
        "ffffffffffffffffff",
        "c281",
    ],
)
def test_other_encodings_are_refused(text: str) -> None:
    with pytest.raises(RlpMalformed):
        rlp.decode(bytes.fromhex(text))


def test_limits_hold() -> None:
    nested = b"\xc0"
    for _ in range(9):
        nested = bytes([0xC0 + len(nested)]) + nested
    with pytest.raises(RlpLimit):
        rlp.decode(nested)
    with pytest.raises(RlpLimit):
        rlp.decode(bytes((1 << 16) + 1))
    with pytest.raises(RlpLimit):
        rlp.decode(b"\x83abc", max_bytes=3)


def test_integers_have_no_leading_zero() -> None:
    assert rlp.to_int(b"") == 0
    assert rlp.to_int(rlp.from_int(258)) == 258
    assert rlp.from_int(0) == b""
    for bad in (b"\0", b"\0\1", bytes(33), b"\1" * 33):
        with pytest.raises(RlpMalformed):
            rlp.to_int(bad)
