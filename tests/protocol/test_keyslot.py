"""Packed key slots and storage positions, against eth_abi."""

from __future__ import annotations

import dataclasses

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from protocol import keyslot
from protocol.acts import Purpose
from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import keccak256
from protocol.keyslot import KeySlot, KeyState

SLOT = KeySlot(3, Purpose.ACT, 100, 200, 0, KeyState.ACTIVE)
A, H = b"\x0a" * 20, b"\x0b" * 32


def test_bits_are_those_of_the_specification() -> None:
    slot = KeySlot(0x01020304, Purpose.ORACLE, 0x0A0B0C0D0E, 0x1A1B1C1D1E, 0x2A2B2C2D2E, KeyState.CANCELLED)
    assert (
        slot.pack().hex() == "00" * 11 + "03" + "2a2b2c2d2e" + "1a1b1c1d1e" + "0a0b0c0d0e" + "04" + "01020304"
    )


@pytest.mark.parametrize(
    ("at", "valid", "change"),
    [
        (99, False, {}),
        (100, True, {}),
        (200, True, {}),
        (201, False, {}),
        (149, True, {"revoked_at": 150}),
        (150, False, {"revoked_at": 150}),
        (150, False, {"state": KeyState.ANNOUNCED}),
        (150, False, {"state": KeyState.CANCELLED}),
    ],
)
def test_valid_at(at: int, valid: bool, change: dict[str, object]) -> None:
    assert dataclasses.replace(SLOT, **change).valid_at(at) is valid  # type: ignore[arg-type]


@pytest.mark.parametrize("bit", [*range(168, 256)])
def test_upper_bits_must_be_zero(bit: int) -> None:
    word = int.from_bytes(SLOT.pack(), "big") | 1 << bit
    with pytest.raises(MalformedInput):
        KeySlot.parse(word.to_bytes(32, "big"))


@pytest.mark.parametrize(
    "word",
    [0, 1 << 32 | 3, 1 << 160, 9 << 32 | 1 << 160 | 3, 4 << 160 | 1 << 32 | 3, 1 << 160 | 1 << 32],
    ids=["empty", "no state", "no purpose", "purpose 9", "state 4", "no organisation"],
)
def test_parse_refuses(word: int) -> None:
    with pytest.raises(MalformedInput):
        KeySlot.parse(word.to_bytes(32, "big"))


@given(st.binary(min_size=32, max_size=32))
def test_what_parses_packs_to_the_same_word(word: bytes) -> None:
    try:
        slot = KeySlot.parse(word)
    except CaseledgerError:
        return
    assert slot.pack() == word


def test_positions_are_solidity_mapping_slots() -> None:
    assert keyslot.key_slot_position(A) == keccak256(abi_encode(["address", "uint256"], [A, 2]))
    assert keyslot.log_slot_position(H) == keccak256(abi_encode(["bytes32", "uint256"], [H, 2]))
    inner = keccak256(abi_encode(["bytes32", "uint256"], [H, 3]))
    assert keyslot.link_slot_position(H, 9) == keccak256(abi_encode(["uint64", "bytes32"], [9, inner]))


def test_batch_link_is_the_hash_of_its_abi_encoding() -> None:
    types = [
        "bytes32",
        "uint256",
        "address",
        "bytes32",
        "uint64",
        "bytes32",
        "uint64",
        "bytes32",
        "bytes32",
        "uint40",
    ]
    values = [
        keccak256(b"caseledger/batch-link/v1"),
        7777,
        A,
        H,
        3,
        b"\x01" * 32,
        12,
        b"\x02" * 32,
        b"\x03" * 32,
        99,
    ]
    link = keyslot.batch_link(
        chain_id=7777,
        contract=A,
        log_id=H,
        number=3,
        previous=b"\x01" * 32,
        size=12,
        root_sha256=b"\x02" * 32,
        root_sm3=b"\x03" * 32,
        time=99,
    )
    assert link == keccak256(abi_encode(types, values))
