"""Succession: who may replace a held trust file, and what a replacement may never touch."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from protocol.errors import CaseledgerError
from tests.support.fakechain import seeded
from tests.support.trust_contracts import BATCHES, CASES
from tests.support.world import AT, World, signed, trust_key
from verifier.errors import (
    TrustFingerprintMismatch,
    TrustHeldChanged,
    TrustHeldQuorumMissing,
    TrustPredecessorMismatch,
    TrustQuorumMissing,
    TrustSerialNotHigher,
)
from verifier.succession import accept_chain, accept_first, accept_next
from verifier.trust import TrustFile
from verifier.trust_payload import Epoch, TrustedValidator, TrustPayload
from verifier.verdict import Result
from verifier.verify import verify_receipt

WORLD = World()
HELD = TrustFile.parse(WORLD.trust)
CHAIN = HELD.payload.chains[0]
LOG = HELD.payload.logs[0]


def successor(*roles: str, held: TrustFile = HELD, **changes: Any) -> TrustFile:
    members: dict[str, Any] = {
        "serial": held.payload.serial + 1,
        "predecessor": held.fingerprint,
        **changes,
    }
    return TrustFile.parse(signed(dataclasses.replace(held.payload, **members), *roles))


def with_chain(**changes: Any) -> dict[str, Any]:
    return {"chains": (dataclasses.replace(CHAIN, **changes),)}


def with_log(**changes: Any) -> dict[str, Any]:
    return {"logs": (dataclasses.replace(LOG, **changes),)}


NAMED = TrustFile.parse(World(version=4, contracts=(CASES,)).trust)


def test_a_contract_may_be_added_and_none_changed_or_removed() -> None:
    accept_next(TrustFile.parse(World(version=3).trust), successor(
        held=TrustFile.parse(World(version=3).trust), version=4, contracts=(CASES,)
    ))  # fmt: skip
    accept_next(NAMED, successor(held=NAMED))
    accept_next(NAMED, successor(held=NAMED, contracts=(BATCHES, CASES)))
    for contracts in ((), (BATCHES,), (dataclasses.replace(CASES, code_hash=bytes(32)),)):
        with pytest.raises(TrustHeldChanged):
            accept_next(NAMED, successor(held=NAMED, contracts=contracts))
    with pytest.raises(TrustHeldChanged):
        accept_next(NAMED, successor(held=NAMED, version=3, contracts=()))


END = AT + 1000
ENDING = TrustFile.parse(World(version=3, algorithm_ends=((0, AT - 50), (1, END))).trust)


def ending(*ends: tuple[int, int], held: TrustFile = ENDING, **changes: Any) -> TrustFile:
    return successor(held=held, issued_at=AT, algorithm_ends=ends, **changes)


def test_an_algorithms_end_that_came_stays_and_one_ahead_may_move_ahead() -> None:
    accept_next(ENDING, ending((0, AT - 50), (1, END)))
    accept_next(ENDING, ending((0, AT - 50), (1, END + 99)))
    accept_next(ENDING, ending((0, AT - 50), (1, AT + 1)))
    accept_next(ENDING, ending((0, AT - 50)))
    for ends in (
        ((1, END),),
        ((0, AT - 49), (1, END)),
        ((0, END), (1, END)),
        ((0, AT - 50), (1, AT)),
        ((0, AT - 50), (1, AT - 60)),
    ):
        with pytest.raises(TrustHeldChanged):
            accept_next(ENDING, ending(*ends))
    with pytest.raises(TrustHeldChanged):
        accept_next(ENDING, ending(version=2))
    # An end may be set for the first time at any time, also for what is over.
    plain = TrustFile.parse(World(version=2).trust)
    accept_next(plain, ending((0, AT - 50), held=plain, version=3))


def test_the_first_is_accepted_by_its_fingerprint_alone() -> None:
    accept_first(HELD, HELD.fingerprint)
    with pytest.raises(TrustFingerprintMismatch):
        accept_first(HELD, seeded("another"))
    operator = TrustFile.parse(signed(HELD.payload, "centre"))
    with pytest.raises(TrustQuorumMissing):
        accept_first(operator, operator.fingerprint)


GOOD: dict[str, dict[str, Any]] = {
    "nothing but the serial": {},
    "another window": {"valid_until": HELD.payload.valid_until + 10**8},
    "a serial left out": {"serial": 7},
    "the open epoch closed": with_chain(epochs=(dataclasses.replace(CHAIN.epochs[0], to_height=9000),)),
    "a log closed": with_log(closed_size=12),
    "a log added": {"logs": (LOG, dataclasses.replace(LOG, origin="second"))},
    "a chain added": {"chains": (CHAIN, dataclasses.replace(CHAIN, chain_id=8888))},
    "a key added": {"keys": (*HELD.payload.keys, trust_key("notary"))},
    "one key replaced": {"keys": (*HELD.payload.keys[:3], trust_key("bank/2"))},
}


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    accept_next(HELD, successor(**GOOD[name]))


BAD: dict[str, tuple[dict[str, Any], type[CaseledgerError]]] = {
    "the same serial": ({"serial": 1, "predecessor": None}, TrustSerialNotHigher),
    "another predecessor": ({"predecessor": seeded("x")}, TrustPredecessorMismatch),
    "chain removed": ({"chains": (dataclasses.replace(CHAIN, chain_id=8888),), "logs": ()}, TrustHeldChanged),
    "network id changed": (with_chain(network_id="twin-7"), TrustHeldChanged),
    "proof kind changed": (with_chain(proof_kind="none", epochs=()), TrustHeldChanged),
    "code hash of the log changed": (
        with_chain(evidence_log=dataclasses.replace(CHAIN.evidence_log, code_hash=seeded("x"))),
        TrustHeldChanged,
    ),
    "code hash of the registry changed": (
        with_chain(registry=dataclasses.replace(CHAIN.registry, code_hash=seeded("x"))),
        TrustHeldChanged,
    ),
    "address of the log changed": (
        with_chain(evidence_log=dataclasses.replace(CHAIN.evidence_log, address=seeded("x")[:20])),
        TrustHeldChanged,
    ),
    "a validator removed from a held epoch": (
        with_chain(epochs=(dataclasses.replace(CHAIN.epochs[0], validators=CHAIN.epochs[0].validators[1:]),)),
        TrustHeldChanged,
    ),
    "who controls a validator changed": (
        with_chain(
            epochs=(
                dataclasses.replace(
                    CHAIN.epochs[0],
                    validators=(
                        dataclasses.replace(CHAIN.epochs[0].validators[0], group=9),
                        *CHAIN.epochs[0].validators[1:],
                    ),
                ),
            )
        ),
        TrustHeldChanged,
    ),
    "beginning of a held epoch changed": (
        with_chain(epochs=(dataclasses.replace(CHAIN.epochs[0], from_height=2),)),
        TrustHeldChanged,
    ),
    "log removed": ({"logs": ()}, TrustHeldChanged),
    "log key changed": (with_log(log_key=seeded("x")), TrustHeldChanged),
    "operator changed": (with_log(operator=9), TrustHeldChanged),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(name: str) -> None:
    changes, error = BAD[name]
    with pytest.raises(error):
        accept_next(HELD, successor(**changes))


SIGNERS: dict[str, tuple[tuple[str, ...], dict[str, Any], type[CaseledgerError]]] = {
    "operator alone": (("centre",), {}, TrustQuorumMissing),
    "new keys alone": (
        ("court/2", "regulator/2", "bank/2"),
        {"keys": tuple(trust_key(role) for role in ("court/2", "regulator/2", "bank/2"))},
        TrustHeldQuorumMissing,
    ),
    "one held key and new ones": (
        ("court", "regulator/2"),
        {"keys": tuple(trust_key(role) for role in ("court", "regulator/2", "bank/2"))},
        TrustHeldQuorumMissing,
    ),
    "held keys without court and regulator": (
        ("centre", "bank", "court/2"),
        {"keys": tuple(trust_key(role) for role in ("centre", "bank", "court/2"))},
        TrustHeldQuorumMissing,
    ),
    "a held key under a friendlier role": (
        ("centre", "bank"),
        {
            "keys": (
                dataclasses.replace(trust_key("centre"), role="court"),
                trust_key("bank"),
                trust_key("regulator"),
            )
        },
        TrustHeldQuorumMissing,
    ),
    "a lowered threshold is not its own licence": (
        ("court", "regulator"),
        {"threshold": 2},
        TrustHeldQuorumMissing,
    ),
}


@pytest.mark.parametrize("name", SIGNERS)
def test_refuses_signers(name: str) -> None:
    roles, changes, error = SIGNERS[name]
    held = HELD
    if "threshold" in changes:
        payload = dataclasses.replace(HELD.payload, threshold=3)
        held = TrustFile.parse(signed(payload))
    with pytest.raises(error):
        accept_next(held, successor(*roles, held=held, **changes))


def test_a_chain_of_successors_is_followed_and_a_gap_is_not() -> None:
    second = successor()
    third = successor(held=second)
    assert accept_chain(HELD, [second, third]) == third
    with pytest.raises(TrustPredecessorMismatch):
        accept_chain(HELD, [third])
    with pytest.raises(TrustSerialNotHigher):
        accept_chain(third, [second])


def test_closed_stays_closed() -> None:
    second = successor(**with_log(closed_size=12))
    for changes in (with_log(closed_size=13), with_log(closed_size=None)):
        with pytest.raises(TrustHeldChanged):
            accept_next(second, successor(held=second, **changes))
    closed = successor(**with_chain(epochs=(dataclasses.replace(CHAIN.epochs[0], to_height=9000),)))
    for last in (None, 9001):
        change = with_chain(epochs=(dataclasses.replace(CHAIN.epochs[0], to_height=last),))
        with pytest.raises(TrustHeldChanged):
            accept_next(closed, successor(held=closed, **change))


def test_receipts_from_before_and_after_a_validator_change_verify_under_the_successor() -> None:
    """The old epoch is closed (reduced until its proof is refreshed), the new one open."""
    later = World(seed="new validators")
    old = dataclasses.replace(CHAIN.epochs[0], to_height=4712)
    validators: tuple[TrustedValidator, ...] = later.validators
    trust = successor(**with_chain(epochs=(old, Epoch(2, 4713, None, validators))))
    accept_next(HELD, trust)
    before = verify_receipt(WORLD.receipt, trust.encode(), content=WORLD.content, at=AT)
    assert before.result is Result.VALID_REDUCED_TRUST
    assert before.missing == ("ClosedEpoch",)
    # The later network's header stands at the same height here, so its epoch is moved under it.
    moved: TrustPayload = dataclasses.replace(
        trust.payload,
        chains=(
            dataclasses.replace(
                CHAIN, epochs=(dataclasses.replace(old, to_height=4711), Epoch(2, 4712, None, validators))
            ),
        ),
    )
    after = verify_receipt(later.receipt, signed(moved), content=later.content, at=AT)
    assert after.result is Result.VALID
