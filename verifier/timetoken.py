"""Verification of a time token (RFC 3161, RFC 5816) as docs/spec/attestation.md §5 numbers the rules.

Pure: bytes, expected digests, authorities and an evaluation time in; what the token proves out. Our own
checks decide; what passes them is then shown to a second, independent implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Protocol

from verifier.timetoken_cms import IMPRINTS, RENEWED_IMPRINTS, Token, check_limits, parse
from verifier.timetoken_der import SEQUENCE, context, encode, encode_integer, whole
from verifier.timetoken_errors import (
    AuthorityNotTrusted,
    DerMalformed,
    TimeTokenExpired,
    TimeTokenRefused,
    TokenAlgorithmWeak,
    TokenBeforeBlock,
    TokenCertificateUnused,
    TokenDigestMismatch,
    TokenImprintMismatch,
    TokenInFuture,
    TokenLibraryRefused,
    TokenMalformed,
    TokenOutsideAuthorityWindow,
    TokenPolicyNotAccepted,
    TokenSignatureInvalid,
    TokenSignerMissing,
    TokenSignerName,
    TokenSigningCertificateMismatch,
)
from verifier.timetoken_path import Certificate, alternative_names, check_key, check_path, find_path, load
from verifier.timetoken_revocation import check_revocation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes

BEFORE_BLOCK = 300
"""Seconds that a token may be older than the block of the batch that it is over (rule 5)."""


class Authority(Protocol):
    """The members of `verifier.trust_payload.TimeAuthority` that are used here."""

    @property
    def name(self) -> str: ...
    @property
    def roots(self) -> tuple[bytes, ...]: ...
    @property
    def policies(self) -> tuple[str, ...]: ...
    @property
    def not_before(self) -> int: ...
    @property
    def not_after(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class TimeToken:
    """What a token proves: what the imprint is of existed at `gen_time` (seconds UTC, a fraction rounded up).

    `accuracy_us`: the microseconds that the authority states, 0 when it states none.
    """

    gen_time: int
    authority: str
    policy: str
    imprint_algorithm: str
    signer_not_after: int
    serial: int
    nonce: int | None
    accuracy_us: int

    def expired_at(self, time: int) -> bool:
        """Whether the signer's certificate had ended at `time` (rule 8)."""
        return time > self.signer_not_after

    def check_current(self, time: int) -> None:
        """The certificate still holds at `time`: the evaluation time, or a renewal's genTime.

        Raises:
            TimeTokenExpired
        """
        if self.expired_at(time):
            raise TimeTokenExpired(f"ended at {self.signer_not_after}")


def check_token(
    token: bytes,
    certificates: Sequence[bytes],
    revocation: Sequence[bytes],
    *,
    imprint_of: Callable[[str], bytes],
    authorities: Sequence[Authority],
    at: int,
    not_before: int,
    renewed: bool = False,
) -> TimeToken:
    """Rules 1 to 7. Rule 8 is the caller's, who knows the renewals: `TimeToken.check_current`.

    `imprint_of`: the expected digest for "sha256" or "sm3"; it may raise for an algorithm that is not
    expected. `at`: evaluation time; `not_before`: the earliest genTime believed (the block's time less
    `BEFORE_BLOCK`, 0 for none); seconds UTC. `certificates` and `revocation` are DER, beside what the token
    has. `renewed`: over a hash renewal: SHA3-256 imprint, and nothing signed over SHA-256
    (docs/spec/hash-renewal.md §2).

    Raises:
        AuthorityNotTrusted: it counts for nothing, without a failure
        the other errors of verifier/timetoken_errors.py, one for each rule
    """
    try:
        return _check(token, certificates, revocation, imprint_of, authorities, at, not_before, renewed)
    except DerMalformed as error:
        raise TokenMalformed(error.detail, field="token") from None


def _check(
    data: bytes,
    certificates: Sequence[bytes],
    revocation: Sequence[bytes],
    imprint_of: Callable[[str], bytes],
    authorities: Sequence[Authority],
    at: int,
    not_before: int,
    renewed: bool,
) -> TimeToken:
    token = parse(data, RENEWED_IMPRINTS if renewed else IMPRINTS)
    info = token.info
    check_limits(certificates, revocation)
    if not compare_digest(imprint_of(info.imprint_algorithm), info.imprint):
        raise TokenImprintMismatch(f"imprint {info.imprint.hex()}")
    given = tuple(load(one) for one in dict.fromkeys((*token.certificates, *certificates)))
    signer = _signer(token, given)
    roots = tuple(load(one) for one in dict.fromkeys(root for one in authorities for root in one.roots))
    path = find_path(signer, given, roots)
    _check_ess(token, path)
    _check_signature(token, signer)
    for one in given:
        if one not in path:
            raise TokenCertificateUnused(f"serial number {one.serial}", field="certificates")
    gen_time = info.seconds + (1 if info.nanoseconds else 0)
    check_path(path, gen_time)
    _check_name(token, signer)
    if gen_time > at:
        raise TokenInFuture(f"genTime {gen_time}, evaluated at {at}")
    if gen_time < not_before:
        raise TokenBeforeBlock(f"genTime {gen_time}, not believed before {not_before}")
    authority = _authority(authorities, path[-1], info.policy, gen_time)
    check_revocation((*token.crls, *revocation), path, gen_time)
    if renewed:
        _check_outlives_sha256(token, path)
    _second_opinion(token, path)
    return TimeToken(
        gen_time,
        authority.name,
        info.policy,
        info.imprint_algorithm,
        signer.until_time,
        info.serial,
        info.nonce,
        info.accuracy_us,
    )


def _signer(token: Token, given: Sequence[Certificate]) -> Certificate:
    """The certificate that the signer info names and the signing-certificate attribute fixes (rule 3)."""
    named = [one for one in given if (one.issuer, one.serial) == (token.issuer, token.serial)]
    if not named:
        raise TokenSignerMissing(f"serial number {token.serial}", field="certificates")
    first = token.ess[0]
    for one in named:
        if compare_digest(_digest(first.algorithm, one.der), first.digest):
            return one
    raise TokenSigningCertificateMismatch("its digest is another one")


def _check_ess(token: Token, path: Sequence[Certificate]) -> None:
    """Every certificate that the attribute names lies on the path; issuer and serial number, if given, fit.

    The first is the signer's.
    """
    for position, ess in enumerate(token.ess):
        for certificate in path if position else path[:1]:
            if compare_digest(_digest(ess.algorithm, certificate.der), ess.digest):
                break
        else:
            raise TokenSigningCertificateMismatch("it names a certificate that is not on the path")
        if ess.serial is not None and (ess.issuer, ess.serial) != (certificate.issuer, certificate.serial):
            raise TokenSigningCertificateMismatch("issuer or serial number is another one")


def _algorithm(name: str) -> hashes.HashAlgorithm:
    """The library's object for one of `timetoken_cms.DIGESTS`."""
    from cryptography.hazmat.primitives import hashes

    match name:
        case "sha256":
            return hashes.SHA256()
        case "sha384":
            return hashes.SHA384()
        case "sha512":
            return hashes.SHA512()
    return hashes.SM3()


def _digest(name: str, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import Hash

    digest = Hash(_algorithm(name))
    digest.update(data)
    return digest.finalize()


def _check_signature(token: Token, signer: Certificate) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    if not compare_digest(_digest(token.digest_algorithm, token.content), token.message_digest):
        raise TokenDigestMismatch("the signed attributes hold another digest")
    check_key(signer, token.key_kind)
    key = signer.x509.public_key()
    algorithm = _algorithm(token.digest_algorithm)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(token.signature, token.signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(token.signature, token.signed, ec.ECDSA(algorithm))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise TokenSignatureInvalid() from None


def _check_outlives_sha256(token: Token, path: Sequence[Certificate]) -> None:
    """What makes the token believed is signed over SHA-384 or SHA-512; the root is trusted as it is."""
    if token.digest_algorithm == "sha256":
        raise TokenAlgorithmWeak("signed over SHA-256")
    for certificate in path[:-1]:
        algorithm = certificate.x509.signature_hash_algorithm
        if algorithm is not None and algorithm.name == "sha256":
            raise TokenAlgorithmWeak("a certificate is signed over SHA-256")


def _check_name(token: Token, signer: Certificate) -> None:
    """The authority's name, if the token gives one, is the signer's (RFC 3161 §2.4.2)."""
    if token.info.tsa is None:
        return
    name = whole(token.info.tsa)
    if name.tag == context(4) and name.value == signer.subject:
        return
    if name.raw not in alternative_names(signer):
        raise TokenSignerName()


def _authority(authorities: Sequence[Authority], root: Certificate, policy: str, gen_time: int) -> Authority:
    """The first authority with this root that issued under this policy at this time (rules 5 and 6)."""
    refusal: TimeTokenRefused | None = None
    for one in authorities:
        if root.der not in one.roots:
            continue
        if gen_time < one.not_before or (one.not_after is not None and gen_time > one.not_after):
            end = "" if one.not_after is None else one.not_after
            refusal = refusal or TokenOutsideAuthorityWindow(
                f"genTime {gen_time}, trusted {one.not_before}..{end}"
            )
        elif one.policies and policy not in one.policies:
            refusal = refusal or TokenPolicyNotAccepted(f"policy {policy}")
        else:
            return one
    raise refusal or AuthorityNotTrusted()


def _second_opinion(token: Token, path: Sequence[Certificate]) -> None:
    """The same token under rfc3161-client, which verifies with OpenSSL's CMS code.

    It wants the certificates sorted, which few authorities do; they are unsigned, so they may be.
    """
    import rfc3161_client
    from rfc3161_client.errors import VerificationError

    status = encode(SEQUENCE, encode_integer(0))
    granted = encode(SEQUENCE, status, token.with_certificates(one.der for one in path[:-1]))
    builder = (
        rfc3161_client.VerifierBuilder().tsa_certificate(path[0].x509).add_root_certificate(path[-1].x509)
    )
    for one in path[1:-1]:
        builder = builder.add_intermediate_certificate(one.x509)
    try:
        answer = rfc3161_client.decode_timestamp_response(granted)
        builder.build().verify(answer, token.info.imprint)
    except (VerificationError, ValueError, TypeError) as error:
        raise TokenLibraryRefused(str(error)[:200]) from None
