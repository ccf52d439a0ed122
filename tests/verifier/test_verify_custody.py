"""What an event says counts only as far as its leaf, which was signed and anchored, commits to it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from protocol import cbor
from tests.support.custody_world import STORY, CustodyWorld
from tests.support.second import available, second
from tests.support.world import AT, LINK_TIME
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


@pytest.mark.parametrize(("ahead", "expected"), [(0, "Ok"), (300, "Ok"), (301, "CustodyAfterAnchor")])
def test_an_event_may_be_ahead_of_its_block_by_what_a_gateway_takes(ahead: int, expected: str) -> None:
    """A block's time is that of the block before it, so an event can be anchored a second before it was."""
    number = 2
    anchored = LINK_TIME + 60 * number + 30
    told = dataclasses.replace(
        STORY[number - 1], said={**STORY[number - 1].said, "event_time": anchored + ahead}
    )
    story = (*STORY[: number - 1], told, *STORY[number:3])
    world = CustodyWorld(story=story)
    line = {
        "receipt": world.item.receipt.hex(), "trust": WORLD.trust.hex(), "sheet": world.sheet().hex(),
        "at": AT,
    }  # fmt: skip
    theirs = json.dumps(line).encode()
    assert answer("custody", theirs)["code"] == expected
    if available():
        with second("custody") as process:
            assert process.raw(theirs)["code"] == expected
