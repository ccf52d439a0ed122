"""PAdES signatures (ETSI EN 319 142-1) on the PDF: level B-T, or B-LTA where the revocation lists are given.

The time authority is a port: bytes of an RFC 3161 request in, bytes of its response out. Nothing is fetched.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from evidence.certificate.errors import CertificateKeyUnusable, CertificateNotSigned
from evidence.certificate.extra import need
from protocol.errors import CaseledgerError

Ask = Callable[[bytes], bytes]
FIELD = "CaseledgerCertificate"
MINIMUM_RSA = 2048


@dataclass(frozen=True)
class SigningKey:
    """Key (PKCS#8, DER), its certificate, the certificates above it, revocation lists; all in DER.

    `roots` are what the level B-LTA is validated to while signing: the signer's and the time authority's.
    """

    key: bytes
    certificate: bytes
    chain: tuple[bytes, ...] = ()
    roots: tuple[bytes, ...] = ()
    revoked: tuple[bytes, ...] = ()

    @classmethod
    def parse(
        cls,
        key: bytes,
        certificate: bytes,
        *,
        chain: bytes = b"",
        roots: Sequence[bytes] = (),
        revoked: Sequence[bytes] = (),
        password: bytes | None = None,
    ) -> SigningKey:
        """From PEM files (DER for single certificates and lists); `certificate` may be followed by its chain.

        Raises:
            CertificateKeyUnusable
        """
        try:
            private = serialization.load_pem_private_key(key, password)
            listed = _certificates(certificate) + (_certificates(chain) if chain else [])
            anchors = [one for data in roots for one in _certificates(data)]
            lists = [_revocation_list(data) for data in revoked]
        except (ValueError, TypeError) as error:
            # Never the text of the error: it may hold parts of the file.
            raise CertificateKeyUnusable(type(error).__name__) from None
        if not isinstance(private, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
            raise CertificateKeyUnusable("an RSA or elliptic-curve key is expected", field="key")
        if isinstance(private, rsa.RSAPrivateKey) and private.key_size < MINIMUM_RSA:
            raise CertificateKeyUnusable(f"RSA under {MINIMUM_RSA} bits", field="key")
        if not listed or listed[0].public_key() != private.public_key():
            raise CertificateKeyUnusable("the first certificate is not the key's", field="certificate")
        if lists and not anchors:
            raise CertificateKeyUnusable("revocation lists need the roots as well", field="roots")
        der = serialization.Encoding.DER
        return cls(
            private.private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            listed[0].public_bytes(der),
            tuple(one.public_bytes(der) for one in listed[1:]),
            tuple(one.public_bytes(der) for one in anchors),
            tuple(one.public_bytes(der) for one in lists),
        )

    @property
    def name(self) -> str:
        """The subject's common name, or its whole name."""
        subject = x509.load_der_x509_certificate(self.certificate).subject
        common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(common[0].value) if common else subject.rfc4514_string()


def _certificates(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN" in data:
        return x509.load_pem_x509_certificates(data)
    return [x509.load_der_x509_certificate(data)]


def _revocation_list(data: bytes) -> x509.CertificateRevocationList:
    if b"-----BEGIN" in data:
        return x509.load_pem_x509_crl(data)
    return x509.load_der_x509_crl(data)


@cache
def _stamper_class() -> Any:
    timestamps = need("pyhanko.sign.timestamps.api")
    tsp = need("asn1crypto.tsp")

    class Stamper(timestamps.TimeStamper):  # type: ignore[misc, name-defined]
        """Asks through the port."""

        def __init__(self, ask: Ask) -> None:
            super().__init__()
            self._ask = ask

        async def async_request_tsa_response(self, req: Any) -> Any:
            return tsp.TimeStampResp.load(self._ask(req.dump()))

    return Stamper


def sign(pdf: bytes, key: SigningKey, ask: Ask) -> bytes:
    """The PDF with a signature and its time stamp; with revocation lists also with a document time stamp.

    Raises:
        CertificateExtraMissing, CertificateNotSigned; errors of the time authority
    """
    signers, fields = need("pyhanko.sign.signers"), need("pyhanko.sign.fields")
    keys, certificates = need("asn1crypto.keys"), need("asn1crypto.x509")
    registry = need("pyhanko_certvalidator.registry").SimpleCertificateStore()
    chain = [certificates.Certificate.load(one) for one in key.chain]
    registry.register_multiple(chain)
    signer = signers.SimpleSigner(
        signing_cert=certificates.Certificate.load(key.certificate),
        signing_key=keys.PrivateKeyInfo.load(key.key),
        cert_registry=registry,
    )
    options: dict[str, Any] = {
        "field_name": FIELD,
        "md_algorithm": "sha256",
        "subfilter": fields.SigSeedSubFilter.PADES,
        "name": key.name,
    }
    if key.revoked:
        context = need("pyhanko_certvalidator").ValidationContext(
            trust_roots=[certificates.Certificate.load(one) for one in key.roots],
            other_certs=chain, crls=list(key.revoked), allow_fetching=False, revocation_mode="hard-fail",
        )  # fmt: skip
        options |= {"validation_context": context, "embed_validation_info": True, "use_pades_lta": True}
    # Its remarks are for developers; what goes wrong is raised.
    logging.getLogger("pyhanko").addHandler(logging.NullHandler())
    out = io.BytesIO()
    try:
        writer = need("pyhanko.pdf_utils.incremental_writer").IncrementalPdfFileWriter(io.BytesIO(pdf))
        signers.PdfSigner(
            signers.PdfSignatureMetadata(**options), signer=signer, timestamper=_stamper_class()(ask)
        ).sign_pdf(writer, output=out)
    except CaseledgerError:
        raise
    except Exception as error:
        # The library has many error roots; whichever it is, no certificate leaves.
        raise CertificateNotSigned(f"{type(error).__name__}: {error}") from error
    return out.getvalue()
