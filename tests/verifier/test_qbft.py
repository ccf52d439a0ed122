"""QBFT headers: seals, quorum and validator set, on recorded headers and on headers made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError
from protocol.hashing import keccak256
from verifier import qbft, rlp
from verifier.errors import (
    MptAccountAbsent,
    QbftMalformedHeader,
    QbftQuorumMissing,
    QbftSealerUnknown,
    QbftSealInvalid,
    QbftSealRepeated,
    QbftValidatorSetInvalid,
    QbftValidatorsMismatch,
    RlpLimit,
    RlpMalformed,
)

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
RECORDED = json.loads((Path(__file__).parents[1] / "vectors" / "recorded" / "qbft.json").read_text())
PROOFS = RECORDED["storage_proofs"]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def address(key: PrivateKey) -> bytes:
    return keccak256(key.public_key.format(compressed=False)[1:])[12:]


SIGNERS = sorted((PrivateKey(bytes([i]) * 32) for i in range(1, 8)), key=address)


def make(
    signers: list[PrivateKey],
    seals: list[PrivateKey] | None = None,
    *,
    fields: dict[int, Any] | None = None,
    extra: dict[int, Any] | None = None,
    later: list[bytes] | None = None,
) -> tuple[bytes, list[bytes]]:
    """A sealed header and its validator set."""
    validators = [address(key) for key in signers]
    parts: dict[int, Any] = dict(enumerate([bytes(32), validators, [], b"\2"])) | (extra or {})
    base: list[Any] = [bytes(32), bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256)]
    base += [b"\1", b"\x2f", b"\1\0", b"", b"\x65\0\0\0", b"", qbft.MIX_HASH, bytes(8), *(later or [])]
    for position, value in (fields or {}).items():
        base[position] = value

    def encoded(seal_list: list[Any]) -> bytes:
        body = [parts[0], parts[1], parts[2], parts[3], parts.get(4, seal_list)]
        return rlp.encode([*base[:12], rlp.encode(body), *base[13:]])

    unsealed = rlp.encode([*base[:12], rlp.encode([parts[0], parts[1], parts[2], parts[3], []]), *base[13:]])
    digest = keccak256(unsealed)
    made = [key.sign_recoverable(digest, hasher=None) for key in (signers if seals is None else seals)]
    return encoded(made), validators


def test_recorded_headers_have_their_hash_and_quorum() -> None:
    for entry in RECORDED["headers"]:
        raw = unhex(entry["header_rlp"])
        header, sealers = qbft.verify_header(raw, qbft.parse_header(raw).validators)
        assert header.block_hash == unhex(entry["block_hash"])
        assert len(set(sealers)) == len(sealers) >= qbft.quorum(len(header.validators))


def test_recorded_storage_opens_with_its_facts() -> None:
    for entry in PROOFS:
        proven = qbft.verify_qbft_storage(*arguments(entry))
        assert proven.value == unhex(entry["value"])
        assert proven.code_hash == unhex(entry["proof"]["codeHash"])
        assert (proven.height, proven.block_hash) == (entry["block_number"], unhex(entry["block_hash"]))
        assert proven.time == int.from_bytes(rlp.decode(unhex(entry["header_rlp"]))[11], "big")  # type: ignore[arg-type]


def arguments(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (
        unhex(entry["header_rlp"]),
        [unhex(v) for v in entry["validators"]],
        unhex(entry["contract"]),
        unhex(entry["slot"]),
        [unhex(node) for node in entry["proof"]["accountProof"]],
        [unhex(node) for node in entry["proof"]["storageProof"][0]["proof"]],
    )


def test_proofs_of_another_block_or_contract_are_refused() -> None:
    first, second = arguments(PROOFS[0]), arguments(PROOFS[1])
    for position in (0, 4, 5):
        mixed = [*first]
        mixed[position] = second[position]
        with pytest.raises(CaseledgerError):
            qbft.verify_qbft_storage(*mixed)
    with pytest.raises(MptAccountAbsent):
        # An address whose path leaves the recorded branch at an empty child: provably no account.
        qbft.verify_qbft_storage(first[0], first[1], _absent_like(first), first[3], first[4][:1], first[5])


def _absent_like(args: tuple[Any, ...]) -> bytes:
    branch = rlp.decode(args[4][0])
    for i in range(10_000):
        candidate = i.to_bytes(20, "big")
        if branch[keccak256(candidate)[0] >> 4] == b"":
            return candidate
    raise AssertionError


def test_every_absent_slot_of_a_recorded_account_is_proved_absent() -> None:
    header, validators, contract, _, account, storage = arguments(PROOFS[0])
    for slot in range(20):
        if slot == 5:
            continue
        proven = qbft.verify_qbft_storage(
            header, validators, contract, slot.to_bytes(32, "big"), account, storage
        )
        assert proven.value is None


def test_quorum_is_two_thirds_rounded_up() -> None:
    assert [qbft.quorum(n) for n in range(1, 11)] == [1, 2, 2, 3, 4, 4, 5, 6, 6, 7]


@pytest.mark.parametrize("count", range(1, 8))
def test_one_seal_below_the_quorum_is_refused(count: int) -> None:
    signers = SIGNERS[:count]
    needed = qbft.quorum(count)
    raw, validators = make(signers, signers[:needed])
    header, sealers = qbft.verify_header(raw, validators)
    assert (header.number, header.round, list(sealers)) == (47, 2, validators[:needed])
    raw, validators = make(signers, signers[: needed - 1])
    with pytest.raises(QbftQuorumMissing):
        qbft.verify_header(raw, validators)


def test_repeated_and_foreign_seals_are_refused_even_above_the_quorum() -> None:
    four = SIGNERS[:4]
    raw, validators = make(four, [*four[:3], four[0]])
    with pytest.raises(QbftSealRepeated):
        qbft.verify_header(raw, validators)
    raw, _ = make(four, [*four[:3], SIGNERS[6]])
    with pytest.raises(QbftSealerUnknown):
        qbft.verify_header(raw, validators)
    raw, _ = make(four, [*four, four[0]])
    with pytest.raises(QbftSealRepeated):
        qbft.verify_header(raw, validators)


def test_only_the_trusted_set_in_the_headers_order_will_do() -> None:
    raw, validators = make(SIGNERS[:4])
    others = [address(key) for key in SIGNERS]
    for trusted in (validators[:3], others[:5], validators[::-1], [*validators[:3], others[5]]):
        with pytest.raises(QbftValidatorsMismatch):
            qbft.verify_header(raw, trusted)
    for trusted in ([], [*validators, validators[0]], [*validators[:3], b"short"]):
        with pytest.raises(QbftValidatorSetInvalid):
            qbft.verify_header(raw, trusted)


def test_a_seal_has_one_form() -> None:
    four = SIGNERS[:4]
    raw, validators = make(four)
    header = qbft.parse_header(raw)
    seal = header.seals[0]
    r, s, v = seal[:32], int.from_bytes(seal[32:64], "big"), seal[64]
    mirrored = r + (N - s).to_bytes(32, "big") + bytes([1 - v])
    for bad in (
        mirrored,  # the same signer under ECDSA, but malleable
        seal[:64] + bytes([v + 27]),
        seal[:64] + bytes([v + 2]),
        bytes(65),
        b"\xff" * 32 + seal[32:],
    ):
        raw, _ = make(four, extra={4: [bad, *header.seals[1:]]})
        with pytest.raises(QbftSealInvalid):
            qbft.verify_header(raw, validators)
    other_round = make(four, extra={3: b"\3", 4: list(header.seals)})[0]
    with pytest.raises((QbftSealerUnknown, QbftSealInvalid)):
        qbft.verify_header(other_round, validators)


def test_later_forks_add_fields_that_the_hash_covers() -> None:
    later = [b"\7", bytes(32), b"", b"", bytes(32), bytes(32)]
    hashes = set()
    for count in range(len(later) + 1):
        raw, validators = make(SIGNERS[:4], later=later[:count])
        hashes.add(qbft.verify_header(raw, validators)[0].block_hash)
    assert len(hashes) == len(later) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {0: bytes(31)}},
        {"fields": {2: bytes(32)}},
        {"fields": {6: bytes(255)}},
        {"fields": {7: b"\2"}},
        {"fields": {8: b"\0\1"}},
        {"fields": {8: b"\1" * 9}},
        {"fields": {9: bytes(1)}},
        {"fields": {11: b"\1" * 9}},
        {"fields": {13: bytes(32)}},
        {"fields": {14: bytes(7)}},
        {"fields": {14: b"\1" + bytes(7)}},
        {"fields": {3: [bytes(32)]}},
        {"later": [b"\0"]},
        {"later": [b"", bytes(31)]},
        {"later": [b""] * 7},
        {"extra": {0: bytes(31)}},
        {"extra": {0: []}},
        {"extra": {1: b""}},
        {"extra": {1: [bytes(19)]}},
        {"extra": {1: [[bytes(20)]]}},
        {"extra": {2: [bytes(20)]}},
        {"extra": {2: [bytes(19), b""]}},
        {"extra": {2: [bytes(20), b"\1\1"]}},
        {"extra": {3: b"\0"}},
        {"extra": {3: b"\1" * 5}},
        {"extra": {3: []}},
        {"extra": {4: b""}},
    ],
)
def test_headers_of_another_form_are_refused(change: dict[str, Any]) -> None:
    raw, _ = make(SIGNERS[:4], **change)
    with pytest.raises((QbftMalformedHeader, RlpMalformed)):
        qbft.parse_header(raw)


@pytest.mark.parametrize("size", [0, 64, 66])
def test_a_seal_of_another_length_is_a_bad_seal(size: int) -> None:
    raw, validators = make(SIGNERS[:4], extra={4: [bytes(size)] * 5})
    with pytest.raises(QbftSealInvalid):
        qbft.verify_header(raw, validators)


def test_extra_data_that_is_no_rlp_is_named_so() -> None:
    fields = rlp.decode(make(SIGNERS[:4])[0])
    assert isinstance(fields, list)
    with pytest.raises(RlpMalformed):
        qbft.parse_header(rlp.encode([*fields[:12], b"\xc2\x81", *fields[13:]]))


def test_extra_data_must_be_one_list_of_five() -> None:
    raw, _ = make(SIGNERS[:4])
    fields = rlp.decode(raw)
    assert isinstance(fields, list)
    for bad in (b"", rlp.encode([bytes(32)]), rlp.encode([bytes(32), [], [], b"", [], b""]), b"\xc0\xc0"):
        with pytest.raises((QbftMalformedHeader, RlpMalformed)):
            qbft.parse_header(rlp.encode([*fields[:12], bad, *fields[13:]]))
    for shape in (rlp.encode(b"x"), rlp.encode(fields[:14]), raw + b"\0", b""):
        with pytest.raises((QbftMalformedHeader, RlpMalformed)):
            qbft.parse_header(shape)
    with pytest.raises(RlpLimit):
        qbft.parse_header(bytes(70_000))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=900), st.integers(0, 2))
def test_random_headers_are_refused_without_a_crash(data: bytes, wrap: int) -> None:
    if wrap == 1:
        fields = rlp.decode(make(SIGNERS[:4])[0])
        assert isinstance(fields, list)
        data = rlp.encode([*fields[:12], data, *fields[13:]])
    with pytest.raises(CaseledgerError):
        qbft.verify_header(data, [bytes(20)])
