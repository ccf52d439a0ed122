"""Frozen ML-DSA-44 cosignatures: `python -m tests.support.vectors_mldsa` writes another set.

Signing is randomised, so the file cannot be made again byte for byte. `rows` are lines of the conformance
kind `receipt`, the trust file by name; `cosignatures` lines of the kind `cosignature`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from protocol.checkpoint import (
    TYPE_MLDSA44,
    NoteSignature,
    cosign_checkpoint,
    key_id,
    mldsa_message,
    sign_checkpoint,
)
from tests.support.fakechain import seeded
from tests.support.vectors import FOLDER
from tests.support.world import AT, COURT, LINK_TIME, REGULATOR, World, signed, witness_private
from verifier.attestation import Cosignature, WitnessAttestation
from verifier.receipt import Attestation
from verifier.witness_policy import Witness, WitnessGroup, WitnessPolicy

FILE = FOLDER / "attested-ml-dsa.json"
NAMES = ("court.example/witness/ml-dsa-44", "regulator.example/witness/ml-dsa-44")
ONLY = World(version=2, validators_named=False)
TIME = LINK_TIME + 60


def private(name: str, algorithm: int) -> MLDSA44PrivateKey:
    """The key of one name for one tree."""
    return MLDSA44PrivateKey.from_seed_bytes(seeded("ml-dsa-44", name, algorithm))


def _named(name: str, algorithm: int) -> Witness:
    public = private(name, algorithm).public_key().public_bytes_raw()
    return Witness(name, TYPE_MLDSA44, public, algorithm, name.partition(".")[0], "court")


PAIR = tuple(_named(name, algorithm) for name in NAMES for algorithm in (0, 1))


def _trust(*groups: WitnessGroup, quorum: str) -> bytes:
    named = ONLY.payload.witness_policy.witnesses
    policy = WitnessPolicy((*named, *PAIR), groups, quorum)
    return signed(dataclasses.replace(ONLY.payload, witness_policy=policy))


TRUSTS = {
    "both ML-DSA": _trust(WitnessGroup("all", 2, NAMES), quorum="all"),
    "either key of court and regulator": _trust(
        WitnessGroup("court", 1, (COURT, NAMES[0])),
        WitnessGroup("regulator", 1, (REGULATOR, NAMES[1])),
        WitnessGroup("all", 2, ("court", "regulator")),
        quorum="all",
    ),
    "both keys of the court": _trust(WitnessGroup("court", 2, (COURT, NAMES[0])), quorum="court"),
}


def attestation(
    names: Sequence[str], algorithm: int = 0, *, time: int = TIME, size: int | None = None, **spoil: Any
) -> Attestation:
    """Cosignatures under these names; those of NAMES are ML-DSA-44, the rest Ed25519.

    `spoil`: what is signed instead (`said_name`, `said_size`, `said_time`), the `key` of another statement,
    or the length to which the signature is `cut`.
    """
    head = ONLY.checkpoint(algorithm, size)
    lines = []
    for name in names:
        if name not in NAMES:
            line = cosign_checkpoint(witness_private(name, algorithm), name, time, head)
        else:
            said = ONLY.checkpoint(algorithm, spoil["said_size"]) if "said_size" in spoil else head
            message = mldsa_message(spoil.get("said_name", name), spoil.get("said_time", time), said)
            raw = private(name, spoil.get("key", algorithm)).sign(message)[: spoil.get("cut", 2420)]
            public = private(name, algorithm).public_key().public_bytes_raw()
            line = NoteSignature.cosignature(name, key_id(name, TYPE_MLDSA44, public), time, raw)
        lines.append(Cosignature(line.key_id, line.time, line.untimed))
    return WitnessAttestation(
        algorithm, ONLY.where(algorithm, size), sign_checkpoint(ONLY.log_key, head).signature,
        tuple(sorted(lines, key=lambda one: one.key_id)),
    ).encode()  # fmt: skip


def rows() -> list[tuple[str, str, tuple[Attestation, ...], dict[str, Any], str, str]]:
    """(name, trust file, attestations, rest of the line, code, result)."""
    pq: dict[str, Any] = {"mlDsa": True}
    ignore: dict[str, Any] = {"ignore": "sha256"}
    zero, ahead = attestation(NAMES, time=0), attestation(NAMES, time=AT + 1)
    two, either, both = TRUSTS
    pair, pair3 = attestation(NAMES), attestation(NAMES, 1)
    mixed = attestation([COURT, NAMES[1]])
    own, ed25519 = attestation([COURT, NAMES[0]]), attestation([COURT, REGULATOR])
    reduced, bad, missing = "VALID_REDUCED_TRUST", "INVALID", "EpochNotTrusted"
    spoilt = {
        "another time": attestation(NAMES[:1], said_time=TIME + 1),
        "another key name": attestation(NAMES[:1], said_name=NAMES[1]),
        "another size": attestation(NAMES[:1], said_size=20),
        "the key of the other tree": attestation(NAMES[:1], key=1),
        "a signature of 64 bytes": attestation(NAMES[:1], cut=64),
    }
    return [
        ("two of two", two, (pair, pair3), pq, "Ok", reduced),
        ("two of two, not asked for", two, (pair, pair3), {}, missing, bad),
        ("two of two, said to be false", two, (pair, pair3), {"mlDsa": False}, missing, bad),
        ("two of two in a larger tree", two, (attestation(NAMES, size=20),), pq, "Ok", reduced),
        ("one of two", two, (attestation(NAMES[:1]),), pq, missing, bad),
        ("of the SM3 tree alone", two, (pair3,), pq, missing, bad),
        ("without SHA-256", two, (pair, pair3), {**pq, **ignore}, "Ok", reduced),
        ("without SHA-256, not asked for", two, (pair, pair3), ignore, "NothingLeft", "INDETERMINATE"),
        ("either key, one of each", either, (mixed,), pq, "Ok", reduced),
        ("either key, not asked for", either, (mixed,), {}, missing, bad),
        ("either key, Ed25519", either, (ed25519,), {}, "Ok", reduced),
        ("both keys", both, (own,), pq, "Ok", reduced),
        ("both keys, not asked for", both, (own,), {}, missing, bad),
        ("time 0", two, (pair, zero), pq, "CosignatureInvalid", bad),
        ("time after the evaluation", two, (pair, ahead), pq, "CosignatureInFuture", bad),
        *(
            (f"wrong: {name}", both, (own, one), pq, "CosignatureInvalid", bad)
            for name, one in spoilt.items()
        ),
        *(
            (f"wrong: {name}, not asked for", either, (ed25519, one), {}, "Ok", reduced)
            for name, one in spoilt.items()
        ),
    ]  # fmt: skip


def cosignatures() -> list[dict[str, Any]]:
    """Lines of the kind `cosignature` with the code they get."""
    name, head = NAMES[0], ONLY.checkpoint()
    key = private(name, 0)
    public = key.public_key().public_bytes_raw()
    good: dict[str, Any] = {
        "text": head.text().decode(), "name": name, "type": 6, "publicKey": public.hex(), "time": TIME,
        "signature": key.sign(mldsa_message(name, TIME, head)).hex(),
        "keyId": key_id(name, TYPE_MLDSA44, public).hex(),
    }  # fmt: skip
    signature = str(good["signature"])
    changed_end = signature[:-1] + "01"[signature[-1] == "0"]
    invalid, long = "CosignatureInvalid", "n" * 256
    sm3 = ONLY.checkpoint(1)
    changes: list[tuple[str, dict[str, Any], str]] = [
        ("good", {}, "Ok"),
        ("in the future", {"at": TIME - 1}, "CosignatureInFuture"),
        ("another time", {"time": TIME + 1}, invalid),
        ("another name", {"name": NAMES[1], "keyId": key_id(NAMES[1], 6, public).hex()}, invalid),
        ("another tree", {"text": sm3.text().decode()}, invalid),
        ("a changed signature", {"signature": changed_end}, invalid),
        ("another key id", {"keyId": "00000000"}, "ClaimMismatch"),
        ("a name of 256 bytes", {"name": long, "keyId": "00000000"}, "LimitExceeded"),
        ("the length of Ed25519", {"signature": signature[:128]}, "FieldInvalid"),
    ]  # fmt: skip
    return [{"name": name, "line": {**good, **changed}, "code": code} for name, changed, code in changes]


def document() -> dict[str, Any]:
    """The file's content."""
    listed = [
        {"name": name, "trust": trust, "line": {"receipt": ONLY.attested(*found).hex(), "at": AT, **rest},
         "code": code, "result": result}
        for name, trust, found, rest, code, result in rows()
    ]  # fmt: skip
    trusts = {name: trust.hex() for name, trust in TRUSTS.items()}
    return {"trusts": trusts, "rows": listed, "cosignatures": cosignatures()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
