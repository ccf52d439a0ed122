"""Damaged conformance lines of every kind, made from a seed."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protocol.hashing import SHA256, SM3, HashAlg, sha256, sm3
from tests.support import checkpoint_lines, inner_mutations, mutations
from tests.support.fakechain import seeded
from verifier.merkle_tree import Tree

VECTORS = Path(__file__).parents[1] / "vectors"
Place = tuple[list[Any] | dict[str, Any], Any]


def _load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


GOOD = {
    name: [row["line"] for row in _load(name) if row["accepted"]]
    for name in ("entry.json", "submission.json")
}
COMETBFT = _load("recorded/cometbft.json")["vectors"]
QBFT = _load("recorded/qbft.json")
CLIQUE = _load("recorded/clique.json")["proofs"]


def consistency(alg: HashAlg, leaves: list[bytes], old: int, whole: bool = True) -> list[bytes]:
    """RFC 9162 §2.1.4.1."""
    if old == len(leaves):
        return [] if whole else [Tree(alg, leaves).root]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*consistency(alg, leaves[:split], old, whole), Tree(alg, leaves[split:]).root]
    return [*consistency(alg, leaves[split:], old - split, False), Tree(alg, leaves[:split]).root]


def _merkle(rng: random.Random) -> dict[str, Any]:
    name, hash_ = rng.choice((("sha256", SHA256), ("sm3", SM3)))
    leaves = [hash_.leaf(seeded("m", n)) for n in range(rng.choice((1, 2, 3, 7, 8, 13)))]
    index = rng.randrange(len(leaves))
    tree = Tree(hash_, leaves)
    line: dict[str, Any] = {
        "kind": "inclusion", "leafIdx": index, "treeSize": len(leaves), "root": tree.root.hex(),
        "leafHash": leaves[index].hex(), "hash": name,
        "proof": [step.hex() for step in tree.path(index)] or None,
    }  # fmt: skip
    if rng.random() < 0.5:
        old = rng.randrange(1, len(leaves) + 1)
        line = {
            "kind": "consistency", "size1": old, "size2": len(leaves), "hash": name,
            "root1": Tree(hash_, leaves[:old]).root.hex(), "root2": tree.root.hex(),
            "proof": [step.hex() for step in consistency(hash_, leaves, old)],
        }  # fmt: skip
    return line


def _entry(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.35:
        line = copy.deepcopy(rng.choice(GOOD["submission.json"]))
        if rng.random() < 0.6:
            line["submission"] = mutations.mutated(rng, bytes.fromhex(line["submission"]), 1).hex()
            line["broken"] = True
        return dict(line)
    line = copy.deepcopy(rng.choice(GOOD["entry.json"]))
    if line["body"] and rng.random() < 0.6:
        try:
            body = mutations.mutated(rng, bytes.fromhex(line["body"]), 1)
        except (IndexError, KeyError):
            return dict(line)
        leaf = bytes.fromhex(line["leaf"])[:48] + sha256(body) + sm3(body)
        line = {"leaf": leaf.hex(), "body": body.hex(), "broken": True}
    elif rng.random() < 0.3:
        head = bytearray.fromhex(line["leaf"])
        at = rng.randrange(min(48, len(head)))
        head[at] = rng.choice((0, 1, 2, 5, 10, 128, 255))
        line = {"leaf": head.hex(), "body": line["body"], "broken": True}
    return dict(line)


def _ics23(rng: random.Random) -> dict[str, Any]:
    line = copy.deepcopy(rng.choice(COMETBFT))
    if rng.random() < 0.3:
        side = line[rng.choice(("storage", "storage", "account"))]
        places = [(one, "data") for one in side["ops"]] + ([(side, "value")] if "value" in side else [])
        where, key = rng.choice(places)
        damaged = inner_mutations.proto_changed(rng, base64.b64decode(where[key]))
        where[key] = base64.b64encode(damaged).decode()
        line["broken"] = True
    return dict(line)


def _qbft(rng: random.Random) -> dict[str, Any]:
    line = copy.deepcopy(rng.choice(QBFT["storage_proofs"] * 4 + QBFT["headers"]))
    how = rng.random()
    if how < 0.3:
        line["header_rlp"] = inner_mutations.qbft_header_changed(rng, _unhex(line["header_rlp"])).hex()
        line["broken"] = True
    elif how < 0.45 and "proof" in line:
        nodes = rng.choice((line["proof"]["accountProof"], line["proof"]["storageProof"][0]["proof"]))
        if nodes:
            at = rng.randrange(len(nodes))
            nodes[at] = inner_mutations.rlp_changed(rng, _unhex(nodes[at])).hex()
            line["broken"] = True
    return dict(line)


def _clique(rng: random.Random) -> dict[str, Any]:
    line = copy.deepcopy(rng.choice(CLIQUE))
    how = rng.random()
    if how < 0.3:
        at = rng.randrange(len(line["headers"]))
        line["headers"][at] = inner_mutations.rlp_changed(rng, _unhex(line["headers"][at])).hex()
        line["broken"] = True
    elif how < 0.5:
        cut = rng.randrange(len(line["headers"]))
        line["headers"] = line["headers"][cut:] if rng.random() < 0.5 else line["headers"][:cut]
        line["broken"] = True
    return dict(line)


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


MAKERS = {
    "merkle": _merkle, "entry": _entry, "ics23": _ics23, "mpt-qbft": _qbft,
    "mpt-clique": _clique,
    "checkpoint": checkpoint_lines.checkpoint_line, "cosignature": checkpoint_lines.cosignature_line,
    "policy": checkpoint_lines.policy_line, "sm2": checkpoint_lines.sm2_line,
}  # fmt: skip


def places(value: Any) -> Iterator[Place]:
    """Every (container, key) below."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def _text(rng: random.Random, text: str) -> str:
    how = rng.randrange(9)
    at = rng.randrange(len(text) + 1)
    if how == 0:
        return text[:at]
    if how == 1:
        return text.upper() if text.islower() else text.lower()
    if how == 2:
        return text.removeprefix("0x") if text.startswith("0x") else "0x" + text
    if how == 3:
        return text + rng.choice(("0", "00", "=", " ", "Z", ".5Z"))
    if how == 4:
        return rng.choice(
            ("", "0", "00", "0x", "0X00", "-1", "1970-01-01T00:00:00Z", "sm3", "é", "\x00", "/+==")
        )
    return text[:at] + rng.choice("0123456789abcdefABCDEFgZ+/=") + text[at + 1 :]


def _other(rng: random.Random, value: Any) -> Any:
    if rng.random() < 0.1:
        return rng.choice([None, True, False, 0, 1, "", "00", [], {}, "0x"])
    if isinstance(value, str):
        return _text(rng, value)
    if isinstance(value, int):
        return rng.choice(
            (-1, 0, 1, value + 1, value - 1, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64, 10**20, 10**21)
        )
    if isinstance(value, list) and value:
        out = list(value)
        rng.choice((out.pop, out.reverse, lambda: out.append(rng.choice(value)), out.clear))()
        return out
    if isinstance(value, dict) and value:
        return {key: inner for key, inner in value.items() if key != rng.choice(list(value))}
    return rng.choice(("", 0, None, [""], {"a": 1}))


def _raw(rng: random.Random, text: str) -> bytes:
    data = bytearray(text.encode())
    at = rng.randrange(len(data) + 1)
    how = rng.randrange(6)
    if how == 0:
        return bytes(data[:at])
    if how == 1:
        data[at:at] = rng.choice(
            (b" ", b"\xef\xbb\xbf", b"\xff", b"{", b"]", b'"', b"\\", b"\t", b"\\ud800", b"-")
        )
    elif how == 2:
        return b'{"kind": 1,' + bytes(data[1:])
    elif how == 3:
        depth = rng.choice((3, 40, 120, 2000))
        return b'{"about":' + b"[" * depth + b"]" * depth + b"}"
    elif how == 4:
        return bytes(data[:-1]) + rng.choice(
            (b',"x":1.5}', b',"x":1e3}', b',"x":NaN}', b',"x":-0}', b',"x":01}', b',"about":1}')
        )
    elif at < len(data):
        data[at] = rng.randrange(32, 127)
    return bytes(data)


def lines(kind: str, seed: int, count: int) -> Iterator[tuple[bytes, bool]]:
    """`count` lines without a newline, each with whether it has one change at most.

    Which rule of several broken ones is named, the specification leaves open.
    """
    rng = random.Random(f"{kind} {seed}")  # noqa: S311
    for _ in range(count):
        line = MAKERS[kind](rng)
        broken = line.pop("broken", False)
        raw = rng.random() < 0.15
        changes = 0 if broken or raw or rng.random() < 0.1 else rng.choice((1, 1, 1, 1, 2))
        for _ in range(changes):
            container, key = rng.choice(list(places(line)))
            if rng.random() < 0.08 and isinstance(container, dict):
                container["unknown"] = 1
            else:
                container[key] = _other(rng, container[key])
        text = json.dumps(line, ensure_ascii=rng.random() < 0.5)
        data = (_raw(rng, text) if raw else text.encode()).replace(b"\n", b" ")
        yield data, changes < 2 and not (raw and _is_object(data))


def _is_object(data: bytes) -> bool:
    """Whether a damaged text is still JSON: then a changed name is both a missing and an unknown field."""
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False
