"""Conformance kinds for checkpoints, cosignatures and witness policies: one line, one code."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from protocol.checkpoint import SignedNote, cosign_checkpoint, sign_checkpoint
from tests.support.fakechain import ed25519, seeded
from tests.support.world import AT, BANK_A, COURT, LINK_TIME, POLICY, REGULATOR, World, witness_private
from verifier.conformance import answer

WORLD = World(version=2)
HEAD = WORLD.checkpoint()
SM3_HEAD = WORLD.checkpoint(1)
LINE = cosign_checkpoint(witness_private(COURT), COURT, LINK_TIME, HEAD)
PUBLIC = witness_private(COURT).public_key().public_bytes_raw()
LOG_PUBLIC = WORLD.log_key.public_key().public_bytes_raw()
NOTE = SignedNote(HEAD.text(), (sign_checkpoint(WORLD.log_key, HEAD), LINE)).encode().decode()
CHECKPOINT: dict[str, Any] = {
    "note": NOTE, "origin": WORLD.origin, "algorithm": 0, "key": LOG_PUBLIC.hex(), "size": 13,
    "root": HEAD.root.hex(),
}  # fmt: skip
COSIGNATURE: dict[str, Any] = {
    "text": HEAD.text().decode(), "name": COURT, "type": 4, "publicKey": PUBLIC.hex(), "time": LINK_TIME,
    "signature": LINE.untimed.hex(), "keyId": LINE.key_id.hex(), "at": AT,
}  # fmt: skip
POLICY_LINE: dict[str, Any] = {
    "policy": {
        "witnesses": [
            {"name": one.name, "type": 4, "publicKey": one.public_key.hex(), "statement": one.statement,
             "organisation": one.organisation, "role": one.role}
            for one in POLICY.witnesses
        ],
        "groups": [
            {"name": one.name, "threshold": one.threshold, "members": list(one.members)}
            for one in POLICY.groups
        ],
        "quorum": "all",
    },
    "statement": 0,
    "times": [{"name": COURT, "time": 5}, {"name": REGULATOR, "time": 9}, {"name": BANK_A, "time": 7}],
    "since": 9,
}  # fmt: skip


def code(kind: str, line: object) -> str:
    found = answer(kind, json.dumps(line).encode())
    assert found["accepted"] is (found["code"] == "Ok")
    return str(found["code"])


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def test_good_lines_are_accepted() -> None:
    assert code("checkpoint", CHECKPOINT) == "Ok"
    assert code("checkpoint", without(CHECKPOINT, "size", "root")) == "Ok"
    assert code("cosignature", COSIGNATURE) == "Ok"
    assert code("cosignature", without(COSIGNATURE, "keyId", "at")) == "Ok"
    assert code("policy", POLICY_LINE) == "Ok"
    sm3 = SignedNote(SM3_HEAD.text(), (sign_checkpoint(WORLD.log_key, SM3_HEAD),)).encode().decode()
    assert code("checkpoint", {**without(CHECKPOINT, "size", "root"), "note": sm3, "algorithm": 1}) == "Ok"


UNSIGNED = SignedNote(HEAD.text(), (LINE,)).encode().decode()
FORGED = SignedNote(HEAD.text(), (sign_checkpoint(WORLD.log_key, SM3_HEAD), LINE)).encode().decode()
STRANGE = SignedNote(HEAD.text(), (sign_checkpoint(ed25519("x"), HEAD),)).encode().decode()
BAD_CHECKPOINTS: list[tuple[dict[str, Any], str]] = [
    ({"note": "x"}, "CheckpointMalformed"),
    ({"note": NOTE.replace("\n13\n", "\n013\n")}, "CheckpointMalformed"),
    ({"note": NOTE.replace("\n13\n", "\n14\n")}, "ClaimMismatch"),
    ({"note": UNSIGNED}, "CheckpointSignatureInvalid"),
    ({"note": FORGED}, "CheckpointSignatureInvalid"),
    ({"note": STRANGE}, "CheckpointSignatureInvalid"),
    ({"key": "00" * 32}, "CheckpointSignatureInvalid"),
    ({"key": "00" * 31}, "FieldInvalid"),
    ({"origin": "other"}, "ClaimMismatch"),
    ({"origin": WORLD.origin + "/sm3"}, "MalformedInput"),
    ({"algorithm": 1}, "ClaimMismatch"),
    ({"algorithm": 2}, "MalformedInput"),
    ({"algorithm": True}, "FieldInvalid"),
    ({"size": 12}, "ClaimMismatch"),
    ({"root": seeded(1).hex()}, "ClaimMismatch"),
    ({"extra": 1}, "FieldUnknown"),
    ({"note": "\ud800"}, "FieldInvalid"),
]


@pytest.mark.parametrize(("change", "expected"), BAD_CHECKPOINTS)
def test_bad_checkpoints(change: dict[str, Any], expected: str) -> None:
    assert code("checkpoint", {**CHECKPOINT, **change}) == expected


ZERO = cosign_checkpoint(witness_private(COURT), COURT, 0, HEAD)
BAD_COSIGNATURES: list[tuple[dict[str, Any], str]] = [
    ({"text": SM3_HEAD.text().decode()}, "CosignatureInvalid"),
    ({"text": "x"}, "CheckpointMalformed"),
    ({"time": LINK_TIME + 1}, "CosignatureInvalid"),
    ({"signature": "00" * 64}, "CosignatureInvalid"),
    ({"signature": "00" * 63}, "FieldInvalid"),
    ({"type": 1}, "FieldInvalid"),
    ({"type": 6}, "FieldInvalid"),
    ({"name": "court two"}, "CheckpointMalformed"),
    ({"name": "other"}, "ClaimMismatch"),
    ({"keyId": "00000000"}, "ClaimMismatch"),
    ({"at": LINK_TIME - 1}, "CosignatureInFuture"),
    ({"time": 0, "signature": ZERO.untimed.hex()}, "CosignatureInvalid"),
    ({"time": -1}, "FieldInvalid"),
    ({"time": 2**63}, "FieldInvalid"),
]


@pytest.mark.parametrize(("change", "expected"), BAD_COSIGNATURES)
def test_bad_cosignatures(change: dict[str, Any], expected: str) -> None:
    assert code("cosignature", {**COSIGNATURE, **change}) == expected


def test_bad_policies() -> None:
    for change, expected in (
        ({"times": POLICY_LINE["times"][:2]}, "WitnessQuorumMissing"),
        ({"times": [*POLICY_LINE["times"][:2], {"name": "stranger", "time": 1}]}, "WitnessQuorumMissing"),
        ({"times": POLICY_LINE["times"][:1] * 2}, "FieldInvalid"),
        ({"since": 8}, "ClaimMismatch"),
        ({"statement": 2}, "FieldInvalid"),
        ({"extra": 0}, "FieldUnknown"),
    ):
        assert code("policy", {**POLICY_LINE, **change}) == expected, change
    for path, value in (
        (("quorum",), "nobody"),
        (("quorum",), None),
        (("witnesses", 0, "statement"), 2),
        (("witnesses", 0, "publicKey"), "00"),
        (("witnesses", 0, "name"), REGULATOR),
        (("groups", 0, "threshold"), 3),
        (("groups", 0, "members"), []),
    ):
        broken = copy.deepcopy(POLICY_LINE)
        place: Any = broken["policy"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        assert code("policy", broken) == "MalformedTrustFile", path
    empty: dict[str, Any] = {"witnesses": [], "groups": [], "quorum": None}
    assert code("policy", {**without(POLICY_LINE, "since"), "policy": empty}) == "WitnessQuorumMissing"


def test_the_receipt_kind_can_ignore_sha256() -> None:
    receipt: dict[str, Any] = {"receipt": WORLD.attested().hex(), "trust": WORLD.trust.hex(), "at": AT}
    assert code("receipt", receipt) == "Ok"
    found = answer("receipt", json.dumps({**receipt, "ignore": "sha256"}).encode())
    assert str(found["detail"]).startswith("VALID_REDUCED_TRUST (AlgorithmIgnored)")
    bare = {**receipt, "receipt": WORLD.receipt.hex()}
    assert code("receipt", {**bare, "ignore": "sha256"}) == "NothingLeft"
    assert code("receipt", {**bare, "ignore": None}) == "Ok"
    assert code("receipt", {**bare, "ignore": "sm3"}) == "Ok"
    assert code("receipt", {**bare, "ignore": "sha256,sm3"}) == "HashNotRenewed"
    assert code("receipt", {**bare, "ignore": "md5"}) == "FieldInvalid"


def test_every_changed_character_is_refused_or_changes_nothing() -> None:
    alone = SignedNote(HEAD.text(), (sign_checkpoint(WORLD.log_key, HEAD),)).encode().decode()
    for kind, line in (
        ("checkpoint", {**CHECKPOINT, "note": alone}),
        ("cosignature", without(COSIGNATURE, "at")),
    ):
        text = json.dumps(line, ensure_ascii=False)
        assert answer(kind, text.encode())["accepted"]
        for offset in range(len(text)):
            for other in "0f":
                changed = text[:offset] + other + text[offset + 1 :]
                if changed != text:
                    assert not answer(kind, changed.encode())["accepted"], (
                        kind,
                        changed[offset - 9 : offset + 9],
                    )
