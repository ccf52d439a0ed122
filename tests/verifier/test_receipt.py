"""Receipt bytes: one form, every byte held, parsers that cannot be made to fail or to work without bound."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cbor
from protocol.errors import CaseledgerError, LimitExceeded, UnknownVersion
from tests.support.fakechain import seeded
from tests.support.spans import Path, field_at, spans
from tests.support.world import AT, CASE_ID, World
from verifier.errors import MalformedReceipt, UnknownProofKind
from verifier.receipt import MAX_CORE, MAX_RECEIPT, Attestation, Core, Receipt
from verifier.verdict import Result
from verifier.verify import verify_receipt

KINDS = ("ics23", "mpt-qbft", "mpt-clique", "none")
REFUSED = (Result.INVALID, Result.INDETERMINATE)


@cache
def world(kind: str) -> World:
    return World(kind=kind)


@cache
def attested(kind: str) -> bytes:
    receipt = Receipt.parse(world(kind).receipt)
    return dataclasses.replace(receipt, attestations=(Attestation("later/v9", b"\x01\x02"),)).encode()


def unauthenticated(kind: str) -> set[Path]:
    """What receipt.md lists: fields of the core, and the list of attestations."""
    core: set[Path] = {(3,), (6, 0), (6, 1), (6, 2), (6, 5), (7, 1)} if kind == "none" else set()
    return {("core", *path) for path in core} | {("file", 3)}


def field_of(data: bytes, offset: int) -> Path:
    """The field a byte of the file belongs to, looking into the core."""
    start, end = next((s, e) for path, s, e in spans(data) if path == (2,))
    core = cbor.decode(data[start:end], max_bytes=MAX_RECEIPT)
    assert isinstance(core, bytes)
    inside = offset - (end - len(core))
    if 0 <= inside < len(core):
        return ("core", *field_at(core, inside))
    return ("file", *field_at(data, offset))


def survivors(data: bytes, kind: str, all_bits: bool = False) -> Iterator[tuple[int, int, Path]]:
    w = world(kind)
    for offset in range(len(data)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255) if all_bits else (1 << offset * 5 % 8,):
            changed = bytearray(data)
            changed[offset] ^= mask
            report = verify_receipt(bytes(changed), w.trust, content=w.content, at=AT, case_id=CASE_ID)
            if report.result not in REFUSED:
                yield offset, mask, field_of(data, offset)


def assert_only_listed_fields_survive(kind: str, all_bits: bool = False) -> None:
    allowed = unauthenticated(kind)
    data = attested(kind)
    seen: set[Path] = set()
    for offset, mask, field in survivors(data, kind, all_bits):
        owner = next((path for path in allowed if field[: len(path)] == path), None)
        assert owner is not None, f"byte {offset} ^ {mask:#x} in {field} was not noticed"
        seen.add(owner)
    assert ("file", 3) in seen


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_is_refused_or_in_a_listed_field(kind: str) -> None:
    assert_only_listed_fields_survive(kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_is_refused_or_in_a_listed_field(kind: str) -> None:
    assert_only_listed_fields_survive(kind, all_bits=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_and_every_added_byte_is_refused(kind: str) -> None:
    data, w = world(kind).receipt, world(kind)
    for end in range(0, len(data), 7):
        assert verify_receipt(data[:end], w.trust, at=AT).result is Result.INVALID
    assert verify_receipt(data + b"\x00", w.trust, at=AT).verdict("receipt").code == "MalformedReceipt"


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_member_of_any_array_is_refused(kind: str) -> None:
    """Every array of the core, one element dropped: shorter paths, fewer votes, fewer nodes."""
    w = world(kind)
    value = cbor.decode(w.core.encode(), max_bytes=MAX_CORE)
    for path, smaller in _dropped(value, ()):
        data = cbor.encode(["caseledger-receipt", 1, cbor.encode(smaller), []])
        report = verify_receipt(data, w.trust, content=w.content, at=AT)
        assert report.result in REFUSED, path


def _dropped(value: cbor.Value, path: Path) -> Iterator[tuple[Path, cbor.Value]]:
    if isinstance(value, tuple):
        for at in range(len(value)):
            yield (*path, at), value[:at] + value[at + 1 :]
            for inner, changed in _dropped(value[at], (*path, at)):
                yield inner, (*value[:at], changed, *value[at + 1 :])
    elif isinstance(value, dict):
        for key, member in value.items():
            for inner, changed in _dropped(member, (*path, key)):
                yield inner, {**value, key: changed}


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_member_of_any_array_is_refused(kind: str) -> None:
    """Every array of the core, one element twice: longer paths, a vote or a node too many."""
    w = world(kind)
    value = cbor.decode(w.core.encode(), max_bytes=MAX_CORE)
    for path, larger in _repeated(value, ()):
        core = cbor.encode(larger)
        if len(core) > MAX_CORE:
            continue
        report = verify_receipt(
            cbor.encode(["caseledger-receipt", 1, core, []]), w.trust, content=w.content, at=AT
        )
        assert report.result in REFUSED, path


def _repeated(value: cbor.Value, path: Path) -> Iterator[tuple[Path, cbor.Value]]:
    if isinstance(value, tuple):
        for at in range(len(value)):
            yield (*path, at), (*value[: at + 1], value[at], *value[at + 1 :])
            for inner, changed in _repeated(value[at], (*path, at)):
                yield inner, (*value[:at], changed, *value[at + 1 :])
    elif isinstance(value, dict):
        for key, member in value.items():
            for inner, changed in _repeated(member, (*path, key)):
                yield inner, {**value, key: changed}


@pytest.mark.parametrize("kind", KINDS)
def test_a_receipt_survives_encoding(kind: str) -> None:
    data = world(kind).receipt
    assert Receipt.parse(data).encode() == data
    assert len(data) < 8192
    assert Receipt.parse(attested(kind)).receipt_id == Receipt.parse(data).receipt_id


def envelope(*members: object) -> bytes:
    return cbor.encode(members)  # type: ignore[arg-type]


CORE = World().core.encode()
MALFORMED: dict[str, tuple[bytes, type[CaseledgerError]]] = {
    "empty": (b"", MalformedReceipt),
    "a map": (cbor.encode({0: 1}), MalformedReceipt),
    "another magic": (envelope("caseledger-trust", 1, CORE, []), MalformedReceipt),
    "a newer version": (envelope("caseledger-receipt", 2, CORE, []), UnknownVersion),
    "a newer version of another shape": (envelope("caseledger-receipt", 2), UnknownVersion),
    "version as text": (envelope("caseledger-receipt", "1", CORE, []), MalformedReceipt),
    "no attestations": (envelope("caseledger-receipt", 1, CORE), MalformedReceipt),
    "a fifth member": (envelope("caseledger-receipt", 1, CORE, [], 0), MalformedReceipt),
    "core as text": (envelope("caseledger-receipt", 1, "core", []), MalformedReceipt),
    "core too large": (envelope("caseledger-receipt", 1, bytes(MAX_CORE + 1), []), MalformedReceipt),
    "attestation without payload": (envelope("caseledger-receipt", 1, CORE, [["x"]]), MalformedReceipt),
    "attestation kind not text": (envelope("caseledger-receipt", 1, CORE, [[1, b""]]), MalformedReceipt),
    "attestation kind with an escape": (
        envelope("caseledger-receipt", 1, CORE, [["\x1b[2J", b""]]),
        MalformedReceipt,
    ),
    "65 attestations": (envelope("caseledger-receipt", 1, CORE, [["x", b""]] * 65), MalformedReceipt),
    "file too large": (
        envelope("caseledger-receipt", 1, CORE, [["x", bytes(MAX_RECEIPT)]]),
        MalformedReceipt,
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses(name: str) -> None:
    data, error = MALFORMED[name]
    with pytest.raises(error):
        Receipt.parse(data)


def test_a_core_of_a_newer_version_or_proof_kind_is_told_apart_from_a_malformed_one() -> None:
    value = cbor.decode(CORE, max_bytes=MAX_CORE)
    assert isinstance(value, dict)
    with pytest.raises(UnknownVersion):
        Core.parse(cbor.encode({**value, 0: 2, 9: None}))
    with pytest.raises(UnknownProofKind):
        Core.parse(cbor.encode({**value, 7: ["mpt-other", 1]}))
    w = World()
    newer: list[dict[cbor.Key, cbor.Value]] = [{**value, 0: 2}, {**value, 7: ("mpt-other", 1)}]
    for core in newer:
        report = verify_receipt(envelope("caseledger-receipt", 1, cbor.encode(core), []), w.trust, at=AT)
        assert report.result is Result.INDETERMINATE


def test_a_leaf_without_a_sequence_is_no_leaf_of_the_log() -> None:
    w = World()
    core = dataclasses.replace(w.core, leaf=w.core.leaf[:8] + bytes(8) + w.core.leaf[16:])
    with pytest.raises(MalformedReceipt):
        Receipt.parse(Receipt.of(core).encode())


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_noise_is_refused_without_another_error(data: bytes) -> None:
    with pytest.raises(CaseledgerError):
        Receipt.parse(data)


@settings(max_examples=150)
@given(st.data())
def test_spliced_receipts_never_verify_and_never_fail_otherwise(draw: st.DataObject) -> None:
    kind = draw.draw(st.sampled_from(KINDS[:2]))
    w = world(kind)
    data = bytearray(w.receipt)
    for _ in range(draw.draw(st.integers(1, 4))):
        at, length = draw.draw(st.integers(0, len(data))), draw.draw(st.integers(0, 40))
        data[at : at + length] = draw.draw(st.binary(max_size=40))
    if bytes(data) != w.receipt:
        # Attestations are the last byte of this file: an empty list.
        report = verify_receipt(bytes(data), w.trust, content=w.content, at=AT)
        assert report.result in REFUSED or data[:-1].startswith(w.receipt[:-1])


ODD: list[cbor.Value] = [None, True, 0, 1, 2**64 - 1, b"", bytes(32), "", "x", (), {}, ((),)]


@settings(max_examples=60)
@given(st.data())
def test_values_of_other_types_anywhere_in_the_core_are_refused(draw: st.DataObject) -> None:
    w = world(draw.draw(st.sampled_from(KINDS[:2])))
    value = cbor.decode(w.core.encode(), max_bytes=MAX_CORE)
    paths = [path for path, _, _ in spans(w.core.encode()) if path]
    path = draw.draw(st.sampled_from(paths))
    odd = draw.draw(st.sampled_from(ODD))
    changed = _put(value, path, odd)
    if changed == value:
        return
    report = verify_receipt(
        envelope("caseledger-receipt", 1, cbor.encode(changed), []), w.trust, content=w.content, at=AT
    )
    assert report.result in REFUSED


def _put(value: cbor.Value, path: Path, new: cbor.Value) -> cbor.Value:
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, head: _put(value[head], rest, new)}
    assert isinstance(value, tuple)
    assert isinstance(head, int)
    return (*value[:head], _put(value[head], rest, new), *value[head + 1 :])


HOSTILE = {
    "deep nesting": b"\x81" * MAX_RECEIPT,
    "a million announced items": b"\x9a\x00\x0f\x42\x40" + bytes(1000),
    "many small items": b"\x99\xff\xf0" + b"\x00" * 0xFFF0,
    "many empty maps": b"\x99\xff\xf0" + b"\xa0" * 0xFFF0,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_costs_little(name: str) -> None:
    start = time.process_time()
    with pytest.raises(CaseledgerError):
        Receipt.parse(HOSTILE[name])
    with pytest.raises(CaseledgerError):
        Core.parse(HOSTILE[name][:MAX_CORE])
    assert time.process_time() - start < 0.5


def test_a_long_merkle_path_is_refused_by_its_length() -> None:
    w = World()
    inclusion = dataclasses.replace(w.core.inclusion, path_sha256=tuple(seeded(n) for n in range(64)))
    with pytest.raises(MalformedReceipt, match=LimitExceeded.__name__):
        Receipt.parse(Receipt.of(dataclasses.replace(w.core, inclusion=inclusion)).encode())
