"""Identifiers and salted references (docs/spec/entry.md, docs/spec/chain-state.md §1)."""

from __future__ import annotations

import re

from protocol import expect
from protocol.errors import MalformedInput
from protocol.hashing import keccak256, sha256

ADDRESS_LEN = 20
ID_LEN = 32
ZERO32 = bytes(32)
MAX_ORIGIN = 128

CASE_TAG = b"caseledger/case/v1"
CASE_REF_TAG = b"caseledger/case-ref/v1"
SUBJECT_REF_TAG = b"caseledger/subject-ref/v1"
ACTOR_REF_TAG = b"caseledger/actor-ref/v1"

# Printable ASCII but space (0x20) and "+": C2SP checkpoint origins end up in a line-oriented note.
_ORIGIN = re.compile(r"[!-*,-~]{1,128}")
_HEX32 = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{40})")


def check_origin(origin: str, field: str = "origin") -> str:
    """A log origin: 1 to 128 printable ASCII characters without space and plus.

    Raises:
        MalformedInput: anything else.
    """
    if not isinstance(origin, str) or _ORIGIN.fullmatch(origin) is None:
        raise MalformedInput(
            f"{field}: 1 to {MAX_ORIGIN} printable ASCII characters without space and plus", field=field
        )
    return origin


def log_id(origin: str) -> bytes:
    """keccak256 of the origin string, 32 bytes."""
    return keccak256(check_origin(origin).encode("ascii"))


def case_commitment(case_id: bytes) -> bytes:
    """What a leaf header says about a case; `case_id` is 32 random bytes."""
    return sha256(CASE_TAG + expect.octets(case_id, "case id", ID_LEN))


def case_ref(salt: bytes, case_id: bytes) -> bytes:
    """Case reference of a body (key 6)."""
    return _salted(CASE_REF_TAG, salt, case_id, "case id")


def subject_ref(salt: bytes, subject_id: bytes) -> bytes:
    """Subject reference of a body (key 7)."""
    return _salted(SUBJECT_REF_TAG, salt, subject_id, "subject id")


def actor_ref(salt: bytes, actor_id: bytes) -> bytes:
    """Actor reference of a body (key 8)."""
    return _salted(ACTOR_REF_TAG, salt, actor_id, "actor id")


def _salted(tag: bytes, salt: bytes, identifier: bytes, field: str) -> bytes:
    return sha256(tag + expect.octets(salt, "salt", ID_LEN) + expect.octets(identifier, field, ID_LEN))


def parse_hex32(text: str, field: str) -> bytes:
    """32 bytes from 64 hex digits of either case, with or without 0x, as a person may type them."""
    found = _HEX32.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise MalformedInput(f"{field}: 64 hex digits are expected", field=field)
    return bytes.fromhex(found[1])


def parse_address(text: str, field: str) -> bytes:
    """20 bytes from 40 hex digits of either case, with or without 0x. Ignores the EIP-55 checksum."""
    found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise MalformedInput(f"{field}: 40 hex digits are expected", field=field)
    return bytes.fromhex(found[1])


def format_address(address: bytes) -> str:
    """0x and lower-case hex."""
    return "0x" + expect.octets(address, "address", ADDRESS_LEN).hex()
