"""A receipt as JSON for people and tools; whole, because the receipt itself is inside."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from protocol import entry
from protocol.entry import Body
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256, SM3
from verifier import attestation, strict_json
from verifier.attestation import (
    ChainAttestation,
    RenewalAttestation,
    TokenAttestation,
    Where,
    WitnessAttestation,
)
from verifier.chainproof import NoProof
from verifier.receipt import MAX_RECEIPT, Attestation, Receipt
from verifier.views.errors import JsonViewMismatch

SUFFIX = ".json"
FORMAT = "caseledger-receipt-json"
MAX_JSON = 8 * MAX_RECEIPT
Json = dict[str, Any]


def as_json(receipt: Receipt) -> Json:
    """Every field by name, bytes in hex; `receipt` holds the file in base64, from which all else follows."""
    core = receipt.core
    head = entry.parse_leaf(core.leaf).header
    submission, log, inclusion, link = core.submission, core.log, core.inclusion, core.link
    return {
        "format": FORMAT,
        "version": 1,
        "receiptId": receipt.receipt_id.hex(),
        "evidenceId": SHA256.leaf(core.leaf).hex(),
        "evidenceIdSm3": SM3.leaf(core.leaf).hex(),
        "leaf": {
            "class": int(head.evidence_class),
            "privileged": head.privileged,
            "submitter": head.submitter,
            "sequence": head.sequence,
            "caseCommitment": head.case_commitment.hex(),
            "bytes": core.leaf.hex(),
        },
        "body": None if core.body is None else _body(core.body, int(head.evidence_class)),
        "submission": {
            "validUntil": submission.valid_until,
            "signature": submission.signature.hex(),
            "position": submission.position,
            "count": submission.count,
            "path": [one.hex() for one in submission.path],
        },
        "log": {
            "origin": log.origin,
            "chainId": log.chain_id,
            "evidenceLog": "0x" + log.evidence_log.hex(),
            "consortiumRegistry": "0x" + log.registry.hex(),
        },
        "inclusion": {
            "index": inclusion.index,
            "pathSha256": [one.hex() for one in inclusion.path_sha256],
            "pathSm3": [one.hex() for one in inclusion.path_sm3],
        },
        "link": {
            "number": link.number,
            "previous": link.previous.hex(),
            "size": link.size,
            "rootSha256": link.root_sha256.hex(),
            "rootSm3": link.root_sm3.hex(),
            "time": link.time,
        },
        "chainProof": _proof(core.proof),
        "attestations": [_attested(one, at) for at, one in enumerate(receipt.attestations)],
        "receipt": base64.b64encode(receipt.encode()).decode("ascii"),
    }


def render(receipt: Receipt) -> bytes:
    """The JSON text, two spaces of indent, LF at the end."""
    return (json.dumps(as_json(receipt), ensure_ascii=False, indent=2) + "\n").encode()


def receipt_of(data: bytes) -> Receipt:
    """The receipt inside, when the JSON says nothing else than it does.

    Raises:
        JsonViewMismatch, and the errors of `Receipt.parse`
    """
    if len(data) > MAX_JSON:
        raise JsonViewMismatch(f"{len(data)} bytes, at most {MAX_JSON} allowed")
    value = strict_json.loads(data)
    inside = value.get("receipt") if isinstance(value, dict) else None
    if not isinstance(inside, str):
        raise JsonViewMismatch("no receipt inside", field="receipt")
    try:
        receipt = Receipt.parse(base64.b64decode(inside, validate=True))
    except (binascii.Error, ValueError):
        raise JsonViewMismatch("not base64", field="receipt") from None
    if value != as_json(receipt):
        raise JsonViewMismatch("a member differs from the receipt inside")
    return receipt


def _body(data: bytes, evidence_class: int) -> Json:
    if evidence_class == entry.EvidenceClass.LOG_CONTINUATION:
        return {"bytes": data.hex()}
    body = Body.parse(data)

    def maybe(value: bytes | None) -> str | None:
        return None if value is None else value.hex()

    return {
        "contentSha256": body.content_sha256.hex(),
        "contentSm3": body.content_sm3.hex(),
        "contentSize": body.content_size,
        "mediaType": body.media_type,
        "salt": body.salt.hex(),
        "caseReference": body.case_ref.hex(),
        "subjectReference": maybe(body.subject_ref),
        "actorReference": maybe(body.actor_ref),
        "eventTime": body.event_time,
        "provenance": maybe(body.provenance),
        "manifest": maybe(body.manifest),
        "links": [[int(link.relation), link.evidence_id.hex()] for link in body.links],
    }


def _proof(proof: Any) -> Json:
    if isinstance(proof, NoProof):
        return {"kind": proof.kind}
    return {"kind": proof.kind, "height": proof.height}


def _where(where: Where | None) -> Json | None:
    return None if where is None else {"size": where.size, "path": [one.hex() for one in where.path]}


def _attested(listed: Attestation, position: int) -> Json:
    out: Json = {"kind": listed.kind, "bytes": len(listed.payload)}
    try:
        one = attestation.parse(listed, position)
    except CaseledgerError as error:
        return {**out, "unreadable": error.code}
    match one:
        case WitnessAttestation():
            signed = [{"keyId": each.key_id.hex(), "time": each.time} for each in one.cosignatures]
            return {
                **out, "algorithm": one.algorithm, "where": _where(one.where),
                "logSignature": one.log_signature.hex(), "cosignatures": signed,
            }  # fmt: skip
        case TokenAttestation():
            return {**out, "algorithm": one.algorithm, "where": _where(one.where), "token": one.token.hex()}
        case RenewalAttestation():
            return {**out, "positions": list(one.positions), "token": one.token.hex()}
        case ChainAttestation():
            return {**out, "chainProof": _proof(one.proof)}
    return {**out, "unknown": True}
