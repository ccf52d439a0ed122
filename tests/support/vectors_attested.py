"""Frozen receipts with attestations: `python -m tests.support.vectors_attested` writes those of fixed seeds.

Tokens are signed with fresh keys, so `attested-tokens.json` cannot be made again; `… tokens` makes another.
Each line is one of the conformance kind `receipt`, its trust file given by name.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from protocol.hashing import ALGORITHMS
from tests.support.vectors import FOLDER
from tests.support.world import AT, BANK_A, BANK_B, COURT, LINK_TIME, REGULATOR, World, signed
from verifier.attestation import WitnessAttestation, parse
from verifier.receipt import Attestation
from verifier.trust_payload import Epoch

ATTESTED = FOLDER / "attested.json"
TOKENS = FOLDER / "attested-tokens.json"
LATER = World(version=2, seed="new validators", height=5000, block_time=LINK_TIME + 200)
WORLDS = {
    "both": World(version=2, witnesses=1),
    "witnesses alone": World(version=2, validators_named=False),
    "neither": World(version=2, validators_named=False, witnesses_named=False),
    "development chain": World(version=2, kind="none"),
    "closed epoch": World(version=2, to_height=4712, closed_at=LINK_TIME + 100),
    "version 1": World(witnesses=2),
}


def _reopened() -> bytes:
    payload = WORLDS["closed epoch"].payload
    chain = payload.chains[0]
    epochs = (*chain.epochs, Epoch(2, 4713, None, LATER.validators))
    return signed(dataclasses.replace(payload, chains=(dataclasses.replace(chain, epochs=epochs),)))


def _spoilt(world: World, **changes: Any) -> Attestation:
    found = parse(world.witness(), 0)
    if not isinstance(found, WitnessAttestation):
        raise TypeError
    line = {name: changes.pop(name) for name in list(changes) if name in ("time", "signature")}
    if line:
        first, *rest = found.cosignatures
        changes["cosignatures"] = (dataclasses.replace(first, **line), *rest)
    return dataclasses.replace(found, **changes).encode()


def rows() -> list[tuple[str, str, tuple[Attestation, ...] | None, dict[str, object], str, str]]:
    """(name, trust file, attestations or None for the plain receipt, rest of the line, code, result)."""
    both, only, closed = WORLDS["both"], WORLDS["witnesses alone"], WORLDS["closed epoch"]
    w, w3 = both.witness(), both.witness(algorithm=1)
    reduced, valid, bad, open_ = "VALID_REDUCED_TRUST", "VALID", "INVALID", "INDETERMINATE"
    ignore: dict[str, object] = {"ignore": "sha256"}
    broken = {
        "log signature": (_spoilt(both, log_signature=bytes(64)), "CheckpointSignatureInvalid"),
        "cosignature": (_spoilt(both, signature=bytes(64)), "CosignatureInvalid"),
        "time": (_spoilt(both, time=LINK_TIME + 61), "CosignatureInvalid"),
        "time 0": (both.witness(time=0), "CosignatureInvalid"),
        "time after the evaluation": (both.witness(time=AT + 1), "CosignatureInFuture"),
        "tree smaller than the batch": (both.witness(size=12), "CheckpointTooSmall"),
        "other tree": (_spoilt(both, algorithm=1), "CheckpointSignatureInvalid"),
        "another log": (World(version=2, origin="centre.example/x").witness(), "CheckpointSignatureInvalid"),
        "form": (Attestation("witness", w.payload + b"\x00"), "MalformedAttestation"),
    }
    split = (both.witness(COURT, REGULATOR), both.witness(BANK_A, size=20))
    joined = (both.witness(COURT, REGULATOR), both.witness(BANK_B))
    missing = (both.witness(COURT, REGULATOR),)
    inside, outside = closed.witness(time=LINK_TIME + 100), closed.witness(time=LINK_TIME + 101)
    refreshed = closed.refreshed(LATER)
    return [
        ("validators and witnesses", "both", (w, w3), {}, "Ok", valid),
        ("no witness", "both", None, {}, "Ok", reduced),
        ("witnesses alone", "witnesses alone", (w, w3), {}, "Ok", reduced),
        ("witnesses alone, larger tree", "witnesses alone", (only.witness(size=20),), {}, "Ok", reduced),
        ("witnesses alone, one too few", "witnesses alone", missing, {}, "EpochNotTrusted", bad),
        ("witnesses alone, in two parts", "witnesses alone", joined, {}, "Ok", reduced),
        ("witnesses alone, over two trees", "witnesses alone", split, {}, "EpochNotTrusted", bad),
        ("witnesses alone, of the SM3 tree", "witnesses alone", (w3,), {}, "EpochNotTrusted", bad),
        ("neither", "neither", (w, w3), {}, "EpochNotTrusted", bad),
        ("development chain, witnessed", "development chain", None, {}, "Ok", reduced),
        ("version 1 names no witness", "version 1", (w,), {}, "Ok", reduced),
        ("unknown kind", "both", (w, Attestation("later", b"\x01")), {}, "Ok", valid),
        ("unknown version", "both", (Attestation("witness", b"\x81\x02"),), {}, "Ok", reduced),
        *((f"wrong {name}", "both", (w, one), {}, code, bad) for name, (one, code) in broken.items()),
        ("closed epoch", "closed epoch", None, {}, "Ok", reduced),
        ("closed epoch, from inside", "closed epoch", (inside,), {}, "Ok", valid),
        ("closed epoch, a second late", "closed epoch", (outside,), {}, "Ok", reduced),
        ("closed epoch, proved again", "reopened", (refreshed,), {}, "Ok", valid),
        ("closed epoch, later epoch not named", "closed epoch", (refreshed,), {}, "Ok", reduced),
        (
            "closed epoch, another batch proved again", "reopened",
            (closed.refreshed(LATER.but(index=7)),), {}, "BatchLinkMismatch", bad,
        ),
        ("without SHA-256", "both", (w, w3), ignore, "Ok", reduced),
        ("without SHA-256, nothing left", "both", (w,), ignore, "NothingLeft", open_),
        ("without SHA-256, its wrong cosignature", "both", (broken["time"][0], w3), ignore, "Ok", reduced),
    ]  # fmt: skip


def _world(trust: str) -> World:
    return WORLDS.get(trust, WORLDS["closed epoch"])


def document() -> bytes:
    """The deterministic file."""
    out = []
    for name, trust, attestations, rest, code, result in rows():
        world = _world(trust)
        receipt = world.receipt if attestations is None else world.attested(*attestations)
        line = {"receipt": receipt.hex(), "at": AT, **rest}
        out.append({"name": name, "trust": trust, "line": line, "code": code, "result": result})
    trusts = {name: world.trust.hex() for name, world in WORLDS.items()} | {"reopened": _reopened().hex()}
    return _text({"trusts": trusts, "rows": out})


def tokens() -> bytes:
    """Receipts with tokens by fresh authorities: two that last, two that end before the last evaluation."""
    from protocol.checkpoint import TREE_HASHES
    from tests.support.time_tokens import Recipe, authority, identity
    from verifier.attestation import RenewalAttestation, TokenAttestation
    from verifier.attested import RENEWAL_TAG

    a, b, short = identity("Authority A"), identity("Authority B"), identity("Authority S", 60)
    stranger = identity("Authority C")
    named = (authority(a, "one"), authority(b, "two"), authority(short, "three"))
    world = World(version=2, authorities=named, time_tokens=2)
    closed = world.but(to_height=4712, closed_at=LINK_TIME + 1000)
    late = LINK_TIME + 200_000

    def stamp(of: object, *, algorithm: int = 0, time: int = LINK_TIME + 120) -> Attestation:
        alg = TREE_HASHES[algorithm]
        digest = alg.digest(world.checkpoint(algorithm).text())
        made = Recipe(of, algorithm=alg.name, time=time, imprint=digest).make()  # type: ignore[arg-type]
        return TokenAttestation(algorithm, None, made).encode()

    def renewal(before: tuple[Attestation, ...], *at: int, algorithm: str = "sha256") -> Attestation:
        alg = ALGORITHMS[algorithm]
        listed = b"".join(alg.digest(before[one].payload) for one in at)
        digest = alg.digest(RENEWAL_TAG + alg.digest(world.core.encode()) + listed)
        made = Recipe(a, algorithm=algorithm, time=LINK_TIME + 150_000, imprint=digest).make()
        return RenewalAttestation(at, made).encode()

    pair = (stamp(a), stamp(b))
    sm3 = (stamp(a, algorithm=1), stamp(b, algorithm=1))
    ending = (stamp(short), stamp(b))
    made: list[tuple[str, str, tuple[Attestation, ...], int, bool, str, str]] = [
        ("two authorities", "open", pair, AT, False, "Ok", "VALID"),
        ("both trees", "open", (*pair, *sm3), AT, False, "Ok", "VALID"),
        ("one authority twice", "open", (pair[0], stamp(a)), AT, False, "Ok", "VALID_REDUCED_TRUST"),
        ("a stranger's", "open", (pair[0], stamp(stranger)), AT, False, "Ok", "VALID_REDUCED_TRUST"),
        ("after the evaluation", "open", (*pair, stamp(a, time=AT + 1)), AT, False, "TokenInFuture",
         "INVALID"),
        ("long before", "open", (*pair, stamp(a, time=LINK_TIME - 301)), AT, False, "TokenBeforeBlock",
         "INVALID"),
        ("ended", "open", ending, late, False, "Ok", "VALID_REDUCED_TRUST"),
        ("ended, renewed", "open", (*ending, renewal(ending, 0)), late, False, "Ok", "VALID"),
        ("ended, renewed by SM3", "open", (*ending, renewal(ending, 0, 1, algorithm="sm3")), late, False,
         "Ok", "VALID"),
        ("renewal of another order", "open", (*ending[::-1], renewal(ending, 0, 1)), AT, False,
         "TokenImprintMismatch", "INVALID"),
        ("inside a closed epoch", "closed", pair, AT, False, "Ok", "VALID"),
        ("one late for a closed epoch", "closed", (pair[0], stamp(b, time=LINK_TIME + 1001)), AT, False, "Ok",
         "VALID_REDUCED_TRUST"),
        ("without SHA-256", "open", sm3, AT, True, "Ok", "VALID_REDUCED_TRUST"),
        ("without SHA-256, nothing left", "open", pair, AT, True, "NothingLeft", "INDETERMINATE"),
    ]  # fmt: skip
    out: list[dict[str, object]] = []
    for name, trust, attestations, at, ignored, code, result in made:
        line: dict[str, object] = {"receipt": world.attested(*attestations).hex(), "at": at}
        if ignored:
            line["ignore"] = "sha256"
        out.append({"name": name, "trust": trust, "line": line, "code": code, "result": result})
    return _text({"trusts": {"open": world.trust.hex(), "closed": closed.trust.hex()}, "rows": out})


def _text(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def load(path: Path) -> list[dict[str, Any]]:
    """Rows with their trust files put into the lines."""
    found = json.loads(path.read_text())
    return [{**row, "line": {**row["line"], "trust": found["trusts"][row["trust"]]}} for row in found["rows"]]


if __name__ == "__main__":
    if sys.argv[1:] == ["tokens"]:
        TOKENS.write_bytes(tokens())
    else:
        ATTESTED.write_bytes(document())
