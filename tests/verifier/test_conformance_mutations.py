"""Every recorded proof is accepted as it stands and refused with any authenticated character changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verifier.conformance import answer

RECORDED = Path(__file__).parents[1] / "vectors" / "recorded"
COMETBFT = json.loads((RECORDED / "cometbft.json").read_text())["vectors"]
QBFT = json.loads((RECORDED / "qbft.json").read_text())
# A signer who sealed none of the headers stands for the trust file alone; an absent word has two spellings:
# only lines where all have sealed and a word is there.
CLIQUE = [
    line
    for line in json.loads((RECORDED / "clique.json").read_text())["proofs"]
    if set(line["sealers"]) == set(line["signers"]) and int(line.get("value", "0x1"), 16)
]
FREE = {"kind", "about", "evm_block_hash", "proposer_priority"}
"""Fields that docs/spec/conformance.md lists as unauthenticated."""

ENTRIES = [
    *[pytest.param("ics23", entry, id=f"ics23-{i}") for i, entry in enumerate(COMETBFT)],
    *[pytest.param("mpt-qbft", entry, id=f"storage-{i}") for i, entry in enumerate(QBFT["storage_proofs"])],
    *[pytest.param("mpt-qbft", entry, id=f"header-{i}") for i, entry in enumerate(QBFT["headers"])],
    *[pytest.param("mpt-clique", entry, id=f"clique-{i}") for i, entry in enumerate(CLIQUE)],
]
# Characters between two checked ones; a prime, so that other columns are hit in every entry. The slow run
# takes all.
STRIDE = 11

Place = tuple[list[Any] | dict[str, Any], Any]


def places(value: Any) -> Iterator[Place]:
    """Every position of the entry that the proof covers, as (container, key)."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in items:
        if key in FREE:
            continue
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def other(char: str) -> str:
    """A different character that keeps the text well-formed wherever it can."""
    if char in "0123456789":
        return str((int(char) + 1) % 10)
    if char in "abcdef":
        return "abcdef"["bcdefa".index(char)]
    if char in "ABCDEF":
        return "ABCDEF"["BCDEFA".index(char)]
    if char.isalpha():
        return "g" if char != "g" else "h"
    return "A"


def changes(value: Any, stride: int) -> Iterator[Any]:
    """Other values of a scalar: each character replaced, dropped and case-flipped; integers moved."""
    if isinstance(value, str):
        for i in range(len(value) % stride if stride > 1 else 0, len(value), stride):
            yield value[:i] + other(value[i]) + value[i + 1 :]
            yield value[:i] + value[i + 1 :]
            if value[i].swapcase() != value[i]:
                yield value[:i] + value[i].swapcase() + value[i + 1 :]
        yield from (value + "0", None, 7, [value])
    elif value is None:
        yield from ("", "00" * 32, 0, [])
    elif isinstance(value, int):
        yield from (value + 1, value - 1, -value - 1, str(value), float(value), bool(value), 1 << 70, None)
    elif isinstance(value, list):
        for i in range(len(value)):
            yield value[:i] + value[i + 1 :]
            yield [*value[: i + 1], *value[i:]]
            if i + 1 < len(value) and value[i] != value[i + 1]:
                yield [*value[:i], value[i + 1], value[i], *value[i + 2 :]]
        yield from (None, {}, "x")


def refused(kind: str, entry: Any) -> str:
    result = answer(kind, json.dumps(entry).encode())
    assert result["accepted"] is False, "a changed entry was accepted"
    assert result["code"] not in ("Ok", "VerifierFault"), result
    return str(result["code"])


def run_all(kind: str, entry: Any, stride: int) -> set[str]:
    entry = copy.deepcopy(entry)
    codes = set()
    for container, key in list(places(entry)):
        original = container[key]
        for value in changes(original, stride):
            if original is None and key == "signature" and value == "":
                continue  # two spellings of the same absent vote
            container[key] = value
            try:
                codes.add(refused(kind, entry))
            except AssertionError as error:
                raise AssertionError(
                    f"{error}: {key!r} {str(original)[:40]!r} -> {str(value)[:40]!r}"
                ) from error
        container[key] = original
        if isinstance(container, dict):
            del container[key]
            codes.add(refused(kind, entry))
            container[key] = original
    assert answer(kind, json.dumps(entry).encode())["accepted"] is True
    return codes


@pytest.mark.parametrize(("kind", "entry"), ENTRIES)
def test_an_unchanged_entry_is_accepted(kind: str, entry: Any) -> None:
    assert answer(kind, json.dumps(entry).encode())["code"] == "Ok"


@pytest.mark.parametrize(("kind", "entry"), ENTRIES)
def test_a_change_anywhere_is_refused(kind: str, entry: Any) -> None:
    run_all(kind, entry, STRIDE if kind == "ics23" or "proof" in entry else STRIDE * 5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "entry"), ENTRIES)
def test_a_change_of_every_single_character_is_refused(kind: str, entry: Any) -> None:
    run_all(kind, entry, 1)


@pytest.mark.parametrize(("kind", "entry"), ENTRIES)
def test_fields_listed_as_unauthenticated_do_not_matter(kind: str, entry: Any) -> None:
    entry = copy.deepcopy(entry)
    entry["kind"] = "something else"
    entry["about"] = entry["engine"] = {"any": ["thing"]}
    for validator in entry.get("validators", []):
        if isinstance(validator, dict):
            validator["proposer_priority"] = "999"
    assert answer(kind, json.dumps(entry).encode())["accepted"] is True


@pytest.mark.parametrize(("kind", "entry"), ENTRIES[:7])
def test_a_field_that_nobody_would_check_is_refused(kind: str, entry: Any) -> None:
    entry = copy.deepcopy(entry)
    for container in [entry, *[c[k] for c, k in places(entry) if isinstance(c[k], dict)]]:
        container["app_hash_checked"] = True
        assert refused(kind, entry) == "FieldUnknown"
        del container["app_hash_checked"]
