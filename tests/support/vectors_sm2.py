"""Frozen SM2 attestations: `python -m tests.support.vectors_sm2` writes another set.

Signing is randomised, so the file cannot be made again byte for byte. `rows` are lines of the conformance
kind `receipt` with what the report says of the attestations; `signatures` lines of the kind `sm2`, the first
of them the example of GB/T 32918.5 Annex A.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from protocol import sm2
from protocol.acts import Domain, Purpose
from protocol.hashing import SHA256, SM3
from protocol.keyslot import KeySlot, KeyState
from protocol.sm2 import ORDER, SignedRoots
from tests.support import fakechain
from tests.support.fakechain import seeded
from tests.support.vectors import FOLDER
from tests.support.world import AT, LINK_TIME, SUBMITTER, World
from verifier.attestation import Sm2Attestation
from verifier.merkle_tree import Tree
from verifier.receipt import Attestation

FILE = FOLDER / "attested-sm2.json"
WORLDS = {
    "network": World(version=2, witnesses=1),
    "development chain": World(version=2, kind="none", witnesses_named=False),
    "another organisation": World(
        version=2,
        witnesses=1,
        slot=KeySlot(SUBMITTER + 1, Purpose.ACT, LINK_TIME - 1000, LINK_TIME + 1000, 0, KeyState.ACTIVE),
    ),
}
PRIVATE = seeded("sm2")
STANDARD = {
    "private": "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8",
    "publicKey": "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    "random": "59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21",
    "message": b"message digest".hex(),
    "signature": "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
}
"""GB/T 32918.5-2017 Annex A, user id 1234567812345678."""


def roots(world: World) -> tuple[SignedRoots, Tree]:
    """What the SM2 key of this world's submitter signs, and the SM3 tree."""
    leaves = world.submission.unsequenced_leaves()
    sha256, sm3 = (Tree(alg, [alg.leaf(leaf) for leaf in leaves]) for alg in (SHA256, SM3))
    core = world.core
    domain = Domain(world.chain_id, world.evidence_log)
    return SignedRoots(
        domain, core.log.log_id, SUBMITTER, sha256.root, sm3.root, len(leaves), core.submission.valid_until
    ), sm3


def attestation(world: World, *, stated_by: str | None = None, **said: Any) -> Sm2Attestation:
    """The attestation of this world's receipt; `said`: members of what is signed that are not the receipt's,
    `stated_by`: whose key signs the statement.
    """
    true, tree = roots(world)
    public = sm2.public_of(PRIVATE)
    key = world.key
    if stated_by is not None:
        key = dataclasses.replace(key, private=fakechain.secp256k1(stated_by).secret)
    statement = key.sign_digest(true.statement(public).digest(true.domain))
    signature = sm2.sign(PRIVATE, dataclasses.replace(true, **said).message())
    return Sm2Attestation(public, statement, signature, tree.path(world.position))


def rows() -> list[tuple[str, str, tuple[Attestation, ...], dict[str, Any], str, list[str], bool]]:
    """(name, world, attestations, rest of the line, result, codes of the sm2 ones, whether it is a fact)."""
    network = WORLDS["network"]
    good = attestation(network)
    w, w3 = network.witness(), network.witness(algorithm=1)
    change = dataclasses.replace
    wrong = {
        "path": (change(good, path_sm3=good.path_sm3[::-1]), "Sm2SignatureInvalid"),
        "path of another length": (change(good, path_sm3=good.path_sm3[1:]), "MerkleProofLength"),
        "statement by another key": (attestation(network, stated_by="stranger"), "Sm2KeyNotBound"),
        "statement without a form": (change(good, statement=bytes(65)), "Sm2KeyNotBound"),
        "public key": (change(good, public_key=good.public_key[::-1]), "Sm2KeyNotBound"),
        "signature": (change(good, signature=good.signature[::-1]), "Sm2SignatureInvalid"),
        "log": (attestation(network, log_id=seeded("x")), "Sm2SignatureInvalid"),
        "organisation": (attestation(network, organisation=4), "Sm2SignatureInvalid"),
        "SHA-256 root": (attestation(network, root_sha256=seeded("x")), "Sm2SignatureInvalid"),
        "SM3 root": (attestation(network, root_sm3=seeded("x")), "Sm2SignatureInvalid"),
        "count": (attestation(network, count=6), "Sm2SignatureInvalid"),
        "end": (attestation(network, valid_until=LINK_TIME), "Sm2SignatureInvalid"),
        "chain": (attestation(network, domain=Domain(1, network.evidence_log)), "Sm2SignatureInvalid"),
    }
    form = Attestation("sm2", good.encode().payload + b"\0")
    other = attestation(WORLDS["another organisation"])
    development = attestation(WORLDS["development chain"])
    valid, reduced, bad = "VALID", "VALID_REDUCED_TRUST", "INVALID"
    ignore: dict[str, Any] = {"ignore": "sha256"}
    return [
        ("good", "network", (w, good.encode()), {}, valid, ["Ok"], True),
        ("twice", "network", (w, good.encode(), good.encode()), {}, valid, ["Ok", "Ok"], True),
        ("it does not stand in for a witness", "network", (good.encode(),), {}, reduced, ["Ok"], True),
        ("without SHA-256", "network", (w, w3, good.encode()), ignore, reduced, ["Ok"], True),
        ("development chain", "development chain", (development.encode(),), {}, reduced, ["Ok"], True),
        ("signer not registered", "another organisation", (w, other.encode()), {}, bad, ["Ok"], False),
        ("form", "network", (w, form), {}, bad, [], False),
        *((f"wrong {name}", "network", (w, one.encode()), {}, valid, [code], False)
          for name, (one, code) in wrong.items()),
    ]  # fmt: skip


def signatures() -> list[dict[str, Any]]:
    """Lines of the kind `sm2` with the code they get."""
    standard = {name: STANDARD[name] for name in ("publicKey", "message", "signature")}
    public = sm2.public_of(PRIVATE).hex()
    message = seeded("message")
    own = {"publicKey": public, "message": message.hex(), "signature": sm2.sign(PRIVATE, message).hex()}
    r, s = standard["signature"][:64], int(standard["signature"][64:], 16)
    invalid = "Sm2SignatureInvalid"
    return [
        {"name": name, "line": line, "code": code}
        for name, line, code in [
            ("the standard's example", standard, "Ok"),
            ("own", own, "Ok"),
            ("another message", {**own, "message": message[1:].hex()}, invalid),
            ("another key", {**own, "publicKey": standard["publicKey"]}, invalid),
            ("s and r exchanged", {**standard, "signature": standard["signature"][64:] + r}, invalid),
            ("r of 0", {**standard, "signature": "0" * 64 + standard["signature"][64:]}, invalid),
            ("s plus the order", {**standard, "signature": r + f"{(s + ORDER) % 2**256:064x}"}, invalid),
            ("s of the order", {**standard, "signature": r + f"{ORDER:064x}"}, invalid),
            ("no point of the curve", {**own, "publicKey": "01" * 64}, invalid),
            ("the point (0, 0)", {**own, "publicKey": "00" * 64}, invalid),
        ]
    ]


def document() -> dict[str, Any]:
    """The file's content."""
    listed = []
    for name, world, found, rest, result, codes, key in rows():
        receipt = WORLDS[world].attested(*found).hex()
        code = {"form": "MalformedAttestation", "signer not registered": "KeyOfAnotherOrganisation"}
        key_hex = sm2.public_of(PRIVATE).hex() if key else None
        listed.append(
            {
                "name": name, "trust": world, "line": {"receipt": receipt, "at": AT, **rest},
                "code": code.get(name, "Ok"), "result": result, "sm2": codes, "sm2Key": key_hex,
            }
        )  # fmt: skip
    trusts = {name: world.trust.hex() for name, world in WORLDS.items()}
    return {"trusts": trusts, "rows": listed, "signatures": signatures()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
