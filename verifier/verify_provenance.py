"""The verdict *provenance* and the anchor lag (docs/spec/provenance.md)."""

from __future__ import annotations

from hmac import compare_digest

from protocol import entry
from protocol.entry import Body, EvidenceClass
from protocol.errors import UnknownVersion
from protocol.provenance import LAG_BOUNDS, Provenance, provenance_digest
from verifier.errors import ProvenanceAfterAnchor, ProvenanceMismatch
from verifier.receipt import Core
from verifier.verdict import Facts, Inconclusive, Status, Step, Verdict


def step_provenance(
    core: Core | None,
    statement: bytes | None,
    found: dict[str, Verdict],
    facts: Facts,
    *,
    ignore_sha256: bool = False,
) -> None:
    """Run after *content* and *inclusion*; `core` is None unless they hold.

    `statement`: the encoded provenance statement, None when none was shown.
    """
    if core is None:
        code = "DigestsOnly" if statement is None else "EarlierStepFailed"
        found["provenance"] = Verdict("provenance", Status.NOT_CHECKED, code)
        return
    body = _body(core)
    stated: Provenance | None = None
    with Step("provenance", found) as step:
        if statement is None:
            raise Inconclusive(Status.NOT_CHECKED, "DigestsOnly")
        if ignore_sha256:
            raise Inconclusive(Status.NOT_CHECKED, "AlgorithmIgnored")
        if core.body is None:
            raise Inconclusive(Status.NOT_CHECKED, "BodyWithheld")
        if body is None or body.provenance is None:
            raise Inconclusive(Status.NOT_CHECKED, "NoProvenance")
        digest = provenance_digest(statement)
        if not compare_digest(digest, body.provenance):
            raise ProvenanceMismatch(
                f"{digest.hex()}, recorded is {body.provenance.hex()}", field="provenance"
            )
        try:
            read = Provenance.parse(statement)
        except UnknownVersion as error:
            raise Inconclusive(Status.INDETERMINATE, error.code, error.detail) from None
        step.note("provenance.digest", digest)
        if read.generated_at is not None and read.generated_at > core.link.time:
            raise ProvenanceAfterAnchor(f"{read.generated_at} > {core.link.time}", field="generated at")
        stated = read
        facts |= _facts(read)
        if read.missing:
            step.code, step.detail = "ProvenanceIncomplete", ", ".join(read.missing)
    _lag(core, body, stated, facts)


def _body(core: Core) -> Body | None:
    if core.body is None:
        return None
    body = entry.parse_body(core.body, entry.parse_leaf(core.leaf).header.evidence_class)
    return body if isinstance(body, Body) else None


def _facts(stated: Provenance) -> Facts:
    tool, check = stated.collector, stated.environment
    return {
        "sourceSystem": stated.source_system,
        "generatingEvent": stated.generating_event,
        "generatedAt": stated.generated_at,
        "generationMechanism": stated.mechanism,
        "collector": None if tool is None else f"{tool.name} {tool.version}",
        "collectorSha256": None if tool is None or tool.sha256 is None else tool.sha256.hex(),
        "environmentCheck": None if check is None else check.what,
        "environmentPassed": None if check is None else check.passed,
        "extraction": stated.extraction,
        "transferPath": " → ".join(stated.transfer) or None,
        "originalAt": stated.original,
        "form": stated.form,
    }


def _lag(core: Core, body: Body | None, stated: Provenance | None, facts: Facts) -> None:
    event = stated.generated_at if stated is not None else None
    if event is None and body is not None:
        event = body.event_time
    if event is None:
        return
    lag = core.link.time - event
    kind = entry.parse_leaf(core.leaf).header.evidence_class
    bound = LAG_BOUNDS.get(kind) if isinstance(kind, EvidenceClass) else None
    facts |= {"anchorLag": lag, "anchorLagLong": bound is not None and lag > bound}
