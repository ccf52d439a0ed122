"""What a lifecycle is made of, and the rows by which the contract holds it (docs/spec/case.md §2).

The values of each version are generated from `cases/lifecycle.yaml`: `cases.lifecycle_v1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from functools import cached_property

from cases import deadlines
from cases.deadlines import Unit
from protocol.acts import Role
from protocol.entry import EvidenceClass
from protocol.hashing import keccak256
from protocol.i18n import Text

OWNER = 1 << 15
"""Bit of a role set: the institution whose case it is. Bits 0 to 13 are the roles of the registry."""
COURT_ROLES = Role.COURT.mask | Role.ENFORCEMENT.mask
"""Who alone enters a court stage."""
STAGES = 64
"""Stage codes lie below; 0 is no stage."""
HOLDS = 16
PRODUCTS = 16
REASONS = 16


class When(IntEnum):
    """How a transition stands to the clock of the stage that it leaves."""

    ANY = 0
    BEFORE = 1
    AFTER = 2


class CourtRule(IntEnum):
    """Which court may act."""

    ANY = 0
    SAME = 1
    SETS = 2


class Fact(IntEnum):
    """Facts that a guard is asked for."""

    REPAID = 1
    DEFAULTED = 2


class Consent(IntEnum):
    """Consents that a guard is asked for."""

    MEDIATION = 1


class Flag(IntEnum):
    """Bits of a transition's flags."""

    LAPSE = 0
    BEFORE = 1
    AFTER = 2
    HELD = 3
    EXTENDS = 4
    SAME_COURT = 5
    SETS_COURT = 6


class RowKind(StrEnum):
    """The tables of a policy, in the order of its hash."""

    STAGES = "stages"
    TRANSITIONS = "transitions"
    HOLDS = "holds"
    PRODUCTS = "products"


@dataclass(frozen=True)
class Clock:
    """A time limit: `count` units, the law or house rule that sets it."""

    name: str
    count: int
    unit: Unit
    article: str
    label: Text

    @property
    def length(self) -> deadlines.Clock:
        """What the arithmetic of deadlines takes."""
        return deadlines.Clock(self.count, self.unit)

    def row(self) -> int:
        """uint32 as docs/spec/deadline.md §2 packs it."""
        return self.length.packed


@dataclass(frozen=True)
class Hold:
    """A pause of a stage's clock."""

    code: int
    name: str
    by: int
    article: str
    label: Text


@dataclass(frozen=True)
class Reason:
    """One entry of a list of reasons; `code` 1 to 15."""

    code: int
    name: str
    label: Text


@dataclass(frozen=True)
class Product:
    """What a dispute is about, and which institutions may bring it."""

    code: int
    name: str
    by: int
    label: Text


@dataclass(frozen=True)
class Stage:
    """Where a case stands. A final stage has no clock."""

    code: int
    name: str
    label: Text
    plain: Text
    clock: Clock | None
    holds: tuple[int, ...] = ()
    court: bool = False
    final: bool = False

    def row(self) -> bytes:
        """8 bytes: clock uint32, holds uint16 (bit = code), flags uint8 (0 court, 1 final), zero."""
        clock = self.clock.row() if self.clock else 0
        holds = sum(1 << code for code in self.holds)
        return clock.to_bytes(4, "big") + holds.to_bytes(2, "big") + bytes((self.court | self.final << 1, 0))


@dataclass(frozen=True)
class EvidenceNeed:
    """One anchored entry of one of `classes`, submitted by one of `roles`, of the case, not privileged."""

    classes: tuple[EvidenceClass, ...]
    roles: int

    def row(self) -> int:
        """uint32: classes 16-31 (bit = class), roles 0-15."""
        return sum(1 << number for number in self.classes) << 16 | self.roles


@dataclass(frozen=True)
class Transition:
    """A step from one of `sources` to `target`."""

    id: int
    name: str
    sources: tuple[int, ...]
    target: int
    by: int
    beside: int
    label: Text
    article: str
    when: When = When.ANY
    court_rule: CourtRule = CourtRule.ANY
    lapse: bool = False
    held: bool = False
    extends: bool = False
    evidence: tuple[EvidenceNeed, ...] = ()
    fact: Fact | None = None
    consent: Consent | None = None
    reasons: tuple[Reason, ...] = ()
    clock: Clock | None = None

    @property
    def flags(self) -> int:
        """Bits of `Flag`."""
        bits = {
            Flag.LAPSE: self.lapse,
            Flag.BEFORE: self.when is When.BEFORE,
            Flag.AFTER: self.when is When.AFTER,
            Flag.HELD: self.held,
            Flag.EXTENDS: self.extends,
            Flag.SAME_COURT: self.court_rule is CourtRule.SAME,
            Flag.SETS_COURT: self.court_rule is CourtRule.SETS,
        }
        return sum(1 << flag for flag, on in bits.items() if on)

    def row(self) -> bytes:
        """32 bytes (docs/spec/case.md §2)."""
        needs = [need.row() for need in self.evidence] + [0, 0]
        parts = (
            (sum(1 << code for code in self.sources), 8),
            (self.target, 1),
            (self.by, 2),
            (self.beside, 2),
            (self.flags, 1),
            (needs[0], 4),
            (needs[1], 4),
            (self.fact or 0, 2),
            (self.consent or 0, 1),
            (sum(1 << reason.code for reason in self.reasons), 2),
            (self.clock.row() if self.clock else 0, 4),
            (0, 1),
        )
        return b"".join(value.to_bytes(size, "big") for value, size in parts)


@dataclass(frozen=True)
class Lifecycle:
    """One version of the rules of a case."""

    version: int
    source_digest: bytes
    """SHA-256 over the source's canonical JSON: labels and articles as well."""
    stages: Mapping[int, Stage]
    transitions: Mapping[int, Transition]
    holds: Mapping[int, Hold]
    products: Mapping[int, Product]
    test_clock: bool = False

    @cached_property
    def _stage_names(self) -> dict[str, Stage]:
        return {stage.name: stage for stage in self.stages.values()}

    @cached_property
    def _transition_names(self) -> dict[str, Transition]:
        return {step.name: step for step in self.transitions.values()}

    def stage(self, name: str) -> Stage:
        """By its name; KeyError if there is none."""
        return self._stage_names[name]

    def transition(self, name: str) -> Transition:
        """By its name; KeyError if there is none."""
        return self._transition_names[name]

    def leaving(self, stage: int) -> tuple[Transition, ...]:
        """All transitions out of a stage."""
        return tuple(step for step in self.transitions.values() if stage in step.sources)

    def table(self, kind: RowKind) -> bytes:
        """One table as the contract holds it; rows without an entry are zero."""
        match kind:
            case RowKind.STAGES:
                return b"".join(
                    self.stages[code].row() if code in self.stages else bytes(8) for code in range(STAGES)
                )
            case RowKind.TRANSITIONS:
                rows = range(max(self.transitions) + 1)
                return b"".join(
                    self.transitions[i].row() if i in self.transitions else bytes(32) for i in rows
                )
            case RowKind.HOLDS:
                return _roles(self.holds, HOLDS)
            case RowKind.PRODUCTS:
                return _roles(self.products, PRODUCTS)

    @cached_property
    def table_hash(self) -> bytes:
        """keccak256 over all tables; what the contract answers and governance votes on."""
        return keccak256(b"".join(self.table(kind) for kind in RowKind))

    def with_test_clock(self) -> Lifecycle:
        """The same rules with every clock in seconds, for networks whose time cannot be set.

        Counts stay, and none is shorter than `SHORTEST_TEST_CLOCK`. Its hash is another one.
        """
        stages = {code: _sped_up_stage(stage) for code, stage in self.stages.items()}
        steps = {
            number: replace(step, clock=_sped_up(step.clock)) for number, step in self.transitions.items()
        }
        digest = hashlib.sha256(b"caseledger/test-clock/v1" + self.source_digest).digest()
        return Lifecycle(self.version, digest, stages, steps, self.holds, self.products, test_clock=True)


SHORTEST_TEST_CLOCK = 15


def _sped_up(clock: Clock | None) -> Clock | None:
    if clock is None:
        return None
    return replace(clock, count=max(clock.count, SHORTEST_TEST_CLOCK), unit=Unit.SECONDS)


def _sped_up_stage(stage: Stage) -> Stage:
    return replace(stage, clock=_sped_up(stage.clock))


def _roles(rows: Mapping[int, Hold] | Mapping[int, Product], count: int) -> bytes:
    """2 bytes a row: the role set of each code."""
    return b"".join((rows[code].by if code in rows else 0).to_bytes(2, "big") for code in range(count))
