"""A signing key and certificate for development and tests: an authority of its own and its revocation list.

Nobody else trusts it: a centre signs with a certificate from a licensed authority.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from evidence.development_root import issue

SIGNER_DAYS, LIST_DAYS = 730, 730
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
    made = issue(name, now, days=SIGNER_DAYS, commits=True)
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(made.root.subject)
        .last_update(made.begin)
        .next_update(made.begin + timedelta(days=LIST_DAYS))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(made.root_key.public_key()), critical=False
        )
        .sign(made.root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Signer(
        made.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        made.certificate.public_bytes(pem), made.root.public_bytes(pem), revoked.public_bytes(pem),
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
