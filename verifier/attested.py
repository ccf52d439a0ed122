"""What the attestations of one receipt prove (docs/spec/attestation.md §2, §3, §5, §6).

Pure. Keys, witnesses and authorities come from the trust file alone; a root is always recomputed from the
leaf. Chain proofs are only collected here: `verify_chain` runs its steps on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from protocol.checkpoint import (
    ALGORITHM_SHA256,
    TREE_HASHES,
    TYPE_MLDSA44,
    Checkpoint,
    CosignatureInvalid,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError
from protocol.hashing import ALGORITHMS
from verifier.attestation import (
    ChainAttestation,
    Known,
    RenewalAttestation,
    Sm2Attestation,
    TokenAttestation,
    Where,
    WitnessAttestation,
)
from verifier.chainproof import ChainProof
from verifier.errors import CheckpointTooSmall, CosignatureInFuture
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Core, Receipt
from verifier.rehash import Renewals, Renewed, evaluate_renewals
from verifier.sm2_envelope import check_sm2
from verifier.trust_payload import TrustedLog, TrustPayload
from verifier.verdict import Finding
from verifier.witness_policy import quorum_by

if TYPE_CHECKING:
    from verifier.timetoken import TimeToken

T = TypeVar("T")
RENEWAL_TAG = b"caseledger/renewal/v1"
BEFORE_BLOCK = 300
"""Seconds that a token's clock may be behind the block's."""
IGNORED = "AlgorithmIgnored"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the person who verifies asked for, beyond the trust file."""

    ignore_sha256: bool = False
    """SHA-256 counts as broken: only what SM3 protects is looked at."""
    mldsa: bool = False
    """ML-DSA-44 cosignatures count."""
    ignore_sm3: bool = False
    """SM3 counts as broken. With both, nothing is left unless it was renewed."""
    covered: frozenset[int] | None = None
    """Places of the attestations that a hash renewal covers, where only those may be looked at."""

    @property
    def algorithms(self) -> tuple[int, ...]:
        """Trees whose checkpoints are looked at."""
        ignored = (self.ignore_sha256, self.ignore_sm3)
        return tuple(one for one in (0, 1) if not ignored[one])

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the digests that are ignored."""
        return tuple(name for name in ("sha256", "sm3") if self.ignores(name))

    @property
    def nothing_left(self) -> bool:
        """Whether no digest is relied on."""
        return self.ignore_sha256 and self.ignore_sm3

    def looks_at(self, place: int) -> bool:
        """Whether the attestation at this place may be looked at."""
        return self.covered is None or place in self.covered

    def ignores(self, name: str) -> bool:
        """Whether the digest called `name` is ignored."""
        return {"sha256": self.ignore_sha256, "sm3": self.ignore_sm3}.get(name, False)


@dataclass(frozen=True, slots=True)
class Quorum:
    """A satisfied witness policy: since when (seconds UTC), by whom, over a tree of which size."""

    time: int
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """A good token over a checkpoint. An expired one no longer counts; a renewal would have kept it."""

    authority: str
    time: int
    algorithm: int
    expired: bool


@dataclass(slots=True)
class Attested:
    """Everything that the attestations prove, and the first thing that is wrong with each sort."""

    findings: list[Finding] = field(default_factory=list)
    quorums: dict[int, Quorum] = field(default_factory=dict)
    """By algorithm."""
    stamps: tuple[Stamp, ...] = ()
    proofs: tuple[tuple[int, ChainProof], ...] = ()
    """Position and chain proof of the `chain` attestations."""
    sm2_key: bytes | None = None
    """The SM2 key (64 bytes) that signed the submission too."""
    refused_tree: tuple[int, CaseledgerError] | None = None
    """The first attestation over a tree that is refused: its place and why."""
    refused_token: tuple[int, CaseledgerError] | None = None
    renewed: tuple[Renewed, ...] = ()
    """Hash renewals on which the verdicts rest, because an algorithm is ignored."""

    @property
    def witness_error(self) -> CaseledgerError | None:
        """What makes *append-only* fail."""
        return self.refused_tree[1] if self.refused_tree else None

    @property
    def token_error(self) -> CaseledgerError | None:
        """What makes *time* fail."""
        return self.refused_token[1] if self.refused_token else None

    def take(self, renewals: Renewals) -> None:
        """Add what is to be said of the hash renewals."""
        self.findings.extend(renewals.findings)
        self.refused_tree = _first(self.refused_tree, renewals.tree_error)
        self.refused_token = _first(self.refused_token, renewals.token_error)

    @property
    def counting(self) -> tuple[Stamp, ...]:
        """Tokens that count."""
        return tuple(one for one in self.stamps if not one.expired)

    def ordered(self) -> tuple[Finding, ...]:
        """Findings by position."""
        return tuple(sorted(self.findings, key=lambda one: one.position))

    def inside(self, closed_at: int, tokens_required: int) -> str | None:
        """What shows that the SHA-256 tree stood before `closed_at`: words for the report, or None."""
        quorum = self.quorums.get(ALGORITHM_SHA256)
        if quorum is not None and quorum.time <= closed_at:
            return f"witnesses {quorum.time} <= {closed_at}"
        names = {
            one.authority
            for one in self.counting
            if one.algorithm == ALGORITHM_SHA256 and one.time <= closed_at
        }
        # No requirement is not the same as no token needed.
        return f"tokens of {len(names)} <= {closed_at}" if len(names) >= max(1, tokens_required) else None


def _first(
    one: tuple[int, CaseledgerError] | None, two: tuple[int, CaseledgerError] | None
) -> tuple[int, CaseledgerError] | None:
    given = [pair for pair in (one, two) if pair is not None]
    return min(given, key=lambda pair: pair[0]) if given else None


def evaluate(
    receipt: Receipt,
    known: Sequence[Known | None],
    payload: TrustPayload,
    at: int,
    rules: Rules,
    renewals: Renewals | None = None,
) -> Attested:
    """Check every attestation of a receipt whose inclusion holds; `known` are its attestations as parsed.

    `renewals`: its hash renewals as `evaluate_renewals` found them, which is asked when None is given.
    """
    out = Attested()
    if renewals is None:
        renewals = evaluate_renewals(receipt, known, payload, at)
    log = payload.log(receipt.core.log.origin)
    if log is None or log.chain_id != receipt.core.log.chain_id:
        # Whose checkpoints they are cannot be known; step 5 says that the log is not named.
        return out
    _Witnesses(receipt.core, log, payload, at, rules, out).run(_of(known, WitnessAttestation))
    _Tokens(receipt, known, payload, at, rules, out).run(renewals.judged_at)
    out.take(renewals)
    for position, one in _of(known, ChainAttestation):
        if rules.looks_at(position):
            out.proofs = (*out.proofs, (position, one.proof))
        else:
            out.findings.append(Finding(position, one.kind, IGNORED))
    for position, envelope in _of(known, Sm2Attestation):
        code, detail = check_sm2(receipt.core, envelope)
        out.findings.append(Finding(position, envelope.kind, code, detail))
        if code == "Ok" and out.sm2_key is None:
            out.sm2_key = envelope.public_key
    return out


def _of(known: Iterable[Known | None], kind: type[T]) -> Iterator[tuple[int, T]]:
    return ((at, one) for at, one in enumerate(known) if isinstance(one, kind))


def checkpoint_of(core: Core, algorithm: int, where: Where | None) -> Checkpoint:
    """The tree head that an attestation speaks of, recomputed from the leaf.

    Raises:
        CheckpointTooSmall, or an error of the inclusion path
    """
    alg = TREE_HASHES[algorithm]
    size, path = core.link.size, (core.inclusion.path_sha256, core.inclusion.path_sm3)[algorithm]
    if where is not None:
        if where.size < size:
            raise CheckpointTooSmall(f"{where.size} leaves, the batch has {size}", field="where")
        size, path = where.size, where.path
    root = root_from_inclusion(alg, alg.leaf(core.leaf), core.inclusion.index, size, path)
    return Checkpoint(statement_origin(core.log.origin, algorithm), size, root)


@dataclass(slots=True)
class _Witnesses:
    core: Core
    log: TrustedLog
    payload: TrustPayload
    at: int
    rules: Rules
    out: Attested
    times: dict[Checkpoint, dict[str, int]] = field(default_factory=dict)

    def run(self, attestations: Iterable[tuple[int, WitnessAttestation]]) -> None:
        for position, one in attestations:
            code, detail = IGNORED, ""
            if one.algorithm in self.rules.algorithms and self.rules.looks_at(position):
                try:
                    head, signed = self._check(one)
                    code, detail = ("Ok", ", ".join(signed)) if signed else ("WitnessUnknown", "")
                    times = self.times.setdefault(head, {})
                    for name, time in signed.items():
                        times[name] = min(time, times.get(name, time))
                except CaseledgerError as error:
                    self.out.refused_tree = _first(self.out.refused_tree, (position, error))
                    code, detail = error.code, error.detail
            self.out.findings.append(Finding(position, one.kind, code, detail))
        # A quorum is over one and the same tree: cosignatures over two would not exclude a split view.
        for head, times in self.times.items():
            met = quorum_by(self.payload.witness_policy, times)
            before = self.out.quorums.get(head.algorithm)
            if met is not None and (before is None or met[0] < before.time):
                self.out.quorums[head.algorithm] = Quorum(met[0], met[1], head.size)

    def _check(self, one: WitnessAttestation) -> tuple[Checkpoint, dict[str, int]]:
        """The checkpoint and who cosigned it when; an attestation that is refused counts for nothing."""
        head = checkpoint_of(self.core, one.algorithm, one.where)
        verify_checkpoint(self.log.log_key, head, one.log_signature)
        named = self.payload.witness_policy.named(one.algorithm)
        signed: dict[str, int] = {}
        for line in one.cosignatures:
            witness = named.get(line.key_id)
            if witness is None or (witness.kind == TYPE_MLDSA44 and not self.rules.mldsa):
                continue
            verify_cosignature(
                witness.kind, witness.name, witness.public_key, line.time, head, line.signature
            )
            if line.time == 0:
                raise CosignatureInvalid(f"by {witness.name}, without a time", field="cosignature")
            if line.time > self.at:
                raise CosignatureInFuture(
                    f"by {witness.name} at {line.time}, evaluated at {self.at}", field="cosignature"
                )
            signed[witness.name] = line.time
        return head, signed


class _Ignored(Exception):
    """The token rests on an algorithm that is not looked at."""


@dataclass(slots=True)
class _Tokens:
    receipt: Receipt
    known: Sequence[Known | None]
    payload: TrustPayload
    at: int
    rules: Rules
    out: Attested

    def run(self, renewed_at: Mapping[int, tuple[int, ...]]) -> None:
        """`renewed_at`: times at which a token is judged as well, by its attestation's place."""
        stamped = [
            (position, one)
            for position, one in enumerate(self.known)
            if isinstance(one, (TokenAttestation, RenewalAttestation))
        ]
        if not stamped:
            return
        good = [
            (position, one, token)
            for position, one in stamped
            if (token := self._verified(position, one)) is not None
        ]
        # A renewal stands behind what it lists, so going backwards each is judged before what it keeps alive.
        judged = {place: list(times) for place, times in renewed_at.items()}
        stamps: list[Stamp] = []
        for position, one, token in reversed(good):
            expired = all(token.expired_at(time) for time in (self.at, *judged.get(position, ())))
            if isinstance(one, TokenAttestation):
                stamps.append(Stamp(token.authority, token.gen_time, one.algorithm, expired))
            elif not expired:
                for listed in one.positions:
                    judged.setdefault(listed, []).append(token.gen_time)
            code = "TimeTokenExpired" if expired else "Ok"
            self.out.findings.append(Finding(position, one.kind, code, f"{token.authority} {token.gen_time}"))
        self.out.stamps = tuple(reversed(stamps))

    def _verified(self, position: int, one: TokenAttestation | RenewalAttestation) -> TimeToken | None:
        """The token, if nothing is wrong with it and its authority is named."""
        from verifier.timetoken import check_token
        from verifier.timetoken_errors import AuthorityNotTrusted

        try:
            if not self.rules.looks_at(position):
                raise _Ignored
            return check_token(
                one.token,
                one.certificates,
                one.revocation,
                imprint_of=lambda name: self._imprint(one, name),
                authorities=self.payload.authorities,
                at=self.at,
                not_before=max(0, self.receipt.core.link.time - BEFORE_BLOCK),
            )
        except _Ignored:
            self.out.findings.append(Finding(position, one.kind, IGNORED))
        except AuthorityNotTrusted as error:
            self.out.findings.append(Finding(position, one.kind, error.code, error.detail))
        except CaseledgerError as error:
            self.out.refused_token = _first(self.out.refused_token, (position, error))
            self.out.findings.append(Finding(position, one.kind, error.code, error.detail))
        return None

    def _imprint(self, one: TokenAttestation | RenewalAttestation, name: str) -> bytes:
        """What the token must be over when its imprint is of algorithm `name`."""
        from verifier.timetoken_errors import TokenImprintMismatch

        if self.rules.ignores(name) or (
            isinstance(one, TokenAttestation) and one.algorithm not in self.rules.algorithms
        ):
            raise _Ignored
        alg = ALGORITHMS[name]
        if isinstance(one, TokenAttestation):
            if TREE_HASHES[one.algorithm] is not alg:
                raise TokenImprintMismatch(f"{name} over the other tree", field="token")
            return alg.digest(checkpoint_of(self.receipt.core, one.algorithm, one.where).text())
        listed = (alg.digest(self.receipt.attestations[at].payload) for at in one.positions)
        return alg.digest(RENEWAL_TAG + alg.digest(self.receipt.core_bytes) + b"".join(listed))
