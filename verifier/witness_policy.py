"""Which cosignatures are enough (docs/spec/attestation.md §4, after C2SP tlog-policy). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from protocol.checkpoint import key_id


@dataclass(frozen=True, slots=True)
class Witness:
    """A key that cosigns checkpoints of one tree. `kind` is the signature type 4 or 6, `statement` the
    algorithm (0 SHA-256, 1 SM3).
    """

    name: str
    kind: int
    public_key: bytes
    statement: int
    organisation: str
    role: str

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which its cosignatures are found."""
        return key_id(self.name, self.kind, self.public_key)


@dataclass(frozen=True, slots=True)
class WitnessGroup:
    """Satisfied by `threshold` of its members: names of witnesses, or of groups before it."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """Witnesses, groups in order, and the group or witness that has to be satisfied; None: nothing can."""

    witnesses: tuple[Witness, ...] = ()
    groups: tuple[WitnessGroup, ...] = ()
    quorum: str | None = None

    def named(self, statement: int) -> dict[bytes, Witness]:
        """Witnesses of one tree by key id."""
        return {one.key_id: one for one in self.witnesses if one.statement == statement}


EMPTY_POLICY = WitnessPolicy()


def satisfied(policy: WitnessPolicy, names: AbstractSet[str]) -> bool:
    """Whether cosignatures by the witnesses called `names` are a quorum. The empty policy never is met."""
    if policy.quorum is None:
        return False
    met = {one.name for one in policy.witnesses if one.name in names}
    for group in policy.groups:
        if len(met.intersection(group.members)) >= group.threshold:
            met.add(group.name)
    return policy.quorum in met


def quorum_by(policy: WitnessPolicy, times: Mapping[str, int]) -> tuple[int, tuple[str, ...]] | None:
    """When a quorum had signed, and who had by then: the shortest beginning in order of time that satisfies.

    A policy never asks for a cosignature to be missing, so no other satisfying set ends earlier.

    Args:
        times: seconds UTC by witness name.

    Returns:
        Latest time within that beginning and its names, or None without a quorum.
    """
    signed: set[str] = set()
    for name, time in sorted(times.items(), key=lambda item: (item[1], item[0])):
        signed.add(name)
        if satisfied(policy, signed):
            return time, tuple(sorted(signed))
    return None
