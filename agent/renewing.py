"""Keeping receipts good for longer than a time authority's certificate (docs/spec/attestation.md §3).

A renewal is one more token, over the attestations that are there: those that it lists are then judged at its
time. What counts is asked of the verifier itself, at a later evaluation time. Nothing is written that the
verifier does not accept.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from protocol.errors import CaseledgerError
from protocol.hashing import ALGORITHMS
from verifier import attestation
from verifier.attestation import ChainAttestation, RenewalAttestation
from verifier.attested import RENEWAL_TAG, Rules, evaluate
from verifier.receipt import MAX_ATTESTATIONS, MAX_RECEIPT, Attestation, Receipt
from verifier.trust import TrustFile
from verifier.trust_payload import TrustPayload
from verifier.verdict import Report
from verifier.verify import verify_receipt

DAY = 86_400
HORIZON = 100 * 366 * DAY
"""How far ahead the end of a receipt's tokens is looked for."""
ASK_SECONDS = 20.0
Ask = Callable[[bytes], bytes]
"""Sends a TimeStampReq (DER) and brings the answer."""


class NothingToRenew(CaseledgerError):
    """The receipt has no attestation that a renewal could keep alive."""

    http_status = 409
    title = "nothing to renew"


class RenewalRefused(CaseledgerError):
    """The authority's answer gives no renewal that the verifier accepts; nothing was written."""

    http_status = 502
    title = "the renewal is refused"


class RefreshRefused(CaseledgerError):
    """The new chain proof does not help under this trust file; nothing was written."""

    http_status = 502
    title = "the new chain proof is refused"


class ReceiptFull(CaseledgerError):
    """A receipt has at most 64 attestations and 64 KiB."""

    http_status = 409
    title = "no room in the receipt"


class TimeAuthoritySilent(CaseledgerError):
    """The time authority does not answer as RFC 3161 says."""

    http_status = 503
    retryable = True
    title = "the time authority does not answer"


@dataclass(frozen=True)
class Standing:
    """What a receipt's tokens are worth. `until`: the first moment (seconds UTC) at which fewer authorities
    count than at the evaluation time; None when none counts now, or none ever ends within a century.
    """

    authorities: tuple[str, ...]
    until: int | None

    def due(self, at: int, within: int) -> bool:
        """Whether a renewal is due within so many seconds."""
        return self.until is not None and self.until <= at + within


def authorities_at(receipt: Receipt, trust: TrustPayload, at: int) -> frozenset[str]:
    """Names of the authorities of whose tokens one counts at `at`."""
    known = [attestation.parse(one, position) for position, one in enumerate(receipt.attestations)]
    return frozenset(one.authority for one in evaluate(receipt, known, trust, at, Rules()).counting)


def standing(receipt: Receipt, trust: TrustPayload, at: int) -> Standing:
    """How long the receipt's tokens count, as the verifier sees it."""
    now = authorities_at(receipt, trust, at)
    if not now or authorities_at(receipt, trust, at + HORIZON) >= now:
        return Standing(tuple(sorted(now)), None)
    good, bad = at, at + HORIZON
    while bad - good > 1:
        middle = (good + bad) // 2
        if authorities_at(receipt, trust, middle) >= now:
            good = middle
        else:
            bad = middle
    return Standing(tuple(sorted(now)), bad)


def imprint_of(receipt: Receipt, positions: Sequence[int], algorithm: str) -> bytes:
    """What a renewal of these attestations has to be over; `algorithm` is "sha256" or "sm3"."""
    alg = ALGORITHMS[algorithm]
    listed = b"".join(alg.digest(receipt.attestations[at].payload) for at in positions)
    return alg.digest(RENEWAL_TAG + alg.digest(receipt.core_bytes) + listed)


def renew(
    receipt: Receipt,
    trust: bytes,
    ask: Ask,
    at: int,
    *,
    algorithm: str = "sha256",
    certificates: Sequence[bytes] = (),
    revocation: Sequence[bytes] = (),
) -> Receipt:
    """The receipt with one renewal over all its attestations of known kinds.

    `certificates` (DER) lie between the authority's signer and its root, if its tokens leave them out.

    Raises:
        NothingToRenew, ReceiptFull, RenewalRefused, TimeAuthoritySilent, and errors of time answers
    """
    from verifier.timetoken_request import TimeRequest, token_of

    positions = tuple(
        at for at, one in enumerate(receipt.attestations) if attestation.parse(one, at) is not None
    )
    if not authorities_at(receipt, payload_of(trust), at):
        raise NothingToRenew("no token counts any more, or none is there: a renewal would keep nothing alive")
    request = TimeRequest(algorithm, imprint_of(receipt, positions, algorithm), secrets.randbits(64))
    token = token_of(ask(request.encode()))
    _check_nonce(token, request.nonce)
    added = RenewalAttestation(positions, token, tuple(certificates), tuple(revocation))
    renewed, report = _with(receipt, added.encode(), trust, at)
    finding = report.attestations[-1] if report.attestations else None
    if finding is None or finding.position != len(receipt.attestations) or finding.code != "Ok":
        code = "not read" if finding is None else f"{finding.code}: {finding.detail}"
        raise RenewalRefused(code, field="renewal")
    return renewed


def refreshed(receipt: Receipt, added: ChainAttestation, trust: bytes, at: int) -> Receipt:
    """The receipt with a later chain proof, once the verifier takes it under an open epoch.

    Raises:
        ReceiptFull, RefreshRefused
    """
    out, report = _with(receipt, added.encode(), trust, at)
    position = len(receipt.attestations)
    failed = [one for one in report.verdicts if one.status.value == "FAIL"]
    if failed:
        raise RefreshRefused(f"{failed[0].name}: {failed[0].code}", field="chain proof")
    code = next((one.code for one in report.attestations if one.position == position), "not read")
    if code != "Ok":
        raise RefreshRefused(code, field="chain proof", hint="a newer trust file may name the open epoch")
    return out


def _with(receipt: Receipt, added: Attestation, trust: bytes, at: int) -> tuple[Receipt, Report]:
    out = dataclasses.replace(receipt, attestations=(*receipt.attestations, added))
    data = out.encode()
    if len(out.attestations) > MAX_ATTESTATIONS or len(data) > MAX_RECEIPT:
        raise ReceiptFull(f"{len(out.attestations)} attestations, {len(data)} bytes", field="receipt")
    return out, verify_receipt(data, trust, at=at)


def _check_nonce(token: bytes, nonce: int | None) -> None:
    """The answer is to this request; all else about the token is the verifier's."""
    from verifier.timetoken_cms import parse
    from verifier.timetoken_errors import TokenNonceMismatch

    if parse(token).info.nonce != nonce:
        raise TokenNonceMismatch("another nonce than asked with")


def payload_of(trust: bytes) -> TrustPayload:
    """A trust file's payload, its own signatures checked.

    Raises:
        MalformedTrustFile and the like
    """
    found = TrustFile.parse(trust)
    found.check()
    return found.payload


def http_ask(url: str, *, seconds: float = ASK_SECONDS, transport: httpx.BaseTransport | None = None) -> Ask:
    """Asks over HTTP (RFC 3161 §3.4); answers are limited in size."""
    from verifier.timetoken_request import ANSWER_TYPE, MAX_ANSWER, REQUEST_TYPE

    def ask(request: bytes) -> bytes:
        headers = {"content-type": REQUEST_TYPE, "accept": ANSWER_TYPE, "accept-encoding": "identity"}
        try:
            with (
                httpx.Client(timeout=seconds, trust_env=False, transport=transport) as client,
                client.stream("POST", url, content=request, headers=headers) as answer,
            ):
                if answer.status_code != 200:
                    raise TimeAuthoritySilent(f"status {answer.status_code}")
                body = bytearray()
                for chunk in answer.iter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise TimeAuthoritySilent("the answer is over the limit")
                kind = str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()
                if kind != ANSWER_TYPE:
                    raise TimeAuthoritySilent("the answer is of another media type")
                return bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TimeAuthoritySilent(type(error).__name__) from None

    return ask
