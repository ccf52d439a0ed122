"""What revocation data says about the certificates of a path: CRLs (RFC 5280 §5) and OCSP (RFC 6960).

Data is optional; what is given must be the issuer's and about the path. Which revocations leave earlier
tokens standing is RFC 3161 §4's rule: only those with a stated reason that says nothing against the key.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING

from protocol.errors import CaseledgerError
from verifier.timetoken_cms import MAX_REVOCATION
from verifier.timetoken_der import (
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    context,
    whole,
)
from verifier.timetoken_errors import (
    CertificateMalformed,
    DerMalformed,
    RevocationInvalid,
    RevocationMalformed,
    TokenAlgorithmUnknown,
    TokenLimit,
    TokenRevoked,
)
from verifier.timetoken_path import Certificate, check_key, check_signature_algorithm, load, signed_by

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509 import ocsp

MAX_LISTS = 16
_ENUMERATED = 0x0A
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_HARMLESS = {"unspecified", "affiliationChanged", "superseded", "cessationOfOperation"}
_COMPROMISE = {"keyCompromise", "cACompromise", "aACompromise"}
_CRL_EXTENSIONS = {"2.5.29.20", "2.5.29.28", "2.5.29.35"}
"""Number, distribution point, authority key: what a critical extension of a list may be."""


def check_revocation(data: Sequence[bytes], path: Sequence[Certificate], time: int) -> None:
    """No certificate of `path` (signer first, root last) was revoked for tokens of `time` (seconds UTC).

    Raises:
        TokenRevoked, RevocationMalformed, RevocationInvalid, TokenLimit, TokenAlgorithmWeak
    """
    if len(data) > MAX_LISTS:
        raise TokenLimit(f"{len(data)} pieces of revocation data, at most {MAX_LISTS}", field="revocation")
    for one in data:
        if len(one) > MAX_REVOCATION:
            raise TokenLimit(f"revocation data of {len(one)} bytes", field="revocation")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if whole(one).members().next().tag == _ENUMERATED:
                    _check_ocsp(one, path, time)
                else:
                    _check_crl(one, path, time)
        except (DerMalformed, CertificateMalformed):
            raise RevocationMalformed(field="revocation") from None
        except CaseledgerError:
            raise
        except Exception:  # the library has a dozen unrelated classes for data that it cannot read
            raise RevocationMalformed(field="revocation") from None


def _judge(position: int, when: int, reason: str | None, invalid_from: int | None, time: int) -> None:
    """Whether a revocation leaves tokens of `time` standing."""
    if when > time and reason in _HARMLESS:
        return
    if when > time and reason in _COMPROMISE and invalid_from is not None and invalid_from > time:
        return
    raise TokenRevoked(f"certificate {position} of the path: {reason or 'no reason given'}, at {when}")


# Lists


def _check_crl(data: bytes, path: Sequence[Certificate], time: int) -> None:
    from cryptography import x509

    listed = x509.load_der_x509_crl(data)
    issuer = _crl_issuer(data, listed, path)
    for extension in listed.extensions:
        if extension.critical and extension.oid.dotted_string not in _CRL_EXTENSIONS:
            raise RevocationInvalid(f"critical extension {extension.oid.dotted_string}")
        if isinstance(extension.value, x509.IssuingDistributionPoint) and extension.value.indirect_crl:
            raise RevocationInvalid("a list for other issuers")
    for position, certificate in enumerate(path[:-1]):
        if path[position + 1] is not issuer:
            continue
        entry = listed.get_revoked_certificate_by_serial_number(certificate.serial)
        if entry is None:
            continue
        reason: str | None = None
        invalid_from: int | None = None
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason.value
            elif isinstance(extension.value, x509.InvalidityDate):
                invalid_from = int(extension.value.invalidity_date_utc.timestamp())
            elif extension.critical:
                raise RevocationInvalid(f"critical extension {extension.oid.dotted_string} of an entry")
        _judge(position, int(entry.revocation_date_utc.timestamp()), reason, invalid_from, time)


def _crl_issuer(
    data: bytes, listed: x509.CertificateRevocationList, path: Sequence[Certificate]
) -> Certificate:
    """The certificate of the path that issued the list."""
    outer = whole(data).members()
    members = outer.next(SEQUENCE).members()
    outer.next(SEQUENCE)
    outer.next().bits()
    outer.finish()
    members.optional(INTEGER)
    members.next(SEQUENCE)
    name = members.next(SEQUENCE).raw
    digest = listed.signature_hash_algorithm
    check_signature_algorithm(None if digest is None else digest.name)
    for certificate in path[1:]:
        usage = certificate.key_usage()
        if certificate.subject != name or (usage is not None and 6 not in usage):
            continue
        key = certificate.x509.public_key()
        if listed.is_signature_valid(key):  # type: ignore[arg-type]  # CA keys were checked with the path
            return certificate
    raise RevocationInvalid("no issuer of the path signed this list")


# Answers


def _check_ocsp(data: bytes, path: Sequence[Certificate], time: int) -> None:
    from cryptography.x509 import ocsp

    _check_frame(data)
    answer = ocsp.load_der_ocsp_response(data)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise RevocationInvalid("an answer that says nothing")
    singles = list(answer.responses)
    if not 1 <= len(singles) <= MAX_LISTS:
        raise TokenLimit("answers in one response", field="revocation")
    about = [(single, _about(single, path)) for single in singles]
    issuers = {position + 1 for _, position in about}
    if len(issuers) != 1:
        raise RevocationInvalid("an answer about certificates of several issuers")
    _check_responder(answer, path[issuers.pop()])
    for single, position in about:
        if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
            continue
        if single.certificate_status is not ocsp.OCSPCertStatus.REVOKED:
            raise RevocationInvalid("the responder does not know the certificate")
        when = single.revocation_time_utc
        reason = single.revocation_reason
        _judge(position, 0 if when is None else int(when.timestamp()), reason and reason.value, None, time)


def _about(single: ocsp.OCSPSingleResponse, path: Sequence[Certificate]) -> int:
    """Position in the path of the certificate that an answer is about."""
    from cryptography.hazmat.primitives.hashes import Hash

    for position, certificate in enumerate(path[:-1]):
        if single.serial_number != certificate.serial:
            continue
        issuer = path[position + 1]
        name = Hash(single.hash_algorithm)
        name.update(issuer.subject)
        key = Hash(single.hash_algorithm)
        key.update(_key_bits(issuer))
        if compare_digest(name.finalize(), single.issuer_name_hash) and compare_digest(
            key.finalize(), single.issuer_key_hash
        ):
            return position
    raise RevocationInvalid("an answer about another certificate")


def _key_bits(certificate: Certificate) -> bytes:
    """The subject's public key without tag, length and unused bits (RFC 6960 §4.1.1)."""
    members = whole(certificate.der).members().next(SEQUENCE).members()
    members.next(context(0))
    for tag in (INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE):
        members.next(tag)
    key = members.next(SEQUENCE).members()
    key.next(SEQUENCE)
    return key.next().bits()


def _check_frame(data: bytes) -> None:
    """What nothing signs around an answer: the one form, and a signature of whole bytes."""
    members = whole(data).members()
    members.next(_ENUMERATED)
    wrapped = members.optional(context(0))
    members.finish()
    if wrapped is None:
        raise RevocationInvalid("an answer that says nothing")
    response = wrapped.members(context(0)).next(SEQUENCE).members()
    response.next(OID)
    basic = whole(response.next(OCTET_STRING).octets()).members()
    response.finish()
    basic.next(SEQUENCE)
    basic.next(SEQUENCE)
    basic.next().bits()
    basic.optional(context(0))
    basic.finish()


def _check_responder(answer: ocsp.OCSPResponse, issuer: Certificate) -> None:
    """Signed by the issuer, or by whom it has appointed (RFC 6960 §4.2.2.2)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.serialization import Encoding

    signer = issuer
    carried = [load(one.public_bytes(Encoding.DER)) for one in answer.certificates]
    if len(carried) > 1:
        raise RevocationInvalid("an answer with more than its responder's certificate")
    for one in carried:
        if one.issuer != issuer.subject or not signed_by(one, issuer):
            raise RevocationInvalid("the responder is not the issuer's")
        produced = int(answer.produced_at_utc.timestamp())
        if _OCSP_SIGNING not in (one.usages() or ()) or not one.from_time <= produced <= one.until_time:
            raise RevocationInvalid("the responder may not answer")
        signer = one
    check_key(signer)
    digest = answer.signature_hash_algorithm
    check_signature_algorithm(None if digest is None else digest.name)
    key = signer.x509.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
        else:
            raise TokenAlgorithmUnknown("the answer's signature")
    except InvalidSignature:
        raise RevocationInvalid("the answer's signature is wrong") from None
