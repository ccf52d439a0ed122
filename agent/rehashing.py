"""Hash renewal by the holder of receipts and their documents (docs/spec/hash-renewal.md, scope 1).

One tree under SHA3-256 over all that is given, one token of each authority over its root. A receipt that does
not verify now, with its own document, is not renewed: a renewal would outlive the mistake.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from agent.renewing import Ask, ReceiptFull, RenewalRefused, payload_of
from protocol import rehash
from protocol.errors import CaseledgerError
from protocol.hashing import SHA3_256
from verifier import attestation
from verifier.attestation import RehashAttestation, Stamped
from verifier.content import ContentDigests
from verifier.merkle_tree import Tree
from verifier.receipt import MAX_ATTESTATIONS, MAX_RECEIPT, Receipt
from verifier.rehash import bare_core_digest, evaluate_renewals
from verifier.trust_payload import TrustPayload
from verifier.verdict import Result
from verifier.verify import verify_receipt


class RehashNotAllowed(CaseledgerError):
    """The receipt, or its document, does not verify now; nothing was renewed."""

    http_status = 409
    title = "only what verifies now can be renewed"


@dataclass(frozen=True)
class Held:
    """A receipt, and its document's three digests; None where only the receipt is to be renewed."""

    receipt: Receipt
    content: ContentDigests | None


@dataclass(frozen=True)
class Authority:
    """Whom to ask. `certificates` (DER) lie between its signer and its root."""

    ask: Ask
    certificates: tuple[bytes, ...] = ()


def check_held(held: Held, trust: bytes, at: int) -> None:
    """It may be renewed: it verifies now, by algorithms that hold.

    Raises:
        RehashNotAllowed
    """
    report = verify_receipt(held.receipt.encode(), trust, content=held.content, at=at)
    if report.result not in (Result.VALID, Result.VALID_REDUCED_TRUST):
        code = next(
            (one.code for one in report.verdicts if one.status.value in ("FAIL", "INDETERMINATE")), ""
        )
        raise RehashNotAllowed(f"{report.result.value}: {code}", field="receipt")
    if report.facts.get("ignoredAlgorithm"):
        raise RehashNotAllowed("an algorithm has ended already", field="receipt")
    if held.content is not None and held.content.sha3_256 is None:
        raise RehashNotAllowed("the document's SHA3-256 is missing", field="content")


def renew_hashes(
    several: Sequence[Held], trust: bytes, authorities: Sequence[Authority], at: int
) -> list[Receipt]:
    """The receipts, each with one hash renewal over itself and all its attestations.

    Raises:
        RehashNotAllowed, ReceiptFull, RenewalRefused, TimeAuthoritySilent, and errors of time answers: no
        receipt is changed
    """
    for held in several:
        check_held(held, trust, at)
    items = [_item(held) for held in several]
    tree = Tree(SHA3_256, [item.leaf_hash() for item, _ in items])
    text = rehash.text(rehash.HOLDER_LINE, tree.size, tree.root)
    tokens = tuple(stamp(text, one) for one in authorities)
    payload = payload_of(trust)
    out = []
    for place, (held, (item, listed)) in enumerate(zip(several, items, strict=True)):
        made = RehashAttestation(
            rehash.SCOPE_HOLDER, tree.size, place, tree.path(place), item.body, item.content, listed, None,
            tokens,
        )  # fmt: skip
        out.append(_with(held.receipt, made, payload, at))
    return out


def stamp(text: bytes, authority: Authority) -> Stamped:
    """A token over a tree's text.

    Raises:
        RenewalRefused, TimeAuthoritySilent, and errors of time answers
    """
    from verifier.timetoken_cms import RENEWED_IMPRINTS, parse
    from verifier.timetoken_errors import TokenNonceMismatch
    from verifier.timetoken_request import TimeRequest, token_of

    request = TimeRequest("sha3-256", SHA3_256.digest(text), secrets.randbits(64))
    token = token_of(authority.ask(request.encode()))
    if parse(token, RENEWED_IMPRINTS).info.nonce != request.nonce:
        raise TokenNonceMismatch("another nonce than asked with")
    return Stamped(token, authority.certificates)


def _item(held: Held) -> tuple[rehash.Item, tuple[int, ...]]:
    """The item, and the places that it lists: every attestation of a kind that is known."""
    core, attestations = held.receipt.core, held.receipt.attestations
    listed = tuple(at for at, one in enumerate(attestations) if attestation.parse(one, at) is not None)
    return (
        rehash.Item(
            bare_core_digest(core),
            None if core.body is None else SHA3_256.digest(core.body),
            None if held.content is None else held.content.sha3_256,
            rehash.listed_digest((attestations[at].kind, attestations[at].payload) for at in listed),
        ),
        listed,
    )


def _with(receipt: Receipt, made: RehashAttestation, payload: TrustPayload, at: int) -> Receipt:
    """The receipt with the attestation, once the verifier counts it."""
    out = dataclasses.replace(receipt, attestations=(*receipt.attestations, made.encode()))
    if len(out.attestations) > MAX_ATTESTATIONS or len(out.encode()) > MAX_RECEIPT:
        raise ReceiptFull(f"{len(out.attestations)} attestations, {len(out.encode())} bytes", field="receipt")
    place = len(receipt.attestations)
    known = [attestation.parse(one, at) for at, one in enumerate(out.attestations)]
    renewals = evaluate_renewals(out, known, payload, at)
    if all(one.position != place for one in renewals.counting):
        finding = next((one for one in renewals.findings if one.position == place), None)
        code = "LogNotTrusted" if finding is None else f"{finding.code}: {finding.detail}"
        raise RenewalRefused(code, field="renewal")
    return out


def renewed_until_end(receipt: Receipt, payload: TrustPayload, at: int) -> bool:
    """Whether a hash renewal counts from before the first end that the trust file has.

    With the content, where there is a body.
    """
    known = [attestation.parse(one, place) for place, one in enumerate(receipt.attestations)]
    renewals = evaluate_renewals(receipt, known, payload, at)
    ends = [end for _, end in payload.algorithm_ends]
    counting = renewals.until(min(ends)).counting if ends else renewals.counting
    return any(one.content is not None or receipt.core.body is None for one in counting)
