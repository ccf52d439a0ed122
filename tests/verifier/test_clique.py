"""Clique headers: seals, turns, waiting, parents and depth, on headers made here and on recorded ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.acts import address_of
from protocol.errors import CaseledgerError, LimitExceeded
from protocol.hashing import keccak256
from tests.support.fakechain import clique_header, clique_headers, qbft_validators, seeded
from tests.support.world import LINK_TIME, World
from verifier import clique, rlp
from verifier.errors import (
    CliqueDepthMissing,
    CliqueMalformedHeader,
    CliqueParentMismatch,
    CliqueSealInvalid,
    CliqueSignerRecent,
    CliqueSignerSetInvalid,
    CliqueSignersMismatch,
    CliqueSignerUnknown,
    CliqueTimeReversed,
    CliqueTurnMismatch,
    RlpMalformed,
)
from verifier.receipt import Receipt
from verifier.verdict import Result, Status
from verifier.verify import verify_receipt

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
AT = LINK_TIME + 1000
ROOT = seeded("root")


def keys(count: int) -> list[PrivateKey]:
    return qbft_validators("clique", count)


def addresses(count: int) -> list[bytes]:
    return [address_of(key.public_key) for key in keys(count)]


def run(signers: int = 4, *, number: int = 41, **options: Any) -> tuple[bytes, ...]:
    return clique_headers(keys(signers), number=number, time=1000, state_root=ROOT, **options)


def test_more_than_half_of_the_signers_are_needed() -> None:
    assert [clique.headers_needed(n) for n in range(1, 9)] == [1, 2, 2, 3, 3, 4, 4, 5]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 21, 31])
def test_one_header_below_the_depth_is_refused(count: int) -> None:
    needed = clique.headers_needed(count)
    headers, sealers = clique.verify_headers(run(count), addresses(count))
    assert len(headers) == len(set(sealers)) == needed > count / 2
    assert (headers[0].number, headers[0].state_root) == (41, ROOT)
    with pytest.raises(CliqueDepthMissing):
        clique.verify_headers(run(count, count=needed - 1), addresses(count))


def test_more_headers_are_checked_alike_and_bounded() -> None:
    assert len(clique.verify_headers(run(count=16), addresses(4))[0]) == 16
    with pytest.raises(LimitExceeded):
        clique.verify_headers(run(count=17), addresses(4))
    longer = list(run(count=6))
    longer[5] = run(count=6, sealers=[1, 2, 3, 0, 1, 0])[5]
    with pytest.raises(CliqueSignerRecent):
        clique.verify_headers(longer, addresses(4))


@pytest.mark.parametrize(
    ("sealers", "error"),
    [
        ([1, 1, 2], CliqueSignerRecent),
        ([1, 2, 1], CliqueSignerRecent),
        ([1, 3, 0], None),
    ],
)
def test_a_signer_leaves_half_of_the_blocks_to_others(sealers: list[int], error: type | None) -> None:
    headers = run(sealers=sealers)
    if error is None:
        assert clique.verify_headers(headers, addresses(4))
        return
    with pytest.raises(error):
        clique.verify_headers(headers, addresses(4))


def test_a_stranger_among_the_sealers_is_refused() -> None:
    five = keys(5)
    stranger = next(key for key in five if address_of(key.public_key) not in addresses(4))
    good = run()
    parent = clique.parse_header(good[0])
    forged = clique_header(
        stranger, parent=parent.block_hash, number=42, time=1001, difficulty=1, state_root=ROOT
    )
    with pytest.raises(CliqueSignerUnknown):
        clique.verify_headers([good[0], forged, good[2]], addresses(4))


def test_headers_follow_each_other() -> None:
    first, second, third = run()
    skipped = run(count=4)[3]
    for broken in ([first, third, second], [first, second, run(number=42)[2]], [first, skipped, third]):
        with pytest.raises(CliqueParentMismatch):
            clique.verify_headers(broken, addresses(4))
    # The right number on another parent, and the right parent under another number.
    for number, parent in ((42, seeded("other")), (43, clique.parse_header(first).block_hash)):
        child = clique_header(
            keys(4)[number % 4], parent=parent, number=number, time=1001, difficulty=2, state_root=ROOT
        )
        with pytest.raises(CliqueParentMismatch):
            clique.verify_headers([first, child, third], addresses(4))
    older = clique_header(
        keys(4)[2], parent=clique.parse_header(first).block_hash, number=42, time=999, difficulty=2,
        state_root=ROOT,
    )  # fmt: skip
    with pytest.raises(CliqueTimeReversed):
        clique.verify_headers([first, older, third], addresses(4))


def test_difficulty_says_whose_turn_it_was() -> None:
    key = keys(4)[41 % 4]
    for number, difficulty in ((41, 1), (42, 2)):
        raw = clique_header(
            key, parent=ROOT, number=number, time=1000, difficulty=difficulty, state_root=ROOT
        )
        with pytest.raises(CliqueTurnMismatch):
            clique.verify_headers([raw], addresses(4))


def test_a_listed_signer_set_is_the_trusted_one() -> None:
    whole = addresses(4)
    assert clique.verify_headers(run(listed=whole), whole)[0][0].signers == tuple(whole)
    for listed in (whole[:3], whole[::-1], [*whole, bytes(20)]):
        with pytest.raises(CliqueSignersMismatch):
            clique.verify_headers(run(listed=listed), whole)


def test_the_trusted_set_is_ascending_distinct_and_bounded() -> None:
    whole = addresses(4)
    for trusted in ([], whole[::-1], [*whole, whole[3]], [*whole[:3], b"short"], addresses(32)):
        with pytest.raises(CliqueSignerSetInvalid):
            clique.verify_headers(run(), trusted)
    with pytest.raises((CliqueSignerUnknown, CliqueTurnMismatch)):
        clique.verify_headers(run(), whole[1:])


def test_a_seal_has_one_form() -> None:
    first, second, third = run()
    seal = clique.parse_header(first).seal
    r, s, v = seal[:32], int.from_bytes(seal[32:64], "big"), seal[64]
    mirrored = r + (N - s).to_bytes(32, "big") + bytes([1 - v])
    for bad in (
        mirrored,
        seal[:64] + bytes([v + 27]),
        seal[:64] + bytes([v + 2]),
        bytes(65),
        b"\xff" * 32 + seal[32:],
    ):
        with pytest.raises(CliqueSealInvalid):
            clique.verify_headers([first.replace(seal, bad), second, third], addresses(4))


def resealed(change: Callable[[list[Any]], None]) -> bytes:
    """A header of another form, sealed as it is."""
    fields = rlp.decode(run()[0])
    assert isinstance(fields, list)
    change(fields)
    return rlp.encode(fields)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, bytes(31)), (1, bytes(32)), (2, bytes(32)), (3, b""), (6, bytes(255)), (7, b""), (7, b"\3"),
        (7, b"\0\1"), (8, b"\0\1"), (8, b"\1" * 9), (9, bytes(1)), (10, b"\1" * 33), (11, b"\1" * 9),
        (13, b"\1" + bytes(31)), (13, bytes(31)), (14, bytes(7)), (14, b"\1" + bytes(7)), (15, b"\0"),
        (3, [bytes(32)]), (12, bytes(96)), (12, bytes(97 + 19)), (12, bytes(97 + 20 * 32)), (12, b""),
        (12, [bytes(97)]),
    ],
)  # fmt: skip
def test_headers_of_another_form_are_refused(position: int, value: Any) -> None:
    def change(fields: list[Any]) -> None:
        fields[position] = value

    with pytest.raises((CliqueMalformedHeader, RlpMalformed)):
        clique.parse_header(resealed(change))


def test_a_header_with_a_list_does_not_vote() -> None:
    for fields in ({2: seeded("candidate")[:20]}, {14: b"\xff" * 8}):
        raw = clique_header(
            keys(1)[0], parent=ROOT, number=9, time=1, difficulty=2, state_root=ROOT, listed=addresses(1),
            fields=fields,
        )  # fmt: skip
        with pytest.raises(CliqueMalformedHeader):
            clique.parse_header(raw)
        voting = clique_header(
            keys(1)[0], parent=ROOT, number=9, time=1, difficulty=2, state_root=ROOT, fields=fields
        )
        assert clique.parse_header(voting).number == 9


def test_a_header_is_one_list_of_fifteen_or_sixteen() -> None:
    fields = rlp.decode(run()[0])
    assert isinstance(fields, list)
    assert clique.parse_header(rlp.encode(fields[:15])).number == 41
    for shape in (
        rlp.encode(b"x"), rlp.encode(fields[:14]), rlp.encode([*fields, b"\1"]), run()[0] + b"\0", b"",
        bytes(2049), rlp.encode([*fields[:12], b"", *fields[13:]]),
    ):  # fmt: skip
        with pytest.raises((CliqueMalformedHeader, RlpMalformed)):
            clique.parse_header(shape)


def test_no_changed_byte_of_any_header_passes() -> None:
    headers = run()
    for at, raw in enumerate(headers):
        for position in range(len(raw)):
            changed = bytearray(raw)
            changed[position] ^= 1 << position % 8
            with pytest.raises(CaseledgerError):
                clique.verify_headers([*headers[:at], bytes(changed), *headers[at + 1 :]], addresses(4))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=900), st.integers(0, 2))
def test_random_headers_are_refused_without_a_crash(data: bytes, wrap: int) -> None:
    if wrap == 1:
        fields = rlp.decode(run()[0])
        assert isinstance(fields, list)
        data = rlp.encode([*fields[:12], data, *fields[13:]])
    with pytest.raises(CaseledgerError):
        clique.verify_headers([data], [bytes(20)])


def test_recorded_headers_have_their_hash_and_signers() -> None:
    path = Path(__file__).parents[1] / "vectors" / "recorded" / "clique.json"
    for line in json.loads(path.read_text())["proofs"]:
        raws = [bytes.fromhex(raw[2:]) for raw in line["headers"]]
        signers = [bytes.fromhex(one[2:]) for one in line["signers"]]
        headers, sealers = clique.verify_headers(raws, signers)
        assert headers[0].block_hash.hex() == line["block_hash"][2:]
        assert ["0x" + one.hex() for one in sealers] == [one.lower() for one in line["sealers"]]
        for header in headers:
            assert list(header.signers) == (signers if header.number % 16 == 0 else [])


# The kind in a receipt

WORLD = World(kind="mpt-clique")


def test_depth_is_never_finality() -> None:
    report = verify_receipt(WORLD.receipt, WORLD.trust, at=AT, content=WORLD.content)
    assert report.result is Result.VALID_REDUCED_TRUST
    assert report.missing == ("DepthFinality",)
    finality = report.verdict("finality")
    assert (finality.status, finality.code, finality.detail) == (
        Status.REDUCED,
        "DepthFinality",
        "2 blocks on top",
    )
    assert ("block.depth", "2, 3/4") in finality.compared
    witnessed = World(kind="mpt-clique", version=2, witnesses=1)
    report = verify_receipt(witnessed.attested(witnessed.witness()), witnessed.trust, at=AT)
    assert report.missing == ("DepthFinality",)


def test_a_closed_epoch_is_the_greater_lack() -> None:
    closed = World(kind="mpt-clique", to_height=WORLD.height + 3)
    assert verify_receipt(closed.receipt, closed.trust, at=AT).missing == ("ClosedEpoch",)


def test_all_headers_are_of_one_epoch() -> None:
    """The signers after the epoch's end are others: what they sealed is not depth under this set."""
    cut = World(kind="mpt-clique", to_height=WORLD.height + 2)
    report = verify_receipt(cut.receipt, cut.trust, at=AT)
    assert report.result is Result.INVALID
    assert report.verdict("finality").code == "EpochNotTrusted"


def with_headers(headers: tuple[bytes, ...]) -> bytes:
    core = dataclasses.replace(WORLD.core, proof=dataclasses.replace(WORLD.proof, headers=headers))  # type: ignore[arg-type]
    return Receipt.of(core).encode()


def test_headers_beyond_the_needed_ones_may_be_left_off_and_no_more() -> None:
    longer = World(kind="mpt-clique", headers=6)
    report = verify_receipt(longer.receipt, longer.trust, at=AT)
    assert report.verdict("finality").detail == "5 blocks on top"
    headers = longer.proof.headers  # type: ignore[union-attr]
    assert headers[:3] == WORLD.proof.headers  # type: ignore[union-attr]
    assert verify_receipt(with_headers(headers[:4]), WORLD.trust, at=AT).result is Result.VALID_REDUCED_TRUST
    report = verify_receipt(with_headers(headers[:2]), WORLD.trust, at=AT)
    assert report.verdict("finality").code == "CliqueDepthMissing"
    with pytest.raises(CaseledgerError):
        Receipt.parse(with_headers(()))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_changed_byte_of_a_receipt_counts(data: st.DataObject) -> None:
    whole = bytearray(WORLD.receipt)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    report = verify_receipt(bytes(whole), WORLD.trust, at=AT, content=WORLD.content)
    assert report.result in (Result.INVALID, Result.INDETERMINATE)


def test_another_network_with_the_same_signers_proves_nothing() -> None:
    twin = World(kind="mpt-clique", chain_id=7778)
    report = verify_receipt(with_headers(twin.proof.headers), WORLD.trust, at=AT)  # type: ignore[union-attr]
    assert report.result is Result.INVALID
    strangers = World(kind="mpt-clique", seed="others")
    assert verify_receipt(strangers.receipt, WORLD.trust, at=AT).verdict("finality").status is Status.FAIL


def test_the_hash_is_of_the_whole_header() -> None:
    raw = run()[0]
    assert clique.parse_header(raw).block_hash == keccak256(raw)
