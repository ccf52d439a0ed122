"""Custody sheets of honest and lying operators and submitters, in part damaged, made from a seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from protocol.custody import Statement
from protocol.hashing import sha256, sm3
from tests.support.custody_world import COURT, STATED, A, C, CustodyWorld, E, T, Told, V, X
from tests.support.fakechain import seeded
from tests.support.mutations import flipped, mutated
from tests.support.vectors_custody import LATER_LOG
from tests.support.world import AT, CASE_ID, LINK_TIME, SUBMITTER, World
from verifier.receipt import Receipt

THIRD = 9
DIGESTS = (sha256(b"copy"), sm3(b"copy"))
MANY = 6
"""Different worlds a seed; every sheet over one of them is quick."""


def _event(rng: random.Random) -> Told:
    who = rng.choice((SUBMITTER, COURT, THIRD))
    kind = rng.choice((A, C, X, V, E) * 4 + (T,))
    said: dict[str, Any] = {}
    if kind in (C, X):
        said = {"object": DIGESTS, "receiver": rng.choice((None, COURT))}
    elif kind is V:
        said = {"object": DIGESTS, "result": rng.randrange(4)}
    elif kind is T:
        giver, receiver = rng.sample((SUBMITTER, COURT, THIRD), 2)
        who = rng.choice((giver, receiver)) if rng.random() < 0.9 else who
        said = {"giver": giver, "receiver": receiver}
    if rng.random() < 0.05:
        said["event_time"] = LINK_TIME + rng.choice((0, 60 * 9, 60 * 10 + 31, STATED))
    if rng.random() < 0.03:
        said["number"] = rng.choice((2, 3, 9))
        said["previous"] = seeded("another")
    return Told(
        kind, who, said, withheld=rng.random() < 0.15, flags=1 if rng.random() < 0.02 else None,
        case_id=seeded("another case") if rng.random() < 0.02 else CASE_ID,
        signer="stranger" if rng.random() < 0.03 else None,
    )  # fmt: skip


@lru_cache(maxsize=2)
def _worlds(seed: int) -> tuple[CustodyWorld, ...]:
    rng = random.Random(f"custody worlds {seed}")  # noqa: S311
    out = []
    for number in range(MANY):
        item = World(
            kind=("ics23", "mpt-qbft", "none", "none", "none", "none")[number], flags=int(number == 3)
        )
        given = [Told(T, SUBMITTER, {"giver": SUBMITTER, "receiver": COURT}),
                 Told(T, COURT, {"giver": SUBMITTER, "receiver": COURT})]  # fmt: skip
        story = [_event(rng) for _ in range(rng.randrange(6))]
        at = rng.randrange(len(story) + 1)
        story[at:at] = given
        closed = {"successor": LATER_LOG, "closed": rng.choice((7, 10, 13, 40))} if rng.random() < 0.3 else {}
        out.append(CustodyWorld(item, story, **closed))  # type: ignore[arg-type]
    return tuple(out)


def _statement(rng: random.Random, world: CustodyWorld, count: int) -> Statement:
    stated = world.statement(count)
    how = rng.randrange(24)
    if how == 0:
        return dataclasses.replace(
            stated, count=max(1, count + rng.choice((-1, 1))), head=stated.head or seeded(1)
        )
    if how == 1 and stated.head:
        return dataclasses.replace(stated, head=seeded(2))
    if how == 2:
        return dataclasses.replace(stated, size=rng.choice((0, 1, 6, stated.size + 1, 2**62)))
    if how == 3:
        return dataclasses.replace(stated, root_sm3=seeded(3))
    if how == 4:
        times = (0, LINK_TIME, LINK_TIME + 3600, LINK_TIME + 3689, LINK_TIME + 3691, AT, AT + 1, 2**40 - 1)
        return dataclasses.replace(stated, stated_at=rng.choice(times))
    if how == 5:
        return dataclasses.replace(stated, item=seeded(4))
    if how == 6:
        return dataclasses.replace(stated, log_id=seeded(5))
    return stated


def _listed(rng: random.Random, receipts: list[bytes], world: CustodyWorld) -> list[bytes]:
    out = list(receipts)
    how = rng.randrange(16)
    if how == 0 and out:
        del out[rng.randrange(len(out))]
    elif how == 1 and out:
        out.insert(rng.randrange(len(out)), rng.choice(out))
    elif how == 2:
        rng.shuffle(out)
    elif how == 3:
        out.insert(
            rng.randrange(len(out) + 1), rng.choice((Receipt.of(world.item.core).encode(), b"", b"\x80"))
        )
    elif how in (4, 5) and out:
        at = rng.randrange(len(out))
        out[at] = mutated(rng, out[at], 1) if how == 4 else flipped(rng, out[at])
    elif how == 6 and out:
        at = rng.randrange(len(out))
        other = rng.choice(world.events).core
        mixed = dataclasses.replace(world.events[at].core, body=other.body)
        out[at] = Receipt.of(mixed).encode()
    return out


def custody_lines(seed: int, count: int) -> Iterator[dict[str, object]]:
    """`count` lines; the same seed gives the same ones."""
    rng = random.Random(f"custody {seed}")  # noqa: S311
    worlds = _worlds(seed)
    for _ in range(count):
        world = rng.choice(worlds)
        told = len(world.events) if rng.random() < 0.7 else rng.randrange(len(world.events) + 1)
        sheet = world.sheet(_listed(rng, world.receipts[:told], world), _statement(rng, world, told))
        how = rng.randrange(12)
        if how == 0:
            sheet = flipped(rng, sheet)
        elif how == 1:
            sheet = mutated(rng, sheet, 1)
        item = world.item
        if rng.random() < 0.05:
            item = rng.choice(worlds).item
        line: dict[str, object] = {
            "receipt": item.receipt.hex(),
            "trust": rng.choice((world,) * 9 + worlds[:1]).trust.hex(),
            "sheet": sheet.hex(),
            "at": rng.choice((AT,) * 20 + (LINK_TIME, LINK_TIME + 200, STATED)),
        }
        if rng.random() < 0.3:
            line["since"] = rng.choice((0, STATED - 1, STATED, STATED + 1))
        if rng.random() < 0.5:
            known = [rng.choice(rng.choice((world, world, world, rng.choice(worlds))).receipts or [b""])
                     for _ in range(rng.randrange(1, 3))]  # fmt: skip
            if rng.random() < 0.1:
                known[0] = rng.choice((item.receipt, b"\x00", flipped(rng, known[0] or b"\x00")))
            line["known"] = [one.hex() for one in known]
        yield line
