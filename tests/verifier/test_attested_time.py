"""Time tokens and renewals in a receipt: whose time counts, and what a wrong token does."""

from __future__ import annotations

import dataclasses

import pytest

from protocol.checkpoint import TREE_HASHES
from protocol.hashing import ALGORITHMS, SHA256
from tests.support.time_tokens import Recipe, authority, identity
from tests.support.world import AT, COURT, LINK_TIME, World
from verifier.attestation import RenewalAttestation, TokenAttestation
from verifier.attested import RENEWAL_TAG
from verifier.receipt import Attestation
from verifier.verdict import Report, Result, Status
from verifier.verify import verify_receipt

A, B, STRANGER = identity("Authority A"), identity("Authority B"), identity("Authority C")
SHORT, SHORT_B = identity("Authority S", 60), identity("Authority T", 60)
"""Their signing certificates end within `LATE`."""
LATE = LINK_TIME + 200_000
BOTH = (authority(A, "one"), authority(B, "two"))
WORLD = World(version=2, authorities=BOTH, time_tokens=2)
FREE = World(version=2, authorities=BOTH)
ENDING = World(
    version=2, time_tokens=2,
    authorities=(authority(SHORT, "one"), authority(SHORT_B, "two"), authority(A, "three")),
)  # fmt: skip
CLOSED = World(version=2, authorities=BOTH, to_height=4712, closed_at=LINK_TIME + 1000)


def stamp(
    of: object = A, *, algorithm: int = 0, time: int = LINK_TIME + 120, size: int | None = None,
    world: World = WORLD, imprint: str | None = None,
) -> Attestation:  # fmt: skip
    alg = TREE_HASHES[algorithm] if imprint is None else ALGORITHMS[imprint]
    digest = alg.digest(world.checkpoint(algorithm, size).text())
    token = Recipe(of, algorithm=alg.name, time=time, imprint=digest).make()  # type: ignore[arg-type]
    return TokenAttestation(algorithm, world.where(algorithm, size), token).encode()


def renewal(
    before: tuple[Attestation, ...], *positions: int, of: object = A, time: int = LINK_TIME + 150_000,
    algorithm: str = "sha256", world: World = ENDING,
) -> Attestation:  # fmt: skip
    alg = ALGORITHMS[algorithm]
    listed = b"".join(alg.digest(before[at].payload) for at in positions)
    digest = alg.digest(RENEWAL_TAG + alg.digest(world.core.encode()) + listed)
    token = Recipe(of, algorithm=algorithm, time=time, imprint=digest).make()  # type: ignore[arg-type]
    return RenewalAttestation(positions, token).encode()


def verify(world: World, *attestations: Attestation, at: int = AT, ignore: bool = False) -> Report:
    receipt = world.attested(*attestations) if attestations else world.receipt
    return verify_receipt(receipt, world.trust, content=world.content, at=at, ignore_sha256=ignore)


def test_two_authorities_meet_a_requirement_of_two() -> None:
    report = verify(WORLD, stamp(), stamp(B, time=LINK_TIME + 90))
    assert report.result is Result.VALID, [one.as_dict() for one in report.verdicts]
    assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 2, "block")
    early = verify(WORLD, stamp(time=LINK_TIME + 1), stamp(B))
    assert (early.facts["notLaterThan"], early.facts["timeBy"]) == (LINK_TIME + 1, "token")


TOO_FEW: dict[str, tuple[Attestation, ...]] = {
    "none": (),
    "one": (stamp(),),
    "two of one authority": (stamp(), stamp(time=LINK_TIME + 300)),
    "both trees of one authority": (stamp(), stamp(algorithm=1)),
    "one and a stranger's": (stamp(), stamp(STRANGER)),
}


@pytest.mark.parametrize("name", TOO_FEW)
def test_too_few_authorities_reduce(name: str) -> None:
    report = verify(WORLD, *TOO_FEW[name])
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("TimeTokensMissing",))


def test_a_strangers_token_counts_for_nothing_without_a_failure() -> None:
    report = verify(FREE, stamp(STRANGER, time=LINK_TIME + 1))
    assert report.result is Result.VALID
    assert [one.code for one in report.attestations] == ["AuthorityNotTrusted"]
    assert report.facts["timeBy"] == "block"


WRONG: dict[str, tuple[Attestation, str]] = {
    "over another batch": (stamp(world=WORLD.but(index=7)), "TokenImprintMismatch"),
    "over the other tree": (
        TokenAttestation(0, None, Recipe(A, time=LINK_TIME + 5, imprint=SHA256.digest(
            WORLD.checkpoint(1).text())).make()).encode(),
        "TokenImprintMismatch",
    ),
    "SM3 imprint over the SHA-256 tree": (stamp(imprint="sm3"), "TokenImprintMismatch"),
    "SHA-256 imprint over the SM3 tree": (stamp(algorithm=1, imprint="sha256"), "TokenImprintMismatch"),
    "after the evaluation": (stamp(time=AT + 1), "TokenInFuture"),
    "long before the batch": (stamp(time=LINK_TIME - 301), "TokenBeforeBlock"),
    "of a tree smaller than the batch": (stamp(size=12), "CheckpointTooSmall"),
    "no token": (TokenAttestation(0, None, b"\x30\x00").encode(), "TokenMalformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_never_passed_over(name: str) -> None:
    attestation, code = WRONG[name]
    report = verify(WORLD, stamp(), stamp(B), attestation)
    assert report.result is Result.INVALID
    assert (report.verdict("time").status, report.verdict("time").code) == (Status.FAIL, code)
    assert report.attestations[2].code == code


def test_a_clock_a_little_behind_the_block_and_a_larger_tree_are_taken() -> None:
    assert verify(WORLD, stamp(time=LINK_TIME - 300), stamp(B, size=20)).result is Result.VALID


def test_a_trust_file_of_version_1_names_no_authority() -> None:
    old = World(time_tokens=1)
    report = verify_receipt(old.attested(stamp()), old.trust, content=old.content, at=AT)
    assert report.missing == ("TimeTokensMissing",)


def test_every_sampled_changed_byte_of_a_token_attestation_is_noticed() -> None:
    good = (stamp(), stamp(B))
    for offset in range(0, len(good[0].payload), 7):
        changed = bytearray(good[0].payload)
        changed[offset] ^= 1
        report = verify(WORLD, Attestation("rfc3161", bytes(changed)), good[1])
        # A token whose certificates no longer lead to a named root is a stranger's, and then one is missing.
        assert report.result is not Result.VALID, offset


# Closed epochs, no chain


def test_tokens_from_inside_a_closed_epoch_keep_a_receipt_valid() -> None:
    needs_two = CLOSED.but(time_tokens=2)
    assert verify(needs_two, stamp(), stamp(B)).result is Result.VALID
    one_late = (stamp(), stamp(B, time=LINK_TIME + 1001))
    assert verify(needs_two, *one_late).missing == ("ClosedEpoch",)
    # That none is required does not mean that none is needed.
    assert verify(CLOSED).missing == ("ClosedEpoch",)
    assert verify(CLOSED, stamp(time=LINK_TIME + 1001)).missing == ("ClosedEpoch",)
    assert verify(CLOSED, stamp(algorithm=1)).missing == ("ClosedEpoch",)
    report = verify(CLOSED, stamp())
    assert report.result is Result.VALID
    assert report.facts["timeBy"] == "token"


def test_tokens_alone_do_not_stand_for_witnesses() -> None:
    nobody = World(version=2, authorities=BOTH, validators_named=False, witnesses_named=False)
    assert verify(nobody, stamp(), stamp(B)).verdict("finality").code == "EpochNotTrusted"


def test_on_a_development_chain_a_token_still_says_when() -> None:
    dev = World(version=2, kind="none", authorities=BOTH)
    report = verify(dev, stamp(world=dev))
    assert report.verdict("time").status is Status.PASS
    assert report.result is Result.VALID_REDUCED_TRUST
    assert report.facts["notLaterThan"] == LINK_TIME + 120


# Renewal


SHORT_LIVED = (stamp(SHORT), stamp(SHORT_B))


def test_after_their_certificates_ended_tokens_no_longer_count() -> None:
    assert verify(ENDING, *SHORT_LIVED).result is Result.VALID
    report = verify(ENDING, *SHORT_LIVED, at=LATE)
    assert (report.result, report.missing) == (Result.VALID_REDUCED_TRUST, ("TimeTokensExpired",))
    assert [one.code for one in report.attestations] == ["TimeTokenExpired"] * 2
    assert verify(ENDING, stamp(SHORT), at=LATE).missing == ("TimeTokensMissing",)


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_renewal_made_in_time_keeps_what_it_lists(algorithm: str) -> None:
    kept = renewal(SHORT_LIVED, 0, 1, algorithm=algorithm)
    report = verify(ENDING, *SHORT_LIVED, kept, at=LATE)
    assert report.result is Result.VALID, [one.as_dict() for one in report.verdicts]
    assert [one.code for one in report.attestations] == ["Ok"] * 3
    half = verify(ENDING, *SHORT_LIVED, renewal(SHORT_LIVED, 1), at=LATE)
    assert half.missing == ("TimeTokensExpired",)
    assert [one.code for one in half.attestations] == ["TimeTokenExpired", "Ok", "Ok"]


def test_a_renewal_made_too_late_or_by_a_stranger_keeps_nothing() -> None:
    for late in (
        renewal(SHORT_LIVED, 0, 1, time=LINK_TIME + 190_000),
        renewal(SHORT_LIVED, 0, 1, of=STRANGER),
    ):
        assert verify(ENDING, *SHORT_LIVED, late, at=LATE).missing == ("TimeTokensExpired",)


def test_a_renewal_is_kept_by_a_renewal_and_expires_without_one() -> None:
    first = renewal(SHORT_LIVED, 0, 1, of=SHORT, time=LINK_TIME + 100_000)
    assert verify(ENDING, *SHORT_LIVED, first, at=LATE).missing == ("TimeTokensExpired",)
    chain = (*SHORT_LIVED, first)
    second = renewal(chain, 2, time=LINK_TIME + 150_000)
    report = verify(ENDING, *chain, second, at=LATE)
    assert report.result is Result.VALID, [one.as_dict() for one in report.attestations]


def test_a_renewal_over_other_attestations_is_refused() -> None:
    swapped = SHORT_LIVED[::-1]
    elsewhere = renewal(SHORT_LIVED, 0, 1, world=ENDING.but(index=7))
    for attestations in (
        (*swapped, renewal(SHORT_LIVED, 0, 1)),
        (*SHORT_LIVED, elsewhere),
        (*SHORT_LIVED, dataclasses.replace(SHORT_LIVED[0], kind="renewal")),
    ):
        report = verify(ENDING, *attestations, at=LATE)
        assert report.result is Result.INVALID
    assert verify(ENDING, *SHORT_LIVED, elsewhere).verdict("time").code == "TokenImprintMismatch"


def test_a_renewal_is_no_token_of_its_authority() -> None:
    one = stamp(B)
    report = verify(WORLD, one, renewal((one,), 0, world=WORLD, time=LINK_TIME + 500))
    assert report.missing == ("TimeTokensMissing",)
    assert [one.code for one in report.attestations] == ["Ok", "Ok"]


# Without SHA-256


def test_without_sha256_only_sm3_tokens_count() -> None:
    sm3 = (stamp(algorithm=1), stamp(B, algorithm=1))
    report = verify(WORLD, *sm3, ignore=True)
    assert (report.result, set(report.missing)) == (Result.VALID_REDUCED_TRUST, {"AlgorithmIgnored"})
    assert (report.facts["notLaterThan"], report.facts["timeBy"]) == (LINK_TIME + 120, "token")
    assert verify(WORLD, stamp(), stamp(B), ignore=True).verdict("time").code == "NothingLeft"
    assert verify(WORLD, stamp(STRANGER, algorithm=1), ignore=True).verdict("time").code == "NothingLeft"
    assert "TimeTokensMissing" in verify(WORLD, sm3[0], stamp(B), ignore=True).missing
    mixed = verify(WORLD, stamp(time=LINK_TIME + 1), *sm3, WORLD.witness(COURT), ignore=True)
    assert mixed.facts["notLaterThan"] == LINK_TIME + 120
    assert [one.code for one in mixed.attestations] == ["AlgorithmIgnored", "Ok", "Ok", "AlgorithmIgnored"]


def test_without_sha256_a_renewal_counts_only_with_an_sm3_imprint() -> None:
    before = (stamp(SHORT, algorithm=1), stamp(SHORT_B, algorithm=1))
    kept = verify(ENDING, *before, renewal(before, 0, 1, algorithm="sm3"), at=LATE, ignore=True)
    assert set(kept.missing) == {"AlgorithmIgnored"}
    lost = verify(ENDING, *before, renewal(before, 0, 1), at=LATE, ignore=True)
    assert lost.verdict("time").code == "NothingLeft"
