"""Names of tiles: one form each, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedInput
from protocol.tilepath import parse_tile_path, tile_path


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "00", "0000", "1234", "x001", "x000/001", "x001/x000/001/", "/001", "001.p/0", "001.p/256",
        "001.p/257", "001.p/01", "001.p/", "001.p", "X001/000", "x1/000", "001/002", "-01", "٠٠١",
        "x001/" * 7 + "000", "001\n",
    ],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_tile_path(text)


@pytest.mark.parametrize(("index", "width"), [(-1, 256), (0, 0), (0, 257)])
def test_numbers_out_of_range_have_no_name(index: int, width: int) -> None:
    with pytest.raises(MalformedInput):
        tile_path(index, width)


def test_names_of_the_specification() -> None:
    assert tile_path(0) == "000"
    assert tile_path(1_234_067) == "x001/x234/067"
    assert tile_path(273_056, 70) == "x273/056.p/70"


@given(st.integers(0, 10**15), st.integers(1, 256))
def test_each_name_is_read_back(index: int, width: int) -> None:
    assert parse_tile_path(tile_path(index, width)) == (index, width)
