"""Errors of certificates. Codes are the class names."""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import CaseledgerError


class CertificateNotDue(CaseledgerError):
    """A receipt that did not verify gets a report, never a certificate."""

    http_status = 422
    title = "no certificate for what did not verify"


class CertificateExtraMissing(CaseledgerError):
    """The libraries that set, draw or sign a certificate are not installed."""

    http_status = 501
    title = "the extra `certificate` is not installed"
    exit_code: ClassVar[int] = 2


class CertificateNotSet(CaseledgerError):
    """The typesetter refused the document."""

    http_status = 500
    title = "the certificate could not be typeset"


class CertificateKeyUnusable(CaseledgerError):
    """Signing key, certificate or revocation list cannot be read, or do not belong together."""

    title = "signing key or certificate not usable"
    exit_code: ClassVar[int] = 2


class CertificateNotSigned(CaseledgerError):
    """The signature could not be completed; no certificate was written."""

    http_status = 502
    retryable = True
    title = "the certificate could not be signed"


class StatementMalformed(CaseledgerError):
    """The issuer's own statement is not of the documented form."""

    title = "issuer's statement malformed"
    exit_code: ClassVar[int] = 2
