"""Frozen hash renewals: `python -m tests.support.vectors_rehash` writes another set.

The authorities' keys are fresh each time, so the file cannot be made again. `rows` are lines of the
conformance kind `receipt` with code, result, what the list of attestations says of each `rehash`, and the
fact `hashRenewedAt`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from evidence.local_authority import Identity
from protocol import cbor, entry, rehash
from protocol.entry import EvidenceClass, Header
from protocol.hashing import SHA3_256
from tests.support.fakechain import seeded
from tests.support.time_tokens import Recipe, authority, identity
from tests.support.vectors import FOLDER
from tests.support.world import CONTENT, LINK_TIME, World
from verifier.attestation import RehashAttestation, Stamped, TokenAttestation
from verifier.merkle_tree import Tree
from verifier.receipt import Attestation
from verifier.rehash import bare_core_digest

FILE = FOLDER / "attested-rehash.json"
A, B, SHORT, STRANGER = (
    identity("Rehash A"), identity("Rehash B"), identity("Rehash S", 60), identity("Rehash C")
)  # fmt: skip
NAMED = (authority(A, "one"), authority(B, "two"), authority(SHORT, "three"))
RENEWED = LINK_TIME + 50_000
BEFORE = LINK_TIME + 90_000
END = LINK_TIME + 100_000
LATER = LINK_TIME + 200_000
MUCH_LATER = LINK_TIME + 5_000_000
"""After the certificate of the short authority."""
BASE = World(version=3, authorities=NAMED, time_tokens=1)
WORLDS = {
    "no end": BASE,
    "both end": BASE.but(algorithm_ends=((0, END), (1, END + 20_000))),
    "SHA-256 ends": BASE.but(algorithm_ends=((0, END),)),
    "SM3 ends": BASE.but(algorithm_ends=((1, END),)),
    "two authorities": BASE.but(time_tokens=2, algorithm_ends=((0, END), (1, END))),
    "witnesses wanted": BASE.but(witnesses=1),
    "development chain": BASE.but(kind="none"),
    "closed log": BASE.but(closed_size=7),
}


def stamp(text: bytes, of: Identity, time: int, **changes: Any) -> Stamped:
    """A token over the text; signed over SHA-512 unless said otherwise."""
    recipe = Recipe(of, algorithm="sha3-256", time=time, imprint=SHA3_256.digest(text), over="sha512")
    return Stamped(dataclasses.replace(recipe, **changes).make())


def plain_token(world: World, time: int = LINK_TIME + 120) -> Attestation:
    """An ordinary token over the SHA-256 checkpoint."""
    from protocol.hashing import SHA256

    digest = SHA256.digest(world.checkpoint(0).text())
    return TokenAttestation(0, None, Recipe(A, time=time, imprint=digest).make()).encode()


def attestation(
    world: World,
    before: Sequence[Attestation] = (),
    *,
    scope: int = 1,
    listed: Sequence[int] | None = None,
    body: bytes | None = b"",
    content: bytes | None = b"",
    stamped_by: Sequence[tuple[Identity, int]] = ((A, RENEWED),),
    size: int = 13,
    position: int = 6,
    core: bytes | None = None,
    line: str | None = None,
    **changes: Any,
) -> RehashAttestation:
    """A renewal of this world's receipt.

    Empty `body` and `content`: the true digests; `core` is another core's digest, `line` another first line;
    `changes` spoil tokens.
    """
    own = world.core
    true_body = None if own.body is None else SHA3_256.digest(own.body)
    operator = scope == rehash.SCOPE_LOG
    places = tuple(range(len(before)) if listed is None and not operator else listed or ())
    body = true_body if body == b"" else body
    content = None if operator else SHA3_256.digest(CONTENT) if content == b"" else content
    item = rehash.Item(
        core or bare_core_digest(own), body, content,
        rehash.listed_digest((before[at].kind, before[at].payload) for at in places),
    )  # fmt: skip
    hashes = [seeded("item", n) for n in range(size)]
    hashes[position] = item.leaf_hash()
    tree = Tree(SHA3_256, hashes)
    first = line or (rehash.log_line(world.origin) if operator else rehash.HOLDER_LINE)
    text = rehash.text(first, size, tree.root)
    tokens = tuple(stamp(text, of, time, **changes) for of, time in stamped_by)
    signature = world.log_key.sign(text) if operator else None
    return RehashAttestation(
        scope, size, position, tree.path(position), body, content, places, signature, tokens
    )


Row = tuple[str, str, tuple[Attestation, ...], dict[str, Any], str, str, list[str], int | None]


def rows() -> list[Row]:
    """(name, world, attestations, rest of the line, code, result, codes of the rehash ones, fact)."""
    change = dataclasses.replace
    valid, reduced, bad, open_ = "VALID", "VALID_REDUCED_TRUST", "INVALID", "INDETERMINATE"
    late = {"at": LATER}
    file = {"content": CONTENT.hex()}
    both, sha, sm = ({"ignore": name, **late} for name in ("sha256,sm3", "sha256", "sm3"))
    base = WORLDS["no end"]
    token = plain_token(base)
    good = attestation(base, (token,))
    full = (token, good.encode())
    log = attestation(base, (token,), scope=0)
    operator = (token, log.encode())
    no_content = (token, attestation(base, (token,), content=None).encode())
    no_body = (token, attestation(base, (token,), body=None).encode())
    after = (token, attestation(base, (token,), stamped_by=((A, END + 1),)).encode())
    on_time = (token, attestation(base, (token,), stamped_by=((A, END),)).encode())
    two = (token, attestation(base, (token,), stamped_by=((A, RENEWED), (B, RENEWED + 60))).encode())
    split = (token, attestation(base, (token,), stamped_by=((A, RENEWED), (B, END + 1))).encode())
    twice = (token, attestation(base, (token,), stamped_by=((A, RENEWED), (A, RENEWED + 1))).encode())
    weak = {
        "signed over SHA-256": attestation(base, (token,), over="sha256"),
        "broken": change(good, tokens=(Stamped(good.tokens[0].token[:-1] + b"\0"),)),
        "over another text": change(good, tokens=(stamp(b"x", A, RENEWED),)),
    }
    refusals = ("TokenAlgorithmWeak", "TokenSignatureInvalid", "TokenImprintMismatch")
    spoilt = {
        "path": (change(good, path=good.path[::-1]), "TokenImprintMismatch"),
        "path of another length": (change(good, path=good.path[1:]), "MerkleProofLength"),
        "position": (change(good, position=7), "TokenImprintMismatch"),
        "body digest": (change(good, body=seeded("x")), "RehashMismatch"),
        "content digest": (change(good, content=seeded("x")), "TokenImprintMismatch"),
        "content digest left out": (change(good, content=None), "TokenImprintMismatch"),
        "list": (change(good, listed=()), "TokenImprintMismatch"),
        "core": (attestation(base, (token,), core=seeded("x")), "TokenImprintMismatch"),
        "holder's tree as the log's": (change(log, scope=1, log_signature=None), "TokenImprintMismatch"),
        "log's leaf": (attestation(base, (token,), scope=0, position=5), "RehashMismatch"),
        "log's size": (attestation(base, (token,), scope=0, size=12), "RehashMismatch"),
        "log's signature": (change(log, log_signature=bytes(64)), "CheckpointSignatureInvalid"),
        "log's name": (attestation(base, (token,), scope=0, line="x/sha3-256"), "CheckpointSignatureInvalid"),
    }  # fmt: skip
    form = {
        "algorithm": Attestation(
            "rehash", good.encode().payload.replace(b"\x8b\x01\x02", b"\x8b\x01\x03", 1)
        ),
        "operator with content": change(log, content=seeded("x")).encode(),
        "operator with a list": change(log, listed=(0,)).encode(),
        "operator without signature": change(log, log_signature=None).encode(),
        "holder with a signature": change(good, log_signature=bytes(64)).encode(),
        "no token": change(good, tokens=()).encode(),
        "position beyond the size": change(good, position=13).encode(),
    }
    foreign = (token, attestation(base, (token,), stamped_by=((STRANGER, RENEWED),)).encode())
    short = attestation(base, (token,), stamped_by=((SHORT, RENEWED),))
    again = attestation(base, (token, short.encode()), stamped_by=((A, RENEWED + 100),))
    much = {"at": MUCH_LATER, "ignore": "sha256,sm3"}
    unlisted = (token, attestation(base, (token,), listed=()).encode())
    w, w3 = base.witness(), base.witness(algorithm=1)
    witnessed = (w, w3, attestation(base, (w, w3)).encode())
    unwitnessed = (w, w3, attestation(base, (w, w3), listed=(1,)).encode())
    development = WORLDS["development chain"]
    dev = (attestation(development).encode(),)
    other_content = (token, attestation(base, (token,), content=seeded("other")).encode())
    wrong_file = {"content": (CONTENT + b" ").hex()}
    digests = {"size": base.content.size, "sha256": base.content.sha256.hex(), "sm3": base.content.sm3.hex()}
    ok, few, tardy, fact = ["Ok"], ["RehashTokensMissing"], ["RehashTooLate"], RENEWED
    gone, unproved = "HashNotRenewed", "ContentNotRenewed"
    shown, after_end = {**file, **both}, {**file, **late}
    with_sha3 = {"content": {**digests, "sha3_256": SHA3_256.digest(CONTENT).hex()}, **both}
    without_sha3 = {"content": digests, **both}
    with_other = {"content": {**digests, "sha3_256": seeded("x").hex()}, **both}
    return [
        ("nothing ignored", "no end", full, file, "Ok", valid, ok, None),
        ("nothing ignored, the operator's", "no end", operator, file, "Ok", valid, ok, None),
        ("nothing ignored, before the end", "both end", full, file, "Ok", valid, ok, None),
        ("at the end", "both end", full, {**file, "at": END}, "Ok", valid, ok, None),
        ("a second after the end", "both end", full, {**file, "at": END + 1}, "Ok", reduced, ok, fact),
        ("both ignored", "no end", full, shown, "Ok", reduced, ok, fact),
        ("both ignored, no file", "no end", full, both, "Ok", reduced, ok, fact),
        ("both ended", "both end", full, after_end, "Ok", reduced, ok, fact),
        ("both ended, without renewal", "both end", (token,), late, gone, open_, [], None),
        ("both ended, without anything", "both end", (), after_end, gone, open_, [], None),
        ("both ignored, without renewal", "no end", (token, w3), both, gone, open_, [], None),
        ("the operator's, no file", "no end", operator, both, "Ok", reduced, ok, fact),
        ("the operator's, with the file", "no end", operator, shown, unproved, open_, ok, fact),
        ("both renewals", "no end", (*operator, attestation(base, operator).encode()), shown,
         "Ok", reduced, ["Ok", "Ok"], fact),
        ("without content digest", "no end", no_content, shown, unproved, open_, ok, fact),
        ("without body digest", "no end", no_body, shown, unproved, open_, ok, fact),
        ("without the file's SHA3-256", "no end", full, without_sha3, unproved, open_, ok, fact),
        ("with the file's SHA3-256", "no end", full,
         with_sha3, "Ok", reduced, ok, fact),
        ("another SHA3-256", "no end", full,
         with_other, "ContentMismatch", bad, ok, fact),
        ("renewal of other content", "no end", other_content, shown, "ContentMismatch", bad, ok, fact),
        ("another file", "no end", full, {**wrong_file, **both}, "ContentMismatch", bad, ok, fact),
        ("renewed at the end", "both end", on_time, after_end, "Ok", reduced, ok, END),
        ("renewed a second late", "both end", after, late, gone, open_, tardy, None),
        ("renewed late, no end known", "no end", after, shown, "Ok", reduced, ok, END + 1),
        ("two authorities wanted", "two authorities", two, late, "Ok", reduced, ok, RENEWED + 60),
        ("two wanted, one late", "two authorities", split, late, gone, open_, tardy, None),
        ("two wanted, one twice", "two authorities", twice, late, gone, open_, few, None),
        ("of an authority not named", "no end", foreign, both, gone, open_, few, None),
        ("of an authority not named, nothing ignored", "no end", foreign, {}, "Ok", valid, few, None),
        ("expired", "no end", (token, short.encode()), much, gone, open_, few, None),
        ("expired, renewed again", "no end", (token, short.encode(), again.encode()), {**file, **much},
         "Ok", reduced, ["Ok", "Ok"], fact),
        ("token not covered", "no end", unlisted, both, "Ok", reduced, ok, fact),
        ("witnesses covered", "witnesses wanted", witnessed, both, "Ok", reduced, ok, fact),
        ("witnesses not covered", "witnesses wanted", unwitnessed, both, "Ok", reduced, ok, fact),
        ("development chain", "development chain", dev, shown, "Ok", reduced, ok, fact),
        ("of a closed log", "closed log", full, both, "Ok", reduced, ok, fact),
        ("SHA-256 ended", "SHA-256 ends", full, after_end, "Ok", reduced, ok, fact),
        ("SHA-256 ended, without renewal", "SHA-256 ends", (w3,), late, "Ok", reduced, [], None),
        ("SHA-256 ended, nothing left", "SHA-256 ends", (token,), late, "NothingLeft", open_, [], None),
        ("SHA-256 ignored, renewed", "no end", full, {**file, **sha}, "Ok", reduced, ok, fact),
        ("SM3 ended, without renewal", "SM3 ends", (token, w, w3), after_end, "Ok", valid, [], None),
        ("SM3 ignored, renewed", "no end", full, {**file, **sm}, "Ok", reduced, ok, fact),
        *((f"token {name}{words}", "no end", (token, one.encode()), rest, first or code, bad, [code], None)
          for (name, one), code in zip(weak.items(), refusals, strict=True)
          for words, rest, first in (("", {}, ""), (", both ignored", both, ""))),
        *((f"wrong {name}", "no end", (token, one.encode()), {}, code, bad, [code], None)
          for name, (one, code) in spoilt.items()),
        *((f"wrong {name}, both ignored", "no end", (token, one.encode()), both, code, bad, [code], None)
          for name, (one, code) in spoilt.items()),
        *((f"form: {name}", "no end", (token, one), {}, "MalformedAttestation", bad, [], None)
          for name, one in form.items()),
    ]  # fmt: skip


def entries() -> list[dict[str, Any]]:
    """Lines of the kind `entry` with log continuations that commit a hash renewal."""
    members: dict[int, Any] = {
        0: 2,
        1: seeded("old"),
        2: 13,
        3: seeded("a"),
        4: seeded("b"),
        5: seeded("s"),
        6: 2,
        7: seeded("r"),
    }
    header = Header(EvidenceClass.LOG_CONTINUATION, 2, bytes(32), 1).pack()

    def line(changed: dict[int, Any]) -> dict[str, Any]:
        body = cbor.encode({key: value for key, value in (members | changed).items() if value is not ...})
        leaf = entry.leaf(header, body)
        return {"leaf": leaf.hex(), "body": body.hex(), "evidenceId": entry.evidence_id(leaf).hex()}

    listed: list[tuple[str, dict[int, Any], str]] = [
        ("renewed", {}, "Ok"),
        ("version 1", {0: 1, 6: ..., 7: ...}, "Ok"),
        ("version 1 with more", {0: 1}, "MalformedInput"),
        ("version 2 with less", {7: ...}, "MalformedInput"),
        ("version 3", {0: 3}, "UnknownVersion"),
        ("another algorithm", {6: 1}, "MalformedInput"),
        ("a root of 31 bytes", {7: bytes(31)}, "MalformedInput"),
        ("more members", {8: 0}, "MalformedInput"),
    ]
    return [{"name": name, "line": line(changed), "code": code} for name, changed, code in listed]


def document() -> dict[str, Any]:
    """The file's content."""
    listed = []
    for name, world, found, rest, code, result, codes, renewed in rows():
        own = WORLDS[world]
        data = own.attested(*found) if found else own.receipt
        listed.append(
            {
                "name": name, "trust": world, "line": {"receipt": data.hex(), "at": BEFORE, **rest},
                "code": code, "result": result, "rehash": codes, "hashRenewedAt": renewed,
            }
        )  # fmt: skip
    trusts = {name: world.trust.hex() for name, world in WORLDS.items()}
    return {"trusts": trusts, "rows": listed, "entries": entries()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
