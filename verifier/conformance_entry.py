"""Conformance kind `entry`: one leaf with its body, or one submission."""

from __future__ import annotations

from hmac import compare_digest

from protocol import entry
from protocol.acts import Domain
from protocol.hashing import sha256, sm3
from protocol.submission import Submission
from verifier.errors import BodyMismatch, ClaimMismatch
from verifier.strict_json import Fields, Json


def check(value: Json) -> str:
    """Verify one line; the answer's detail when it holds."""
    fields = Fields(value)
    fields.skip("about")
    return _submission(fields) if fields.has("submission") else _leaf(fields)


def _leaf(fields: Fields) -> str:
    raw = fields.hex("leaf")
    leaf = entry.parse_leaf(raw)
    if fields.has("evidenceId") and fields.hex("evidenceId", 32) != entry.evidence_id(raw):
        raise ClaimMismatch("not the leaf hash", field="evidenceId")
    body = None if fields.raw("body") is None else fields.hex("body")
    fields.done()
    kind = leaf.header.evidence_class
    if body is None:
        return f"class {int(kind)}, submitter {leaf.header.submitter}, body withheld"
    entry.parse_body(body, kind)
    same = compare_digest(sha256(body), leaf.body_sha256) and compare_digest(sm3(body), leaf.body_sm3)
    if not same:
        raise BodyMismatch("the leaf commits to another body", field="body")
    return f"class {int(kind)}, submitter {leaf.header.submitter}, body of {len(body)} bytes"


def _submission(fields: Fields) -> str:
    checked = Submission.parse(fields.hex("submission")).check()
    if fields.has("root") and fields.hex("root", 32) != checked.root:
        raise ClaimMismatch("not the submission root", field="root")
    if fields.has("signer"):
        domain = Domain(fields.integer("chainId"), fields.address("contract"))
        if checked.signer(domain) != fields.address("signer"):
            raise ClaimMismatch("signed by another key", field="signer")
    fields.done()
    submission = checked.submission
    return f"{len(submission.entries)} entries of organisation {submission.organisation}"
