"""Verdicts and the report of one verification (docs/spec/receipt.md §4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from protocol.errors import CaseledgerError

Facts: TypeAlias = "dict[str, str | int | bool | None]"
"""What the receipt says, by name; worth as much as the verdicts say."""

NAMES = (
    "receipt", "trust-file", "content", "inclusion", "append-only", "finality", "time", "signer", "custody",
    "provenance", "neutrality",
)  # fmt: skip
"""Every verdict, in the order in which they are shown."""
REQUIRED = ("receipt", "trust-file", "inclusion", "append-only", "finality", "time", "signer", "neutrality")
"""Must pass for VALID. Content is compared only when a file is given; custody and provenance are digests."""


class Status(Enum):
    """Outcome of one verdict."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    REDUCED = "REDUCED"
    NOT_CHECKED = "NOT_CHECKED"
    INDETERMINATE = "INDETERMINATE"


class Result(Enum):
    """Outcome of the whole; `exit_code` is what the command returns."""

    VALID = "VALID"
    VALID_REDUCED_TRUST = "VALID_REDUCED_TRUST"
    INVALID = "INVALID"
    INDETERMINATE = "INDETERMINATE"

    @property
    def exit_code(self) -> int:
        """0, 10, 20 or 30."""
        return {"VALID": 0, "VALID_REDUCED_TRUST": 10, "INVALID": 20, "INDETERMINATE": 30}[self.value]


class Changed(Enum):
    """Which of the things handed in is not what it should be."""

    FILE = "file"
    RECEIPT = "receipt"
    TRUST_FILE = "trust-file"
    CASE = "case-id"
    PROVENANCE = "provenance"
    CUSTODY = "custody"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the report. `compared` is (what, value found and expected) for the explanation."""

    name: str
    status: Status
    code: str
    detail: str = ""
    compared: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """JSON members."""
        return {
            "name": self.name,
            "status": self.status.value,
            "code": self.code,
            "detail": self.detail,
            "compared": [{"what": what, "value": value} for what, value in self.compared],
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one attestation; `code` is Ok where it counts."""

    position: int
    kind: str
    code: str
    detail: str = ""

    def as_dict(self) -> dict[str, object]:
        """JSON members."""
        return {"position": self.position, "kind": self.kind, "code": self.code, "detail": self.detail}


class Inconclusive(Exception):
    """Ends a step that neither passed nor failed. Never leaves `verify`."""

    def __init__(self, status: Status, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


@dataclass(slots=True)
class Step:
    """What a running step has compared so far; used as a context manager that turns it into a verdict.

    A CaseledgerError is a FAIL with its code; `Inconclusive` says its own status; the end of the block is a
    PASS with `code` and `detail`.
    """

    name: str
    verdicts: dict[str, Verdict]
    code: str = "Ok"
    detail: str = ""
    compared: list[tuple[str, str]] = field(default_factory=list)

    def note(self, what: str, value: bytes | str | int) -> None:
        """Remember a comparison that held."""
        self.compared.append((what, value.hex() if isinstance(value, bytes) else str(value)))

    def __enter__(self) -> Step:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None:
            self._give(Status.PASS, self.code, self.detail)
        elif isinstance(error, Inconclusive):
            self._give(error.status, error.code, error.detail)
        elif isinstance(error, CaseledgerError):
            self._give(
                Status.FAIL, error.code, f"{error.field}: {error.detail}" if error.field else error.detail
            )
        else:
            return False
        return True

    def _give(self, status: Status, code: str, detail: str) -> None:
        self.verdicts[self.name] = Verdict(self.name, status, code, detail, tuple(self.compared))

    @property
    def passed(self) -> bool:
        """Whether the finished step may be built upon: nothing failed and nothing is open."""
        return self.verdicts[self.name].status in (Status.PASS, Status.REDUCED)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one verification found. Times in seconds UTC, hashes in hex in `as_dict`."""

    evaluated_at: int
    verdicts: tuple[Verdict, ...]
    facts: Facts
    unchecked_attestations: tuple[str, ...] = ()
    """Kinds that this version does not know."""
    attestations: tuple[Finding, ...] = ()
    """What became of those that it knows, by their place in the receipt."""

    @property
    def result(self) -> Result:
        """The worst of the verdicts; VALID only when every required one passed."""
        statuses = {verdict.status for verdict in self.verdicts}
        if Status.FAIL in statuses:
            return Result.INVALID
        if Status.INDETERMINATE in statuses:
            return Result.INDETERMINATE
        if Status.REDUCED in statuses:
            return Result.VALID_REDUCED_TRUST
        if all(self.verdict(name).status is Status.PASS for name in REQUIRED):
            return Result.VALID
        return Result.INDETERMINATE

    def verdict(self, name: str) -> Verdict:
        """The verdict of this name."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    @property
    def missing(self) -> tuple[str, ...]:
        """Codes of what reduces trust."""
        return tuple(verdict.code for verdict in self.verdicts if verdict.status is Status.REDUCED)

    @property
    def changed(self) -> Changed | None:
        """Which input the first failed verdict points at."""
        failed = next((verdict for verdict in self.verdicts if verdict.status is Status.FAIL), None)
        if failed is None:
            return None
        if failed.name == "trust-file":
            return Changed.TRUST_FILE
        if failed.code == "CaseMismatch":
            return Changed.CASE
        if failed.name == "provenance":
            return Changed.PROVENANCE
        if failed.name == "custody":
            return Changed.CUSTODY
        return Changed.FILE if failed.code == "ContentMismatch" else Changed.RECEIPT

    def as_dict(self) -> dict[str, object]:
        """JSON members."""
        return {
            "result": self.result.value,
            "exitCode": self.result.exit_code,
            "evaluatedAt": self.evaluated_at,
            "changed": self.changed.value if self.changed else None,
            "missing": list(self.missing),
            "facts": dict(self.facts),
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "attestations": [finding.as_dict() for finding in self.attestations],
            "uncheckedAttestations": list(self.unchecked_attestations),
        }


def complete(verdicts: Mapping[str, Verdict], reasons: Iterable[tuple[str, str]] = ()) -> tuple[Verdict, ...]:
    """All verdicts in order; one that never ran is NOT_CHECKED with its reason."""
    why = dict(reasons)
    return tuple(
        verdicts.get(name) or Verdict(name, Status.NOT_CHECKED, why.get(name, "EarlierStepFailed"))
        for name in NAMES
    )
