"""Both ways to Keccak-256 agree, also across block borders."""

from __future__ import annotations

import pytest
from Crypto.Hash import keccak

from protocol import keccak as own


@pytest.mark.parametrize("size", [0, 1, 31, 32, 134, 135, 136, 137, 271, 272, 273, 5000])
def test_the_fast_way_is_the_ordinary_one(size: int) -> None:
    data = bytes(n * 7 % 256 for n in range(size))
    expected = keccak.new(data=data, digest_bits=256).digest()
    assert own.implementation()(data) == expected
    assert own._ordinary()(data) == expected


def test_the_fast_way_is_used_here() -> None:
    library = own._library()
    assert library is not None
    assert own._direct(library)(b"")[:4].hex() == "c5d24601"


def test_a_library_that_answers_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_direct", lambda library: lambda data: bytes(32))
    assert own.implementation()(b"")[:4].hex() == "c5d24601"
    monkeypatch.setattr(own, "_library", lambda: None)
    assert own.implementation()(b"")[:4].hex() == "c5d24601"
