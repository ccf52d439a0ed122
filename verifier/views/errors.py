"""What a view can be refused for. The class name is the stable code."""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import MalformedInput
from verifier.errors import ProofRefused


class ViewNotPossible(ProofRefused):
    """The receipt or the trust file lacks what this view needs; `detail` says what."""

    http_status: ClassVar[int] = 409
    title = "the receipt has no such view"


class TlogProofMalformed(MalformedInput):
    """Not a C2SP tlog-proof in the one form that is written here."""

    title = "tlog-proof malformed"


class CoseReceiptMismatch(ProofRefused):
    """Not the COSE Receipt of this receipt: another leaf, path, header or form."""

    title = "COSE receipt is not of this receipt"


class CoseSignatureInvalid(ProofRefused):
    """The log's signature does not stand over the COSE Receipt."""

    title = "the log's signature does not verify over the COSE receipt"


class EvidenceRecordMalformed(MalformedInput):
    """Not an RFC 4998 EvidenceRecord in DER of the shape that is read here."""

    title = "evidence record malformed"


class EvidenceRecordMismatch(ProofRefused):
    """The record does not lead from this data object to its time stamp."""

    title = "evidence record does not prove this object"


class EvidenceRecordExpired(ProofRefused):
    """A time stamp of the record ended before the next one, or before the evaluation time."""

    title = "a time stamp of the evidence record ended before it was renewed"


class JsonViewMismatch(ProofRefused):
    """The JSON says something else than the receipt inside it."""

    title = "the JSON view is not that of the receipt inside it"
