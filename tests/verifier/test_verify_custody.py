"""What an event says counts only as far as its leaf, which was signed and anchored, commits to it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from protocol import cbor
from tests.support.custody_world import STORY, CustodyWorld
from tests.support.world import AT
from verifier.conformance import answer
from verifier.receipt import Receipt

WORLD = CustodyWorld(story=STORY[:3])


def told_otherwise(at: int, key: int, value: cbor.Encodable) -> bytes:
    """The receipt of event `at` with another body than its leaf commits to."""
    core = WORLD.events[at].core
    assert core.body is not None
    body = cbor.decode(core.body, max_bytes=2048)
    assert isinstance(body, dict)
    return Receipt.of(dataclasses.replace(core, body=cbor.encode({**body, key: value}))).encode()


def code(sheet: bytes, known: tuple[bytes, ...] = ()) -> object:
    line = {
        "receipt": WORLD.item.receipt.hex(), "trust": WORLD.trust.hex(), "sheet": sheet.hex(), "at": AT,
        "known": [one.hex() for one in known],
    }  # fmt: skip
    return answer("custody", json.dumps(line).encode())["code"]


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(("key", "value"), [(9, "另一目的"), (4, 1_800_000_000), (6, None), (10, "依职权")])
def test_a_body_that_the_leaf_does_not_commit_to_is_refused(at: int, key: int, value: cbor.Encodable) -> None:
    receipts = list(WORLD.receipts)
    receipts[at] = told_otherwise(at, key, value)
    assert code(WORLD.sheet()) == "Ok"
    assert code(WORLD.sheet(receipts)) == "BodyMismatch"


def test_a_known_event_with_another_body_says_nothing() -> None:
    assert code(WORLD.sheet(), (WORLD.receipts[2],)) == "Ok"
    assert code(WORLD.sheet(), (told_otherwise(2, 9, "另一目的"),)) == "CustodyKnownEventInvalid"
