"""CometBFT commits: recorded ones, and ones signed here to try every way of getting to two thirds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.errors import CaseledgerError
from verifier.cometbft import (
    BlockId,
    Commit,
    CommitSig,
    Flag,
    Header,
    SignedHeader,
    Timestamp,
    Validator,
    validators_hash,
    verify_signed_header,
)
from verifier.cometbft_rpc import signed_header_from_rpc_json, validators_from_rpc_json
from verifier.errors import (
    CometChainIdMismatch,
    CometCommitMismatch,
    CometMalformed,
    CometQuorumMissing,
    CometSignatureInvalid,
    CometValidatorSetInvalid,
    CometValidatorsHashMismatch,
)
from verifier.strict_json import Fields

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "recorded" / "cometbft.json").read_text())[
    "vectors"
]
CHAIN = "caseledger-7"
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in range(1, 7)]
POWERS = [40, 30, 20, 5, 4, 1]


def validator_set(powers: list[int] = POWERS) -> list[Validator]:
    return [Validator(k.public_key().public_bytes_raw(), p) for k, p in zip(KEYS, powers, strict=False)]


def make(
    flags: list[Flag], *, powers: list[int] = POWERS, chain_id: str = CHAIN, round_: int = 0, **change: Any
) -> tuple[SignedHeader, list[Validator]]:
    validators = validator_set(powers)
    header = replace(
        Header(
            version_block=11,
            version_app=0,
            chain_id=chain_id,
            height=25,
            time=Timestamp(1_800_000_000, 5),
            last_block_id=BlockId(b"\1" * 32, 1, b"\2" * 32),
            last_commit_hash=b"\3" * 32,
            data_hash=b"\4" * 32,
            validators_hash=validators_hash(validators),
            next_validators_hash=b"\5" * 32,
            consensus_hash=b"\6" * 32,
            app_hash=b"\7" * 32,
            last_results_hash=b"\x08" * 32,
            evidence_hash=b"\x09" * 32,
            proposer_address=validators[0].address,
        ),
        **change,
    )
    bare = Commit(header.height, round_, BlockId(header.hash(), 1, b"\x0a" * 32), ())
    votes = []
    for key, validator, flag in zip(KEYS, validators, flags, strict=False):
        if flag is Flag.ABSENT:
            votes.append(CommitSig(flag))
            continue
        vote = CommitSig(flag, Timestamp(1_800_000_001, 0), bytes(64), validator.address)
        votes.append(replace(vote, signature=key.sign(bare.sign_bytes(vote, chain_id))))
    return SignedHeader(header, replace(bare, signatures=tuple(votes))), validators


ALL = [Flag.COMMIT] * 6


def with_vote(signed: SignedHeader, position: int, vote: CommitSig) -> SignedHeader:
    votes = list(signed.commit.signatures)
    votes[position] = vote
    return replace(signed, commit=replace(signed.commit, signatures=tuple(votes)))


def test_recorded_commits_are_final() -> None:
    for entry in VECTORS:
        signed = signed_header_from_rpc_json(entry["signed_header"])
        validators = validators_from_rpc_json(Fields(entry))
        block_hash = verify_signed_header(signed, validators, "injective-777")
        assert block_hash.hex().upper() == entry["signed_header"]["commit"]["block_id"]["hash"]


@pytest.mark.parametrize(
    ("absent", "final"),
    [
        ([], True),
        ([5], True),
        ([0], False),  # 60 of 100
        ([1], True),  # 70
        ([1, 3], False),  # 65
        ([2, 3, 4, 5], True),  # 70
        ([1, 4], False),  # 66: not above two thirds
        ([0, 1, 2, 3, 4, 5], False),
    ],
)
def test_power_counts_and_not_heads(absent: list[int], final: bool) -> None:
    flags = [Flag.ABSENT if i in absent else Flag.COMMIT for i in range(6)]
    signed, validators = make(flags)
    if final:
        assert verify_signed_header(signed, validators, CHAIN) == signed.header.hash()
    else:
        with pytest.raises(CometQuorumMissing):
            verify_signed_header(signed, validators, CHAIN)


def test_exactly_two_thirds_is_not_enough() -> None:
    flags = [Flag.COMMIT, Flag.COMMIT, Flag.ABSENT]
    signed, validators = make(flags, powers=[1, 1, 1])
    with pytest.raises(CometQuorumMissing):
        verify_signed_header(signed, validators, CHAIN)


def test_a_vote_for_nil_must_be_signed_and_counts_for_nothing() -> None:
    signed, validators = make([*ALL[:2], Flag.NIL, *ALL[:3]])
    verify_signed_header(signed, validators, CHAIN)
    signed, validators = make([Flag.NIL, *ALL[:5]])
    with pytest.raises(CometQuorumMissing):
        verify_signed_header(signed, validators, CHAIN)
    signed, validators = make(ALL)
    for flag in (Flag.NIL,):
        relabelled = with_vote(signed, 5, replace(signed.commit.signatures[5], flag=flag))
        with pytest.raises(CometSignatureInvalid):
            verify_signed_header(relabelled, validators, CHAIN)


def test_one_bad_signature_refuses_the_commit_even_above_two_thirds() -> None:
    signed, validators = make(ALL)
    vote = signed.commit.signatures[5]
    for bad in (
        replace(vote, signature=bytes(64)),
        replace(vote, signature=vote.signature[:63] + bytes([vote.signature[63] ^ 1])),
        replace(vote, timestamp=Timestamp(1_800_000_001, 1)),
        replace(vote, signature=signed.commit.signatures[4].signature),
    ):
        with pytest.raises(CometSignatureInvalid):
            verify_signed_header(with_vote(signed, 5, bad), validators, CHAIN)


def test_a_signature_with_s_above_the_group_order_is_refused() -> None:
    order = (1 << 252) + 27742317777372353535851937790883648493
    signed, validators = make(ALL)
    vote = signed.commit.signatures[0]
    s = int.from_bytes(vote.signature[32:], "little") + order
    malleated = replace(vote, signature=vote.signature[:32] + s.to_bytes(32, "little"))
    with pytest.raises(CometSignatureInvalid):
        verify_signed_header(with_vote(signed, 0, malleated), validators, CHAIN)


def test_votes_stand_at_their_validators_place() -> None:
    signed, validators = make(ALL)
    votes = list(signed.commit.signatures)
    for changed in (
        [votes[1], votes[0], *votes[2:]],  # swapped
        [votes[0], votes[0], *votes[2:]],  # repeated
        votes[:5],
        [*votes, votes[5]],
    ):
        commit = replace(signed.commit, signatures=tuple(changed))
        with pytest.raises(CometCommitMismatch):
            verify_signed_header(replace(signed, commit=commit), validators, CHAIN)
    # Without addresses, as in the compact form, the signatures themselves tell.
    bare = [replace(vote, address=None) for vote in votes]
    commit = replace(signed.commit, signatures=tuple(bare))
    verify_signed_header(replace(signed, commit=commit), validators, CHAIN)
    commit = replace(signed.commit, signatures=(bare[0], bare[0], *bare[2:]))
    with pytest.raises(CometSignatureInvalid):
        verify_signed_header(replace(signed, commit=commit), validators, CHAIN)


def test_a_commit_is_for_this_block_height_and_round() -> None:
    signed, validators = make(ALL, round_=3)
    verify_signed_header(signed, validators, CHAIN)
    commit = signed.commit
    block_id = commit.block_id
    for other in (replace(commit, height=26), replace(commit, block_id=replace(block_id, hash=b"\1" * 32))):
        with pytest.raises(CometCommitMismatch):
            verify_signed_header(replace(signed, commit=other), validators, CHAIN)
    for other in (
        replace(commit, round=0),
        replace(commit, block_id=replace(block_id, parts_total=2)),
        replace(commit, block_id=replace(block_id, parts_hash=b"\1" * 32)),
    ):
        with pytest.raises(CometSignatureInvalid):
            verify_signed_header(replace(signed, commit=other), validators, CHAIN)


CHANGES: dict[str, Any] = {
    "version_block": 12,
    "version_app": 1,
    "height": 26,
    "time": Timestamp(1_800_000_000, 6),
    "last_block_id": BlockId(b"\1" * 32, 2, b"\2" * 32),
    "last_commit_hash": b"",
    "data_hash": b"",
    "next_validators_hash": b"\1" * 32,
    "consensus_hash": b"\1" * 32,
    "app_hash": b"\1" * 32,
    "last_results_hash": b"",
    "evidence_hash": b"",
    "proposer_address": b"\1" * 20,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_header_field_is_covered_by_the_hash(field: str) -> None:
    signed, validators = make(ALL)
    changed = replace(signed.header, **{field: CHANGES[field]})
    assert changed.hash() != signed.header.hash()
    with pytest.raises(CometCommitMismatch):
        verify_signed_header(replace(signed, header=changed), validators, CHAIN)


def test_a_twin_network_with_the_same_validators_is_refused() -> None:
    signed, validators = make(ALL, chain_id="caseledger-8")
    verify_signed_header(signed, validators, "caseledger-8")
    with pytest.raises(CometChainIdMismatch):
        verify_signed_header(signed, validators, CHAIN)
    disguised = replace(signed, header=replace(signed.header, chain_id=CHAIN))
    block_id = replace(signed.commit.block_id, hash=disguised.header.hash())
    disguised = replace(disguised, commit=replace(signed.commit, block_id=block_id))
    with pytest.raises(CometSignatureInvalid):
        verify_signed_header(disguised, validators, CHAIN)


def test_only_the_trusted_set_in_the_chains_order_will_do() -> None:
    signed, validators = make(ALL)
    for trusted in (
        validators[::-1],
        validators[:5],
        [*validators[:5], replace(validators[5], power=2)],
        [*validators[:5], replace(validators[5], pub_key=bytes(32))],
    ):
        with pytest.raises(CometValidatorsHashMismatch):
            verify_signed_header(signed, trusted, CHAIN)
    for trusted in (
        [],
        [*validators, validators[0]],
        [*validators[:5], replace(validators[5], power=0)],
        [*validators[:5], replace(validators[5], power=-1)],
        [*validators[:5], replace(validators[5], power=1 << 62)],
        [*validators[:5], replace(validators[5], pub_key=bytes(31))],
        validators * 200,
    ):
        with pytest.raises(CometValidatorSetInvalid):
            verify_signed_header(signed, trusted, CHAIN)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app_hash", bytes(31)),
        ("validators_hash", b""),
        ("data_hash", bytes(33)),
        ("proposer_address", b""),
        ("height", 0),
        ("height", 1 << 63),
        ("version_block", -1),
        ("version_app", 1 << 64),
        ("chain_id", ""),
        ("chain_id", "x" * 51),
        ("chain_id", "链"),
        ("chain_id", "a\n"),
    ],
)
def test_header_values_are_bounded(field: str, value: Any) -> None:
    signed, _ = make(ALL)
    with pytest.raises(CometMalformed):
        replace(signed.header, **{field: value})


def test_other_values_are_bounded() -> None:
    for arguments in ((-1, 0), (0, -1), (0, 1_000_000_000), (253402300800, 0)):
        with pytest.raises(CometMalformed):
            Timestamp(*arguments)
    for block in (
        (bytes(32), 1, b""),
        (b"", 1, b""),
        (bytes(32), 0, bytes(32)),
        (bytes(32), 1 << 32, bytes(32)),
    ):
        with pytest.raises(CometMalformed):
            BlockId(*block)
    assert BlockId(b"", 0, b"").encode() == b"\x12\x00"
    full = BlockId(bytes(32), 1, bytes(32))
    for height, round_, block_id in (
        (0, 0, full),
        (1, -1, full),
        (1, 1 << 31, full),
        (1, 0, BlockId(b"", 0, b"")),
    ):
        with pytest.raises(CometMalformed):
            Commit(height, round_, block_id, ())
    for vote in ((Flag.ABSENT, Timestamp(0, 0)), (Flag.ABSENT, None, b"x"), (Flag.COMMIT, None, bytes(64))):
        with pytest.raises(CometMalformed):
            CommitSig(*vote)
    with pytest.raises(CometMalformed):
        CommitSig(Flag.NIL, Timestamp(0, 0), bytes(63))


def test_a_key_that_is_no_point_is_a_refusal_not_a_crash() -> None:
    keys = [Validator(bytes([2]) + bytes(30) + b"\xff", 10)]
    signed, _ = make([Flag.COMMIT], powers=[10], validators_hash=validators_hash(keys))
    signed = with_vote(signed, 0, replace(signed.commit.signatures[0], address=None))
    with pytest.raises(CaseledgerError):
        verify_signed_header(signed, keys, CHAIN)
