"""Who takes part: 40 banks, six mediation organisations with 60 mediators, five court teams, and the others.

A court team is a court organisation, since the chain knows organisations; a mediator is an act key of a
mediation organisation. Keys follow from the seed: this chain lives for one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from coincurve import PrivateKey

from cases.lifecycle import OWNER
from chain.deployment import GenesisKey, GenesisOrganisation
from protocol.acts import Purpose, Role, address_of
from protocol.hashing import keccak256

BANKS, COURT_TEAMS, MEDIATION_BODIES, MEDIATORS = 40, 5, 6, 60
_FOREVER = 2**40 - 1


@dataclass(frozen=True)
class Member:
    """An organisation; `keys` act keys, one for each person who acts."""

    index: int
    name: str
    role: Role
    keys: int = 1
    vote: bool = False


class SigningKey:
    """A secp256k1 key that signs digests as acts carry them."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        self.address = address_of(self._key.public_key)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes, v 27 or 28."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[:64] + bytes((27 + raw[64],))


def _members() -> Iterator[tuple[str, Role, int, bool]]:
    yield "centre", Role.CENTRE, 1, True
    yield "regulator", Role.REGULATOR, 1, True
    for number in range(1, COURT_TEAMS + 1):
        yield f"court-{number}", Role.COURT, 1, number == 1
    yield "high-court", Role.COURT, 1, False
    yield "enforcement", Role.ENFORCEMENT, 1, False
    yield "police", Role.POLICE, 1, False
    yield "prosecutor", Role.PROSECUTOR, 1, False
    for number in range(1, MEDIATION_BODIES + 1):
        yield f"mediation-{number}", Role.MEDIATION, MEDIATORS // MEDIATION_BODIES, False
    for number in range(1, BANKS + 1):
        yield f"bank-{number}", Role.BANK, 1, number == 1


class Cast:
    """All members of one seeded run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.members = tuple(
            Member(index, name, role, keys, vote)
            for index, (name, role, keys, vote) in enumerate(_members(), 1)
        )
        self.by_name = {member.name: member for member in self.members}
        self._roles = {member.index: member.role.mask for member in self.members}
        self._keys: dict[tuple[int, int, int], SigningKey] = {}

    def roles(self, organisation: int) -> int:
        """The role set; 0 for who is nobody."""
        return self._roles.get(organisation, 0)

    def index(self, name: str) -> int:
        """An organisation's number."""
        return self.by_name[name].index

    @cached_property
    def banks(self) -> tuple[int, ...]:
        """Indexes of the banks."""
        return self._with(Role.BANK)

    @cached_property
    def courts(self) -> tuple[int, ...]:
        """Indexes of the court teams."""
        return self._with(Role.COURT)[:COURT_TEAMS]

    @cached_property
    def mediation(self) -> tuple[int, ...]:
        """Indexes of the mediation organisations."""
        return self._with(Role.MEDIATION)

    def key(self, organisation: int, purpose: Purpose = Purpose.ACT, which: int = 0) -> SigningKey:
        """The `which`th key of an organisation for a purpose."""
        place = (organisation, int(purpose), which)
        if place not in self._keys:
            words = (self.seed, *place)
            secret = b"caseledger/month/key" + b"".join(word.to_bytes(8, "big") for word in words)
            self._keys[place] = SigningKey(keccak256(secret))
        return self._keys[place]

    def genesis(self) -> tuple[GenesisOrganisation, ...]:
        """As the registry's constructor takes them; the centre also anchors."""
        out = []
        for member in self.members:
            wanted = [(Purpose.ACT, which) for which in range(member.keys)]
            if member.role is Role.CENTRE:
                wanted.append((Purpose.ANCHOR, 0))
            keys = tuple(
                GenesisKey(self.key(member.index, purpose, which).address, purpose, 0, _FOREVER)
                for purpose, which in wanted
            )
            name = keccak256(f"{self.seed}/{member.name}".encode())
            out.append(GenesisOrganisation(name, member.role.mask, member.index, member.vote, keys))
        return tuple(out)

    def actor(self, allowed: int, lead: Lead, stage: int, but: int = 0) -> int:
        """Who of a role set acts for a case: its own bank, mediation body and court team before others."""
        order: list[tuple[int, int]] = [
            (OWNER, lead.owner),
            (Role.CENTRE.mask, self.index("centre")),
            (Role.MEDIATION.mask, lead.mediation),
            (Role.ENFORCEMENT.mask, self.index("enforcement")),
            (Role.COURT.mask, lead.court),
            (Role.POLICE.mask, self.index("police")),
            (Role.PROSECUTOR.mask, self.index("prosecutor")),
            (Role.REGULATOR.mask, self.index("regulator")),
        ]
        if stage == 41:  # with the prosecutor
            order.insert(0, order.pop(6))
        for mask, organisation in order:
            if allowed & mask and organisation != but:
                return organisation
        raise ValueError(f"nobody has {allowed:x}")

    def _with(self, role: Role) -> tuple[int, ...]:
        return tuple(member.index for member in self.members if member.role is role)


@dataclass(frozen=True)
class Lead:
    """Who handles one case."""

    owner: int
    mediation: int
    mediator: int
    court: int
