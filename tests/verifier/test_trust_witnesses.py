"""Trust file, version 2: witnesses, groups, authorities, ends of epochs; every byte of it held."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from protocol.checkpoint import TYPE_MLDSA44
from protocol.errors import CaseledgerError, UnknownVersion
from tests.support import trust_contracts
from tests.support.fakechain import seeded
from tests.support.world import BANK_A, COURT, POLICY, REGULATOR, World, signed
from verifier.errors import MalformedTrustFile, TrustHeldChanged
from verifier.succession import accept_next
from verifier.trust import TrustFile
from verifier.trust_payload import Epoch, TimeAuthority, TrustPayload
from verifier.witness_policy import EMPTY_POLICY, Witness, WitnessGroup, WitnessPolicy


def der(*parts: object) -> bytes:
    body = seeded(*parts) * 9
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


TSA = TimeAuthority("authority one", (der("root 1"),), ("1.2.156.10197.1", "2.999"), 1_000, None)
OTHER_TSA = TimeAuthority("authority two", (der("root 2"), der("root 3")), (), 0, 2_000)
WORLD = World(version=2, authorities=(TSA, OTHER_TSA), witnesses=1, time_tokens=2)
PAYLOAD = WORLD.payload
FIRST = POLICY.witnesses[0]


def but(**changes: Any) -> TrustPayload:
    return dataclasses.replace(PAYLOAD, **changes)


def policy(**changes: Any) -> TrustPayload:
    return but(witness_policy=dataclasses.replace(POLICY, **changes))


def first(**changes: Any) -> TrustPayload:
    return policy(witnesses=(dataclasses.replace(FIRST, **changes), *POLICY.witnesses[1:]))


def groups(*members: WitnessGroup, quorum: str | None = "all") -> TrustPayload:
    return policy(groups=members, quorum=quorum)


def authority(**changes: Any) -> TrustPayload:
    return but(authorities=(dataclasses.replace(TSA, **changes), OTHER_TSA))


def epoch(**changes: Any) -> TrustPayload:
    chain = PAYLOAD.chains[0]
    return but(
        chains=(dataclasses.replace(chain, epochs=(dataclasses.replace(chain.epochs[0], **changes),)),)
    )


def log(**changes: Any) -> TrustPayload:
    return but(logs=(dataclasses.replace(PAYLOAD.logs[0], **changes),))


def two_keys_of_one_id() -> WitnessPolicy:
    """Anybody can make two keys with the same four bytes; a cosignature would then speak for either."""
    seen: dict[bytes, Witness] = {}
    for number in range(2**20):
        one = Witness(f"w{number}", 4, number.to_bytes(32, "big"), 0, "x", "bank")
        if other := seen.get(one.key_id):
            return WitnessPolicy((other, one), (), one.name)
        seen[one.key_id] = one
    raise AssertionError


def test_two_keys_of_one_key_id_are_refused_in_one_tree_alone() -> None:
    found = two_keys_of_one_id()
    with pytest.raises(MalformedTrustFile):
        TrustFile.draft(but(witness_policy=found))
    one, two = found.witnesses
    apart = dataclasses.replace(found, witnesses=(one, dataclasses.replace(two, statement=1)))
    TrustFile.draft(but(witness_policy=apart))


BANKS = WitnessGroup("banks", 1, (BANK_A,))
MALFORMED: dict[str, TrustPayload] = {
    "witnesses required twice over": but(witnesses_required=2),
    "nine tokens required": but(time_tokens_required=9),
    "witnesses required and none named": but(witness_policy=EMPTY_POLICY),
    "more tokens than authorities": but(time_tokens_required=3),
    "origin of an SM3 tree": log(origin="centre.example/sm3"),
    "type 1": first(kind=1),
    "type true": first(kind=True),
    "key of another type's length": first(kind=TYPE_MLDSA44),
    "key short": first(public_key=b"\x01"),
    "statement 2": first(statement=2),
    "name with a space": first(name="a b"),
    "name with a plus": first(name="a+b"),
    "name empty": first(name=""),
    "name too long": first(name="n" * 256),
    "role unknown": first(role="operator"),
    "organisation empty": first(organisation=""),
    "a key twice": first(public_key=POLICY.witnesses[1].public_key),
    "one key for both statements": first(public_key=POLICY.witnesses[4].public_key),
    "a name twice for one statement": first(name=REGULATOR),
    "65 witnesses": policy(
        witnesses=tuple(
            dataclasses.replace(FIRST, name=f"w{n}", public_key=seeded("w", n)) for n in range(65)
        )
    ),
    "threshold 0": groups(dataclasses.replace(POLICY.groups[0], threshold=0), POLICY.groups[1]),
    "threshold above the members": groups(WitnessGroup("all", 3, (COURT, REGULATOR))),
    "group without members": groups(WitnessGroup("all", 1, ())),
    "group called as a witness": groups(WitnessGroup(COURT, 1, (BANK_A,)), quorum=COURT),
    "two groups of one name": groups(WitnessGroup("all", 1, (BANK_A,)), WitnessGroup("all", 1, (COURT,))),
    "group before its members": groups(*POLICY.groups[::-1]),
    "group in itself": groups(WitnessGroup("all", 1, ("all",))),
    "unknown member": groups(WitnessGroup("all", 1, ("nobody",))),
    "a member twice in a group": groups(WitnessGroup("all", 2, (COURT, COURT))),
    "a member of two groups": groups(BANKS, WitnessGroup("all", 2, (COURT, BANK_A, "banks"))),
    "unknown quorum": groups(*POLICY.groups, quorum="nobody"),
    "no quorum": but(witness_policy=dataclasses.replace(POLICY, quorum=None), witnesses_required=0),
    "authority twice": but(authorities=(TSA, dataclasses.replace(OTHER_TSA, name=TSA.name))),
    "one root in two authorities": but(authorities=(TSA, dataclasses.replace(OTHER_TSA, roots=TSA.roots))),
    "one root twice": authority(roots=TSA.roots * 2),
    "no root": authority(roots=()),
    "root that is no DER": authority(roots=(b"\x00" * 200,)),
    "root with a byte behind it": authority(roots=(TSA.roots[0] + b"\x00",)),
    "root cut short": authority(roots=(TSA.roots[0][:-1],)),
    "root of a lax length": authority(roots=(b"\x30\x82\x00\x81" + bytes(129),)),
    "policy that is no OID": authority(policies=("1.2.x",)),
    "policy with a leading zero": authority(policies=("1.02",)),
    "policy twice": authority(policies=("1.2", "1.2")),
    "window backwards": authority(not_before=5, not_after=4),
    "authority without a name": authority(name=""),
    "17 authorities": but(
        authorities=tuple(TimeAuthority(f"a{n}", (der(n),), (), 0, None) for n in range(17))
    ),
    "closed epoch without its time": epoch(to_height=9),
    "open epoch with a time": epoch(closed_at=9),
    "closed at 0": epoch(to_height=9, closed_at=0),
    "ends descending": World(version=3, algorithm_ends=((1, 5), (0, 5))).payload,
    "an algorithm twice": World(version=3, algorithm_ends=((0, 5), (0, 6))).payload,
    "an unknown algorithm": World(version=3, algorithm_ends=((2, 5),)).payload,
    "an end beyond 40 bits": World(version=3, algorithm_ends=((0, 2**40),)).payload,
    "an origin as a renewal's line": World(version=3, origin="x/sha3-256").payload,
    "ends in version 2": World(version=2, algorithm_ends=((0, 5),)).payload,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses(name: str) -> None:
    with pytest.raises(MalformedTrustFile):
        TrustFile.draft(MALFORMED[name])


GOOD: dict[str, TrustPayload] = {
    "as it is": PAYLOAD,
    "nothing of the new": but(
        witness_policy=EMPTY_POLICY, authorities=(), witnesses_required=0, time_tokens_required=0
    ),
    "no validators": World(version=2, validators_named=False).payload,
    "closed epoch": epoch(to_height=9, closed_at=77),
    "a witness is the quorum": groups(quorum=COURT),
    "a key of the other kind": policy(
        witnesses=(*POLICY.witnesses, Witness("pq", TYPE_MLDSA44, seeded(1) * 41, 0, "lab", "notary"))
    ),
    "authority bounded": authority(not_after=1_000),
    "version 3 without an end": World(version=3).payload,
    "both algorithms end": World(version=3, algorithm_ends=((0, 0), (1, 2**40 - 1))).payload,
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    trust = TrustFile.draft(GOOD[name])
    assert trust.payload == GOOD[name]
    assert TrustFile.parse(trust.encode()) == trust


def test_version_1_holds_none_of_it() -> None:
    for payload in (
        World(authorities=(TSA,)).payload,
        dataclasses.replace(World().payload, witness_policy=POLICY),
        World(to_height=4712, closed_at=5).payload,
    ):
        with pytest.raises(MalformedTrustFile):
            payload.encode()


def test_version_1_is_written_as_before() -> None:
    assert World().payload.encode()[:4] == bytes.fromhex("ab000101")
    assert TrustFile.parse(World().trust).payload.version == 1


@pytest.mark.parametrize("name", trust_contracts.MALFORMED)
def test_refuses_contracts(name: str) -> None:
    with pytest.raises(MalformedTrustFile):
        TrustFile.draft(trust_contracts.MALFORMED[name])


@pytest.mark.parametrize("name", trust_contracts.GOOD)
def test_accepts_contracts(name: str) -> None:
    payload = trust_contracts.GOOD[name]
    trust = TrustFile.parse(TrustFile.draft(payload).encode())
    assert trust.payload == payload
    named = {one.name: one.pin for one in payload.contracts}
    assert trust.payload.contract(trust_contracts.CHAIN, "CaseLedger") == named.get("CaseLedger")
    assert trust.payload.contract(trust_contracts.CHAIN + 1, "CaseLedger") is None


def test_version_3_holds_no_contracts() -> None:
    with pytest.raises(MalformedTrustFile):
        World(version=3, contracts=(trust_contracts.CASES,)).payload.encode()


def test_version_5_is_for_a_newer_verifier() -> None:
    with pytest.raises(UnknownVersion):
        TrustFile.draft(but(version=5))


def test_every_changed_byte_is_refused() -> None:
    data = WORLD.trust
    for offset in range(0, len(data), 3):
        changed = bytearray(data)
        changed[offset] ^= 1
        with pytest.raises(CaseledgerError):
            TrustFile.parse(bytes(changed)).check()


# Succession

HELD = TrustFile.parse(WORLD.trust)


def successor(held: TrustFile = HELD, **changes: Any) -> TrustFile:
    members: dict[str, Any] = {
        "serial": held.payload.serial + 1,
        "predecessor": held.fingerprint,
        **changes,
    }
    return TrustFile.parse(signed(dataclasses.replace(held.payload, **members)))


def only(*names: str) -> WitnessPolicy:
    kept = tuple(one for one in POLICY.witnesses if one.name in names)
    return WitnessPolicy(kept, (), names[0])


ALLOWED: dict[str, dict[str, Any]] = {
    "nothing but the serial": {},
    "witnesses dropped": {"witness_policy": only(COURT)},
    "all witnesses dropped": {"witness_policy": EMPTY_POLICY, "witnesses_required": 0},
    "another quorum": {"witness_policy": dataclasses.replace(POLICY, quorum="banks")},
    "a witness's key replaced": {
        "witness_policy": first(public_key=seeded("new key")).witness_policy,
    },
    "authorities dropped": {"authorities": (), "time_tokens_required": 0},
    "authority bounded": {"authorities": (dataclasses.replace(TSA, not_after=9_999), OTHER_TSA)},
    "authority ends sooner": {"authorities": (TSA, dataclasses.replace(OTHER_TSA, not_after=1_999))},
    "authority added": {
        "authorities": (TSA, OTHER_TSA, TimeAuthority("three", (der("root 9"),), (), 0, None))
    },
    "epoch closed": {"chains": epoch(to_height=9000, closed_at=1_800_000_100).chains},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_succession_accepts(name: str) -> None:
    accept_next(HELD, successor(**ALLOWED[name]))


REFUSED: dict[str, dict[str, Any]] = {
    "version 1 again": {
        "version": 1, "witness_policy": EMPTY_POLICY, "authorities": (), "witnesses_required": 0,
        "time_tokens_required": 0,
    },
    "held key under another name": {
        "witness_policy": dataclasses.replace(
            first(name="a.example/w").witness_policy, groups=(), quorum="a.example/w"
        )
    },
    "held key of another organisation": {"witness_policy": first(organisation="x").witness_policy},
    "held key in another role": {"witness_policy": first(role="bank").witness_policy},
    "authority lasts longer": {"authorities": (TSA, dataclasses.replace(OTHER_TSA, not_after=2_001))},
    "authority without end": {"authorities": (TSA, dataclasses.replace(OTHER_TSA, not_after=None))},
    "authority begins sooner": {"authorities": (dataclasses.replace(TSA, not_before=999), OTHER_TSA)},
    "authority with another root": {
        "authorities": (dataclasses.replace(TSA, roots=(der("new"),)), OTHER_TSA)
    },
    "authority with another policy": {"authorities": (dataclasses.replace(TSA, policies=()), OTHER_TSA)},
    "held root under another name": {"authorities": (dataclasses.replace(TSA, name="x"), OTHER_TSA)},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_succession_refuses(name: str) -> None:
    with pytest.raises(TrustHeldChanged):
        accept_next(HELD, successor(**REFUSED[name]))


def test_the_time_of_a_closed_epoch_stays() -> None:
    closed = successor(chains=epoch(to_height=9000, closed_at=50).chains)
    accept_next(HELD, closed)
    accept_next(closed, successor(closed))
    for closed_at in (49, 51):
        with pytest.raises(TrustHeldChanged):
            accept_next(closed, successor(closed, chains=epoch(to_height=9000, closed_at=closed_at).chains))


def test_version_2_may_follow_version_1_and_says_when_its_closed_epochs_ended() -> None:
    held = TrustFile.parse(World(to_height=9000).trust)
    later = successor(
        held,
        version=2,
        witness_policy=POLICY,
        chains=World(version=2, to_height=9000, closed_at=60).payload.chains,
    )
    accept_next(held, later)
    moved = World(version=2, to_height=9001, closed_at=60).payload.chains
    with pytest.raises(TrustHeldChanged):
        accept_next(held, successor(held, version=2, chains=moved))
    assert isinstance(later.payload.chains[0].epochs[0], Epoch)
