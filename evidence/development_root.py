"""A root of its own and one certificate under it, for development and tests. Nobody else trusts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT_DAYS = 3650
MAX_NAME = 64


@dataclass(frozen=True)
class Issued:
    """Both certificates with their keys (P-256); `begin` is where their validity starts."""

    root: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    begin: datetime


def issue(
    name: str,
    now: int,
    *,
    days: int,
    commits: bool = False,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    digest: hashes.SHA256 | hashes.SHA512 | None = None,
) -> Issued:
    """Valid from an hour before `now` (seconds UTC), the certificate for `days`.

    `commits`: its key may sign what a person stands for (content commitment). `extensions`: further ones,
    each with whether it is critical. `digest`: of both signatures, SHA-256 by default.
    """
    digest = digest or hashes.SHA256()
    begin = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _name(f"{name} root")
    root = (
        _builder(root_name, root_name, root_key, begin, ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(issues=True), critical=True)
        .sign(root_key, digest)
    )
    builder = _builder(_name(name), root_name, key, begin, days).add_extension(
        _usage(issues=False, commits=commits), critical=True
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Issued(root, root_key, builder.sign(root_key, digest), key, begin)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:MAX_NAME])])


def _usage(*, issues: bool, commits: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues, content_commitment=commits, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=issues, crl_sign=issues,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
