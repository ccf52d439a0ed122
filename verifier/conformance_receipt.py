"""Conformance kind `receipt`: one receipt under one trust file, with or without its document."""

from __future__ import annotations

import re

from protocol.hashing import SHA3_256, sha256, sm3
from verifier.content import ContentDigests
from verifier.errors import FieldInvalid, ProofRefused
from verifier.strict_json import Fields, Json, base64_bytes
from verifier.verdict import Result, Status
from verifier.verify import verify_receipt

_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_IGNORED = (["sha256"], ["sm3"], ["sha256", "sm3"])
MAX_TIME = 2**40 - 1


class ReceiptRefused(ProofRefused):
    """Carries the code of the verdict that decided."""

    title = "receipt refused"

    def __init__(self, code: str, detail: str, name: str) -> None:
        super().__init__(detail, field=name)
        self._code = code

    @property
    def code(self) -> str:
        return self._code


def check(value: Json) -> str:
    """Verify one line; result and evidence id when it holds, what reduces trust among it."""
    fields = Fields(value)
    fields.skip("about")
    receipt, trust = octets(fields, "receipt"), octets(fields, "trust")
    at = fields.integer("at")
    if not 0 <= at <= MAX_TIME:
        raise fields.invalid("at", "seconds UTC below 2^40")
    content = _content(fields)
    case_id = fields.hex("case", 32) if fields.has("case") and fields.raw("case") is not None else None
    fields.skip("case")
    ignore: list[str] = []
    if fields.has("ignore") and fields.raw("ignore") is not None:
        ignore = fields.text("ignore").split(",")
        if ignore not in _IGNORED:
            raise fields.invalid("ignore", 'sha256, sm3, "sha256,sm3" or null')
    mldsa = fields.raw("mlDsa") if fields.has("mlDsa") else False
    if not isinstance(mldsa, bool):
        raise fields.invalid("mlDsa", "true or false")
    shown = fields.has("provenance") and fields.raw("provenance") is not None
    statement = octets(fields, "provenance") if shown else None
    fields.done()
    report = verify_receipt(
        receipt,
        trust,
        content=content,
        at=at,
        case_id=case_id,
        provenance=statement,
        ignore_sha256="sha256" in ignore,
        ignore_sm3="sm3" in ignore,
        mldsa=mldsa,
    )
    if report.result in (Result.VALID, Result.VALID_REDUCED_TRUST):
        missing = f" ({', '.join(dict.fromkeys(report.missing))})" if report.missing else ""
        return f"{report.result.value}{missing}, evidence {report.facts['evidenceId']}"
    status = Status.FAIL if report.result is Result.INVALID else Status.INDETERMINATE
    verdict = next(verdict for verdict in report.verdicts if verdict.status is status)
    raise ReceiptRefused(verdict.code, f"{report.result.value}: {verdict.detail}", verdict.name)


def octets(fields: Fields, key: str) -> bytes:
    """Hex or base64, which are told apart: a receipt's and a trust file's first letter is an h in base64, a
    statement's an r.
    """
    text = fields.text(key)
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    raw = base64_bytes(text)
    if raw is None:
        raise FieldInvalid("expected lower-case hex or canonical base64", field=fields.name(key))
    return raw


def _content(fields: Fields) -> ContentDigests | None:
    if not fields.has("content") or (value := fields.raw("content")) is None:
        return None
    if isinstance(value, str):
        data = fields.hex("content")
        return ContentDigests(len(data), sha256(data), sm3(data), SHA3_256.digest(data))
    digests = fields.child("content")
    out = ContentDigests(
        digests.integer("size"),
        digests.hex("sha256", 32),
        digests.hex("sm3", 32),
        digests.hex("sha3_256", 32) if digests.has("sha3_256") else None,
    )
    digests.done()
    return out
