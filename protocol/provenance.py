"""Provenance statements (docs/spec/provenance.md): how a document came to be, fixed when it is anchored."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from protocol import cbor, expect
from protocol.cbor import Value
from protocol.entry import EvidenceClass
from protocol.errors import MalformedInput, UnknownVersion
from protocol.hashing import sha256

VERSION = 1
MAX_STATEMENT = 8192
MAX_TEXT = 500
MAX_HOPS = 16
TAG = b"caseledger/provenance/v1"
FORMS = ("born-digital", "scanned", "photographed", "printed")
"""Forms in the order of their numbers."""
_DAY = 24 * 3600
LAG_BOUNDS = {
    EvidenceClass.CONTRACT: 30 * _DAY,
    EvidenceClass.STATEMENT: 7 * _DAY,
    EvidenceClass.DUNNING: 3 * _DAY,
    EvidenceClass.IDENTITY_CHECK: _DAY,
    EvidenceClass.MEDIATION_RECORD: 3 * _DAY,
    EvidenceClass.AGREEMENT: 3 * _DAY,
    EvidenceClass.SERVICE_VOUCHER: 3 * _DAY,
    EvidenceClass.COURT_DOCUMENT: 7 * _DAY,
    EvidenceClass.ASSET_CLUE: 3 * _DAY,
    EvidenceClass.OTHER: 30 * _DAY,
}
"""Seconds between event and anchor beyond which the reader is warned."""


class MalformedProvenance(MalformedInput):
    """Bytes that are no provenance statement of this version."""

    title: ClassVar[str] = "malformed provenance statement"


@dataclass(frozen=True)
class Collector:
    """The program that collected. `sha256` of it, 32 bytes, or None."""

    name: str
    version: str
    sha256: bytes | None = None


@dataclass(frozen=True)
class EnvironmentCheck:
    """What was checked about the collecting machine; `at` in seconds UTC."""

    what: str
    passed: bool
    at: int


@dataclass(frozen=True)
class Provenance:
    """A statement; None where nothing is stated. `generated_at` in seconds UTC, `salt` 32 fresh bytes."""

    salt: bytes
    source_system: str | None = None
    generating_event: str | None = None
    generated_at: int | None = None
    mechanism: str | None = None
    collector: Collector | None = None
    environment: EnvironmentCheck | None = None
    extraction: str | None = None
    transfer: tuple[str, ...] = ()
    original: str | None = None
    form: str | None = None

    def encode(self) -> bytes:
        """Deterministic CBOR.

        Raises:
            MalformedProvenance: a member that `parse` would not take.
        """
        tool, check = self.collector, self.environment
        if self.form is not None and self.form not in FORMS:
            raise MalformedProvenance(f"form: one of {', '.join(FORMS)}", field="form")
        data = cbor.encode(
            {
                0: VERSION,
                1: self.source_system,
                2: self.generating_event,
                3: self.generated_at,
                4: self.mechanism,
                5: None if tool is None else [tool.name, tool.version, tool.sha256],
                6: None if check is None else [check.what, int(check.passed), check.at],
                7: self.extraction,
                8: list(self.transfer),
                9: self.original,
                10: None if self.form is None else FORMS.index(self.form),
                11: self.salt,
            }
        )
        self.parse(data)
        return data

    @classmethod
    def parse(cls, data: bytes) -> Provenance:
        """Strictly, or not at all.

        Raises:
            MalformedProvenance, UnknownVersion
        """
        try:
            found = cbor.decode(data, max_bytes=MAX_STATEMENT, max_depth=3, max_items=64)
            if isinstance(found, dict) and 0 in found:
                expect.version(found[0], VERSION, "provenance version")
            value = expect.fields(found, "provenance", range(12))
        except UnknownVersion:
            raise
        except MalformedInput as error:
            raise MalformedProvenance(error.detail, field=error.field) from None
        try:
            form = None if value[10] is None else expect.uint(value[10], "form", len(FORMS) - 1)
            return cls(
                salt=expect.octets(value[11], "salt", 32),
                source_system=_text(value[1], "source system"),
                generating_event=_text(value[2], "generating event"),
                generated_at=_time(value[3], "generated at"),
                mechanism=_text(value[4], "generation mechanism"),
                collector=_collector(value[5]),
                environment=_environment(value[6]),
                extraction=_text(value[7], "extraction method"),
                transfer=tuple(
                    expect.text(hop, "transfer path", MAX_TEXT)
                    for hop in expect.array(value[8], "transfer path", maximum=MAX_HOPS)
                ),
                original=_text(value[9], "original"),
                form=None if form is None else FORMS[form],
            )
        except MalformedInput as error:
            raise MalformedProvenance(error.detail, field=error.field) from None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what a complete statement would say. The transfer path may be empty: nothing was moved."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is None)


def provenance_digest(statement: bytes) -> bytes:
    """What the body carries, 32 bytes."""
    return sha256(TAG + statement)


def _text(value: Value, field: str) -> str | None:
    return None if value is None else expect.text(value, field, MAX_TEXT)


def _time(value: Value, field: str) -> int | None:
    return None if value is None else expect.uint(value, field, expect.UINT40_MAX)


def _collector(value: Value) -> Collector | None:
    if value is None:
        return None
    name, version, digest = expect.array(value, "collector", 3)
    return Collector(
        expect.text(name, "collector name", MAX_TEXT),
        expect.text(version, "collector version", MAX_TEXT),
        expect.octets_or_none(digest, "collector digest", 32),
    )


def _environment(value: Value) -> EnvironmentCheck | None:
    if value is None:
        return None
    what, passed, at = expect.array(value, "environment check", 3)
    return EnvironmentCheck(
        expect.text(what, "environment check", MAX_TEXT),
        bool(expect.uint(passed, "environment check passed", 1)),
        expect.uint(at, "environment check time", expect.UINT40_MAX),
    )
