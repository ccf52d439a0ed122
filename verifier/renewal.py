"""What an ended algorithm and a hash renewal do to the verdicts (docs/spec/hash-renewal.md §4). Pure."""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest

from protocol.checkpoint import ALGORITHM_SHA256, ALGORITHM_SM3
from verifier import errors
from verifier.attested import Rules
from verifier.content import ContentDigests
from verifier.rehash import Renewals
from verifier.trust_payload import TrustPayload
from verifier.verdict import Inconclusive, Status, Step, Verdict

RENEWED, NOT_RENEWED, CONTENT_NOT_RENEWED = "HashRenewed", "HashNotRenewed", "ContentNotRenewed"
_REST_ON_OLD = ("finality", "append-only", "signer", "neutrality")


def ignoring(payload: TrustPayload | None, at: int, sha256: bool, sm3: bool, mldsa: bool) -> Rules:
    """What is asked to be ignored, and what has ended at the evaluation time."""
    ends = dict(payload.algorithm_ends) if payload else {}
    return Rules(
        ignore_sha256=sha256 or at > ends.get(ALGORITHM_SHA256, at),
        mldsa=mldsa,
        ignore_sm3=sm3 or at > ends.get(ALGORITHM_SM3, at),
    )


def mode(rules: Rules, renewals: Renewals, payload: TrustPayload, at: int) -> tuple[Rules, Renewals]:
    """The rules under which the steps run. Where a renewal counts from before the end, nothing is ignored,
    and only attestations that it covers are looked at.
    """
    if not rules.ignored:
        return rules, renewals
    numbers = {"sha256": ALGORITHM_SHA256, "sm3": ALGORITHM_SM3}
    ends = [payload.end_of(numbers[name]) for name in rules.ignored]
    renewals = renewals.until(min((end for end in ends if end is not None), default=at))
    if not renewals.counting:
        return rules, renewals
    return Rules(mldsa=rules.mldsa, covered=renewals.covered), renewals


def compare_content(step: Step, content: ContentDigests, renewals: Renewals) -> None:
    """The file's new digest with the renewed one.

    Raises:
        Inconclusive, ContentMismatch
    """
    renewed = {one.content for one in renewals.counting if one.content is not None}
    if not renewed or not any(one.covers_body for one in renewals.counting):
        raise Inconclusive(
            Status.INDETERMINATE, CONTENT_NOT_RENEWED, "no renewal holds the digest of body and content"
        )
    if content.sha3_256 is None:
        raise Inconclusive(Status.INDETERMINATE, CONTENT_NOT_RENEWED, "the file's SHA3-256 is not given")
    if not any(compare_digest(content.sha3_256, one) for one in renewed):
        raise errors.ContentMismatch(f"{content.sha3_256.hex()} was not renewed", field="sha3_256")
    step.note("content.sha3_256", content.sha3_256)


def reduce(found: dict[str, Verdict]) -> None:
    """What passed stood before the algorithm ended, and says so."""
    for name in _REST_ON_OLD:
        verdict = found.get(name)
        if verdict is not None and verdict.status is Status.PASS:
            found[name] = replace(verdict, status=Status.REDUCED, code=RENEWED)
