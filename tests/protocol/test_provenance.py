"""Provenance statements: strict, the same bytes for the same words, complete or said not to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.errors import CaseledgerError, UnknownVersion
from protocol.provenance import (
    FORMS,
    Collector,
    EnvironmentCheck,
    MalformedProvenance,
    Provenance,
    provenance_digest,
)

WHOLE = Provenance(
    salt=b"\x07" * 32,
    source_system="核心业务系统",
    generating_event="客户签署",
    generated_at=1_790_000_000,
    mechanism="业务系统在正常经营中自动生成",
    collector=Collector("caseledger-agent", "0.1.0", b"\x01" * 32),
    environment=EnvironmentCheck("系统完整性", True, 1_790_000_100),
    extraction="按合同号导出，可重复",
    transfer=("影像平台", "存证前置机"),
    original="档案库 B-12",
    form="born-digital",
)
LEAST = Provenance(salt=b"\x08" * 32)
TEXT = st.text(min_size=1, max_size=60).filter(str.isprintable)


@pytest.mark.parametrize("statement", [WHOLE, LEAST])
def test_a_statement_is_read_as_it_was_written(statement: Provenance) -> None:
    assert Provenance.parse(statement.encode()) == statement


def test_what_is_not_stated_is_named() -> None:
    assert WHOLE.missing == ()
    assert "original" in LEAST.missing
    assert len(LEAST.missing) == 9


@given(
    text=st.one_of(st.none(), TEXT),
    at=st.one_of(st.none(), st.integers(0, 2**40 - 1)),
    hops=st.lists(TEXT, max_size=16),
    form=st.one_of(st.none(), st.sampled_from(FORMS)),
    salt=st.binary(min_size=32, max_size=32),
)
def test_any_statement_round_trips_and_another_salt_is_another_digest(
    text: str | None, at: int | None, hops: list[str], form: str | None, salt: bytes
) -> None:
    made = Provenance(salt, source_system=text, generated_at=at, transfer=tuple(hops), form=form)
    data = made.encode()
    assert Provenance.parse(data) == made
    other = replace(made, salt=bytes(32) if salt != bytes(32) else b"\x01" * 32)
    assert provenance_digest(other.encode()) != provenance_digest(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, ""),
        (1, "x" * 501),
        (1, "a\nb"),
        (1, 5),
        (3, 2**40),
        (5, ["name", "1"]),
        (5, ["name", "1", b"\x01" * 31]),
        (6, ["what", 2, 1]),
        (8, ["hop"] * 17),
        (8, None),
        (10, 4),
        (11, b"\x01" * 31),
        (12, None),
    ],
)
def test_a_member_against_its_rule_is_refused(key: int, value: object) -> None:
    members = cbor.decode(WHOLE.encode(), max_bytes=8192, max_depth=3, max_items=64)
    assert isinstance(members, dict)
    with pytest.raises(MalformedProvenance):
        Provenance.parse(cbor.encode({**members, key: value}))  # type: ignore[dict-item]


def test_another_version_is_said_to_be_one() -> None:
    members = cbor.decode(LEAST.encode(), max_bytes=8192, max_depth=3, max_items=64)
    assert isinstance(members, dict)
    with pytest.raises(UnknownVersion):
        Provenance.parse(cbor.encode({**members, 0: 2}))


def test_too_long_a_statement_is_not_written() -> None:
    with pytest.raises(MalformedProvenance):
        replace(WHOLE, form="hearsay").encode()
    with pytest.raises(MalformedProvenance):
        replace(WHOLE, transfer=("路" * 166,) * 16, mechanism="由" * 166, original="存" * 166).encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_code_or_read(data: bytes) -> None:
    try:
        assert Provenance.parse(data).encode() == data
    except CaseledgerError as error:
        assert error.code in ("MalformedProvenance", "UnknownVersion")  # noqa: PT017 - anything else ends it
