"""A signing key and certificate for development and tests: an authority of its own and its revocation list.

Nobody else trusts it: a centre signs with a certificate from a licensed authority.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT_DAYS, SIGNER_DAYS, LIST_DAYS = 3650, 730, 730
KEY_FILE, CERTIFICATE_FILE, CHAIN_FILE, LIST_FILE = "key.pem", "certificate.pem", "chain.pem", "revoked.crl"


@dataclass(frozen=True)
class Signer:
    """Key, certificate, root and an empty revocation list, as PEM."""

    key: bytes
    certificate: bytes
    root: bytes
    revoked: bytes


def make_signer(name: str, now: int) -> Signer:
    """A new one under a root of its own, valid from an hour before `now` (seconds UTC)."""
    begin = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (development root)"[:64])])
    signer_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    root = (
        x509.CertificateBuilder()
        .subject_name(root_name)
        .issuer_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(signer_name)
        .issuer_name(root_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=SIGNER_DAYS))
        .add_extension(_usage(issues=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root_name)
        .last_update(begin)
        .next_update(begin + timedelta(days=LIST_DAYS))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Signer(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(pem), root.public_bytes(pem), revoked.public_bytes(pem),
    )  # fmt: skip


def save(signer: Signer, folder: Path) -> None:
    """Four files in a new folder; the key with mode 0600. The root's key is kept nowhere.

    Raises:
        OSError
    """
    folder.mkdir(mode=0o700, parents=True)
    for name, data in (
        (KEY_FILE, signer.key),
        (CERTIFICATE_FILE, signer.certificate),
        (CHAIN_FILE, signer.root),
        (LIST_FILE, signer.revoked),
    ):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as out:
            out.write(data)


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues, content_commitment=not issues, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=issues, crl_sign=issues,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
