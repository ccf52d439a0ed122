"""Receipts with hash renewals under whatever is ignored or has ended, in part damaged, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support import vectors_attested, vectors_rehash
from tests.support.mutations import Case, decode, encode, flipped, mutated
from tests.support.world import CONTENT

TIMES = (1_800_090_000, 1_800_100_000, 1_800_100_001, 1_800_200_000, 1_805_000_000)


def _damaged(rng: random.Random, receipt: bytes) -> bytes:
    outer = decode(receipt)
    if not isinstance(outer, list) or not isinstance(outer[3], list) or not outer[3]:
        return flipped(rng, receipt)
    how = rng.randrange(6)
    if how == 0:
        return flipped(rng, receipt)
    if how == 1:
        del outer[3][rng.randrange(len(outer[3]))]
        return encode(outer)
    if how == 2:
        outer[3].append(rng.choice(outer[3]))
        return encode(outer)
    one = rng.choice([item for item in outer[3] if isinstance(item, list)])
    payload = one[1]
    if not isinstance(payload, bytes):
        raise TypeError(payload)
    one[1] = flipped(rng, payload) if how == 3 else mutated(rng, payload, 1)
    return encode(outer)


def rehash_cases(seed: int, count: int) -> Iterator[Case]:
    """`count` inputs; the same seed gives the same ones."""
    rng = random.Random(f"rehash {seed}")  # noqa: S311
    rows = vectors_attested.load(vectors_rehash.FILE)
    trusts = sorted({row["line"]["trust"] for row in rows})
    for number in range(count):
        line = rng.choice(rows)["line"]
        receipt = bytes.fromhex(line["receipt"])
        if rng.random() < 0.4:
            receipt = _damaged(rng, receipt)
        trust = line["trust"] if rng.random() < 0.8 else rng.choice(trusts)
        content = rng.choice((None, CONTENT, CONTENT, CONTENT + b"x"))
        yield Case(
            f"rehash {number}", receipt, bytes.fromhex(trust), rng.choice((line["at"], *TIMES)),
            content, None,
            names=rng.choice((None, None, "sha256", "sm3", "sha256,sm3", "sha256,sm3")),
            provenance=rng.choice((None, None, None, b"\xa0")),
        )  # fmt: skip
