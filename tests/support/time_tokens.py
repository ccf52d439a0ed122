"""Time tokens with one thing wrong, made with the local authority's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from evidence.local_authority import (
    POLICY,
    Identity,
    attribute,
    make_identity,
    seal,
    signed_attributes,
    tst_info,
)
from protocol.hashing import sha256, sm3
from verifier.timetoken import TimeToken, check_token
from verifier.timetoken_cms import ALGORITHM_PROTECTION
from verifier.timetoken_der import SEQUENCE, context, encode, encode_oid
from verifier.timetoken_request import TimeRequest
from verifier.trust_payload import TimeAuthority

NOW = 1_795_000_000
MESSAGE = b"a checkpoint\n1\nroot\n"
IMPRINTS = {"sha256": sha256(MESSAGE), "sm3": sm3(MESSAGE)}
DER = serialization.Encoding.DER


@cache
def identity(name: str = "Authority A", signer_days: int = 1825) -> Identity:
    """The same one each time."""
    return make_identity(name, NOW, signer_days=signer_days)


def authority(
    of: Identity,
    name: str = "A",
    *,
    policies: tuple[str, ...] = (POLICY,),
    not_before: int = 0,
    not_after: int | None = None,
) -> TimeAuthority:
    """As a trust file names it."""
    return TimeAuthority(name, (of.root,), policies, not_before, not_after)


@dataclass(frozen=True)
class Recipe:
    """A token; each member may be spoilt by itself."""

    of: Identity
    algorithm: str = "sha256"
    time: int = NOW
    policy: str = POLICY
    nonce: int | None = 7
    imprint: bytes | None = None
    version: int = 1
    content: Callable[[bytes], bytes] = bytes
    attributes: Callable[[list[bytes]], list[bytes]] = list
    named: bytes | None = None
    """The certificate that the signing-certificate attribute names; the signer's when None."""
    certificates: tuple[bytes, ...] | None = None
    over: str = "sha256"
    """Digest of the signature."""

    def make(self) -> bytes:
        digest = IMPRINTS[self.algorithm] if self.imprint is None else self.imprint
        request = TimeRequest(self.algorithm, digest, self.nonce)
        content = self.content(
            tst_info(request, policy=self.policy, serial=5, time=self.time, version=self.version)
        )
        signer = self.of.signer
        attributes = self.attributes(signed_attributes(content, self.named or signer, self.over))
        return seal(
            content,
            attributes,
            self.of,
            certificates=(signer,) if self.certificates is None else self.certificates,
            over=self.over,
        )


def protection(digest: str = "2.16.840.1.101.3.4.2.1", signature: str = "1.2.840.10045.4.3.2") -> bytes:
    """The attribute CMSAlgorithmProtection (RFC 6211) ; by default as a token here says."""
    protected = encode(
        SEQUENCE, encode(SEQUENCE, encode_oid(digest)), encode(context(1), encode_oid(signature))
    )
    return attribute(ALGORITHM_PROTECTION, protected)


def check(
    token: bytes,
    authorities: Sequence[TimeAuthority] | None = None,
    *,
    certificates: Sequence[bytes] = (),
    revocation: Sequence[bytes] = (),
    at: int = NOW + 60,
    not_before: int = 0,
) -> TimeToken:
    """Under authority A, a minute later."""
    return check_token(
        token,
        certificates,
        revocation,
        imprint_of=IMPRINTS.__getitem__,
        authorities=(authority(identity()),) if authorities is None else authorities,
        at=at,
        not_before=not_before,
    )


def reissue(
    of: Identity,
    *,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    key_usage: x509.KeyUsage | None = None,
    days: int = 1825,
    extra: x509.ExtensionType | None = None,
    serial: int | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Identity:
    """The same authority with another signing certificate under its root."""
    root = x509.load_der_x509_certificate(of.root)
    signer_key = key or of.signer_key
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")]))
        .issuer_name(root.subject)
        .public_key(signer_key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    signer = builder.sign(of.root_key, hashes.SHA256())
    return replace(of, signer=signer.public_bytes(DER), signer_key=signer_key)


def intermediate(of: Identity, *, ca: bool = True, path_length: int | None = None) -> tuple[Identity, bytes]:
    """A signer two steps below a root that allows it; (identity, the issuer between)."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=1)
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "long root")])
    middle_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "middle")])

    def build(
        subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=999))
        )

    root = (
        build(root_name, root_name, of.root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .sign(of.root_key, hashes.SHA256())
    )
    middle = (
        build(middle_name, root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(of.root_key, hashes.SHA256())
    )
    signer = (
        build(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deep")]),
            middle_name,
            of.signer_key.public_key(),
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Identity(root.public_bytes(DER), of.root_key, signer.public_bytes(DER), of.signer_key)
    return made, middle.public_bytes(DER)


def revocation_list(
    of: Identity,
    *,
    when: int,
    reason: x509.ReasonFlags | None,
    invalid_from: int | None = None,
    serial: int | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """A CRL of the root that revokes the signer."""
    root = x509.load_der_x509_certificate(of.root)
    signer = x509.load_der_x509_certificate(of.signer)
    moment = datetime.fromtimestamp(when, UTC)
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(signer.serial_number if serial is None else serial)
        .revocation_date(moment)
    )
    if reason is not None:
        entry = entry.add_extension(x509.CRLReason(reason), critical=False)
    if invalid_from is not None:
        date = datetime.fromtimestamp(invalid_from, UTC).replace(tzinfo=None)
        entry = entry.add_extension(x509.InvalidityDate(date), critical=False)
    listed = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(moment)
        .next_update(moment + timedelta(days=30))
        .add_revoked_certificate(entry.build())
        .sign(key or of.root_key, hashes.SHA256())
    )
    return listed.public_bytes(DER)
