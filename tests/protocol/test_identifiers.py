"""Identifiers: salted references, origins, hex that a person types."""

from __future__ import annotations

import hashlib

import pytest

from protocol import identifiers
from protocol.errors import MalformedInput
from protocol.hashing import keccak256

SALT, ID = b"\x01" * 32, b"\x02" * 32


def test_references_are_domain_separated_and_salted() -> None:
    assert identifiers.case_commitment(ID) == hashlib.sha256(b"caseledger/case/v1" + ID).digest()
    assert identifiers.case_ref(SALT, ID) == hashlib.sha256(b"caseledger/case-ref/v1" + SALT + ID).digest()
    made = {f(SALT, ID) for f in (identifiers.case_ref, identifiers.subject_ref, identifiers.actor_ref)}
    assert len(made) == 3
    assert identifiers.case_ref(ID, SALT) not in made


@pytest.mark.parametrize("bad", [b"", b"\x01" * 31, b"\x01" * 33])
def test_an_identifier_of_another_length_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedInput):
        identifiers.case_commitment(bad)
    with pytest.raises(MalformedInput):
        identifiers.case_ref(SALT, bad)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "日志", "a\n", "a\x7f", "x" * 129])
def test_origin_refuses(origin: str) -> None:
    with pytest.raises(MalformedInput):
        identifiers.log_id(origin)


@pytest.mark.parametrize("origin", ["a", "centre.example/evidence", "!~*,-", "x" * 128])
def test_log_id_is_the_hash_of_the_origin(origin: str) -> None:
    assert identifiers.log_id(origin) == keccak256(origin.encode())


def test_hex_as_a_person_types_it() -> None:
    assert identifiers.parse_hex32("0x" + "Ab" * 32, "case") == b"\xab" * 32
    assert identifiers.format_address(identifiers.parse_address("AB" * 20, "a")) == "0x" + "ab" * 20
    for bad in ("", "ab" * 31, "0xzz" + "ab" * 31, "ab" * 32 + "\n"):
        with pytest.raises(MalformedInput):
            identifiers.parse_hex32(bad, "case")
