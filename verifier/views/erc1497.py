"""Evidence JSON and the arguments of the event `Evidence` after ERC-1497, without a URI.

The document stays where it is: whoever has it compares it with `fileHash`. The digest is not salted, so that
publishing this view lets everybody who holds the same file recognise it.
"""

from __future__ import annotations

import json
from typing import Any

from protocol import entry
from protocol.entry import Body, EvidenceClass
from protocol.hashing import SHA256
from verifier.receipt import Receipt
from verifier.submitter import signer_address
from verifier.views.errors import ViewNotPossible

SUFFIX = ".erc1497.json"
EVENT = "Evidence(address,uint256,address,string)"
"""_arbitrator, _evidenceGroupID, _party, _evidence."""
_SHA2_256 = b"\x12\x20"
"""Multihash: function and length."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
EXTENSIONS = {
    "application/json": "json", "application/msword": "doc", "application/ofd": "ofd",
    "application/pdf": "pdf", "application/rtf": "rtf", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/warc": "warc", "application/xml": "xml", "application/zip": "zip", "audio/amr": "amr",
    "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/wav": "wav", "audio/x-wav": "wav", "image/bmp": "bmp",
    "image/gif": "gif", "image/heic": "heic", "image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif",
    "image/webp": "webp", "message/rfc822": "eml", "text/csv": "csv", "text/html": "html",
    "text/markdown": "md", "text/plain": "txt", "text/xml": "xml", "video/mp4": "mp4",
    "video/quicktime": "mov",
}  # fmt: skip


def base58(data: bytes) -> str:
    """Base58 with the alphabet of Bitcoin, as multihashes are shown."""
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = _BASE58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def multihash_sha256(digest: bytes) -> str:
    """A SHA-256 digest as ERC-1497 writes hashes. Of the raw file: it is no IPFS address."""
    return base58(_SHA2_256 + digest)


def evidence_json(receipt: Receipt) -> dict[str, Any]:
    """Evidence JSON. Beside ERC-1497's own members, `caseledger` says where the proof is.

    Raises:
        ViewNotPossible: the body is withheld, or the entry is not over a document.
    """
    core = receipt.core
    head = entry.parse_leaf(core.leaf).header
    if core.body is None:
        raise ViewNotPossible("the body is withheld or erased: there is no file digest to state")
    if head.evidence_class is EvidenceClass.LOG_CONTINUATION:
        raise ViewNotPossible("a log continuation is not over a document")
    body = Body.parse(core.body)
    label = head.evidence_class.label
    evidence_id = SHA256.leaf(core.leaf).hex()
    return {
        "name": f"{label.zh} / {label.en}",
        "description": f"caseledger {evidence_id}",
        "fileHash": multihash_sha256(body.content_sha256),
        "fileTypeExtension": EXTENSIONS.get(body.media_type, "bin"),
        "caseledger": {
            "event": EVENT,
            "evidenceGroupID": "0x" + head.case_commitment.hex(),
            "party": "0x" + signer_address(core).hex(),
            "evidenceId": evidence_id,
            "receiptId": receipt.receipt_id.hex(),
            "contentSha256": body.content_sha256.hex(),
            "contentSm3": body.content_sm3.hex(),
            "contentSize": body.content_size,
            "mediaType": body.media_type,
            "chainId": core.log.chain_id,
            "evidenceLog": "0x" + core.log.evidence_log.hex(),
            "logId": core.log.log_id.hex(),
            "leafIndex": core.inclusion.index,
            "anchoredAt": core.link.time,
        },
    }


def render(receipt: Receipt) -> bytes:
    """The JSON text. Raises as `evidence_json`."""
    return (json.dumps(evidence_json(receipt), ensure_ascii=False, indent=2) + "\n").encode()
