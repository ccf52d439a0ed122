"""Rows, leaves, sealed rows and batch files: every rule of case.md §1-4 has an input that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import case_batch, cbor
from protocol.batch_file import read_batch
from protocol.case_batch import (
    BatchHeader,
    BatchNotWhole,
    BatchRecipient,
    BatchTrailer,
    CaseLeaf,
    RowUndecryptable,
    SealedRow,
    Sealer,
    batch_root,
    frame,
    leaf_hash,
    open_row,
)
from protocol.case_row import CaseRow, Debtor, Product, Reachability, RowFlag, row_commitment
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput, UnknownVersion
from protocol.hashing import SHA256
from verifier.merkle import Tree, verify_inclusion

VECTORS = Path(__file__).parents[1] / "vectors" / "case.json"
ROW = CaseRow(
    7, "JK-2025-000001", Product.CREDIT_CARD, Debtor.PERSON, "示例甲", "11010119900307803X", "13800138000",
    "示例省示例市示例路1号", "2024-02-29", "2025-03-01", 1_000_000, 23_456, 0, 1_023_456, 120,
    Reachability.REACHABLE, RowFlag.ELDERLY | RowFlag.PETITION, RowFlag.ELDERLY, "偿还本金及利息",
)  # fmt: skip
CENTRE, CUSTODIAN = (
    X25519PrivateKey.from_private_bytes(b"\x21" * 32),
    X25519PrivateKey.from_private_bytes(b"\x22" * 32),
)
TO = [
    BatchRecipient(3, CENTRE.public_key().public_bytes_raw()),
    BatchRecipient(12, CUSTODIAN.public_key().public_bytes_raw()),
]
HEADER = BatchHeader(b"\x55" * 32, 7, tuple(TO), 1_800_000_000)


def made(count: int = 3) -> bytes:
    sealer = Sealer(TO)
    rows = [sealer.seal(7, 1, dataclasses.replace(ROW, contract=f"JK-{n}").encode()) for n in range(count)]
    return assembled([row.encode() for row in rows], [row.leaf for row in rows])


def assembled(frames: list[bytes], leaves: list[bytes], header: BatchHeader = HEADER) -> bytes:
    body = case_batch.MAGIC + frame(header.encode()) + b"".join(map(frame, frames))
    trailer = BatchTrailer(
        len(leaves), batch_root([leaf_hash(leaf) for leaf in leaves]), hashlib.sha256(body).digest()
    )
    return body + frame(trailer.encode())


def pieces(data: bytes, size: int = 37) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def test_a_row_comes_back_from_its_encoding() -> None:
    assert CaseRow.parse(ROW.encode()) == ROW


def test_nothing_of_a_person_is_in_the_printed_form() -> None:
    for secret in (ROW.contract, ROW.name, ROW.identity, str(ROW.phone), ROW.address, "1023456"):
        assert secret not in repr(ROW)


BAD_ROWS: dict[str, tuple[Any, Any, type[CaseledgerError]]] = {
    "version": (0, 2, UnknownVersion),
    "owner 0": (1, 0, MalformedInput),
    "no contract": (2, "", MalformedInput),
    "long contract": (2, "x" * 65, MalformedInput),
    "product 0": (3, 0, MalformedInput),
    "debtor 3": (4, 3, MalformedInput),
    "control character": (5, "a\x00b", MalformedInput),
    "17 characters": (6, "1" * 17, MalformedInput),
    "identity with a sign": (6, "1" * 17 + "-", MalformedInput),
    "phone of 12": (7, "1" * 12, MalformedInput),
    "no address": (8, None, MalformedInput),
    "no such day": (9, "2023-02-29", MalformedInput),
    "basic date": (9, "20230228", MalformedInput),
    "default before contract": (10, "2024-02-28", MalformedInput),
    "dollars": (11, "USD", MalformedInput),
    "sum": (12, (1_000_000, 23_456, 1, 1_023_456), MalformedInput),
    "three amounts": (12, (1, 2, 3), MalformedInput),
    "overdue": (13, 36_501, MalformedInput),
    "reachability 3": (14, 3, MalformedInput),
    "unknown flag": (15, 64, MalformedInput),
    "set, not stated": (16, 2, MalformedInput),
    "empty claims": (17, "", MalformedInput),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_row_that_breaks_a_rule_is_refused(name: str) -> None:
    key, value, error = BAD_ROWS[name]
    members = cbor.decode(ROW.encode(), max_bytes=9999)
    assert isinstance(members, dict)
    with pytest.raises(error):
        CaseRow.parse(cbor.encode({**members, key: value}))


def test_a_row_has_exactly_its_keys() -> None:
    members = cbor.decode(ROW.encode(), max_bytes=9999)
    assert isinstance(members, dict)
    with pytest.raises(MalformedInput):
        CaseRow.parse(cbor.encode({**members, 18: 1}))
    with pytest.raises(MalformedInput):
        CaseRow.parse(cbor.encode({k: v for k, v in members.items() if k != 17}))


def test_the_leaf_is_laid_out_as_specified() -> None:
    leaf = CaseLeaf(2, 0x01020304, b"\x0a" * 32, b"\x0b" * 32).encode()
    assert leaf == bytes.fromhex("01020000 01020304") + b"\x0a" * 32 + b"\x0b" * 32
    assert CaseLeaf.parse(leaf).encode() == leaf
    assert leaf_hash(leaf) == hashlib.sha256(b"\x00" + leaf).digest()


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [(0, 2, UnknownVersion), (1, 0, MalformedInput), (2, 1, MalformedInput), (3, 1, MalformedInput)],
)
def test_a_leaf_that_breaks_a_rule_is_refused(at: int, value: int, error: type[CaseledgerError]) -> None:
    leaf = bytearray(CaseLeaf(1, 7, b"\x0a" * 32, b"\x0b" * 32).encode())
    leaf[at] = value
    with pytest.raises(error):
        CaseLeaf.parse(bytes(leaf))


def test_a_leaf_needs_an_owner_and_72_bytes() -> None:
    leaf = CaseLeaf(1, 7, b"\x0a" * 32, b"\x0b" * 32).encode()
    for bad in (leaf[:4] + bytes(4) + leaf[8:], leaf[:-1], leaf + b"\0"):
        with pytest.raises(MalformedInput):
            CaseLeaf.parse(bad)


def test_each_recipient_opens_its_own_wrapped_key_and_no_other() -> None:
    encoded = ROW.encode()
    sealed = Sealer(TO).seal(7, 1, encoded)
    for position, (private, organisation) in enumerate([(CENTRE, 3), (CUSTODIAN, 12)]):
        opened = open_row(sealed, sealed.wrapped[position], organisation, private.private_bytes_raw())
        assert opened.row == ROW
        assert row_commitment(opened.salt, encoded) == CaseLeaf.parse(sealed.leaf).commitment
    with pytest.raises(RowUndecryptable):
        open_row(sealed, sealed.wrapped[0], 12, CENTRE.private_bytes_raw())
    with pytest.raises(RowUndecryptable):
        open_row(sealed, sealed.wrapped[1], 3, CENTRE.private_bytes_raw())


def test_length_of_a_row_does_not_show() -> None:
    short = Sealer(TO).seal(7, 1, ROW.encode())
    longer = Sealer(TO).seal(7, 1, dataclasses.replace(ROW, address=ROW.address + "12号楼").encode())
    assert len(short.ciphertext) == len(longer.ciphertext)


@pytest.mark.parametrize("part", ["leaf", "ciphertext"])
def test_a_sealed_row_is_bound_to_its_leaf(part: str) -> None:
    sealer = Sealer(TO)
    one, other = sealer.seal(7, 1, ROW.encode()), sealer.seal(7, 1, ROW.encode())
    mixed = dataclasses.replace(one, **{part: getattr(other, part)})
    with pytest.raises(RowUndecryptable):
        open_row(mixed, one.wrapped[0], 3, CENTRE.private_bytes_raw())


def test_a_row_of_another_product_than_its_leaf_is_refused() -> None:
    """A dishonest maker seals one row and commits to another."""
    sealed = Sealer(TO).seal(7, 2, ROW.encode())
    with pytest.raises(RowUndecryptable, match="commits"):
        open_row(sealed, sealed.wrapped[0], 3, CENTRE.private_bytes_raw())


def test_a_batch_file_is_read_back_whole() -> None:
    data = made()
    header, *rows, trailer = list(read_batch(pieces(data)))
    assert header == HEADER
    assert isinstance(trailer, BatchTrailer)
    assert trailer.count == len(rows) == 3
    hashes = [leaf_hash(row.leaf) for row in rows if isinstance(row, SealedRow)]
    for index, path in enumerate(Tree(SHA256, hashes).paths()):
        verify_inclusion(SHA256, hashes[index], index, 3, path, trailer.root)


def test_every_truncation_is_noticed() -> None:
    data = made(1)
    for end in range(0, len(data)):
        with pytest.raises((BatchNotWhole, MalformedInput)):
            list(read_batch(pieces(data[:end], 4096)))
    with pytest.raises(MalformedInput):
        list(read_batch([data + b"\0"]))
    with pytest.raises(MalformedInput):
        list(read_batch([data + frame(cbor.encode(()))]))


def test_every_changed_byte_is_noticed() -> None:
    data = made(1)
    for at in range(0, len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x10
        with pytest.raises(CaseledgerError):
            list(read_batch([bytes(changed)]))


def two_rows() -> list[SealedRow]:
    sealer = Sealer(TO)
    return [sealer.seal(7, 1, ROW.encode()), sealer.seal(7, 1, ROW.encode())]


def repeated(rows: list[SealedRow]) -> list[SealedRow]:
    return [rows[0], rows[0]]


def foreign(rows: list[SealedRow]) -> list[SealedRow]:
    return [rows[0], Sealer(TO).seal(8, 1, dataclasses.replace(ROW, owner=8).encode())]


def for_one(rows: list[SealedRow]) -> list[SealedRow]:
    return [rows[0], dataclasses.replace(rows[1], wrapped=rows[1].wrapped[:1])]


@pytest.mark.parametrize("change", [repeated, foreign, for_one])
def test_a_batch_has_each_case_once_and_one_owner(
    change: Callable[[list[SealedRow]], list[SealedRow]],
) -> None:
    rows = change(two_rows())
    data = assembled([row.encode() for row in rows], [row.leaf for row in rows])
    with pytest.raises(MalformedInput):
        list(read_batch([data]))


def test_an_empty_batch_and_a_wrong_root_are_refused() -> None:
    body = case_batch.MAGIC + frame(HEADER.encode())
    empty = cbor.encode({0: 0, 1: bytes(32), 2: hashlib.sha256(body).digest()})
    with pytest.raises(MalformedInput):
        list(read_batch([body + frame(empty)]))
    row = Sealer(TO).seal(7, 1, ROW.encode())
    body += frame(row.encode())
    wrong = BatchTrailer(1, b"\x09" * 32, hashlib.sha256(body).digest())
    with pytest.raises(BatchNotWhole):
        list(read_batch([body + frame(wrong.encode())]))


@pytest.mark.parametrize(
    "recipients", [(), (TO[0], TO[0]), (TO[0], dataclasses.replace(TO[1], organisation=3)), tuple(TO) * 9]
)
def test_recipients_are_named_once(recipients: tuple[BatchRecipient, ...]) -> None:
    with pytest.raises(MalformedInput):
        dataclasses.replace(HEADER, recipients=recipients).encode()


def test_a_frame_has_a_bound() -> None:
    with pytest.raises(LimitExceeded):
        frame(bytes(case_batch.MAX_FRAME + 1))
    with pytest.raises(LimitExceeded):
        list(read_batch([case_batch.MAGIC + b"\xff\xff\xff\xff" + bytes(100)]))


def test_a_key_without_shared_secret_is_refused() -> None:
    with pytest.raises(MalformedInput):
        Sealer([BatchRecipient(3, bytes(32))]).seal(7, 1, ROW.encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused_by_name(data: bytes) -> None:
    for parse in (CaseRow.parse, CaseLeaf.parse, lambda d: list(read_batch([case_batch.MAGIC + d]))):
        with pytest.raises(CaseledgerError):
            parse(data)


def test_vectors_come_out_the_same() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))
    leaves = []
    for case in vectors["cases"]:
        encoded = bytes.fromhex(case["row"])
        assert CaseRow.parse(encoded).encode() == encoded
        commitment = row_commitment(bytes.fromhex(case["salt"]), encoded)
        leaf = CaseLeaf(case["product"], vectors["owner"], bytes.fromhex(case["caseId"]), commitment).encode()
        assert leaf.hex() == case["leaf"]
        assert leaf_hash(leaf).hex() == case["leafHash"]
        leaves.append(leaf_hash(leaf))
    assert batch_root(leaves).hex() == vectors["root"]
    for index, case in enumerate(vectors["cases"]):
        path = [bytes.fromhex(node) for node in case["path"]]
        verify_inclusion(SHA256, leaves[index], index, len(leaves), path, batch_root(leaves))
    header, *rows, trailer = read_batch([bytes.fromhex(vectors["batch"]["file"])])
    assert isinstance(header, BatchHeader)
    assert isinstance(trailer, BatchTrailer)
    for position, recipient in enumerate(vectors["batch"]["recipients"]):
        for row, expected in zip(rows, vectors["batch"]["rows"], strict=True):
            assert isinstance(row, SealedRow)
            private = bytes.fromhex(recipient["private"])
            opened = open_row(row, row.wrapped[position], recipient["organisation"], private)
            assert opened.row.encode().hex() == expected
