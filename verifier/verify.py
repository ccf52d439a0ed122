"""Verification of a receipt, step by step as docs/spec/receipt.md §3 numbers them.

Pure: bytes, digests and an evaluation time in, a report out. Trust comes from the trust file alone; whatever
the receipt says about itself is only compared. A step runs on what earlier steps have proved.
"""

from __future__ import annotations

from functools import lru_cache
from hmac import compare_digest

from protocol import entry
from protocol.custody import check_place
from protocol.entry import Body, EvidenceClass
from protocol.errors import UnknownVersion
from protocol.hashing import SHA256, SM3, sha256, sm3
from protocol.identifiers import case_commitment, case_ref
from verifier import attestation, errors, renewal
from verifier.attestation import Known
from verifier.attested import Attested, Rules, evaluate
from verifier.content import ContentDigests
from verifier.errors import UnknownProofKind
from verifier.merkle_verify import verify_inclusion
from verifier.receipt import Core, Receipt
from verifier.rehash import Renewals, evaluate_renewals
from verifier.trust import TrustFile
from verifier.verdict import Facts, Inconclusive, Report, Status, Step, Verdict, complete
from verifier.verify_chain import steps_4_to_9
from verifier.verify_custody import CustodyShown, Ground, step_custody
from verifier.verify_provenance import step_provenance


def verify_receipt(
    receipt: bytes,
    trust: bytes,
    *,
    content: ContentDigests | None = None,
    at: int,
    case_id: bytes | None = None,
    provenance: bytes | None = None,
    custody: CustodyShown | None = None,
    ignore_sha256: bool = False,
    mldsa: bool = False,
    ignore_sm3: bool = False,
) -> Report:
    """Verify one receipt at evaluation time `at` (seconds UTC).

    `content` are the digests of the file that is claimed to be the document, None when there is none to
    compare; `case_id` (32 bytes) is checked when given; `provenance` is an encoded provenance statement
    (docs/spec/provenance.md), None when none is shown; `custody` is what is shown of the item's custody
    (docs/spec/custody.md). `ignore_sha256`, `ignore_sm3`: the algorithm counts as broken, as does one whose
    end in the trust file has come (docs/spec/attestation.md §6, hash-renewal.md §4); `mldsa`: ML-DSA-44
    cosignatures count. Never raises for anything inside the arguments.
    """
    found: dict[str, Verdict] = {}
    known: list[Known | None] = []
    parsed = _step1_receipt(receipt, found, known)
    anchor = trust_step(trust, at, found)
    rules = renewal.ignoring(anchor.payload if anchor else None, at, ignore_sha256, ignore_sm3, mldsa)
    ignored = rules.ignored
    facts: Facts = {"ignoredAlgorithm": ",".join(ignored)} if ignored else {}
    renewals = Renewals()
    if parsed and anchor:
        renewals = evaluate_renewals(parsed, known, anchor.payload, at)
        rules, renewals = renewal.mode(rules, renewals, anchor.payload, at)
    renewed = rules.covered is not None
    if anchor:
        facts |= _trust_facts(anchor)
    if parsed:
        facts |= _receipt_facts(parsed)
        _step2_content(parsed.core, content, found, rules, renewals)
        _step3_inclusion(parsed.core, case_id, found, rules)
    known_good = (
        parsed and found["content"].status is not Status.FAIL and found["inclusion"].status is Status.PASS
    )
    core = parsed.core if parsed and known_good else None
    step_provenance(core, provenance, found, facts, ignore_sha256=renewed or "sha256" in ignored)
    attested = Attested()
    if parsed and anchor:
        if parsed.attestations and found["inclusion"].status is Status.PASS:
            attested = evaluate(parsed, known, anchor.payload, at, rules, renewals)
        elif found["inclusion"].status is Status.INDETERMINATE:
            attested.take(renewals)
        if renewed:
            attested.renewed = renewals.counting
            facts["hashRenewedAt"] = min(one.time for one in renewals.counting)
        steps_4_to_9(parsed.core, anchor.payload, attested, at, rules, found, facts)
        if renewed:
            renewal.reduce(found)
        signer = found.get("signer")
        if attested.sm2_key and signer and signer.status in (Status.PASS, Status.REDUCED):
            facts["sm2Key"] = attested.sm2_key.hex()
        if custody is not None and found["inclusion"].status is Status.PASS:

            def again(data: bytes) -> Report:
                return verify_receipt(
                    data, trust, at=at, ignore_sha256=ignore_sha256, mldsa=mldsa, ignore_sm3=ignore_sm3
                )

            ground = Ground(parsed.core, anchor.payload, at, "sha256" in ignored, again)
            step_custody(ground, custody, found, facts)
    kinds = parsed.attestations if parsed else ()
    unknown = tuple(one.kind for one, read in zip(kinds, known, strict=True) if read is None)
    reasons = _REASONS if custody is None else _REASONS[1:]
    return Report(at, complete(found, reasons), facts, unknown, attested.ordered())


_REASONS = (("custody", "DigestsOnly"),)


def _trust_facts(anchor: TrustFile) -> Facts:
    zh, en = anchor.payload.name
    return {
        "trustFingerprint": anchor.fingerprint.hex(),
        "trustSerial": anchor.payload.serial,
        "consortiumZh": zh,
        "consortiumEn": en,
    }


def _receipt_facts(receipt: Receipt) -> Facts:
    core = receipt.core
    head = entry.parse_leaf(core.leaf).header
    return {
        "receiptId": receipt.receipt_id.hex(),
        "evidenceId": entry.evidence_id(core.leaf).hex(),
        "class": int(head.evidence_class),
        "privileged": head.privileged,
        "submitter": head.submitter,
        "sequence": head.sequence,
        "caseCommitment": head.case_commitment.hex(),
        "log": core.log.origin,
        "chainId": core.log.chain_id,
        "index": core.inclusion.index,
        "batch": core.link.number,
        "anchoredAt": core.link.time,
    }


def _step1_receipt(data: bytes, found: dict[str, Verdict], known: list[Known | None]) -> Receipt | None:
    with Step("receipt", found) as step:
        try:
            receipt = Receipt.parse(data)
        except (UnknownVersion, UnknownProofKind) as error:
            raise Inconclusive(Status.INDETERMINATE, error.code, error.detail) from None
        read = [attestation.parse(one, position) for position, one in enumerate(receipt.attestations)]
        known.extend(read)
        step.note("receipt.id", receipt.receipt_id)
        return receipt
    return None


@lru_cache(maxsize=4)
def _signed_trust(data: bytes) -> TrustFile:
    """A trust file with its quorum. Kept, because a folder of receipts is checked under one trust file."""
    trust = TrustFile.parse(data)
    trust.check()
    return trust


def trust_step(data: bytes, at: int, found: dict[str, Verdict]) -> TrustFile | None:
    """Step 1 for the trust file: signatures, quorum, window."""
    anchor: TrustFile | None = None
    with Step("trust-file", found) as step:
        try:
            parsed = anchor = _signed_trust(data)
        except UnknownVersion as error:
            raise Inconclusive(Status.INDETERMINATE, error.code, error.detail) from None
        step.note("trust.fingerprint", parsed.fingerprint)
        step.note("trust.signatures", f"{len(parsed.signatures)}/{len(parsed.payload.keys)}")
        first, last = parsed.payload.issued_at, parsed.payload.valid_until
        step.note("trust.window", f"{first}..{last}")
        if not first <= at <= last:
            raise Inconclusive(Status.INDETERMINATE, "OutsideTrustWindow", f"{at} not in {first}..{last}")
    return anchor


def _step2_content(
    core: Core,
    content: ContentDigests | None,
    found: dict[str, Verdict],
    rules: Rules,
    renewals: Renewals,
) -> None:
    with Step("content", found) as step:
        if content is not None and rules.nothing_left:
            raise Inconclusive(Status.INDETERMINATE, renewal.NOT_RENEWED)
        leaf = entry.parse_leaf(core.leaf)
        if core.body is None:
            if content is None:
                raise Inconclusive(Status.NOT_CHECKED, "BodyWithheld")
            raise Inconclusive(Status.INDETERMINATE, "BodyWithheld", "nothing to compare the file with")
        for what, digest, expected in (
            ("body.sha256", sha256(core.body), leaf.body_sha256),
            ("body.sm3", sm3(core.body), leaf.body_sm3),
        ):
            if rules.ignores(what.removeprefix("body.")):
                continue
            if not compare_digest(digest, expected):
                raise errors.BodyMismatch(
                    f"{what} is {digest.hex()}, the leaf has {expected.hex()}", field="body"
                )
            step.note(what, digest)
        if content is None:
            raise Inconclusive(Status.NOT_CHECKED, "NoFileGiven")
        body = entry.parse_body(core.body, leaf.header.evidence_class)
        if not isinstance(body, Body):
            raise Inconclusive(Status.INDETERMINATE, "NoContent", "such an entry describes no file")
        _compare_content(step, body, content, rules)
        if rules.covered is not None:
            renewal.compare_content(step, content, renewals)


def _compare_content(step: Step, body: Body, content: ContentDigests, rules: Rules) -> None:
    if content.size != body.content_size:
        raise errors.ContentMismatch(f"{content.size} bytes, recorded are {body.content_size}", field="size")
    step.note("content.size", content.size)
    for what, digest, expected in (
        ("sha256", content.sha256, body.content_sha256),
        ("sm3", content.sm3, body.content_sm3),
    ):
        if rules.ignores(what):
            continue
        if not compare_digest(digest, expected):
            raise errors.ContentMismatch(f"{digest.hex()}, recorded is {expected.hex()}", field=what)
        step.note(f"content.{what}", digest)


def _step3_inclusion(core: Core, case_id: bytes | None, found: dict[str, Verdict], rules: Rules) -> None:
    with Step("inclusion", found) as step:
        where, link = core.inclusion, core.link
        if rules.nothing_left:
            raise Inconclusive(Status.INDETERMINATE, renewal.NOT_RENEWED)
        if not rules.ignore_sha256:
            leaf = SHA256.leaf(core.leaf)
            verify_inclusion(SHA256, leaf, where.index, link.size, where.path_sha256, link.root_sha256)
            step.note("link.rootSha256", link.root_sha256)
        if not rules.ignore_sm3:
            verify_inclusion(SM3, SM3.leaf(core.leaf), where.index, link.size, where.path_sm3, link.root_sm3)
        step.note("leaf.id", entry.evidence_id(core.leaf))
        step.note("leaf.index", f"{where.index} < {link.size}")
        if not rules.ignore_sm3:
            step.note("link.rootSm3", link.root_sm3)
        head = entry.parse_leaf(core.leaf).header
        if head.evidence_class is EvidenceClass.LOG_CONTINUATION and where.index != 0:
            raise errors.ContinuationMisplaced(f"at index {where.index}", field="leaf index")
        check_place(head.evidence_class, core.log.origin)
        if case_id is not None:
            _compare_case(core, head.case_commitment, case_id)
            step.note("leaf.case", head.case_commitment)


def _compare_case(core: Core, commitment: bytes, case_id: bytes) -> None:
    if not compare_digest(case_commitment(case_id), commitment):
        raise errors.CaseMismatch(f"the leaf commits to {commitment.hex()}", field="case")
    if core.body is not None:
        body = entry.parse_body(core.body, entry.parse_leaf(core.leaf).header.evidence_class)
        if isinstance(body, Body) and not compare_digest(case_ref(body.salt, case_id), body.case_ref):
            raise errors.CaseMismatch(f"the body refers to {body.case_ref.hex()}", field="case")
