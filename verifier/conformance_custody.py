"""Conformance kind `custody`: one custody sheet beside the receipt of its item."""

from __future__ import annotations

from verifier.conformance_receipt import MAX_TIME, ReceiptRefused, octets
from verifier.strict_json import Fields, Json
from verifier.verdict import Status
from verifier.verify import verify_receipt
from verifier.verify_custody import MAX_KNOWN, CustodyShown


def check(value: Json) -> str:
    """Verify one line; status and code of the verdict, and what the sheet says."""
    fields = Fields(value)
    fields.skip("about")
    receipt, trust, sheet = (octets(fields, name) for name in ("receipt", "trust", "sheet"))
    at = fields.integer("at")
    since = fields.integer("since") if fields.has("since") else 0
    for name, time in (("at", at), ("since", since)):
        if not 0 <= time <= MAX_TIME:
            raise fields.invalid(name, "seconds UTC below 2^40")
    known: tuple[bytes, ...] = ()
    if fields.has("known"):
        listed: dict[str, Json] = {str(at): text for at, text in enumerate(fields.texts("known", MAX_KNOWN))}
        known = tuple(octets(Fields(listed, "known"), at) for at in listed)
    fields.done()
    shown = CustodyShown(sheet, known, since)
    report = verify_receipt(receipt, trust, at=at, custody=shown)
    verdict = report.verdict("custody")
    if verdict.status not in (Status.PASS, Status.REDUCED):
        raise ReceiptRefused(verdict.code, f"{verdict.status.value}: {verdict.detail}", "custody")
    facts = report.facts
    said = f"{facts['custodyEvents']} events, holder {facts['custodyHolder']}"
    return f"{verdict.status.value} {verdict.code}, {said}"
