"""Damaged receipts and trust files, made from a seed: bits, values, shapes, whole other worlds.

A mutated trust file is signed again, so that what it says is reached and not only its signature.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Union

from protocol.acts import Purpose
from protocol.entry import EvidenceClass
from protocol.keyslot import KeySlot, KeyState
from tests.support.trust_contracts import BATCHES, CASES
from tests.support.world import AT, CASE_ID, CONTENT, LINK_TIME, SUBMITTER, WITNESSES, World, trust_private
from verifier.receipt import Attestation

Item = Union[int, bytes, str, bool, None, list["Item"], dict[int | str, "Item"]]  # noqa: UP007

ORDINARY = [
    c for c in EvidenceClass if c not in (EvidenceClass.LOG_CONTINUATION, EvidenceClass.MEDIATION_RECORD)
]
INTEGERS = (
    0, 1, 2, 3, 23, 24, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40 - 1, 2**40, 2**53 - 1,
    2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip
TEXTS = (
    "", "x", "none", "ics23", "mpt-qbft", "mpt-clique", "a/b", "A/B", "x" * 128, "x" * 257, "\x07", "é",
    "a b", "court",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One input of a verification."""

    about: str
    receipt: bytes
    trust: bytes
    at: int
    content: bytes | None
    case: bytes | None
    ignore: bool = False
    provenance: bytes | None = None
    names: str | None = None
    """Algorithms to ignore, where it is not SHA-256 alone."""

    @property
    def ignored(self) -> str | None:
        """As a conformance line names it."""
        return self.names or ("sha256" if self.ignore else None)


def head(major: int, value: int) -> bytes:
    """Shortest CBOR head."""
    if value < 24:
        return bytes([major << 5 | value])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def encode(item: Item) -> bytes:
    """CBOR with map keys in their order."""
    if item is None or isinstance(item, bool):
        return b"\xf6" if item is None else b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(data := item.encode())) + data
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(encode(one) for one in item)
    pairs = sorted((encode(key), encode(value)) for key, value in item.items())
    return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)


def decode(data: bytes) -> Item:
    """Of well-formed CBOR as `encode` writes it."""
    item, _ = _decode(data, 0)
    return item


def _decode(data: bytes, at: int) -> tuple[Item, int]:
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[info], at
    size = 0 if info < 24 else 1 << info - 24
    value = int.from_bytes(data[at : at + size], "big") if size else info
    at += size
    if major == 0:
        return value, at
    if major in (2, 3):
        part = data[at : at + value]
        return (part if major == 2 else part.decode()), at + value
    if major == 4:
        items: list[Item] = []
        for _ in range(value):
            item, at = _decode(data, at)
            items.append(item)
        return items, at
    pairs: dict[int | str, Item] = {}
    for _ in range(value):
        key, at = _decode(data, at)
        if not isinstance(key, int | str):
            raise TypeError(key)
        pairs[key], at = _decode(data, at)
    return pairs, at


def places(item: Item) -> Iterator[tuple[list[Item] | dict[int | str, Item], int | str]]:
    """Every (container, key) below."""
    if isinstance(item, list):
        for at, one in enumerate(item):
            yield item, at
            yield from places(one)
    elif isinstance(item, dict):
        for key, one in item.items():
            yield item, key
            yield from places(one)


def other(rng: random.Random, item: Item) -> Item:
    """Another value in the place of this one, mostly of the same type."""
    if rng.random() < 0.06:
        strange: list[Item] = [None, True, False, 0, b"", "", [], {}, -1, [[]], b"\x00" * 32]
        return rng.choice(strange)
    if isinstance(item, bool) or item is None:
        return rng.choice([0, 1, b"\x00" * 32, None, "x", [], LINK_TIME])
    if isinstance(item, int):
        return rng.choice([*INTEGERS, max(item - 1, 0), item + 1, item ^ (1 << rng.randrange(40))])
    if isinstance(item, str):
        return rng.choice([*TEXTS, item + "x", item.upper(), item[:-1]])
    if isinstance(item, bytes):
        return _other_bytes(rng, item)
    if isinstance(item, list):
        return _other_list(rng, item)
    pairs = dict(item)
    if pairs and rng.random() < 0.5:
        del pairs[rng.choice(list(pairs))]
    else:
        names: list[int | str] = [len(pairs), "x", 99]
        pairs[rng.choice(names)] = rng.choice([0, None, b""])
    return pairs


def _other_bytes(rng: random.Random, item: bytes) -> bytes:
    how = rng.randrange(6)
    if how == 0:
        return item[: rng.randrange(len(item) + 1)]
    if how == 1:
        return item + bytes([rng.randrange(256)])
    if how == 2:
        return bytes(len(item))
    return flipped(rng, item)


def _other_list(rng: random.Random, item: list[Item]) -> list[Item]:
    out = list(item)
    how = rng.randrange(5)
    if not out or how == 0:
        out.append(rng.choice([*out, None, 0, b"", []]))
    elif how == 1:
        del out[rng.randrange(len(out))]
    elif how == 2:
        out.insert(rng.randrange(len(out) + 1), rng.choice(out))
    elif how == 3:
        rng.shuffle(out)
    else:
        out = []
    return out


def flipped(rng: random.Random, data: bytes) -> bytes:
    """One bit or one byte changed."""
    if not data:
        return b"\x00"
    out = bytearray(data)
    at = rng.randrange(len(out))
    out[at] ^= 1 << rng.randrange(8) if rng.random() < 0.7 else rng.randrange(1, 256)
    return bytes(out)


def mutated(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """CBOR with one or more values inside it changed."""
    item = decode(data)
    for _ in range(min(most, rng.choice((1, 1, 1, 2, 3)))):
        container, key = rng.choice(list(places(item)))
        if isinstance(container, dict):
            container[key] = other(rng, container[key])
        else:
            container[int(key)] = other(rng, container[int(key)])
    return encode(item)


def receipt_value(rng: random.Random, world: World) -> bytes:
    """Something in the core or around it has another value or shape."""
    outer = decode(world.receipt)
    if not isinstance(outer, list) or not isinstance(outer[2], bytes):
        raise TypeError(outer)
    if rng.random() < 0.85:
        outer[2] = mutated(rng, outer[2])
        return encode(outer)
    if rng.random() < 0.3:
        outer[3] = [
            [rng.choice(TEXTS), b"\x01" * rng.randrange(9)] for _ in range(rng.choice((1, 2, 64, 65)))
        ]
        return encode(outer)
    return mutated(rng, world.receipt)


def trust_value(rng: random.Random, world: World) -> bytes:
    """Something in the payload has another value or shape; the quorum signs that."""
    outer = decode(world.trust)
    if not isinstance(outer, list) or not isinstance(outer[2], bytes):
        raise TypeError(outer)
    if rng.random() < 0.1:
        return mutated(rng, world.trust)
    payload = mutated(rng, outer[2])
    return sign_payload(payload, rng.choice([(0, 1, 2)] * 9 + [(0,), (2, 3), (0, 2), (1, 3), ()]))


def sign_payload(payload: bytes, positions: tuple[int, ...] = (0, 1, 2)) -> bytes:
    """Trust file around a payload that no dataclass would take."""
    roles = ("court", "regulator", "centre", "bank")
    message = b"caseledger/trust/v1" + payload
    signatures: list[Item] = [[at, trust_private(roles[at]).sign(message)] for at in positions]
    return encode(["caseledger-trust", 1, payload, signatures])


@dataclass(frozen=True)
class RawSlot(KeySlot):
    """A slot with a word that no contract would write."""

    word: bytes = b""

    def pack(self) -> bytes:
        return self.word


def _slot(rng: random.Random) -> KeySlot:
    if rng.random() < 0.2:
        word = flipped(rng, World().slot.pack())
        return RawSlot(SUBMITTER, Purpose.ACT, 0, 2**40 - 1, 0, KeyState.ACTIVE, word)
    near = (0, LINK_TIME - 1, LINK_TIME, LINK_TIME + 1, LINK_TIME + 2, 2**40 - 1)
    return KeySlot(
        rng.choice((SUBMITTER, SUBMITTER, 4)),
        rng.choice((Purpose.ACT, Purpose.ACT, Purpose.ANCHOR, Purpose.AUTH)),
        rng.choice(near), rng.choice(near), rng.choice((0, 0, *near)),
        rng.choice((KeyState.ACTIVE, KeyState.ACTIVE, KeyState.ANNOUNCED, KeyState.CANCELLED)),
    )  # fmt: skip


def worlds(rng: random.Random) -> World:
    """A world with some of its rules broken."""
    choices: list[tuple[str, Callable[[], object]]] = [
        ("slot", lambda: _slot(rng)),
        ("link_time", lambda: LINK_TIME + rng.choice((-2000, -1, 1, 2, 3, 2000))),
        ("block_time", lambda: LINK_TIME + rng.choice((-1, 0, 1, 5000))),
        ("flags", lambda: rng.randrange(2)),
        ("withheld", lambda: True),
        ("index", lambda: rng.randrange(2, 10)),
        ("batch", lambda: rng.choice((1, 2, 2**40))),
        ("signer", lambda: "stranger"),
        ("code_log", lambda: b"\x01" * 32),
        ("code_registry", lambda: b"\x01" * 32),
        ("absent", lambda: tuple(rng.sample(range(4), rng.randrange(1, 4)))),
        ("nil", lambda: tuple(rng.sample(range(4), rng.randrange(1, 4)))),
        ("closed_size", lambda: rng.choice((0, 1, 6, 7, 13))),
        ("to_height", lambda: rng.choice((1, 4711, 4712, 4713))),
        ("groups", lambda: tuple(rng.randrange(4) for _ in range(4))),
        ("time_tokens", lambda: rng.randrange(3)),
        ("witnesses", lambda: rng.randrange(3)),
        ("evidence_class", lambda: rng.choice(ORDINARY)),
    ]  # fmt: skip
    changes = {name: make() for name, make in rng.sample(choices, rng.randrange(1, 4))}
    return World(kind=rng.choice(("ics23", "ics23", "mpt-qbft", "mpt-clique", "none"))).but(**changes)


BASES = (
    World(),
    World(kind="mpt-qbft"),
    World(kind="mpt-clique", headers=4),
    World(kind="none"),
    World(withheld=True, absent=(1,)),
    World(version=4, contracts=(BATCHES, CASES)),
)


def cases(seed: int, count: int) -> Iterator[Case]:
    """`count` inputs; the same seed gives the same ones."""
    rng = random.Random(seed)  # noqa: S311
    for number in range(count):
        world = rng.choice(BASES)
        receipt, trust = world.receipt, world.trust
        how = rng.choice(
            ("bit", "value", "value", "value", "trust", "trust", "trust bit", "world", "world", "mixed")
        )
        if how == "bit":
            receipt = flipped(rng, receipt)
        elif how == "value":
            receipt = receipt_value(rng, world)
        elif how == "trust":
            trust = trust_value(rng, world)
        elif how == "trust bit":
            trust = flipped(rng, trust)
        elif how == "world":
            changed = worlds(rng)
            receipt, trust = changed.receipt, rng.choice((changed.trust, changed.trust, changed.trust, trust))
        else:
            trust = rng.choice(BASES).trust
        at = AT if rng.random() < 0.8 else LINK_TIME + rng.choice((-20_000, -1, 0, 1, 2, 3, 20_000_000))
        content = rng.choice((None, CONTENT, CONTENT, CONTENT + b"x", b""))
        case = rng.choice((None, None, CASE_ID, bytes(32)))
        yield Case(f"{number}: {how}", receipt, trust, at, content, case)


ATTESTED = (
    World(version=2), World(version=2, validators_named=False), World(version=2, witnesses=1),
    World(version=2, to_height=4712, closed_at=LINK_TIME + 100), World(kind="none", version=2),
    World(kind="mpt-qbft", version=2, witnesses=1),
    World(kind="mpt-clique", version=2, to_height=4715, closed_at=LINK_TIME + 100),
    World(version=2, validators_named=False, witnesses_named=False),
)  # fmt: skip
NAMES = tuple(WITNESSES)


def _witness(rng: random.Random, world: World) -> Attestation:
    names = rng.sample(NAMES, rng.randrange(1, 5))
    times = {name: LINK_TIME + rng.choice((0, 1, 30, 60, 60, 100, 101, 3600, 3601)) for name in NAMES}
    size = rng.choice((None, None, None, 13, 14, 20, 64, 12, 7))
    found = world.witness(*names, algorithm=rng.randrange(2), size=size, time=times)
    return _damaged(rng, found) if rng.random() < 0.3 else found


def _damaged(rng: random.Random, one: Attestation) -> Attestation:
    if rng.random() < 0.4:
        return Attestation(one.kind, flipped(rng, one.payload))
    return Attestation(one.kind, mutated(rng, one.payload, 1))


def _later(rng: random.Random, world: World) -> Attestation:
    """The slots proved again: in another epoch, by strangers, with another key or code."""
    changes: dict[str, object] = rng.choice(
        [{}, {}, {"seed": "later"}, {"slot": _slot(rng)}, {"code_log": b"\x01" * 32},
         {"block_time": LINK_TIME + 50}, {"kind": "none"}]
    )  # fmt: skip
    found = world.refreshed(world.but(**changes))
    return _damaged(rng, found) if rng.random() < 0.2 else found


def attested_cases(seed: int, count: int) -> Iterator[Case]:
    """Receipts with witnesses and later chain proofs under trust files of version 2, in part damaged."""
    rng = random.Random(f"attested {seed}")  # noqa: S311
    for number in range(count):
        world = rng.choice(ATTESTED)
        makers = [_witness, _witness, _witness, _later]
        listed = [rng.choice(makers)(rng, world) for _ in range(rng.randrange(1, 4))]
        if rng.random() < 0.1:
            listed.insert(0, Attestation(rng.choice(("later", "witness", "chain")), encode([2, "x"])))
        receipt, trust = world.attested(*listed), world.trust
        how = rng.choice(("as made", "as made", "as made", "trust", "other trust", "receipt"))
        if how == "trust":
            trust = trust_value(rng, world)
        elif how == "other trust":
            trust = rng.choice(ATTESTED).trust
        elif how == "receipt":
            receipt = flipped(rng, receipt)
        at = AT if rng.random() < 0.8 else LINK_TIME + rng.choice((1, 2, 59, 60, 99))
        content = rng.choice((None, CONTENT, CONTENT + b"x"))
        yield Case(f"{number}: {how}", receipt, trust, at, content, None, rng.random() < 0.2)
