"""JSON from anybody: nesting is bounded before a recursive parser sees it, whatever the limit is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedInput
from protocol.expect import MAX_NESTING, json_value, nesting, text

LARGE = 1 << 24


@pytest.fixture
def raised_limit() -> Iterator[None]:
    """As one of the libraries does on import."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "text", [b"[" * 1_000_000, b'{"a":' * 500_000, b'["[",' * 300_000, b'["\\"",[' * 100_000]
)
def test_deep_text_is_refused_and_not_followed(raised_limit: None, text: bytes) -> None:
    with pytest.raises(MalformedInput):
        json_value(text, "body", max_bytes=LARGE)


@pytest.mark.parametrize("name", ["中\u3000文", "a\xa0b", "\U00040000", "é", "x y"])
def test_a_text_may_hold_what_a_reader_sees(name: str) -> None:
    assert text(name, "name", 100) == name


@pytest.mark.parametrize(
    "hidden", ["\x00", "\x1f", "\x7f", "\x9f", "\xad", "\u200b", "\u202e", "\u2066", "\ufeff", "\ud800"]
)
def test_a_text_does_not_hide_or_reorder(hidden: str) -> None:
    with pytest.raises(MalformedInput):
        text(f"a{hidden}b", "name", 100)


@pytest.mark.parametrize("text", [b'"' + b"[" * 1000 + b'"', b'["' + b"\\\\{" * 1000 + b'"]'])
def test_brackets_inside_strings_are_no_nesting(text: bytes) -> None:
    json_value(text, "body", max_bytes=LARGE)


def test_the_limit_itself_is_allowed() -> None:
    assert json_value(b"[" * MAX_NESTING + b"]" * MAX_NESTING, "body", max_bytes=LARGE) is not None
    with pytest.raises(MalformedInput):
        json_value(b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "body", max_bytes=LARGE)


def test_an_open_string_is_malformed() -> None:
    with pytest.raises(MalformedInput):
        json_value(b'"' + b"[" * 1000, "body", max_bytes=LARGE)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.booleans(),
)
def test_depth_is_the_depth_of_the_value(value: Any, ascii_only: bool) -> None:
    padded = [value, *([[]] * MAX_NESTING)]  # the count of brackets alone does not decide
    assert nesting(json.dumps(padded, ensure_ascii=ascii_only)) == max(2, depth(padded))


HOSTILE = [b"[]", b'"', b'["', b'[\\"', b'["\\', b'["\\"', b"[\\", b'["a"', b"\\", b'"\\\\']


@pytest.mark.parametrize("piece", HOSTILE)
def test_two_mebibytes_of_anything_cost_little(piece: bytes) -> None:
    """Quotes that never close would make every one of them a new beginning, in square time."""
    data = piece * (2**21 // len(piece))
    start = time.process_time()
    nesting(data)
    assert time.process_time() - start < 2
