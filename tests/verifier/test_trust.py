"""Trust file: every byte held, every rule between members, quorum by roles."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cbor
from protocol.errors import CaseledgerError, UnknownVersion
from tests.support import fakechain
from tests.support.fakechain import seeded
from tests.support.world import AT, LINK_TIME, World, signed, trust_key, trust_private
from verifier.errors import MalformedTrustFile, TrustQuorumMissing, TrustSignatureInvalid
from verifier.trust import MAX_TRUST, TrustFile
from verifier.trust_payload import Epoch, TrustedChain, TrustedLog, TrustPayload
from verifier.verdict import Changed, Result
from verifier.verify import verify_receipt

WORLD = World()
PAYLOAD = WORLD.payload
CHAIN = PAYLOAD.chains[0]
EPOCH = CHAIN.epochs[0]
LOG = PAYLOAD.logs[0]


def refused(trust: bytes) -> bool:
    report = verify_receipt(WORLD.receipt, trust, content=WORLD.content, at=AT)
    return report.result in (Result.INVALID, Result.INDETERMINATE)


def check_mutations(masks: tuple[int, ...]) -> None:
    data = WORLD.trust
    TrustFile.parse(data).check()
    for offset in range(len(data)):
        for mask in masks:
            changed = bytearray(data)
            changed[offset] ^= mask
            try:
                TrustFile.parse(bytes(changed)).check()
            except CaseledgerError:
                continue
            pytest.fail(f"byte {offset} ^ {mask:#x} was not noticed")


def test_every_changed_byte_is_refused() -> None:
    check_mutations((1, 128))


@pytest.mark.slow
def test_every_flipped_bit_is_refused() -> None:
    check_mutations((1, 2, 4, 8, 16, 32, 64, 128, 255))


def test_a_changed_trust_file_is_named() -> None:
    data = bytearray(WORLD.trust)
    data[len(data) // 2] ^= 1
    report = verify_receipt(WORLD.receipt, bytes(data), content=WORLD.content, at=AT)
    assert report.changed is Changed.TRUST_FILE


def test_every_truncation_and_an_added_byte_are_refused() -> None:
    for end in range(0, len(WORLD.trust), 5):
        with pytest.raises(MalformedTrustFile):
            TrustFile.parse(WORLD.trust[:end])
    with pytest.raises(MalformedTrustFile):
        TrustFile.parse(WORLD.trust + b"\x00")


def but(**changes: Any) -> TrustPayload:
    return dataclasses.replace(PAYLOAD, **changes)


def chain(**changes: Any) -> TrustPayload:
    return but(chains=(dataclasses.replace(CHAIN, **changes),))


def epochs(*members: Epoch) -> TrustPayload:
    return chain(epochs=members)


def epoch(**changes: Any) -> Epoch:
    return dataclasses.replace(EPOCH, **changes)


def log(**changes: Any) -> TrustedLog:
    return dataclasses.replace(LOG, **changes)


QBFT = World(kind="mpt-qbft").payload.chains[0]
MALFORMED: dict[str, TrustPayload] = {
    "serial 0": but(serial=0),
    "serial 1 with a predecessor": but(predecessor=seeded(1)),
    "serial 2 without one": but(serial=2),
    "predecessor short": but(serial=2, predecessor=b"\x01"),
    "window backwards": but(valid_until=PAYLOAD.issued_at - 1),
    "times over 40 bits": but(valid_until=2**40),
    "name empty": but(name=("", "x")),
    "name with a control character": but(name=("x\x1b[0m", "x")),
    "name with a direction override": but(name=("x\u202ey", "x")),
    "name too long": but(name=("字" * 86, "x")),
    "threshold 1": but(threshold=1),
    "threshold above the number of keys": but(threshold=5),
    "one key": but(keys=PAYLOAD.keys[:1]),
    "seventeen keys": but(keys=tuple(trust_key(f"court/{n}") for n in range(17))),
    "a key twice": but(keys=(*PAYLOAD.keys, PAYLOAD.keys[0])),
    "key short": but(keys=(dataclasses.replace(PAYLOAD.keys[0], public_key=b"\x01"), *PAYLOAD.keys[1:])),
    "unknown role": but(keys=(dataclasses.replace(PAYLOAD.keys[0], role="operator"), *PAYLOAD.keys[1:])),
    "all keys of one role": but(keys=(trust_key("court"), trust_key("court/2"))),
    "neither court nor regulator": but(keys=(trust_key("bank"), trust_key("centre"), trust_key("notary"))),
    "no chain": but(chains=()),
    "a chain twice": but(chains=(CHAIN, CHAIN)),
    "chain id 0": chain(chain_id=0),
    "unknown proof kind": chain(proof_kind="mpt-other"),
    "code hash short": chain(evidence_log=dataclasses.replace(CHAIN.evidence_log, code_hash=b"")),
    "address of 32 bytes": chain(registry=dataclasses.replace(CHAIN.registry, address=seeded(1))),
    "no epoch": epochs(),
    "epochs overlap": epochs(epoch(to_height=9), epoch(number=2, from_height=9)),
    "epochs descend": epochs(epoch(from_height=10, to_height=19), epoch(number=2, from_height=1)),
    "epoch number repeats": epochs(epoch(to_height=9), epoch(from_height=10)),
    "an open epoch before the last": epochs(epoch(), epoch(number=2, from_height=10)),
    "epoch ends before it begins": epochs(epoch(from_height=9, to_height=8)),
    "no validators": epochs(epoch(validators=())),
    "a validator twice": epochs(epoch(validators=(EPOCH.validators[0],) * 2)),
    "validators not in the chain's order": epochs(epoch(validators=EPOCH.validators[::-1])),
    "validator without power": epochs(
        epoch(validators=(dataclasses.replace(EPOCH.validators[0], power=0),))
    ),
    "validator key of an address's length": epochs(epoch(validators=QBFT.epochs[0].validators)),
    "129 validators": epochs(epoch(validators=tuple(
        dataclasses.replace(EPOCH.validators[0], public_key=seeded(n)) for n in range(129)))),
    "QBFT validator with power 2": but(chains=(dataclasses.replace(QBFT, epochs=(dataclasses.replace(
        QBFT.epochs[0], validators=(dataclasses.replace(QBFT.epochs[0].validators[0], power=2),)),)),)),
    "a log twice": but(logs=(LOG, LOG)),
    "log on an unknown chain": but(logs=(log(chain_id=9),)),
    "log origin with a space": but(logs=(log(origin="a b"),)),
    "log key short": but(logs=(log(log_key=b"\x01"),)),
    "log without operator": but(logs=(log(operator=0),)),
    "successor without an end": but(logs=(log(successor="next"), log(origin="next"))),
    "successor not listed": but(logs=(log(closed_size=5, successor="next"),)),
    "successor is the log itself": but(logs=(log(closed_size=5, successor=LOG.origin),)),
    "more witnesses than keys can be": but(witnesses_required=17),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses(name: str) -> None:
    with pytest.raises(MalformedTrustFile):
        TrustFile.draft(MALFORMED[name])


GOOD: dict[str, TrustPayload] = {
    "as it is": PAYLOAD,
    "two epochs": epochs(epoch(to_height=9), epoch(number=2, from_height=10)),
    "a gap between epochs": epochs(epoch(to_height=9), epoch(number=5, from_height=100)),
    "all epochs closed": epochs(epoch(to_height=9)),
    "closed log with a successor": but(logs=(log(closed_size=0, successor="next"), log(origin="next"))),
    "no log": but(logs=()),
    "development chain": World(kind="none").payload,
    "two chains": but(chains=(CHAIN, dataclasses.replace(QBFT, chain_id=8))),
    "sixteen keys": but(keys=(*(trust_key(f"court/{n}") for n in range(15)), trust_key("bank"))),
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    trust = TrustFile.draft(GOOD[name])
    assert TrustFile.parse(trust.encode()) == trust


def file(payload: object, signatures: object, version: object = 1) -> bytes:
    return cbor.encode(["caseledger-trust", version, payload, signatures])  # type: ignore[list-item]


RAW = PAYLOAD.encode()
SIG = bytes(64)
BAD_FILES: dict[str, tuple[bytes, type[CaseledgerError]]] = {
    "empty": (b"", MalformedTrustFile),
    "a receipt": (WORLD.receipt, MalformedTrustFile),
    "a newer version": (file(RAW, [], 2), UnknownVersion),
    "a newer payload": (file(cbor.encode({0: 5}), []), UnknownVersion),
    "payload not bytes": (file("x", []), MalformedTrustFile),
    "payload not a map": (file(b"\x80", []), MalformedTrustFile),
    "signatures descending": (file(RAW, [[1, SIG], [0, SIG]]), MalformedTrustFile),
    "a position twice": (file(RAW, [[1, SIG], [1, SIG]]), MalformedTrustFile),
    "a position without a key": (file(RAW, [[4, SIG]]), MalformedTrustFile),
    "signature of 63 bytes": (file(RAW, [[0, SIG[:63]]]), MalformedTrustFile),
    "too large": (file(bytes(MAX_TRUST), []), MalformedTrustFile),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_parse_refuses(name: str) -> None:
    data, error = BAD_FILES[name]
    with pytest.raises(error):
        TrustFile.parse(data)


QUORUMS: dict[str, tuple[tuple[str, ...], bool]] = {
    "court and regulator": (("court", "regulator"), True),
    "court and bank": (("court", "bank"), True),
    "everybody": (("court", "regulator", "centre", "bank"), True),
    "nobody": ((), False),
    "the operator alone": (("centre",), False),
    "the court alone": (("court",), False),
    "operator and bank without court or regulator": (("centre", "bank"), False),
}


@pytest.mark.parametrize("name", QUORUMS)
def test_quorum(name: str) -> None:
    roles, good = QUORUMS[name]
    trust = TrustFile.draft(PAYLOAD)
    for role in roles:
        key = trust_private(role)
        trust = trust.with_signature(key.public_key().public_bytes_raw(), key.sign(trust.message))
    if good:
        trust.check()
        assert not refused(trust.encode())
    else:
        with pytest.raises(TrustQuorumMissing):
            trust.check()
        report = verify_receipt(WORLD.receipt, trust.encode(), content=WORLD.content, at=AT)
        assert report.result is Result.INVALID
        assert report.verdict("trust-file").code == "TrustQuorumMissing"
        assert report.verdict("finality").status.value == "NOT_CHECKED"


def test_two_keys_of_one_role_are_not_two_roles() -> None:
    payload = but(keys=(trust_key("court"), trust_key("court/2"), trust_key("bank")), threshold=2)
    with pytest.raises(TrustQuorumMissing):
        TrustFile.parse(signed(payload, "court", "court/2")).check()


def test_a_threshold_of_three_needs_three() -> None:
    payload = but(threshold=3)
    with pytest.raises(TrustQuorumMissing):
        TrustFile.parse(signed(payload, "court", "regulator")).check()
    TrustFile.parse(signed(payload, "court", "regulator", "bank")).check()


def test_a_bad_signature_beyond_the_quorum_is_refused() -> None:
    trust = TrustFile.parse(WORLD.trust)
    bad = dataclasses.replace(trust, signatures=(*trust.signatures[:2], (2, bytes(64))))
    with pytest.raises(TrustSignatureInvalid):
        bad.check()


def test_a_signature_moved_to_another_key_is_refused() -> None:
    trust = TrustFile.parse(WORLD.trust)
    (_, first), (_, second), _ = trust.signatures
    with pytest.raises(TrustSignatureInvalid):
        dataclasses.replace(trust, signatures=((0, second), (1, first))).check()


def test_a_signature_over_the_payload_without_its_tag_is_refused() -> None:
    key = trust_private("court")
    trust = TrustFile.draft(PAYLOAD)
    with pytest.raises(TrustSignatureInvalid):
        trust.with_signature(key.public_key().public_bytes_raw(), key.sign(trust.payload_bytes))


def test_a_stranger_cannot_sign() -> None:
    key = fakechain.ed25519("stranger")
    trust = TrustFile.draft(PAYLOAD)
    with pytest.raises(TrustSignatureInvalid):
        trust.with_signature(key.public_key().public_bytes_raw(), key.sign(trust.message))


@pytest.mark.parametrize(
    ("at", "decided"),
    [
        (PAYLOAD.issued_at - 1, False),
        (LINK_TIME + 2, True),
        (PAYLOAD.valid_until, True),
        (PAYLOAD.valid_until + 1, False),
    ],
)
def test_outside_its_window_nothing_is_decided(at: int, decided: bool) -> None:
    report = verify_receipt(WORLD.receipt, WORLD.trust, content=WORLD.content, at=at)
    assert (report.result is Result.VALID) is decided
    if not decided:
        assert report.result is Result.INDETERMINATE
        assert report.verdict("trust-file").code == "OutsideTrustWindow"


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_noise_is_refused_without_another_error(data: bytes) -> None:
    for parse in (TrustFile.parse, lambda raw: TrustFile.parse(file(raw, []))):
        with pytest.raises(CaseledgerError):
            parse(data)


def test_hostile_input_costs_little() -> None:
    start = time.process_time()
    for data in (b"\x81" * MAX_TRUST, b"\x9a\x00\x0f\xff\xf0" + b"\xa0" * (MAX_TRUST - 5)):
        with pytest.raises(CaseledgerError):
            TrustFile.parse(data)
        with pytest.raises(CaseledgerError):
            TrustFile.parse(file(data[: MAX_TRUST - 64], []))
    assert time.process_time() - start < 3


def test_the_epoch_of_a_height_is_found() -> None:
    both: TrustedChain = epochs(epoch(to_height=9), epoch(number=2, from_height=11)).chains[0]
    numbers = [
        (found.number if (found := both.epoch_at(height)) else None) for height in (0, 1, 9, 10, 11, 99)
    ]
    assert numbers == [None, 1, 1, None, 2, 2]
