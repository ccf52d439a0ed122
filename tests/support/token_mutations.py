"""Receipts with time tokens and renewals, in part spoilt, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from protocol.checkpoint import TREE_HASHES
from protocol.hashing import ALGORITHMS
from tests.support.mutations import Case, flipped
from tests.support.time_tokens import Recipe, authority, identity, protection
from tests.support.world import AT, CONTENT, LINK_TIME, World
from verifier.attestation import RenewalAttestation, TokenAttestation
from verifier.attested import RENEWAL_TAG
from verifier.receipt import Attestation

ONE, TWO, STRANGER = identity("Authority A"), identity("Authority B"), identity("Authority C")
SHORT = identity("Authority S", 60)
"""Its signing certificate ends within `LATE`."""
LATE = LINK_TIME + 200_000
PEOPLE = (ONE, ONE, TWO, STRANGER, SHORT)
TRUSTED = (authority(ONE, "one"), authority(TWO, "two"), authority(SHORT, "short"))
BOUNDED = (
    authority(ONE, "one", not_before=LINK_TIME + 60, not_after=LINK_TIME + 500),
    authority(TWO, "two", policies=("1.2.3",)),
    authority(SHORT, "short", policies=()),
)
WORLDS = (
    World(version=2, authorities=TRUSTED),
    World(version=2, authorities=TRUSTED, time_tokens=1),
    World(version=2, authorities=TRUSTED, time_tokens=2),
    World(version=2, authorities=BOUNDED, time_tokens=1),
    World(version=2, authorities=TRUSTED, to_height=4712, closed_at=LINK_TIME + 1000),
)
MOMENTS = (1, 59, 60, 120, 120, 120, 500, 501, 999, 1001, -300, -301, 3600, 3601, 150_000)


def _recipe(rng: random.Random, algorithm: str, imprint: bytes, about: str) -> bytes:
    who = rng.choice(PEOPLE)
    changes: dict[str, object] = rng.choice(
        [{}] * 12
        + [{"version": 2}, {"nonce": None}, {"nonce": 2**256}, {"nonce": -121}, {"policy": "1.2.3"},
           {"named": TWO.signer}, {"certificates": ()}, {"certificates": (TWO.signer,)},
           {"certificates": (who.signer, who.root)}, {"certificates": (who.signer, TWO.signer)},
           {"attributes": lambda found: found[1:]},
           {"attributes": lambda found: [*found, found[0]]}, {"attributes": lambda found: found[:-1]},
           {"attributes": lambda found: [*found, protection()]},
           {"attributes": lambda found: [*found, protection(signature="1.2.840.10045.4.3.3")]},
           {"attributes": lambda found: [flipped(rng, one) for one in found]},
           {"content": lambda data: flipped(rng, data)}, {"imprint": bytes(32)}]
    )  # fmt: skip
    arguments: dict[str, object] = {
        "algorithm": algorithm, "time": LINK_TIME + rng.choice(MOMENTS), "imprint": imprint, **changes,
    }  # fmt: skip
    token = Recipe(who, **arguments).make()  # type: ignore[arg-type]
    return flipped(rng, token) if not changes and rng.random() < 0.4 else token


def _token(rng: random.Random, world: World, about: str) -> Attestation:
    algorithm = rng.randrange(2)
    size = rng.choice((None, None, None, 20, 12))
    alg = TREE_HASHES[algorithm if rng.random() < 0.9 else 1 - algorithm]
    digest = alg.digest(world.checkpoint(algorithm, size).text())
    token = _recipe(rng, alg.name, digest, about)
    beside = rng.choice(((), (), (), (TWO.signer,), (b"\x30\x00",)))
    return TokenAttestation(algorithm, world.where(algorithm, size), token, beside).encode()


def _renewal(rng: random.Random, world: World, before: list[Attestation], about: str) -> Attestation:
    positions = tuple(sorted(rng.sample(range(len(before)), rng.randrange(1, len(before) + 1))))
    alg = ALGORITHMS[rng.choice(("sha256", "sm3"))]
    listed = b"".join(alg.digest(before[at].payload) for at in positions)
    digest = alg.digest(RENEWAL_TAG + alg.digest(world.core.encode()) + listed)
    return RenewalAttestation(positions, _recipe(rng, alg.name, digest, about)).encode()


def token_cases(seed: int, count: int) -> Iterator[Case]:
    """`count` inputs; the same seed gives the same ones, save for the signatures' own randomness."""
    rng = random.Random(f"tokens {seed}")  # noqa: S311
    for number in range(count):
        world, about = rng.choice(WORLDS), f"{seed} {number}"
        listed = [_token(rng, world, about) for _ in range(rng.randrange(1, 4))]
        if rng.random() < 0.4:
            listed.append(_renewal(rng, world, listed, about))
        at = rng.choice((AT, AT, AT, LATE, LATE, LINK_TIME + 400 * 86_400))
        yield Case(
            f"tokens {about}", world.attested(*listed), world.trust, at, CONTENT, None, rng.random() < 0.15
        )
