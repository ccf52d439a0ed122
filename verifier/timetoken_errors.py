"""What a time token can be refused for (docs/spec/attestation.md §5). The class name is the stable code."""

from __future__ import annotations

from protocol.errors import LimitExceeded, MalformedInput
from verifier.errors import ProofRefused


class TimeTokenRefused(ProofRefused):
    """Any refusal of a well-formed time token. Only subclasses are raised."""

    title = "time token refused"


class NotCounted(TimeTokenRefused):
    """The token proves nothing here, without being wrong. Only subclasses are raised."""

    title = "time token does not count"


# Form (rule 1)


class DerMalformed(MalformedInput):
    title = "not DER"


class TokenMalformed(MalformedInput):
    title = "time token malformed"


class TokenLimit(LimitExceeded):
    title = "time token over the limit"


class TokenTrailingBytes(MalformedInput):
    title = "bytes after the time token"


class TokenSignerCount(TimeTokenRefused):
    title = "a time token has exactly one signer"


class TokenContentType(TimeTokenRefused):
    title = "the signed content is no time-stamp information"


class TokenVersion(TimeTokenRefused):
    title = "time-stamp information of another version"


# Imprint and algorithms (rule 2)


class TokenAlgorithmWeak(TimeTokenRefused):
    """SHA-1, MD5 or a key below the minimum, anywhere between imprint and root."""

    title = "broken or too weak algorithm in a time token"


class TokenAlgorithmUnknown(TimeTokenRefused):
    title = "algorithm that this verifier does not check"


class TokenAlgorithmMismatch(TimeTokenRefused):
    """The algorithm names inside one token contradict each other."""

    title = "the token's algorithm names contradict each other"


class TokenImprintMismatch(TimeTokenRefused):
    title = "the token is for other data"


# Signed attributes and signature (rule 3)


class TokenAttributeMissing(TimeTokenRefused):
    title = "a signed attribute is missing"


class TokenAttributeRepeated(TimeTokenRefused):
    title = "a signed attribute occurs more than once"


class TokenDigestMismatch(TimeTokenRefused):
    title = "the signed digest is not that of the time-stamp information"


class TokenSigningCertificateMissing(TimeTokenRefused):
    title = "no signing-certificate attribute in its second version"


class TokenSigningCertificateRepeated(TimeTokenRefused):
    title = "more than one signing-certificate attribute"


class TokenSigningCertificateMismatch(TimeTokenRefused):
    """The signing-certificate attribute speaks of another certificate: it was swapped."""

    title = "the signing certificate is not the one that was signed"


class TokenSignerMissing(TimeTokenRefused):
    title = "the signer's certificate is not there"


class TokenSignatureInvalid(TimeTokenRefused):
    title = "the token's signature is wrong"


class TokenSignerName(TimeTokenRefused):
    title = "the authority's name in the token is not the signer's"


# Certificates (rule 4)


class CertificateMalformed(MalformedInput):
    title = "certificate malformed"


class TokenKeyUsage(TimeTokenRefused):
    """The signer's certificate is not for time stamps alone, or not marked so critically."""

    title = "the signer's certificate is not for time stamps alone"


class TokenPathInvalid(TimeTokenRefused):
    """A certificate between signer and root is not rightly issued: signature, CA flag, length, names."""

    title = "the path to the authority's root does not hold"


class TokenPathExpired(TimeTokenRefused):
    """A certificate of the path was not yet or no longer valid at genTime."""

    title = "a certificate of the path was not valid at that time"


class TokenCertificateUnused(TimeTokenRefused):
    title = "a certificate that is not on the path"


class AuthorityNotTrusted(NotCounted):
    """The path ends at no root that the trust file names."""

    title = "the trust file does not name this time authority"


# Time and policy (rules 5, 6)


class TokenOutsideAuthorityWindow(TimeTokenRefused):
    title = "the authority was not trusted at that time"


class TokenInFuture(TimeTokenRefused):
    title = "the token is from after the evaluation time"


class TokenBeforeBlock(TimeTokenRefused):
    title = "the token is older than the batch that it is over"


class TokenPolicyNotAccepted(TimeTokenRefused):
    title = "the token was issued under another policy"


# Revocation and expiry (rules 7, 8)


class RevocationMalformed(MalformedInput):
    title = "revocation data malformed"


class RevocationInvalid(TimeTokenRefused):
    """Revocation data that the issuer did not sign, or that is about no certificate of the path."""

    title = "revocation data is not the issuer's"


class TokenRevoked(TimeTokenRefused):
    title = "a certificate of the path was revoked"


class TimeTokenExpired(NotCounted):
    """The signer's certificate has ended and no renewal was made in time."""

    title = "the signer's certificate has ended"


class TokenLibraryRefused(TimeTokenRefused):
    """Our own checks passed, an independent implementation's did not."""

    title = "a second implementation refuses the token"


# What a client compares with its request (RFC 3161 §2.4.2)


class TokenNonceMismatch(TimeTokenRefused):
    title = "the answer is not to this request"


class TimeRequestRefused(TimeTokenRefused):
    """The authority answered with a status other than granted."""

    title = "the time authority refused"


class TimeAnswerMalformed(MalformedInput):
    title = "the time authority's answer is malformed"
