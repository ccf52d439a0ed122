"""A time authority for development and tests: its own root, a signing certificate, a revocation list.

It answers RFC 3161 requests over SHA-256, SM3 and SHA3-256. Its clock is this machine's and its keys lie
beside the ledger's, so its tokens prove nothing to a third person; a trust file for real use names others.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from evidence.development_root import issue
from evidence.ports import Clock, system_clock
from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from verifier.timetoken_cms import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    RENEWED_IMPRINTS,
    SIGNED_DATA,
    SIGNING_CERTIFICATE_V2,
    TST_INFO,
)
from verifier.timetoken_der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    context,
    encode,
    encode_integer,
    encode_oid,
    encode_set,
    encode_time,
)
from verifier.timetoken_errors import TokenAlgorithmUnknown, TokenAlgorithmWeak, TokenMalformed
from verifier.timetoken_path import load
from verifier.timetoken_request import TimeRequest, granted, imprint, refused

POLICY = "2.999.3161.1"
"""In the arc that is reserved for examples."""
SIGNER_DAYS, LIST_DAYS = 1825, 30
ROOT_FILE, ROOT_KEY, SIGNER_FILE, SIGNER_KEY = "root.der", "root-key.pem", "signer.der", "signer-key.pem"
_BAD_ALGORITHM, _BAD_FORMAT, _POLICY = 0, 5, 15
_SIGNED_OVER: dict[str, tuple[hashes.HashAlgorithm, bytes, bytes]] = {
    "sha256": (
        hashes.SHA256(),
        encode(SEQUENCE, encode_oid("2.16.840.1.101.3.4.2.1")),
        encode(SEQUENCE, encode_oid("1.2.840.10045.4.3.2")),
    ),
    "sha512": (
        hashes.SHA512(),
        encode(SEQUENCE, encode_oid("2.16.840.1.101.3.4.2.3")),
        encode(SEQUENCE, encode_oid("1.2.840.10045.4.3.4")),
    ),
}
"""Digest of the signature, its AlgorithmIdentifier, and that of ECDSA over it."""


class TimeAuthorityDamaged(CaseledgerError):
    """The files of a local time authority are missing or do not belong together."""

    http_status = 503
    title = "local time authority not usable"


@dataclass(frozen=True)
class Identity:
    """Keys and certificates (DER) of an authority."""

    root: bytes
    root_key: ec.EllipticCurvePrivateKey
    signer: bytes
    signer_key: ec.EllipticCurvePrivateKey


def make_identity(name: str, now: int, *, signer_days: int = SIGNER_DAYS) -> Identity:
    """A new root and a signing certificate under it, both valid from an hour before `now` (seconds UTC)."""
    stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    # SHA-512, so that its tokens may stand over a hash renewal.
    made = issue(name, now, days=signer_days, extensions=[(stamping, True)], digest=hashes.SHA512())
    der = serialization.Encoding.DER
    return Identity(made.root.public_bytes(der), made.root_key, made.certificate.public_bytes(der), made.key)


def tst_info(request: TimeRequest, *, policy: str, serial: int, time: int, version: int = 1) -> bytes:
    """TSTInfo's encoding for a request; genTime in whole seconds."""
    parts = [
        encode_integer(version),
        encode_oid(policy),
        imprint(request.algorithm, request.imprint),
        encode_integer(serial),
        encode_time(time),
        encode(SEQUENCE, encode_integer(1)),
    ]
    if request.nonce is not None:
        parts.append(encode_integer(request.nonce))
    return encode(SEQUENCE, *parts)


def attribute(kind: str, *values: bytes) -> bytes:
    """One signed attribute."""
    return encode(SEQUENCE, encode_oid(kind), encode_set(values))


def signing_certificate(signer: bytes) -> bytes:
    """SigningCertificateV2 that names one certificate by SHA-256, issuer and serial number (RFC 5816)."""
    parsed = load(signer)
    issuer = encode(SEQUENCE, encode(context(4), parsed.issuer))
    place = encode(SEQUENCE, issuer, encode_integer(parsed.serial))
    ess = encode(SEQUENCE, encode(OCTET_STRING, sha256(signer)), place)
    return encode(SEQUENCE, encode(SEQUENCE, ess))


def signed_attributes(content: bytes, signer: bytes, over: str = "sha256") -> list[bytes]:
    """The attributes that a token signs: content type, digest of the content, the signer's certificate."""
    return [
        attribute(CONTENT_TYPE, encode_oid(TST_INFO)),
        attribute(MESSAGE_DIGEST, encode(OCTET_STRING, hashlib.new(over, content).digest())),
        attribute(SIGNING_CERTIFICATE_V2, signing_certificate(signer)),
    ]


def seal(
    content: bytes,
    attributes: list[bytes],
    identity: Identity,
    *,
    certificates: tuple[bytes, ...] = (),
    over: str = "sha256",
) -> bytes:
    """The token: a ContentInfo over `content` and these attributes, signed with ECDSA over `over`."""
    parsed = load(identity.signer)
    digest, digest_name, ecdsa_name = _SIGNED_OVER[over]
    signature = identity.signer_key.sign(encode_set(attributes), ec.ECDSA(digest))
    signer_info = encode(
        SEQUENCE,
        encode_integer(1),
        encode(SEQUENCE, parsed.issuer, encode_integer(parsed.serial)),
        digest_name,
        encode_set(attributes, context(0)),
        ecdsa_name,
        encode(OCTET_STRING, signature),
    )
    wrapped = encode(context(0), encode(OCTET_STRING, content))
    signed_data = encode(
        SEQUENCE,
        encode_integer(3),
        encode(SET, digest_name),
        encode(SEQUENCE, encode_oid(TST_INFO), wrapped),
        encode_set(certificates, context(0)) if certificates else b"",
        encode(SET, signer_info),
    )
    return encode(SEQUENCE, encode_oid(SIGNED_DATA), encode(context(0), signed_data))


class LocalAuthority:
    """Answers requests; `clock` gives seconds UTC."""

    def __init__(self, identity: Identity, *, policy: str = POLICY, clock: Clock = system_clock) -> None:
        self.identity = identity
        self.policy = policy
        self._clock = clock

    @classmethod
    def open(cls, folder: Path, name: str, *, clock: Clock = system_clock) -> LocalAuthority:
        """The authority whose files are in `folder`; a new one where there are none.

        Raises:
            TimeAuthorityDamaged
        """
        if not (folder / ROOT_FILE).exists():
            _write(folder, make_identity(name, clock()))
        try:
            keys = []
            for file in (ROOT_KEY, SIGNER_KEY):
                key = serialization.load_pem_private_key((folder / file).read_bytes(), None)
                if not isinstance(key, ec.EllipticCurvePrivateKey):
                    raise TimeAuthorityDamaged(f"{file} holds another kind of key", field=file)
                keys.append(key)
            root, signer = ((folder / file).read_bytes() for file in (ROOT_FILE, SIGNER_FILE))
        except (OSError, ValueError) as error:
            raise TimeAuthorityDamaged(type(error).__name__, field=folder.name) from None
        identity = Identity(root, keys[0], signer, keys[1])
        if load(signer).x509.public_key() != keys[1].public_key():
            raise TimeAuthorityDamaged("certificate and key do not belong together", field=SIGNER_FILE)
        return cls(identity, clock=clock)

    def answer(self, request: bytes) -> bytes:
        """A TimeStampResp: a token, or why there is none."""
        try:
            wanted = TimeRequest.parse(request)
        except (TokenAlgorithmWeak, TokenAlgorithmUnknown):
            return refused(_BAD_ALGORITHM)
        except TokenMalformed:
            return refused(_BAD_FORMAT)
        if wanted.policy not in (None, self.policy):
            return refused(_POLICY)
        content = tst_info(wanted, policy=self.policy, serial=secrets.randbits(63) + 1, time=self._clock())
        over = "sha512" if wanted.algorithm in RENEWED_IMPRINTS else "sha256"
        attributes = signed_attributes(content, self.identity.signer, over)
        certificates = (self.identity.signer,) if wanted.certificates else ()
        return granted(seal(content, attributes, self.identity, certificates=certificates, over=over))

    def revocation_list(self, revoked: tuple[x509.RevokedCertificate, ...] = ()) -> bytes:
        """A CRL of now (DER)."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        root = load(self.identity.root)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(root.x509.subject)
            .last_update(now)
            .next_update(now + timedelta(days=LIST_DAYS))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        )
        for one in revoked:
            builder = builder.add_revoked_certificate(one)
        listed = builder.sign(self.identity.root_key, hashes.SHA256())
        return listed.public_bytes(serialization.Encoding.DER)


def _write(folder: Path, identity: Identity) -> None:
    """Keys first and the root's certificate last: its file says that all are there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    bare = serialization.NoEncryption()
    for name, data in (
        (ROOT_KEY, identity.root_key.private_bytes(pem, pkcs8, bare)),
        (SIGNER_KEY, identity.signer_key.private_bytes(pem, pkcs8, bare)),
        (SIGNER_FILE, identity.signer),
        (ROOT_FILE, identity.root),
    ):
        partial = folder / f".{name}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(folder / name)
