"""What a check is given, and what it says (docs/operator/fsck.md lists the codes)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence.capturing import ProofSource
from evidence.ports import PromiseSigner
from evidence.vault import Vault
from evidence.witnessing import CosignerKey
from storage.blobs import FolderStore
from verifier.timetoken import Authority
from verifier.witness_policy import EMPTY_POLICY, WitnessPolicy

MOST_FINDINGS = 1000
"""Of each kind of line; the report says when there were more."""


@dataclass(frozen=True)
class Fix:
    """One statement that puts a derived value right, for the owner of the tables.

    `table`: whose rows change, `evidence.` left out.
    """

    table: str
    statement: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. `place` names the row: `leaf 17`, `batch 3`.

    `fixes`: what makes it right where that follows from what was checked.
    """

    code: str
    origin: str
    place: str
    detail: str = ""
    fixes: tuple[Fix, ...] = field(default=(), compare=False)

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "log": self.origin, "place": self.place, "detail": self.detail}


@dataclass(frozen=True)
class Renewal:
    """A stamp that renews an earlier one. Times in seconds UTC."""

    origin: str
    authority: str
    from_size: int
    position: int
    stamped_by: str
    gen_time: int
    until: int

    def as_json(self) -> dict[str, Any]:
        return {
            "log": self.origin,
            "authority": self.authority,
            "from": self.from_size,
            "position": self.position,
            "stampedBy": self.stamped_by,
            "genTime": self.gen_time,
            "until": self.until,
        }


COUNTS = (
    "logs", "leaves", "submissions", "bodies", "groups", "batches", "anchors", "proofs", "checkpoints",
    "cosignatures", "tokens", "records", "chunks", "statements", "cases",
)  # fmt: skip


@dataclass
class FsckReport:
    """What was looked at and what was found."""

    logs: int = 0
    leaves: int = 0
    submissions: int = 0
    bodies: int = 0
    groups: int = 0
    batches: int = 0
    anchors: int = 0
    proofs: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    tokens: int = 0
    records: int = 0
    chunks: int = 0
    statements: int = 0
    cases: int = 0
    chain_compared: bool = False
    promises_verified: bool = False
    rebuilt: bool = False
    findings: list[Finding] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    """Losses that are recorded in a successor log: named, and no reason to fail."""
    notes: list[Finding] = field(default_factory=list)
    """What could not be judged, or is no damage: named, and no reason to fail."""
    repaired: list[Finding] = field(default_factory=list)
    """Findings that were there before the repair and are no more."""
    renewals: list[Renewal] = field(default_factory=list)
    more: bool = False
    """Whether lines were left out after the first thousand of a kind."""

    @property
    def clean(self) -> bool:
        return not self.findings

    def find(self, finding: Finding) -> None:
        self._add(self.findings, finding)

    def note(self, finding: Finding) -> None:
        """Each once."""
        if finding not in self.notes:
            self._add(self.notes, finding)

    def renewal(self, renewal: Renewal) -> None:
        if len(self.renewals) < MOST_FINDINGS:
            self.renewals.append(renewal)
        else:
            self.more = True

    def _add(self, lines: list[Finding], line: Finding) -> None:
        if len(lines) < MOST_FINDINGS:
            lines.append(line)
        else:
            self.more = True

    def as_json(self) -> dict[str, Any]:
        return {
            "clean": self.clean,
            **{name: getattr(self, name) for name in COUNTS},
            "chainCompared": self.chain_compared,
            "promisesVerified": self.promises_verified,
            "rebuilt": self.rebuilt,
            "findings": [finding.as_json() for finding in self.findings],
            "known": [finding.as_json() for finding in self.known],
            "notes": [finding.as_json() for finding in self.notes],
            "repaired": [finding.as_json() for finding in self.repaired],
            "renewals": [renewal.as_json() for renewal in self.renewals],
            "more": self.more,
        }


@dataclass(frozen=True)
class FsckOptions:
    """What to check with. Each part that is missing leaves its checks out."""

    rebuild: bool = False
    """First make the tiles anew from the entries; then repair what else is derived."""
    logs: frozenset[bytes] | None = None
    """Only these log ids."""
    vault: Vault | None = None
    """Open every body."""
    log_keys: Mapping[bytes, bytes] = field(default_factory=dict)
    """Ed25519 key by log id: verify promises and checkpoints."""
    trust: bytes | None = None
    """A trust file: verify a receipt for every stored proof; needs the vault."""
    at: int = 0
    """Evaluation time of receipts and tokens, seconds UTC."""
    cosigners: Mapping[tuple[int, bytes], CosignerKey] = field(default_factory=dict)
    """Witness keys by algorithm and key id: verify cosignatures."""
    policy: WitnessPolicy = EMPTY_POLICY
    """Which cosignatures are enough."""
    authorities: Sequence[Authority] = ()
    """Time authorities: run the token rules."""
    blobs: FolderStore | None = None
    """Stored content."""
    statements: Path | None = None
    """An agent's folder of provenance statements."""
    log_signer: PromiseSigner | None = None
    """The log's key, to make a damaged checkpoint's line again."""
    proofs: ProofSource | None = None
    """To capture a damaged chain proof again."""
    progress: Callable[[int], None] = lambda leaves: None


DEFAULT_OPTIONS = FsckOptions()


class Finder:
    """Adds to the report in the name of one log."""

    def __init__(self, report: FsckReport, origin: str) -> None:
        self.report = report
        self._origin = origin

    def __call__(self, code: str, place: str, detail: str = "", *fixes: Fix) -> None:
        self.report.find(Finding(code, self._origin, place, detail, fixes))

    def note(self, code: str, place: str, detail: str = "") -> None:
        self.report.note(Finding(code, self._origin, place, detail))

    def known(self, code: str, place: str, detail: str = "") -> None:
        self.report.known.append(Finding(code, self._origin, place, detail))
