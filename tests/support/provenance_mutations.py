"""Receipts with provenance statements, in part damaged, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from tests.support.attacks import OPERATED, SUCCESSOR
from tests.support.mutations import ORDINARY, Case, Item, encode, flipped, mutated
from tests.support.world import AT, CONTENT, LINK_TIME, World

TEXTS = ("核心业务系统", "按合同号导出", "x" * 500, "中" * 166, "a\u3000b", "System 7, export \U0001f4c4")
BAD_TEXTS = ("", "x" * 501, "中" * 167, "a\x00", "a\u202eb", "line\nbreak", "\u200b")


@lru_cache(maxsize=256)
def _world(statement: bytes | None, event: int | None, kind: int, withheld: bool) -> World:
    return World(
        kind="none", provenance=statement, event_time=event, evidence_class=ORDINARY[kind], withheld=withheld
    )


def _text(rng: random.Random) -> str:
    return rng.choice(TEXTS if rng.random() < 0.97 else BAD_TEXTS)


def _time(rng: random.Random) -> int:
    day = 86_400
    return LINK_TIME - rng.choice(
        (0, 1, day, day + 1, 3 * day, 3 * day + 1, 7 * day + 1, 30 * day, 30 * day + 1, -1, -day)
    )


def statement(rng: random.Random) -> bytes:
    """One statement, mostly well-formed."""

    def maybe(value: Item) -> Item:
        return value if rng.random() < 0.85 else None

    digest = rng.choice((None, bytes(32), b"\x01" * 32))
    fields: dict[int | str, Item] = {
        0: 1, 1: maybe(_text(rng)), 2: maybe(_text(rng)), 3: maybe(_time(rng)), 4: maybe(_text(rng)),
        5: maybe([_text(rng), _text(rng), digest]), 6: maybe([_text(rng), rng.randrange(2), _time(rng)]),
        7: maybe(_text(rng)), 8: [_text(rng) for _ in range(rng.choice((0, 1, 3, 16)))], 9: maybe(_text(rng)),
        10: maybe(rng.randrange(4)), 11: bytes([rng.randrange(256)]) * 32,
    }  # fmt: skip
    if rng.random() < 0.05:
        fields[0] = rng.choice((0, 2, 2**64 - 1))
    encoded = encode(fields)
    return mutated(rng, encoded, 1) if rng.random() < 0.35 else encoded


def statement_cases(seed: int, count: int) -> Iterator[Case]:
    """`count` inputs; the same seed gives the same ones."""
    rng = random.Random(f"provenance {seed}")  # noqa: S311
    for number in range(count):
        shown = statement(rng)
        how = rng.choice(("as made",) * 8 + ("flipped", "other", "none named", "withheld", "continuation"))
        named = None if how == "none named" else shown
        event = rng.choice((None, _time(rng)))
        world = _world(named, event, rng.randrange(len(ORDINARY)), how == "withheld")
        receipt, trust = world.receipt, world.trust
        if how == "continuation":
            receipt, trust = SUCCESSOR.receipt, OPERATED
        if how == "flipped":
            shown = flipped(rng, shown)
        elif how == "other":
            shown = statement(rng)
        content = rng.choice((None, CONTENT, CONTENT, CONTENT + b"x"))
        yield Case(
            f"provenance {number}: {how}", receipt, trust, AT, content, None, rng.random() < 0.1,
            rng.choice((shown,) * 9 + (None,)),
        )  # fmt: skip
