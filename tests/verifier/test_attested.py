"""Attestations: what witnesses and later chain proofs add to a receipt, and what they never can."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cbor
from protocol.checkpoint import TYPE_MLDSA44, mldsa_message
from protocol.hashing import SHA256
from tests.support import fakechain
from tests.support.fakechain import seeded
from tests.support.world import (
    AT,
    BANK_A,
    BANK_B,
    COURT,
    LINK_TIME,
    POLICY,
    REGULATOR,
    World,
    signed,
)
from verifier.attestation import Cosignature, Where, WitnessAttestation, parse
from verifier.content import ContentDigests
from verifier.merkle_tree import Tree
from verifier.receipt import Attestation, Core, Receipt
from verifier.trust_payload import Epoch
from verifier.verdict import Report, Result, Status
from verifier.verify import verify_receipt
from verifier.witness_policy import Witness, WitnessPolicy

WORLD = World(version=2)
ONLY = World(version=2, validators_named=False)
NEITHER = World(version=2, validators_named=False, witnesses_named=False)
DEV = World(kind="none", version=2)
CLOSED = World(version=2, to_height=4712, closed_at=LINK_TIME + 100)
REQUIRED = World(version=2, witnesses=1)
QUORUM = (COURT, REGULATOR, BANK_A)
REDUCED = (Result.VALID_REDUCED_TRUST,)
GOOD = (Result.VALID, Result.VALID_REDUCED_TRUST)


def verify(receipt: bytes, trust: bytes, at: int = AT, **options: Any) -> Report:
    content: ContentDigests | None = options.pop("content", WORLD.content)
    return verify_receipt(receipt, trust, content=content, at=at, **options)


def codes(report: Report, *names: str) -> list[str]:
    return [report.verdict(name).code for name in names]


ANCHOR = ("append-only", "finality", "time", "signer", "neutrality")


# Validators, witnesses, both, neither


def test_witnesses_alone_give_reduced_trust_and_say_so() -> None:
    report = verify(ONLY.attested(), ONLY.trust)
    assert report.result is Result.VALID_REDUCED_TRUST
    assert set(report.missing) == {"WitnessesOnly"}
    assert codes(report, *ANCHOR) == [
        "WitnessesOnly",
        "WitnessesOnly",
        "Ok",
        "WitnessesOnly",
        "WitnessesOnly",
    ]
    assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 60, "witness")


def test_validators_and_witnesses_are_valid() -> None:
    report = verify(REQUIRED.attested(), REQUIRED.trust)
    assert report.result is Result.VALID, [one.as_dict() for one in report.verdicts]
    assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 2, "block")
    assert [one.code for one in report.attestations] == ["Ok", "Ok"]


def test_neither_validators_nor_witnesses_is_not_valid() -> None:
    for receipt in (NEITHER.receipt, NEITHER.attested(), ONLY.receipt):
        trust = NEITHER.trust if receipt != ONLY.receipt else ONLY.trust
        report = verify(receipt, trust)
        assert report.result is Result.INVALID
        assert report.verdict("finality").code == "EpochNotTrusted"


def test_keys_that_come_inside_the_receipt_prove_nothing() -> None:
    """A whole network of the sender's own: validators, log key and witnesses sign, and nobody named them."""
    own = World(version=2, seed="sender", origin="centre.example/evidence")
    stranger = fakechain.ed25519("sender's witness")
    line = WitnessAttestation(
        0, None, own.log_key.sign(own.checkpoint().text()),
        (Cosignature(b"\x01\x02\x03\x04", LINK_TIME + 60, stranger.sign(b"whatever")),),
    ).encode()  # fmt: skip
    assert verify(own.attested(line), own.trust).result is Result.VALID
    report = verify(own.attested(line), ONLY.trust)
    assert report.result is Result.INVALID
    assert report.verdict("finality").code == "EpochNotTrusted"
    assert [one.code for one in report.attestations] == ["WitnessUnknown"]
    assert (
        verify(own.attested(line), REQUIRED.trust).verdict("finality").code == "CometValidatorsHashMismatch"
    )


@pytest.mark.parametrize(
    "names", [(COURT,), (COURT, REGULATOR), (REGULATOR, BANK_A, BANK_B), (COURT, BANK_A, BANK_B)]
)
def test_too_few_witnesses_are_as_none(names: tuple[str, ...]) -> None:
    few = ONLY.witness(*names)
    assert verify(ONLY.attested(few), ONLY.trust).verdict("finality").code == "EpochNotTrusted"
    report = verify(REQUIRED.attested(few), REQUIRED.trust)
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("WitnessesMissing",))


def test_cosignatures_of_the_sm3_tree_do_not_stand_for_the_other() -> None:
    sm3 = ONLY.witness(algorithm=1)
    assert verify(ONLY.attested(sm3), ONLY.trust).verdict("finality").code == "EpochNotTrusted"
    assert verify(REQUIRED.attested(sm3), REQUIRED.trust).missing == ("WitnessesMissing",)


def test_a_quorum_is_over_one_tree() -> None:
    """Court and regulator saw one tree, the bank another: a split view would look like this."""
    apart = (ONLY.witness(COURT, REGULATOR), ONLY.witness(BANK_A, size=20))
    assert verify(ONLY.attested(*apart), ONLY.trust).verdict("finality").code == "EpochNotTrusted"
    together = (ONLY.witness(COURT, REGULATOR), ONLY.witness(BANK_A))
    assert verify(ONLY.attested(*together), ONLY.trust).result in REDUCED


def test_a_larger_tree_attests_with_its_own_path() -> None:
    for size in (14, 20, 64):
        report = verify(ONLY.attested(ONLY.witness(size=size)), ONLY.trust)
        assert report.result is Result.VALID_REDUCED_TRUST
        assert f", {size}: " in str(report.verdict("append-only").compared)


def test_a_development_chain_with_witnesses_rests_on_them() -> None:
    assert set(verify(DEV.attested(), DEV.trust).missing) == {"WitnessesOnly"}
    assert set(verify(DEV.receipt, DEV.trust).missing) == {"ChainProofNone"}


def test_the_earliest_quorum_counts() -> None:
    times = {COURT: LINK_TIME + 90, REGULATOR: LINK_TIME + 10, BANK_A: LINK_TIME + 70, BANK_B: LINK_TIME + 95}
    report = verify(ONLY.attested(ONLY.witness(time=times)), ONLY.trust)
    assert report.facts["notLaterThan"] == LINK_TIME + 90
    later = ONLY.witness(size=20, time=LINK_TIME + 80)
    report = verify(ONLY.attested(ONLY.witness(time=times), later), ONLY.trust)
    assert report.facts["notLaterThan"] == LINK_TIME + 80
    # A late cosignature over the same tree completes an early one.
    completed = (ONLY.witness(COURT, time=LINK_TIME + 5), ONLY.witness(REGULATOR, BANK_B, time=LINK_TIME + 7))
    assert verify(ONLY.attested(*completed), ONLY.trust).facts["notLaterThan"] == LINK_TIME + 7


def test_the_earlier_of_two_cosignatures_of_one_witness_counts_and_a_refused_attestation_gives_none() -> None:
    twice = (ONLY.witness(time=LINK_TIME + 50), ONLY.witness(time=LINK_TIME + 40))
    for order in (twice, twice[::-1]):
        assert verify(ONLY.attested(*order), ONLY.trust).facts["notLaterThan"] == LINK_TIME + 40
    found = parse(ONLY.witness(), 0)
    assert isinstance(found, WitnessAttestation)
    last = dataclasses.replace(found.cosignatures[-1], signature=bytes(64))
    spoilt = dataclasses.replace(found, cosignatures=(*found.cosignatures[:-1], last)).encode()
    assert verify(ONLY.attested(spoilt), ONLY.trust).verdict("finality").code == "EpochNotTrusted"


# What makes a receipt invalid


def witness(**changes: Any) -> WitnessAttestation:
    found = parse(WORLD.witness(), 0)
    assert isinstance(found, WitnessAttestation)
    return dataclasses.replace(found, **changes)


LINES = witness().cosignatures


def line(**changes: Any) -> Attestation:
    return witness(cosignatures=(dataclasses.replace(LINES[0], **changes), *LINES[1:])).encode()


def other_log() -> Attestation:
    return World(version=2, origin="centre.example/other").witness()


def foreign_root() -> Attestation:
    return World(version=2, seed="x", index=7).witness()


def twin_key() -> Attestation:
    """A cosignature by the SM3 key of a witness under the key id of its SHA-256 key."""
    sm3 = parse(WORLD.witness(algorithm=1), 0)
    assert isinstance(sm3, WitnessAttestation)
    return line(signature=sm3.cosignatures[0].signature)


def seeded_path(length: int) -> tuple[bytes, ...]:
    return tuple(seeded("path", n) for n in range(length))


BROKEN: dict[str, tuple[Attestation, str]] = {
    "log signature of zeros": (witness(log_signature=bytes(64)).encode(), "CheckpointSignatureInvalid"),
    "checkpoint of another log": (other_log(), "CheckpointSignatureInvalid"),
    "checkpoint of a tree with another leaf there": (foreign_root(), "CheckpointSignatureInvalid"),
    "SHA-256 cosignatures called SM3": (witness(algorithm=1).encode(), "CheckpointSignatureInvalid"),
    "log signature over the SM3 tree": (
        witness(log_signature=WORLD.log_key.sign(WORLD.checkpoint(1).text())).encode(),
        "CheckpointSignatureInvalid",
    ),
    "a named key's cosignature of zeros": (line(signature=bytes(64)), "CosignatureInvalid"),
    "another time": (line(time=LINK_TIME + 61), "CosignatureInvalid"),
    "signed by the key of the other tree": (twin_key(), "CosignatureInvalid"),
    "time 0": (WORLD.witness(time=0), "CosignatureInvalid"),
    "time after the evaluation": (WORLD.witness(time=AT + 1), "CosignatureInFuture"),
    "signature of the other kind's length": (line(signature=bytes(2420)), "CosignatureInvalid"),
    "larger tree, its path too short": (
        witness(where=Where(20, seeded_path(4))).encode(), "MerkleProofLength"
    ),
    "tree smaller than the batch": (WORLD.witness(size=12), "CheckpointTooSmall"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_attestation_is_never_passed_over(name: str) -> None:
    attestation, code = BROKEN[name]
    for world in (WORLD, ONLY, REQUIRED):
        report = verify(world.attested(world.witness(), attestation), world.trust)
        assert report.result is Result.INVALID
        found = report.verdict("append-only")
        assert (found.status, found.code) == (Status.FAIL, code)
        assert code in [one.code for one in report.attestations]


def _payload(*members: Any) -> bytes:
    return cbor.encode(members)


LINE = [LINES[0].key_id, LINES[0].time, LINES[0].signature]
SIG = witness().log_signature
MALFORMED: dict[str, tuple[str, bytes]] = {
    "empty": ("witness", b""),
    "not an array": ("witness", b"\xa0"),
    "no members": ("witness", b"\x80"),
    "version as text": ("witness", _payload("1", 0, None, SIG, [LINE])),
    "algorithm 2": ("witness", _payload(1, 2, None, SIG, [LINE])),
    "a member more": ("witness", _payload(1, 0, None, SIG, [LINE], 0)),
    "log signature of 63 bytes": ("witness", _payload(1, 0, None, SIG[:63], [LINE])),
    "no cosignature": ("witness", _payload(1, 0, None, SIG, [])),
    "33 cosignatures": (
        "witness", _payload(1, 0, None, SIG, [[bytes((0, 0, 0, n)), 1, bytes(64)] for n in range(33)])
    ),
    "a key id twice": ("witness", _payload(1, 0, None, SIG, [LINE, LINE])),
    "key ids descending": (
        "witness",
        _payload(1, 0, None, SIG, [[bytes((2,) * 4), 1, bytes(64)], [bytes((1,) * 4), 1, bytes(64)]]),
    ),
    "key id of 5 bytes": ("witness", _payload(1, 0, None, SIG, [[bytes(5), 1, bytes(64)]])),
    "signature of 65 bytes": ("witness", _payload(1, 0, None, SIG, [[bytes(4), 1, bytes(65)]])),
    "time over 63 bits": ("witness", _payload(1, 0, None, SIG, [[bytes(4), 2**63, bytes(64)]])),
    "where of size 0": ("witness", _payload(1, 0, [0, []], SIG, [LINE])),
    "where without a path": ("witness", _payload(1, 0, [20], SIG, [LINE])),
    "path of 64": ("witness", _payload(1, 0, [20, [bytes(32)] * 64], SIG, [LINE])),
    "path element of 31 bytes": ("witness", _payload(1, 0, [20, [bytes(31)]], SIG, [LINE])),
    "bytes behind it": ("witness", WORLD.witness().payload + b"\x00"),
    "token without a token": ("rfc3161", _payload(1, 0, None, [], [])),
    "token too large": ("rfc3161", _payload(1, 0, None, bytes(32_769), [], [])),
    "17 certificates": ("rfc3161", _payload(1, 0, None, b"", [b""] * 17, [])),
    "renewal of nothing": ("renewal", _payload(1, [], b"", [], [])),
    "renewal of itself": ("renewal", _payload(1, [0], b"", [], [])),
    "chain proof cut short": ("chain", _payload(1, ["ics23", 5])),
    "chain proof missing": ("chain", _payload(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_known_kind_has_one_form(name: str) -> None:
    report = verify(WORLD.attested(Attestation(*MALFORMED[name])), WORLD.trust)
    found = report.verdict("receipt")
    assert (found.status, found.code) == (Status.FAIL, "MalformedAttestation")
    assert report.result is Result.INVALID


def test_a_renewal_lists_what_stands_before_it_in_order() -> None:
    for positions in ([1], [2], [0, 0], [1, 0]):
        listed = (WORLD.witness(), Attestation("renewal", _payload(1, positions, b"x", [], [])))
        assert verify(WORLD.attested(*listed), WORLD.trust).verdict("receipt").code == "MalformedAttestation"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("later", b"\x01"),
        ("witness", _payload(2, "whatever")),
        ("chain", _payload(1, ["mpt-other", 5])),
    ],
)
def test_an_unknown_kind_version_or_proof_is_reported_and_never_trusted(kind: str, payload: bytes) -> None:
    strange = Attestation(kind, payload)
    report = verify(REQUIRED.attested(strange), REQUIRED.trust)
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("WitnessesMissing",))
    assert report.unchecked_attestations == (kind,)
    assert report.attestations == ()
    assert verify(REQUIRED.attested(REQUIRED.witness(), strange), REQUIRED.trust).result is Result.VALID


def test_a_stranger_is_passed_over() -> None:
    more = witness(cosignatures=tuple(sorted((*LINES, Cosignature(b"\x00\x00\x00\x01", 0, bytes(64))),
                                             key=lambda one: one.key_id))).encode()  # fmt: skip
    assert verify(REQUIRED.attested(more), REQUIRED.trust).result is Result.VALID


def test_every_changed_byte_of_a_witness_attestation_is_noticed() -> None:
    """Refused, or the cosignature becomes a stranger's and the quorum, which spares none, is gone."""
    exact = ONLY.witness(*QUORUM, size=20)
    good = ONLY.attested(exact)
    assert verify(good, ONLY.trust).result is Result.VALID_REDUCED_TRUST
    for offset in range(len(exact.payload)):
        for mask in (1, 128):
            changed = bytearray(exact.payload)
            changed[offset] ^= mask
            receipt = ONLY.attested(Attestation("witness", bytes(changed)))
            assert verify(receipt, ONLY.trust).result is Result.INVALID, offset


def test_a_changed_byte_of_one_that_can_be_spared_is_refused_or_a_strangers() -> None:
    spare = REQUIRED.witness()
    for offset in range(0, len(spare.payload), 2):
        changed = bytearray(spare.payload)
        changed[offset] ^= 4
        report = verify(REQUIRED.attested(Attestation("witness", bytes(changed))), REQUIRED.trust)
        if report.result is not Result.INVALID:
            strange = parse(Attestation("witness", bytes(changed)), 0)
            if strange is None:
                assert report.missing == ("WitnessesMissing",)
                continue
            assert isinstance(strange, WitnessAttestation)
            ids = {one.key_id for one in POLICY.witnesses}
            assert not {one.key_id for one in strange.cosignatures} <= ids


def test_an_attestation_of_another_receipt_is_refused() -> None:
    other = ONLY.but(index=7)
    assert verify(ONLY.attested(other.witness()), ONLY.trust).result is Result.INVALID


def test_nothing_is_concluded_where_the_leaf_is_not_in_the_tree() -> None:
    inclusion = dataclasses.replace(ONLY.core.inclusion, index=5)
    core: Core = dataclasses.replace(ONLY.core, inclusion=inclusion)
    moved = dataclasses.replace(Receipt.of(core), attestations=(ONLY.witness(),)).encode()
    report = verify(moved, ONLY.trust)
    assert report.result is Result.INVALID
    assert report.attestations == ()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["witness", "rfc3161", "renewal", "chain"]), st.binary(max_size=120), st.booleans())
def test_noise_in_a_known_kind_is_refused_without_another_error(kind: str, data: bytes, framed: bool) -> None:
    payload = cbor.encode([1, 0, None, data, [], []]) if framed and kind == "rfc3161" else data
    report = verify(WORLD.attested(Attestation(kind, payload)), WORLD.trust)
    unknown = payload[1:2] not in (b"", b"\x01") or not payload
    assert report.result is Result.INVALID or (unknown and report.unchecked_attestations == (kind,))


# Closed epochs


def forged() -> World:
    """A proof made with the keys of a closed epoch, for a tree that the log never had."""
    return World(version=2, index=7, batch=4, block_time=LINK_TIME + 2)


def test_a_proof_with_the_stolen_keys_of_a_closed_epoch_is_not_valid() -> None:
    thief = forged()
    assert verify(thief.receipt, thief.trust).result is Result.VALID
    for receipt in (
        thief.receipt,
        # Witnesses that still run did not see this tree; theirs over the true one does not fit.
        thief.attested(thief.witness(time=CLOSED.closed_at + 1)),  # type: ignore[operator]
    ):
        report = verify(receipt, CLOSED.trust)
        assert report.result is not Result.VALID
        assert report.missing == ("ClosedEpoch",)
    borrowed = thief.attested(CLOSED.witness())
    assert verify(borrowed, CLOSED.trust).result is Result.INVALID


def test_an_attestation_from_inside_the_closed_epoch_keeps_a_receipt_valid() -> None:
    report = verify(CLOSED.attested(CLOSED.witness(time=LINK_TIME + 100)), CLOSED.trust)
    assert report.result is Result.VALID, [one.as_dict() for one in report.verdicts]
    # The block's own time is worth nothing once its keys are loose.
    assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 100, "witness")


@pytest.mark.parametrize(
    "attestation",
    [
        CLOSED.witness(time=LINK_TIME + 101),
        CLOSED.witness(COURT, REGULATOR),
        CLOSED.witness(algorithm=1),
        CLOSED.witness(time={COURT: 5, REGULATOR: 5, BANK_A: LINK_TIME + 101, BANK_B: LINK_TIME + 102}),
    ],
    ids=["a second late", "too few", "of the SM3 tree", "the last needed one late"],
)
def test_an_attestation_from_outside_does_not(attestation: Attestation) -> None:
    report = verify(CLOSED.attested(attestation), CLOSED.trust)
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("ClosedEpoch",))


LATER = World(version=2, seed="new validators", height=5000, block_time=LINK_TIME + 200)


def with_open_epoch(closed: World = CLOSED, **changes: Any) -> bytes:
    """The trust file that names the closed epoch and the one after it."""
    chain = closed.payload.chains[0]
    fresh = dataclasses.replace(Epoch(2, 4713, None, LATER.validators), **changes)
    return signed(
        dataclasses.replace(
            closed.payload, chains=(dataclasses.replace(chain, epochs=(*chain.epochs, fresh)),)
        )
    )


def test_a_slot_proved_again_under_an_open_epoch_refreshes() -> None:
    trust = with_open_epoch()
    assert verify(CLOSED.receipt, trust).missing == ("ClosedEpoch",)
    report = verify(CLOSED.attested(CLOSED.refreshed(LATER)), trust)
    assert report.result is Result.VALID, [one.as_dict() for one in report.verdicts]
    assert (report.facts["blockHeight"], report.facts["notLaterThan"]) == (5001, LINK_TIME + 200)
    assert [one.code for one in report.attestations] == ["Ok"]


def test_a_refresh_under_a_closed_epoch_or_an_unknown_one_does_not() -> None:
    refreshed = CLOSED.attested(CLOSED.refreshed(LATER))
    closed_again = with_open_epoch(to_height=6000, closed_at=LINK_TIME + 300)
    for trust, code in ((closed_again, "ClosedEpoch"), (CLOSED.trust, "EpochNotTrusted")):
        report = verify(refreshed, trust)
        assert report.missing == ("ClosedEpoch",)
        assert [one.code for one in report.attestations] == [code]


def test_a_wrong_refresh_is_refused_also_where_none_was_needed() -> None:
    stolen = World(version=2, seed="old friends", height=5000, block_time=LINK_TIME + 200)
    other_batch = LATER.but(index=7)
    other_code = LATER.but(code_log=seeded("x"))
    other_kind = World(version=2, kind="mpt-qbft")
    open_too = with_open_epoch(World(version=2, to_height=4712, closed_at=LINK_TIME + 100))
    for world, verdict, code in (
        (stolen, "finality", "CometValidatorsHashMismatch"),
        (other_batch, "append-only", "BatchLinkMismatch"),
        (other_code, "append-only", "CodeHashMismatch"),
        (other_kind, "finality", "ProofKindMismatch"),
    ):
        report = verify(CLOSED.attested(CLOSED.refreshed(world), CLOSED.witness()), open_too)
        assert report.result is Result.INVALID
        assert report.verdict(verdict).code == code


def test_a_refresh_that_shows_the_key_revoked_before_the_anchor_is_refused() -> None:
    revoked = LATER.but(slot=dataclasses.replace(LATER.slot, revoked_at=LINK_TIME - 5))
    report = verify(CLOSED.attested(CLOSED.refreshed(revoked)), with_open_epoch())
    assert report.verdict("signer").code == "KeyRevoked"


# Without SHA-256


def test_without_sha256_only_sm3_cosignatures_count() -> None:
    for world in (WORLD, ONLY, DEV, CLOSED):
        report = verify(world.attested(), world.trust, ignore_sha256=True)
        assert report.result is Result.VALID_REDUCED_TRUST
        assert set(report.missing) == {"AlgorithmIgnored"}
        assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 60, "witness")
        assert report.facts["ignoredAlgorithm"] == "sha256"
        assert report.verdict("time").status is Status.PASS


def test_without_sha256_and_without_sm3_nothing_is_left() -> None:
    for world, attestations in (
        (WORLD, (WORLD.witness(),)),
        (WORLD, (WORLD.witness(COURT, algorithm=1),)),
        (REQUIRED, (REQUIRED.witness(), REQUIRED.refreshed(LATER))),
    ):
        report = verify(world.attested(*attestations), world.trust, ignore_sha256=True)
        assert report.result is Result.INDETERMINATE
        assert report.verdict("time").code == "NothingLeft"
    assert verify(WORLD.receipt, WORLD.trust, ignore_sha256=True).result is Result.INDETERMINATE


def test_without_sha256_its_digests_and_paths_are_not_looked_at() -> None:
    """As if somebody had found another document of the same SHA-256, or the other way round."""
    twin = dataclasses.replace(WORLD.content, sha256=seeded("collision"))
    assert verify(WORLD.attested(), WORLD.trust, content=twin).verdict("content").status is Status.FAIL
    report = verify(WORLD.attested(), WORLD.trust, content=twin, ignore_sha256=True)
    assert report.result is Result.VALID_REDUCED_TRUST
    other = dataclasses.replace(WORLD.content, sm3=seeded("other"))
    report = verify(WORLD.attested(), WORLD.trust, content=other, ignore_sha256=True)
    assert report.verdict("content").code == "ContentMismatch"
    inclusion = dataclasses.replace(WORLD.core.inclusion, path_sha256=())
    core = dataclasses.replace(WORLD.core, inclusion=inclusion)
    attested = dataclasses.replace(Receipt.of(core), attestations=(WORLD.witness(algorithm=1),)).encode()
    assert verify(attested, WORLD.trust).verdict("inclusion").status is Status.FAIL
    assert verify(attested, WORLD.trust, ignore_sha256=True).result is Result.VALID_REDUCED_TRUST
    # A broken SHA-256 cosignature is not looked at either; a broken SM3 one is.
    bad = WORLD.attested(line(signature=bytes(64)), WORLD.witness(algorithm=1))
    assert verify(bad, WORLD.trust, ignore_sha256=True).result is Result.VALID_REDUCED_TRUST
    sm3 = parse(WORLD.witness(algorithm=1), 0)
    assert isinstance(sm3, WitnessAttestation)
    broken = dataclasses.replace(sm3, log_signature=bytes(64)).encode()
    assert verify(WORLD.attested(broken), WORLD.trust, ignore_sha256=True).result is Result.INVALID


def test_without_sha256_names_are_still_checked() -> None:
    other = World(version=2, origin="elsewhere")
    report = verify(other.attested(), WORLD.trust, ignore_sha256=True)
    assert report.verdict("append-only").code == "LogNotTrusted"
    assert (
        verify(WORLD.attested(), World(version=2, closed_size=6).trust, ignore_sha256=True)
        .verdict("append-only")
        .code
        == "LeafBeyondClosedLog"
    )
    unknown = World(version=2, chain_id=7778)
    assert (
        verify(unknown.attested(), WORLD.trust, ignore_sha256=True).verdict("finality").code
        == "ChainNotTrusted"
    )


# ML-DSA-44


def test_an_mldsa_cosignature_counts_only_when_asked_for() -> None:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    key = MLDSA44PrivateKey.from_seed_bytes(seeded("ml-dsa"))
    post = Witness("pq.example/w", TYPE_MLDSA44, key.public_key().public_bytes_raw(), 0, "lab", "notary")
    payload = dataclasses.replace(ONLY.payload, witness_policy=WitnessPolicy((post,), (), post.name))
    head = ONLY.checkpoint()

    def attested(signature: bytes) -> bytes:
        cosigned = Cosignature(post.key_id, LINK_TIME + 60, signature)
        log_signature = ONLY.log_key.sign(head.text())
        return ONLY.attested(WitnessAttestation(0, None, log_signature, (cosigned,)).encode())

    good = attested(key.sign(mldsa_message(post.name, LINK_TIME + 60, head)))
    trust = signed(payload)
    assert verify(good, trust, mldsa=True).result is Result.VALID_REDUCED_TRUST
    assert verify(good, trust).result is Result.INVALID
    bad = attested(key.sign(mldsa_message(post.name, LINK_TIME + 61, head)))
    assert verify(bad, trust, mldsa=True).verdict("append-only").code != "WitnessesOnly"


# Trust file of version 1


def test_under_a_trust_file_of_version_1_cosignatures_are_strangers() -> None:
    old = World(witnesses=2)
    report = verify(old.attested(), old.trust)
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("WitnessesMissing",))
    assert {one.code for one in report.attestations} == {"WitnessUnknown"}
    broken = witness(log_signature=bytes(64)).encode()
    assert verify(World().attested(broken), World().trust).result is Result.INVALID


def test_the_recomputed_root_is_that_of_the_tree() -> None:
    leaves = [SHA256.leaf(leaf) for leaf in WORLD.leaves]
    assert WORLD.checkpoint().root == Tree(SHA256, leaves).root == WORLD.link.root_sha256
