"""Totals of a batch: the file opens the commitment; every rule of case.md §8 has an input that breaks it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.case_totals import BatchTotals, ProductTotals, rules_digest
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput, UnknownVersion

VECTORS = Path(__file__).parents[1] / "vectors" / "case-totals.json"
ROOT, SALT = b"\x31" * 32, b"\x32" * 32
CARDS = ProductTotals(1, 150, 3_000_000, 40_000, 500, 3_040_500)
LOANS = ProductTotals(4, 50, 9_000_000, 0, 0, 9_000_000)
TOTALS = BatchTotals(ROOT, 7, (CARDS, LOANS), SALT)


def test_the_file_is_laid_out_as_specified_and_comes_back() -> None:
    expected = cbor.encode(
        {
            0: 1,
            1: ROOT,
            2: 7,
            3: [(1, 150, 3_000_000, 40_000, 500, 3_040_500), (4, 50, 9_000_000, 0, 0, 9_000_000)],
            4: SALT,
        }
    )
    assert TOTALS.encode() == expected
    assert BatchTotals.parse(expected) == TOTALS
    assert TOTALS.commitment == hashlib.sha256(b"caseledger/case-totals/v1" + expected).digest()
    assert (TOTALS.count, TOTALS.total) == (200, 12_040_500)


def test_vectors_hold() -> None:
    vectors = json.loads(VECTORS.read_text())
    for one in vectors["totals"]:
        totals = BatchTotals.parse(bytes.fromhex(one["file"]))
        assert totals.encode().hex() == one["file"]
        assert totals.commitment.hex() == one["commitment"]
        assert [dataclasses.astuple(product) for product in totals.products] == [
            tuple(row) for row in one["products"]
        ]
    for one in vectors["rules"]:
        triage = None if one["triage"] is None else bytes.fromhex(one["triage"])
        assert rules_digest(one["version"], one["codes"], triage).hex() == one["digest"]
    for one in vectors["refused"]:
        with pytest.raises(CaseledgerError) as caught:
            BatchTotals.parse(bytes.fromhex(one["file"]))
        assert caught.value.code == one["code"], one["why"]


BAD: dict[str, tuple[int, Any, type[CaseledgerError]]] = {
    "version": (0, 2, UnknownVersion),
    "short root": (1, bytes(31), MalformedInput),
    "owner 0": (2, 0, MalformedInput),
    "no product": (3, (), MalformedInput),
    "a product twice": (3, ((1, 1, 1, 0, 0, 1), (1, 1, 1, 0, 0, 1)), MalformedInput),
    "descending": (3, ((2, 1, 1, 0, 0, 1), (1, 1, 1, 0, 0, 1)), MalformedInput),
    "product 256": (3, ((256, 1, 1, 0, 0, 1),), MalformedInput),
    "no case": (3, ((1, 0, 1, 0, 0, 1),), MalformedInput),
    "sum": (3, ((1, 1, 1, 1, 0, 1),), MalformedInput),
    "too many cases": (3, ((1, 1_000_000, 1, 0, 0, 1), (2, 1, 1, 0, 0, 1)), MalformedInput),
    "five members": (3, ((1, 1, 1, 0, 1),), MalformedInput),
    "short salt": (4, bytes(31), MalformedInput),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_breaks_a_rule_is_refused(name: str) -> None:
    key, value, error = BAD[name]
    members = cbor.decode(TOTALS.encode(), max_bytes=9999)
    assert isinstance(members, dict)
    with pytest.raises(error):
        BatchTotals.parse(cbor.encode({**members, key: value}))
    with pytest.raises(MalformedInput):
        BatchTotals.parse(cbor.encode({k: v for k, v in members.items() if k != key}))


def test_a_long_file_is_refused_unread() -> None:
    with pytest.raises(LimitExceeded):
        BatchTotals.parse(bytes(16_385))


def test_two_openings_of_the_same_sums_do_not_show_that_they_are_the_same() -> None:
    first, second = (BatchTotals.fresh(ROOT, 7, [LOANS, CARDS]) for _ in range(2))
    assert first.products == second.products == (CARDS, LOANS)
    assert first.commitment != second.commitment


def test_nothing_of_the_sums_is_in_the_printed_form() -> None:
    assert "3040500" not in repr(TOTALS)
    assert SALT.hex() not in repr(TOTALS)


@given(st.binary(max_size=200))
def test_any_bytes_are_totals_or_a_named_error(data: bytes) -> None:
    with contextlib.suppress(CaseledgerError):
        BatchTotals.parse(data)


def test_the_digest_of_the_rules_depends_on_each_of_its_parts() -> None:
    digests = {
        rules_digest(version, codes, triage)
        for version in ("1", "2")
        for codes in (["a", "b"], ["a"])
        for triage in (None, bytes(32))
    }
    assert len(digests) == 8
    assert rules_digest("1", ["b", "a"], None) == rules_digest("1", ["a", "b"], None)
