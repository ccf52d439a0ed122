"""What a trust file says: chains with validators, contracts, logs, keys, policy (docs/spec/trust.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol import cbor
from protocol.cbor import Encodable
from verifier.errors import MalformedTrustFile
from verifier.witness_policy import EMPTY_POLICY, WitnessPolicy

VERSIONS = (1, 2, 3, 4)
"""Version 2 adds witnesses, time authorities and the ends of epochs (docs/spec/attestation.md §4), version 3
the ends of algorithms (docs/spec/hash-renewal.md §3), version 4 further contracts (docs/spec/trust.md).
"""
ROLES = ("court", "regulator", "centre", "notary", "bank")
LEADING_ROLES = ("court", "regulator")
"""A quorum has at least one of these."""
PROOF_KINDS = {"ics23": 32, "mpt-qbft": 20, "mpt-clique": 20, "none": 0}
"""Proof kind and the length of a validator's key."""


@dataclass(frozen=True, slots=True)
class TrustKey:
    """Who signs trust files. The key is Ed25519, 32 bytes."""

    public_key: bytes
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class TrustedValidator:
    """One validator and who controls it. A group is an interest group of the consortium."""

    public_key: bytes
    power: int
    controller: str
    group: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """A validator set and the block heights it is trusted for, inclusive; open while `to_height` is None.

    `closed_at` says when a closed one ended, seconds UTC; version 1 of the file does not know it.
    """

    number: int
    from_height: int
    to_height: int | None
    validators: tuple[TrustedValidator, ...]
    closed_at: int | None = None

    def covers(self, height: int) -> bool:
        """Whether the set is trusted for this header height."""
        return self.from_height <= height and (self.to_height is None or height <= self.to_height)


@dataclass(frozen=True, slots=True)
class PinnedContract:
    """An address (20 bytes) and the code hash (32 bytes) it must have."""

    address: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True, order=True)
class FurtherContract:
    """A contract beside the two that every chain has, by the name that it has in docs/spec."""

    chain_id: int
    name: str
    address: bytes
    code_hash: bytes

    @property
    def pin(self) -> PinnedContract:
        """Without its name."""
        return PinnedContract(self.address, self.code_hash)


@dataclass(frozen=True, slots=True)
class TrustedChain:
    """A chain, how it proves, its validators over time, and the two contracts on it."""

    chain_id: int
    engine: str
    network_id: str
    proof_kind: str
    epochs: tuple[Epoch, ...]
    registry: PinnedContract
    evidence_log: PinnedContract

    def epoch_at(self, height: int) -> Epoch | None:
        """The epoch trusted for a header height."""
        return next((epoch for epoch in self.epochs if epoch.covers(height)), None)


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log: its operator's index, its Ed25519 key, and where it ends if it was closed."""

    origin: str
    chain_id: int
    operator: int
    log_key: bytes
    closed_size: int | None = None
    successor: str | None = None


@dataclass(frozen=True, slots=True)
class TimeAuthority:
    """A time-stamp authority: root certificates (DER), accepted policy OIDs (none: any), and the genTimes for
    which it is trusted, inclusive; without end while `not_after` is None.
    """

    name: str
    roots: tuple[bytes, ...]
    policies: tuple[str, ...]
    not_before: int
    not_after: int | None


@dataclass(frozen=True, slots=True)
class TrustPayload:
    """What is signed. Times in seconds UTC; names are (Chinese, English).

    `witnesses_required` is 0 or 1 in version 2; policy, authorities and `closed_at` are version 2's.
    """

    serial: int
    issued_at: int
    valid_until: int
    predecessor: bytes | None
    name: tuple[str, str]
    threshold: int
    keys: tuple[TrustKey, ...]
    chains: tuple[TrustedChain, ...]
    logs: tuple[TrustedLog, ...]
    witnesses_required: int = 0
    time_tokens_required: int = 0
    version: int = 1
    witness_policy: WitnessPolicy = EMPTY_POLICY
    authorities: tuple[TimeAuthority, ...] = ()
    algorithm_ends: tuple[tuple[int, int], ...] = ()
    """(algorithm number, last second at which it is relied on), ascending."""
    contracts: tuple[FurtherContract, ...] = ()
    """Ascending by chain and name."""

    def encode(self) -> bytes:
        """CBOR of the members as they are; `trust_parse.parse` checks the rules.

        Raises:
            MalformedTrustFile: a member that this version cannot hold.
        """
        members: dict[int | str, Encodable] = {
            0: self.version,
            1: self.serial,
            2: self.issued_at,
            3: self.valid_until,
            4: self.predecessor,
            5: self.name,
            6: self.threshold,
            7: [[key.public_key, key.name, key.role] for key in self.keys],
            8: [_encode_chain(chain, self.version) for chain in self.chains],
            9: [
                [log.origin, log.chain_id, log.operator, log.log_key, log.closed_size, log.successor]
                for log in self.logs
            ],
            10: [self.witnesses_required, self.time_tokens_required],
        }
        if self.version >= 2:
            members[11] = _encode_policy(self.witness_policy)
            members[12] = [
                [one.name, one.roots, one.policies, one.not_before, one.not_after] for one in self.authorities
            ]
        elif self.authorities or self.witness_policy != EMPTY_POLICY:
            raise MalformedTrustFile(
                "version 1 knows neither witnesses nor time authorities", field="version"
            )
        if self.version >= 3:
            members[13] = [list(one) for one in self.algorithm_ends]
        elif self.algorithm_ends:
            raise MalformedTrustFile("only version 3 knows ends of algorithms", field="version")
        if self.version >= 4:
            members[14] = [[one.chain_id, one.name, one.address, one.code_hash] for one in self.contracts]
        elif self.contracts:
            raise MalformedTrustFile("only version 4 knows further contracts", field="version")
        return cbor.encode(members)

    def chain(self, chain_id: int) -> TrustedChain | None:
        """The trusted chain of this id."""
        return next((chain for chain in self.chains if chain.chain_id == chain_id), None)

    def contract(self, chain_id: int, name: str) -> PinnedContract | None:
        """The further contract of this name on a chain."""
        found = (one.pin for one in self.contracts if (one.chain_id, one.name) == (chain_id, name))
        return next(found, None)

    def end_of(self, algorithm: int) -> int | None:
        """The last second at which an algorithm is relied on, where there is one."""
        return dict(self.algorithm_ends).get(algorithm)

    def log(self, origin: str) -> TrustedLog | None:
        """The trusted log of this origin."""
        return next((log for log in self.logs if log.origin == origin), None)

    def is_quorum(self, positions: Iterable[int]) -> bool:
        """Whether the keys at these positions may speak: enough of them, two roles, a court or regulator."""
        roles = [self.keys[position].role for position in set(positions)]
        return (
            len(roles) >= self.threshold
            and len(set(roles)) >= 2
            and any(role in LEADING_ROLES for role in roles)
        )


def _encode_chain(chain: TrustedChain, version: int) -> Encodable:
    epochs: list[Encodable] = [_encode_epoch(epoch, version) for epoch in chain.epochs]
    pins: list[Encodable] = [[pin.address, pin.code_hash] for pin in (chain.registry, chain.evidence_log)]
    return [chain.chain_id, chain.engine, chain.network_id, chain.proof_kind, epochs, *pins]


def _encode_epoch(epoch: Epoch, version: int) -> Encodable:
    validators: list[Encodable] = [[v.public_key, v.power, v.controller, v.group] for v in epoch.validators]
    members: list[Encodable] = [epoch.number, epoch.from_height, epoch.to_height, validators]
    if version >= 2:
        members.append(epoch.closed_at)
    elif epoch.closed_at is not None:
        raise MalformedTrustFile("version 1 knows no time of an epoch's end", field="epochs")
    return members


def _encode_policy(policy: WitnessPolicy) -> Encodable:
    return [
        [[w.name, w.kind, w.public_key, w.statement, w.organisation, w.role] for w in policy.witnesses],
        [[group.name, group.threshold, group.members] for group in policy.groups],
        policy.quorum,
    ]
